package market

import (
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// Category is the slug of a category ("mcp-server"). The catalogue of an instance is
// the set of categories that its published agents name.
type Category string

// Seller is who lists agents and is owed what they earn.
type Seller struct {
	ID      SellerID  `cbor:"id"`
	Account AccountID `cbor:"account"`
	Slug    string    `cbor:"slug"`
	Name    string    `cbor:"name"`
	Created time.Time `cbor:"created"`

	About    string    `cbor:"about,omitempty"` // Markdown, at most MaxText bytes
	Site     string    `cbor:"site,omitempty"`  // an https address of their own
	Country  string    `cbor:"country,omitempty"`
	Verified time.Time `cbor:"verified,omitzero"` // when the operator knew who they are; zero is not
}

// Agent is a listing: what is shown, found and sold. Its slug is the seed of every URL
// of it; slugs that it had before redirect to it. ExternalID names it in the registry it
// was imported from.
type Agent struct {
	ID         AgentID      `cbor:"id"`
	Seller     SellerID     `cbor:"seller"`
	Slug       string       `cbor:"slug"`
	Name       string       `cbor:"name"`
	Summary    string       `cbor:"summary,omitempty"` // one line of plain text
	Category   Category     `cbor:"category"`
	ExternalID string       `cbor:"ext,omitempty"` // "pypi:langchain-chroma", unique per tenant
	Source     string       `cbor:"source,omitempty"`
	Popularity int64        `cbor:"pop,omitempty"` // downloads per month where the source counts them
	State      ListingState `cbor:"state"`
	Reason     string       `cbor:"reason,omitempty"` // why it was suspended, removed or sent back
	Offer      Offer        `cbor:"offer"`            // the way to buy it that is shown first
	Release    Release      `cbor:"release"`          // the newest version
	Created    time.Time    `cbor:"created"`
	Updated    time.Time    `cbor:"updated"` // of the listing itself, as its source tells it

	Also       []Offer          `cbor:"also,omitempty"` // further ways to buy it, up to MaxOffers in all
	Tags       []Tag            `cbor:"tags,omitempty"` // sorted
	Facts      Facts            `cbor:"facts,omitzero"`
	Images     []Image          `cbor:"images,omitempty"` // the first is its cover
	Rating     Rating           `cbor:"rating,omitzero"`
	Attributes []AttributeValue `cbor:"attrs,omitempty"` // sorted by name, up to MaxAttributes
	Picked     time.Time        `cbor:"picked,omitzero"` // when the operator picked it for the home page
}

// Visible reports whether the public may see and buy the agent.
func (a *Agent) Visible() bool { return a.State == ListingPublished }

// Listed reports whether the agent has a page: for everybody, or for who has its address.
func (a *Agent) Listed() bool { return a.Visible() || a.State == ListingUnlisted }

// Offers are all ways to buy the agent.
func (a *Agent) Offers() []Offer { return append([]Offer{a.Offer}, a.Also...) }

// OfferNamed returns the way to buy the agent that has an ID.
func (a *Agent) OfferNamed(id OfferID) (Offer, bool) {
	if a.Offer.ID == id {
		return a.Offer, true
	}
	for _, o := range a.Also {
		if o.ID == id {
			return o, true
		}
	}
	return Offer{}, false
}

// Offer is a way to buy an agent. Price zero is free.
type Offer struct {
	ID       OfferID  `cbor:"id"`
	Price    Money    `cbor:"price"`
	License  bool     `cbor:"license,omitempty"`  // a sale gives a licence key besides the download
	Name     string   `cbor:"name,omitempty"`     // "Team": needed where there are several
	Includes []string `cbor:"includes,omitempty"` // what a sale gives besides, a line each
}

// Limits of offers: of an agent, lines of what one includes, bytes of a line.
const (
	MaxOffers    = 6
	MaxIncludes  = 8
	MaxOfferText = 120
)

// Release is a version of an agent with its file.
type Release struct {
	ID       ReleaseID `cbor:"id"`
	Version  string    `cbor:"version,omitempty"`
	File     File      `cbor:"file"`
	Released time.Time `cbor:"released,omitzero"`
}

// File names bytes in the blob store and how a buyer gets to see them.
type File struct {
	Name   string `cbor:"name"`
	SHA256 string `cbor:"sha256"` // lower-case hex; the blob's key
	Size   int64  `cbor:"size"`   // bytes
	// OnDemand: the bytes are SetupFile's, and are put into the blob store when the
	// listing is first sold. Of an imported catalogue most never are.
	OnDemand bool `cbor:"ondemand,omitempty"`
}

// Blob records that a blob exists and belongs to this tenant. It is written in the
// transaction that first names the blob, so that a replica mirrors the bytes before
// the change that names them.
type Blob struct {
	SHA256 string `cbor:"sha256"`
	Size   int64  `cbor:"size"`
	// Pictured are agents whose picture it is, MaxPictured at most. What is nobody's picture
	// is shown to nobody.
	Pictured []AgentID `cbor:"pictured,omitempty"`
}

// Limits of listing texts, in bytes of UTF-8.
const (
	MaxName    = 200
	MaxSummary = 1_000
	MaxSlug    = 80
)

// Slug makes a URL name of a text: lower-case ASCII letters and digits, runs of
// anything else as one hyphen, at most MaxSlug bytes. It is empty for a text without
// any letter or digit.
func Slug(text string) string {
	var b strings.Builder
	gap := false
	for _, r := range strings.ToLower(text) {
		if (r < 'a' || r > 'z') && (r < '0' || r > '9') {
			gap = b.Len() > 0
			continue
		}
		if gap && b.Len()+1 < MaxSlug {
			b.WriteByte('-')
		} else if gap || b.Len() == MaxSlug {
			break
		}
		gap = false
		b.WriteRune(r)
	}
	return b.String()
}

// CleanText makes one line of a text from outside: invalid UTF-8, control and
// formatting characters and all others that have no look of their own (they hide
// instructions from a reader) are dropped, white space is folded, and the ends are
// trimmed.
func CleanText(s string) string {
	if isClean(s) {
		return s
	}
	var b strings.Builder
	b.Grow(len(s))
	space := false
	for _, r := range s {
		switch {
		case unicode.IsSpace(r):
			space = b.Len() > 0
		case r == utf8.RuneError || invisible(r):
		default:
			if space {
				b.WriteByte(' ')
				space = false
			}
			b.WriteRune(r)
		}
	}
	return b.String()
}

// isClean reports whether a text is one line of printable ASCII as CleanText leaves it.
func isClean(s string) bool {
	last := byte(' ')
	for i := range len(s) {
		if c := s[i]; c < ' ' || c > '~' || c == ' ' && last == ' ' {
			return false
		}
		last = s[i]
	}
	return last != ' ' || s == ""
}

// invisible reports whether a character shows nothing by itself: control and formatting
// characters, private ones, fillers, joiners, tags and variation selectors.
func invisible(r rune) bool {
	return unicode.In(r, unicode.C, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector)
}

// NormalizeEmail checks an e-mail address typed by a person and returns the form that
// is stored and compared: trimmed, the domain in lower case. Sub-addresses are kept.
func NormalizeEmail(s string) (string, error) {
	local, domain, ok := cutLast(strings.TrimSpace(s), "@")
	domain = strings.ToLower(domain)
	address := local + "@" + domain
	if !ok || local == "" || len(local) > 64 || len(address) > 254 || !utf8.ValidString(s) || !validLocal(local) || !validDomain(domain) {
		return "", FieldErrorf("email", "That is no complete e-mail address. It should look like name@example.com.")
	}
	return address, nil
}

func cutLast(s, sep string) (before, after string, found bool) {
	if i := strings.LastIndex(s, sep); i >= 0 {
		return s[:i], s[i+len(sep):], true
	}
	return s, "", false
}

func validLocal(s string) bool {
	for _, r := range s {
		if unicode.IsSpace(r) || invisible(r) || strings.ContainsRune(`()<>[]:;@\,"`, r) {
			return false
		}
	}
	return s[0] != '.' && s[len(s)-1] != '.' && !strings.Contains(s, "..")
}

func validDomain(s string) bool {
	labels := strings.Split(s, ".")
	if len(labels) < 2 && s != "localhost" {
		return false
	}
	for _, l := range labels {
		if l == "" || len(l) > 63 || l[0] == '-' || l[len(l)-1] == '-' {
			return false
		}
		for _, r := range l {
			if r != '-' && !unicode.IsLetter(r) && !unicode.IsDigit(r) {
				return false
			}
		}
	}
	return true
}
