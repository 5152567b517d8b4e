// Package storetest gives tests databases in memory that check themselves when the test
// ends, misbehave within the store's contract while it runs, and lose power on demand.
package storetest

import (
	"context"
	"math/rand/v2"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/souk-market/souk/store"
)

// Open opens an empty database in memory under the faults of store.NewFaults. When the
// test ends, the whole database is checked and closed.
func Open(t testing.TB) *store.DB {
	t.Helper()
	return OpenWith(t, store.Options{FS: vfs.NewMem(), Faults: store.NewFaults(rand.Uint64())})
}

// OpenWith is Open with options; without Dir the database is in memory. A database that the test
// has closed itself is not checked.
func OpenWith(t testing.TB, o store.Options) *store.DB {
	t.Helper()
	if o.Dir == "" {
		o.Dir = "store"
		if o.FS == nil {
			o.FS = vfs.NewMem()
		}
	}
	if o.Fatal == nil {
		o.Fatal = func(err error) { t.Errorf("the store stopped: %v", err) }
	}
	db, err := store.Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if !db.Closed() {
			Check(t, db)
		}
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}

// Check fails the test when the database isn't whole.
func Check(t testing.TB, db *store.DB) {
	t.Helper()
	rep, err := db.Check(context.Background(), store.CheckOptions{})
	if err != nil {
		t.Errorf("checking the database: %v", err)
		return
	}
	for _, p := range rep.Problems {
		t.Errorf("the database is broken: %s", p)
	}
}
