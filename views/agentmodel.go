package views

import "github.com/souk-market/souk/internal/market"

// Agent is an agent's own page: AgentPage(site, &Agent{...}).
type Agent struct {
	Meta     Meta
	ID       string // sent with the form; also the seed of its tile
	Slug     string
	Name     string
	Summary  string
	Path     []Category // where it stands, the top level first
	Seller   Seller
	Source   Link // where it comes from: {"PyPI", "https://pypi.org/project/x/"}
	Tags     []Link
	Offers   []Offer
	Currency string // of offers that are free in none: "USD"
	Unlisted bool   // it is found by its address alone
	Updated  When

	Rating    Rating
	Downloads int64

	Pictures []market.Image
	Label    Label
	About    HTML
	Demo     []Turn
	Setup    []Snippet
	Releases []Release // newest first
	Reviews  []Review  // the newest; Rating has how many there are
	Refunds  string    // the refund terms, as frozen into an order
	License  string    // the licence terms, as frozen into an order
	Related  []Card
}

// HTML is what package markdown has made of a text. It stands in pages as it is.
type HTML string

// Rating is how many reviews have one star, …, five.
type Rating = market.Rating

// Seller is who sells.
type Seller struct {
	Name     string
	Seed     string // what its mark is drawn from: the seller's ID
	Href     string // "" when it has no page
	Verified bool
	Note     string // "Imported from public registries"
}

// Offer is a way to buy an agent.
type Offer struct {
	ID       string
	Name     string // "Single licence"; needed when there are several
	Price    market.Money
	Per      string   // "a month"; "" is once, for good
	Includes []string // "Version 1.3.2 and updates for a year"
}

// Label is what an agent declares about itself, like the label on food. What is left
// empty is shown as not declared, which is a statement too, unless Declared: then it is
// none.
type Label struct {
	Declared    bool
	Models      []string
	Permissions []Permission
	Retention   string // what happens to the data it sees
	Runtimes    []string
	Keys        []string // credentials that the buyer must bring
	Inputs      []string
	Outputs     []string
	More        []Row // what the operator asks besides
	Version     string
	LastRelease When
	Size        int64 // bytes of the release's files; 0 is not known
}

// Permission is what an agent may touch, and how far that goes.
type Permission struct {
	Name   string // "network"
	Detail string // "Calls api.example.com"; may be empty
}

// Row is a line of a label or table.
type Row struct {
	Term  string
	Value string
}

// Release is a version with its files.
type Release struct {
	Version string
	Date    When
	Channel string // "beta"; "" is stable
	Notes   HTML
	Files   []File
	Yanked  bool
	Reason  string // why it was yanked
}

// File is a file as announced (no Href) or as downloadable.
type File struct {
	Name   string
	Href   string
	Size   int64  // bytes
	SHA256 string // in hexadecimal
}

// Turn is one side's words in a transcript.
type Turn struct {
	Who  string
	Text string
	You  bool // the reader's own side
}

// Review is what a buyer says.
type Review struct {
	Name    string
	Stars   int // 1 to 5
	Title   string
	Text    string
	Version string
	Free    bool // the agent cost nothing
	Reply   string
	Date    When
}

// Reviews is the page of an agent's reviews: ReviewsPage(site, Reviews{...}).
type Reviews struct {
	Meta    Meta
	Slug    string
	Seed    string
	Name    string // of the agent
	Seller  string
	Rating  Rating
	Reviews []Review
	Page    int // from 1
	Pages   int
}

// SellerProfile is a seller's page: SellerPage(site, SellerProfile{...}).
type SellerProfile struct {
	Meta    Meta
	Seller  Seller
	About   HTML
	Site    string // an https address of their own
	Country string
	Since   When
	Known   When // since when the operator has known who they are
	Rating  Rating
	Total   int // published agents
	Cards   []Card
	All     Link // all of their agents, when Cards are some
}

// StaticPage is a page of the operator's: TextPage(site, StaticPage{...}).
type StaticPage struct {
	Meta    Meta
	Title   string
	Body    HTML
	Updated When
	Others  []Link // the other pages
}

// GoneAgent is the page of an agent that has left the shelf: GonePage(site, GoneAgent{...}).
type GoneAgent struct {
	Meta    Meta
	Title   string // what happened
	Message string // what happened and what to do
	Seed    string
	Related []Card
}
