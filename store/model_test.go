package store_test

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"iter"
	"maps"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/souk-market/souk/internal/market"
	"github.com/souk-market/souk/store"
	"github.com/souk-market/souk/store/storetest"
)

var (
	histories = flag.Int("histories", 100, "random histories in TestModel")
	firstSeed = flag.Uint64("seed", 0, "seed of the first history in TestModel")
)

// TestModel runs random histories of transactions over three tenants, with faults and
// power cuts, on the store and on plain maps. Both must answer everything alike: every
// error, every record, every unique name, every index in order, every count.
func TestModel(t *testing.T) {
	var sum modelStats
	for i := range uint64(*histories) {
		h := newHistory(t, *firstSeed+i)
		h.run(40)
		sum.add(h.stats)
		if t.Failed() {
			t.Fatalf("this was history %d: run it alone with -histories=1 -seed=%[1]d", h.seed)
		}
	}
	t.Logf("%d histories: %+v", *histories, sum)
	if sum.commits == 0 || sum.conflicts == 0 || sum.repeated == 0 || sum.cuts == 0 || sum.dropped == 0 {
		t.Errorf("the histories miss something: %+v", sum)
	}
}

type modelStats struct{ commits, conflicts, repeated, dropped, cuts, compared int }

func (s *modelStats) add(o modelStats) {
	s.commits += o.commits
	s.conflicts += o.conflicts
	s.repeated += o.repeated
	s.dropped += o.dropped
	s.cuts += o.cuts
	s.compared += o.compared
}

// shelf is the model of a tenant: its agents.
type shelf map[market.AgentID]market.Agent

type history struct {
	*testing.T
	seed  uint64
	rng   *rand.Rand
	disk  *storetest.Disk
	db    *store.DB
	model map[market.TenantID]shelf
	done  map[string]string // results of operations, by tenant and ID
	lsn   store.LSN
	stats modelStats
}

var modelTenants = []market.TenantID{"a", "ab", "ten_main"}

func newHistory(t *testing.T, seed uint64) *history {
	h := &history{T: t, seed: seed, rng: rand.New(rand.NewPCG(seed, 9)), disk: storetest.NewDisk(), model: map[market.TenantID]shelf{}, done: map[string]string{}}
	for _, tenant := range modelTenants {
		h.model[tenant] = shelf{}
	}
	h.open()
	return h
}

func (h *history) open() {
	h.db = h.disk.OpenWith(h.T, store.Options{Faults: store.NewFaults(h.rng.Uint64())})
}

func (h *history) run(steps int) {
	for range steps {
		if h.rng.IntN(15) == 0 {
			h.cutPower()
		}
		h.transaction()
		if h.rng.IntN(4) == 0 {
			h.compare(modelTenants[h.rng.IntN(len(modelTenants))])
		}
		if h.Failed() {
			break
		}
	}
	h.cutPower()
	storetest.Check(h.T, h.db)
	if err := h.db.Close(); err != nil {
		h.Error(err)
	}
}

// cutPower goes on with what the disk has kept. Everything was acknowledged, so all of
// it must be there.
func (h *history) cutPower() {
	h.stats.cuts++
	old := h.db
	h.disk = h.disk.Crash([]int{0, 30, 100}[h.rng.IntN(3)], h.rng)
	h.open()
	if err := old.Close(); err != nil {
		h.Error(err)
	}
	if h.db.LastLSN() != h.lsn {
		h.Errorf("after a power cut the last commit is %d, want %d", h.db.LastLSN(), h.lsn)
	}
	for _, tenant := range modelTenants {
		h.compare(tenant)
	}
}

// write is one write of a transaction, decided before it runs: fn may run twice.
type write struct {
	what  string // insert, put or delete
	agent market.Agent
}

func (h *history) randomWrite() write {
	pick := func(n int) int { return h.rng.IntN(n) }
	a := market.Agent{
		ID: market.AgentID(fmt.Sprintf("agt_%02d", pick(14))), Slug: fmt.Sprint("slug", pick(10)), Name: fmt.Sprint(pick(100)),
		Category: market.Category([]string{"", "a", "tool", "toolbox"}[pick(4)]), Popularity: int64(pick(4)),
		Seller:  market.SellerID([]string{"sel_1", "sel_2"}[pick(2)]),
		State:   []market.ListingState{market.ListingPublished, market.ListingPublished, market.ListingPaused, market.ListingDraft}[pick(4)],
		Updated: time.Unix(int64(pick(5)), int64(pick(2))*1_234_567).UTC(), Release: market.Release{File: market.File{OnDemand: true}},
	}
	if pick(3) > 0 {
		a.ExternalID = fmt.Sprint("pypi:", pick(8))
	}
	return write{[]string{"insert", "put", "put", "delete"}[pick(4)], a}
}

