package views

import (
	"net/url"
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

	// Categories are those of header and footer, in order (see Categories).
	Categories []Category

	links, header, footer HTML // written ahead by Prepared
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
