package store

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/souk-market/souk/internal/market"
)

var errMoved = market.Errorf(market.Unavailable, "Another server has taken over.")

func TestReadOnly(t *testing.T) {
	db := openTest(t, Options{})
	putEvent(t, db, "a", "")
	if _, err := db.Update(t.Context(), tenant, Op{ID: "op"}, func(tx *Tx) error { return nil }); err != nil {
		t.Fatal(err)
	}
	db.SetReadOnly(errMoved)
	if err := db.ReadOnly(); err != errMoved {
		t.Errorf("ReadOnly is %v", err)
	}
	for _, op := range []Op{{}, {ID: "op"}, {ID: "new"}} {
		ran := false
		_, err := db.Update(t.Context(), tenant, op, func(tx *Tx) error { ran = true; return nil })
		if err != errMoved || ran {
			t.Errorf("operation %q: %v, fn ran: %t", op.ID, err, ran)
		}
	}
	has := func(tx *ReadTx) error { _, err := Events.Load(tx, "a"); return err }
	if err := errors.Join(db.View(t.Context(), tenant, has), db.ViewDurable(t.Context(), tenant, has)); err != nil {
		t.Errorf("reading: %v", err)
	}
	for c, err := range db.Feed(t.Context(), 0) {
		if err != nil || c.LSN != 1 {
			t.Errorf("the feed yields %d, %v", c.LSN, err)
		}
		break
	}
	db.SetReadOnly(nil)
	if got := putEvent(t, db, "b", ""); got != 3 || db.ReadOnly() != nil {
		t.Errorf("afterwards commit %d is made, read-only: %v", got, db.ReadOnly())
	}
}

// TestReadOnlyInsideATransaction stops writing while the last transaction runs.
func TestReadOnlyInsideATransaction(t *testing.T) {
	db := openTest(t, Options{})
	_, err := db.Update(t.Context(), tenant, Op{}, func(tx *Tx) error {
		db.SetReadOnly(errMoved)
		return Events.Insert(tx, &market.ProviderEvent{ID: "a"})
	})
	if err != errMoved || db.LastLSN() != 0 {
		t.Errorf("the transaction under way: %v, and the last commit is %d", err, db.LastLSN())
	}
}

// TestReadOnlyWhileSyncing: a commit that is on its way to the disk when writing is
// stopped is there afterwards, and isn't acknowledged.
func TestReadOnlyWhileSyncing(t *testing.T) {
	for _, op := range []Op{{}, {ID: "op"}} {
		synctest.Test(t, func(t *testing.T) {
			disk := &slowDisk{release: make(chan struct{})}
			db, err := Open(Options{Dir: "store", FS: errorfs.Wrap(vfs.NewMem(), disk), Fatal: func(err error) { t.Error(err) }})
			if err != nil {
				t.Fatal(err)
			}
			defer db.Close()
			disk.held.Store(true)
			var writing sync.WaitGroup
			writing.Go(func() {
				_, err := db.Update(t.Context(), tenant, op, func(tx *Tx) error {
					return Events.Insert(tx, &market.ProviderEvent{ID: "a"})
				})
				if !errors.Is(err, ErrUnknownOutcome) || !errors.Is(err, errMoved) {
					t.Errorf("the commit under way is answered with %v", err)
				}
				wantSentence(t, err, market.Unavailable, "pending")
			})
			synctest.Wait()
			db.SetReadOnly(errMoved)
			if db.LastLSN() != 1 || db.DurableLSN() != 0 {
				t.Errorf("the last commit is %d, durable up to %d", db.LastLSN(), db.DurableLSN())
			}
			disk.held.Store(false)
			close(disk.release)
			writing.Wait()
			if db.DurableLSN() != 1 {
				t.Errorf("it is durable up to %d", db.DurableLSN())
			}
		})
	}
}

// TestReadOnlyStopsAllWriters stops writing under load: no commit is made afterwards, and
// none acknowledged that isn't among those before.
func TestReadOnlyStopsAllWriters(t *testing.T) {
	db := openTest(t, Options{})
	for round := range 20 {
		var writers sync.WaitGroup
		started := make(chan struct{}, 8)
		acked := make([]LSN, 8)
		for w := range acked {
			writers.Go(func() {
				for i := 0; ; i++ {
					res, err := db.Update(t.Context(), tenant, Op{}, func(tx *Tx) error {
						return Events.Insert(tx, &market.ProviderEvent{ID: fmt.Sprintf("%d/%d/%d", round, w, i)})
					})
					if err != nil {
						if !errors.Is(err, errMoved) {
							t.Errorf("a writer is stopped by %v", err)
						}
						return
					}
					if acked[w] = res.LSN; i == 0 {
						started <- struct{}{}
					}
				}
			})
		}
		for range acked {
			<-started
		}
		db.SetReadOnly(errMoved)
		last := db.LastLSN()
		writers.Wait()
		if got := db.LastLSN(); got != last {
			t.Errorf("commits %d to %d were made after writing was stopped at %d", last+1, got, last)
		}
		for _, lsn := range acked {
			if lsn > last {
				t.Errorf("commit %d was acknowledged, and writing was stopped at %d", lsn, last)
			}
		}
		db.SetReadOnly(nil)
	}
}
