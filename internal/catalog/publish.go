package catalog

import (
	"context"
	"io"
	"slices"

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
	Price    market.Money   // zero is free
	License  bool           // a sale gives a licence key
	Offers   []market.Offer // in the place of Price and License; IDs are given to them
	Tags     []market.Tag
	Facts    market.Facts
	Text     market.AgentText
	Images   []market.Image // in the blob store already, as internal/media has made them
	Draft    bool           // not on the shelf yet

	Version  string
	Notes    string    // Markdown
	File     io.Reader // the release's file, at most MaxReleaseFile bytes
	FileName string
}

// MaxReleaseFile bounds the file of a release, in bytes.
const MaxReleaseFile = 64 << 20

// Publish puts an agent with its first release on the shelf, for the operator's shell: the
// file is on disk before the record that names it. Errors: Invalid with the field, NotFound
// for the seller, Conflict when the slug is taken, and those of blob's Put.
func (c *Catalog) Publish(ctx context.Context, blobs *blob.Store, n NewListing) (a market.Agent, err error) {
	return c.PublishAs(ctx, &market.Account{Roles: []market.Role{market.RoleOperator}}, blobs, n)
}

// PublishAs is Publish for somebody: the seller's person or the operator. For others there
// is no such seller.
func (c *Catalog) PublishAs(ctx context.Context, who *market.Account, blobs *blob.Store, n NewListing) (a market.Agent, err error) {
	if err := n.clean(); err != nil {
		return a, err
	}
	ref, err := blobs.Put(ctx, n.File, MaxReleaseFile)
	if err != nil {
		return a, err
	}
	file := market.File{Name: n.FileName, SHA256: ref.Sum.String(), Size: ref.Size}
	_, err = c.Store.Update(ctx, c.Tenant, store.Op{Class: store.Transaction}, func(tx *store.Tx) error {
		if a, err = n.agent(tx, file); err != nil {
			return err
		}
		return publish(tx, who, &n, &a)
	})
	return a, err
}

func publish(tx *store.Tx, who *market.Account, n *NewListing, a *market.Agent) error {
	owns, err := ownsSeller(tx, who, n.Seller)
	if err != nil {
		return err
	}
	if !owns && !who.Has(market.RoleOperator) {
		return market.Errorf(market.NotFound, "There is no such seller.")
	}
	taken, err := slugTaken(tx, a.Slug, a.ID)
	if err != nil {
		return err
	}
	if taken {
		return market.Errorf(market.Conflict, "There is already an agent with this slug. Choose another.")
	}
	if err := nameBlobs(tx, blobsOf(a)); err != nil {
		return err
	}
	if err := NamePictures(tx, a); err != nil {
		return err
	}
	if err := store.Agents.Insert(tx, a); err != nil {
		return err
	}
	if _, err := writeText(tx, &entry{text: n.Text}, a.ID); err != nil {
		return err
	}
	return store.Releases.Insert(tx, &market.AgentRelease{
		Release: a.Release, Agent: a.ID, Notes: n.Notes, State: market.ReleaseLive, Permissions: a.Facts.Permissions,
	})
}

// blobsOf are the files that an agent's record names.
func blobsOf(a *market.Agent) []market.Blob {
	var blobs []market.Blob
	if f := a.Release.File; !f.OnDemand {
		blobs = append(blobs, market.Blob{SHA256: f.SHA256, Size: f.Size})
	}
	return blobs
}

// clean makes the texts fit to be shown and refuses what can't be.
func (n *NewListing) clean() error {
	if n.Slug == "" {
		n.Slug = market.Slug(market.CleanText(n.Name))
	}
	if len(n.Offers) == 0 {
		n.Offers = []market.Offer{{Price: n.Price, License: n.License}}
	}
	n.Offers = slices.Clone(n.Offers)
	if err := cleanNames(&n.Name, &n.Summary, n.Category); err != nil {
		return err
	}
	switch {
	case !isSlug(n.Slug, market.MaxSlug):
		return market.FieldErrorf("slug", "A slug is lower-case letters, digits and single hyphens, %d at most.", market.MaxSlug)
	case n.File == nil || !isFileName(n.FileName):
		return market.FieldErrorf("file", "A release has a file with a name of 1 to %d bytes, without a folder.", market.MaxName)
	case len(n.Images) > market.MaxImages:
		return market.FieldErrorf("images", "An agent has %d pictures at most.", market.MaxImages)
	}
	r := market.AgentRelease{Release: market.Release{Version: n.Version}, Notes: n.Notes}
	if err := cleanRelease(&r); err != nil {
		return err
	}
	n.Version, n.Notes = r.Version, r.Notes
	if err := n.Facts.Clean(); err != nil {
		return err
	}
	if err := cleanAgentText(&n.Text); err != nil {
		return err
	}
	return cleanOffers(n.Offers)
}

// cleanNames checks what a listing is called and where it stands.
func cleanNames(name, summary *string, category market.Category) error {
	*name, *summary = market.CleanText(*name), market.CleanText(*summary)
	switch {
	case *name == "" || len(*name) > market.MaxName:
		return market.FieldErrorf("name", "A name has 1 to %d bytes.", market.MaxName)
	case len(*summary) > market.MaxSummary:
		return market.FieldErrorf("summary", "A summary has %d bytes at most.", market.MaxSummary)
	case !isSlug(string(category), maxCategory):
		return market.FieldErrorf("category", "A category is lower-case letters, digits and hyphens, %d at most.", maxCategory)
	}
	return nil
}

func (n *NewListing) agent(tx store.Reader, file market.File) (market.Agent, error) {
	now := tx.Now()
	a := market.Agent{
		ID: market.NewAgentID(now), Seller: n.Seller, Slug: n.Slug, Name: n.Name, Summary: n.Summary, Category: n.Category,
		State: market.ListingPublished, Created: now, Updated: now, Facts: n.Facts, Images: n.Images,
		Release: market.Release{ID: market.NewReleaseID(now), Version: n.Version, File: file, Released: now},
	}
	if n.Draft {
		a.State = market.ListingDraft
	}
	setOffers(&a, n.Offers)
	al, err := readAliases(tx)
	if err != nil {
		return a, err
	}
	a.Tags, err = al.cleanTags(n.Tags)
	return a, err
}
