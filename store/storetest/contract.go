package storetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/souk-market/souk/internal/market"
	"github.com/souk-market/souk/store"
)

// Contract holds an engine to what store promises its callers, whatever the engine and
// whether it misbehaves within the contract or not. open opens an empty database that is
// checked and closed when the test ends; it sets what Options it needs beyond those given.
// What the contract says of time (the limit of a transaction, a transaction inside of
// another) and of disks is for the tests of each engine.
func Contract(t *testing.T, open func(t testing.TB, o store.Options) *store.DB) {
	for _, promise := range []struct {
		name string
		test func(*contract)
	}{
		{"what Update returned is there", (*contract).committedIsThere},
		{"a view is one moment", (*contract).viewIsOneMoment},
		{"a transaction reads its own writes", (*contract).ownWrites},
		{"a transaction that fails leaves nothing", (*contract).failureLeavesNothing},
		{"a transaction that writes nothing makes no commit", (*contract).nothingWritten},
		{"a transaction is valid inside its function only", (*contract).validInside},
		{"Insert writes only where nothing is", (*contract).insertIsNew},
		{"a Conflict that is caught leaves nothing half written", (*contract).caughtConflict},
		{"Put and Delete keep indexes and counts", (*contract).indexesFollow},
		{"tenants are apart", (*contract).tenantsApart},
		{"empty names and values", (*contract).emptyValues},
		{"an operation takes effect once", (*contract).operationOnce},
		{"an unknown outcome is asked for again", (*contract).unknownOutcome},
		{"transactions are serializable", (*contract).serializable},
		{"limits hold to the byte", (*contract).limits},
		{"scans are ordered and go on after a cursor", (*contract).scans},
		{"a scan isn't disturbed by writes of its transaction", (*contract).scanWhileWriting},
		{"a canceled context is refused", (*contract).canceled},
		{"the feed is complete and in order", (*contract).feed},
		{"a closed store is unavailable", (*contract).closed},
	} {
		t.Run(promise.name, func(t *testing.T) { promise.test(&contract{t, open}) })
	}
}

type contract struct {
	*testing.T
	open func(t testing.TB, o store.Options) *store.DB
}

const main = market.MainTenant

// update runs fn and fails the test when it can't be committed.
func (t *contract) update(db *store.DB, tenant market.TenantID, fn func(tx *store.Tx) error) store.Result {
	t.Helper()
	res, err := db.Update(t.Context(), tenant, store.Op{}, fn)
	if err != nil {
		t.Fatal(err)
	}
	return res
}

func (t *contract) view(db *store.DB, tenant market.TenantID, fn func(tx *store.ReadTx) error) {
	t.Helper()
	if err := db.View(t.Context(), tenant, fn); err != nil {
		t.Fatal(err)
	}
}

func agent(id, slug string, popularity int64) *market.Agent {
	return &market.Agent{
		ID: market.AgentID("agt_" + id), Seller: "sel_1", Slug: slug, Name: slug, Category: "tool",
		Popularity: popularity, State: market.ListingPublished, Release: market.Release{File: market.File{OnDemand: true}},
	}
}

func event(id string) *market.ProviderEvent { return &market.ProviderEvent{ID: id} }

// shelf lists the slugs of the popular agents, and fails when the counts disagree.
func (t *contract) shelf(tx store.Reader) (slugs []string) {
	t.Helper()
	for row, err := range store.PopularAgents.Scan(tx, store.All{}, "") {
		if err != nil {
			t.Fatal(err)
		}
		slugs = append(slugs, row.Record.Slug)
	}
	if n, err := store.PopularAgents.Count(tx, store.All{}); err != nil || n != len(slugs) {
		t.Errorf("the count is %d (%v) for %v", n, err, slugs)
	}
	return slugs
}

func (t *contract) wantShelf(tx store.Reader, want ...string) {
	t.Helper()
	if got := t.shelf(tx); !slices.Equal(got, want) {
		t.Errorf("on the shelf: %v, want %v", got, want)
	}
}

func wantKind(t testing.TB, err error, want market.Kind) {
	t.Helper()
	if !market.Is(err, want) {
		t.Errorf("the error is %v, want one that is %v", err, want)
	}
}

