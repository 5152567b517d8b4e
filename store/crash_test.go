package store_test

import (
	"context"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/souk-market/souk/internal/market"
	"github.com/souk-market/souk/store"
	"github.com/souk-market/souk/store/storetest"
)

var crashes = flag.Int("crashes", 100, "power cuts in TestPowerCut")

// TestPowerCut cuts the power while several writers run transactions over two tenants,
// with 0, 50 or 100 % of what wasn't synced surviving, and compares what is found with
// a plain map of what was acknowledged: all of that is there, and what wasn't
// acknowledged is there whole or not at all.
func TestPowerCut(t *testing.T) {
	compared := 0
	for seed := range uint64(*crashes) {
		n, lost := powerCut(t, seed, storetest.NewDisk())
		for _, l := range lost {
			t.Fatalf("seed %d: %s", seed, l)
		}
		compared += n
	}
	t.Logf("%d lives ended by a power cut, %d acknowledged transactions compared", *crashes*lives, compared)
	if compared == 0 {
		t.Error("nothing was compared")
	}
}

// TestPowerCutFindsAMissingSync is the test of that test: on a disk that doesn't sync
// the write-ahead log, it finds losses, or a log that can't be read.
func TestPowerCutFindsAMissingSync(t *testing.T) {
	lost := 0
	for seed := range uint64(10) {
		disk := storetest.NewDisk()
		disk.Lies = storetest.WithoutSync
		_, l := powerCut(t, seed, disk)
		lost += len(l)
	}
	t.Logf("%d losses found", lost)
	if lost < 10 {
		t.Errorf("only %d losses found without syncing: the test of power cuts is blind", lost)
	}
}

// lives is how often a power cut ends one history.
const lives = 3

// pair is what one transaction writes: two records that must appear together.
type pair struct {
	tenant market.TenantID
	slug   string
}

// powerCut returns how many acknowledged transactions it compared and what was lost.
func powerCut(t *testing.T, seed uint64, disk *storetest.Disk) (compared int, lost []string) {
	rng := rand.New(rand.NewPCG(seed, 1))
	acked := map[pair]bool{}
	var mu sync.Mutex
	for life := range lives {
		db, err := disk.Try(t, store.Options{})
		if err != nil {
			return len(acked), append(lost, err.Error())
		}
		lost = append(lost, verify(t, db, acked)...)
		var next *storetest.Disk
		var wg sync.WaitGroup
		cutAt, keep := rng.IntN(12), []int{0, 50, 100}[rng.IntN(3)]
		for w := range 4 {
			wg.Go(func() {
				for i := range 12 {
					p := pair{market.TenantID(fmt.Sprintf("ten_%d", i%2)), fmt.Sprintf("s%d-%d-%d", life, w, i)}
					if err := writePair(db, p); err != nil {
						t.Errorf("seed %d: %v", seed, err)
						return
					}
					mu.Lock()
					if next == nil {
						acked[p] = true
					}
					if w == 0 && i == cutAt {
						next = disk.Crash(keep, rng)
					}
					mu.Unlock()
				}
			})
		}
		wg.Wait()
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
		disk = next
	}
	db, err := disk.Try(t, store.Options{})
	if err != nil {
		return len(acked), append(lost, err.Error())
	}
	lost = append(lost, verify(t, db, acked)...)
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	return len(acked), lost
}

// writePair writes a seller and its account under an operation ID.
func writePair(db *store.DB, p pair) error {
	at := time.Unix(1_790_000_000, 0)
	_, err := db.Update(context.Background(), p.tenant, store.Op{ID: p.slug}, func(tx *store.Tx) error {
		a := market.Account{ID: market.NewAccountID(at), Email: p.slug + "@example.com"}
		if err := store.Accounts.Insert(tx, &a); err != nil {
			return err
		}
		return store.Sellers.Insert(tx, &market.Seller{ID: market.NewSellerID(at), Account: a.ID, Slug: p.slug})
	})
	return err
}

// verify compares what is found with what was acknowledged and returns what is lost.
// Anything but a loss fails the test at once.
func verify(t *testing.T, db *store.DB, acked map[pair]bool) (lost []string) {
	t.Helper()
	storetest.Check(t, db)
	found := map[pair]bool{}
	for _, tenant := range []market.TenantID{"ten_0", "ten_1"} {
		err := db.View(context.Background(), tenant, func(tx *store.ReadTx) error {
			for s, err := range store.Sellers.All(tx, "") {
				if err != nil {
					return err
				}
				if _, err := store.Accounts.Load(tx, s.Account); err != nil {
					return fmt.Errorf("seller %s without its account: %w", s.Slug, err)
				}
				found[pair{tenant, s.Slug}] = true
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	for p := range acked {
		if !found[p] {
			lost = append(lost, fmt.Sprintf("%v was acknowledged and is lost", p))
		}
	}
	maps.Copy(acked, found) // what survived unacknowledged must survive from now on
	return lost
}
