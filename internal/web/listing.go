package web

import (
	"context"
	"net/http"
	"strings"
	"unicode"

	"github.com/souk-market/souk/internal/catalog"
	"github.com/souk-market/souk/internal/market"
	"github.com/souk-market/souk/search"
	"github.com/souk-market/souk/store"
	"github.com/souk-market/souk/views"
)

const (
	pageCards = 24
	// maxPage is the last page that can be opened: the index bounds offsets.
	maxPage = search.MaxOffset / pageCards
)

// search is the listing of all agents, with and without a text.
func (s *Server) search(w http.ResponseWriter, r *http.Request) error {
	return s.listing(w, r, views.Search{Query: readQuery(r.URL.Query(), "")}, search.Filters{})
}

// category is the listing of a category and those below it. A search in it is one of
// /search.
func (s *Server) category(w http.ResponseWriter, r *http.Request) error {
	slug := r.PathValue("slug")
	q := readQuery(r.URL.Query(), views.CategoryPath(slug)).With("category", "")
	if q.Text != "" {
		q.Base = ""
		http.Redirect(w, r, q.With("category", slug).Path(), http.StatusFound)
		return nil
	}
	page := views.Search{Query: q}
	if err := s.onShelf(r.Context(), market.Category(slug), &page); err != nil {
		return err
	}
	return s.listing(w, r, page, search.Filters{Categories: []market.Category{market.Category(slug)}})
}

// onShelf fills in what a category's page says of its place, or is NotFound for a category
// that has neither a shelf nor agents.
func (s *Server) onShelf(ctx context.Context, c market.Category, page *views.Search) error {
	return s.Catalog.Store.View(ctx, s.Catalog.Tenant, func(tx *store.ReadTx) error {
		sh, err := s.shellIn(tx)
		if err != nil {
			return err
		}
		tree := sh.tree
		n, err := catalog.ShelfCounts(tx)
		if err != nil {
			return err
		}
		path := tree.Path(c)
		own := path[len(path)-1]
		if n.Of(tree, c) == 0 && own == market.ShelfInWords(c) {
			return market.Errorf(market.NotFound, "There is no category at this address. Search for what you need, or pick one of the categories.")
		}
		page.Shelf = shelf(own, n.Of(tree, c))
		if len(path) > 1 {
			page.Over = shelf(path[0], 0)
		}
		for _, below := range tree.Below(c) {
			if n[below.Category] > 0 {
				page.Below = append(page.Below, shelf(below, n[below.Category]))
			}
		}
		return nil
	})
}

// tag is the listing of a tag. A tag that was merged into another leads there for good.
func (s *Server) tag(w http.ResponseWriter, r *http.Request) error {
	slug := r.PathValue("tag")
	q := readQuery(r.URL.Query(), views.TagPath(slug)).With("tag", "")
	if q.Text != "" {
		q.Base = ""
		http.Redirect(w, r, q.With("tag", slug).Path(), http.StatusFound)
		return nil
	}
	to, err := s.mergedInto(r.Context(), market.Tag(slug))
	if err != nil {
		return err
	}
	if to != "" {
		q.Base = views.TagPath(string(to))
		http.Redirect(w, r, q.Path(), http.StatusMovedPermanently)
		return nil
	}
	return s.listing(w, r, views.Search{Query: q, Tag: slug}, search.Filters{Tags: []market.Tag{market.Tag(slug)}})
}

// mergedInto is the tag that a tag has become, "" when it stands for itself.
func (s *Server) mergedInto(ctx context.Context, tag market.Tag) (to market.Tag, err error) {
	err = s.Catalog.Store.View(ctx, s.Catalog.Tenant, func(tx *store.ReadTx) error {
		a, err := store.TagAliases.Load(tx, tag)
		to = a.Tag
		if market.Is(err, market.NotFound) {
			return nil
		}
		return err
	})
	return to, err
}

// listing answers with a page of what the index finds under the page's query and filters
// of its own. Past the last page it leads back to it.
func (s *Server) listing(w http.ResponseWriter, r *http.Request, page views.Search, own search.Filters) error {
	q := page.Query
	who, err := s.named(r.Context(), q.Filter("seller"))
	if err != nil {
		return err
	}
	own.Seller = who.ID
	found, err := s.Catalog.Index.Search(r.Context(), search.Query{
		Tenant: s.Catalog.Tenant, Text: q.Text, Filters: filters(q, own), Sort: search.Sort(q.Sort),
		Limit: pageCards, Offset: (max(q.Page, 1) - 1) * pageCards, Facets: true,
	})
	if err != nil {
		return err
	}
	page.Total, page.Pages = found.Total, min((found.Total+pageCards-1)/pageCards, maxPage)
	if q.Page > 1 && q.Page > page.Pages {
		http.Redirect(w, r, q.At(page.Pages).Path(), http.StatusFound)
		return nil
	}
	if page.Tag != "" && found.Total == 0 && len(q.Filters) == 0 {
		return market.Errorf(market.NotFound, "No agent has the tag %q. Search for the word instead, or pick a category.", page.Tag)
	}
	site, err := s.fill(r.Context(), &page, &found)
	if err != nil {
		return err
	}
	if who.Slug != "" {
		page.Facets = append(page.Facets, views.Facet{Param: "seller", Choices: []views.Choice{{Value: who.Slug, Label: "From " + who.Name}}})
	}
	return s.public(w, r, views.SearchPage(site, page))
}

