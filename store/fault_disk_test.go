package store

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
	"github.com/souk-market/souk/internal/market"
)

// TestFaultSyncOfTheLog: when an fsync fails, Fatal is called, and no commit
// that waited for it is acknowledged or fed to anybody.
func TestFaultSyncOfTheLog(t *testing.T) {
	mem := vfs.NewCrashableMem()
	var broken atomic.Bool
	fs := errorfs.Wrap(mem, errorfs.InjectorFunc(func(op errorfs.Op) error {
		syncs := op.Kind == errorfs.OpFileSync || op.Kind == errorfs.OpFileSyncData || op.Kind == errorfs.OpFileSyncTo
		if syncs && strings.HasSuffix(op.Path, ".log") && broken.Load() {
			return syscall.EIO
		}
		return nil
	}))
	stopped := make(chan error, 100)
	// Nobody closes this database: its process is taken for dead.
	db, err := Open(Options{Dir: "db", FS: fs, Fatal: func(err error) { stopped <- err; runtime.Goexit() }})
	if err != nil {
		t.Fatal(err)
	}
	putEvent(t, db, "before", "")
	broken.Store(true)
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			res, err := db.Update(t.Context(), tenant, Op{}, func(tx *Tx) error {
				return Events.Put(tx, &market.ProviderEvent{ID: fmt.Sprint("lost ", i)})
			})
			t.Errorf("the commit was answered with %+v, %v", res, err)
		})
		wg.Wait() // each ends in Fatal
	}
	if err := <-stopped; !errors.Is(err, syscall.EIO) {
		t.Errorf("Fatal was called with %v, want EIO", err)
	}
	if got := db.DurableLSN(); got != 1 {
		t.Errorf("durable up to %d, want 1", got)
	}
	for c, err := range db.Feed(t.Context(), 0) {
		if err != nil || c.LSN != 1 || c.More {
			t.Errorf("fed: %+v, %v", c, err)
		}
		break
	}
	// What the next process finds.
	after := openTest(t, Options{Dir: "db", FS: mem.CrashClone(vfs.CrashCloneCfg{})})
	if got := after.LastLSN(); got != 1 {
		t.Errorf("after the crash the last commit is %d, want 1", got)
	}
}

// TestFaultNoRoomToOpen: a directory whose log wouldn't fit on the disk a second time isn't
// opened, and says how much it needs; nothing is lost.
func TestFaultNoRoomToOpen(t *testing.T) {
	fs := vfs.NewCrashableMem()
	db := openTest(t, Options{Dir: "db", FS: fs})
	for i := range 200 {
		putEvent(t, db, fmt.Sprint(i), strings.Repeat("x", 60_000))
	}
	found := fs.CrashClone(vfs.CrashCloneCfg{})
	free := func(mb uint64) { found.TestingSetDiskUsage(vfs.DiskUsage{AvailBytes: mb << 20, TotalBytes: 1 << 40}) }
	free(3)
	_, err := Open(Options{Dir: "db", FS: found})
	wantSentence(t, err, market.Unavailable, "3 MB are free", "Free some space")
	free(300)
	if got, want := openTest(t, Options{Dir: "db", FS: found}).LastLSN(), db.LastLSN(); got != want {
		t.Errorf("with space again it opens at %d, want %d", got, want)
	}
}

