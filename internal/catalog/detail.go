package catalog

import (
	"fmt"

	"github.com/souk-market/souk/internal/market"
	"github.com/souk-market/souk/store"
)

// Detail is all that the page of an agent shows.
type Detail struct {
	Listing
	Text     market.AgentText
	Said     []Said                // to the operator's attributes
	Terms    market.Terms          // that it is sold under: its own, or the marketplace's
	Releases []market.AgentRelease // for everybody's eyes, the newest first; up to MaxDetailReleases
	Reviews  ReviewPage
}

// MaxDetailReleases bounds the history on an agent's page.
const MaxDetailReleases = 50

// DetailOf returns the page of the agent with a slug, for everybody or for who has its
// address (market.Agent.Listed), with up to n reviews. The error is *Moved for a slug that
// the agent had before, and NotFound.
func DetailOf(tx store.Reader, slug string, n int) (d Detail, err error) {
	if d.Agent, err = agentAt(tx, slug); err != nil {
		return d, err
	}
	if d.Listing, err = listing(tx, d.Agent, nil); err != nil {
		return d, err
	}
	if d.Text, err = store.TextOf(tx, d.ID); err != nil {
		return d, err
	}
	if d.Terms, err = store.TermsOf(tx, &d.Agent, &d.Text); err != nil {
		return d, err
	}
	if d.Said, err = saidBy(tx, &d.Agent); err != nil {
		return d, err
	}
	if d.Releases, err = publicReleases(tx, &d.Agent); err != nil {
		return d, err
	}
	d.Reviews, err = ReviewsOf(tx, d.ID, "", n)
	return d, err
}

// Moved is the error for a slug that an agent had before: it is found under Slug now. Who
// doesn't look for it finds a NotFound in it.
type Moved struct{ Slug string }

func (m *Moved) Error() string {
	return fmt.Sprintf("the agent is found under the slug %q now", m.Slug)
}

// Unwrap makes it a NotFound.
func (m *Moved) Unwrap() error { return noAgent() }

func noAgent() *market.Error { return market.Errorf(market.NotFound, "There is no such agent.") }

// agentAt returns the agent that has a page at a slug.
func agentAt(tx store.Reader, slug string) (market.Agent, error) {
	a, err := store.AgentBySlug.Load(tx, slug)
	if market.Is(err, market.NotFound) {
		return a, movedFrom(tx, slug)
	}
	if err == nil && !a.Listed() {
		err = offShelf(&a)
	}
	return a, err
}

// OffShelf is the error for an agent that had a page and has none now. Who doesn't look
// for it finds a NotFound in it.
type OffShelf struct {
	Agent market.AgentID
	State market.ListingState // paused, suspended, archived or removed
	// Name and Category are empty where the operator has taken it down.
	Name     string
	Category market.Category
}

func (o *OffShelf) Error() string { return fmt.Sprintf("the agent %s is %s", o.Agent, o.State) }

// Unwrap makes it a NotFound.
func (o *OffShelf) Unwrap() error { return noAgent() }

// offShelf is the error for an agent that isn't Listed: nothing is said of one that never
// was, as far as its state tells.
func offShelf(a *market.Agent) error {
	switch a.State {
	case market.ListingPaused, market.ListingArchived:
		return &OffShelf{Agent: a.ID, State: a.State, Name: a.Name, Category: a.Category}
	case market.ListingSuspended, market.ListingRemoved:
		return &OffShelf{Agent: a.ID, State: a.State}
	}
	return noAgent()
}

// movedFrom is the error for a slug that no agent has: *Moved where one had it before.
func movedFrom(tx store.Reader, slug string) error {
	r, err := store.Redirects.Load(tx, slug)
	if err != nil {
		return notFoundAs(err, noAgent())
	}
	a, err := store.Agents.Load(tx, r.Agent)
	if err != nil || !a.Listed() {
		return notFoundAs(err, noAgent())
	}
	return &Moved{a.Slug}
}

// notFoundAs returns instead for a missing record (or none at all), other errors as they are.
func notFoundAs(err, instead error) error {
	if err == nil || market.Is(err, market.NotFound) {
		return instead
	}
	return err
}

// publicReleases are the versions that everybody may see: live ones, those that a live
// one has superseded, and withdrawn ones, which nobody can get any more and whose reason
// says what to look for. An agent without a history has the release that is sold.
func publicReleases(tx store.Reader, a *market.Agent) ([]market.AgentRelease, error) {
	var list []market.AgentRelease
	recorded := false
	for row, err := range store.ReleasesOfAgent.Scan(tx, a.ID, "") {
		if err != nil {
			return nil, err
		}
		recorded = true
		switch r := row.Record; r.State {
		case market.ReleaseLive, market.ReleaseSuperseded, market.ReleaseYanked:
			list = append(list, r)
		}
		if len(list) == MaxDetailReleases {
			break
		}
	}
	if !recorded {
		list = append(list, market.AgentRelease{Release: a.Release, Agent: a.ID, State: market.ReleaseLive})
	}
	return list, nil
}

// ReviewPage is a stretch of an agent's reviews that everybody may read, the newest first.
type ReviewPage struct {
	Reviews []market.Review
	Total   int
	Next    store.Cursor // "" at the end
}

// ReviewsOf returns up to n reviews of an agent after a cursor. An unreadable cursor is
// Invalid.
func ReviewsOf(tx store.Reader, id market.AgentID, after store.Cursor, n int) (p ReviewPage, err error) {
	if p.Total, err = store.ReviewsOfAgent.Count(tx, id); err != nil || p.Total == 0 {
		return p, err
	}
	var last store.Cursor
	for row, err := range store.ReviewsOfAgent.Scan(tx, id, after) {
		if err != nil {
			return p, err
		}
		if len(p.Reviews) == n {
			p.Next = last
			break
		}
		p.Reviews, last = append(p.Reviews, row.Record), row.Cursor
	}
	return p, nil
}
