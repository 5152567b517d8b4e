package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/souk-market/souk/internal/control"
	"github.com/souk-market/souk/internal/ledger"
	"github.com/souk-market/souk/internal/market"
	"github.com/souk-market/souk/store"
)

type ledgerCmd struct {
	Export   ledgerExportCmd   `cmd:"" help:"Print the postings of the ledger."`
	Balances ledgerBalancesCmd `cmd:"" help:"Print the balance of every account and currency."`
}

type ledgerExportCmd struct {
	settingsFlags
	ledgerExportTask
}

func (c *ledgerExportCmd) Run(ctx context.Context) error {
	if _, err := c.span(); err != nil {
		return err
	}
	return c.do(ctx, &c.ledgerExportTask)
}

type ledgerExportTask struct {
	Format string `enum:"csv,beancount" default:"csv" help:"csv or beancount. Default: csv."`
	From   string `placeholder:"DATE" help:"Only postings from this day (2026-11-23, in UTC) or time (RFC 3339) on."`
	To     string `placeholder:"DATE" help:"Only postings up to the end of this day, or before this time."`
}

func (*ledgerExportTask) name() string { return "ledger export" }

func (t *ledgerExportTask) span() (s ledger.Span, err error) {
	if s.From, err = moment(t.From, 0); err != nil {
		return s, err
	}
	last, err := moment(t.To, 0)
	if err != nil {
		return s, err
	}
	if t.From != "" && t.To != "" && last.Before(s.From) {
		return s, usageError(fmt.Sprintf("--to %s lies before --from %s.", t.To, t.From))
	}
	s.To, err = moment(t.To, 1)
	return s, err
}

// moment reads a time, or a day, of which it is the beginning of a day later by days. An
// empty text is the zero time.
func moment(text string, days int) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	if day, err := time.Parse(time.DateOnly, text); err == nil {
		return day.AddDate(0, 0, days), nil
	}
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return at, usageError(fmt.Sprintf("%q is no date. Write it like 2026-11-23 or 2026-11-23T10:00:00Z.", text))
	}
	return at, nil
}

func (t *ledgerExportTask) run(ctx context.Context, h *house, c *control.Console) error {
	span, err := t.span()
	if err != nil {
		return err
	}
	out := untilEnd{ctx, c.Out}
	err = h.db.ViewDurable(ctx, market.MainTenant, func(tx *store.ReadTx) error {
		if t.Format == "beancount" {
			return ledger.ExportBeancount(tx, out, h.cfg.Name, span)
		}
		return ledger.ExportCSV(tx, out, span)
	})
	return unfinished(err, "The export was broken off and is not complete.")
}

// untilEnd is a writer that fails once its context has ended, for writers that know none.
type untilEnd struct {
	ctx context.Context
	w   io.Writer
}

func (u untilEnd) Write(b []byte) (int, error) {
	if err := u.ctx.Err(); err != nil {
		return 0, err
	}
	return u.w.Write(b)
}

type ledgerBalancesCmd struct {
	settingsFlags
	ledgerBalancesTask
}

func (c *ledgerBalancesCmd) Run(ctx context.Context) error { return c.do(ctx, &c.ledgerBalancesTask) }

type ledgerBalancesTask struct {
	JSON bool `name:"json" help:"Print a JSON object a line."`
}

func (*ledgerBalancesTask) name() string { return "ledger balances" }

// balanceLine is a balance as it is printed; Minor is in the currency's minor units.
type balanceLine struct {
	Account  market.LedgerAccount `json:"account"`
	Currency market.Currency      `json:"currency"`
	Amount   string               `json:"amount"`
	Minor    int64                `json:"minor"`
}

func (t *ledgerBalancesTask) run(ctx context.Context, h *house, c *control.Console) error {
	var lines []balanceLine
	err := h.db.ViewDurable(ctx, market.MainTenant, func(tx *store.ReadTx) error {
		for b, err := range store.Balances.All(tx, "") {
			if err != nil {
				return err
			}
			lines = append(lines, balanceLine{b.Account, b.Amount.Currency, b.Amount.Decimal(), b.Amount.Amount})
		}
		return nil
	})
	if err != nil {
		return err
	}
	slices.SortFunc(lines, func(a, b balanceLine) int {
		return cmp.Or(cmp.Compare(a.Account, b.Account), cmp.Compare(a.Currency, b.Currency))
	})
	return t.print(c.Out, lines)
}

func (t *ledgerBalancesTask) print(w io.Writer, lines []balanceLine) error {
	if t.JSON {
		enc := json.NewEncoder(w)
		for _, l := range lines {
			if err := enc.Encode(l); err != nil {
				return err
			}
		}
		return nil
	}
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(table, "BALANCE\tCURRENCY\t\tACCOUNT")
	for _, l := range lines {
		fmt.Fprintf(table, "%s\t%s\t\t%s\n", l.Amount, l.Currency, l.Account)
	}
	return table.Flush()
}
