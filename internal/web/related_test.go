package web_test

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/souk-market/souk/internal/market"
	"github.com/souk-market/souk/store"
)

// TestRelated: the nearest are shown, each once, without those off the shelf, and then the
// popular ones of the category; the page is of now though it is kept.
func TestRelated(t *testing.T) {
	b := open(t, false)
	write := func(fn func(tx *store.Tx) error) {
		t.Helper()
		if _, err := b.db.Update(context.Background(), market.MainTenant, store.Op{}, fn); err != nil {
			t.Fatal(err)
		}
	}
	list := func(name string, category market.Category, state market.ListingState, popularity int64) {
		t.Helper()
		a := b.free
		a.ID, a.Slug, a.Name, a.Category, a.State, a.Popularity = market.AgentID("agt_"+name), name, name, category, state, popularity
		write(func(tx *store.Tx) error { return store.Agents.Put(tx, &a) })
	}
	near := func(ids ...market.AgentID) {
		t.Helper()
		write(func(tx *store.Tx) error { return store.Related.Put(tx, &market.Related{Agent: b.free.ID, Agents: ids}) })
	}
	shown := func(want ...string) {
		t.Helper()
		_, related, _ := strings.Cut(b.browser().get("/agents/"+b.free.Slug).body, `id="related"`)
		var got []string
		for rest := related; ; {
			_, after, ok := strings.Cut(rest, `href="/agents/`)
			if !ok {
				break
			}
			slug, more, _ := strings.Cut(after, `"`)
			if rest = more; !slices.Contains(got, slug) {
				got = append(got, slug)
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("related: %q, want %q", got, want)
		}
	}
	for i, name := range []string{"data-1", "data-2", "data-3", "data-4", "data-5"} {
		list(name, "data", market.ListingPublished, int64(100-i))
	}
	list("far-1", "tool", market.ListingPublished, 1)
	list("far-2", "tool", market.ListingPublished, 2)
	shown("data-1", "data-2", "data-3", "data-4")
	near("agt_far-1", "agt_gone", "agt_data-2", "agt_far-2")
	shown("far-1", "data-2", "far-2", "data-1")
	list("far-1", "tool", market.ListingPaused, 1)
	shown("data-2", "far-2", "data-1", "data-3")
	near("agt_data-5", "agt_data-4", "agt_data-3", "agt_data-2", "agt_data-1")
	shown("data-5", "data-4", "data-3", "data-2")
}
