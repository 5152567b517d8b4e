package main

import (
	"archive/zip"
	"bytes"
	"context"
	"embed"
	"fmt"
	"io/fs"
	"path"

	"github.com/souk-market/souk/internal/catalog"
	"github.com/souk-market/souk/internal/market"
	"github.com/souk-market/souk/store"
)

// demoFiles are the releases of the demo's seller, a folder each.
//
//go:embed demo
var demoFiles embed.FS

// demoListing is an agent of the demo's seller. Its slug is also its folder.
type demoListing struct {
	slug, name, version string
	category            market.Category
	summary             string
	price               int64 // in hundredths of the currency's major unit; a paid one gives a licence key
}

var demoListings = []demoListing{
	{"csv-desk-mcp", "CSV Desk", "1.2.0", "mcp-server",
		"Lets an assistant read, filter and add up the CSV files of one folder, and nothing outside of it.", 1200},
	{"injection-probe", "Injection Probe", "0.9.0", "evaluation",
		"Twenty documents with an order hidden in each: see which of them your agent obeys.", 1900},
	{"meeting-minutes", "Meeting Minutes", "2.1.0", "chatbot",
		"A skill that turns a transcript into decisions, actions and open questions, without filling in what nobody said.", 450},
	{"release-notes-writer", "Release Notes Writer", "1.0.3", "coding",
		"A skill that reads a range of commits and writes what users will notice, with what to do about it.", 0},
}

// stockSeller puts the listings of the demo's seller on the shelf, those that aren't
// there yet.
func (h *house) stockSeller(ctx context.Context, seller market.SellerID) error {
	for _, l := range demoListings {
		there := false
		err := h.db.View(ctx, market.MainTenant, func(tx *store.ReadTx) error {
			_, err := store.AgentBySlug.Load(tx, l.slug)
			there = err == nil
			if market.Is(err, market.NotFound) {
				return nil
			}
			return err
		})
		if err != nil {
			return err
		}
		if there {
			continue
		}
		if err := h.publishDemo(ctx, seller, l); err != nil {
			return fmt.Errorf("souk: listing %s: %w", l.slug, err)
		}
	}
	return nil
}

func (h *house) publishDemo(ctx context.Context, seller market.SellerID, l demoListing) error {
	file, err := zipFolder(demoFiles, path.Join("demo", l.slug))
	if err != nil {
		return err
	}
	_, err = h.catalog.Publish(ctx, h.blobs, catalog.NewListing{
		Seller: seller, Slug: l.slug, Name: l.name, Summary: l.summary, Category: l.category, Price: demoPrice(l.price, h.cfg.Currency), License: l.price > 0,
		Version: l.version, File: bytes.NewReader(file), FileName: l.slug + "-" + l.version + ".zip",
	})
	return err
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

// zipFolder packs a folder's files. The same files give the same bytes.
func zipFolder(fsys fs.FS, folder string) ([]byte, error) {
	names, err := fs.Glob(fsys, path.Join(folder, "*"))
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for _, name := range names {
		content, err := fs.ReadFile(fsys, name)
		if err != nil {
			return nil, err
		}
		f, err := w.Create(path.Join(path.Base(folder), path.Base(name)))
		if err != nil {
			return nil, err
		}
		if _, err := f.Write(content); err != nil {
			return nil, err
		}
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}
