package store

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/souk-market/souk/internal/market"
)

// BenchmarkOrder measures two transactions on the disk, by 1 and by 64 callers:
//
//   - order: that of a purchase, six records of about 300 bytes with their indexes and
//     counts, under an operation's ID;
//   - six: six records of 300 bytes with an index entry each.
//
// Beside each, in the same run, stand its limits: what bare Pebble does with the same
// keys and values, handed to it ready made, and what the disk does with an append of
// 1 KB and fdatasync (raw).
//
//	go test ./store -run '^$' -bench Order -benchtime 30000x -benchmem
func BenchmarkOrder(b *testing.B) {
	b.Run("raw", benchmarkRawSync)
	for name, place := range map[string]func(*DB, string) error{"order": placeOrder, "six": placeSix} {
		for _, callers := range []int{1, 64} {
			b.Run(fmt.Sprintf("%s/souk/callers=%d", name, callers), func(b *testing.B) {
				db := open(b, Options{Dir: b.TempDir()})
				commitOrders(b, callers, func() error { return place(db, newSuffix()) })
				reportWrites(b, writesOf(b, db))
			})
			b.Run(fmt.Sprintf("%s/pebble/callers=%d", name, callers), func(b *testing.B) { benchmarkPebble(b, callers, place) })
		}
	}
}

func benchmarkPebble(b *testing.B, callers int, place func(*DB, string) error) {
	scratch := open(b, Options{Dir: b.TempDir()})
	for range 2 { // the first commit of a database writes the data's version besides
		if err := place(scratch, placeholder); err != nil {
			b.Fatal(err)
		}
	}
	writes := writesOf(b, scratch)
	engine, err := pebble.Open(b.TempDir(), engineOptions(Options{Logger: slog.New(slog.DiscardHandler)}, nil))
	if err != nil {
		b.Fatal(err)
	}
	defer engine.Close()
	var mu sync.Mutex // commits have an order, as the store's have
	commitOrders(b, callers, func() error {
		batch := sameWrites(engine, writes, newSuffix())
		defer batch.Close()
		mu.Lock()
		err := engine.ApplyNoSyncWait(batch, pebble.Sync)
		mu.Unlock()
		if err != nil {
			return err
		}
		return batch.SyncWait()
	})
}

// commitOrders runs commit in the benchmark's loop, by so many callers at once.
func commitOrders(b *testing.B, callers int, commit func() error) {
	var n atomic.Uint64
	one := func() {
		if err := commit(); err != nil {
			b.Error(err)
		}
		n.Add(1)
	}
	b.ReportAllocs()
	cpu := cpuTime(b)
	if callers == 1 {
		for b.Loop() {
			one()
		}
	} else {
		b.SetParallelism(max(1, callers/runtime.GOMAXPROCS(0)))
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				one()
			}
		})
	}
	b.ReportMetric(float64(n.Load())/b.Elapsed().Seconds(), "tx/s")
	b.ReportMetric(float64(cpuTime(b)-cpu)/float64(n.Load()), "cpu-ns/op")
}