// TestFaultLittleSpace: writes are refused below the floor, and reads are not.
func TestFaultLittleSpace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fs := vfs.NewMem()
		free := func(mb uint64) { fs.TestingSetDiskUsage(vfs.DiskUsage{AvailBytes: mb << 20, TotalBytes: 1 << 40}) }
		free(300)
		db := openTest(t, Options{Dir: "db", FS: fs})
		putEvent(t, db, "a", "")
		free(255)
		time.Sleep(diskAskedEvery)
		_, err := db.Update(t.Context(), tenant, Op{}, func(tx *Tx) error {
			t.Error("fn ran")
			return nil
		})
		wantSentence(t, err, market.Unavailable, "can still be read")
		if !strings.Contains(err.Error(), "255 MB are left and 256 MB are kept free") {
			t.Errorf("the operator reads %q", err)
		}
		if err := db.View(t.Context(), tenant, func(tx *ReadTx) error { _, err := Events.Load(tx, "a"); return err }); err != nil {
			t.Errorf("reading: %v", err)
		}
		for c, err := range db.Feed(t.Context(), 0) {
			if err != nil || c.LSN != 1 {
				t.Errorf("following: %+v, %v", c, err)
			}
			break
		}
		if got := db.Stats().FreeBytes; got != 255<<20 {
			t.Errorf("the figures say that %d bytes are free", got)
		}
		free(256)
		time.Sleep(diskAskedEvery)
		if got := putEvent(t, db, "b", ""); got != 2 {
			t.Errorf("with space again: LSN %d, want 2", got)
		}
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
}

// badDisk is a disk in memory that fails some operations while it is told to.
type badDisk struct {
	mem *vfs.MemFS

	mu    sync.Mutex
	err   error
	fails func(op errorfs.Op) bool
	met   int // operations failed
}

func newBadDisk() *badDisk { return &badDisk{mem: vfs.NewCrashableMem()} }

func (d *badDisk) String() string { return "bad disk" }

func (d *badDisk) MaybeError(op errorfs.Op) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.err == nil || !d.fails(op) {
		return nil
	}
	d.met++
	return &os.PathError{Op: "disk", Path: op.Path, Err: d.err}
}

// fail makes operations on files of a suffix fail with err; nil mends the disk.
func (d *badDisk) fail(err error, fails func(op errorfs.Op) bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.err, d.fails = err, fails
}

// failures is how often an operation has failed.
func (d *badDisk) failures() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.met
}

// writesTo are the operations that need space for files of a kind.
func writesTo(part string) func(op errorfs.Op) bool {
	return func(op errorfs.Op) bool {
		switch op.Kind {
		case errorfs.OpCreate, errorfs.OpReuseForWrite, errorfs.OpFileWrite, errorfs.OpFileWriteAt:
			return strings.Contains(op.Path, part)
		}
		return false
	}
}

func syncsOf(part string) func(op errorfs.Op) bool {
	return func(op errorfs.Op) bool {
		switch op.Kind {
		case errorfs.OpFileSync, errorfs.OpFileSyncData, errorfs.OpFileSyncTo:
			return strings.Contains(op.Path, part)
		}
		return false
	}
}

func readsOf(part string) func(op errorfs.Op) bool {
	return func(op errorfs.Op) bool {
		return (op.Kind == errorfs.OpFileRead || op.Kind == errorfs.OpFileReadAt || op.Kind == errorfs.OpOpen) && strings.Contains(op.Path, part)
	}
}

// doomed opens a database whose process is taken for dead once Fatal was called: nobody
// closes it.
func (d *badDisk) doomed(t *testing.T) (db *DB, stopped chan error) {
	t.Helper()
	stopped = make(chan error, 100)
	db, err := Open(Options{Dir: "db", FS: errorfs.Wrap(d.mem, d), Fatal: func(err error) { stopped <- err; runtime.Goexit() }})
	if err != nil {
		t.Fatal(err)
	}
	return db, stopped
}

