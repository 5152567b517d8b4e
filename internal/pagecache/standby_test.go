package pagecache

import (
	"math/rand/v2"
	"testing"

	"github.com/souk-market/souk/store"
	"github.com/souk-market/souk/store/storetest"
)

// replay brings the commits that a standby lacks to it as one file, with full all there is.
func replay(t *testing.T, standby, primary *store.DB, full bool) {
	t.Helper()
	snap, err := primary.Snapshot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer snap.Close()
	at := standby.LastLSN()
	prev, err := primary.ChainAt(at)
	if err != nil {
		t.Fatal(err)
	}
	r := store.Replay{Min: at + 1, Max: snap.LSN(), Prev: prev, Chain: snap.Chain(), Time: snap.Time(), Full: full}
	if err := standby.Replay(t.Context(), r, func(set store.SetFunc) error { return fill(snap, at, full, set) }); err != nil {
		t.Fatal(err)
	}
}

func fill(snap *store.Snapshot, after store.LSN, full bool, set store.SetFunc) error {
	if full {
		for kv, err := range snap.All() {
			if err == nil {
				err = set(kv.Key, kv.Value, false)
			}
			if err != nil {
				return err
			}
		}
		return nil
	}
	changes, err := snap.Changes(after, int(snap.LSN()))
	if err != nil {
		return err
	}
	for _, k := range changes.Keys {
		v, found, err := snap.Value(k)
		if err == nil {
			err = set(k, v, !found)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// TestAtAStandby follows random commits through files of several commits, whole ones among
// them. Pages are as they would be rendered there.
func TestAtAStandby(t *testing.T) {
	for seed := range uint64(3) {
		rng := rand.New(rand.NewPCG(seed, 7))
		primary := storetest.OpenWith(t, store.Options{})
		standby := storetest.OpenWith(t, store.Options{Standby: true})
		c := New(standby, Options{})
		for range 60 {
			for range 1 + rng.IntN(3) {
				someCommit(t, primary, rng)
			}
			if primary.LastLSN() > standby.LastLSN() {
				replay(t, standby, primary, rng.IntN(10) == 0)
			}
			wantAllRight(t, c, standby)
			wantWhole(t, c)
		}
		if s := c.Stats(); s.Hits < s.Misses || s.Drops == 0 {
			t.Errorf("seed %d: %+v", seed, s)
		}
	}
}

// TestWhereTheLogIsCut: a cache that is further behind than the log reaches forgets all.
func TestWhereTheLogIsCut(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 9))
	primary := storetest.OpenWith(t, store.Options{})
	standby := storetest.OpenWith(t, store.Options{Standby: true})
	someCommit(t, primary, rng)
	replay(t, standby, primary, false)
	c := New(standby, Options{})
	wantAllRight(t, c, standby)
	kept := c.Stats().Pages
	someCommit(t, primary, rng)
	replay(t, standby, primary, true)
	body(t, c, "counts")
	if s := c.Stats(); s.Drops != uint64(kept) || s.Pages != 1 {
		t.Errorf("of %d pages: %+v", kept, s)
	}
}
