// Package storetest gives tests databases in memory that check themselves when the test
// ends, misbehave within the store's contract while it runs, and lose power on demand.
package storetest

import (
	"context"
	"math/rand/v2"
	"testing"
	"time"

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

// Disk is a disk in memory that can lose power.
type Disk struct{ FS *vfs.MemFS }

// NewDisk returns an empty disk.
func NewDisk() *Disk { return &Disk{vfs.NewCrashableMem()} }

// Crash returns the disk as it is found after a power cut: what was synced is there,
// and of what wasn't, each block with a chance of keep percent.
func (d *Disk) Crash(keep int, rng *rand.Rand) *Disk {
	return &Disk{d.FS.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: keep, RNG: rng})}
}

// Open opens the database on the disk. The caller closes it, or leaves it when the power
// is cut.
func (d *Disk) Open(t testing.TB, clock func() time.Time) *store.DB {
	t.Helper()
	db, err := store.Open(store.Options{Dir: "store", FS: d.FS, Clock: clock, Fatal: func(err error) { t.Errorf("the store stopped: %v", err) }})
	if err != nil {
		t.Fatalf("opening after a crash: %v", err)
	}
	return db
}
