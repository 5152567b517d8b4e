package web

import (
	"encoding/json"
	"net/http"

	"github.com/souk-market/souk/internal/catalog"
	"github.com/souk-market/souk/internal/market"
	"github.com/souk-market/souk/search"
	"github.com/souk-market/souk/store"
	"github.com/souk-market/souk/views"
)

// suggestion is one thing that a text may become, as scripts read it.
type suggestion struct {
	Kind  search.SuggestionKind `json:"kind"`
	Text  string                `json:"text"`
	Note  string                `json:"note,omitempty"` // what tells it apart: a price, "Category"
	Href  string                `json:"href"`
	Image string                `json:"image,omitempty"`
}

// suggest answers GET /suggest?q= with {"items": [suggestion, …]}: what the text that is
// being typed may become, the likeliest first. It is for scripts; a search does without.
func (s *Server) suggest(w http.ResponseWriter, r *http.Request) error {
	text := searchText(r.URL.Query().Get("q"))
	found, err := s.Catalog.Index.Suggest(r.Context(), search.SuggestQuery{Tenant: s.Catalog.Tenant, Text: text})
	if err != nil {
		return err
	}
	items := make([]suggestion, 0, len(found))
	err = s.Catalog.Store.View(r.Context(), s.Catalog.Tenant, func(tx *store.ReadTx) error {
		for _, f := range found {
			item, ok, err := suggested(tx, f)
			if err != nil {
				return err
			}
			if ok {
				items = append(items, item)
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Content-Type", "application/json")
	return json.NewEncoder(w).Encode(map[string][]suggestion{"items": items})
}

// suggested is a suggestion with where it leads to; ok is false for an agent that has gone
// since the index heard of it.
func suggested(tx store.Reader, f search.Suggestion) (item suggestion, ok bool, err error) {
	item = suggestion{Kind: f.Kind, Text: f.Text}
	switch f.Kind {
	case search.SuggestAgent:
		ls, err := catalog.Listings(tx, []market.AgentID{f.Agent})
		if err != nil || len(ls) == 0 {
			return item, false, err
		}
		c := card(&ls[0])
		item.Text, item.Href, item.Image = c.Name, views.AgentPath(c.Slug), views.TilePath(c.Seed)
		item.Note = views.Price(views.English, c.Price)
	case search.SuggestCategory:
		item.Href, item.Note = views.CategoryPath(f.Slug), "Category"
	case search.SuggestTag:
		item.Href, item.Note = views.TagPath(f.Slug), "Tag"
	case search.SuggestSeller:
		item.Href, item.Note = views.SellerPath(f.Slug), "Seller"
	default:
		item.Href = views.Query{Text: f.Text}.Path()
	}
	return item, true, nil
}
