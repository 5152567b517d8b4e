package ledger

import (
	"bufio"
	"cmp"
	"encoding/hex"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/souk-market/souk/internal/market"
	"github.com/souk-market/souk/store"
)

// ExportBeancount writes a span's postings to w as a file of beancount 2 or 3, in order
// of time: its title, a commodity for each currency and an open for each account when
// they are first met, a transaction for each posting with ID, cause and time as
// metadata, and at the end a balance for each account and currency, with a tolerance of
// nothing: beancount's own for a balance is a whole minor unit.
//
// A span with a beginning starts with one transaction that brings every account to its
// balance of then. Dates are those of UTC. Accounts are named as beancountAccount says,
// and have their own name as metadata.
//
// Errors: w's own, those of reading, Invalid for a span that ends before it begins, and
// Internal when the postings of one without an end don't add up to the stored balances.
func ExportBeancount(tx *store.ReadTx, w io.Writer, title string, s Span) error {
	if err := s.check(); err != nil {
		return err
	}
	b := &beancount{tx: tx, out: bufio.NewWriter(w), sums: sums{}, names: map[market.LedgerAccount]string{}, met: map[market.Currency]bool{}}
	b.printf("option \"title\" %s\n", quoted(title))
	if err := b.open(s); err != nil {
		return err
	}
	for p, err := range postings(tx, s) {
		if err == nil {
			err = b.transaction(&p)
		}
		if err != nil {
			return err
		}
	}
	if s.To.IsZero() {
		if err := b.sums.compare(tx); err != nil {
			return err
		}
	}
	b.close()
	return b.out.Flush()
}

// beancount is a file being written.
type beancount struct {
	tx    *store.ReadTx
	out   *bufio.Writer
	sums  sums                            // of all entries until now, those before the span included
	names map[market.LedgerAccount]string // of the accounts opened
	met   map[market.Currency]bool
	last  time.Time // the day of the last transaction
}

// printf writes; out keeps its first failure.
func (b *beancount) printf(format string, args ...any) { fmt.Fprintf(b.out, format, args...) }

func (b *beancount) failure() error {
	_, err := b.out.Write(nil)
	return err
}

// open brings the accounts to their balances at the beginning of a span. The sums of
// all accounts together are nothing, so they make a transaction.
func (b *beancount) open(s Span) error {
	if s.From.IsZero() {
		return nil
	}
	for p, err := range postings(b.tx, Span{To: s.From}) {
		if err == nil {
			err = b.sums.add(&p)
		}
		if err != nil {
			return err
		}
	}
	var opening market.Posting
	for _, k := range b.sums.keys() {
		if !b.sums[k].IsZero() {
			opening.Entries = append(opening.Entries, market.Entry{Account: k.account, Amount: b.sums[k]})
		}
	}
	if len(opening.Entries) == 0 {
		return nil
	}
	return b.entries(&opening, s.From.UTC(), "opening balances")
}

// transaction writes a posting.
func (b *beancount) transaction(p *market.Posting) error {
	if err := b.sums.add(p); err != nil {
		return err
	}
	at := p.At.UTC()
	return b.entries(p, at, p.Cause,
		"posting", string(p.ID), "cause", p.Cause, "time", at.Format(time.RFC3339Nano))
}

// entries writes a transaction with metadata, keys and values in turn, after opening the
// accounts that are new.
func (b *beancount) entries(p *market.Posting, at time.Time, narration string, metadata ...string) error {
	for _, e := range p.Entries {
		if err := b.openAccount(e.Account, at); err != nil {
			return err
		}
	}
	b.printf("\n%s * %s\n", at.Format(time.DateOnly), quoted(narration))
	for i := 0; i < len(metadata); i += 2 {
		b.printf("  %s: %s\n", metadata[i], quoted(metadata[i+1]))
	}
	for _, e := range p.Entries {
		b.printf("  %s  %s\n", b.names[e.Account], e.Amount)
	}
	b.last = at
	return b.failure()
}

