package storetest

import (
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
	"github.com/souk-market/souk/store"
)

// Disk is a disk in memory that can lose power.
type Disk struct {
	FS *vfs.MemFS
	// Lies stands between the database and the disk, for tests of tests: a controller
	// that forgets to sync. nil for none.
	Lies func(vfs.FS) vfs.FS

	writes atomic.Int64
	plan   atomic.Pointer[plan]
}

// plan is what happens before one write.
type plan struct {
	at int64
	do func()
}

// NewDisk returns an empty disk.
func NewDisk() *Disk { return &Disk{FS: vfs.NewCrashableMem()} }

// Crash returns the disk as it is found after a power cut: what was synced is there,
// and of what wasn't, each block with a chance of keep percent. The old disk works on.
func (d *Disk) Crash(keep int, rng *rand.Rand) *Disk {
	return &Disk{FS: d.FS.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: keep, RNG: rng}), Lies: d.Lies}
}

// BeforeWrite calls do once, before the n-th operation from now that would change the
// disk: one of a commit, a flush, a compaction, an opening or a closing, whichever
// comes. do runs in the middle of the store's work, so it may crash the disk and ask the
// store how far it is, and nothing that waits for the store.
func (d *Disk) BeforeWrite(n int, do func()) {
	d.plan.Store(&plan{d.writes.Load() + int64(n), do})
}

// String makes a Disk an errorfs.Injector.
func (d *Disk) String() string { return "power cut" }

// MaybeError counts the writes of a database on the disk.
func (d *Disk) MaybeError(op errorfs.Op) error {
	if !changesDisk(op.Kind) {
		return nil
	}
	n := d.writes.Add(1)
	if p := d.plan.Load(); p != nil && n >= p.at && d.plan.CompareAndSwap(p, nil) {
		p.do()
	}
	return nil
}

func changesDisk(k errorfs.OpKind) bool {
	switch k {
	case errorfs.OpLock, errorfs.OpFileClose, errorfs.OpFileFlush, errorfs.OpFilePreallocate:
		return false
	}
	return k.ReadOrWrite() == errorfs.OpIsWrite
}

// Open opens the database on the disk. The caller closes it, or leaves it when the power
// is cut.
func (d *Disk) Open(t testing.TB, clock func() time.Time) *store.DB {
	t.Helper()
	return d.OpenWith(t, store.Options{Clock: clock})
}

// OpenWith is Open with options; Dir and FS are set.
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
	o.Dir, o.FS = "store", vfs.FS(d.FS)
	if d.Lies != nil {
		o.FS = d.Lies(o.FS)
	}
	o.FS = errorfs.Wrap(o.FS, d)
	if o.Fatal == nil {
		o.Fatal = func(err error) { t.Errorf("the store stopped: %v", err) }
	}
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