// named is the seller with a slug, or none for "".
func (s *Server) named(ctx context.Context, slug string) (who market.Seller, err error) {
	if slug == "" {
		return who, nil
	}
	err = s.Catalog.Store.View(ctx, s.Catalog.Tenant, func(tx *store.ReadTx) (err error) {
		who, err = store.SellerBySlug.Load(tx, slug)
		return err
	})
	if market.Is(err, market.NotFound) {
		err = market.Errorf(market.NotFound, "There is no seller of this name here. Search for what you need instead.")
	}
	return who, err
}

// fill loads what was found, and reads all that the page shows besides, in one transaction.
func (s *Server) fill(ctx context.Context, page *views.Search, found *search.Results) (site views.Site, err error) {
	err = s.Catalog.Store.View(ctx, s.Catalog.Tenant, func(tx *store.ReadTx) error {
		sh, err := s.shellIn(tx)
		if err != nil {
			return err
		}
		ls, err := catalog.Listings(tx, found.IDs)
		if err != nil {
			return err
		}
		site = sh.site
		page.Cards = cards(ls)
		page.Facets = facets(sh.tree, s.Shop.Currency, page, found)
		return nil
	})
	for i := range page.Cards {
		c := &page.Cards[i]
		c.NameMarks, c.SummaryMarks = spans(found.Highlights.In(c.Name)), spans(found.Highlights.In(c.Summary))
	}
	page.Sorts = sorts(page.Query.Text != "")
	page.Nearby, page.DidYouMean = found.Nearby, found.DidYouMean
	if found.Corrected {
		page.Corrected = found.Understood
	}
	page.Meta = listingMeta(page)
	return site, err
}

func spans(ranges []search.Range) []views.Span {
	if len(ranges) == 0 {
		return nil
	}
	ss := make([]views.Span, len(ranges))
	for i, r := range ranges {
		ss[i] = views.Span(r)
	}
	return ss
}

// listingMeta says what a listing is, and whether search engines may keep it.
func listingMeta(p *views.Search) views.Meta {
	m := views.Meta{Canonical: p.Query.Path(), NoIndex: !lasting(p)}
	switch {
	case p.Shelf.Slug != "":
		m.Title, m.Description = p.Shelf.Title, p.Shelf.Line
	case p.Tag != "":
		m.Title, m.Description = "Agents tagged “"+p.Tag+"”", "AI agents and tools with the tag "+p.Tag+"."
	case p.Query.Text != "":
		m.Title = p.Query.Text
		m.Description = p.Found() + " for “" + p.Query.Text + "”: AI agents and tools, each with its price, its label and its reviews."
	default:
		m.Title, m.Description = "All agents", "All AI agents and tools of this marketplace, by category, price and what they may touch."
	}
	m.Others = feedsOf(m.Title, p.Query.At(0).Path())
	if c := p.Query.Filter("category"); p.Query.Text == "" && len(p.Query.Filters) == 1 && c != "" {
		m.Canonical = views.CategoryPath(c)
	}
	return m
}

// lasting reports whether a listing is one of those that search engines are to keep: those
// without text and filters, with their further pages, and the first page of what plain
// words find as they stand. Other searches are without end, and their text, which the page
// repeats, may be anybody's advertisement. The robots file says the same of addresses.
func lasting(p *views.Search) bool {
	q := p.Query
	switch {
	case len(q.Filters) > 0 || q.Sort != "":
		return false
	case q.Text == "":
		return true
	}
	return q.Page <= 1 && p.Total > 0 && p.Corrected == "" && isPlain(q.Text)
}

// maxPlain bounds the text of a search that search engines may keep, in bytes.
const maxPlain = 60

// isPlain reports whether a search is words alone: all of them must then be in what it finds.
func isPlain(text string) bool {
	words := func(r rune) bool { return r == ' ' || unicode.IsLetter(r) || unicode.IsMark(r) || unicode.IsDigit(r) }
	return len(text) <= maxPlain && strings.TrimLeftFunc(text, words) == ""
}
