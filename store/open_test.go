package store

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
	"github.com/souk-market/souk/internal/market"
)

// wantSentence fails the test unless err is for a person: of a kind, and with these words.
func wantSentence(t *testing.T, err error, kind market.Kind, words ...string) {
	t.Helper()
	if !market.Is(err, kind) {
		t.Fatalf("the error is %v (%v), want one that is %v", err, market.KindOf(err), kind)
	}
	for _, w := range words {
		if !strings.Contains(market.Message(err), w) {
			t.Errorf("the message is %q; it doesn't say %q", market.Message(err), w)
		}
	}
}

func TestNewerSchemaIsRefused(t *testing.T) {
	disk := newDisk(t)
	db := disk.open()
	rawSet(t, db, keySchema, binary.BigEndian.AppendUint32(nil, SchemaVersion+1))
	disk.close(db)
	_, err := Open(disk.opts)
	wantSentence(t, err, market.Conflict, "db", "schema version 3", "knows version 2", "newer souk")
}

func TestDamagedSchemaIsRefused(t *testing.T) {
	disk := newDisk(t)
	db := disk.open()
	rawSet(t, db, keySchema, []byte{1})
	disk.close(db)
	if _, err := Open(disk.opts); err == nil || !strings.Contains(err.Error(), "damaged") {
		t.Errorf("a schema version of one byte: %v", err)
	}
}

func TestDirectoryInUse(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "store")
	open(t, Options{Dir: dir})
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(dir, link); err != nil {
		t.Fatal(err)
	}
	t.Chdir(filepath.Dir(dir))
	for name, spelling := range map[string]string{
		"same": dir, "relative": "store", "dots": dir + "/../store/.", "symlink": link,
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Open(Options{Dir: spelling})
			wantSentence(t, err, market.Conflict, dir, "in use by another souk process")
			_, err = NewRestore(spelling)
			wantSentence(t, err, market.Conflict, dir, "in use by another souk process")
		})
	}
	t.Run("another process", func(t *testing.T) {
		if got := child(t, dir, false); !strings.Contains(got, "conflict: The data directory "+dir+" is in use by another souk process. Stop that one first.") {
			t.Errorf("the other process says %q", got)
		}
	})
}

