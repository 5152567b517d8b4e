package catalog

import (
	"context"
	"slices"

	"github.com/souk-market/souk/internal/market"
	"github.com/souk-market/souk/store"
)

// ShownPicture returns a picture that may be shown: of an agent that is listed, or of one that
// never was (its address can't be guessed). Errors: NotFound.
func (c *Catalog) ShownPicture(ctx context.Context, sha256 string) (img market.Image, err error) {
	err = c.Store.View(ctx, c.Tenant, func(tx *store.ReadTx) error {
		b, err := store.Blobs.Load(tx, sha256)
		if err != nil {
			return err
		}
		for _, id := range b.Pictured {
			var has bool
			if img, has, err = pictureOf(tx, id, sha256); has || err != nil {
				return err
			}
		}
		return market.Errorf(market.NotFound, "There is no such picture.")
	})
	return img, err
}

// pictureOf returns the picture of an agent that has a SHA-256, if it may be shown.
func pictureOf(tx store.Reader, id market.AgentID, sha256 string) (img market.Image, has bool, err error) {
	a, err := store.Agents.Load(tx, id)
	if market.Is(err, market.NotFound) {
		return img, false, nil
	}
	if err != nil || takenDown(a.State) {
		return img, false, err
	}
	i := slices.IndexFunc(a.Images, func(i market.Image) bool { return i.SHA256 == sha256 })
	if i < 0 {
		return img, false, nil
	}
	return a.Images[i], true, nil
}

func takenDown(s market.ListingState) bool {
	switch s {
	case market.ListingPaused, market.ListingSuspended, market.ListingRemoved, market.ListingArchived:
		return true
	}
	return false
}

// NamePictures records the pictures of an agent as blobs of the tenant that may be shown.
// It belongs in each transaction that writes an agent with other pictures than before; one
// in which nothing changes writes nothing. Of an agent that has the picture as its
// market.MaxPictured+1st it isn't recorded, and the picture is shown as long as one of the
// others has it.
func NamePictures(tx *store.Tx, a *market.Agent) error {
	for _, img := range a.Images {
		if err := namePicture(tx, a.ID, img); err != nil {
			return err
		}
	}
	return nil
}

func namePicture(tx *store.Tx, of market.AgentID, img market.Image) error {
	b, err := store.Blobs.Load(tx, img.SHA256)
	if err != nil && !market.Is(err, market.NotFound) {
		return err
	}
	if slices.Contains(b.Pictured, of) {
		return nil
	}
	if len(b.Pictured) >= market.MaxPictured {
		if b.Pictured, err = stillPictured(tx, &b); err != nil || len(b.Pictured) >= market.MaxPictured {
			return err
		}
	}
	b.SHA256, b.Size, b.Pictured = img.SHA256, img.Size, append(b.Pictured, of)
	return store.Blobs.Put(tx, &b)
}

// stillPictured are the agents of a blob's Pictured that still have the picture.
func stillPictured(tx store.Reader, b *market.Blob) (still []market.AgentID, err error) {
	for _, id := range b.Pictured {
		_, has, err := pictureOf(tx, id, b.SHA256)
		if err != nil {
			return nil, err
		}
		if has {
			still = append(still, id)
		}
	}
	return still, nil
}
