package views

import (
	"net/url"
	"strconv"
	"strings"

	"github.com/souk-market/souk/views/tile"
)

// Site is what all pages of one marketplace share.
type Site struct {
	Name    string // shown in the header and after each title: "Souk"
	BaseURL string // "https://souk.example", without a slash at the end; "" leaves canonical and og:url out
	Sandbox bool   // no payment keys: each page says that money is for testing
	DevMail bool   // link the outbox from the footer and receipts

	// Assets gives the address of an asset by its plain name ("app.css"); nil means AssetPath.
	Assets func(name string) string

	// Categories are those of the header and the home page, in order (see Categories).
	Categories []Category

	// Footer is what the footer links to besides the categories: policies, status, API.
	Footer []Link
}

func (s Site) asset(name string) string {
	if s.Assets != nil {
		return s.Assets(name)
	}
	return AssetPath(name)
}

// absolute makes an address of this site absolute, for what other sites and mail read.
func (s Site) absolute(address string) string {
	if strings.HasPrefix(address, "/") {
		return s.BaseURL + address
	}
	return address
}

// Meta is what a page says about itself in its head.
type Meta struct {
	Title       string  // without the site's name; "" is the site's name alone
	Description string  // one sentence for search engines and link previews
	Canonical   string  // path of the address that counts ("/agents/x"); "" leaves it out
	NoIndex     bool    // personal, transient or duplicate
	Image       string  // path or address of a preview image, 1200 × 630
	Type        string  // og:type; "" is "website"
	Others      []Other // the same in other forms, and feeds of it
	data        string  // JSON-LD, of this package
}

// Other is another form of a page, for software.
type Other struct {
	Type  string // "text/markdown", "application/atom+xml"
	Title string
	Href  string
}

// Link is a text that leads somewhere.
type Link struct {
	Text string
	Href string
}

// AgentPath is the address of an agent's page.
func AgentPath(slug string) string { return "/agents/" + url.PathEscape(slug) }

// CategoryPath is the address of a category: the search, filtered.
func CategoryPath(slug string) string { return Query{}.With("category", slug).Path() }

// Query is the state of the search page that its address holds.
type Query struct {
	Text    string
	Filters []Filter // at most one of each Param, in the order of the address
	Sort    string   // "" is by relevance
	Page    int      // from 1; 0 and 1 are both the first
}

// Filter narrows a search: Param is the name in the address ("category"), Value its value.
type Filter struct {
	Param string
	Value string
}

// Filter returns the value of param in q, "" when it isn't filtered by.
func (q Query) Filter(param string) string {
	for _, f := range q.Filters {
		if f.Param == param {
			return f.Value
		}
	}
	return ""
}

// With returns q with param set to value, or without it when value is "", on its first page.
func (q Query) With(param, value string) Query {
	filters := make([]Filter, 0, len(q.Filters)+1)
	for _, f := range q.Filters {
		if f.Param != param {
			filters = append(filters, f)
		}
	}
	if value != "" {
		filters = append(filters, Filter{param, value})
	}
	q.Filters, q.Page = filters, 0
	return q
}

// Path is the address of q: /search?q=&category=&sort=&page=, with nothing said that goes without saying.
func (q Query) Path() string {
	var b strings.Builder
	add := func(param, value string) {
		if value == "" {
			return
		}
		if b.Len() > 0 {
			b.WriteByte('&')
		}
		b.WriteString(param + "=" + url.QueryEscape(value))
	}
	add("q", q.Text)
	for _, f := range q.Filters {
		add(f.Param, f.Value)
	}
	add("sort", q.Sort)
	if q.Page > 1 {
		add("page", strconv.Itoa(q.Page))
	}
	if b.Len() == 0 {
		return "/search"
	}
	return "/search?" + b.String()
}

// TilePath is the address of the pattern drawn from seed (an agent's, seller's or
// category's ID). It changes when the generator does, so it may be cached for ever.
func TilePath(seed string) string { return "/tiles/" + tile.File(seed, tile.Square) }

// BandPath is the address of the wide pattern drawn from seed.
func BandPath(seed string) string { return "/tiles/" + tile.File(seed, tile.Band) }

// FriezePath is the address of the row of stars drawn from seed.
func FriezePath(seed string) string { return "/tiles/" + tile.File(seed, tile.Frieze) }

// CoverPath is the address of the pattern drawn from seed for the top of a card.
func CoverPath(seed string) string { return "/tiles/" + tile.File(seed, tile.Cover) }

// ArchPath is the address of the pattern drawn from seed, in a doorway.
func ArchPath(seed string) string { return "/tiles/" + tile.File(seed, tile.Arch) }

// MarkPath is the address of the small round-cornered mark drawn from seed.
func MarkPath(seed string) string { return "/tiles/" + tile.File(seed, tile.Mark) }

// TilePathOpenGraph is the address of the 1200 × 630 pattern drawn from seed.
func TilePathOpenGraph(seed string) string { return "/tiles/" + tile.File(seed, tile.OpenGraph) }

// Tile draws the pattern that the last element of a /tiles/ address names. It is an
// image/svg+xml that never changes under its name; ok is false for a name that none of
// the functions above gives.
func Tile(file string) (svg []byte, ok bool) { return tile.Draw(file) }
