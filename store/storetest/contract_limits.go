package storetest

import (
	"errors"
	"fmt"
	"strings"

	"github.com/souk-market/souk/internal/market"
	"github.com/souk-market/souk/store"
)

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
