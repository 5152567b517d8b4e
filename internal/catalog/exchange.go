package catalog

import (
	"time"

	"github.com/souk-market/souk/internal/market"
)

// The exchange format is a folder that souk export writes and souk import reads. Each file
// holds JSON objects, one a line, in UTF-8; all files may be missing, and so may all fields
// but those marked as needed:
//
//	souk.json         Manifest; written by export, and not needed for an import
//	categories.jsonl  CategoryLine, in any order
//	tags.jsonl        TagLine
//	attributes.jsonl  AttributeLine
//	sellers.jsonl     SellerLine
//	agents.jsonl      AgentLine, each with its offers, releases, texts and images; or agents.tsv,
//	                  agents.csv or agents.json, as Import reads them
//	reviews.jsonl     ReviewLine
//	pages.jsonl       PageLine
//	files/…           release files, named by FileLine.Path
//	media/…           pictures, named by ImageLine.Path
//
// Lines name each other by slug: an agent its seller, a review its agent. Times are RFC 3339
// in UTC ("2026-11-23T09:30:00Z"; a day, "2026-11-23", is its first moment), prices are
// amounts with an ISO 4217 code ("12.00 USD", or "free"), texts named Markdown are Markdown,
// all others one line of plain text. A field that a line doesn't know is refused, so that a
// misspelled one isn't lost.
//
// An agent is matched with one that is there by id, external_id and slug, in this order, a
// seller and a review by id and slug or content; what matches is updated, so that the same
// folder read twice changes nothing the second time. Accounts, orders, licences, money and
// who wrote a review are not part of the format: a replica keeps those.
//
// Export writes the lines sorted, the fields in the order below, and nothing that depends
// on when or where it runs, so that an import of it into an empty store, exported again,
// is the same bytes.

// The names of the files of the exchange format.
const (
	ManifestFile   = "souk.json"
	CategoriesFile = "categories.jsonl"
	TagsFile       = "tags.jsonl"
	AttributesFile = "attributes.jsonl"
	SellersFile    = "sellers.jsonl"
	AgentsFile     = "agents.jsonl"
	ReviewsFile    = "reviews.jsonl"
	PagesFile      = "pages.jsonl"
	FilesFolder    = "files" // files/SHA-256
	MediaFolder    = "media" // media/SHA-256
)

// Manifest says what a folder is. Complete is written last: an export without it was broken
// off, and isn't imported.
type Manifest struct {
	Format   string `json:"format"`  // ExchangeFormat
	Version  int    `json:"version"` // ExchangeVersion
	Complete bool   `json:"complete"`
}

// What a Manifest says of this format.
const (
	ExchangeFormat  = "souk-catalogue"
	ExchangeVersion = 1
)

// CategoryLine is a shelf (market.Shelf).
type CategoryLine struct {
	Category string `json:"category"` // needed; a slug
	Title    string `json:"title"`    // needed
	Line     string `json:"line,omitempty"`
	Parent   string `json:"parent,omitempty"` // a category of the top level
	Place    int    `json:"place,omitempty"`
}

// TagLine makes one tag of two: agents that are given Alias get Tag.
type TagLine struct {
	Alias string `json:"alias"` // needed
	Tag   string `json:"tag"`   // needed
}

// AttributeLine is an attribute that agents may have (market.Attribute).
type AttributeLine struct {
	Attribute string   `json:"attribute"`         // needed; a slug
	Title     string   `json:"title"`             // needed
	Kind      string   `json:"kind"`              // needed; text, number, yes-no or choice
	Choices   []string `json:"choices,omitempty"` // of the kind choice
	Place     int      `json:"place,omitempty"`
}

// SellerLine is a seller. An imported one has no account until the operator gives them one.
type SellerLine struct {
	ID       market.SellerID `json:"id,omitempty"`
	Slug     string          `json:"slug"`              // needed
	Name     string          `json:"name"`              // needed
	About    string          `json:"about,omitempty"`   // Markdown
	Site     string          `json:"site,omitempty"`    // an https address
	Country  string          `json:"country,omitempty"` // ISO 3166-1, two letters
	Verified Moment          `json:"verified,omitzero"`
	Created  Moment          `json:"created,omitzero"`
}

// AgentLine is an agent with all that belongs to it.
type AgentLine struct {
	ID          market.AgentID      `json:"id,omitempty"`
	ExternalID  string              `json:"external_id,omitempty"` // "pypi:langchain-chroma"
	Slug        string              `json:"slug,omitempty"`        // made from the name where it is missing
	Seller      string              `json:"seller,omitempty"`      // a slug; the seller of imported listings where it is missing
	Name        string              `json:"name"`                  // needed
	Summary     string              `json:"summary,omitempty"`
	Category    string              `json:"category"` // needed; a slug
	Tags        []string            `json:"tags,omitempty"`
	State       market.ListingState `json:"state,omitempty"`  // published where it is missing
	Reason      string              `json:"reason,omitempty"` // why it was suspended or removed
	Source      string              `json:"source,omitempty"`
	Popularity  int64               `json:"popularity,omitempty"` // downloads per month
	Created     Moment              `json:"created,omitzero"`     // now where it is missing
	Updated     Moment              `json:"updated,omitzero"`
	Picked      Moment              `json:"picked,omitzero"`
	Offers      []OfferLine         `json:"offers,omitempty"`      // free where there is none
	Facts       *FactsLine          `json:"facts,omitempty"`       // not declared where it is missing
	Attributes  map[string]string   `json:"attributes,omitempty"`  // values, as text, by the attributes' names
	Images      []ImageLine         `json:"images,omitempty"`      // the first is its cover
	Description string              `json:"description,omitempty"` // Markdown
	Demo        []TurnLine          `json:"demo,omitempty"`
	Terms       string              `json:"terms,omitempty"`    // of the licence
	Refunds     string              `json:"refunds,omitempty"`  // their terms; the marketplace's where it is missing
	Releases    []ReleaseLine       `json:"releases,omitempty"` // the newest first
	OldSlugs    []OldSlugLine       `json:"old_slugs,omitempty"`
}

