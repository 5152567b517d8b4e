package search

import (
	"context"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/souk-market/souk/internal/market"
	"github.com/souk-market/souk/store/storetest"
)

// What isn't ranked because it can't be on the page isn't on it: a page is what stands
// there when all matches are ranked, whatever the weights, also of several segments.
func TestPageIsAsWhenAllIsRanked(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	agents := readAgents(t, "testdata/agents.tsv")
	for i := range agents {
		agents[i].Popularity = rng.Int64N(1 << rng.IntN(40))
		agents[i].Updated = time.Unix(1.7e9+rng.Int64N(1e8), 0)
		agents[i].Rating.Stars[rng.IntN(5)] = rng.IntN(4)
	}
	db := storetest.Open(t)
	ix := start(t, Options{Dir: t.TempDir(), DB: db})
	ix.wait(put(t, db, agents...))
	ix.wait(put(t, db, agents[:len(agents)/5]...))
	texts := slices.Clone(hostile)
	for range 300 {
		a := agents[rng.IntN(len(agents))]
		words := plainWords(a.Name + " " + a.Summary)
		texts = append(texts, a.Name, a.Name[:1+rng.IntN(len(a.Name))], words[rng.IntN(len(words))])
	}
	for _, weights := range []*Ranking{&DefaultRanking, {Name: 1, Text: -1, Stem: 1, Begins: -0.5, Covers: -2, Tail: -0.1, Rating: 3, Popularity: 2}} {
		ix.rules.rank, ix.rules.fresh = weights, weights.fresh()
		forgetLifts(t, ix)
		for _, text := range texts {
			all := pageOf(t, ix, Query{Text: text, Limit: heapPages + 1})
			if got := pageOf(t, ix, Query{Text: text, Limit: 7}); !slices.Equal(got, all[:min(7, len(all))]) {
				t.Errorf("%q: got %q, want %q", text, got, all[:min(7, len(all))])
			}
		}
	}
}

// pageOf answers a query whose limit may be beyond MaxLimit.
func pageOf(t *testing.T, ix *running, q Query) []market.AgentID {
	t.Helper()
	limit := q.Limit
	q.Tenant, q.Limit = tenant, 0
	q, err := q.check()
	if err != nil {
		t.Fatal(err)
	}
	q.Limit = limit
	v, release, err := ix.acquire()
	if err != nil {
		t.Fatal(err)
	}
	defer release()
	s := newSearcher(context.Background(), v, tenant, ix.rules)
	s.tree = ix.shelvesOf(tenant)
	res, err := s.search(q)
	if err != nil {
		t.Fatal(err)
	}
	return res.IDs
}

// forgetLifts lets other weights be set.
func forgetLifts(t *testing.T, ix *running) {
	t.Helper()
	v, release, err := ix.acquire()
	if err != nil {
		t.Fatal(err)
	}
	defer release()
	for i := range v.segs {
		v.segs[i].lift.made = false
	}
}
