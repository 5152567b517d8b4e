package search

import (
	"context"
	"fmt"
	"maps"

	"github.com/souk-market/souk/internal/market"
	"github.com/souk-market/souk/store"
)

// shelfTree has a tenant's categories as they are shown: read from the store when the index
// starts to follow it, and again with each change. It doesn't change itself; nil is empty.
type shelfTree struct {
	shelves map[market.Category]market.Shelf
}

// parent is the category that a category is part of; "" at the top.
func (t *shelfTree) parent(c market.Category) market.Category {
	if t == nil {
		return ""
	}
	if p := t.shelves[c].Parent; p != c {
		return p
	}
	return ""
}

// title is what a category is called; "" for one without a shelf.
func (t *shelfTree) title(c market.Category) string {
	if t == nil {
		return ""
	}
	return t.shelves[c].Title
}

// readShelves reads the categories of all tenants, or of some.
func (ix *Index) readShelves(ctx context.Context, tenants []market.TenantID) error {
	trees := map[market.TenantID]*shelfTree{}
	for _, tenant := range tenants {
		tree := &shelfTree{map[market.Category]market.Shelf{}}
		err := ix.db.View(ctx, tenant, func(tx *store.ReadTx) error {
			for s, err := range store.Shelves.All(tx, "") {
				if err != nil {
					return err
				}
				tree.shelves[s.Category] = s
			}
			return nil
		})
		if err != nil {
			return fmt.Errorf("search: reading categories: %w", err)
		}
		trees[tenant] = tree
	}
	ix.mu.Lock()
	defer ix.mu.Unlock()
	all := maps.Clone(ix.shelves)
	if all == nil {
		all = map[market.TenantID]*shelfTree{}
	}
	maps.Copy(all, trees)
	ix.shelves = all
	return nil
}

func (ix *Index) shelvesOf(tenant market.TenantID) *shelfTree {
	ix.mu.RLock()
	defer ix.mu.RUnlock()
	return ix.shelves[tenant]
}
