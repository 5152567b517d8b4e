package storetest

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/souk-market/souk/internal/market"
	"github.com/souk-market/souk/store"
)

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
	ran := 0
	for name, end := range map[string]func() error{
		"error":   func() error { return boom },
		"panic":   func() error { panic(boom) },
		"goexit":  func() error { runtime.Goexit(); return nil },
		"unknown": func() error { return fmt.Errorf("another store says: %w", store.ErrUnknownOutcome) },
		"unknown itself": func() error {
			if ran++; ran > 1 {
				return boom
			}
			return store.ErrUnknownOutcome
		},
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
		if name == "unknown itself" && err != store.ErrUnknownOutcome {
			t.Errorf("fn's error is taken for the store's: %v after %d runs", err, ran)
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

// canceledAnywhere cancels transactions at each step, and at any moment beside others.
// Whether one was committed is what its caller was told.
func (t *contract) canceledAnywhere() {
	db := t.open(t, store.Options{})
	var all []string
	told := map[string]error{}
	for step := range 5 {
		ctx, cancel := context.WithCancel(t.Context())
		id := fmt.Sprint("step ", step)
		at := func(now int) {
			if now == step {
				cancel()
			}
		}
		at(0)
		_, err := db.Update(ctx, main, store.Op{}, func(tx *store.Tx) error {
			at(1)
			if err := store.Events.Insert(tx, event(id)); err != nil {
				return err
			}
			at(2)
			if _, err := store.Events.Load(tx, id); err != nil {
				return err
			}
			at(3)
			return nil
		})
		at(4)
		cancel()
		all, told[id] = append(all, id), err
	}
	var mu sync.Mutex
	var wg sync.WaitGroup
	for caller := range 8 {
		wg.Go(func() {
			for i := range 20 {
				ctx, cancel := context.WithCancel(context.Background())
				id := fmt.Sprintf("%d-%d", caller, i)
				go cancel()
				_, err := db.Update(ctx, main, store.Op{}, func(tx *store.Tx) error { return store.Events.Insert(tx, event(id)) })
				mu.Lock()
				all, told[id] = append(all, id), err
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	t.view(db, main, func(tx *store.ReadTx) error {
		for _, id := range all {
			there, err := store.Events.Has(tx, id)
			if err != nil {
				return err
			}
			if told[id] != nil && !errors.Is(told[id], context.Canceled) && !errors.Is(told[id], store.ErrUnknownOutcome) {
				t.Errorf("%s was answered with %v", id, told[id])
			}
			if there != (told[id] == nil) && !errors.Is(told[id], store.ErrUnknownOutcome) {
				t.Errorf("%s was answered with %v; that it is there is %t", id, told[id], there)
			}
		}
		return nil
	})
}
