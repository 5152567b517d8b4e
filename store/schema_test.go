package store

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
	"github.com/souk-market/souk/internal/market"
)

func TestEveryVersionHasItsMigration(t *testing.T) {
	if len(migrations) != SchemaVersion-1 {
		t.Errorf("%d migrations lead to version %d", len(migrations), SchemaVersion)
	}
}

// retired are the kinds of keys that version 2 has no more.
var retired = []kindOf{{1, 1}, {9, 1}, {9, 2}, {12, 2}}

func isRetired(k Key) bool {
	_, table, kind, _, ok := k.parse()
	return ok && slices.Contains(retired, kindOf{table, kind})
}

// keysWhere lists the replicated keys that a function wants.
func keysWhere(t *testing.T, from pebble.Reader, wanted func(Key) bool) (keys []Key) {
	t.Helper()
	r := reader{from: from}
	for k, v := range r.scan([]byte{spaceTenant}, []byte{spaceTenant + 1}) {
		if v.err != nil {
			t.Fatal(v.err)
		}
		if wanted(k) {
			keys = append(keys, bytes.Clone(k))
		}
	}
	return keys
}

// version1 is a copy of a directory that souk wrote when its schema version was 1: the
// shop of openShop, and two tenants with twenty operations each, half of them flushed.
func version1(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "store")
	if err := os.CopyFS(dir, os.DirFS(filepath.Join("testdata", "v1"))); err != nil {
		t.Fatal(err)
	}
	return dir
}

// engineOf opens a directory as it is, without bringing it to today's version.
func engineOf(t *testing.T, dir string, fs vfs.FS) *pebble.DB {
	t.Helper()
	engine, err := pebble.Open(dir, engineOptions(Options{FS: fs, Logger: slog.New(slog.DiscardHandler), Fatal: func(err error) { panic(err) }}, nil))
	if err != nil {
		t.Fatal(err)
	}
	return engine
}

