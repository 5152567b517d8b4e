package main

import (
	"context"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/souk-market/souk/internal/catalog"
	"github.com/souk-market/souk/internal/market"
)

// demoFolder is the demo's catalogue: a folder in the exchange format, but that its prices
// are in dollars whatever the marketplace sells in, and that files/AGENT holds what the
// agent's releases are packed from (see packDemo).
//
//go:embed demo
var demoFolder embed.FS

// demoStockFile names, in the data directory, the catalogue that was imported there. It is
// written last: an import that was interrupted is done again, and finds what is there.
const demoStockFile = "demo-catalogue"

// demoPacking changes when packDemo makes other bytes of the same folder.
const demoPacking = "1"

// stockDemo imports the demo's catalogue, unless this one is there already. So what somebody
// changes in a demo stays, until a souk with another catalogue comes.
func (h *house) stockDemo(ctx context.Context) error {
	stock, err := demoStock(h.cfg.Currency)
	if err != nil {
		return err
	}
	file := filepath.Join(h.cfg.Data, demoStockFile)
	if there, err := os.ReadFile(file); err == nil && string(there) == stock {
		return nil
	} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := h.importDemo(ctx); err != nil {
		return fmt.Errorf("souk: the demo's catalogue: %w", err)
	}
	return writeSecret(file, stock)
}

// demoStock names the catalogue: a hash of the folder and of what it becomes.
func demoStock(c market.Currency) (string, error) {
	sum := sha256.New()
	fmt.Fprintf(sum, "%s %s\n", demoPacking, c)
	err := fs.WalkDir(demoFolder, "demo", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		content, err := demoFolder.ReadFile(name)
		fmt.Fprintf(sum, "%s %d\n%s", name, len(content), content)
		return err
	})
	return hex.EncodeToString(sum.Sum(nil)) + "\n", err
}

// importDemo imports the catalogue as souk import does. None of its rows may be refused.
func (h *house) importDemo(ctx context.Context) error {
	folder, err := packDemo(h.cfg.Currency)
	if err != nil {
		return err
	}
	var refused []error
	_, err = h.catalog.ImportFolder(ctx, folder, catalog.ImportOptions{
		Currency: h.cfg.Currency, Blobs: h.blobs,
		BadRow: func(at catalog.Place, err error) { refused = append(refused, fmt.Errorf("%s: %w", at, err)) },
	})
	return errors.Join(append(refused, err)...)
}

// demoPrice is an amount of hundredths in a currency of any exponent, rounded up.
func demoPrice(hundredths int64, c market.Currency) market.Money {
	n := hundredths
	for exp := c.Exponent(); exp > 2; exp-- {
		n *= 10
	}
	for exp := c.Exponent(); exp < 2; exp++ {
		n = (n + 9) / 10
	}
	return market.Money{Amount: n, Currency: c}
}
