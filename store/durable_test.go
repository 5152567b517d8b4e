package store

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/souk-market/souk/internal/market"
)

// slowDisk doesn't finish a sync while it is held.
type slowDisk struct {
	held    atomic.Bool
	release chan struct{}
}

func (d *slowDisk) String() string { return "slow disk" }

func (d *slowDisk) MaybeError(op errorfs.Op) error {
	syncs := op.Kind == errorfs.OpFileSync || op.Kind == errorfs.OpFileSyncData || op.Kind == errorfs.OpFileSyncTo
	if syncs && d.held.Load() {
		<-d.release
	}
	return nil
}

// TestViewDurable reads a commit that is on its way to the disk.
func TestViewDurable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk := &slowDisk{release: make(chan struct{})}
		db, err := Open(Options{Dir: "store", FS: errorfs.Wrap(vfs.NewMem(), disk), Fatal: func(err error) { t.Error(err) }})
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		disk.held.Store(true)
		var writing sync.WaitGroup
		defer writing.Wait()
		writing.Go(func() {
			_, err := db.Update(t.Context(), market.MainTenant, Op{}, func(tx *Tx) error {
				return Sellers.Insert(tx, &market.Seller{ID: "sel_1", Slug: "one", Name: "One"})
			})
			if err != nil {
				t.Error(err)
			}
		})
		synctest.Wait()
		read := func(tx *ReadTx) error { _, err := Sellers.Load(tx, "sel_1"); return err }
		if err := db.View(t.Context(), market.MainTenant, read); err != nil || db.DurableLSN() != 0 {
			t.Errorf("a View: %v, durable up to %d", err, db.DurableLSN())
		}
		short, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := db.ViewDurable(short, market.MainTenant, read); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("it shows what isn't on disk: %v", err)
		}
		disk.held.Store(false)
		close(disk.release)
		if err := db.ViewDurable(t.Context(), market.MainTenant, read); err != nil || db.DurableLSN() != 1 {
			t.Errorf("after the sync: %v, durable up to %d", err, db.DurableLSN())
		}
	})
}
