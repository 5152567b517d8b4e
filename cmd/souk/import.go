package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"

	"github.com/souk-market/souk/internal/catalog"
	"github.com/souk-market/souk/internal/market"
)

type importCmd struct {
	settingsFlags
	From   string            `arg:"" name:"file" help:"A file of listings (tab- or comma-separated values with a header, JSON Lines, or a JSON array), - for standard input, or a folder as souk export writes it."`
	Map    map[string]string `placeholder:"COLUMN=FIELD" help:"What the file calls a field, where it isn't the field's name: --map package=id --map downloads=popularity."`
	Price  string            `help:"What new listings cost for which the file has no price: \"free\", \"9.00 USD\", or \"9.00 USD every 10\" for every tenth row, in the marketplace's currency. Default: 9 of it every 10; of a folder: free." placeholder:"RULE"`
	DryRun bool              `help:"Say what would be added, updated and refused, and write nothing."`
}

// maxBadRows is how many refused rows are named; the rest are counted.
const maxBadRows = 20

func (c *importCmd) Run(ctx context.Context) (err error) {
	cfg, _, err := c.load(nil)
	if err != nil {
		return err
	}
	in, err := openInput(c.From)
	if err != nil {
		return err
	}
	defer in.close()
	o := catalog.ImportOptions{Currency: cfg.Currency, Columns: c.Map, DryRun: c.DryRun}
	if o.Price, err = c.priceRule(cfg.Currency, in.folder != nil); err != nil {
		return err
	}
	if c.DryRun { // a marketplace that isn't there yet isn't made
		var remove func()
		if cfg.Data, remove, err = dataToRead(cfg.Data); err != nil {
			return err
		}
		defer remove()
	}
	limitGarbage(importGarbage)
	h, err := openHouse(cfg)
	if err != nil {
		return err
	}
	h.index.StayCold()
	return errors.Join(h.importListings(ctx, in, o), h.close())
}

// dataToRead is the data directory, or where there is none an empty one that remove removes.
func dataToRead(dir string) (string, func(), error) {
	if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
		return dir, func() {}, err
	}
	dir, err := os.MkdirTemp("", "souk-dry-run-")
	return dir, func() { os.RemoveAll(dir) }, err
}

func (c *importCmd) priceRule(currency market.Currency, folder bool) (catalog.PriceRule, error) {
	if c.Price == "" && folder {
		return catalog.PriceRule{}, nil
	}
	return priceRule(c.Price, currency)
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

// input is what is imported: a file or a folder.
type input struct {
	file   io.Reader
	folder fs.FS
	size   int64 // bytes; 0 when it isn't known
	close  func() error
}

func openInput(name string) (input, error) {
	if name == "-" {
		return input{file: os.Stdin, close: func() error { return nil }}, nil
	}
	info, err := os.Stat(name)
	if err != nil {
		return input{}, err
	}
	if info.IsDir() {
		root, err := os.OpenRoot(name) // its links lead nowhere else
		if err != nil {
			return input{}, err
		}
		return input{folder: root.FS(), size: catalog.FolderSize(root.FS()), close: root.Close}, nil
	}
	f, err := os.Open(name)
	if err != nil {
		return input{}, err
	}
	return input{file: f, size: info.Size(), close: f.Close}, nil
}

// importListings imports a file or folder, and then brings the search index up to date.
func (h *house) importListings(ctx context.Context, in input, o catalog.ImportOptions) error {
	started := time.Now()
	bar := newProgress(os.Stderr, in.size)
	bad := 0
	o.Blobs, o.Picture = h.blobs, h.takePicture
	o.Progress = func(read int64, rows int) { bar.show(read, fmt.Sprintf("%d rows", rows)) }
	o.BadRow = func(at catalog.Place, err error) {
		if bad++; bad <= maxBadRows {
			bar.print(fmt.Sprintf("%s: %s", at, operatorText(err)))
		}
	}
	rep, err := h.importFrom(ctx, in, o)
	if err == nil && !o.DryRun {
		err = h.indexImported(ctx, rep, func(note string) { bar.show(in.size, note) })
	}
	bar.done()
	if bad > maxBadRows {
		fmt.Fprintf(os.Stderr, "… and %d more refused rows\n", bad-maxBadRows)
	}
	if err != nil && rep.Rows() == 0 {
		return err
	}
	reportImport(rep, o, time.Since(started))
	return err
}

// indexImported returns when the search index has all that was imported. It builds the
// index anew unless few agents have changed: that takes less than half of what following
// each change does.
func (h *house) indexImported(ctx context.Context, rep catalog.ImportReport, show func(note string)) error {
	ctx, cancel := context.WithCancel(ctx)
	indexed := make(chan error, 1)
	go func() { indexed <- h.index.Run(ctx) }()
	defer func() { <-indexed }()
	defer cancel()
	show("indexing")
	if 2*(rep.Added+rep.Updated) > h.index.Documents(market.MainTenant) {
		err := h.index.Reindex(ctx, func(read, total int) { show(fmt.Sprintf("%d of %d indexed", read, total)) })
		if err != nil {
			return err
		}
	}
	return h.index.WaitFor(ctx, h.db.LastLSN())
}

func (h *house) importFrom(ctx context.Context, in input, o catalog.ImportOptions) (catalog.ImportReport, error) {
	if in.folder != nil {
		return h.catalog.ImportFolder(ctx, in.folder, o)
	}
	return h.catalog.Import(ctx, in.file, o)
}

func reportImport(rep catalog.ImportReport, o catalog.ImportOptions, spent time.Duration) {
	if o.DryRun {
		fmt.Printf("%d rows: %d would be added, %d updated, %d unchanged, %d refused. Nothing was written.\n",
			rep.Rows(), rep.Added, rep.Updated, rep.Unchanged, rep.Refused)
		return
	}
	fmt.Printf("%d rows in %s (%.0f rows/s, index included): %d added, %d updated, %d unchanged, %d refused. Prices of new listings without one: %s.\n",
		rep.Rows(), spent.Round(time.Millisecond), float64(rep.Rows())/spent.Seconds(), rep.Added, rep.Updated, rep.Unchanged, rep.Refused, o.Price)
}
