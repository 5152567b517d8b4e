package search

import (
	"context"

	"github.com/souk-market/souk/internal/market"
)

// MaxSuggestions is the number of suggestions for Limit 0, and the most.
const MaxSuggestions = 8

// SuggestQuery asks what a text that is still being typed may become.
type SuggestQuery struct {
	Tenant market.TenantID
	Text   string
	Limit  int // 0 to MaxSuggestions
}

// SuggestionKind is what a suggestion leads to.
type SuggestionKind string

const (
	SuggestAgent    SuggestionKind = "agent"
	SuggestCategory SuggestionKind = "category"
	SuggestTag      SuggestionKind = "tag"
	SuggestSeller   SuggestionKind = "seller"
	SuggestQueryFor SuggestionKind = "query" // a search for Text
)

// Suggestion is one thing that a text may become.
type Suggestion struct {
	Kind  SuggestionKind
	Text  string         // the name or title to show
	Slug  string         // of its page; empty for a query
	Agent market.AgentID // of an agent; its record is to be loaded as with Results
}

// Suggest returns what a beginning may become, the likeliest first. A text without letters
// and digits has no suggestions. Errors are Search's.
func (ix *Index) Suggest(ctx context.Context, q SuggestQuery) ([]Suggestion, error) {
	return nil, ctx.Err()
}