// TestFaultEndsTheProcess: where the log or the manifest can't be written, nobody knows
// any more what is on disk. Fatal is called, no commit that waited is acknowledged or fed
// to anybody, and the next process finds what was acknowledged.
func TestFaultEndsTheProcess(t *testing.T) {
	for _, c := range []struct {
		name  string
		err   error
		fails func(op errorfs.Op) bool
		flush bool // what fails isn't part of a commit
	}{
		{"no space for the log", syscall.ENOSPC, writesTo(".log"), false},
		{"EIO on writing the log", syscall.EIO, writesTo(".log"), false},
		{"EIO on syncing the log", syscall.EIO, syncsOf(".log"), false},
		{"no space for the manifest", syscall.ENOSPC, writesTo("MANIFEST"), true},
		{"EIO on syncing the manifest", syscall.EIO, syncsOf("MANIFEST"), true},
	} {
		t.Run(c.name, func(t *testing.T) {
			disk := newBadDisk()
			db, stopped := disk.doomed(t)
			putEvent(t, db, "before", "")
			disk.fail(c.err, c.fails)
			var answered atomic.Bool
			var wg sync.WaitGroup
			wg.Go(func() { // it ends in Fatal
				if c.flush {
					db.engine.AsyncFlush()
					return
				}
				db.Update(t.Context(), tenant, Op{}, func(tx *Tx) error { return Events.Put(tx, &market.ProviderEvent{ID: "lost"}) })
				answered.Store(true)
			})
			wg.Wait()
			if err := <-stopped; !errors.Is(err, c.err) && !strings.Contains(err.Error(), c.err.Error()) {
				t.Errorf("Fatal was called with %v, want %v", err, c.err)
			}
			if answered.Load() {
				t.Error("the commit was answered")
			}
			if got := db.DurableLSN(); got != 1 {
				t.Errorf("durable up to %d, want 1", got)
			}
			for c, err := range db.Feed(t.Context(), 0) {
				if err != nil || c.LSN != 1 || c.More {
					t.Errorf("fed: %+v, %v", c, err)
				}
				break
			}
			after := openTest(t, Options{Dir: "db", FS: disk.mem.CrashClone(vfs.CrashCloneCfg{})})
			if got := after.LastLSN(); got != 1 {
				t.Errorf("after the crash the last commit is %d, want 1", got)
			}
		})
	}
}

// TestFaultFlush: what is in the log can wait for its place in a table. Commits go on
// while tables can't be written, and when they can be again, nothing needs a restart.
func TestFaultFlush(t *testing.T) {
	for name, c := range map[string]struct {
		err   error
		fails func(op errorfs.Op) bool
	}{
		"no space":       {syscall.ENOSPC, writesTo(".sst")},
		"EIO on syncing": {syscall.EIO, syncsOf(".sst")},
	} {
		t.Run(name, func(t *testing.T) {
			disk := newBadDisk()
			db := openTest(t, Options{Dir: "db", FS: errorfs.Wrap(disk.mem, disk)})
			putEvent(t, db, "before", "")
			disk.fail(c.err, c.fails)
			flushed, err := db.engine.AsyncFlush()
			if err != nil {
				t.Fatal(err)
			}
			for disk.failures() == 0 {
				runtime.Gosched()
			}
			if got := putEvent(t, db, "meanwhile", ""); got != 2 {
				t.Errorf("LSN %d, want 2", got)
			}
			found := openCrashed(t, disk.mem)
			if found != 2 {
				t.Errorf("a power cut leaves %d commits, want 2", found)
			}
			disk.fail(nil, nil)
			<-flushed
			if err := db.Compact(t.Context()); err != nil {
				t.Errorf("compacting afterwards: %v", err)
			}
		})
	}
}

// openCrashed is the last LSN that is found after a power cut now.
func openCrashed(t *testing.T, mem *vfs.MemFS) LSN {
	t.Helper()
	return openTest(t, Options{Dir: "db", FS: mem.CrashClone(vfs.CrashCloneCfg{})}).LastLSN()
}

// TestFaultCompaction: a compaction that finds no space changes nothing, and who waits for
// it can give up.
func TestFaultCompaction(t *testing.T) {
	disk := newBadDisk()
	db := openTest(t, Options{Dir: "db", FS: errorfs.Wrap(disk.mem, disk)})
	for i := range 3 {
		putEvent(t, db, fmt.Sprint(i), "")
		if err := db.engine.Flush(); err != nil {
			t.Fatal(err)
		}
	}
	disk.fail(syscall.ENOSPC, writesTo(".sst"))
	ctx, cancel := context.WithCancel(t.Context())
	var compacting sync.WaitGroup
	compacting.Go(func() {
		if err := db.Compact(ctx); !errors.Is(err, syscall.ENOSPC) && !errors.Is(err, context.Canceled) {
			t.Errorf("compacting without space: %v", err)
		}
	})
	for disk.failures() == 0 {
		runtime.Gosched()
	}
	cancel()
	compacting.Wait()
	if got := putEvent(t, db, "meanwhile", ""); got != 4 {
		t.Errorf("LSN %d, want 4", got)
	}
	disk.fail(nil, nil)
	if err := db.Compact(t.Context()); err != nil {
		t.Errorf("compacting with space: %v", err)
	}
}

