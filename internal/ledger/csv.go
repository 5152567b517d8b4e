package ledger

import (
	"bufio"
	"io"
	"strings"
	"time"

	"github.com/souk-market/souk/store"
)

// csvHeader names the columns of an export.
var csvHeader = []string{"posting", "time", "cause", "account", "amount", "currency"}

// ExportCSV writes the entries of a span's postings to w, one a row, in order of time,
// as CSV (RFC 4180, UTF-8, with a header): the posting's ID, its time (RFC 3339, UTC),
// its cause, and the entry's account, amount and currency. Amounts are decimals of major
// units with all digits of their currency ("-9.00", "500"), positive into the account.
//
// A text that a spreadsheet would take for a formula gets an apostrophe in front, which
// spreadsheets show as text. Amounts are left as the numbers they are.
//
// Errors: w's own, those of reading, and Invalid for a span that ends before it begins.
func ExportCSV(tx *store.ReadTx, w io.Writer, s Span) error {
	if err := s.check(); err != nil {
		return err
	}
	out := bufio.NewWriter(w)
	if err := writeRow(out, csvHeader...); err != nil {
		return err
	}
	for p, err := range postings(tx, s) {
		if err != nil {
			return err
		}
		at := p.At.UTC().Format(time.RFC3339Nano)
		for _, e := range p.Entries {
			err := writeRow(out, inert(string(p.ID)), at, inert(p.Cause), inert(string(e.Account)),
				e.Amount.Decimal(), inert(string(e.Amount.Currency)))
			if err != nil {
				return err
			}
		}
	}
	return out.Flush()
}

// writeRow writes a record and its line end. Unlike encoding/csv's writer it leaves
// line ends inside of a cell as they are.
func writeRow(out *bufio.Writer, cells ...string) error {
	for i, cell := range cells {
		if i > 0 {
			out.WriteByte(',')
		}
		if strings.ContainsAny(cell, "\",\r\n") {
			cell = `"` + strings.ReplaceAll(cell, `"`, `""`) + `"`
		}
		out.WriteString(cell)
	}
	_, err := out.WriteString("\r\n") // the writer's first failure is that of all that follow
	return err
}

// inert makes a text one that no spreadsheet takes for a formula, also where it is read
// with the spaces at its start taken off.
func inert(cell string) string {
	if begin := strings.TrimLeft(cell, " "); strings.IndexAny(begin, "=+-@\t\r\n＝＋－＠") == 0 {
		return "'" + cell
	}
	return cell
}
