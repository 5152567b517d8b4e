package storetest

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/souk-market/souk/internal/market"
	"github.com/souk-market/souk/store"
)

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

// scanOfWhatGoes scans while the transaction deletes and moves what the scan hasn't met yet.
func (t *contract) scanOfWhatGoes() {
	db := t.open(t, store.Options{})
	t.update(db, main, func(tx *store.Tx) error {
		for i := range 6 {
			if err := store.Agents.Insert(tx, agent(fmt.Sprint(i), fmt.Sprint("s", i), int64(9-i))); err != nil {
				return err
			}
		}
		return nil
	})
	t.update(db, main, func(tx *store.Tx) error {
		var met []string
		for row, err := range store.PopularAgents.Scan(tx, store.All{}, "") {
			if err != nil {
				return err
			}
			met = append(met, row.Record.Slug)
			if len(met) > 1 {
				continue
			}
			if err := errors.Join(store.Agents.Delete(tx, "agt_1"), store.Agents.Delete(tx, "agt_5"),
				store.Agents.Put(tx, agent("3", "moved", 1)), store.Agents.Insert(tx, agent("6", "new", 4))); err != nil {
				return err
			}
		}
		if want := []string{"s0", "s2", "moved", "s4"}; !slices.Equal(met, want) {
			t.Errorf("met %v, want %v", met, want)
		}
		return nil
	})
	t.view(db, main, func(tx *store.ReadTx) error { t.wantShelf(tx, "s0", "s2", "s4", "new", "moved"); return nil })
}