func (t *contract) committedIsThere() {
	db := t.open(t, store.Options{})
	a := agent("1", "ada", 7)
	a.Created = time.Date(2026, 2, 3, 4, 5, 6, 789_000_001, time.UTC)
	res := t.update(db, main, func(tx *store.Tx) error {
		tx.SetResult([]byte("done"))
		return store.Agents.Insert(tx, a)
	})
	if res.LSN != 1 || string(res.Value) != "done" || res.Repeated {
		t.Errorf("the result is %+v, want LSN 1 and \"done\"", res)
	}
	if db.DurableLSN() != res.LSN || db.LastLSN() != res.LSN {
		t.Errorf("durable up to %d of %d, want %d", db.DurableLSN(), db.LastLSN(), res.LSN)
	}
	t.view(db, main, func(tx *store.ReadTx) error {
		got, err := store.Agents.Load(tx, a.ID)
		if diff := cmp.Diff(*a, got); diff != "" || err != nil {
			t.Errorf("the record came back otherwise (%v):\n%s", err, diff)
		}
		bySlug, err := store.AgentBySlug.Load(tx, "ada")
		if bySlug.ID != a.ID || err != nil {
			t.Errorf("by slug: %q, %v", bySlug.ID, err)
		}
		if ok, err := store.Agents.Has(tx, a.ID); !ok || err != nil {
			t.Errorf("has: %t, %v", ok, err)
		}
		return nil
	})
}

func (t *contract) viewIsOneMoment() {
	db := t.open(t, store.Options{})
	t.update(db, main, func(tx *store.Tx) error { return store.Agents.Insert(tx, agent("1", "ada", 1)) })
	t.view(db, main, func(tx *store.ReadTx) error {
		t.update(db, main, func(tx *store.Tx) error {
			if err := store.Agents.Delete(tx, "agt_1"); err != nil {
				return err
			}
			return store.Agents.Insert(tx, agent("2", "bob", 2))
		})
		t.wantShelf(tx, "ada")
		_, err := store.AgentBySlug.Load(tx, "bob")
		wantKind(t, err, market.NotFound)
		return nil
	})
	t.view(db, main, func(tx *store.ReadTx) error { t.wantShelf(tx, "bob"); return nil })
}

func (t *contract) ownWrites() {
	db := t.open(t, store.Options{})
	t.update(db, main, func(tx *store.Tx) error {
		for i, slug := range []string{"ada", "bob", "cyd"} {
			if err := store.Agents.Insert(tx, agent(slug, slug, int64(i))); err != nil {
				return err
			}
		}
		t.wantShelf(tx, "cyd", "bob", "ada")
		if err := store.Agents.Delete(tx, "agt_cyd"); err != nil {
			return err
		}
		if err := store.Agents.Put(tx, agent("ada", "ada", 9)); err != nil {
			return err
		}
		t.wantShelf(tx, "ada", "bob")
		_, err := store.AgentBySlug.Load(tx, "cyd")
		wantKind(t, err, market.NotFound)
		return db.View(t.Context(), main, func(before *store.ReadTx) error {
			t.wantShelf(before) // nobody else sees them yet
			return nil
		})
	})
	t.view(db, main, func(tx *store.ReadTx) error { t.wantShelf(tx, "ada", "bob"); return nil })
}

func (t *contract) failureLeavesNothing() {
	db := t.open(t, store.Options{})
	boom := errors.New("boom")
	for name, end := range map[string]func() error{
		"error":   func() error { return boom },
		"panic":   func() error { panic(boom) },
		"goexit":  func() error { runtime.Goexit(); return nil },
		"unknown": func() error { return fmt.Errorf("another store says: %w", store.ErrUnknownOutcome) },
	} {
		var err error
		var wg sync.WaitGroup
		wg.Go(func() { // Goexit ends its goroutine
			err = errors.New("nothing returned")
			_, err = db.Update(t.Context(), main, store.Op{ID: name}, func(tx *store.Tx) error {
				if err := store.Agents.Insert(tx, agent("1", name, 1)); err != nil {
					return err
				}
				return end()
			})
		})
		wg.Wait()
		if err == nil {
			t.Errorf("%s: no error", name)
		}
		if name == "error" && !errors.Is(err, boom) {
			t.Errorf("the error is %v, want fn's own", err)
		}
		t.view(db, main, func(tx *store.ReadTx) error { t.wantShelf(tx); return nil })
	}
	if got := db.LastLSN(); got != 0 {
		t.Errorf("LSN %d, want 0", got)
	}
	// The writer's turn was given back each time, and no operation counts as done.
	res, err := db.Update(t.Context(), main, store.Op{ID: "panic"}, func(tx *store.Tx) error {
		return store.Agents.Insert(tx, agent("1", "ada", 1))
	})
	if err != nil || res.LSN != 1 {
		t.Errorf("afterwards: %+v, %v", res, err)
	}
}

func (t *contract) nothingWritten() {
	db := t.open(t, store.Options{})
	for range 3 {
		res := t.update(db, main, func(tx *store.Tx) error {
			tx.SetResult([]byte("seen"))
			return store.Agents.Delete(tx, "agt_absent")
		})
		if res.LSN != 0 || string(res.Value) != "seen" {
			t.Errorf("the result is %+v, want LSN 0 and \"seen\"", res)
		}
	}
	if got := db.LastLSN(); got != 0 {
		t.Errorf("LSN %d, want 0", got)
	}
}

