package search

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/souk-market/souk/internal/market"
	"github.com/souk-market/souk/store"
	"github.com/souk-market/souk/store/storetest"
)

// bazaar is a random catalogue with sellers and categories, and counts it the naive way.
type bazaar struct {
	t       testing.TB
	rng     *rand.Rand
	sellers []market.Seller
	shelves map[market.Category]market.Category // the parent of each
	agents  []market.Agent
}

func newBazaar(t testing.TB, db *store.DB, rng *rand.Rand, agents int) (*bazaar, store.LSN) {
	z := &bazaar{t: t, rng: rng, shelves: map[market.Category]market.Category{"coding": "", "review": "coding", "tests": "coding", "data": ""}}
	for i := range 5 {
		s := market.Seller{ID: market.NewSellerID(time.Now()), Slug: fmt.Sprintf("seller-%d", i), Name: fmt.Sprintf("Seller %d", i)}
		if i%2 == 0 {
			s.Verified = time.Unix(1e9, 0)
		}
		z.sellers = append(z.sellers, s)
	}
	_, err := db.Update(context.Background(), tenant, store.Op{Class: store.UserData}, func(tx *store.Tx) error {
		for i := range z.sellers {
			if err := store.Sellers.Put(tx, &z.sellers[i]); err != nil {
				return err
			}
		}
		for c, parent := range z.shelves {
			if err := store.Shelves.Put(tx, &market.Shelf{Category: c, Title: string(c), Parent: parent}); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for i := range agents {
		z.agents = append(z.agents, z.agent(i))
	}
	return z, put(t, db, z.agents...)
}

func some[V any](rng *rand.Rand, all []V, most int) []V {
	list := slices.Clone(all)
	rng.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
	return list[:rng.IntN(min(most, len(list))+1)]
}

var (
	someTags     = []market.Tag{"alpha", "beta", "gamma"}
	someRuntimes = []string{"docker", "node", "python"}
)

func (z *bazaar) agent(i int) market.Agent {
	a := newAgent(fmt.Sprintf("%s-%d", [...]string{"red", "green", "blue"}[z.rng.IntN(3)], i), "A colour", slices.Sorted(maps.Keys(z.shelves))[z.rng.IntN(4)])
	a.Seller = z.sellers[z.rng.IntN(len(z.sellers))].ID
	a.Popularity = int64(z.rng.IntN(5))
	a.Updated = time.Unix(int64(z.rng.IntN(5))*1e6, 0)
	a.Tags = some(z.rng, someTags, 3)
	slices.Sort(a.Tags)
	a.Facts.Declared = z.rng.IntN(3) > 0
	a.Facts.Runtimes = some(z.rng, someRuntimes, 2)
	slices.Sort(a.Facts.Runtimes)
	if a.Facts.Declared {
		for _, p := range some(z.rng, market.Permissions, 3) {
			a.Facts.Permissions = append(a.Facts.Permissions, market.PermissionUse{Permission: p})
		}
	}
	if z.rng.IntN(2) == 0 {
		a.Rating.Stars[z.rng.IntN(5)] = 1 + z.rng.IntN(3)
		a.Rating.Stars[z.rng.IntN(5)]++
	}
	a.Offer = z.offer()
	for range z.rng.IntN(3) {
		a.Also = append(a.Also, z.offer())
	}
	return a
}

func (z *bazaar) offer() market.Offer {
	prices := []int64{0, 1, 999, 1000, 5000, 5001, 20000}
	return market.Offer{
		ID: market.NewOfferID(time.Now()), License: z.rng.IntN(2) == 0, Name: "One",
		Price: market.Money{Amount: prices[z.rng.IntN(len(prices))], Currency: "USD"},
	}
}

func (z *bazaar) filters() Filters {
	f := Filters{
		Categories: some(z.rng, slices.Sorted(maps.Keys(z.shelves)), 2), Tags: some(z.rng, someTags, 1), Price: some(z.rng, PriceBands, 2),
		Types: some(z.rng, Types, 1), Runtimes: some(z.rng, someRuntimes, 1), Without: some(z.rng, market.Permissions, 1),
	}
	if z.rng.IntN(3) == 0 {
		f.MinRating = 1 + z.rng.IntN(5)
	}
	f.Verified = z.rng.IntN(4) == 0
	if z.rng.IntN(5) == 0 {
		f.Seller = z.sellers[0].ID
	}
	for _, drop := range []func(){
		func() { f.Categories = nil }, func() { f.Tags = nil }, func() { f.Price = nil }, func() { f.Types = nil },
		func() { f.Runtimes = nil }, func() { f.Without = nil }, func() { f.MinRating = 0 }, func() { f.Verified = false },
	} {
		if z.rng.IntN(2) == 0 {
			drop()
		}
	}
	return f
}

// values are the choices of a facet that an agent counts for.
func (z *bazaar) values(param string, a *market.Agent) (values []string) {
	low := slices.MinFunc(a.Offers(), func(a, b market.Offer) int { return cmp.Compare(a.Price.Amount, b.Price.Amount) }).Price.Amount
	switch param {
	case FacetCategory:
		values = append(values, string(a.Category))
		if p := z.shelves[a.Category]; p != "" {
			values = append(values, string(p))
		}
	case FacetPrice:
		switch {
		case low == 0:
			return []string{"free"}
		case low < 1000:
			return []string{"under-10"}
		case low <= 5000:
			return []string{"10-50"}
		}
		return []string{"over-50"}
	case FacetType:
		for _, o := range a.Offers() {
			values = append(values, map[bool]string{true: "license", false: "download"}[o.License])
		}
		slices.Sort(values)
		values = slices.Compact(values)
	case FacetRuntime:
		values = a.Facts.Runtimes
	case FacetWithout:
		for _, p := range market.Permissions {
			if a.Facts.Declared && !a.Facts.May(p) {
				values = append(values, string(p))
			}
		}
	case FacetRating:
		for stars := 1; stars <= 5; stars++ {
			if a.Rating.Mean() >= float64(stars) {
				values = append(values, strconv.Itoa(stars))
			}
		}
	case FacetVerified:
		if z.verified(a) {
			values = []string{"yes"}
		}
	}
	return values
}

func (z *bazaar) verified(a *market.Agent) bool {
	return slices.ContainsFunc(z.sellers, func(s market.Seller) bool { return s.ID == a.Seller && !s.Verified.IsZero() })
}

// passes reports whether an agent passes all filters, one aside.
func (z *bazaar) passes(f Filters, a *market.Agent, aside string) bool {
	anyOf := func(param string, chosen []string) bool {
		return len(chosen) == 0 || param == aside || slices.ContainsFunc(z.values(param, a), func(v string) bool { return slices.Contains(chosen, v) })
	}
	for _, p := range f.Without {
		if !slices.Contains(z.values(FacetWithout, a), string(p)) {
			return false
		}
	}
	if f.Seller != "" && a.Seller != f.Seller {
		return false
	}
	if len(f.Tags) > 0 && !slices.ContainsFunc(f.Tags, func(t market.Tag) bool { return slices.Contains(a.Tags, t) }) {
		return false
	}
	return anyOf(FacetCategory, texts(f.Categories)) && anyOf(FacetPrice, texts(f.Price)) && anyOf(FacetType, texts(f.Types)) &&
		anyOf(FacetRuntime, f.Runtimes) && (f.MinRating == 0 || aside == FacetRating || a.Rating.Mean() >= float64(f.MinRating)) &&
		(!f.Verified || aside == FacetVerified || z.verified(a))
}

func texts[V ~string](list []V) (out []string) {
	for _, v := range list {
		out = append(out, string(v))
	}
	return out
}

var allFacets = []string{FacetCategory, FacetPrice, FacetType, FacetRuntime, FacetWithout, FacetRating, FacetVerified}

// Facets count what the naive way counts, whatever is asked for, and all results can be
// paged through, each once, in the order asked for.
func TestFacetsCountWhatFiltersFind(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	for range 3 {
		db := storetest.Open(t)
		ix := start(t, Options{Dir: t.TempDir(), DB: db})
		z, lsn := newBazaar(t, db, rng, 150)
		ix.wait(lsn)
		for i := range z.agents { // changes: more segments, deletions
			if i%7 == 0 {
				z.agents[i].Category = "data"
				put(t, db, z.agents[i])
			}
		}
		ix.wait(db.DurableLSN())
		for range 60 {
			z.compare(ix, Query{Filters: z.filters(), Sort: Sorts[rng.IntN(len(Sorts))], Text: [...]string{"", "red"}[rng.IntN(2)]})
		}
	}
}

func (z *bazaar) compare(ix *running, q Query) {
	z.t.Helper()
	var want []market.AgentID
	counts := map[string]map[string]int{}
	for _, p := range allFacets {
		counts[p] = map[string]int{}
	}
	for i := range z.agents {
		a := &z.agents[i]
		if q.Text != "" && a.Name[:3] != q.Text {
			continue
		}
		if z.passes(q.Filters, a, "") {
			want = append(want, a.ID)
		}
		for _, p := range allFacets {
			if z.passes(q.Filters, a, p) {
				for _, v := range z.values(p, a) {
					counts[p][v]++
				}
			}
		}
	}
	res := ix.find(q)
	if res.Total != len(want) {
		z.t.Fatalf("%+v: finds %d, want %d", q, res.Total, len(want))
	}
	for _, p := range allFacets {
		got := map[string]int{}
		for _, c := range res.Facet(p) {
			got[c.Value] = c.Count
		}
		if !maps.Equal(got, counts[p]) {
			z.t.Fatalf("%+v: %s counts %v, want %v", q, p, got, counts[p])
		}
	}
	z.pages(ix, q, want)
}

func (z *bazaar) pages(ix *running, q Query, want []market.AgentID) {
	z.t.Helper()
	var got []market.AgentID
	q.Limit = 1 + z.rng.IntN(40)
	for {
		q.Offset = len(got)
		ids := ix.find(q).IDs
		got = append(got, ids...)
		if len(ids) < q.Limit {
			break
		}
	}
	if q.Sort != ByRelevance {
		z.inOrder(q.Sort, got)
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		z.t.Fatalf("%+v: pages have %d, want %d, or others", q, len(got), len(want))
	}
}

func (z *bazaar) inOrder(by Sort, ids []market.AgentID) {
	z.t.Helper()
	byID := map[market.AgentID]*market.Agent{}
	for i := range z.agents {
		byID[z.agents[i].ID] = &z.agents[i]
	}
	key := func(id market.AgentID) int64 {
		a := byID[id]
		switch by {
		case ByDate:
			return a.Updated.Unix()
		case ByPrice:
			return -lowest(a).Amount
		case ByRating:
			return int64(ratingOf(a.Rating))
		}
		return a.Popularity
	}
	sorted := slices.IsSortedFunc(ids, func(a, b market.AgentID) int {
		return cmp.Or(cmp.Compare(key(b), key(a)), cmp.Compare(byID[b].Popularity, byID[a].Popularity), cmp.Compare(a, b))
	})
	if !sorted {
		z.t.Fatalf("by %s: not in order", by)
	}
}

// Results are found on any page, however deep.
func TestPagesBeyondTheHeap(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for _, n := range []int{1, 13, 500, 3_000} {
		hits := make([]hit, n)
		seg := &segmentView{columns: &columns{popularity: make([]int64, n), ids: make([]market.AgentID, n)}}
		for i := range hits {
			seg.ids[i] = market.AgentID(fmt.Sprintf("%06d", i))
			hits[i] = hit{seg: seg, row: uint32(i), score: float64(rng.IntN(20))}
		}
		want := slices.Clone(hits)
		slices.SortFunc(want, compareHits)
		for range 50 {
			first := rng.IntN(n + 1)
			p := newTop(first, first+20)
			for _, i := range rng.Perm(n) {
				p.offer(hits[i])
			}
			got := p.page()
			if !slices.Equal(got, want[first:min(first+20, n)]) {
				t.Fatalf("the page at %d of %d is another", first, n)
			}
		}
	}
}

// A seller's new name and standing reach all its agents, a text its own, and a category's
// new place is that of its agents.
func TestFollowsWhatBelongsToAgents(t *testing.T) {
	db := storetest.Open(t)
	ix := start(t, Options{Dir: t.TempDir(), DB: db})
	z, lsn := newBazaar(t, db, rand.New(rand.NewPCG(3, 4)), 2*batchDocs+100)
	ix.wait(lsn)
	update := func(fn func(tx *store.Tx) error) {
		t.Helper()
		res, err := db.Update(context.Background(), tenant, store.Op{Class: store.UserData}, fn)
		if err != nil {
			t.Fatal(err)
		}
		ix.wait(res.LSN)
	}
	before := ix.find(Query{Filters: Filters{Seller: z.sellers[1].ID}}).Total
	update(func(tx *store.Tx) error {
		z.sellers[1].Name, z.sellers[1].Verified = "Kestrel Works", time.Unix(1e9, 0)
		return store.Sellers.Put(tx, &z.sellers[1])
	})
	if res := ix.find(Query{Text: "kestrel", Filters: Filters{Verified: true}}); res.Total != before || before == 0 {
		t.Errorf("finds %d of the renamed seller, want %d", res.Total, before)
	}
	update(func(tx *store.Tx) error {
		return store.Texts.Put(tx, &market.AgentText{Agent: z.agents[0].ID, Description: "Counts *albatrosses*."})
	})
	if got := ix.find(Query{Text: "albatross"}).IDs; !slices.Equal(got, []market.AgentID{z.agents[0].ID}) {
		t.Errorf("finds %v by the description, want %v", got, z.agents[0].ID)
	}
	update(func(tx *store.Tx) error {
		z.shelves["tests"] = "data"
		return store.Shelves.Put(tx, &market.Shelf{Category: "tests", Title: "Tests", Parent: "data"})
	})
	z.compare(ix, Query{Filters: in("data")})
}

// No query is refused but for its limits, none fails, and its facets add up, whatever its
// text and filters are.
func FuzzFilters(f *testing.F) {
	db := storetest.Open(f)
	ix := start(f, Options{Dir: f.TempDir(), DB: db})
	_, lsn := newBazaar(f, db, rand.New(rand.NewPCG(7, 8)), 120)
	ix.wait(lsn)
	f.Add("red", "coding", "alpha", "node", uint16(0), 3, 0, "popular")
	f.Add("\xff*", "", "-", "\x00", uint16(0xffff), -1, 1<<30, "price")
	f.Add("seller:x \"red green\" -blue", "data", "beta", "docker", uint16(0x35a), 5, 7, "")
	f.Fuzz(func(t *testing.T, text, category, tag, runtime string, set uint16, rating, offset int, sort string) {
		q := Query{Tenant: tenant, Text: text, Facets: true, Offset: offset, Sort: Sort(sort), Filters: Filters{MinRating: rating, Verified: set&1 != 0}}
		if set&2 != 0 {
			q.Filters.Categories = []market.Category{market.Category(category), "data"}
		}
		if set&4 != 0 {
			q.Filters.Tags = []market.Tag{market.Tag(tag)}
		}
		if set&8 != 0 {
			q.Filters.Runtimes = []string{runtime}
		}
		for i, p := range PriceBands {
			if set&(16<<i) != 0 {
				q.Filters.Price = append(q.Filters.Price, p)
			}
		}
		for i, p := range market.Permissions {
			if set&(256<<i) != 0 {
				q.Filters.Without = append(q.Filters.Without, p)
			}
		}
		res, err := ix.Search(context.Background(), q)
		if err != nil && !market.Is(err, market.Invalid) {
			t.Fatal(err)
		}
		sum := 0
		for _, c := range res.Facet(FacetPrice) {
			if len(q.Filters.Price) == 0 || slices.Contains(q.Filters.Price, PriceBand(c.Value)) {
				sum += c.Count
			}
		}
		if sum != res.Total {
			t.Errorf("%+v: finds %d, and %d by price", q, res.Total, sum)
		}
		res.Highlights.In(text + category)
		if _, err := ix.Suggest(context.Background(), SuggestQuery{Tenant: tenant, Text: text}); err != nil {
			t.Fatal(err)
		}
	})
}
