package catalog

import (
	"context"
	"io"
	"strings"
	"time"

	"github.com/souk-market/souk/internal/blob"
	"github.com/souk-market/souk/internal/market"
	"github.com/souk-market/souk/store"
)

// NewListing is what a seller puts on the shelf.
type NewListing struct {
	Seller   market.SellerID
	Slug     string // "" is made from the name
	Name     string
	Summary  string
	Category market.Category
	Price    market.Money // zero is free
	License  bool         // a sale gives a licence key

	Version  string
	File     io.Reader // the release's file, at most MaxReleaseFile bytes
	FileName string
}

// MaxReleaseFile bounds the file of a release, in bytes.
const MaxReleaseFile = 64 << 20

// Publish puts an agent with its first release on the shelf: the file is on disk before
// the record that names it. Errors: Invalid with the field, NotFound for the seller,
// Conflict when the slug is taken, and those of blob's Put.
func (c *Catalog) Publish(ctx context.Context, blobs *blob.Store, n NewListing) (a market.Agent, err error) {
	if err := n.clean(); err != nil {
		return a, err
	}
	ref, err := blobs.Put(ctx, n.File, MaxReleaseFile)
	if err != nil {
		return a, err
	}
	file := market.File{Name: n.FileName, SHA256: ref.Sum.String(), Size: ref.Size}
	_, err = c.Store.Update(ctx, c.Tenant, store.Op{Class: store.Transaction}, func(tx *store.Tx) error {
		if _, err := store.Sellers.Load(tx, n.Seller); err != nil {
			return err
		}
		if err := store.Blobs.Put(tx, &market.Blob{SHA256: file.SHA256, Size: file.Size}); err != nil {
			return err
		}
		a = n.agent(file, tx.Now())
		return store.Agents.Insert(tx, &a)
	})
	return a, err
}

// clean makes the texts fit to be shown and refuses what can't be.
func (n *NewListing) clean() error {
	n.Name, n.Summary, n.Version = market.CleanText(n.Name), market.CleanText(n.Summary), market.CleanText(n.Version)
	if n.Slug == "" {
		n.Slug = market.Slug(n.Name)
	}
	switch {
	case n.Name == "" || len(n.Name) > market.MaxName:
		return market.FieldErrorf("name", "A name has 1 to %d bytes.", market.MaxName)
	case len(n.Summary) > market.MaxSummary:
		return market.FieldErrorf("summary", "A summary has %d bytes at most.", market.MaxSummary)
	case n.Slug == "" || n.Slug != market.Slug(n.Slug):
		return market.FieldErrorf("slug", "A slug is lower-case letters, digits and single hyphens, %d at most.", market.MaxSlug)
	case !isSlug(string(n.Category), maxCategory):
		return market.FieldErrorf("category", "A category is lower-case letters, digits and hyphens, %d at most.", maxCategory)
	case n.Price.Amount < 0 || !n.Price.Currency.Valid():
		return market.FieldErrorf("price", "%s is no price.", n.Price)
	case len(n.Version) > maxVersion:
		return market.FieldErrorf("version", "A version has %d bytes at most.", maxVersion)
	case n.File == nil || !fileName(n.FileName):
		return market.FieldErrorf("file", "A release has a file with a name of 1 to %d bytes, without a folder.", market.MaxName)
	}
	return nil
}

func fileName(s string) bool {
	return s != "" && len(s) <= market.MaxName && market.CleanText(s) == s && !strings.ContainsAny(s, `/\`)
}

func (n *NewListing) agent(file market.File, now time.Time) market.Agent {
	return market.Agent{
		ID: market.NewAgentID(now), Seller: n.Seller, Slug: n.Slug, Name: n.Name, Summary: n.Summary, Category: n.Category,
		State: market.ListingPublished, Created: now, Updated: now,
		Offer:   market.Offer{ID: market.NewOfferID(now), Price: n.Price, License: n.License},
		Release: market.Release{ID: market.NewReleaseID(now), Version: n.Version, File: file, Released: now},
	}
}
