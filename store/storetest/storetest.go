// Package storetest gives tests databases in memory that check themselves when the test
// ends, misbehave within the store's contract while it runs, and lose power on demand.
package storetest

import (
	"context"
	"math/rand/v2"
	"strings"
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
type Disk struct {
	FS *vfs.MemFS
	// Lies stands between the database and the disk, for tests of tests: a controller
	// that forgets to sync. nil for none.
	Lies func(vfs.FS) vfs.FS
}

// NewDisk returns an empty disk.
func NewDisk() *Disk { return &Disk{FS: vfs.NewCrashableMem()} }

// Crash returns the disk as it is found after a power cut: what was synced is there,
// and of what wasn't, each block with a chance of keep percent.
func (d *Disk) Crash(keep int, rng *rand.Rand) *Disk {
	return &Disk{d.FS.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: keep, RNG: rng}), d.Lies}
}

// Open opens the database on the disk. The caller closes it, or leaves it when the power
// is cut.
func (d *Disk) Open(t testing.TB, clock func() time.Time) *store.DB {
	t.Helper()
	return d.OpenWith(t, store.Options{Clock: clock})
}

// OpenWith is Open with options; Dir, FS and Fatal are set.
func (d *Disk) OpenWith(t testing.TB, o store.Options) *store.DB {
	t.Helper()
	db, err := d.Try(t, o)
	if err != nil {
		t.Fatalf("opening after a crash: %v", err)
	}
	return db
}

// Try is OpenWith for a test that expects to find a damaged database.
func (d *Disk) Try(t testing.TB, o store.Options) (*store.DB, error) {
	o.Dir, o.FS = "store", d.FS
	if d.Lies != nil {
		o.FS = d.Lies(d.FS)
	}
	o.Fatal = func(err error) { t.Errorf("the store stopped: %v", err) }
	return store.Open(o)
}

// WithoutSync is a file system that reports writes of Pebble's log as synced and leaves
// them to chance.
func WithoutSync(fs vfs.FS) vfs.FS { return lyingFS{fs} }

type lyingFS struct{ vfs.FS }

func (fs lyingFS) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	return lie(name)(fs.FS.Create(name, c))
}

func (fs lyingFS) ReuseForWrite(oldname, newname string, c vfs.DiskWriteCategory) (vfs.File, error) {
	return lie(newname)(fs.FS.ReuseForWrite(oldname, newname, c))
}

func lie(name string) func(vfs.File, error) (vfs.File, error) {
	return func(f vfs.File, err error) (vfs.File, error) {
		if err != nil || !strings.HasSuffix(name, ".log") {
			return f, err
		}
		return lyingFile{f}, nil
	}
}

type lyingFile struct{ vfs.File }

func (lyingFile) Sync() error                { return nil }
func (lyingFile) SyncData() error            { return nil }
func (lyingFile) SyncTo(int64) (bool, error) { return true, nil }