// openAccount opens an account that is new, with all currencies that it ever has.
func (b *beancount) openAccount(account market.LedgerAccount, at time.Time) error {
	if b.names[account] != "" {
		return nil
	}
	balances, err := store.BalancesOf(b.tx, account)
	if err != nil {
		return err
	}
	day := at.Format(time.DateOnly)
	var codes []string
	for _, balance := range balances {
		c := balance.Amount.Currency
		if !b.met[c] {
			b.met[c] = true
			b.printf("\n%s commodity %s\n", day, c)
		}
		codes = append(codes, string(c))
	}
	b.names[account] = beancountAccount(account)
	b.printf("\n%s open %s  %s\n  account: %s\n", day, b.names[account], strings.Join(codes, ","), quoted(string(account)))
	return nil
}

// close asserts what the accounts hold on the morning after the last transaction, which
// is when beancount looks.
func (b *beancount) close() {
	if b.last.IsZero() {
		return
	}
	b.printf("\n")
	day := b.last.AddDate(0, 0, 1).Format(time.DateOnly)
	for _, k := range b.sums.keys() {
		if name := b.names[k.account]; name != "" {
			b.printf("%s balance %s  %s ~ 0 %s\n", day, name, b.sums[k].Decimal(), k.currency)
		}
	}
}

// sums are what entries add up to, by account and currency.
type sums map[sumKey]market.Money

type sumKey struct {
	account  market.LedgerAccount
	currency market.Currency
}

func (s sums) add(p *market.Posting) error {
	for _, e := range p.Entries {
		k := sumKey{e.Account, e.Amount.Currency}
		sum, err := s[k].Add(e.Amount)
		if err != nil {
			return fmt.Errorf("ledger: adding posting %s: %w", p.ID, err)
		}
		s[k] = sum
	}
	return nil
}

// keys are in the order of accounts and currencies.
func (s sums) keys() []sumKey {
	return slices.SortedFunc(maps.Keys(s), func(a, b sumKey) int {
		return cmp.Or(cmp.Compare(a.account, b.account), cmp.Compare(a.currency, b.currency))
	})
}

// compare refuses books whose stored balances aren't the sums of their postings.
func (s sums) compare(tx *store.ReadTx) error {
	n := 0
	for b, err := range store.Balances.All(tx, "") {
		if err != nil {
			return err
		}
		if sum := s[sumKey{b.Account, b.Amount.Currency}]; sum.Amount != b.Amount.Amount {
			return market.Errorf(market.Internal, "The balance of %s is %s, and its postings add up to %s. Run souk check.", b.Account, b.Amount, sum)
		}
		n++
	}
	if n != len(s) {
		return market.Errorf(market.Internal, "The ledger has %d balances, and its postings make %d. Run souk check.", n, len(s))
	}
	return nil
}

// beancountRoots are the five kinds of account that beancount knows.
var beancountRoots = map[string]string{
	"assets": "Assets", "liabilities": "Liabilities", "equity": "Equity", "income": "Income", "expenses": "Expenses",
}

// beancountAccount is the name of an account in beancount's grammar, another one for
// every account: components begin with a capital, and underscores become hyphens, so
// that "liabilities:seller:sel_1" is "Liabilities:Seller:Sel-1". A component of anything
// but lower-case letters, digits and single underscores between them is "Hex--" and its
// bytes. A name without one of the five kinds is "Equity:Account:Hex--", its bytes, "--".
func beancountAccount(a market.LedgerAccount) string {
	parts := strings.Split(string(a), ":")
	root, ok := beancountRoots[parts[0]]
	if !ok || len(parts) == 1 {
		return "Equity:Account:" + hexed(string(a)) + "--"
	}
	for i, part := range parts[1:] {
		parts[i+1] = component(part)
	}
	return root + ":" + strings.Join(parts[1:], ":")
}

func component(part string) string {
	if part == "" || strings.Trim(part, "abcdefghijklmnopqrstuvwxyz0123456789_") != "" ||
		part[0] == '_' || part[len(part)-1] == '_' || strings.Contains(part, "__") {
		return hexed(part)
	}
	return strings.ToUpper(part[:1]) + strings.ReplaceAll(part[1:], "_", "-")
}

func hexed(s string) string { return "Hex--" + hex.EncodeToString([]byte(s)) }

// quoted is a text as a string of beancount: on one line, with a mark in the place of
// what can't be shown.
func quoted(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r == '\n':
			b.WriteString(`\n`)
		case r < ' ' || r == 0x7f:
			b.WriteRune(utf8.RuneError)
		default:
			b.WriteRune(r)
		}
	}
	b.WriteByte('"')
	return b.String()
}
