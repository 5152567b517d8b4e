package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/souk-market/souk/internal/market"
)

// written reads what the commits after an LSN have changed as a snapshot has it, from log
// and database alone.
func written(t testing.TB, snap *Snapshot, after LSN) (all []KeyValue) {
	t.Helper()
	cs, err := snap.Changes(after, int(snap.LSN()-after))
	if err != nil {
		t.Fatal(err)
	}
	for kv, err := range snap.Values(cs.Keys) {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, KeyValue{bytes.Clone(kv.Key), bytes.Clone(kv.Value)})
	}
	return all
}

// compareWrites fails the test unless Writes yields what written does.
func compareWrites(t testing.TB, snap *Snapshot, after LSN) {
	t.Helper()
	writes, err := snap.Writes(after)
	if err != nil {
		t.Fatal(err)
	}
	want := written(t, snap, after)
	for range 2 { // yielded again, they are the same
		n := 0
		for kv, err := range writes {
			if err != nil {
				t.Fatal(err)
			}
			if n == len(want) || !bytes.Equal(kv.Key, want[n].Key) || !bytes.Equal(kv.Value, want[n].Value) || (kv.Value == nil) != (want[n].Value == nil) {
				t.Fatalf("the writes of %d to %d: number %d is %s = %q, which isn't what log and database say", after+1, snap.LSN(), n, kv.Key, kv.Value)
			}
			n++
		}
		if n != len(want) {
			t.Fatalf("the writes of %d to %d are %d, want %d", after+1, snap.LSN(), n, len(want))
		}
	}
}

// writeAtRandom commits a few writes: new, again, and deleted ones, with empty values
// among those of the indexes.
func writeAtRandom(ctx context.Context, db *DB, rng *rand.Rand) error {
	size := rng.IntN(200)
	if rng.IntN(20) == 0 {
		size = rng.IntN(20_000) // more than a part holds, and than all may
	}
	_, err := db.Update(ctx, tenant, Op{}, func(tx *Tx) error {
		for range 1 + rng.IntN(30) {
			id := fmt.Sprintf("%0*d", 1+rng.IntN(8), rng.IntN(40))
			var err error
			switch rng.IntN(4) {
			case 0:
				err = Events.Delete(tx, id)
			case 1:
				err = Agents.Put(tx, &market.Agent{ID: market.AgentID("agt_" + id), Slug: id, Category: "tool", State: market.ListingPublished,
					Release: market.Release{File: market.File{OnDemand: true}}})
			default:
				err = Events.Put(tx, &market.ProviderEvent{ID: id, Quarantine: strings.Repeat("x", size/10)})
			}
			if market.Is(err, market.NotFound) {
				err = nil
			}
			if err != nil {
				return err
			}
		}
		return Events.Put(tx, &market.ProviderEvent{ID: "hot", Quarantine: strings.Repeat("h", size)})
	})
	return err
}

func TestWritesAreThoseOfLogAndDatabase(t *testing.T) {
	for seed := range uint64(16) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			rng := rand.New(rand.NewPCG(seed, 1))
			disk := newDisk(t)
			disk.opts.recent = []int{1 << 10, 16 << 10, 256 << 10, 0}[seed%4]
			for range 3 { // restarts
				db := disk.open()
				history := db.LastLSN()
				holders := []*Retention{db.Retain("one", history), db.Retain("two", 0)}
				for range 60 {
					holder := holders[rng.IntN(2)]
					switch rng.IntN(30) {
					case 0, 1, 2:
						holder.KeepWrites()
					case 3:
						holder.DropWrites()
					case 4, 5, 6:
						holder.Advance(LSN(rng.Uint64N(uint64(db.LastLSN()) + 1)))
					case 7, 8, 9, 10:
						snap, err := db.Snapshot(t.Context())
						if err != nil {
							t.Fatal(err)
						}
						for range rng.IntN(4) {
							if err := writeAtRandom(t.Context(), db, rng); err != nil {
								t.Fatal(err)
							}
						}
						if snap.LSN() > 0 {
							compareWrites(t, snap, LSN(rng.Uint64N(uint64(snap.LSN()))))
						}
						snap.Close()
					default:
						if err := writeAtRandom(t.Context(), db, rng); err != nil {
							t.Fatal(err)
						}
					}
					if r := &db.recent; r.size > r.limit {
						t.Fatalf("%d bytes are kept, want %d at most", r.size, r.limit)
					}
				}
				disk.close(db)
			}
		})
	}
}

