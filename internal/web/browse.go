package web

import (
	"net/http"
	"strconv"

	"github.com/souk-market/souk/internal/catalog"
	"github.com/souk-market/souk/internal/market"
	"github.com/souk-market/souk/search"
	"github.com/souk-market/souk/store"
	"github.com/souk-market/souk/views"
)

const (
	homeCards    = 8
	pageCards    = 24
	relatedCards = 4
)

func (s *Server) home(tx store.Reader, _ address) (content, error) {
	h, err := catalog.HomeOf(tx, homeCards)
	if err != nil {
		return content{}, err
	}
	site, err := s.siteIn(tx)
	if err != nil {
		return content{}, err
	}
	site.Categories = categories(h.Categories)
	return html(views.HomePage(site, views.Home{
		Meta: views.Meta{
			Description: "Find, buy and run AI agents and tools: MCP servers, coding agents, SDKs and more.",
			Canonical:   "/",
		},
		Total: h.Total, Popular: cards(h.Popular), New: cards(h.Newest),
		Tries: []string{"langchain chroma", "playwright mcp", "postgres"},
		Trust: []views.Trust{
			{Title: "Files you can verify", Text: "Every download shows its SHA-256, and what you bought stays as it was."},
			{Title: "One checkout", Text: "Agents of several sellers in one cart, paid once, without an account."},
			{Title: "Nothing gets lost", Text: "Purchases are on disk before you see them, and a receipt stays at its address."},
		},
	}))
}

func (s *Server) search(w http.ResponseWriter, r *http.Request) error {
	q := readQuery(r)
	var filters search.Filters
	if c := q.Filter("category"); c != "" {
		filters.Categories = []market.Category{market.Category(c)}
	}
	found, err := s.Catalog.Search(r.Context(), search.Query{
		Text: q.Text, Filters: filters, Limit: pageCards, Offset: (max(q.Page, 1) - 1) * pageCards, Facets: true,
	})
	if err != nil {
		return err
	}
	page := views.Search{
		Meta: searchMeta(q), Query: q, Total: found.Total, Pages: min((found.Total+pageCards-1)/pageCards, maxPage),
		Cards: cards(found.Listings), Nearby: found.Nearby,
		Facets: []views.Facet{{Title: "Category", Param: "category", Choices: choices(found.Facet(search.FacetCategory))}},
	}
	if found.Corrected {
		page.Corrected = found.Understood
	}
	return s.public(w, r, views.SearchPage(s.site(r.Context()), page))
}

// maxPage is the last page of a search that can be opened in full; the index bounds offsets.
const maxPage = search.MaxOffset / pageCards

// readQuery reads what a visitor asks for. A page that is no number is the first.
func readQuery(r *http.Request) views.Query {
	form := r.URL.Query()
	q := views.Query{Text: market.CleanText(form.Get("q"))}
	if c := form.Get("category"); c != "" {
		q.Filters = append(q.Filters, views.Filter{Param: "category", Value: c})
	}
	if n, err := strconv.Atoi(form.Get("page")); err == nil && n > 1 {
		q.Page = n
	}
	return q
}

func searchMeta(q views.Query) views.Meta {
	m := views.Meta{Title: "All agents", Canonical: q.Path()}
	category := q.Filter("category")
	switch {
	case q.Text != "":
		m.Title, m.NoIndex = q.Text, true
	case category != "":
		m.Title = views.CategoryTitle(category)
	}
	return m
}
