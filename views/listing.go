package views

import "github.com/souk-market/souk/internal/market"

// Card is an agent in a list.
type Card struct {
	Slug     string
	Seed     string // what its tile is drawn from: the agent's ID
	Name     string
	Summary  string // the promise, one line
	Seller   string
	Verified bool   // the operator knows the seller
	Category string // the category's slug; "" leaves it out
	Price    market.Money
	From     bool   // other offers cost more
	Per      string // what the price is for when not for good: "a month"
	Cover    Cover  // shown in place of the tile

	Version     string
	Updated     When
	Downloads   int64    // as its source counts them; 0 leaves them out
	Rating      float64  // mean, 1 to 5
	Ratings     int      // how many; 0 leaves the rating out
	Permissions []string // what it may touch: "network", "files", "shell", "browser", "secrets"

	NameMarks    []Span // what of Name was searched for
	SummaryMarks []Span

	tall HTML // the card for a shelf, written ahead by PrepareCards
}

// Cover is a picture that comes in several widths. The zero value is none.
type Cover struct {
	Src    string // the address of a width that every browser shows
	SrcSet string // all widths, as the attribute wants them; may be empty
	Width  int    // pixels, of the original
	Height int
}

// Span is a stretch of a text: bytes Start to End of it.
type Span struct{ Start, End int }

// Home is the front page: HomePage(site, Home{...}).
type Home struct {
	Meta    Meta
	Total   int        // published agents
	Shelves []Category // with their counts, in order
	Popular []Card
	New     []Card
	Picks   []Card
	Story   Story
	Tries   []string // queries offered under the search field
	Trust   []Trust
}

// Story is what a seller tells of themselves, with what they sell. Without a text it is
// left out.
type Story struct {
	Seller Seller
	Text   string // plain
	Cards  []Card
}

// Trust is one statement of the row that says why to buy here.
type Trust struct {
	Title string
	Text  string
	Href  string // where it is explained; may be empty
}

// Search is a listing: SearchPage(site, Search{...}). With Shelf set it is a category's
// page, with Tag a tag's, else the search.
type Search struct {
	Meta  Meta
	Query Query
	Total int // matches, on all pages
	Pages int
	Cards []Card

	Shelf Category   // of a category's page
	Over  Category   // the category above it; none at the top level
	Below []Category // those below it, with counts
	Tag   string     // of a tag's page

	// Corrected is what was searched for, when nothing matched what was typed exactly:
	// typed "playwrigth mcp", corrected "playwright mcp". "" when nothing was corrected.
	Corrected string

	// DidYouMean is a text that finds much more, when what was typed was taken as it stands.
	DidYouMean string

	// Nearby are queries that do match, offered when this one doesn't.
	Nearby []string

	Facets []Facet
	Sorts  []Choice // Value is Query.Sort's; none leaves the row out
}

// Facet is a way to narrow a search. Its choices have counts under all other filters; one
// that is active is among them, also when it finds nothing.
type Facet struct {
	Title   string // "Category"; "" for one that is shown as a chip only
	Param   string // "category": the filter's name in the address
	One     bool   // a choice takes the place of another
	Choices []Choice
}

// Choice is one value of a facet or one order. Active ones are found by the query.
type Choice struct {
	Value string
	Label string
	Chip  string // Label where it stands alone, away from the facet's title; "" is Label
	Count int
	Below bool // it is part of the choice before it
}
