package market

import (
	"strings"
	"time"
)

// Shelf is a category as it is shown. An agent may stand in one that has no Shelf: it is
// then shown by its slug, at the top level.
type Shelf struct {
	Category Category `cbor:"id"`
	Title    string   `cbor:"title"`            // "MCP servers"
	Line     string   `cbor:"line,omitempty"`   // what is on it, in a few words
	Parent   Category `cbor:"parent,omitempty"` // "" at the top level; a parent has none itself
	Place    int      `cbor:"place,omitempty"`  // among its siblings, the smallest first
}

// DefaultShelves are the shelves of a marketplace that has none of its own.
func DefaultShelves() []Shelf {
	shelves := []Shelf{
		{Category: "mcp-server", Title: "MCP servers", Line: "Tools your assistant can call"},
		{Category: "coding", Title: "Coding agents", Line: "Write, review and repair code"},
		{Category: "orchestration", Title: "Orchestration", Line: "Make several agents work together"},
		{Category: "rag-search", Title: "Search and retrieval", Line: "Answers from your own documents"},
		{Category: "browser-automation", Title: "Browser automation", Line: "Agents that use the web for you"},
		{Category: "data", Title: "Data", Line: "Query, clean and explain data"},
		{Category: "chatbot", Title: "Chat assistants", Line: "Talk to customers and to teams"},
		{Category: "voice-media", Title: "Voice and media", Line: "Speech, images and video"},
		{Category: "evaluation", Title: "Evaluation and safety", Line: "Test agents before users do"},
		{Category: "cli-tool", Title: "Command line", Line: "Agents at home in a terminal"},
		{Category: "sdk", Title: "SDKs and clients", Line: "Build on models and services"},
		{Category: "ui", Title: "Interfaces", Line: "Chat windows and components"},
		{Category: "other", Title: "Everything else", Line: "Goods with no shelf of their own"},
	}
	for i := range shelves {
		shelves[i].Place = i + 1
	}
	return shelves
}

// ShelfInWords is the shelf that a category without one is shown as: its slug, in words.
func ShelfInWords(c Category) Shelf {
	title := strings.ReplaceAll(string(c), "-", " ")
	if title != "" {
		title = strings.ToUpper(title[:1]) + title[1:]
	}
	return Shelf{Category: c, Title: title}
}

// Tag is a word that a seller gives an agent besides its category: "postgres". It has the
// form of a slug.
type Tag string

// TagAlias makes one tag of two: agents that are given Alias get Tag.
type TagAlias struct {
	Alias Tag `cbor:"id"`
	Tag   Tag `cbor:"tag"`
}

// Limits of tags: of an agent, and bytes of one.
const (
	MaxTags   = 12
	MaxTagLen = 40
)

// Redirect is a slug that an agent had before, and still answers to.
type Redirect struct {
	Slug  string    `cbor:"id"`
	Agent AgentID   `cbor:"agent"`
	Since time.Time `cbor:"since"`
}

// Related are the agents that have most in common with an agent, the nearest first.
type Related struct {
	Agent  AgentID   `cbor:"id"`
	Agents []AgentID `cbor:"agents"`
}

// StaticPage is a page of the operator's: terms, privacy, about.
type StaticPage struct {
	Slug  string `cbor:"id"` // its address is /pages/{slug}
	Title string `cbor:"title"`
	Body  string `cbor:"body"` // Markdown, at most MaxText bytes
	// Brief is of RefundsPage and LicensePage: the marketplace's terms in a paragraph of plain
	// text, for agents that have none of their own.
	Brief   string    `cbor:"brief,omitempty"`
	Updated time.Time `cbor:"updated"`
}

// AgentText is what an agent's page says at length. Lists of agents don't need it, so it is
// a record of its own.
type AgentText struct {
	Agent       AgentID `cbor:"id"`
	Description string  `cbor:"text,omitempty"`    // Markdown, at most MaxText bytes
	Demo        []Turn  `cbor:"demo,omitempty"`    // a transcript of the agent at work
	Terms       string  `cbor:"terms,omitempty"`   // of the licence: "Use it on any number of your own machines."
	Refunds     string  `cbor:"refunds,omitempty"` // where they differ from the marketplace's
}

// Turn is one side's words in a transcript.
type Turn struct {
	Who  string `cbor:"who"` // "You", "Agent"
	Text string `cbor:"text"`
}

// Limits of long texts: bytes of Markdown, turns of a transcript, bytes of a turn.
const (
	MaxText     = 32 << 10
	MaxTurns    = 20
	MaxTurnText = 1_000
)

// AgentRelease is a version of an agent, as its history tells it. Agent.Release is the one
// that is sold. An imported listing may have none of these.
type AgentRelease struct {
	Release
	Agent       AgentID         `cbor:"agent"`
	Channel     string          `cbor:"channel,omitempty"` // "beta"; "" is stable
	Notes       string          `cbor:"notes,omitempty"`   // what changed, Markdown, at most MaxText bytes
	State       ReleaseState    `cbor:"state"`
	Reason      string          `cbor:"reason,omitempty"` // why it was yanked
	Permissions []PermissionUse `cbor:"perms,omitempty"`  // as this version declares them
}

// Review is what a buyer says of an agent.
type Review struct {
	ID      ReviewID    `cbor:"id"`
	Agent   AgentID     `cbor:"agent"`
	Author  AccountID   `cbor:"author,omitempty"`
	Name    string      `cbor:"name"`           // of the author, as shown
	Line    LineID      `cbor:"line,omitempty"` // the sale it is about; one review each
	Stars   int         `cbor:"stars"`          // 1 to 5
	Title   string      `cbor:"title,omitempty"`
	Text    string      `cbor:"text,omitempty"` // plain text, at most MaxReview bytes
	Version string      `cbor:"version,omitempty"`
	Free    bool        `cbor:"free,omitempty"` // it was got for nothing
	Reply   string      `cbor:"reply,omitempty"`
	State   ReviewState `cbor:"state"`
	Created time.Time   `cbor:"created"`
	Updated time.Time   `cbor:"updated,omitzero"`
}

// MaxReview bounds a review's text and its reply, in bytes.
const MaxReview = 4_000

// Counts reports whether the review is part of its agent's rating.
func (r *Review) Counts() bool { return r.State == ReviewPublished || r.State == ReviewFlagged }

// Rating is the sum of an agent's reviews that count. It is kept on the agent, in the
// transaction that changes a review.
type Rating struct {
	Stars [5]int `cbor:"stars"` // reviews with one star, …, with five
}

// Count is the number of reviews.
func (r Rating) Count() (n int) {
	for _, of := range r.Stars {
		n += of
	}
	return n
}

// Mean is the mean of the stars, 1 to 5; 0 without reviews.
func (r Rating) Mean() float64 {
	n, sum := 0, 0
	for i, of := range r.Stars {
		n, sum = n+of, sum+of*(i+1)
	}
	if n == 0 {
		return 0
	}
	return float64(sum) / float64(n)
}

// Plus returns the rating of the reviews of both.
func (r Rating) Plus(other Rating) Rating {
	for i, of := range other.Stars {
		r.Stars[i] += of
	}
	return r
}
