package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/cockroachdb/pebble/v2/objstorage/objstorageprovider"
	"github.com/cockroachdb/pebble/v2/sstable"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/souk-market/souk/internal/market"
)

// testRemote holds tables in memory.
type testRemote struct {
	tables map[string][]byte
	begun  chan struct{} // of calls while it is slow

	mu   sync.Mutex
	away error // of everything that is asked for
	slow bool  // nothing is answered before the context ends
	read int64 // bytes
	asks int   // calls
}

func (r *testRemote) set(away error, slow bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.away, r.slow = away, slow
}

func (r *testRemote) bytesRead() int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.read
}

func (r *testRemote) asked() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.asks
}

func (r *testRemote) ask(ctx context.Context, n int) error {
	r.mu.Lock()
	away, slow := r.away, r.slow
	r.read += int64(n)
	r.asks++
	r.mu.Unlock()
	if slow {
		r.begun <- struct{}{}
		<-ctx.Done()
		return ctx.Err()
	}
	return away
}

func (r *testRemote) OpenObject(ctx context.Context, name string) (RemoteObject, error) {
	if err := r.ask(ctx, 0); err != nil {
		return nil, err
	}
	b, ok := r.tables[name]
	if !ok {
		return nil, fs.ErrNotExist
	}
	return testObject{r, b}, nil
}

type testObject struct {
	remote *testRemote
	bytes  []byte
}

func (o testObject) Size() int64  { return int64(len(o.bytes)) }
func (o testObject) Close() error { return nil }

func (o testObject) ReadAt(p []byte, off int64) (int, error) {
	if err := o.remote.ask(context.Background(), len(p)); err != nil {
		return 0, err
	}
	if off+int64(len(p)) > int64(len(o.bytes)) {
		return 0, io.ErrUnexpectedEOF
	}
	return copy(p, o.bytes[off:]), nil
}

