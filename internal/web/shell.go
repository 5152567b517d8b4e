package web

import (
	"github.com/souk-market/souk/internal/catalog"
	"github.com/souk-market/souk/internal/market"
	"github.com/souk-market/souk/internal/pagecache"
	"github.com/souk-market/souk/store"
	"github.com/souk-market/souk/views"
)

// shell is what all pages share, with the shelves that it is made of.
type shell struct {
	tree catalog.Tree
	site views.Site
}

// shellIn is the shell of a transaction's moment, written once until a shelf changes. It
// reads the shelves and no counts, so that pages stay as they are when something is listed.
func (s *Server) shellIn(tx store.Reader) (shell, error) {
	return pagecache.Part(s.Pages, tx, s.partKey("shell", ""), func(tx store.Reader) (sh shell, bytes int, err error) {
		if sh.tree, err = catalog.Shelves(tx); err != nil {
			return sh, 0, err
		}
		site := s.bareSite()
		site.Categories = make([]views.Category, 0, len(sh.tree))
		for _, b := range sh.tree {
			site.Categories = append(site.Categories, shelf(b.Shelf, 0))
		}
		sh.site, bytes, err = site.Prepared()
		return sh, bytes + shelfSize*len(sh.tree), err
	})
}

// siteIn is shellIn for who doesn't show the shelves.
func (s *Server) siteIn(tx store.Reader) (views.Site, error) {
	sh, err := s.shellIn(tx)
	return sh.site, err
}

// What a shelf with those below it, and a card, take in memory, in bytes, about.
const (
	shelfSize = 2 << 10
	cardSize  = 1 << 10
)

// related are the cards of up to relatedCards other popular agents of a category, written
// once for all pages of the category's agents.
func (s *Server) related(tx store.Reader, site views.Site, id market.AgentID, in market.Category) ([]views.Card, error) {
	best, err := pagecache.Part(s.Pages, tx, s.partKey("popular", string(in)), func(tx store.Reader) ([]views.Card, int, error) {
		ls, err := catalog.PopularIn(tx, in, relatedCards+1)
		if err != nil {
			return nil, 0, err
		}
		best := cards(ls)
		bytes, err := views.PrepareCards(site, best)
		return best, bytes + cardSize*len(best), err
	})
	list := make([]views.Card, 0, relatedCards)
	for _, c := range best {
		if c.Seed != string(id) && len(list) < relatedCards {
			list = append(list, c)
		}
	}
	return list, err
}

// partKey names what pages share.
func (s *Server) partKey(part, of string) pagecache.Key {
	return pagecache.Key{
		Tenant: s.Catalog.Tenant, Host: s.BaseURL, Route: "part " + part, Path: of,
		Language: "en", Currency: string(s.Shop.Currency),
	}
}
