package store

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/souk-market/souk/internal/market"
)

// SpillAt has Replay write tables from batch bytes on, each of about table bytes.
func SpillAt(batch, table int, o Options) Options {
	o.spill = spillLimits{batch, table}
	return o
}

// file is a file of a replica in memory.
type file struct {
	Replay
	keys []KeyValue // a nil value is a deletion
}

func (f *file) fill(set SetFunc) error {
	for _, kv := range f.keys {
		if err := set(kv.Key, kv.Value, kv.Value == nil); err != nil {
			return err
		}
	}
	return nil
}

// FileSince is the file of the commits after an LSN up to the last, or with full of all
// that there is.
func FileSince(t testing.TB, db *DB, after LSN, full bool) *file {
	t.Helper()
	snap, err := db.Snapshot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer snap.Close()
	prev, err := db.ChainAt(after)
	if err != nil {
		t.Fatal(err)
	}
	f := &file{Replay: Replay{Min: after + 1, Max: snap.LSN(), Prev: prev, Chain: snap.Chain(), Time: snap.Time(), Full: full}}
	if full {
		for kv, err := range snap.All() {
			if err != nil {
				t.Fatal(err)
			}
			f.keys = append(f.keys, KeyValue{slices.Clone(kv.Key), bytes.Clone(kv.Value)})
		}
		return f
	}
	cs, err := snap.Changes(after, int(snap.LSN()))
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range cs.Keys {
		v, _, err := snap.Value(k)
		if err != nil {
			t.Fatal(err)
		}
		f.keys = append(f.keys, KeyValue{k, v})
	}
	return f
}

// On replays the file on a standby.
func (f *file) On(t testing.TB, db *DB) error { return db.Replay(t.Context(), f.Replay, f.fill) }

// SomeCommit makes a commit that adds, changes or deletes records.
func SomeCommit(t testing.TB, db *DB, rng *rand.Rand) {
	t.Helper()
	update(t, db, Op{Class: Class(rng.IntN(3))}, func(tx *Tx) error {
		for range 1 + rng.IntN(4) {
			id := market.AgentID(fmt.Sprintf("agt_%02d", rng.IntN(30)))
			if rng.IntN(3) == 0 {
				if err := Agents.Delete(tx, id); err != nil {
					return err
				}
				continue
			}
			err := Agents.Put(tx, &market.Agent{ID: id, Seller: "sel_1", Slug: "s" + string(id), Category: "tool", Popularity: rng.Int64N(1000), State: market.ListingPublished,
				Summary: strings.Repeat("x", rng.IntN(400)), Release: market.Release{File: market.File{OnDemand: true}}})
			if err != nil {
				return err
			}
		}
		return Events.Put(tx, &market.ProviderEvent{ID: fmt.Sprint(db.LastLSN())}) // never empty
	})
}

func openStandby(t testing.TB, o Options) *DB {
	t.Helper()
	o.Standby = true
	if o.FS == nil {
		o.FS, o.Dir = vfs.NewMem(), "db"
	}
	return openTest(t, o)
}

func wantSame(t *testing.T, standby, primary *DB) {
	t.Helper()
	last := primary.LastLSN()
	if standby.LastLSN() != last || standby.DurableLSN() != last {
		t.Fatalf("the standby is at %d, durable %d, and the primary at %d", standby.LastLSN(), standby.DurableLSN(), last)
	}
	if digest(t, standby) != digest(t, primary) {
		t.Errorf("at commit %d the standby has other data", last)
	}
	got, err := standby.ChainAt(last)
	want, wantErr := primary.ChainAt(last)
	if got != want || err != nil || wantErr != nil {
		t.Errorf("the chain at %d is %v, %v, want %v, %v", last, got, err, want, wantErr)
	}
}