func (t *contract) validInside() {
	db := t.open(t, store.Options{})
	var tx *store.Tx
	var read *store.ReadTx
	t.update(db, main, func(now *store.Tx) error { tx = now; return store.Events.Insert(now, event("a")) })
	t.view(db, main, func(now *store.ReadTx) error { read = now; return nil })
	for name, use := range map[string]func(){
		"write": func() { store.Events.Insert(tx, event("b")) },
		"read":  func() { store.Events.Load(tx, "a") },
		"view":  func() { store.Events.Load(read, "a") },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s after the end: no panic", name)
				}
			}()
			use()
		}()
	}
}

func (t *contract) insertIsNew() {
	db := t.open(t, store.Options{})
	t.update(db, main, func(tx *store.Tx) error { return store.Agents.Insert(tx, agent("1", "ada", 1)) })
	for name, a := range map[string]*market.Agent{
		"same key":         agent("1", "bob", 1),
		"same slug":        agent("2", "ada", 1),
		"same both":        agent("1", "ada", 1),
		"no key":           {Slug: "x"},
		"put on same slug": agent("3", "ada", 1),
	} {
		write := store.Agents.Insert
		if strings.HasPrefix(name, "put") {
			write = store.Agents.Put
		}
		_, err := db.Update(t.Context(), main, store.Op{}, func(tx *store.Tx) error { return write(tx, a) })
		if name == "no key" {
			wantKind(t, err, market.Internal)
		} else {
			wantKind(t, err, market.Conflict)
		}
	}
	// Two of one name in one transaction collide too, and a name given up is free at once.
	_, err := db.Update(t.Context(), main, store.Op{}, func(tx *store.Tx) error {
		if err := store.Agents.Put(tx, agent("1", "eve", 1)); err != nil {
			return err
		}
		if err := store.Agents.Insert(tx, agent("2", "ada", 2)); err != nil {
			return err
		}
		return store.Agents.Insert(tx, agent("3", "eve", 3))
	})
	wantKind(t, err, market.Conflict)
	t.view(db, main, func(tx *store.ReadTx) error { t.wantShelf(tx, "ada"); return nil })
}

// caughtConflict: a function that tries a second name after the first was taken is
// common, and must not leave anything of the first try.
func (t *contract) caughtConflict() {
	db := t.open(t, store.Options{})
	first := agent("1", "ada", 1)
	first.ExternalID = "pypi:ada"
	t.update(db, main, func(tx *store.Tx) error { return store.Agents.Insert(tx, first) })
	t.update(db, main, func(tx *store.Tx) error {
		a := agent("2", "bob", 2)
		a.ExternalID = "pypi:ada" // the second of its unique names is taken
		wantKind(t, store.Agents.Insert(tx, a), market.Conflict)
		a.ExternalID = "pypi:bob"
		if err := store.Agents.Insert(tx, a); err != nil {
			return err
		}
		a.Slug, a.ExternalID = "free", "pypi:ada"
		wantKind(t, store.Agents.Put(tx, a), market.Conflict)
		return nil
	})
	t.view(db, main, func(tx *store.ReadTx) error { t.wantShelf(tx, "bob", "ada"); return nil })
}

func (t *contract) indexesFollow() {
	db := t.open(t, store.Options{})
	put := func(a *market.Agent) {
		t.update(db, main, func(tx *store.Tx) error { return store.Agents.Put(tx, a) })
	}
	a := agent("1", "ada", 1)
	put(a)
	steps := map[string]func(){
		"same again":    func() {},
		"other place":   func() { a.Popularity = 50 },
		"other name":    func() { a.Slug = "eve" },
		"out of it":     func() { a.State = market.ListingPaused },
		"and back":      func() { a.State = market.ListingPublished },
		"other prefix":  func() { a.Category = "other" },
		"name appears":  func() { a.ExternalID = "pypi:x" },
		"name vanishes": func() { a.ExternalID = "" },
	}
	for _, name := range slices.Sorted(maps.Keys(steps)) {
		steps[name]()
		put(a)
		t.view(db, main, func(tx *store.ReadTx) error {
			var want []string
			if a.Visible() {
				want = []string{a.Slug}
			}
			t.wantShelf(tx, want...)
			if _, err := store.AgentBySlug.Load(tx, a.Slug); err != nil {
				t.Errorf("%s: %v", name, err)
			}
			counts, err := store.Counts(tx, store.AgentsInCategory)
			if err != nil {
				t.Error(err)
			}
			if want := map[market.Category]int{a.Category: 1}; a.Visible() && !maps.Equal(counts, want) {
				t.Errorf("%s: the counts are %v, want %v", name, counts, want)
			}
			return nil
		})
	}
	for range 2 { // deleting what isn't there is fine
		t.update(db, main, func(tx *store.Tx) error { return store.Agents.Delete(tx, a.ID) })
	}
	t.view(db, main, func(tx *store.ReadTx) error {
		t.wantShelf(tx)
		_, err := store.AgentBySlug.Load(tx, a.Slug)
		wantKind(t, err, market.NotFound)
		return nil
	})
}