// writesOf returns what the last commit has written, its change-log entry included.
func writesOf(b *testing.B, db *DB) (writes []KeyValue) {
	snap, err := db.Snapshot(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	defer snap.Close()
	cs, err := snap.Changes(snap.LSN()-1, 1)
	if err != nil {
		b.Fatal(err)
	}
	for _, k := range append(cs.Keys, logKey(snap.LSN())) {
		v, _, err := snap.Value(k)
		if err != nil {
			b.Fatal(err)
		}
		writes = append(writes, KeyValue{k, v})
	}
	return writes
}

func reportWrites(b *testing.B, writes []KeyValue) {
	size := 0
	for _, w := range writes {
		size += len(w.Key) + len(w.Value)
	}
	b.ReportMetric(float64(size), "B-stored/op")
	b.ReportMetric(float64(len(writes)), "keys/op")
}

// placeholder stands for the suffix of an order's IDs. What must be unguessable in an
// order, and so is no neighbor of the one before, is the suffix backwards.
const placeholder = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"

func newSuffix() string { return strings.TrimPrefix(string(market.NewOrderID(time.Now())), "ord_") }

func backwards(s string) string {
	b := []byte(s)
	slices.Reverse(b)
	return string(b)
}

// sameWrites are writes with another suffix for the placeholder.
func sameWrites(engine *pebble.DB, writes []KeyValue, suffix string) *pebble.Batch {
	batch := engine.NewBatch()
	swap := strings.NewReplacer(placeholder, suffix, backwards(placeholder), backwards(suffix))
	for _, w := range writes {
		key := swap.Replace(string(w.Key))
		if w.Key[0] == spaceEngine { // the log's key has none
			key += suffix
		}
		if err := batch.Set([]byte(key), []byte(swap.Replace(string(w.Value))), nil); err != nil {
			panic(err)
		}
	}
	return batch
}

func placeOrder(db *DB, id string) error {
	at := time.Unix(1_790_000_000, 0).UTC()
	secret := backwards(id)
	ch, order := market.CheckoutID("chk_"+id), market.OrderID("ord_"+id)
	price := market.Money{Amount: 900, Currency: "USD"}
	_, err := db.Update(context.Background(), tenant, Op{ID: "settle/" + id}, func(tx *Tx) error {
		tx.SetResult([]byte(ch))
		for _, write := range []func() error{
			func() error {
				return Checkouts.Insert(tx, &market.Checkout{
					ID: ch, Number: secret, Receipt: secret, Email: "buyer@example.com", State: market.CheckoutCompleted, Orders: []market.OrderID{order},
					Payment: market.PaymentID("pay_" + id), Total: price, Terms: "2026-01", Created: at, Expires: at,
				})
			},
			func() error {
				return Orders.Insert(tx, &market.Order{
					ID: order, Checkout: ch, Seller: "sel_1", Email: "buyer@example.com", State: market.OrderFulfilled, Total: price, Created: at, Paid: at,
					Lines: []market.Line{{ID: market.LineID("lin_" + id), Agent: "agt_1", Offer: "off_1", Name: "An agent", Slug: "an-agent", Price: price}},
				})
			},
			func() error {
				return Payments.Insert(tx, &market.Payment{
					ID: market.PaymentID("pay_" + id), Checkout: ch, State: market.PaymentCaptured, Amount: price, Provider: "sandbox", Session: secret, URL: padding, Created: at,
				})
			},
			func() error {
				return Entitlements.Insert(tx, &market.Entitlement{
					ID: market.EntitlementID("ent_" + id), Order: order, Line: market.LineID("lin_" + id), Checkout: ch, Agent: "agt_1",
					Email: "buyer@example.com", State: market.EntitlementActive, Granted: at,
				})
			},
			func() error {
				return Licenses.Insert(tx, &market.License{
					ID: market.LicenseID("lic_" + id), Entitlement: market.EntitlementID("ent_" + id), Agent: "agt_1", Key: padding, KeyHash: secret,
					State: market.LicenseActive, Issued: at,
				})
			},
			func() error {
				return Events.Insert(tx, &market.ProviderEvent{ID: id, Type: "checkout.completed", Payment: market.PaymentID("pay_" + id), Quarantine: padding, Received: at})
			},
		} {
			if err := write(); err != nil {
				return err
			}
		}
		return nil
	})
	return err
}

// placeSix writes six carts, which have one index.
func placeSix(db *DB, id string) error {
	at := time.Unix(1_790_000_000, 0).UTC()
	_, err := db.Update(context.Background(), tenant, Op{}, func(tx *Tx) error {
		for i := range 6 {
			cart := market.Cart{ID: market.CartID(fmt.Sprint("crt_", id, i)), Updated: at, Checkout: market.CheckoutID(padding + padding[:70])}
			if err := Carts.Put(tx, &cart); err != nil {
				return err
			}
		}
		return nil
	})
	return err
}

// benchmarkRawSync is what one caller gets from the disk without any database.
func benchmarkRawSync(b *testing.B) {
	f, err := os.Create(filepath.Join(b.TempDir(), "raw"))
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	block := make([]byte, 1024)
	for b.Loop() {
		if _, err := f.Write(block); err != nil {
			b.Fatal(err)
		}
		if err := syscall.Fdatasync(int(f.Fd())); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "syncs/s")
}

// cpuTime is what this process has used so far, which a busy machine doesn't change much.
func cpuTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

var padding = strings.Repeat("x", 150)