// apply does a write on the model and returns the kind of its error, Internal for none.
func (s shelf) apply(w write) (kind market.Kind) {
	old, exists := s[w.agent.ID]
	if w.what == "delete" {
		delete(s, w.agent.ID)
		return market.Internal
	}
	if w.what == "insert" && exists {
		return market.Conflict
	}
	for id, other := range s {
		if id == old.ID && exists {
			continue
		}
		if other.Slug == w.agent.Slug || w.agent.ExternalID != "" && other.ExternalID == w.agent.ExternalID {
			return market.Conflict
		}
	}
	s[w.agent.ID] = w.agent
	return market.Internal
}

func applyToStore(tx *store.Tx, w write) error {
	a := w.agent
	switch w.what {
	case "insert":
		return store.Agents.Insert(tx, &a)
	case "put":
		return store.Agents.Put(tx, &a)
	}
	return store.Agents.Delete(tx, a.ID)
}

var errDropped = errors.New("dropped")

// transaction runs some random writes in one transaction. Conflicts are caught, as a
// use-case may do; some transactions are dropped in the end; some are operations, and
// some of those have been done before.
func (h *history) transaction() {
	tenant := modelTenants[h.rng.IntN(len(modelTenants))]
	writes := make([]write, 1+h.rng.IntN(6))
	for i := range writes {
		writes[i] = h.randomWrite()
	}
	op := ""
	if h.rng.IntN(2) == 0 {
		op = fmt.Sprint("op", h.rng.IntN(60))
	}
	drop := h.rng.IntN(8) == 0
	result := fmt.Sprint(h.rng.Uint32())
	doneKey := string(tenant) + "/" + op
	before, repeated := h.done[doneKey]
	repeated = repeated && op != ""

	next := maps.Clone(h.model[tenant])
	wrote := op != ""
	kinds := make([]market.Kind, len(writes))
	for i, w := range writes {
		_, there := next[w.agent.ID]
		kinds[i] = next.apply(w)
		wrote = wrote || kinds[i] == market.Internal && (w.what != "delete" || there)
	}

	res, err := h.db.Update(context.Background(), tenant, store.Op{ID: op}, func(tx *store.Tx) error {
		for i, w := range writes {
			err := applyToStore(tx, w)
			if (err != nil) != (kinds[i] == market.Conflict) || err != nil && market.KindOf(err) != kinds[i] {
				h.Errorf("%s %+v: %v, want kind %v", w.what, w.agent, err, kinds[i])
			}
			if err != nil {
				h.stats.conflicts++
			}
		}
		tx.SetResult([]byte(result))
		if drop {
			return errDropped
		}
		return nil
	})
	switch {
	case repeated:
		h.stats.repeated++
		if err != nil || string(res.Value) != before || !res.Repeated {
			h.Errorf("repeating %s: %+v, %v, want %q", doneKey, res, err, before)
		}
		return
	case drop:
		h.stats.dropped++
		if !errors.Is(err, errDropped) {
			h.Errorf("a dropped transaction: %v", err)
		}
		return
	case err != nil:
		h.Errorf("a transaction: %v", err)
		return
	}
	if string(res.Value) != result {
		h.Errorf("the result is %q, want %q", res.Value, result)
	}
	if wrote {
		h.stats.commits++
		h.lsn++
	}
	if h.db.LastLSN() != h.lsn || h.db.DurableLSN() != h.lsn {
		h.Errorf("the store is at %d (durable %d), want %d", h.db.LastLSN(), h.db.DurableLSN(), h.lsn)
	}
	h.model[tenant] = next
	if op != "" {
		h.done[doneKey] = result
	}
}

