// Package catalog owns listings: what is on the shelf, how it is browsed and found, and
// how listings come in from other registries.
//
// It promises that only published agents are shown. Search results come from an index
// that may lag behind the store, so every hit is read from the store again before it
// is given out.
//
// What a page shows is read by functions that join the page's transaction (DetailOf,
// HomeOf, SellerPageOf, Shelves, StaticPageOf, Listings, ReviewsOf), so that a page is of
// one moment, and so that whoever keeps it knows from the transaction what it was made of.
package catalog

import (
	"context"
	"log/slog"

	"github.com/souk-market/souk/internal/market"
	"github.com/souk-market/souk/search"
	"github.com/souk-market/souk/store"
)

// Catalog is the shelf of one marketplace.
type Catalog struct {
	Store  *store.DB
	Tenant market.TenantID
	Index  *search.Index
	Logger *slog.Logger
}

// Listing is an agent with its seller.
type Listing struct {
	market.Agent
	Seller market.Seller
}

// Agent returns the published agent with a slug, or NotFound.
func (c *Catalog) Agent(ctx context.Context, slug string) (l Listing, err error) {
	err = c.Store.View(ctx, c.Tenant, func(tx *store.ReadTx) error {
		a, err := store.AgentBySlug.Load(tx, slug)
		if err != nil {
			return err
		}
		if !a.Visible() {
			return market.Errorf(market.NotFound, "There is no such agent.")
		}
		l, err = listing(tx, a, nil)
		return err
	})
	return l, err
}

// sellers remembers the sellers met in one transaction.
type sellers map[market.SellerID]market.Seller

func listing(tx store.Reader, a market.Agent, met sellers) (Listing, error) {
	s, ok := met[a.Seller]
	if !ok {
		var err error
		if s, err = store.Sellers.Load(tx, a.Seller); err != nil {
			return Listing{}, err
		}
		if met != nil {
			met[a.Seller] = s
		}
	}
	return Listing{a, s}, nil
}

// Results is a page of search results.
type Results struct {
	search.Results
	Listings []Listing
}

// Search finds agents.
func (c *Catalog) Search(ctx context.Context, q search.Query) (r Results, err error) {
	q.Tenant = c.Tenant
	if r.Results, err = c.Index.Search(ctx, q); err != nil {
		return r, err
	}
	err = c.Store.View(ctx, c.Tenant, func(tx *store.ReadTx) (err error) {
		r.Listings, err = Listings(tx, r.IDs)
		return err
	})
	return r, err
}

// Listings returns the agents that are published of those with the IDs, in their order.
func Listings(tx store.Reader, ids []market.AgentID) ([]Listing, error) {
	list := make([]Listing, 0, len(ids))
	met := sellers{}
	for _, id := range ids {
		a, err := store.Agents.Load(tx, id)
		if market.Is(err, market.NotFound) || err == nil && !a.Visible() {
			continue
		}
		if err != nil {
			return nil, err
		}
		l, err := listing(tx, a, met)
		if err != nil {
			return nil, err
		}
		list = append(list, l)
	}
	return list, nil
}

// CategoryCount is a category with the number of its published agents.
type CategoryCount struct {
	Category market.Category
	Count    int
}

// Page is a stretch of an ordered list.
type Page struct {
	Listings []Listing
	Total    int
	Next     store.Cursor // "" at the end
}

// Browse lists published agents, the most popular first, of one category or ("") of
// all, after a cursor.
func (c *Catalog) Browse(ctx context.Context, category market.Category, after store.Cursor, limit int) (p Page, err error) {
	err = c.Store.View(ctx, c.Tenant, func(tx *store.ReadTx) (err error) {
		rows := store.PopularAgents.Scan(tx, store.All{}, after)
		p.Total, err = store.PopularAgents.Count(tx, store.All{})
		if category != "" {
			rows = store.AgentsInCategory.Scan(tx, category, after)
			p.Total, err = store.AgentsInCategory.Count(tx, category)
		}
		if err != nil {
			return err
		}
		p.Listings, p.Next, err = take(tx, rows, limit)
		return err
	})
	return p, err
}

// Home is what the home page shows.
type Home struct {
	Total      int             // published agents
	Categories []CategoryCount // the largest first
	Picks      []Listing       // by the operator, the latest first
	Popular    []Listing
	Newest     []Listing
}

// Home returns HomeOf the catalogue as it is now.
func (c *Catalog) Home(ctx context.Context, n int) (h Home, err error) {
	err = c.Store.View(ctx, c.Tenant, func(tx *store.ReadTx) (err error) {
		h, err = HomeOf(tx, n)
		return err
	})
	return h, err
}

// HomeOf returns up to n picked, popular and new agents each, and the categories.
func HomeOf(tx store.Reader, n int) (h Home, err error) {
	if h.Total, err = store.PopularAgents.Count(tx, store.All{}); err != nil {
		return h, err
	}
	if h.Categories, err = categories(tx); err != nil {
		return h, err
	}
	if h.Picks, _, err = take(tx, store.PickedAgents.Scan(tx, store.All{}, ""), n); err != nil {
		return h, err
	}
	if h.Popular, _, err = take(tx, store.PopularAgents.Scan(tx, store.All{}, ""), n); err != nil {
		return h, err
	}
	h.Newest, _, err = take(tx, store.NewestAgents.Scan(tx, store.All{}, ""), n)
	return h, err
}

// PopularIn returns up to n agents of a category, the most popular first.
func PopularIn(tx store.Reader, c market.Category, n int) ([]Listing, error) {
	list, _, err := take(tx, store.AgentsInCategory.Scan(tx, c, ""), n)
	return list, err
}
