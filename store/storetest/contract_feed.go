package storetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/souk-market/souk/store"
)

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

// feedBesideFailures follows with a reader as slow as the writer lets it be and one as
// fast as it can, while some transactions fail.
func (t *contract) feedBesideFailures() {
	db := t.open(t, store.Options{})
	const commits = 40
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	written := make(chan store.LSN, commits)
	var wg sync.WaitGroup
	follow := func(wait func()) {
		last := store.LSN(0)
		for c, err := range db.Feed(ctx, 0) {
			if err != nil {
				t.Error(err)
				return
			}
			if c.LSN != last+1 || c.LSN > db.DurableLSN() || len(c.Keys) == 0 {
				t.Errorf("change %d of %d keys follows %d", c.LSN, len(c.Keys), last)
			}
			for k := range store.Events.ChangedIn(c.Keys) {
				if want := fmt.Sprint("event ", c.LSN); k.ID != want {
					t.Errorf("change %d is of %q, want %q", c.LSN, k.ID, want)
				}
			}
			if last = c.LSN; last == commits {
				return
			}
			wait()
		}
	}
	wg.Go(func() { follow(func() {}) })
	wg.Go(func() { follow(func() { <-written }) }) // one change per commit made
	for lsn := store.LSN(1); lsn <= commits; lsn++ {
		id := fmt.Sprint("event ", lsn)
		for _, fails := range []bool{true, false} {
			_, err := db.Update(ctx, main, store.Op{}, func(tx *store.Tx) error {
				if err := store.Events.Insert(tx, event(id)); err != nil || !fails {
					return err
				}
				return errors.New("dropped")
			})
			if (err != nil) != fails {
				t.Errorf("commit %d (to fail: %t): %v", lsn, fails, err)
			}
		}
		written <- lsn
	}
	close(written)
	wg.Wait()
}