// TestFaultOpening: a directory that can't be written or read is refused in a sentence,
// and opens with everything once it can be.
func TestFaultOpening(t *testing.T) {
	for name, c := range map[string]struct {
		err   error
		fails func(op errorfs.Op) bool
		table bool // there is one
		kind  market.Kind
		words []string
	}{
		"no space for the log":        {syscall.ENOSPC, writesTo(".log"), false, market.Unavailable, []string{"The disk of db is full", "nothing is lost"}},
		"mounted for reading only":    {syscall.EROFS, func(op errorfs.Op) bool { return op.Kind == errorfs.OpLock }, false, market.Unavailable, []string{"db can't be written to", "mount"}},
		"EIO on reading the log":      {syscall.EIO, readsOf(".log"), false, market.Internal, []string{"db", "souk restore"}},
		"EIO on reading the manifest": {syscall.EIO, readsOf("MANIFEST"), false, market.Internal, []string{"db", "souk restore"}},
		"EIO on reading a table":      {syscall.EIO, readsOf(".sst"), true, market.Internal, nil},
	} {
		t.Run(name, func(t *testing.T) {
			disk := newBadDisk()
			fs := errorfs.Wrap(disk.mem, disk)
			db := open(t, Options{Dir: "db", FS: fs})
			putEvent(t, db, "1", "")
			if c.table {
				if err := db.engine.Flush(); err != nil {
					t.Fatal(err)
				}
			}
			putEvent(t, db, "2", "")
			if err := db.Close(); err != nil {
				t.Fatal(err)
			}
			disk.fail(c.err, c.fails)
			_, err := Open(Options{Dir: "db", FS: fs})
			wantSentence(t, err, c.kind, c.words...)
			if !errors.Is(err, c.err) || !strings.Contains(err.Error(), "db/") {
				t.Errorf("the operator reads %v, want %v of a named file", err, c.err)
			}
			disk.fail(nil, nil)
			if got := openTest(t, Options{Dir: "db", FS: fs}).LastLSN(); got != 2 {
				t.Errorf("with a good disk: LSN %d, want 2", got)
			}
		})
	}
}

// TestFaultRead: what can't be read is an error that names the file, and never "there is
// no such thing". What lies elsewhere goes on, and so does everything when the disk does.
func TestFaultRead(t *testing.T) {
	disk := newBadDisk()
	db := openTest(t, Options{Dir: "db", FS: errorfs.Wrap(disk.mem, disk)})
	putEvent(t, db, "in a table", "")
	if err := db.engine.Flush(); err != nil {
		t.Fatal(err)
	}
	putEvent(t, db, "in memory", "")
	load := func(id string) error {
		return db.View(t.Context(), tenant, func(tx *ReadTx) error { _, err := Events.Load(tx, id); return err })
	}
	disk.fail(syscall.EIO, readsOf(".sst"))
	err := load("in a table")
	if !errors.Is(err, syscall.EIO) || !market.Is(err, market.Internal) || !strings.Contains(err.Error(), ".sst") {
		t.Errorf("reading: %v, want EIO of a named file", err)
	}
	if err := load("in memory"); err != nil {
		t.Errorf("reading what isn't affected: %v", err)
	}
	_, err = db.Update(t.Context(), tenant, Op{}, func(tx *Tx) error {
		return Events.Insert(tx, &market.ProviderEvent{ID: "in a table"})
	})
	if !errors.Is(err, syscall.EIO) {
		t.Errorf("inserting what may be there: %v, want EIO", err)
	}
	disk.fail(nil, nil)
	if err := load("in a table"); err != nil {
		t.Errorf("reading again: %v", err)
	}
}
