package storetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/souk-market/souk/internal/market"
	"github.com/souk-market/souk/store"
)

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

// unknownAndCanceled: who cancels while the store asks again is told what became of it.
func (t *contract) unknownAndCanceled() {
	db := t.open(t, store.Options{Faults: &store.Faults{Unknown: 1}})
	for i := range 20 {
		ctx, cancel := context.WithCancel(t.Context())
		res, err := db.Update(ctx, main, store.Op{ID: fmt.Sprint(i)}, func(tx *store.Tx) error {
			cancel()
			tx.SetResult([]byte{byte(i)})
			return store.Events.Insert(tx, event(fmt.Sprint(i)))
		})
		if err != nil || !bytes.Equal(res.Value, []byte{byte(i)}) {
			t.Fatalf("operation %d, which was committed: %+v, %v", i, res, err)
		}
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

// raceOneWins has callers insert records that can't all be there.
func (t *contract) raceOneWins() {
	db := t.open(t, store.Options{})
	for name, record := range map[string]func(caller int) *market.Agent{
		"the same key":  func(caller int) *market.Agent { return agent("key", fmt.Sprint("slug-", caller), 1) },
		"the same name": func(caller int) *market.Agent { return agent(fmt.Sprint("name-", caller), "slug", 1) },
	} {
		const callers = 32
		before := db.LastLSN()
		var won atomic.Int64
		var wg sync.WaitGroup
		for caller := range callers {
			wg.Go(func() {
				_, err := db.Update(context.Background(), main, store.Op{ID: fmt.Sprint(name, caller)}, func(tx *store.Tx) error {
					return store.Agents.Insert(tx, record(caller))
				})
				if err == nil {
					won.Add(1)
				} else {
					wantKind(t, err, market.Conflict)
				}
			})
		}
		wg.Wait()
		if won.Load() != 1 || db.LastLSN() != before+1 {
			t.Errorf("%s: %d of %d inserts won in %d commits, want 1", name, won.Load(), callers, db.LastLSN()-before)
		}
	}
}

// countsWithManyCallers has 64 callers change one and the same count.
func (t *contract) countsWithManyCallers() {
	db := t.open(t, store.Options{})
	const callers, each = 64, 4
	var wg sync.WaitGroup
	for caller := range callers {
		wg.Go(func() {
			for i := range each {
				id := fmt.Sprintf("%d-%d", caller, i)
				_, err := db.Update(context.Background(), main, store.Op{ID: id}, func(tx *store.Tx) error {
					if i == each-1 { // take back the first
						return store.Agents.Delete(tx, market.AgentID(fmt.Sprintf("agt_%d-0", caller)))
					}
					return store.Agents.Insert(tx, agent(id, id, int64(caller)))
				})
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	t.view(db, main, func(tx *store.ReadTx) error {
		counts, err := store.Counts(tx, store.AgentsInCategory)
		if want := callers * (each - 2); counts["tool"] != want || len(t.shelf(tx)) != want {
			t.Errorf("the counts are %v, want %d", counts, want)
		}
		return err
	})
	if got := db.LastLSN(); got != callers*each {
		t.Errorf("%d commits, want %d", got, callers*each)
	}
}

// failuresDisturbNobody has callers fail in every way beside others that don't.
func (t *contract) failuresDisturbNobody() {
	db := t.open(t, store.Options{})
	ends := []func() error{
		func() error { return nil },
		func() error { return errors.New("boom") },
		func() error { panic("boom") },
		func() error { runtime.Goexit(); return nil },
	}
	const callers, each = 16, 10
	var committed, answered atomic.Int64
	var wg sync.WaitGroup
	for caller := range callers {
		for i := range each {
			wg.Go(func() { // Goexit ends its goroutine
				id := fmt.Sprintf("%d-%d", caller, i)
				_, err := db.Update(context.Background(), main, store.Op{}, func(tx *store.Tx) error {
					if err := store.Agents.Insert(tx, agent(id, id, 1)); err != nil {
						return err
					}
					return ends[caller%len(ends)]()
				})
				answered.Add(1)
				if err == nil {
					committed.Add(1)
				}
				if (err == nil) != (caller%len(ends) == 0) {
					t.Errorf("caller %d was answered with %v", caller, err)
				}
			})
		}
	}
	wg.Wait()
	const want = callers / 4 * each
	if committed.Load() != want || db.LastLSN() != want || db.DurableLSN() != want {
		t.Errorf("%d commits of %d answers, LSN %d, want %d", committed.Load(), answered.Load(), db.LastLSN(), want)
	}
	t.view(db, main, func(tx *store.ReadTx) error {
		if got := len(t.shelf(tx)); got != want {
			t.Errorf("%d records are there, want %d", got, want)
		}
		return nil
	})
}

// unknownManyTimes has callers ask for one operation while most answers are lost.
func (t *contract) unknownManyTimes() {
	db := t.open(t, store.Options{Faults: &store.Faults{Unknown: 0.7, RunTwice: 0.3}})
	var wg sync.WaitGroup
	for op := range 5 {
		id := fmt.Sprint("op", op)
		for caller := range 12 {
			wg.Go(func() {
				res, err := db.Update(context.Background(), main, store.Op{ID: id}, func(tx *store.Tx) error {
					tx.SetResult([]byte(id))
					return store.Events.Insert(tx, event(id))
				})
				if err != nil || string(res.Value) != id {
					t.Errorf("caller %d of %s: %+v, %v", caller, id, res, err)
				}
			})
		}
	}
	wg.Wait()
	if got := db.LastLSN(); got != 5 {
		t.Errorf("%d commits of 5 operations", got)
	}
}