// OfferLine is a way to buy an agent. Names tell several apart.
type OfferLine struct {
	Name     string   `json:"name,omitempty"`
	Price    string   `json:"price"` // "12.00 USD", "free"
	License  bool     `json:"license,omitempty"`
	Includes []string `json:"includes,omitempty"`
}

// FactsLine is what the seller declares; what is empty is none.
type FactsLine struct {
	Models      []string         `json:"models,omitempty"`
	Runtimes    []string         `json:"runtimes,omitempty"`
	Inputs      []string         `json:"inputs,omitempty"`
	Outputs     []string         `json:"outputs,omitempty"`
	Keys        []string         `json:"keys,omitempty"`
	Permissions []PermissionLine `json:"permissions,omitempty"`
	Retention   string           `json:"retention,omitempty"`
}

// PermissionLine is a permission (market.Permissions) and how far it goes.
type PermissionLine struct {
	Permission market.Permission `json:"permission"` // needed
	Detail     string            `json:"detail,omitempty"`
}

// ImageLine is a picture: PNG, JPEG or WebP, re-encoded when it comes in.
type ImageLine struct {
	Path string `json:"path"` // needed; in the folder: "media/cover.png"
	Alt  string `json:"alt,omitempty"`
}

// TurnLine is one side's words in a transcript.
type TurnLine struct {
	Who  string `json:"who"`
	Text string `json:"text"`
}

// ReleaseLine is a version. The newest stable one that is live is sold, and needs a file;
// where it has none, the file that says how to install an agent of a registry is sold.
type ReleaseLine struct {
	Version     string              `json:"version,omitempty"`
	Channel     string              `json:"channel,omitempty"` // "beta"; stable where it is missing
	Released    Moment              `json:"released,omitzero"`
	State       market.ReleaseState `json:"state,omitempty"` // live for the newest of its channel, superseded for others
	Reason      string              `json:"reason,omitempty"`
	Notes       string              `json:"notes,omitempty"` // Markdown
	Permissions []PermissionLine    `json:"permissions,omitempty"`
	File        *FileLine           `json:"file,omitempty"`
}

// FileLine is a file: where it is in the folder, and the name that buyers see.
type FileLine struct {
	Path string `json:"path"`           // needed; "files/csv-desk-1.2.0.zip"
	Name string `json:"name,omitempty"` // the last part of Path where it is missing
}

// OldSlugLine is a slug that the agent had before, and still answers to.
type OldSlugLine struct {
	Slug  string `json:"slug"` // needed
	Since Moment `json:"since,omitzero"`
}

// ReviewLine is a review.
type ReviewLine struct {
	ID      market.ReviewID    `json:"id,omitempty"`
	Agent   string             `json:"agent"` // needed; a slug
	Name    string             `json:"name"`  // needed
	Stars   int                `json:"stars"` // needed; 1 to 5
	Title   string             `json:"title,omitempty"`
	Text    string             `json:"text,omitempty"` // plain text
	Version string             `json:"version,omitempty"`
	Free    bool               `json:"free,omitempty"`
	Reply   string             `json:"reply,omitempty"`
	State   market.ReviewState `json:"state,omitempty"` // published where it is missing
	Created Moment             `json:"created,omitzero"`
	Updated Moment             `json:"updated,omitzero"`
}

// PageLine is a page of the operator's.
type PageLine struct {
	Slug    string `json:"slug"`            // needed
	Title   string `json:"title"`           // needed
	Brief   string `json:"brief,omitempty"` // of the pages refunds and terms: the marketplace's terms (market.StaticPage)
	Body    string `json:"body"`            // Markdown
	Updated Moment `json:"updated,omitzero"`
}

// Moment is a time of a line.
type Moment struct{ Time time.Time }

// IsZero reports whether there is no time.
func (m Moment) IsZero() bool { return m.Time.IsZero() }

// MarshalText writes RFC 3339 in UTC.
func (m Moment) MarshalText() ([]byte, error) {
	return m.Time.UTC().AppendFormat(nil, time.RFC3339Nano), nil
}

// UnmarshalText reads RFC 3339, a day or a month. "" is no time.
func (m *Moment) UnmarshalText(text []byte) (err error) {
	m.Time, err = parseDate(string(text))
	return err
}
