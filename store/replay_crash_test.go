package store_test

import (
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/souk-market/souk/store"
	"github.com/souk-market/souk/store/storetest"
)

// TestReplayLosesPower cuts the power before each write of a Replay, and after the last:
// what is found is the standby as it was before, or with the whole file.
func TestReplayLosesPower(t *testing.T) {
	for name, c := range map[string]struct {
		batch, table int
		full         bool
	}{
		"in memory":   {batch: 1 << 20, table: 1 << 20},
		"in tables":   {batch: 200, table: 2000},
		"whole files": {batch: 200, table: 2000, full: true},
	} {
		t.Run(name, func(t *testing.T) {
			rng := rand.New(rand.NewPCG(7, 7))
			primary := storetest.OpenWith(t, store.Options{})
			commits := func() {
				for range 20 {
					store.SomeCommit(t, primary, rng)
				}
			}
			commits()
			opts := store.SpillAt(c.batch, c.table, store.Options{Standby: true})
			disk := storetest.NewDisk()
			db := disk.OpenWith(t, opts)
			if err := store.FileSince(t, primary, 0, false).On(t, db); err != nil {
				t.Fatal(err)
			}
			states := map[store.LSN][32]byte{db.LastLSN(): sumOf(t, db)}
			commits()
			f := store.FileSince(t, primary, 15, c.full)
			states[f.Max] = sumOf(t, primary)
			if err := db.Close(); err != nil {
				t.Fatal(err)
			}
			found := map[store.LSN]int{}
			for n := 1; ; n++ {
				was := disk.Crash(100, rng)
				db := was.OpenWith(t, opts)
				var early atomic.Bool
				cut := sync.OnceValue(func() *storetest.Disk { return was.Crash([]int{0, 50, 100}[n%3], rng) })
				was.BeforeWrite(n, func() { early.Store(true); cut() })
				if err := f.On(t, db); err != nil {
					t.Fatal(err)
				}
				done := !early.Load()
				wreck := cut()
				if err := db.Close(); err != nil {
					t.Fatal(err)
				}
				db = wreck.OpenWith(t, opts)
				found[db.LastLSN()]++
				if want, known := states[db.LastLSN()]; !known || sumOf(t, db) != want || done && db.LastLSN() != f.Max {
					t.Errorf("cut before write %d (acknowledged: %t): the standby is at commit %d, with other data: %t", n, done, db.LastLSN(), sumOf(t, db) != want)
				}
				storetest.Check(t, db)
				if err := f.On(t, db); err != nil || sumOf(t, db) != states[f.Max] {
					t.Errorf("cut before write %d: the file again: %v", n, err)
				}
				if err := db.Close(); err != nil {
					t.Fatal(err)
				}
				if done {
					break
				}
			}
			if found[20] == 0 || found[f.Max] == 0 {
				t.Errorf("the standby was found at %v", found)
			}
			t.Logf("found %v times at each commit", found)
		})
	}
}

func sumOf(t *testing.T, db *store.DB) [32]byte {
	t.Helper()
	rep, err := db.Check(t.Context(), store.CheckOptions{Digest: true})
	if err != nil {
		t.Fatal(err)
	}
	return rep.Digest
}