func TestReadOnlyDirectory(t *testing.T) {
	// The parents of a test's directory are for its user alone; the child is another's.
	dir := t.TempDir()
	for p := dir; strings.Contains(p, t.Name()); p = filepath.Dir(p) {
		if err := os.Chmod(p, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, sub := range []string{"", "missing"} {
		if err := os.Chmod(dir, 0o555); err != nil {
			t.Fatal(err)
		}
		if got := child(t, filepath.Join(dir, sub), true); !strings.Contains(got, "unavailable: The data directory") || !strings.Contains(got, "can't be written to") {
			t.Errorf("opening %q in a read-only directory says %q", sub, got)
		}
	}
}

const childEnv = "SOUK_STORE_CHILD"

// child opens a directory in a process of its own and returns what that says. unroot:
// it gives up root's rights first.
func child(t *testing.T, dir string, unroot bool) string {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^TestChild$", "-test.count=1")
	cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%t %s", childEnv, unroot, dir))
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return string(out)
}

// TestChild is the process that child starts.
func TestChild(t *testing.T) {
	unroot, dir, ok := strings.Cut(os.Getenv(childEnv), " ")
	if !ok {
		return // it runs in a process of its own, for other tests
	}
	if unroot == "true" && os.Geteuid() == 0 {
		if err := syscall.Setuid(65534); err != nil {
			t.Fatal(err)
		}
	}
	db, err := Open(Options{Dir: dir})
	if err != nil {
		fmt.Printf("%v: %s\n", market.KindOf(err), market.Message(err))
		return
	}
	fmt.Println("opened")
	if err := db.Close(); err != nil {
		t.Error(err)
	}
}

func TestFlippedByteIsNoticed(t *testing.T) {
	dir := t.TempDir()
	db := open(t, Options{Dir: dir})
	insertMany(t, db, 40) // few: Pebble tries all bits of a block that might have flipped
	if err := db.engine.Flush(); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	flip(t, dir, "*.sst", 50)
	db = open(t, Options{Dir: dir})
	err := db.View(t.Context(), tenant, func(tx *ReadTx) error {
		for _, err := range PopularAgents.Scan(tx, All{}, "") {
			if err != nil {
				return err
			}
		}
		return nil
	})
	if !pebble.IsCorruptionError(err) || !market.Is(err, market.Internal) {
		t.Errorf("reading a flipped byte: %v, want a corruption", err)
	}
	rep, err := db.Check(t.Context(), CheckOptions{})
	if err != nil || rep.OK() {
		t.Errorf("checking a flipped byte: %v, %v", rep.Problems, err)
	}
	if !strings.Contains(strings.Join(rep.Problems, "\n"), "can't be read") {
		t.Errorf("the report doesn't say that something can't be read: %q", rep.Problems)
	}
	if got := db.Stats().DamagedFiles; got != 1 {
		t.Errorf("the figures count %d damaged files, want 1", got)
	}
	putEvent(t, db, "new", "") // the rest goes on
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	flip(t, dir, "*.sst", 1) // and where the store's own records are
	_, err = Open(Options{Dir: dir})
	wantSentence(t, err, market.Internal, "damaged", dir, "souk restore")
}

func TestDamagedManifestIsRefused(t *testing.T) {
	dir := t.TempDir()
	db := open(t, Options{Dir: dir})
	insertMany(t, db, 50)
	if err := db.engine.Flush(); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	flip(t, dir, "MANIFEST-*", 10)
	_, err := Open(Options{Dir: dir})
	wantSentence(t, err, market.Internal, "damaged", dir, "souk restore")
}

// flip changes every 300th byte, from some percent on, of every file of a pattern.
func flip(t *testing.T, dir, pattern string, percent int) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, pattern))
	if err != nil || len(files) == 0 {
		t.Fatalf("no %s: %v", pattern, err)
	}
	for _, name := range files {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for at := len(b) * percent / 100; at < len(b)*3/4; at += 300 {
			b[at] ^= 0x10
		}
		if err := os.WriteFile(name, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// TestTornLogOpensAtACommit cuts or spoils the write-ahead log anywhere in its last
// commits, as a power cut does: what is found is the history up to some commit.
func TestTornLogOpensAtACommit(t *testing.T) {
	disk := newDisk(t)
	db := disk.open()
	const commits = 12
	for i := range commits {
		putEvent(t, db, fmt.Sprint(i), strings.Repeat("x", 200))
	}
	want := chains(t, db)
	name, wal := newestLog(t, disk.opts.FS)
	seen := map[LSN]bool{}
	for cut := 0; cut < 1500; cut += 37 {
		fs := vfs.NewMem()
		if _, err := vfs.Clone(disk.opts.FS, fs, "db", "db"); err != nil {
			t.Fatal(err)
		}
		writeFile(t, fs, name, wal[:len(wal)-cut])
		torn := openTest(t, Options{Dir: "db", FS: fs})
		got := torn.LastLSN()
		seen[got] = true
		if chain, err := torn.ChainAt(got); err != nil || chain != want[got] {
			t.Fatalf("cut by %d bytes: the chain at %d is %v, %v", cut, got, chain, err)
		}
		if next := putEvent(t, torn, "next", ""); next != got+1 {
			t.Errorf("cut by %d bytes: the next LSN is %d, want %d", cut, next, got+1)
		}
	}
	if !seen[commits] || len(seen) < 4 {
		t.Errorf("the cuts left only the histories up to %v", seen)
	}
}

func newestLog(t *testing.T, fs vfs.FS) (name string, content []byte) {
	t.Helper()
	names, err := fs.List("db")
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range names {
		if strings.HasSuffix(n, ".log") && n > filepath.Base(name) {
			name = fs.PathJoin("db", n)
		}
	}
	f, err := fs.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if content, err = io.ReadAll(f); err != nil {
		t.Fatal(err)
	}
	return name, bytes.TrimRight(content, "\x00") // not what was only allocated
}

func writeFile(t *testing.T, fs vfs.FS, name string, content []byte) {
	t.Helper()
	f, err := fs.Create(name, vfs.WriteCategoryUnspecified)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write(content); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		t.Fatal(err)
	}
}

// TestSyncErrorAcknowledgesNothing: when an fsync fails, Fatal is called, and no commit
// that waited for it is acknowledged or fed to anybody.
func TestSyncErrorAcknowledgesNothing(t *testing.T) {
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

func TestLittleSpaceRefusesWritesOnly(t *testing.T) {
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

func TestTransactionMayRunForTwoSeconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db := openTest(t, Options{})
		for spent, ok := range map[time.Duration]bool{MaxTime: true, MaxTime + time.Nanosecond: false} {
			_, err := db.Update(t.Context(), tenant, Op{ID: spent.String()}, func(tx *Tx) error {
				time.Sleep(spent)
				return Events.Put(tx, &market.ProviderEvent{ID: spent.String()})
			})
			if ok && err != nil || !ok && !errors.Is(err, ErrTimeLimit) {
				t.Errorf("after %v: %v", spent, err)
			}
		}
		if got := db.LastLSN(); got != 1 {
			t.Errorf("LSN %d, want 1", got)
		}
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
}

// TestUpdateInsideUpdateIsRefused: it would wait for itself for ever.
func TestUpdateInsideUpdateIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db := openTest(t, Options{})
		for name, inside := range map[string]func() error{
			"update": func() error {
				_, err := db.Update(t.Context(), tenant, Op{}, func(*Tx) error { return nil })
				return err
			},
			"snapshot": func() error { _, err := db.Snapshot(t.Context()); return err },
		} {
			_, err := db.Update(t.Context(), tenant, Op{ID: name}, func(*Tx) error { return inside() })
			wantSentence(t, err, market.Unavailable, "busy")
			if !strings.Contains(err.Error(), "an Update inside of it") {
				t.Errorf("%s: %v doesn't give the reason", name, err)
			}
		}
		// One who swallows it has been too slow.
		_, err := db.Update(t.Context(), tenant, Op{}, func(tx *Tx) error {
			db.Update(t.Context(), tenant, Op{}, func(*Tx) error { return nil })
			return Events.Put(tx, &market.ProviderEvent{ID: "x"})
		})
		if !errors.Is(err, ErrTimeLimit) {
			t.Errorf("swallowed: %v", err)
		}
		if got := db.LastLSN(); got != 0 {
			t.Errorf("LSN %d, want 0", got)
		}
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
}

// TestManyWritersWaitTheirTurn: a long queue is no standstill.
func TestManyWritersWaitTheirTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db := openTest(t, Options{})
		var wg sync.WaitGroup
		for range 20 {
			wg.Go(func() {
				_, err := db.Update(t.Context(), tenant, Op{}, func(*Tx) error { time.Sleep(time.Second); return nil })
				if err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait() // 20 seconds, of which the last waits 19
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
}
