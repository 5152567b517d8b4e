package store_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/souk-market/souk/internal/market"
	"github.com/souk-market/souk/store"
	"github.com/souk-market/souk/store/storetest"
)

// reading is one way to read; what it returns is all that was read.
type reading func(tx store.Reader) (string, error)

func readings(rng *rand.Rand) (all []reading) {
	id := func() market.AgentID { return market.AgentID(fmt.Sprintf("agt_%02d", rng.IntN(30))) }
	one, other, few := id(), id(), 1+rng.IntN(5)
	return []reading{
		func(tx store.Reader) (string, error) { a, err := store.Agents.Load(tx, one); return shown(a), err },
		func(tx store.Reader) (string, error) { ok, err := store.Agents.Has(tx, one); return shown(ok), err },
		func(tx store.Reader) (string, error) {
			a, err := store.AgentBySlug.Load(tx, "s"+string(other))
			return shown(a), err
		},
		func(tx store.Reader) (string, error) {
			n, err := store.PopularAgents.Count(tx, store.All{})
			return shown(n), err
		},
		func(tx store.Reader) (string, error) {
			m, err := store.Counts(tx, store.AgentsInCategory)
			return shown(m), err
		},
		func(tx store.Reader) (out string, err error) {
			left := few
			for row, err := range store.AgentsInCategory.Scan(tx, "tool", "") {
				if out += shown(row.Record, err); err != nil || left == 0 {
					return out, err
				}
				left--
			}
			return out, nil
		},
		func(tx store.Reader) (out string, err error) {
			left := few
			for a, err := range store.Agents.All(tx, one) {
				if out += shown(a, err); err != nil || left == 0 {
					return out, err
				}
				left--
			}
			return out, nil
		},
	}
}

func shown(v ...any) string { return fmt.Sprintf("%+v", v) }

// TestReadSet makes random commits beside random reads: what a read returns is another
// only after a commit that touches its read set, and few commits do that read nothing new.
func TestReadSet(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 5))
	db := storetest.OpenWith(t, store.Options{})
	touched, changed := 0, 0
	for range 60 {
		store.SomeCommit(t, db, rng)
		for i, read := range readings(rng) {
			before, reads := record(t, db, read)
			store.SomeCommit(t, db, rng)
			after, _ := record(t, db, read)
			touches := false
			for c, err := range db.Visible(reads.LSN, db.LastLSN()) {
				if err != nil {
					t.Fatal(err)
				}
				for _, k := range c.Keys {
					touches = touches || reads.Touches(k)
				}
			}
			if before != after && !touches {
				t.Fatalf("reading %d has changed from\n%s to\n%s untouched: %+v", i, before, after, reads)
			}
			if touches {
				touched++
			}
			if before != after {
				changed++
			}
		}
	}
	if changed == 0 || touched > 2*changed {
		t.Errorf("%d readings changed, and %d were touched", changed, touched)
	}
}

func record(t *testing.T, db *store.DB, read reading) (out string, reads store.ReadSet) {
	t.Helper()
	reads, err := db.ViewReads(context.Background(), market.MainTenant, func(tx *store.ReadTx) (err error) {
		out, err = read(tx)
		return err
	})
	if err != nil && !market.Is(err, market.NotFound) {
		t.Fatal(err)
	}
	if reads.LSN != db.LastLSN() || reads.Timed {
		t.Errorf("read at %d, which is %d: %v", reads.LSN, db.LastLSN(), reads.Timed)
	}
	return out, reads
}

func TestReadSetSaysThatTheTimeWasAsked(t *testing.T) {
	db := storetest.OpenWith(t, store.Options{})
	reads, err := db.ViewReads(context.Background(), market.MainTenant, func(tx *store.ReadTx) error {
		tx.Now()
		return nil
	})
	if err != nil || !reads.Timed {
		t.Errorf("%+v, %v", reads, err)
	}
}

// TestVisibleEnds: nothing after the last commit, and an error where the log doesn't reach.
func TestVisibleEnds(t *testing.T) {
	db := storetest.OpenWith(t, store.Options{})
	rng := rand.New(rand.NewPCG(1, 1))
	for range 3 {
		store.SomeCommit(t, db, rng)
	}
	var seen []store.LSN
	for c, err := range db.Visible(1, db.LastLSN()) {
		if err != nil {
			t.Fatal(err)
		}
		seen = append(seen, c.LSN)
	}
	if shown(seen) != "[[2 3]]" {
		t.Errorf("%v", seen)
	}
	for c, err := range db.Visible(3, 3) {
		t.Errorf("%v, %v after the last", c, err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	var last error
	for _, err := range db.Visible(1, 3) {
		last = err
	}
	if !market.Is(last, market.Unavailable) || errors.Is(last, store.ErrLogCut) {
		t.Errorf("closed: %v", last)
	}
}
