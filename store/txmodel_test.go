package store

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/souk-market/souk/internal/market"
)

// agentMap is the model of a tenant's agents.
type agentMap map[market.AgentID]market.Agent

// txModel does random reads and writes in a transaction and on a map, one scan within the
// other, and compares all that is read.
type txModel struct {
	*testing.T
	rng    *rand.Rand
	tx     *Tx
	agents agentMap
	steps  int // that may still be done
	kept   *[]keptAgent
}

// keptAgent is a record that outlives its transaction, and how it looked inside.
type keptAgent struct {
	got  market.Agent
	look string
}

// modelTexts are names of many lengths, around the one where the length takes two bytes.
var modelTexts = func() (texts []string) {
	for _, n := range []int{1, 2, 3, 126, 127, 128, 129, 255, 256, 384} {
		for _, c := range []string{"a", "m", "~"} {
			texts = append(texts, strings.Repeat(c, n))
		}
	}
	return texts
}()

func (m *txModel) text() string { return modelTexts[m.rng.IntN(len(modelTexts))] }

func (m *txModel) id() market.AgentID { return market.AgentID(m.text()) }

func (m *txModel) randomAgent() market.Agent {
	a := market.Agent{
		ID: m.id(), Slug: m.text(), Name: fmt.Sprint(m.rng.IntN(1000)), Popularity: int64(m.rng.IntN(3)),
		Category: market.Category([]string{"", "tool", "toolbox"}[m.rng.IntN(3)]), Seller: "sel_1",
		State:   []market.ListingState{market.ListingPublished, market.ListingPublished, market.ListingDraft}[m.rng.IntN(3)],
		Release: market.Release{File: market.File{OnDemand: true}},
	}
	if m.rng.IntN(3) == 0 {
		a.ExternalID = m.text()
	}
	if m.rng.IntN(20) == 0 {
		a.Summary = strings.Repeat(a.Name, 5_000) // beyond what is left of an arena
	}
	return a
}

// step does something at random; what is read within a scan may scan itself.
func (m *txModel) step() {
	if m.steps--; m.steps < 0 {
		return
	}
	switch m.rng.IntN(12) {
	case 0, 1, 2:
		m.write(Agents.Insert, true)
	case 3, 4, 5:
		m.write(Agents.Put, false)
	case 6:
		id := m.id()
		if err := Agents.Delete(m.tx, id); err != nil {
			m.Fatal(err)
		}
		delete(m.agents, id)
	case 7:
		m.load()
	case 8:
		m.all()
	case 9:
		m.scan(func(a *market.Agent) bool { return a.Visible() }, func(c Cursor) func(func(Row[market.Agent], error) bool) {
			return PopularAgents.Scan(m.tx, All{}, c)
		})
	case 10:
		category := market.Category([]string{"", "tool", "toolbox", "to"}[m.rng.IntN(4)])
		in := func(a *market.Agent) bool { return a.Visible() && a.Category == category }
		m.scan(in, func(c Cursor) func(func(Row[market.Agent], error) bool) {
			return AgentsInCategory.Scan(m.tx, category, c)
		})
	case 11:
		m.counts()
	}
}

func (m *txModel) write(write func(*Tx, *market.Agent) error, isNew bool) {
	a := m.randomAgent()
	err := write(m.tx, &a)
	_, exists := m.agents[a.ID]
	conflict := exists && isNew
	for id, other := range m.agents {
		conflict = conflict || id != a.ID && (other.Slug == a.Slug || a.ExternalID != "" && other.ExternalID == a.ExternalID)
	}
	if conflict != market.Is(err, market.Conflict) || err != nil && !conflict {
		m.Fatalf("writing %.9s (%d bytes), slug %.9s (%d): %v; a conflict: %t", a.ID, len(a.ID), a.Slug, len(a.Slug), err, conflict)
	}
	if err == nil {
		m.agents[a.ID] = a
	}
}

func (m *txModel) load() {
	id, slug := m.id(), m.text()
	got, err := Agents.Load(m.tx, id)
	want, exists := m.agents[id]
	m.compare(got, err, want, exists)
	has, err := Agents.Has(m.tx, id)
	if has != exists || err != nil {
		m.Fatalf("has %.9s: %t (%v), want %t", id, has, err, exists)
	}
	bySlug, err := AgentBySlug.Load(m.tx, slug)
	for _, want := range m.agents {
		if want.Slug == slug {
			m.compare(bySlug, err, want, true)
			return
		}
	}
	m.compare(bySlug, err, market.Agent{}, false)
}

func (m *txModel) compare(got market.Agent, err error, want market.Agent, exists bool) {
	m.Helper()
	if exists != (err == nil) || err != nil && !market.Is(err, market.NotFound) {
		m.Fatalf("reading: %v; it exists: %t", err, exists)
	}
	if exists && !reflect.DeepEqual(got, want) {
		m.Fatalf("got %.200s, want %.200s", fmt.Sprintf("%+v", got), fmt.Sprintf("%+v", want))
	}
	if exists && m.rng.IntN(4) == 0 {
		*m.kept = append(*m.kept, keptAgent{got, fmt.Sprintf("%+v", got)})
	}
}

