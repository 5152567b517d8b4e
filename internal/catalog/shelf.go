package catalog

import (
	"context"
	"slices"

	"github.com/souk-market/souk/internal/market"
	"github.com/souk-market/souk/store"
)

// PutShelf writes a shelf, new or in the place of the one of its category. The first one
// that a marketplace writes makes the default shelves its own. Only the operator may. A
// parent must be a shelf of the top level, and a shelf with others below it can't have one
// (Conflict).
func (c *Catalog) PutShelf(ctx context.Context, who *market.Account, s market.Shelf) error {
	if err := cleanShelf(&s); err != nil {
		return err
	}
	return c.changeShelves(ctx, who, func(tx *store.Tx, tree Tree) error {
		if s.Parent != "" {
			if !slices.ContainsFunc(tree, func(b Branch) bool { return b.Category == s.Parent && b.Parent == "" }) {
				return market.FieldErrorf("parent", "%q is no shelf of the top level.", s.Parent)
			}
			if len(tree.Below(s.Category)) > 0 {
				return market.Errorf(market.Conflict, "There are shelves below this one, so it can't stand below another. There are two levels.")
			}
		}
		return store.Shelves.Put(tx, &s)
	})
}

// RemoveShelf takes a shelf away; agents keep their category. Only the operator may. One with
// others below it stays (Conflict).
func (c *Catalog) RemoveShelf(ctx context.Context, who *market.Account, category market.Category) error {
	return c.changeShelves(ctx, who, func(tx *store.Tx, tree Tree) error {
		if len(tree.Below(category)) > 0 {
			return market.Errorf(market.Conflict, "There are shelves below this one. Move them first.")
		}
		return store.Shelves.Delete(tx, category)
	})
}

// changeShelves runs fn on the shelves, which are the marketplace's own afterwards.
func (c *Catalog) changeShelves(ctx context.Context, who *market.Account, fn func(tx *store.Tx, tree Tree) error) error {
	if err := operatorOnly(who); err != nil {
		return err
	}
	_, err := c.Store.Update(ctx, c.Tenant, store.Op{Class: store.UserData}, func(tx *store.Tx) error {
		own := false
		for _, err := range store.Shelves.All(tx, "") {
			if err != nil {
				return err
			}
			own = true
			break
		}
		if !own {
			for _, s := range market.DefaultShelves() {
				if err := store.Shelves.Insert(tx, &s); err != nil {
					return err
				}
			}
		}
		tree, err := Shelves(tx)
		if err != nil {
			return err
		}
		return fn(tx, tree)
	})
	return err
}

// PutPage writes a page of the operator's. Only the operator may.
func (c *Catalog) PutPage(ctx context.Context, who *market.Account, p market.StaticPage) error {
	if err := operatorOnly(who); err != nil {
		return err
	}
	if err := cleanPage(&p); err != nil {
		return err
	}
	_, err := c.Store.Update(ctx, c.Tenant, store.Op{Class: store.UserData}, func(tx *store.Tx) error {
		p.Updated = tx.Now()
		return store.Pages.Put(tx, &p)
	})
	return err
}
