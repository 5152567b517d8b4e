package web

import (
	"slices"

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

// related are cards of up to relatedCards agents: of those that have most in common with
// an agent, and where these are too few, of other popular ones of a category.
func (s *Server) related(tx store.Reader, site views.Site, id market.AgentID, in market.Category) ([]views.Card, error) {
	near, err := catalog.RelatedTo(tx, id)
	list := make([]views.Card, 0, relatedCards)
	for _, other := range near {
		if err != nil || len(list) == relatedCards {
			return list, err
		}
		var c []views.Card
		c, err = s.cardsPart(tx, site, "card", string(other), func(tx store.Reader) ([]catalog.Listing, error) {
			return catalog.Listings(tx, []market.AgentID{other})
		})
		list = append(list, c...)
	}
	if err != nil || len(list) == relatedCards {
		return list, err
	}
	best, err := s.cardsPart(tx, site, "popular", string(in), func(tx store.Reader) ([]catalog.Listing, error) {
		return catalog.PopularIn(tx, in, 2*relatedCards)
	})
	for _, c := range best {
		there := slices.ContainsFunc(list, func(l views.Card) bool { return l.Seed == c.Seed })
		if c.Seed != string(id) && !there && len(list) < relatedCards {
			list = append(list, c)
		}
	}
	return list, err
}

// cardsPart is the cards of some agents, none of one that isn't published, written once for
// all pages that show them.
func (s *Server) cardsPart(tx store.Reader, site views.Site, part, of string, read func(tx store.Reader) ([]catalog.Listing, error)) ([]views.Card, error) {
	return pagecache.Part(s.Pages, tx, s.partKey(part, of), func(tx store.Reader) ([]views.Card, int, error) {
		ls, err := read(tx)
		if err != nil {
			return nil, 0, err
		}
		list := cards(ls)
		bytes, err := views.PrepareCards(site, list)
		return list, bytes + cardSize*len(list), err
	})
}

// partKey names what pages share.
func (s *Server) partKey(part, of string) pagecache.Key {
	return pagecache.Key{
		Tenant: s.Catalog.Tenant, Host: s.BaseURL, Route: "part " + part, Path: of,
		Language: "en", Currency: string(s.Shop.Currency),
	}
}
