package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"time"

	"github.com/souk-market/souk/internal/catalog"
	"github.com/souk-market/souk/internal/market"
)

type importCmd struct {
	settingsFlags
	File  string `arg:"" help:"The file, or - for standard input. Its first line names the columns id name summary version popularity source category updated, separated by tabs."`
	Price string `help:"What new listings cost: \"free\", \"9.00 USD\", or \"9.00 USD every 10\" for every tenth row, in the marketplace's currency. Default: 9 of it every 10." placeholder:"RULE"`
}

// maxBadRows is how many refused rows are named; the rest are counted.
const maxBadRows = 20

func (c *importCmd) Run(ctx context.Context) error {
	cfg, _, err := c.load(nil)
	if err != nil {
		return err
	}
	rule, err := priceRule(c.Price, cfg.Currency)
	if err != nil {
		return err
	}
	in, size, err := openInput(c.File)
	if err != nil {
		return err
	}
	defer in.Close()
	// Most of an import's memory is the store's, in large pieces that stay; the collector
	// would let garbage grow as large.
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(70)
	}
	h, err := openHouse(cfg)
	if err != nil {
		return err
	}
	err = h.importListings(ctx, in, size, rule)
	if cerr := h.close(); err == nil {
		err = cerr
	}
	return err
}

// priceRule reads --price. What costs something must be in the marketplace's currency:
// nothing else can be bought.
func priceRule(text string, currency market.Currency) (catalog.PriceRule, error) {
	if text == "" {
		text = fmt.Sprintf("9 %s every 10", currency)
	}
	rule, err := catalog.ParsePriceRule(text)
	if err != nil {
		return rule, err
	}
	if !rule.Price.IsZero() && rule.Price.Currency != currency {
		return rule, market.Errorf(market.Invalid, "The prices are in %s, and this marketplace sells in %s. Set currency (--currency %s, and the same for souk serve), or write the price in %s.",
			rule.Price.Currency, currency, rule.Price.Currency, currency)
	}
	return rule, nil
}

func openInput(name string) (io.ReadCloser, int64, error) {
	if name == "-" {
		return io.NopCloser(os.Stdin), 0, nil
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, 0, err
	}
	info, err := f.Stat()
	if err != nil {
		f.Close()
		return nil, 0, err
	}
	return f, info.Size(), nil
}

// importListings imports a file and waits until the search index has it all.
func (h *house) importListings(ctx context.Context, in io.Reader, size int64, rule catalog.PriceRule) error {
	ctx, cancel := context.WithCancel(ctx)
	indexed := make(chan error, 1)
	go func() { indexed <- h.index.Run(ctx) }()
	defer func() { <-indexed }()
	defer cancel()

	started := time.Now()
	bar := newProgress(os.Stderr, size)
	bad := 0
	rep, err := h.catalog.Import(ctx, in, catalog.ImportOptions{
		Price:    rule,
		Progress: func(read int64, rows int) { bar.show(read, fmt.Sprintf("%d rows", rows)) },
		BadRow: func(line int, err error) {
			if bad++; bad <= maxBadRows {
				bar.print(fmt.Sprintf("line %d: %s", line, operatorText(err)))
			}
		},
	})
	if err == nil {
		bar.show(size, "indexing")
		err = h.index.WaitFor(ctx, h.db.LastLSN())
	}
	bar.done()
	if bad > maxBadRows {
		fmt.Fprintf(os.Stderr, "… and %d more refused rows\n", bad-maxBadRows)
	}
	if err != nil && rep.Rows() == 0 {
		return err
	}
	spent := time.Since(started)
	fmt.Printf("%d rows in %s (%.0f rows/s, index included): %d added, %d updated, %d unchanged, %d refused. Prices of new listings: %s.\n",
		rep.Rows(), spent.Round(time.Millisecond), float64(rep.Rows())/spent.Seconds(), rep.Added, rep.Updated, rep.Unchanged, rep.Refused, rule)
	return err
}
