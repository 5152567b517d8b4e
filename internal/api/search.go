package api

import (
	"context"
	"encoding/base64"
	"encoding/binary"
	"net/http"

	"github.com/souk-market/souk/internal/market"
	"github.com/souk-market/souk/search"
)

// SearchResults is a page of what was found.
type SearchResults struct {
	Items      []Agent         `json:"items" nullable:"false" doc:"The best matches first."`
	Total      int             `json:"total" doc:"How many were found on all pages." example:"42"`
	Next       *string         `json:"next" doc:"The cursor of the next page; null on the last one." example:"cxQ"`
	Corrected  bool            `json:"corrected" doc:"Whether a word was taken for another, because hardly anything has it as written." example:"true"`
	Understood string          `json:"understood,omitempty" doc:"The query as it was searched for, when corrected." example:"playwright mcp"`
	Nearby     []string        `json:"nearby,omitempty" nullable:"false" doc:"Queries like this one that do find something, when it finds nothing." example:"playwright"`
	Categories []CategoryCount `json:"categories" nullable:"false" doc:"How many were found in each category, whichever was asked for; the largest first."`
}

// CategoryCount is how many were found in a category.
type CategoryCount struct {
	Category market.Category `json:"category" doc:"Its slug." example:"mcp-server"`
	Count    int             `json:"count" doc:"How many." example:"12"`
}

type searchInput struct {
	Query    string          `query:"q" maxLength:"256" doc:"Words to find. Every one must match, by itself, its stem or its beginning; misspelt ones are corrected. What follows the first 256 bytes is left out." example:"playwrigth mcp"`
	Category market.Category `query:"category" maxLength:"40" doc:"Only agents of this category." example:"mcp-server"`
	Limit    int             `query:"limit" minimum:"1" maximum:"100" default:"20" doc:"How many agents a page has at most."`
	Cursor   string          `query:"cursor" maxLength:"200" doc:"The next of the page before, unchanged. Leave it out for the first page."`
}

type searchOutput struct{ Body SearchResults }

func (a *API) routeSearch() {
	op := a.operation("search-agents", http.MethodGet, "/api/v1/search", http.StatusBadRequest)
	op.Summary = "Search agents"
	op.Description = "Finds published agents. A page may have fewer agents than its limit while there are more, " +
		"when some were withdrawn a moment ago."
	op.Tags = []string{"Agents"}
	route(a, op, a.search)
}

func (a *API) search(ctx context.Context, in *searchInput) (*searchOutput, error) {
	offset, err := parseOffset(in.Cursor)
	if err != nil {
		return nil, err
	}
	var filters search.Filters
	if in.Category != "" {
		filters.Categories = []market.Category{in.Category}
	}
	r, err := a.Catalog.Search(ctx, search.Query{
		Text: in.Query, Filters: filters, Offset: offset, Limit: min(in.Limit, search.MaxOffset-offset), Facets: true,
	})
	if err != nil {
		return nil, err
	}
	out := SearchResults{
		Items: a.agents(r.Listings), Total: r.Total, Corrected: r.Corrected, Nearby: r.Nearby,
		Categories: categoryCounts(r.Facet(search.FacetCategory)),
	}
	if r.Corrected {
		out.Understood = r.Understood
	}
	if end := offset + len(r.IDs); len(r.IDs) > 0 && end < min(r.Total, search.MaxOffset) {
		out.Next = optional(offsetCursor(end))
	}
	return &searchOutput{out}, nil
}

func categoryCounts(choices []search.Choice) []CategoryCount {
	counts := make([]CategoryCount, len(choices))
	for i, c := range choices {
		counts[i] = CategoryCount{market.Category(c.Value), c.Count}
	}
	return counts
}

// A search's cursor is an offset: results are ordered by score, which no place in an
// index could stand for. It is kept opaque, so that it can become something else.
const offsetMark = 's'

func offsetCursor(offset int) string {
	return base64.RawURLEncoding.EncodeToString(binary.AppendUvarint([]byte{offsetMark}, uint64(offset)))
}

func parseOffset(cursor string) (int, error) {
	if cursor == "" {
		return 0, nil
	}
	b, err := base64.RawURLEncoding.DecodeString(cursor)
	if err == nil && len(b) > 1 && b[0] == offsetMark {
		if n, size := binary.Uvarint(b[1:]); size == len(b)-1 && n > 0 && n < search.MaxOffset {
			return int(n), nil
		}
	}
	return 0, market.FieldErrorf("cursor", "This cursor can't be read. Take it unchanged from the \"next\" of the page before.")
}
