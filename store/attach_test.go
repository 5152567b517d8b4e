package store

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"

	"github.com/souk-market/souk/internal/market"
)

// elsewhere reads attached tables from a folder.
type elsewhere struct {
	dir   string
	opens *atomic.Int64
	gone  *atomic.Bool
}

type elsewhereTable struct {
	*os.File
	size int64
	gone *atomic.Bool
}

func (t elsewhereTable) ReadAt(p []byte, off int64) (int, error) {
	if t.gone.Load() {
		return 0, fs.ErrNotExist
	}
	return t.File.ReadAt(p, off)
}

func (t elsewhereTable) Size() int64 { return t.size }

func (e elsewhere) OpenObject(_ context.Context, name string) (RemoteObject, error) {
	e.opens.Add(1)
	if e.gone.Load() {
		return nil, fs.ErrNotExist
	}
	f, err := os.Open(filepath.Join(e.dir, name))
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	return elsewhereTable{f, info.Size(), e.gone}, nil
}

// attachAll makes a directory to which all of a database is attached, as tables of some
// keys each.
func attachAll(t *testing.T, src *DB, from elsewhere) string {
	t.Helper()
	snap := snapshot(t, src)
	var keys []Key
	for kv, err := range snap.All() {
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, append(Key{}, kv.Key...))
	}
	var tables []Attached
	for i := 0; i < len(keys); i += 5 {
		part := keys[i:min(i+5, len(keys))]
		first, last := string(part[0]), string(part[len(part)-1])
		name := fmt.Sprint("table-", i)
		path := filepath.Join(from.dir, name)
		writeTable(t, path, snap, func(k Key) bool { return first <= string(k) && string(k) <= last })
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		tables = append(tables, Attached{Name: name, Size: info.Size(), First: part[0], Last: part[len(part)-1]})
	}
	dir := filepath.Join(t.TempDir(), "store")
	r, err := NewAttachedRestore(dir, from)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Attach(t.Context(), tables); err != nil {
		t.Fatal(err)
	}
	if n := from.opens.Load(); n != 0 {
		t.Errorf("attaching opened %d tables", n)
	}
	if err := r.Finish(Head{LSN: snap.LSN(), Chain: snap.Chain(), Time: snap.Time()}); err != nil {
		t.Fatal(err)
	}
	return dir
}

// TestAttach uses a database whose data are elsewhere, brings them to it, and then uses
// it without.
func TestAttach(t *testing.T) {
	src := history(t, 0)
	from := elsewhere{t.TempDir(), new(atomic.Int64), new(atomic.Bool)}
	dir := attachAll(t, src, from)
	if db, err := Open(Options{Dir: dir}); !market.Is(err, market.Conflict) {
		db.Close()
		t.Errorf("opening an attached directory by itself: %v, want Conflict", err)
	}
	for range 2 { // it may be opened again before it is downloaded
		db, err := Open(Options{Dir: dir, Remote: from})
		if err != nil {
			t.Fatal(err)
		}
		update(t, db, Op{Class: Transaction}, func(tx *Tx) error {
			a, err := Accounts.Load(tx, "acc_7")
			if err != nil {
				return err
			}
			a.Name += " changed"
			return Accounts.Put(tx, &a)
		})
		if db.AttachedBytes() == 0 {
			t.Error("nothing is attached any more before the download")
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
	}
	db := open(t, Options{Dir: dir, Remote: from})
	before := digestOf(t, db)
	if err := db.Download(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	if n := db.AttachedBytes(); n != 0 {
		t.Errorf("%d bytes are still attached after the download", n)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(from.dir); err != nil {
		t.Fatal(err)
	}
	if got := digestOf(t, open(t, Options{Dir: dir})); got != before {
		t.Error("the downloaded directory differs")
	}
}

// TestAttachedTableIsGone: what is lost with a table is an error of the reads that need
// it, and the download doesn't end as if it were there.
func TestAttachedTableIsGone(t *testing.T) {
	src := history(t, 0)
	from := elsewhere{t.TempDir(), new(atomic.Int64), new(atomic.Bool)}
	dir := attachAll(t, src, from)
	db, err := Open(Options{Dir: dir, Remote: from})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	from.gone.Store(true)
	run, stop := context.WithCancel(t.Context())
	failed := make(chan error, 1)
	go func() { failed <- db.Download(run, nil) }()
	err = db.View(t.Context(), market.MainTenant, func(tx *ReadTx) error {
		for _, err := range Accounts.All(tx, "") {
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err == nil {
		t.Error("records of lost tables were read")
	}
	stop()
	if err := <-failed; err == nil {
		t.Error("the download ended well without the tables")
	}
	if _, err := os.Stat(filepath.Join(dir, attachedMarker)); err != nil {
		t.Errorf("the marker: %v", err)
	}
}

func digestOf(t *testing.T, db *DB) [32]byte {
	t.Helper()
	snap, err := db.Snapshot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer snap.Close()
	sum, err := snap.Digest(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return sum
}