func (t *contract) tenantsApart() {
	db := t.open(t, store.Options{})
	// One name is a part of another, and the same IDs and slugs are in all.
	tenants := []market.TenantID{"a", "ab", "b", "ten_main"}
	var cursor store.Cursor
	for i, tenant := range tenants {
		t.update(db, tenant, func(tx *store.Tx) error {
			if got := tx.Tenant(); got != tenant {
				t.Errorf("the tenant is %q, want %q", got, tenant)
			}
			return errors.Join(store.Agents.Insert(tx, agent("1", "ada", int64(i))), store.Agents.Insert(tx, agent("2", "only-"+string(tenant), 9)))
		})
	}
	for _, tenant := range tenants {
		t.view(db, tenant, func(tx *store.ReadTx) error {
			t.wantShelf(tx, "only-"+string(tenant), "ada")
			for row, err := range store.PopularAgents.Scan(tx, store.All{}, cursor) {
				if err != nil || row.Record.Slug != "ada" && cursor != "" {
					t.Errorf("after another tenant's cursor: %q, %v", row.Record.Slug, err)
				}
				cursor = row.Cursor
				break
			}
			return nil
		})
	}
	t.update(db, "ab", func(tx *store.Tx) error { return store.Agents.Delete(tx, "agt_1") })
	t.view(db, "a", func(tx *store.ReadTx) error { t.wantShelf(tx, "only-a", "ada"); return nil })
	for _, bad := range []market.TenantID{"", market.TenantID(strings.Repeat("t", 65))} {
		if err := db.View(t.Context(), bad, func(*store.ReadTx) error { return nil }); err == nil {
			t.Errorf("View of the tenant %q: no error", bad)
		}
		if _, err := db.Update(t.Context(), bad, store.Op{}, func(*store.Tx) error { return nil }); err == nil {
			t.Errorf("Update of the tenant %q: no error", bad)
		}
	}
}

func (t *contract) emptyValues() {
	db := t.open(t, store.Options{})
	t.update(db, main, func(tx *store.Tx) error {
		// Zero fields, and no name in a unique index: any number of those.
		for _, id := range []string{"1", "2"} {
			if err := store.Agents.Insert(tx, &market.Agent{ID: market.AgentID(id), Slug: id, Release: market.Release{File: market.File{OnDemand: true}}}); err != nil {
				return err
			}
		}
		_, err := store.AgentByExternal.Load(tx, "")
		wantKind(t, err, market.NotFound)
		_, err = store.Agents.Load(tx, "")
		wantKind(t, err, market.NotFound)
		return store.Agents.Delete(tx, "")
	})
	for _, result := range [][]byte{nil, {}, {0}} {
		op := store.Op{ID: fmt.Sprintf("empty %d", len(result))}
		for range 2 {
			res, err := db.Update(t.Context(), main, op, func(tx *store.Tx) error { tx.SetResult(result); return nil })
			if err != nil || !bytes.Equal(res.Value, result) {
				t.Errorf("the result %x came back as %x, %v", result, res.Value, err)
			}
		}
	}
	// What isn't text comes back as it was.
	odd := event("odd")
	odd.Quarantine = "\xff\x00 \u2028"
	t.update(db, main, func(tx *store.Tx) error { return store.Events.Insert(tx, odd) })
	t.view(db, main, func(tx *store.ReadTx) error {
		got, err := store.Events.Load(tx, "odd")
		if err != nil || got.Quarantine != odd.Quarantine {
			t.Errorf("%q came back as %q, %v", odd.Quarantine, got.Quarantine, err)
		}
		return nil
	})
}