// TestReplay follows random histories through files of all sizes, whole ones among them,
// in memory and in tables. A reader that began before goes on with what there was.
func TestReplay(t *testing.T) {
	for seed := range uint64(12) {
		rng := rand.New(rand.NewPCG(seed, 1))
		primary := openTest(t, Options{})
		disk := newDisk(t)
		disk.opts.Standby = true
		disk.opts = SpillAt([]int{1, 2_000, 1 << 20}[rng.IntN(3)], []int{500, 5_000, 1 << 20}[rng.IntN(3)], disk.opts)
		standby := disk.open()
		for range 12 {
			for range 1 + rng.IntN(8) {
				SomeCommit(t, primary, rng)
			}
			last := standby.LastLSN()
			after := last - LSN(rng.Uint64N(uint64(last)+1)) // anywhere behind it
			f := FileSince(t, primary, after, rng.IntN(4) == 0)
			before := digest(t, standby)
			snap, err := standby.Snapshot(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if err := f.On(t, standby); err != nil {
				t.Fatalf("history %d, commits %d to %d on %d: %v", seed, f.Min, f.Max, last, err)
			}
			if sum, err := snap.Digest(t.Context()); sum != before || err != nil {
				t.Errorf("history %d: a reader that had begun sees other data now: %v", seed, err)
			}
			snap.Close()
			wantSame(t, standby, primary)
			if rng.IntN(3) == 0 {
				disk.close(standby)
				standby = disk.open()
				wantSame(t, standby, primary)
			}
			called := false
			if err := standby.Replay(t.Context(), f.Replay, func(SetFunc) error { called = true; return nil }); err != nil || called {
				t.Errorf("the same file again: %v, read again: %t", err, called)
			}
		}
	}
}

// feedNow returns the changes that are there after an LSN.
func feedNow(t *testing.T, db *DB, after LSN) (all []Change, err error) {
	t.Helper()
	if after == db.LastLSN() {
		return nil, nil
	}
	for c, err := range db.Feed(t.Context(), after) {
		if err != nil {
			return all, err
		}
		if all = append(all, c); !c.More {
			break
		}
	}
	return all, nil
}

// TestFeedOfStandby: a follower of a standby that knows each change it is told of has the
// standby's data, wherever it begins.
func TestFeedOfStandby(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	primary, standby := openTest(t, Options{}), openStandby(t, Options{})
	ends := map[LSN]bool{0: true}
	for range 10 {
		for range 1 + rng.IntN(8) {
			SomeCommit(t, primary, rng)
		}
		ends[primary.LastLSN()] = true
		if err := FileSince(t, primary, standby.LastLSN(), false).On(t, standby); err != nil {
			t.Fatal(err)
		}
	}
	for after := range primary.LastLSN() {
		told := map[string]bool{}
		changes, err := feedNow(t, standby, after)
		if err != nil {
			t.Fatal(err)
		}
		for at, c := range changes {
			want := after + 1
			if at > 0 {
				want = changes[at-1].LSN + 1
			}
			if c.First > want || c.LSN < want || at > 0 && c.First != want || !ends[c.LSN] {
				t.Errorf("after %d the feed has %d to %d, where %d is next", after, c.First, c.LSN, want)
			}
			for _, k := range c.Keys {
				told[string(k)] = true
			}
		}
		for _, k := range FileSince(t, primary, after, false).keys {
			if !told[string(k.Key)] {
				t.Errorf("after %d the feed doesn't tell of %s", after, k.Key)
			}
		}
		got, err := standby.ChainAt(after)
		want, _ := primary.ChainAt(after)
		if ends[after] && (got != want || err != nil) || !ends[after] && !errors.Is(err, ErrLogCut) {
			t.Errorf("the chain at %d: %v, %v", after, got, err)
		}
	}
}

// TestFeedOfWholeFile: who follows a standby starts over when it has been filled anew.
func TestFeedOfWholeFile(t *testing.T) {
	primary, standby := openTest(t, Options{}), openStandby(t, KeepLog(2, Options{}))
	rng := rand.New(rand.NewPCG(1, 3))
	for range 5 {
		SomeCommit(t, primary, rng)
	}
	if err := FileSince(t, primary, 3, true).On(t, standby); err != nil { // it may begin anywhere
		t.Fatal(err)
	}
	for after := range LSN(5) {
		if _, err := feedNow(t, standby, after); !errors.Is(err, ErrLogCut) {
			t.Errorf("after %d: %v", after, err)
		}
	}
	for range 5 {
		SomeCommit(t, primary, rng)
		if err := FileSince(t, primary, standby.LastLSN(), false).On(t, standby); err != nil {
			t.Fatal(err)
		}
	}
	if changes, err := feedNow(t, standby, 5); err != nil || len(changes) != 5 {
		t.Errorf("after the whole file: %d changes, %v", len(changes), err)
	}
	if err := standby.CutLog(); err != nil {
		t.Fatal(err)
	}
	if _, err := feedNow(t, standby, 5); !errors.Is(err, ErrLogCut) {
		t.Errorf("a log that has been cut: %v", err)
	}
	if changes, err := feedNow(t, standby, 8); err != nil || len(changes) != 2 {
		t.Errorf("what is left of a log that has been cut: %d changes, %v", len(changes), err)
	}
}

func TestReplayRefuses(t *testing.T) {
	primary, standby := history(t, 0), openStandby(t, Options{})
	f := FileSince(t, primary, 0, false)
	other := FileSince(t, history(t, 20), 0, false) // parts at the last commit
	if err := f.On(t, standby); err != nil {
		t.Fatal(err)
	}
	last, sum := standby.LastLSN(), digest(t, standby)
	key := func(s string) []byte { return keyOf(tableEvents, recordKeys, texts(s)) }
	next := Replay{Min: last + 1, Max: last + 2, Prev: f.Chain}
	broken := errors.New("broken off")
	newer := versionBytes(SchemaVersion + 1)
	for name, c := range map[string]struct {
		replay Replay
		keys   []KeyValue
		want   error
		says   string
	}{
		"a gap":                     {replay: Replay{Min: last + 2, Max: last + 3}, want: ErrGap},
		"another history before it": {replay: Replay{Min: last + 1, Max: last + 2, Prev: other.Chain}, want: ErrDiverged},
		"another history in it":     {replay: other.Replay, want: ErrDiverged},
		"no commits":                {replay: Replay{Min: last + 1, Max: last}, says: "no file"},
		"keys out of order":         {replay: next, keys: []KeyValue{{key("b"), []byte{1}}, {key("a"), nil}}, says: "comes after"},
		"a key twice":               {replay: next, keys: []KeyValue{{key("b"), []byte{1}}, {key("b"), nil}}, says: "comes after"},
		"a key of the directory":    {replay: next, keys: []KeyValue{{keyNode, []byte{1}}}, says: "isn't a replicated key"},
		"newer data":                {replay: next, keys: []KeyValue{{keyDataVersion, newer}}, says: "Use a newer souk"},
		"newer data, whole":         {replay: Replay{Min: 1, Max: last + 1, Full: true}, keys: []KeyValue{{keyDataVersion, newer}}, says: "Use a newer souk"},
		"a file that breaks off":    {replay: next, keys: []KeyValue{{key("a"), []byte{1}}}, want: broken},
	} {
		err := standby.Replay(t.Context(), c.replay, func(set SetFunc) error {
			return errors.Join((&file{keys: c.keys}).fill(set), c.want)
		})
		if err == nil || c.want != nil && !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if standby.LastLSN() != last || digest(t, standby) != sum {
		t.Errorf("what was refused has left something at commit %d", standby.LastLSN())
	}
	if err := primary.Replay(t.Context(), next, f.fill); err == nil {
		t.Error("a primary replays commits")
	}
	if _, err := standby.Update(t.Context(), tenant, Op{}, func(*Tx) error { return nil }); !errors.Is(err, ErrStandby) || !market.Is(err, market.Unavailable) {
		t.Errorf("an Update on a standby: %v", err)
	}
	standby.SetReadOnly(nil)
	if !errors.Is(standby.ReadOnly(), ErrStandby) {
		t.Errorf("a standby can be made writable: %v", standby.ReadOnly())
	}
}

// TestStandbyBecomesPrimary: opened without Standby, the directory is brought to today's
// schema version and goes on with the next commit. Binaries that don't know the log of a
// standby never open it again.
func TestStandbyBecomesPrimary(t *testing.T) {
	primary := history(t, 0)
	f := FileSince(t, primary, 0, false)
	at, _ := slices.BinarySearchFunc(f.keys, keyDataVersion, func(kv KeyValue, k []byte) int { return bytes.Compare(kv.Key, k) })
	f.keys[at].Value = versionBytes(1)
	disk := newDisk(t)
	disk.opts.Standby = true
	db := open(t, disk.opts)
	if err := f.On(t, db); err != nil {
		t.Fatal(err)
	}
	origin := Origin{Generation: 3, TXID: 9, LSN: f.Max, Chain: f.Chain}
	if err := db.SetOrigin(origin); err != nil {
		t.Fatal(err)
	}
	node := db.Node().ID
	wantVersion := func(db *DB) {
		t.Helper()
		if v, err := db.engineValue(keySchema); err != nil || binary.BigEndian.Uint32(v) != standbyVersion {
			t.Errorf("the directory's version is %x, %v", v, err)
		}
	}
	wantVersion(db)
	if v, err := storedDataVersion(db.engine, "", db.last); err != nil || v != 1 {
		t.Errorf("the standby's data is of version %d, %v", v, err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	disk.opts.Standby = false
	db = disk.open()
	if v, err := storedDataVersion(db.engine, "", db.last); err != nil || v != SchemaVersion {
		t.Errorf("the primary's data is of version %d, %v", v, err)
	}
	if err := db.Unfence(); err != nil {
		t.Fatal(err)
	}
	wantVersion(db)
	if n := db.Node(); n.ID != node || n.Origin == nil || *n.Origin != origin {
		t.Errorf("the node is %+v", n)
	}
	migrated := db.LastLSN()
	if got := putEvent(t, db, "next", ""); migrated <= f.Max || got != migrated+1 {
		t.Errorf("the standby ended with %d, its migration with %d, and the next commit is %d", f.Max, migrated, got)
	}
}

// TestSpilledTablesAreCleared: what a killed process left is gone after the next Open.
func TestSpilledTablesAreCleared(t *testing.T) {
	disk := newDisk(t)
	disk.opts.Standby = true
	db := disk.open()
	left := disk.opts.FS.PathJoin("db", spillDir)
	if err := disk.opts.FS.MkdirAll(left, 0o700); err != nil {
		t.Fatal(err)
	}
	writeFile(t, disk.opts.FS, disk.opts.FS.PathJoin(left, "0.sst"), []byte("half a table"))
	disk.close(db)
	disk.open()
	if _, err := disk.opts.FS.Stat(left); err == nil {
		t.Error("they are still there")
	}
}
