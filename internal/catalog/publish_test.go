package catalog_test

import (
	"context"
	"io"
	"strings"
	"testing"

	"github.com/souk-market/souk/internal/blob"
	"github.com/souk-market/souk/internal/catalog"
	"github.com/souk-market/souk/internal/market"
	"github.com/souk-market/souk/store"
	"github.com/souk-market/souk/store/storetest"
)

// listed returns a catalogue with a seller and the file store beside it.
func listed(t *testing.T) (*catalog.Catalog, *blob.Store, market.SellerID) {
	t.Helper()
	db := storetest.Open(t)
	blobs, err := blob.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	var seller market.Seller
	_, err = db.Update(context.Background(), market.MainTenant, store.Op{}, func(tx *store.Tx) error {
		seller = market.Seller{ID: market.NewSellerID(tx.Now()), Slug: "ada", Name: "Ada"}
		return store.Sellers.Insert(tx, &seller)
	})
	if err != nil {
		t.Fatal(err)
	}
	return &catalog.Catalog{Store: db, Tenant: market.MainTenant}, blobs, seller.ID
}

func goodListing(seller market.SellerID) catalog.NewListing {
	return catalog.NewListing{
		Seller: seller, Name: "CSV  Desk", Summary: "Reads CSV files.", Category: "mcp-server", Version: "1.2.0", License: true,
		Price: market.Money{Amount: 1200, Currency: "USD"}, File: strings.NewReader("bytes"), FileName: "csv-desk.zip",
	}
}

func TestPublish(t *testing.T) {
	c, blobs, seller := listed(t)
	ctx := context.Background()
	made, err := c.Publish(ctx, blobs, goodListing(seller))
	if err != nil {
		t.Fatal(err)
	}
	l, err := c.Agent(ctx, "csv-desk")
	if err != nil || l.ID != made.ID || l.Name != "CSV Desk" || l.Seller.Name != "Ada" || !l.Offer.License {
		t.Fatalf("%+v, %v", l, err)
	}
	sum, err := blob.ParseSum(l.Release.File.SHA256)
	if err != nil {
		t.Fatal(err)
	}
	f, err := blobs.Open(ctx, sum)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if content, err := io.ReadAll(f); err != nil || string(content) != "bytes" || l.Release.File.OnDemand {
		t.Errorf("the release's file holds %q, %v", content, err)
	}

	again := goodListing(seller)
	if _, err := c.Publish(ctx, blobs, again); !market.Is(err, market.Conflict) {
		t.Errorf("the same slug again: %v, want Conflict", err)
	}
	again = goodListing(seller)
	again.Slug = "csv-desk-2" // another agent with the same file
	if _, err := c.Publish(ctx, blobs, again); err != nil {
		t.Error(err)
	}
	again = goodListing("sel_nobody")
	again.Slug = "csv-desk-3"
	if _, err := c.Publish(ctx, blobs, again); !market.Is(err, market.NotFound) {
		t.Errorf("for no seller: %v, want NotFound", err)
	}
}

func TestPublishRefuses(t *testing.T) {
	c, blobs, seller := listed(t)
	for field, spoil := range map[string]func(n *catalog.NewListing){
		"name":     func(n *catalog.NewListing) { n.Name = "\u200b " },
		"slug":     func(n *catalog.NewListing) { n.Slug = "../CSV" },
		"summary":  func(n *catalog.NewListing) { n.Summary = strings.Repeat("x", market.MaxSummary+1) },
		"category": func(n *catalog.NewListing) { n.Category = "MCP servers" },
		"price":    func(n *catalog.NewListing) { n.Price.Amount = -1 },
		"version":  func(n *catalog.NewListing) { n.Version = strings.Repeat("1", 65) },
		"file":     func(n *catalog.NewListing) { n.FileName = "a\r\nSet-Cookie: b" },
	} {
		n := goodListing(seller)
		spoil(&n)
		_, err := c.Publish(context.Background(), blobs, n)
		if problem, ok := err.(*market.Error); !ok || problem.Field != field {
			t.Errorf("%s: %v", field, err)
		}
	}
}
