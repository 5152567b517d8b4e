package catalog_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/souk-market/souk/internal/catalog"
	"github.com/souk-market/souk/internal/market"
	"github.com/souk-market/souk/store"
)

var cover = market.Image{SHA256: strings.Repeat("ab", 32), Type: "image/png", Width: 700, Height: 350, Size: 9, Alt: "A table"}

// picturedAgent stores an agent with a cover.
func picturedAgent(t *testing.T, c *catalog.Catalog, seller market.SellerID, n int) (a market.Agent) {
	t.Helper()
	update(t, c, func(tx *store.Tx) error {
		now := tx.Now()
		a = market.Agent{
			ID: market.NewAgentID(now), Seller: seller, Slug: fmt.Sprintf("agent-%d", n), Name: "Agent", Category: "data",
			State: market.ListingPublished, Images: []market.Image{cover}, Created: now, Updated: now,
			Offer:   market.Offer{ID: market.NewOfferID(now), Price: market.Money{Currency: "USD"}},
			Release: market.Release{ID: market.NewReleaseID(now), File: market.File{Name: "a", OnDemand: true}},
		}
		if err := store.Agents.Insert(tx, &a); err != nil {
			return err
		}
		return catalog.NamePictures(tx, &a)
	})
	return a
}

func update(t *testing.T, c *catalog.Catalog, fn func(tx *store.Tx) error) {
	t.Helper()
	if _, err := c.Store.Update(context.Background(), c.Tenant, store.Op{}, fn); err != nil {
		t.Fatal(err)
	}
}

func TestPictureIsShownWhileItsAgentIs(t *testing.T) {
	c, _, seller := listed(t)
	a := picturedAgent(t, c, seller, 1)
	for _, state := range []struct {
		state market.ListingState
		shown bool
	}{
		{market.ListingDraft, true}, {market.ListingPublished, true}, {market.ListingUnlisted, true}, {market.ListingPaused, false},
		{market.ListingSuspended, false}, {market.ListingRemoved, false}, {market.ListingArchived, false},
	} {
		a.State = state.state
		update(t, c, func(tx *store.Tx) error { return store.Agents.Put(tx, &a) })
		got, err := c.ShownPicture(context.Background(), cover.SHA256)
		if state.shown && (err != nil || got != cover) || !state.shown && !market.Is(err, market.NotFound) {
			t.Errorf("of an agent that is %s: got %+v, %v", state.state, got, err)
		}
	}
}

func TestPictureOfNobody(t *testing.T) {
	c, blobs, seller := listed(t)
	a := picturedAgent(t, c, seller, 1)
	sold, err := c.Publish(context.Background(), blobs, goodListing(seller))
	if err != nil {
		t.Fatal(err)
	}
	a.Images = nil
	update(t, c, func(tx *store.Tx) error { return store.Agents.Put(tx, &a) })
	for name, sum := range map[string]string{"a file for sale": sold.Release.File.SHA256, "a picture that its agent hasn't any more": cover.SHA256, "nothing": "x"} {
		if got, err := c.ShownPicture(context.Background(), sum); !market.Is(err, market.NotFound) {
			t.Errorf("%s: got %+v, %v, want NotFound", name, got, err)
		}
	}
}

func TestPictureOfMany(t *testing.T) {
	c, _, seller := listed(t)
	var agents []market.Agent
	for n := range market.MaxPictured + 2 {
		agents = append(agents, picturedAgent(t, c, seller, n))
	}
	blob := blobRecord(t, c)
	if len(blob.Pictured) != market.MaxPictured {
		t.Errorf("the record names %d agents, want %d", len(blob.Pictured), market.MaxPictured)
	}
	update(t, c, func(tx *store.Tx) error {
		agents[0].State, agents[0].Images = market.ListingSuspended, nil
		return store.Agents.Put(tx, &agents[0])
	})
	if _, err := c.ShownPicture(context.Background(), cover.SHA256); err != nil {
		t.Errorf("one of many is taken down: %v", err)
	}
	last := agents[len(agents)-1]
	update(t, c, func(tx *store.Tx) error { return catalog.NamePictures(tx, &last) })
	if blob = blobRecord(t, c); len(blob.Pictured) != market.MaxPictured || blob.Pictured[market.MaxPictured-1] != last.ID {
		t.Error("one that has the picture no more keeps its place from one that has it")
	}
}

func blobRecord(t *testing.T, c *catalog.Catalog) (b market.Blob) {
	t.Helper()
	err := c.Store.View(context.Background(), c.Tenant, func(tx *store.ReadTx) (err error) {
		b, err = store.Blobs.Load(tx, cover.SHA256)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return b
}