// compare reads everything of a tenant in every way and compares it with the model.
func (h *history) compare(tenant market.TenantID) {
	h.stats.compared++
	want := h.model[tenant]
	err := h.db.View(context.Background(), tenant, func(tx *store.ReadTx) error {
		everybody := sorted(want, func(market.Agent) bool { return true }, func(a, b market.Agent) int { return 0 })
		var got []market.Agent
		for a, err := range store.Agents.All(tx, "") {
			if err != nil {
				return err
			}
			got = append(got, a)
		}
		h.same("all", everybody, got)
		slugs := map[string]bool{}
		for _, a := range want {
			slugs[a.Slug] = true
			bySlug, err := store.AgentBySlug.Load(tx, a.Slug)
			h.same("slug "+a.Slug, a, bySlug)
			if err != nil {
				return err
			}
			if a.ExternalID == "" {
				continue
			}
			byExt, err := store.AgentByExternal.Load(tx, a.ExternalID)
			h.same("external ID "+a.ExternalID, a, byExt)
			if err != nil {
				return err
			}
		}
		for i := range 10 {
			if slug := fmt.Sprint("slug", i); !slugs[slug] {
				if _, err := store.AgentBySlug.Load(tx, slug); !market.Is(err, market.NotFound) {
					h.Errorf("the slug %s that nobody has: %v", slug, err)
				}
			}
		}
		return h.compareIndexes(tx, want)
	})
	if err != nil {
		h.Error(err)
	}
}

func (h *history) compareIndexes(tx *store.ReadTx, want shelf) error {
	popularity := func(a, b market.Agent) int { return cmp.Compare(b.Popularity, a.Popularity) }
	visible := func(a market.Agent) bool { return a.Visible() }
	h.sameIndex("popular", sorted(want, visible, popularity), store.PopularAgents.Scan(tx, store.All{}, ""))
	h.sameIndex("newest", sorted(want, visible, func(a, b market.Agent) int {
		return cmp.Compare(b.Updated.UnixMilli(), a.Updated.UnixMilli())
	}), store.NewestAgents.Scan(tx, store.All{}, ""))
	n, err := store.PopularAgents.Count(tx, store.All{})
	h.same("the number of popular agents", len(sorted(want, visible, popularity)), n)
	if err != nil {
		return err
	}
	wantCounts := map[market.Category]int{}
	for _, category := range []market.Category{"", "a", "tool", "toolbox"} {
		in := sorted(want, func(a market.Agent) bool { return a.Visible() && a.Category == category }, popularity)
		h.sameIndex("category "+string(category), in, store.AgentsInCategory.Scan(tx, category, ""))
		if len(in) > 0 {
			wantCounts[category] = len(in)
		}
	}
	counts, err := store.Counts(tx, store.AgentsInCategory)
	h.same("the counts of categories", wantCounts, counts)
	if err != nil {
		return err
	}
	for _, seller := range []market.SellerID{"sel_1", "sel_2"} {
		of := sorted(want, func(a market.Agent) bool { return a.Seller == seller }, func(a, b market.Agent) int { return 0 })
		h.sameIndex("seller "+string(seller), of, store.AgentsOfSeller.Scan(tx, seller, ""))
		n, err := store.AgentsOfSeller.Count(tx, seller)
		h.same("the number of agents of "+string(seller), len(of), n)
		if err != nil {
			return err
		}
	}
	return nil
}

func (h *history) same(what string, want, got any) {
	h.Helper()
	if !reflect.DeepEqual(want, got) { // Diff is slow where there is none
		h.Errorf("%s differs:\n%s", what, gocmp.Diff(want, got))
	}
}

// sameIndex compares an index with the agents that should be in it.
func (h *history) sameIndex(what string, want []market.Agent, rows iter.Seq2[store.Row[market.Agent], error]) {
	h.Helper()
	var got []market.Agent
	for row, err := range rows {
		if err != nil {
			h.Error(err)
			return
		}
		got = append(got, row.Record)
	}
	h.same(what, want, got)
}

// sorted returns the agents that are in an index in its order; equal ones by ID.
func sorted(s shelf, in func(market.Agent) bool, order func(a, b market.Agent) int) (agents []market.Agent) {
	for _, a := range s {
		if in(a) {
			agents = append(agents, a)
		}
	}
	slices.SortFunc(agents, func(a, b market.Agent) int { return cmp.Or(order(a, b), cmp.Compare(a.ID, b.ID)) })
	return agents
}
