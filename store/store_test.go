package store

import (
	"context"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/souk-market/souk/internal/market"
)

const tenant = market.MainTenant

// openTest opens a database, in memory if nothing else is asked for. It is checked and
// closed when the test ends.
func openTest(t testing.TB, o Options) *DB {
	t.Helper()
	db := open(t, o)
	t.Cleanup(func() { checkWhole(t, db) })
	return db
}

// openRaw opens a database for a test to break: it is not checked.
func openRaw(t testing.TB) *DB { return open(t, Options{}) }

func open(t testing.TB, o Options) *DB {
	t.Helper()
	if o.FS == nil && o.Dir == "" {
		o.FS, o.Dir = vfs.NewMem(), "db"
	}
	if o.Fatal == nil {
		o.Fatal = func(err error) { panic(err) }
	}
	db, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}

// checkWhole fails the test when the database is broken; one that was closed is left alone.
func checkWhole(t testing.TB, db *DB) {
	t.Helper()
	if db.Closed() {
		return
	}
	rep, err := db.Check(context.Background(), CheckOptions{})
	if err != nil {
		t.Errorf("checking the database: %v", err)
	} else if !rep.OK() {
		t.Errorf("the database is broken: %v", rep.Problems)
	}
}

// testDisk is a disk in memory that a database is opened on again and again.
type testDisk struct {
	testing.TB
	opts Options
}

func newDisk(t testing.TB) *testDisk {
	return &testDisk{t, Options{Dir: "db", FS: vfs.NewMem()}}
}

func (d *testDisk) open() *DB {
	d.Helper()
	return openTest(d.TB, d.opts)
}

func (d *testDisk) close(db *DB) {
	d.Helper()
	checkWhole(d.TB, db)
	if err := db.Close(); err != nil {
		d.Fatal(err)
	}
}

// rawSet writes a key past everything that keeps a database whole.
func rawSet(t testing.TB, db *DB, key, value []byte) {
	t.Helper()
	if err := db.engine.Set(key, value, pebble.NoSync); err != nil {
		t.Fatal(err)
	}
}

func rawDelete(t testing.TB, db *DB, key []byte) {
	t.Helper()
	if err := db.engine.Delete(key, pebble.NoSync); err != nil {
		t.Fatal(err)
	}
}