// all scans the table from somewhere; what is written meanwhile isn't met.
func (m *txModel) all() {
	var after market.AgentID
	if m.rng.IntN(2) == 0 {
		after = m.id()
	}
	began := maps.Clone(m.agents)
	var want []market.AgentID
	for id := range began {
		if after == "" || bytes.Compare(placeOf(id), placeOf(after)) > 0 {
			want = append(want, id)
		}
	}
	slices.SortFunc(want, func(a, b market.AgentID) int { return bytes.Compare(placeOf(a), placeOf(b)) })
	for got, err := range Agents.All(m.tx, after) {
		if len(want) == 0 {
			m.Fatalf("met %.9s (%v) behind the last", got.ID, err)
		}
		m.compare(got, err, began[want[0]], true)
		if want = want[1:]; m.rng.IntN(20) == 0 {
			return
		}
		m.step()
	}
	if len(want) > 0 {
		m.Fatalf("%d records not met", len(want))
	}
}

func placeOf(id market.AgentID) []byte { return tuple(nil).text(string(id)) }

// scan walks an index from a cursor. It meets the places of the moment when it began,
// with the records as they are by then.
func (m *txModel) scan(in func(*market.Agent) bool, rows func(Cursor) func(func(Row[market.Agent], error) bool)) {
	var want []market.Agent
	for _, a := range m.agents {
		if in(&a) {
			want = append(want, a)
		}
	}
	slices.SortFunc(want, func(a, b market.Agent) int {
		if a.Popularity != b.Popularity {
			return int(b.Popularity - a.Popularity)
		}
		return bytes.Compare(placeOf(a.ID), placeOf(b.ID))
	})
	var from Cursor
	if len(want) > 0 && m.rng.IntN(2) == 0 {
		at := m.rng.IntN(len(want))
		from = cursorAt(append(tuple(nil).uint(largestFirst(want[at].Popularity).n), placeOf(want[at].ID)...))
		want = want[at+1:]
	}
	next := func() {
		for len(want) > 0 {
			if _, there := m.agents[want[0].ID]; there {
				return
			}
			want = want[1:]
		}
	}
	for row, err := range rows(from) {
		if next(); len(want) == 0 {
			m.Fatalf("met %.9s (%v) behind the last", row.Record.ID, err)
		}
		m.compare(row.Record, err, m.agents[want[0].ID], true)
		if want = want[1:]; m.rng.IntN(20) == 0 {
			return
		}
		m.step()
	}
	if next(); len(want) > 0 {
		m.Fatalf("%d rows not met", len(want))
	}
}

func (m *txModel) counts() {
	want := map[market.Category]int{}
	for _, a := range m.agents {
		if a.Visible() {
			want[a.Category]++
		}
	}
	got, err := Counts(m.tx, AgentsInCategory)
	if err != nil || !maps.Equal(got, want) {
		m.Fatalf("the counts are %v (%v), want %v", got, err, want)
	}
}

// TestTransactionReadsLikeAMap: in a random transaction each read sees what was written
// before it, beside transactions that fail or panic, tenants, and openings of the
// database; and what was read stays as it is when the transaction is over.
func TestTransactionReadsLikeAMap(t *testing.T) {
	for seed := range uint64(8) {
		rng := rand.New(rand.NewPCG(seed, 5))
		disk := &testDisk{t, Options{Dir: "db", FS: vfs.NewMem()}}
		db := disk.open()
		worlds := map[market.TenantID]agentMap{"a": {}, "ab": {}, "b": {}}
		var kept []keptAgent
		for range 60 {
			of := []market.TenantID{"a", "ab", "b"}[rng.IntN(3)]
			ending := rng.IntN(6)
			var m *txModel
			_, err := db.Update(t.Context(), of, Op{}, func(tx *Tx) error {
				m = &txModel{T: t, rng: rng, tx: tx, agents: maps.Clone(worlds[of]), steps: 5 + rng.IntN(60), kept: &kept}
				for m.steps > 0 {
					m.step()
				}
				switch ending {
				case 0:
					return errDropped
				case 1:
					panic("dropped")
				}
				return nil
			})
			switch {
			case ending > 1 && err == nil:
				worlds[of] = m.agents
			case err == nil || ending > 1 || ending == 0 && !errors.Is(err, errDropped):
				t.Fatalf("seed %d: the transaction ends with %v", seed, err)
			}
			if rng.IntN(20) == 0 {
				disk.close(db)
				db = disk.open()
			}
			if rng.IntN(5) == 0 { // as a server with many tenants has it
				for i := range maxFrontier - len(db.frontier) - rng.IntN(4) {
					db.frontier[fmt.Sprint(i)] = nil
				}
			}
		}
		for _, k := range kept {
			if now := fmt.Sprintf("%+v", k.got); now != k.look {
				t.Fatalf("seed %d: a record that was read has changed from %.200s to %.200s", seed, k.look, now)
			}
		}
	}
}
