package search

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/souk-market/souk/internal/market"
)

// Sort is an order of results.
type Sort string

const (
	ByRelevance  Sort = ""        // see doc.go; by popularity when there is no text
	ByPopularity Sort = "popular" // the most popular first
	ByDate       Sort = "newest"  // the last updated first
	ByPrice      Sort = "price"   // the cheapest first
	ByRating     Sort = "rating"  // the best rated first, and at the end those without reviews
)

// Sorts are all orders.
var Sorts = []Sort{ByRelevance, ByPopularity, ByDate, ByPrice, ByRating}

// Limits of a query.
const (
	MaxText      = 256 // bytes of a text; the rest is left out
	MaxWords     = 12  // without stop words; the rest is left out
	MaxLimit     = 100
	MaxOffset    = 1_000_000 // more than there are: all results can be paged through
	DefaultLimit = 20        // for Limit 0
)

// Query asks for a tenant's published agents. Without text they are browsed.
type Query struct {
	Tenant  market.TenantID
	Text    string
	Filters Filters
	Sort    Sort
	Limit   int
	Offset  int
	Facets  bool // count what every filter's values would find
}

// Results are a page of what a query found. The records of IDs are to be loaded from the
// store: one may have gone since.
type Results struct {
	IDs   []market.AgentID
	Total int // under all filters

	Facets []Facet // when asked for

	// Understood is the text that was searched for: that of the query in one line, with
	// the spelling corrected if Corrected.
	Understood string
	Corrected  bool

	// DidYouMean is a text that is spelled nearly like the query's and finds much more,
	// when the query was taken as it stands.
	DidYouMean string

	// Nearby are up to three texts like the query that do find something, when it found
	// nothing under any filter.
	Nearby []string

	Highlights Highlights // of what Understood has
}

// check applies the limits and returns the query with defaults filled in.
func (q Query) check() (Query, error) {
	switch {
	case q.Limit < 0 || q.Limit > MaxLimit:
		return q, market.FieldErrorf("limit", "The limit is a number from 1 to %d.", MaxLimit)
	case q.Offset < 0 || q.Offset > MaxOffset:
		return q, market.FieldErrorf("page", "Only the first %d results can be paged through. Please narrow the search.", MaxOffset)
	case !slices.Contains(Sorts, q.Sort):
		return q, market.FieldErrorf("sort", "Results can be sorted by %q, %q, %q or %q, or by relevance when nothing is given.",
			ByPopularity, ByDate, ByPrice, ByRating)
	}
	if err := q.Filters.check(); err != nil {
		return q, err
	}
	if q.Limit == 0 {
		q.Limit = DefaultLimit
	}
	q.Text = shorten(market.CleanText(strings.ToValidUTF8(shorten(q.Text, 4*MaxText), " ")), MaxText)
	return q, nil
}

// shorten cuts a text at the last space before n bytes, if there is one.
func shorten(text string, n int) string {
	if len(text) <= n {
		return text
	}
	text = cut(text, n)
	if i := strings.LastIndexByte(text, ' '); i > 0 {
		return text[:i]
	}
	return text
}

// Search finds agents. Errors are Invalid for a query beyond the limits, Unavailable while
// there is no index, and ctx's.
func (ix *Index) Search(ctx context.Context, q Query) (Results, error) {
	q, err := q.check()
	if err != nil {
		return Results{}, err
	}
	v, release, err := ix.acquire()
	if err != nil {
		return Results{}, err
	}
	defer release()
	var res Results
	err = guard(func() error {
		var err error
		s := newSearcher(ctx, v, q.Tenant, ix.rules)
		s.tree = ix.shelvesOf(q.Tenant)
		res, err = s.search(q)
		return err
	})
	if errors.Is(err, errBroken) {
		ix.report(err)
		return Results{}, market.Errorf(market.Unavailable,
			"The search index is being repaired and will be back in a moment. The home page and the pages of agents and sellers work meanwhile.").Because(err)
	}
	return res, err
}

// report has Run build the index anew.
func (ix *Index) report(err error) {
	select {
	case ix.damaged <- err:
	default:
	}
}