func (t *contract) operationOnce() {
	db := t.open(t, store.Options{})
	ran := 0
	insert := func(tenant market.TenantID, id string) store.Result {
		t.Helper()
		res, err := db.Update(t.Context(), tenant, store.Op{ID: id}, func(tx *store.Tx) error {
			ran++
			e := event(fmt.Sprintf("%s %d", id, ran))
			tx.SetResult([]byte(e.ID))
			return store.Events.Insert(tx, e)
		})
		if err != nil {
			t.Fatal(err)
		}
		return res
	}
	first := insert(main, "pay/1")
	ran = 100
	again := insert(main, "pay/1")
	if !again.Repeated || !bytes.Equal(again.Value, first.Value) || ran != 100 {
		t.Errorf("the second time: %+v after %d runs, want the result of %+v", again, ran-100, first)
	}
	if other := insert(main, "pay/2"); bytes.Equal(other.Value, first.Value) {
		t.Errorf("another operation: %+v", other)
	}
	if other := insert("ten_other", "pay/1"); bytes.Equal(other.Value, first.Value) {
		t.Errorf("the same operation of another tenant: %+v", other)
	}
	ran = 200
	if res := insert(main, ""); res.Repeated {
		t.Errorf("without an ID: %+v", res)
	}
	if res := insert(main, ""); res.Repeated {
		t.Errorf("without an ID, again: %+v", res)
	}
	// A thousand at once are one.
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 20 {
				_, err := db.Update(context.Background(), main, store.Op{ID: "race"}, func(tx *store.Tx) error {
					return store.Events.Insert(tx, event("race"))
				})
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	t.update(db, main, func(tx *store.Tx) error {
		n, next, err := store.PruneOps(tx, tx.Now().Add(time.Hour), "", 2)
		if n != 2 || next != "pay/1" {
			t.Errorf("%d operations forgotten up to %q, want 2 up to pay/1", n, next)
		}
		return err
	})
	if res := insert(main, "pay/1"); res.Repeated {
		t.Errorf("a forgotten operation was repeated: %+v", res)
	}
}

func (t *contract) unknownOutcome() {
	db := t.open(t, store.Options{Faults: &store.Faults{Unknown: 1, RunTwice: 0.5}})
	for i := range 20 {
		res, err := db.Update(t.Context(), main, store.Op{ID: fmt.Sprint(i)}, func(tx *store.Tx) error {
			tx.SetResult([]byte{byte(i)})
			return store.Events.Insert(tx, event(fmt.Sprint(i)))
		})
		if err != nil || !bytes.Equal(res.Value, []byte{byte(i)}) {
			t.Errorf("operation %d: %+v, %v", i, res, err)
		}
	}
	if got := db.LastLSN(); got != 20 {
		t.Errorf("%d commits of 20 operations", got)
	}
}

func (t *contract) serializable() {
	db := t.open(t, store.Options{Faults: store.NewFaults(7)})
	const writers, each = 8, 25
	var wg sync.WaitGroup
	lsns := make([][]store.LSN, writers)
	for w := range writers {
		wg.Go(func() {
			for i := range each {
				// Read, add one, write: lost when two run side by side.
				res, err := db.Update(context.Background(), main, store.Op{ID: fmt.Sprintf("%d/%d", w, i)}, func(tx *store.Tx) error {
					c, err := store.Agents.Load(tx, "agt_1")
					if market.Is(err, market.NotFound) {
						c = *agent("1", "ada", 0)
					} else if err != nil {
						return err
					}
					c.Popularity++
					return store.Agents.Put(tx, &c)
				})
				if err != nil {
					t.Error(err)
				}
				if !res.Repeated {
					lsns[w] = append(lsns[w], res.LSN)
				}
			}
		})
	}
	wg.Wait()
	t.view(db, main, func(tx *store.ReadTx) error {
		got, err := store.Agents.Load(tx, "agt_1")
		if got.Popularity != writers*each {
			t.Errorf("%d additions left %d", writers*each, got.Popularity)
		}
		return err
	})
	seen := map[store.LSN]bool{}
	for _, of := range lsns {
		if !slices.IsSorted(of) {
			t.Errorf("one writer's commits are numbered %v", of)
		}
		for _, lsn := range of {
			if seen[lsn] || lsn == 0 || lsn > writers*each {
				t.Errorf("LSN %d is given twice or out of range", lsn)
			}
			seen[lsn] = true
		}
	}
	if got := db.LastLSN(); got != writers*each {
		t.Errorf("the last LSN is %d after %d commits", got, writers*each)
	}
}

// stored returns the longest key and the longest value, and the bytes of all keys and
// values, that the last commit has changed.
func (t *contract) stored(db *store.DB) (key, value, all, writes int) {
	t.Helper()
	snap, err := db.Snapshot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer snap.Close()
	cs, err := snap.Changes(snap.LSN()-1, 1)
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range cs.Keys {
		v, _, err := snap.Value(k)
		if err != nil {
			t.Fatal(err)
		}
		key, value, all = max(key, len(k)), max(value, len(v)), all+len(k)+len(v)
	}
	return key, value, all, len(cs.Keys)
}

// limits finds the largest transaction of each kind that is accepted, and looks at what
// it stored.
func (t *contract) limits() {
	db := t.open(t, store.Options{})
	largest := func(upTo int, try func(tx *store.Tx, n int) error) int {
		t.Helper()
		n := 0
		for step := upTo; step > 0; step /= 2 {
			for n+step <= upTo {
				_, err := db.Update(t.Context(), main, store.Op{}, func(tx *store.Tx) error { return try(tx, n+step) })
				if err != nil {
					wantKind(t, err, market.TooLarge)
					break
				}
				n += step
			}
		}
		t.update(db, main, func(tx *store.Tx) error { return try(tx, n) })
		return n
	}
	largest(2*store.MaxKey, func(tx *store.Tx, n int) error { return store.Events.Put(tx, event(strings.Repeat("k", n+1))) })
	if got, _, _, _ := t.stored(db); got != store.MaxKey {
		t.Errorf("the longest key accepted has %d bytes, want %d", got, store.MaxKey)
	}
	big := func(id string, n int) *market.ProviderEvent {
		return &market.ProviderEvent{ID: id, Quarantine: strings.Repeat("v", n)}
	}
	value := largest(2*store.MaxValue, func(tx *store.Tx, n int) error { return store.Events.Put(tx, big("big", n)) })
	if _, got, _, _ := t.stored(db); got != store.MaxValue {
		t.Errorf("the longest value accepted has %d bytes, want %d", got, store.MaxValue)
	}
	many := func(tx *store.Tx, n int) error {
		for i := range n {
			if err := store.Events.Put(tx, event(fmt.Sprint(i))); err != nil {
				return err
			}
		}
		return nil
	}
	if got := largest(2*store.MaxWrites, many); got != store.MaxWrites {
		t.Errorf("%d writes accepted, want %d", got, store.MaxWrites)
	}
	for n, want := range map[int]bool{store.MaxWrites - 1: true, store.MaxWrites: false} {
		_, err := db.Update(t.Context(), main, store.Op{ID: fmt.Sprint("one more than ", n)}, func(tx *store.Tx) error { return many(tx, n) })
		if ok := err == nil; ok != want {
			t.Errorf("%d writes with an operation's ID: %v", n, err)
		}
	}
	largest(2*store.MaxValue, func(tx *store.Tx, n int) error {
		for i := range store.MaxBytes/store.MaxValue - 1 {
			if err := store.Events.Put(tx, big(fmt.Sprint(i), value-10)); err != nil {
				return err
			}
		}
		return errors.Join(store.Events.Put(tx, big("x", min(n, value-10))), store.Events.Put(tx, big("y", max(1, n-value+10))))
	})
	if _, _, got, _ := t.stored(db); got != store.MaxBytes {
		t.Errorf("%d bytes accepted in a transaction, want %d", got, store.MaxBytes)
	}
	// A write that was refused can't be ignored.
	_, err := db.Update(t.Context(), main, store.Op{}, func(tx *store.Tx) error {
		store.Events.Put(tx, big("ignored", 2*store.MaxValue))
		return store.Events.Put(tx, event("after it"))
	})
	wantKind(t, err, market.TooLarge)
}

func (t *contract) scans() {
	db := t.open(t, store.Options{})
	// The most popular first, then by ID; the order of insertion doesn't matter.
	for _, a := range []*market.Agent{agent("3", "c", 5), agent("1", "a", 5), agent("9", "z", 1<<40), agent("2", "b", 5), agent("5", "e", 0)} {
		t.update(db, main, func(tx *store.Tx) error { return store.Agents.Insert(tx, a) })
	}
	page := func(after store.Cursor, n int) (slugs []string, last store.Cursor) {
		t.view(db, main, func(tx *store.ReadTx) error {
			for row, err := range store.PopularAgents.Scan(tx, store.All{}, after) {
				if err != nil {
					return err
				}
				slugs, last = append(slugs, row.Record.Slug), row.Cursor
				if len(slugs) == n {
					break
				}
			}
			return nil
		})
		return slugs, last
	}
	first, cursor := page("", 2)
	if want := []string{"z", "a"}; !slices.Equal(first, want) {
		t.Errorf("the first page is %v, want %v", first, want)
	}
	// What comes in before the cursor isn't seen, what comes after is, and it doesn't
	// matter that the row it stood on is gone.
	t.update(db, main, func(tx *store.Tx) error {
		return errors.Join(store.Agents.Delete(tx, "agt_1"), store.Agents.Insert(tx, agent("7", "new", 6)), store.Agents.Insert(tx, agent("4", "d", 5)))
	})
	rest, cursor := page(cursor, 10)
	if want := []string{"b", "c", "d", "e"}; !slices.Equal(rest, want) {
		t.Errorf("after the cursor: %v, want %v", rest, want)
	}
	if end, _ := page(cursor, 10); len(end) != 0 {
		t.Errorf("after the last: %v", end)
	}
	t.view(db, main, func(tx *store.ReadTx) error {
		for row, err := range store.PopularAgents.Scan(tx, store.All{}, "not a cursor!") {
			wantKind(t, err, market.Invalid)
			if row.Record.ID != "" {
				t.Errorf("a row came with the error: %+v", row)
			}
		}
		for _, made := range []store.Cursor{"_____w", "AAAA"} { // readable, and no place of ours
			for _, err := range store.PopularAgents.Scan(tx, store.All{}, made) {
				if err != nil {
					wantKind(t, err, market.Invalid)
				}
			}
		}
		var ids []market.AgentID
		for a, err := range store.Agents.All(tx, "agt_2") {
			if err != nil {
				return err
			}
			ids = append(ids, a.ID)
		}
		if want := []market.AgentID{"agt_3", "agt_4", "agt_5", "agt_7", "agt_9"}; !slices.Equal(ids, want) {
			t.Errorf("all after agt_2: %v, want %v", ids, want)
		}
		return nil
	})
}

func (t *contract) scanWhileWriting() {
	db := t.open(t, store.Options{})
	t.update(db, main, func(tx *store.Tx) error {
		for i := range 20 {
			if err := store.Agents.Insert(tx, agent(fmt.Sprintf("%02d", i), fmt.Sprintf("s%02d", i), int64(i))); err != nil {
				return err
			}
		}
		return nil
	})
	t.update(db, main, func(tx *store.Tx) error {
		met := map[market.AgentID]int{}
		for row, err := range store.PopularAgents.Scan(tx, store.All{}, "") {
			if err != nil {
				return err
			}
			met[row.Record.ID]++
			a := row.Record
			if a.Popularity%2 == 0 { // to the very end of the order, or out of it
				a.Popularity = -a.Popularity + 1<<20
				err = store.Agents.Put(tx, &a)
			} else {
				err = store.Agents.Delete(tx, a.ID)
			}
			if err != nil {
				return err
			}
		}
		if len(met) != 20 {
			t.Errorf("%d rows met, want 20", len(met))
		}
		for id, n := range met {
			if n != 1 {
				t.Errorf("%s was met %d times", id, n)
			}
		}
		return nil
	})
	t.view(db, main, func(tx *store.ReadTx) error {
		if got := len(t.shelf(tx)); got != 10 {
			t.Errorf("%d agents are left, want 10", got)
		}
		return nil
	})
}

func (t *contract) canceled() {
	db := t.open(t, store.Options{})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for range 20 { // never by chance
		if _, err := db.Update(ctx, main, store.Op{}, func(tx *store.Tx) error { return store.Events.Put(tx, event("a")) }); !errors.Is(err, context.Canceled) {
			t.Fatalf("Update: %v, want canceled", err)
		}
		if err := db.View(ctx, main, func(*store.ReadTx) error { return nil }); !errors.Is(err, context.Canceled) {
			t.Fatalf("View: %v, want canceled", err)
		}
		if _, err := db.Snapshot(ctx); !errors.Is(err, context.Canceled) {
			t.Fatalf("Snapshot: %v, want canceled", err)
		}
	}
	if got := db.LastLSN(); got != 0 {
		t.Errorf("LSN %d, want 0", got)
	}
	// Once fn runs, the commit is carried through.
	ctx, cancel = context.WithCancel(t.Context())
	_, err := db.Update(ctx, main, store.Op{}, func(tx *store.Tx) error {
		cancel()
		return store.Events.Put(tx, event("a"))
	})
	if err != nil || db.DurableLSN() != 1 {
		t.Errorf("canceled inside: %v, durable up to %d", err, db.DurableLSN())
	}
	// A wait for the writer's turn ends with the context.
	ctx, cancel = context.WithCancel(t.Context())
	t.update(db, main, func(*store.Tx) error {
		done := make(chan error)
		go func() {
			_, err := db.Update(ctx, main, store.Op{}, func(*store.Tx) error { return nil })
			done <- err
		}()
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("a wait canceled: %v", err)
		}
		return nil
	})
}