func closeEngine(t *testing.T, engine *pebble.DB) {
	t.Helper()
	if err := engine.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestVersion1IsMigrated opens a directory of version 1: what was retired is gone, the
// rest is as it was, and the history goes on for whoever follows it.
func TestVersion1IsMigrated(t *testing.T) {
	dir := version1(t)
	engine := engineOf(t, dir, nil)
	old := keysWhere(t, engine, isRetired)
	kept := keysWhere(t, engine, func(k Key) bool { return !isRetired(k) })
	closeEngine(t, engine)
	if len(old) < 40 {
		t.Fatalf("the old directory has %d retired keys", len(old))
	}
	var log bytes.Buffer
	db := openTest(t, Options{Dir: dir, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	if got := keysWhere(t, db.engine, isRetired); len(got) > 0 {
		t.Errorf("left: %v", got)
	}
	want := append([]Key{keyDataVersion}, kept...)
	if got := keysWhere(t, db.engine, func(Key) bool { return true }); !slices.EqualFunc(got, want, func(a, b Key) bool { return bytes.Equal(a, b) }) {
		t.Errorf("%d keys are left, want %d", len(got), len(want))
	}
	for _, name := range []market.TenantID{"ten_main", "ten_other"} {
		res, err := db.Update(t.Context(), name, Op{ID: "op/7"}, func(*Tx) error { return nil })
		if err != nil || !res.Repeated || string(res.Value) != "result 7" {
			t.Errorf("an operation of before: %+v, %v", res, err)
		}
	}
	if rows, errs := inspect(t, db, InspectQuery{}); len(errs) > 0 || len(rows) < 150 {
		t.Errorf("%d records, %v", len(rows), errs)
	}
	var last Change
	for c, err := range db.InspectLog(t.Context(), 0, 0) {
		if err != nil {
			t.Fatal(err)
		}
		last = c
	}
	changed := append([]Key{keyDataVersion}, old...)
	slices.SortFunc(changed, func(a, b Key) int { return bytes.Compare(a, b) })
	if last.Class != UserData || !slices.EqualFunc(last.Keys, changed, func(a, b Key) bool { return bytes.Equal(a, b) }) {
		t.Errorf("the last change is of class %v and has %d keys, want %d", last.Class, len(last.Keys), len(changed))
	}
	for _, says := range []string{"older versions of souk can't open", "newer schema version", "delete indexes"} {
		if !strings.Contains(log.String(), says) {
			t.Errorf("the log doesn't say %q: %s", says, &log)
		}
	}
	// Once is enough.
	lsn := db.LastLSN()
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if again := openTest(t, Options{Dir: dir}); again.LastLSN() != lsn {
		t.Errorf("opened again, the last commit is %d, want %d", again.LastLSN(), lsn)
	}
}

// TestVersion1IsRestored: from a replica of version 1 comes a directory of version 1,
// which the first Open migrates into what the source becomes.
func TestVersion1IsRestored(t *testing.T) {
	dir := version1(t)
	engine := engineOf(t, dir, nil)
	snap := engine.NewSnapshot()
	table := filepath.Join(t.TempDir(), "0.sst")
	writeTable(t, table, &Snapshot{snap: snap}, everything)
	if err := errors.Join(snap.Close(), engine.Close()); err != nil {
		t.Fatal(err)
	}
	at := newClock()
	at.now = at.now.AddDate(1, 0, 0)
	src := openTest(t, Options{Dir: dir, Clock: at.Now})
	migrated := src.LastLSN() // by one commit
	target := filepath.Join(t.TempDir(), "copy")
	r, err := NewRestore(target)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Ingest(t.Context(), table); err != nil {
		t.Fatal(err)
	}
	var before Change
	for c, err := range src.InspectLog(t.Context(), migrated-2, 1) {
		if err != nil {
			t.Fatal(err)
		}
		before = c
	}
	if err := r.Finish(Head{LSN: before.LSN, Chain: before.Chain, Time: before.Time}); err != nil {
		t.Fatal(err)
	}
	engine = engineOf(t, target, nil)
	v, closer, err := engine.Get(keySchema)
	if err != nil || !bytes.Equal(v, versionBytes(1)) {
		t.Errorf("the restored directory has version %x, %v; want 1", v, err)
	}
	closer.Close()
	closeEngine(t, engine)
	db := openTest(t, Options{Dir: target, Clock: at.Now})
	want, err := src.ChainAt(migrated)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := db.ChainAt(migrated); err != nil || got != want || db.LastLSN() != migrated || digest(t, db) != digest(t, src) {
		t.Errorf("the restored history ends at %d with %v, %v; want %d with %v and the same data", db.LastLSN(), got, err, migrated, want)
	}
}

func TestNewerDataIsRefused(t *testing.T) {
	disk := newDisk(t)
	db := disk.open()
	putEvent(t, db, "a", "")
	table := filepath.Join(t.TempDir(), "0.sst")
	rawSet(t, db, keyDataVersion, versionBytes(SchemaVersion+1))
	newer := db.engine.NewSnapshot()
	writeTable(t, table, &Snapshot{snap: newer}, everything)
	if err := errors.Join(newer.Close(), db.Close()); err != nil {
		t.Fatal(err)
	}
	_, err := Open(disk.opts)
	wantSentence(t, err, market.Conflict, "schema version 3", "knows version 2", "newer souk")
	r, err := NewRestore(filepath.Join(t.TempDir(), "copy"))
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Ingest(t.Context(), table); err != nil {
		t.Fatal(err)
	}
	wantSentence(t, r.Finish(Head{LSN: 1}), market.Conflict, "schema version 3", "newer souk")
}

func TestMigrationOfAFullDisk(t *testing.T) {
	fs := vfs.NewMem()
	if _, err := vfs.Clone(vfs.Default, fs, version1(t), "db"); err != nil {
		t.Fatal(err)
	}
	fs.TestingSetDiskUsage(vfs.DiskUsage{AvailBytes: 100 << 20, TotalBytes: 1 << 40}) // room to open, not to write
	_, err := Open(Options{Dir: "db", FS: fs})
	wantSentence(t, err, market.Unavailable, "db", "schema version 2", "Free some space")
	engine := engineOf(t, "db", fs)
	if v, closer, err := engine.Get(keySchema); err != nil || !bytes.Equal(v, versionBytes(1)) {
		t.Errorf("the directory has version %x (%v), which locks the older binary out", v, err)
	} else {
		closer.Close()
	}
	closeEngine(t, engine)
	fs.TestingSetDiskUsage(vfs.DiskUsage{AvailBytes: 1 << 40, TotalBytes: 1 << 40})
	openTest(t, Options{Dir: "db", FS: fs})
}

// bigVersion1 is a database of version 1 with n retired keys of each of two tenants, on
// a disk that can lose power.
func bigVersion1(t *testing.T, n int) *vfs.MemFS {
	t.Helper()
	fs := vfs.NewCrashableMem()
	db := openRawOn(t, fs)
	putEvent(t, db, "kept", "")
	b := db.engine.NewBatch()
	for _, name := range []market.TenantID{"ten_a", "ten_b"} {
		for i := range n {
			k := retired[i%len(retired)]
			key := append(tenantPrefix(name), byte(k.table), k.kind)
			if err := b.Set(key.text(fmt.Sprintf("%07d", i)), []byte("x"), nil); err != nil {
				t.Fatal(err)
			}
		}
	}
	rawDelete(t, db, keyDataVersion)
	rawSet(t, db, keySchema, versionBytes(1))
	if err := errors.Join(b.Commit(pebble.Sync), b.Close(), db.engine.Flush(), db.Close()); err != nil {
		t.Fatal(err)
	}
	return fs
}

func openRawOn(t *testing.T, fs vfs.FS) *DB {
	t.Helper()
	at := newClock()
	db, err := Open(Options{Dir: "db", FS: fs, Clock: at.Now})
	if err != nil {
		t.Fatal(err)
	}
	return db
}

// crashable calls cut before each write to a disk, with the number of the write.
type crashable struct {
	mu  sync.Mutex
	n   int
	cut func(n int)
}

func (c *crashable) String() string { return "power cut" }

// MaybeError implements errorfs.Injector.
func (c *crashable) MaybeError(op errorfs.Op) error {
	if op.Kind.ReadOrWrite() == errorfs.OpIsWrite {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.n++
		c.cut(c.n)
	}
	return nil
}

// TestMigrationAfterAPowerCut cuts the power before every write of a migration of
// several commits, with none, half or all of what wasn't synced surviving. The next Open
// ends in the history of the one that was left alone.
func TestMigrationAfterAPowerCut(t *testing.T) {
	const n = 1600 // of each tenant: four commits
	left := openRawOn(t, bigVersion1(t, n))
	want, sum := chains(t, left), digest(t, left)
	if len(want) != 1+1+4 {
		t.Fatalf("the migration makes %d commits, want 4", len(want)-2)
	}
	if err := left.Close(); err != nil {
		t.Fatal(err)
	}
	mem := bigVersion1(t, n)
	var disks []*vfs.MemFS
	rng := rand.New(rand.NewPCG(1, 2))
	cut := func(n int) {
		disks = append(disks, mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: []int{0, 50, 100}[n%3], RNG: rng}))
	}
	if err := openRawOn(t, errorfs.Wrap(mem, &crashable{cut: cut})).Close(); err != nil {
		t.Fatal(err)
	}
	unfinished := 0
	for i, disk := range disks {
		if begun := versionsAfterCrash(t, disk, i); begun {
			unfinished++
		}
		db := openRawOn(t, disk)
		if got := chains(t, db); !slices.Equal(got, want) || digest(t, db) != sum {
			t.Errorf("cut before write %d: the history has %d commits and is another one; want %d", i+1, len(got)-1, len(want)-1)
		}
		checkWhole(t, db)
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("%d power cuts, %d of them in the midst of the migration", len(disks), unfinished)
	if unfinished < 4 {
		t.Errorf("only %d of %d power cuts came in the midst of the migration", unfinished, len(disks))
	}
}

// versionsAfterCrash verifies that what a crash left is of version 1, or refused by its
// binaries. It reports whether the migration had begun and not ended.
func versionsAfterCrash(t *testing.T, disk *vfs.MemFS, i int) (begun bool) {
	t.Helper()
	engine := engineOf(t, "db", disk)
	defer closeEngine(t, engine)
	r := reader{from: engine}
	dirVersion, err := r.value(keySchema)
	if err != nil {
		t.Fatal(err)
	}
	data, err := r.value(keyDataVersion)
	if err != nil {
		t.Fatal(err)
	}
	left := len(keysWhere(t, engine, isRetired))
	if touched := left < 3200 || data != nil; touched && !bytes.Equal(dirVersion, versionBytes(SchemaVersion)) {
		t.Errorf("cut before write %d: the data has been touched and the directory is of version %x", i+1, dirVersion)
	}
	if (left == 0) != (data != nil) {
		t.Errorf("cut before write %d: %d keys are left of data of version %x", i+1, left, data)
	}
	return left > 0 && left < 3200
}

// TestMigrationKilledAgainAndAgain cuts the power in each of its lives after a few
// writes, and finds that it gets on.
func TestMigrationKilledAgainAndAgain(t *testing.T) {
	const n = 20_000 // of each tenant: 41 commits
	disk := bigVersion1(t, n)
	rng := rand.New(rand.NewPCG(3, 4))
	lives := 0
	for before := 2 * n; before > 0; lives++ {
		if lives > 1000 {
			t.Fatalf("after %d lives %d keys are left", lives, before)
		}
		disk = dieMigrating(t, disk, rng)
		engine := engineOf(t, "db", disk)
		left := len(keysWhere(t, engine, isRetired))
		closeEngine(t, engine)
		if left > before {
			t.Fatalf("%d keys are left where %d were before", left, before)
		}
		before = left
	}
	t.Logf("%d lives", lives)
	if lives < 50 {
		t.Errorf("the migration was killed %d times, want 50", lives)
	}
	db := openRawOn(t, disk)
	checkWhole(t, db)
	if got := db.LastLSN(); got != 1+41 {
		t.Errorf("the history has %d commits, want 42", got)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
}

// dieMigrating opens a database, cuts the power before one of the first writes, and
// returns the disk that is found afterwards.
func dieMigrating(t *testing.T, disk *vfs.MemFS, rng *rand.Rand) (next *vfs.MemFS) {
	t.Helper()
	at, keep := 1+rng.IntN(30), []int{0, 50, 100}[rng.IntN(3)]
	crash := func() { next = disk.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: keep, RNG: rng}) }
	cut := func(n int) {
		if n == at {
			crash()
		}
	}
	if err := openRawOn(t, errorfs.Wrap(disk, &crashable{cut: cut})).Close(); err != nil {
		t.Fatal(err)
	}
	if next == nil {
		crash()
	}
	return next
}
