package store

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"
)

// BenchmarkOrderFollowed commits the order of BenchmarkOrder, by 64 callers, while nobody
// follows, while somebody confirms each commit at once (RequireAck), and while a replicator
// works as internal/replica's does: it is told of every commit, and once a second it
// folds what has changed and reads the values.
//
//	go test ./store -run '^$' -bench OrderFollowed -benchtime 20000x -benchmem
func BenchmarkOrderFollowed(b *testing.B) {
	const callers = 64
	for _, c := range []struct {
		name    string
		prepare func(b *testing.B, db *DB) (end func())
	}{
		{"alone", func(*testing.B, *DB) func() { return func() {} }},
		{"acknowledged", func(_ *testing.B, db *DB) func() {
			db.RequireAck(func(context.Context, LSN) error { return nil })
			return func() {}
		}},
		{"replicated", followInBackground},
	} {
		b.Run(fmt.Sprintf("%s/callers=%d", c.name, callers), func(b *testing.B) {
			db := open(b, Options{Dir: b.TempDir()})
			end := c.prepare(b, db)
			commitOrders(b, callers, func() error { return placeOrder(db, newSuffix()) })
			end()
		})
	}
}

// followInBackground follows a database until end is called, which reports the keys that
// were read for each commit.
func followInBackground(b *testing.B, db *DB) (end func()) {
	ctx, cancel := context.WithCancel(b.Context())
	var work sync.WaitGroup
	work.Go(func() {
		for range db.Feed(ctx, 0) {
		}
	})
	keys := 0
	work.Go(func() {
		tick := time.NewTicker(time.Second)
		defer tick.Stop()
		for at := LSN(0); ; {
			select {
			case <-tick.C:
			case <-ctx.Done():
				return
			}
			n, upTo, err := readChanges(ctx, db, at)
			if err != nil {
				if ctx.Err() == nil {
					b.Error(err)
				}
				return
			}
			keys, at = keys+n, upTo
		}
	})
	return func() {
		cancel()
		work.Wait()
		b.ReportMetric(float64(keys)/float64(db.LastLSN()), "keys-read/op")
	}
}

// readChanges reads the values of what has changed since a commit.
func readChanges(ctx context.Context, db *DB, after LSN) (keys int, upTo LSN, err error) {
	snap, err := db.Snapshot(ctx)
	if err != nil || snap.LSN() == after {
		return 0, after, err
	}
	defer snap.Close()
	cs, err := snap.Changes(after, int(snap.LSN()))
	if err != nil {
		return 0, after, err
	}
	for _, k := range cs.Keys {
		if _, _, err := snap.Value(k); err != nil {
			return 0, after, err
		}
	}
	return len(cs.Keys), cs.Max, nil
}
