package store

import (
	"fmt"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/objstorage/objstorageprovider"
	"github.com/cockroachdb/pebble/v2/sstable"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/souk-market/souk/internal/market"
)

// writeTable writes keys of a snapshot into a sorted table, as the replica does.
func writeTable(t *testing.T, path string, snap *Snapshot, wanted func(Key) bool) {
	t.Helper()
	f, err := vfs.Default.Create(path, vfs.WriteCategoryUnspecified)
	if err != nil {
		t.Fatal(err)
	}
	w := sstable.NewWriter(objstorageprovider.NewFileWritable(f), SSTOptions())
	for kv, err := range snap.All() {
		if err != nil {
			t.Fatal(err)
		}
		if wanted(kv.Key) {
			if err := w.Set(kv.Key, kv.Value); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
}

func snapshot(t *testing.T, db *DB) *Snapshot {
	t.Helper()
	snap, err := db.Snapshot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { snap.Close() })
	return snap
}

func everything(Key) bool { return true }

// TestRestoreRoundTrip copies a database through sorted tables: an older state, and what
// has changed since over it. The copy is the same data with the same history, on another
// node, which is fenced.
func TestRestoreRoundTrip(t *testing.T) {
	src, target := history(t, 0), filepath.Join(t.TempDir(), "copy")
	late, origin := restoreTwoTables(t, src, target)
	at := newClock() // its clock is behind the history's last commit
	db := openTest(t, Options{Dir: target, Clock: at.Now})
	n := db.Node()
	if n.ID == src.Node().ID || n.ID == "" || !n.Fenced || n.Origin == nil || n.Origin.LSN != origin.LSN || n.Origin.Chain != origin.Chain || n.Origin.TXID != 9 {
		t.Errorf("the restored node is %+v", n)
	}
	if db.LastLSN() != late.LSN() || db.DurableLSN() != late.LSN() || digest(t, db) != digest(t, src) {
		t.Errorf("restored at %d (%d durable), want %d with the same data", db.LastLSN(), db.DurableLSN(), late.LSN())
	}
	at.now = late.Time().Add(-time.Hour)
	historyGoesOn(t, db, late)
	// Fenced until somebody says otherwise, also over a restart.
	if err := db.Unfence(); err != nil || db.Node().Fenced {
		t.Errorf("unfenced: %+v, %v", db.Node(), err)
	}
	checkWhole(t, db)
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if got := openTest(t, Options{Dir: target}).Node(); got.Fenced || got.ID != n.ID || got.Origin == nil {
		t.Errorf("after a restart the node is %+v", got)
	}
}

// restoreTwoTables restores a database from a table of everything and one of what changed
// since, and returns the moment that it is of.
func restoreTwoTables(t *testing.T, src *DB, target string) (late *Snapshot, origin Origin) {
	t.Helper()
	dir := t.TempDir()
	early := snapshot(t, src)
	writeTable(t, filepath.Join(dir, "0.sst"), early, everything)
	update(t, src, Op{Class: Transaction}, func(tx *Tx) error {
		a, err := Accounts.Load(tx, "acc_7")
		if err != nil {
			return err
		}
		a.Name = "changed"
		return Accounts.Put(tx, &a)
	})
	late = snapshot(t, src)
	cs, err := late.Changes(early.LSN(), 100)
	if err != nil {
		t.Fatal(err)
	}
	writeTable(t, filepath.Join(dir, "1.sst"), late, func(k Key) bool {
		return slices.ContainsFunc(cs.Keys, func(c Key) bool { return string(c) == string(k) })
	})

	r, err := NewRestore(target)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"0.sst", "1.sst"} {
		if err := r.Ingest(t.Context(), filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	origin = Origin{Generation: 3, TXID: 9, LSN: late.LSN(), Chain: late.Chain(), Restored: newClock().now}
	if err := r.Finish(Head{LSN: late.LSN(), Chain: late.Chain(), Time: late.Time(), Origin: origin}); err != nil {
		t.Fatal(err)
	}
	if err := r.Close(); err != nil {
		t.Errorf("closing after Finish: %v", err)
	}
	return late, origin
}

// historyGoesOn commits once more, and follows the log from the restored moment on.
func historyGoesOn(t *testing.T, db *DB, late *Snapshot) {
	t.Helper()
	res := update(t, db, Op{}, func(tx *Tx) error {
		return Accounts.Insert(tx, &market.Account{ID: "acc_new", Email: "new@example.com"})
	})
	if res.LSN != late.LSN()+1 {
		t.Errorf("the next LSN is %d, want %d", res.LSN, late.LSN()+1)
	}
	if chain, err := db.ChainAt(late.LSN()); err != nil || chain != late.Chain() {
		t.Errorf("the chain at %d is %v, %v; want %v", late.LSN(), chain, err, late.Chain())
	}
	for c, err := range db.Feed(t.Context(), late.LSN()) {
		if err != nil || c.LSN != res.LSN || c.Time.Before(late.Time()) {
			t.Errorf("after the restore: %+v, %v", c, err)
		}
		break
	}
	for _, err := range db.Feed(t.Context(), 0) {
		if err != ErrLogCut {
			t.Errorf("the feed from before the restore: %v, want ErrLogCut", err)
		}
	}
}

func TestChainGoesOnAfterARestore(t *testing.T) {
	at := newClock()
	src := openTest(t, Options{Clock: at.Now})
	putEvent(t, src, "a", "")
	snap := snapshot(t, src)
	dir := t.TempDir()
	writeTable(t, filepath.Join(dir, "0.sst"), snap, everything)
	r, err := NewRestore(filepath.Join(dir, "copy"))
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Ingest(t.Context(), filepath.Join(dir, "0.sst")); err != nil {
		t.Fatal(err)
	}
	if err := r.Finish(Head{LSN: snap.LSN(), Chain: snap.Chain(), Time: snap.Time()}); err != nil {
		t.Fatal(err)
	}
	db := openTest(t, Options{Dir: filepath.Join(dir, "copy"), Clock: at.Now})
	for i := range 3 {
		putEvent(t, src, fmt.Sprint(i), "")
		putEvent(t, db, fmt.Sprint(i), "")
	}
	for lsn := LSN(1); lsn <= 4; lsn++ {
		want, err := src.ChainAt(lsn)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := db.ChainAt(lsn); err != nil || got != want {
			t.Errorf("the chain at %d is %v, %v; want %v", lsn, got, err, want)
		}
	}
}

// TestDeletionsAreTakenIn: a table's deletions count, also as long as nothing has merged
// it with the tables below it.
func TestDeletionsAreTakenIn(t *testing.T) {
	src := history(t, 0)
	dir := t.TempDir()
	early := snapshot(t, src)
	writeTable(t, filepath.Join(dir, "0.sst"), early, everything)
	update(t, src, Op{}, func(tx *Tx) error { return Accounts.Delete(tx, "acc_7") })
	late := snapshot(t, src)
	cs, err := late.Changes(early.LSN(), 1)
	if err != nil {
		t.Fatal(err)
	}
	f, err := vfs.Default.Create(filepath.Join(dir, "1.sst"), vfs.WriteCategoryUnspecified)
	if err != nil {
		t.Fatal(err)
	}
	w := sstable.NewWriter(objstorageprovider.NewFileWritable(f), SSTOptions())
	for _, k := range cs.Keys {
		if err := w.Delete(k); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	r, err := NewRestore(filepath.Join(dir, "copy"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"0.sst", "1.sst"} {
		if err := r.Ingest(t.Context(), filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	if err := r.Finish(Head{LSN: late.LSN(), Chain: late.Chain(), Time: late.Time()}); err != nil {
		t.Fatal(err)
	}
	if db := openTest(t, Options{Dir: filepath.Join(dir, "copy")}); digest(t, db) != digest(t, src) {
		t.Error("the copy isn't the source")
	}
}

func TestUnfinishedRestoreIsNoDatabase(t *testing.T) {
	src := history(t, 0)
	dir := t.TempDir()
	writeTable(t, filepath.Join(dir, "0.sst"), snapshot(t, src), everything)
	target := filepath.Join(dir, "copy")
	r, err := NewRestore(target)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Ingest(t.Context(), filepath.Join(dir, "0.sst")); err != nil {
		t.Fatal(err)
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	_, err = Open(Options{Dir: target})
	wantSentence(t, err, market.Conflict, target, "restore that was not finished")
	_, err = NewRestore(target)
	wantSentence(t, err, market.Conflict, target, "already a database")
}

func TestRestoreGoesIntoANewDirectoryOnly(t *testing.T) {
	dir := t.TempDir()
	if err := open(t, Options{Dir: dir}).Close(); err != nil {
		t.Fatal(err)
	}
	_, err := NewRestore(dir)
	wantSentence(t, err, market.Conflict, dir, "already a database")
	// An empty history is one too.
	empty := filepath.Join(t.TempDir(), "empty")
	r, err := NewRestore(empty)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Finish(Head{}); err != nil {
		t.Fatal(err)
	}
	db := openTest(t, Options{Dir: empty})
	if got := putEvent(t, db, "first", ""); got != 1 || !db.Node().Fenced {
		t.Errorf("the first LSN is %d on %+v", got, db.Node())
	}
}