func (t *contract) feed() {
	db := t.open(t, store.Options{})
	const commits = 60
	classes := []store.Class{store.Transaction, store.UserData, store.Ephemeral}
	write := func(i int) {
		_, err := db.Update(context.Background(), main, store.Op{Class: classes[i%3]}, func(tx *store.Tx) error {
			return errors.Join(store.Events.Put(tx, event(fmt.Sprint(i))), store.Events.Put(tx, event("hot")))
		})
		if err != nil {
			t.Error(err)
		}
	}
	for i := range commits / 2 {
		write(i)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var wg sync.WaitGroup
	wg.Go(func() {
		for i := commits / 2; i < commits; i++ {
			write(i)
		}
	})
	var all []store.Change
	for c, err := range db.Feed(ctx, 0) {
		if err != nil {
			t.Fatal(err)
		}
		if c.LSN > db.DurableLSN() || c.More && c.LSN == db.DurableLSN() {
			t.Errorf("change %d (more: %t) of %d durable ones", c.LSN, c.More, db.DurableLSN())
		}
		if all = append(all, c); len(all) == commits {
			break
		}
	}
	wg.Wait()
	for i, c := range all {
		if c.LSN != store.LSN(i+1) || c.Class != classes[i%3] || c.Time.IsZero() || i > 0 && c.Time.Before(all[i-1].Time) {
			t.Errorf("change %d is %d, %v, at %v", i, c.LSN, c.Class, c.Time)
		}
		var ids []string
		for k := range store.Events.ChangedIn(c.Keys) {
			if k.Tenant != main {
				t.Errorf("change %d is of tenant %s", c.LSN, k.Tenant)
			}
			ids = append(ids, k.ID)
		}
		if want := []string{fmt.Sprint(i), "hot"}; !slices.Equal(ids, want) {
			t.Errorf("change %d is of %v, want %v", c.LSN, ids, want)
		}
		for range store.Agents.ChangedIn(c.Keys) {
			t.Errorf("change %d names an agent", c.LSN)
		}
	}
	// From any place, the same.
	for _, after := range []store.LSN{1, 29, commits - 1} {
		for c, err := range db.Feed(ctx, after) {
			if diff := cmp.Diff(all[after].Keys, c.Keys); err != nil || c.LSN != after+1 || c.Chain != all[after].Chain || diff != "" {
				t.Errorf("the feed after %d begins with %d, %v", after, c.LSN, err)
			}
			break
		}
	}
	t.feedEnds(db, commits)
}

// feedEnds: with the context, also when changes are waiting, and where there is no such
// place in the history.
func (t *contract) feedEnds(db *store.DB, commits store.LSN) {
	for _, after := range []store.LSN{0, commits} {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		n := 0
		for _, err := range db.Feed(ctx, after) {
			if n++; !errors.Is(err, context.Canceled) {
				t.Errorf("a canceled feed after %d yields %v", after, err)
			}
		}
		if n != 1 {
			t.Errorf("a canceled feed yields %d times, want 1", n)
		}
	}
	for _, err := range db.Feed(t.Context(), commits+1) {
		if !errors.Is(err, store.ErrLogCut) {
			t.Errorf("a feed from ahead of the history yields %v, want ErrLogCut", err)
		}
	}
	if _, err := db.ChainAt(commits + 1); !errors.Is(err, store.ErrLogCut) {
		t.Errorf("the chain ahead of the history: %v, want ErrLogCut", err)
	}
}

func (t *contract) closed() {
	db := t.open(t, store.Options{})
	t.update(db, main, func(tx *store.Tx) error { return store.Events.Put(tx, event("a")) })
	fed := make(chan error)
	go func() {
		var last error
		for _, err := range db.Feed(context.Background(), 0) {
			last = err
		}
		fed <- last
	}()
	inside, goOn := make(chan bool), make(chan bool)
	viewed := make(chan error)
	go func() {
		viewed <- db.View(context.Background(), main, func(tx *store.ReadTx) error {
			inside <- true
			<-goOn
			_, err := store.Events.Load(tx, "a")
			return err
		})
	}()
	<-inside
	closed := make(chan error)
	go func() { closed <- db.Close() }()
	wantKind(t, <-fed, market.Unavailable) // so Close has begun
	goOn <- true
	if err := errors.Join(<-viewed, <-closed); err != nil {
		t.Errorf("a view under way while the store closes: %v", err)
	}
	ctx := t.Context()
	_, err := db.Update(ctx, main, store.Op{}, func(*store.Tx) error { return nil })
	wantKind(t, err, market.Unavailable)
	wantKind(t, db.View(ctx, main, func(*store.ReadTx) error { return nil }), market.Unavailable)
	_, err = db.Snapshot(ctx)
	wantKind(t, err, market.Unavailable)
	_, err = db.Check(ctx, store.CheckOptions{})
	wantKind(t, err, market.Unavailable)
	_, err = db.ChainAt(1)
	wantKind(t, err, market.Unavailable)
	wantKind(t, db.CutLog(), market.Unavailable)
	wantKind(t, db.Unfence(), market.Unavailable)
	wantKind(t, db.Compact(ctx), market.Unavailable)
	for _, err := range db.Feed(ctx, 0) {
		wantKind(t, err, market.Unavailable)
	}
	if got := db.Stats().LastLSN; got != 1 || db.Node().ID == "" {
		t.Errorf("the figures are lost: LSN %d", got)
	}
	if err := db.Close(); err != nil {
		t.Errorf("closing again: %v", err)
	}
}