// tableOf makes a table of keys and values; a nil value is a deletion.
func tableOf(t *testing.T, keys []KeyValue) []byte {
	t.Helper()
	mem := vfs.NewMem()
	f, err := mem.Create("t", vfs.WriteCategoryUnspecified)
	if err != nil {
		t.Fatal(err)
	}
	w := sstable.NewWriter(objstorageprovider.NewFileWritable(f), SSTOptions())
	for _, kv := range keys {
		if kv.Value == nil {
			err = w.Delete(kv.Key)
		} else {
			err = w.Set(kv.Key, kv.Value)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	f, err = mem.Open("t")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var b bytes.Buffer
	if _, err := b.ReadFrom(f); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// restoreAttached makes a directory of a primary's data: the first commits in attached
// tables of n keys each, the last ones taken in over them.
func restoreAttached(t *testing.T, primary *DB, n int) (dir string, r *testRemote) {
	t.Helper()
	base := FileSince(t, primary, 0, true)
	rng := rand.New(rand.NewPCG(3, 3))
	for range 10 {
		SomeCommit(t, primary, rng)
	}
	tail := FileSince(t, primary, base.Max, false)
	dir, r = filepath.Join(t.TempDir(), "store"), &testRemote{tables: map[string][]byte{}, begun: make(chan struct{}, 1000)}
	restore, err := NewAttachedRestore(dir, r)
	if err != nil {
		t.Fatal(err)
	}
	var attached []Attached
	for at := 0; at < len(base.keys); at += n {
		part := base.keys[at:min(at+n, len(base.keys))]
		name := fmt.Sprint("segment-", at/n)
		r.tables[name] = tableOf(t, part)
		attached = append(attached, Attached{Name: name, Size: int64(len(r.tables[name])), First: part[0].Key, Last: part[len(part)-1].Key})
	}
	if err := restore.Attach(t.Context(), attached); err != nil {
		t.Fatal(err)
	}
	if n := r.bytesRead(); n > 0 {
		t.Errorf("attaching reads %d bytes", n)
	}
	path := filepath.Join(t.TempDir(), "tail.sst")
	writeFile(t, vfs.Default, path, tableOf(t, tail.keys))
	if err := restore.Ingest(t.Context(), path); err != nil {
		t.Fatal(err)
	}
	if err := restore.Finish(Head{LSN: tail.Max, Chain: tail.Chain, Time: tail.Time}); err != nil {
		t.Fatal(err)
	}
	return dir, r
}

// attachedPrimary is a database with enough in it for some tables.
func attachedPrimary(t *testing.T) *DB {
	primary := openTest(t, Options{})
	insertMany(t, primary, 300)
	return primary
}

func agentNames(db *DB) (names []string, err error) {
	err = db.View(context.Background(), tenant, func(tx *ReadTx) error {
		for a, err := range Agents.All(tx, "") {
			if err != nil {
				return err
			}
			names = append(names, string(a.ID))
		}
		return nil
	})
	return names, err
}

// TestAttached: a directory with attached tables is the database as it was, takes commits,
// and needs the replica no longer once it has downloaded them.
func TestAttached(t *testing.T) {
	primary := attachedPrimary(t)
	dir, remote := restoreAttached(t, primary, 200)
	db := open(t, Options{Dir: dir, Remote: remote})
	wantSame(t, db, primary)
	checkWhole(t, db)
	if db.AttachedBytes() == 0 {
		t.Error("nothing is attached")
	}
	putEvent(t, db, "new", "")
	sum := digest(t, db)
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	db = open(t, Options{Dir: dir, Remote: remote})
	if digest(t, db) != sum {
		t.Error("the reopened directory has other data")
	}
	if err := db.Download(t.Context(), nil); err != nil || db.AttachedBytes() != 0 {
		t.Fatalf("%d bytes are still attached: %v", db.AttachedBytes(), err)
	}
	remote.set(errors.New("the bucket is gone"), false)
	if digest(t, db) != sum {
		t.Error("the downloaded directory has other data")
	}
	for _, from := range []RemoteReader{remote, nil} {
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
		db = openTest(t, Options{Dir: dir, Remote: from})
		if digest(t, db) != sum {
			t.Error("the downloaded directory has other data when it is opened again")
		}
	}
	putEvent(t, db, "newer", "")
	if err := db.Compact(t.Context()); err != nil {
		t.Error(err)
	}
}

// TestAttachedWhileAway: what can't be read is said to be temporary, with the object's
// name, and never to be absent; the rest goes on, and so does all when it is back.
func TestAttachedWhileAway(t *testing.T) {
	for name, away := range map[string]error{
		"unreachable": errors.New("connection refused"), "lost": fs.ErrNotExist,
		"not found": market.Errorf(market.NotFound, "There is no such file."),
	} {
		t.Run(name, func(t *testing.T) {
			primary := attachedPrimary(t)
			dir, remote := restoreAttached(t, primary, 200)
			want, err := agentNames(primary)
			if err != nil {
				t.Fatal(err)
			}
			opts := Options{Dir: dir, Remote: remote, CacheSize: 1 << 10}
			remote.set(away, false)
			db := open(t, opts)
			_, err = agentNames(db)
			if !market.Is(err, market.Unavailable) || !strings.Contains(err.Error(), "segment-") || !errors.Is(err, away) {
				t.Errorf("reading: %v", err)
			}
			wantSentence(t, err, market.Unavailable, "replica", "can't be reached")
			err = db.View(t.Context(), tenant, func(tx *ReadTx) error { _, err := AgentBySlug.Load(tx, "s17"); return err })
			if !market.Is(err, market.Unavailable) {
				t.Errorf("loading one record: %v", err)
			}
			rep, err := db.Check(t.Context(), CheckOptions{})
			if err != nil || rep.OK() || !strings.Contains(strings.Join(rep.Problems, " "), "segment-") {
				t.Errorf("the check says %v, %v", rep, err)
			}
			if err := db.Download(t.Context(), nil); !market.Is(err, market.Unavailable) || !strings.Contains(err.Error(), "segment-") {
				t.Errorf("downloading: %v", err)
			}
			remote.set(nil, false)
			if got, err := agentNames(db); err != nil || len(got) != len(want) {
				t.Errorf("when it is back, %d of %d are there, %v", len(got), len(want), err)
			}
			if n := db.Stats().DamagedFiles; n > 0 {
				t.Errorf("%d files count as damaged", n)
			}
			if err := db.Download(t.Context(), nil); err != nil {
				t.Error(err)
			}
			wantSame(t, db, primary)
		})
	}
}

// TestAttachedAndSlow: neither opening nor closing waits for a replica that doesn't answer.
func TestAttachedAndSlow(t *testing.T) {
	primary := attachedPrimary(t)
	dir, remote := restoreAttached(t, primary, 100)
	remote.set(nil, true)
	db := open(t, Options{Dir: dir, Remote: remote})
	var reading sync.WaitGroup
	reading.Go(func() {
		if err := db.Download(t.Context(), nil); !market.Is(err, market.Unavailable) {
			t.Errorf("downloading while it closes: %v", err)
		}
	})
	reading.Go(func() {
		err := db.View(t.Context(), tenant, func(tx *ReadTx) error {
			for _, err := range PopularAgents.Scan(tx, All{}, "") {
				if err != nil {
					return err
				}
			}
			return nil
		})
		if !market.Is(err, market.Unavailable) {
			t.Errorf("reading while it closes: %v", err)
		}
	})
	<-remote.begun
	if err := db.Close(); err != nil {
		t.Error(err)
	}
	reading.Wait()
	remote.set(nil, false)
	db = openTest(t, Options{Dir: dir, Remote: remote})
	if err := db.Download(t.Context(), nil); err != nil {
		t.Error(err)
	}
	wantSame(t, db, primary)
}

// TestAttachedAndIdle: nothing asks a replica that is away again and again.
func TestAttachedAndIdle(t *testing.T) {
	primary := attachedPrimary(t)
	dir, remote := restoreAttached(t, primary, 200)
	remote.set(errors.New("connection refused"), false)
	db := open(t, Options{Dir: dir, Remote: remote})
	for i := range 100 {
		putEvent(t, db, fmt.Sprint("new ", i), "")
		if i%20 == 0 {
			if err := db.engine.Flush(); err != nil {
				t.Fatal(err)
			}
		}
	}
	if n := remote.asked(); n > 100 {
		t.Errorf("it has been asked %d times", n)
	}
}