// TestWritesWhileOthersCommit has readers of what the writer goes on adding to, for the
// race detector.
func TestWritesWhileOthersCommit(t *testing.T) {
	db := openTest(t, Options{recent: 64 << 10})
	var running sync.WaitGroup
	stop := make(chan struct{})
	for i := range uint64(3) {
		running.Go(func() {
			rng := rand.New(rand.NewPCG(i, 2))
			for n := 0; ; n++ {
				select {
				case <-stop:
					return
				default:
				}
				if err := writeAtRandom(context.Background(), db, rng); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	defer running.Wait()
	defer close(stop)
	holder := db.Retain("holder", 0)
	holder.KeepWrites()
	for after := LSN(0); after < 400; {
		snap, err := db.Snapshot(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if snap.LSN() > after {
			compareWrites(t, snap, after)
		}
		after = snap.LSN()
		holder.Advance(after)
		snap.Close()
	}
}

func TestHolderIsToldBeforeItsWritesAreDropped(t *testing.T) {
	db := openTest(t, Options{recent: 64 << 10})
	holder := db.Retain("holder", 0)
	filling := holder.KeepWrites()
	for {
		lsn := putEvent(t, db, "a", strings.Repeat("x", 100))
		select {
		case <-filling:
		default:
			continue
		}
		if _, first := db.recent.between(0, lsn); first != 1 {
			t.Errorf("kept are the commits from %d on, want all", first)
		}
		if size := db.recent.size; size < 32<<10 || size > 40<<10 {
			t.Errorf("%d bytes of 64 KiB are used when the holder is told", size)
		}
		return
	}
}

func TestNothingIsKeptForNobody(t *testing.T) {
	db := openTest(t, Options{})
	holder := db.Retain("holder", 0)
	putEvent(t, db, "a", "before")
	if db.recent.size != 0 {
		t.Error("writes are kept before anybody asks")
	}
	holder.KeepWrites()
	lsn := putEvent(t, db, "a", "held")
	if parts, first := db.recent.between(0, lsn); len(parts) != 1 || first != lsn {
		t.Errorf("kept are %d parts from commit %d on, want one of commit %d", len(parts), first, lsn)
	}
	holder.Release()
	putEvent(t, db, "a", "after")
	if db.recent.size != 0 || len(db.recent.parts) != 0 {
		t.Error("writes are kept when nobody holds them")
	}
}

func TestWritesOfACutLog(t *testing.T) {
	db := openTest(t, Options{logKept: 1})
	for i := range 10 {
		putEvent(t, db, fmt.Sprint(i), "value")
	}
	if err := db.CutLog(); err != nil {
		t.Fatal(err)
	}
	db.Retain("holder", 0).KeepWrites()
	putEvent(t, db, "last", "value")
	snap, err := db.Snapshot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer snap.Close()
	if _, err := snap.Writes(0); !errors.Is(err, ErrLogCut) {
		t.Errorf("the writes after a cut are %v, want ErrLogCut", err)
	}
	compareWrites(t, snap, snap.LSN()-1)
}

// TestRecentWritesAreSorted folds keys that begin alike, are one another's beginning, or
// end in zeros.
func TestRecentWritesAreSorted(t *testing.T) {
	db := openTest(t, Options{})
	for seed := range uint64(200) {
		rng := rand.New(rand.NewPCG(seed, 3))
		r := recent{limit: 1 << 20}
		r.hold("test", 0)
		newest := map[string]string{}
		last := LSN(1 + rng.IntN(100))
		for lsn := LSN(1); lsn <= last; lsn++ {
			batch := db.engine.NewBatch()
			for i := range rng.IntN(20) {
				key := [][]byte{nil, {spaceTenant}, {spaceTenant, 2}, {spaceTenant, 2, 'a', 'b'}, {spaceTenant, 1, 'a', 7, 1}, {spaceTenant, 2, 'a', 'b', 7, 1}}[rng.IntN(6)]
				key = append(slices.Clip(key), bytes.Repeat([]byte("k"), 10*rng.IntN(2))...)
				for range rng.IntN(12) {
					key = append(key, "\x00\x00a\xff"[rng.IntN(4)])
				}
				value := fmt.Sprint(lsn, i)
				batch.Set(key, []byte(value), nil)
				newest[string(key)] = value
			}
			r.add(lsn, batch.Repr()[12:])
			batch.Close()
		}
		parts, first := r.between(0, last)
		f, err := foldRecent(parts, first, last)
		if err != nil {
			t.Fatal(err)
		}
		var keys []string
		for kv := range f.all() {
			keys = append(keys, string(kv.Key))
			if got, want := string(kv.Value), newest[string(kv.Key)]; got != want {
				t.Fatalf("seed %d: %q is %q, want %q", seed, kv.Key, got, want)
			}
		}
		if len(keys) != len(newest) || !slices.IsSorted(keys) {
			t.Fatalf("seed %d: %d keys of %d, sorted %v", seed, len(keys), len(newest), slices.IsSorted(keys))
		}
	}
}
