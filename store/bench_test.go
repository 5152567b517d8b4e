package store

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/souk-market/souk/internal/market"
)

// BenchmarkOrder measures a transaction like that of a purchase, six records of about
// 300 bytes with their indexes and an operation's ID, on the disk, beside what the disk
// itself gives: a write of 1 KB and fdatasync, in the same run.
//
//	go test ./store -run '^$' -bench 'Order|RawSync' -benchmem
func BenchmarkOrder(b *testing.B) {
	for _, callers := range []int{1, 64} {
		b.Run(fmt.Sprintf("callers=%d", callers), func(b *testing.B) {
			db := open(b, Options{Dir: b.TempDir()})
			var n atomic.Uint64
			b.ReportAllocs()
			cpu := cpuTime(b)
			b.SetParallelism(max(1, callers/runtime.GOMAXPROCS(0)))
			if callers == 1 {
				for b.Loop() {
					placeOrder(b, db, n.Add(1))
				}
			} else {
				b.RunParallel(func(pb *testing.PB) {
					for pb.Next() {
						placeOrder(b, db, n.Add(1))
					}
				})
			}
			b.ReportMetric(float64(n.Load())/b.Elapsed().Seconds(), "tx/s")
			b.ReportMetric(float64(cpuTime(b)-cpu)/float64(n.Load()), "cpu-ns/op")
			var written int
			snap, err := db.Snapshot(b.Context())
			if err != nil {
				b.Fatal(err)
			}
			defer snap.Close()
			cs, err := snap.Changes(snap.LSN()-1, 1)
			if err != nil {
				b.Fatal(err)
			}
			for _, k := range cs.Keys {
				v, _, err := snap.Value(k)
				if err != nil {
					b.Fatal(err)
				}
				written += len(k) + len(v)
			}
			b.ReportMetric(float64(written), "B-stored/op")
			b.ReportMetric(float64(len(cs.Keys)), "keys/op")
		})
	}
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

func placeOrder(b *testing.B, db *DB, n uint64) {
	at := time.Unix(1_790_000_000, 0).UTC()
	id := fmt.Sprintf("%026d", n)
	ch, order := market.CheckoutID("chk_"+id), market.OrderID("ord_"+id)
	price := market.Money{Amount: 900, Currency: "USD"}
	_, err := db.Update(context.Background(), tenant, Op{ID: "settle/" + id}, func(tx *Tx) error {
		tx.SetResult([]byte(ch))
		for _, write := range []func() error{
			func() error {
				return Checkouts.Insert(tx, &market.Checkout{
					ID: ch, Number: id, Receipt: id, Email: "buyer@example.com", State: market.CheckoutCompleted, Orders: []market.OrderID{order},
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
					ID: market.PaymentID("pay_" + id), Checkout: ch, State: market.PaymentCaptured, Amount: price, Provider: "sandbox", Session: id, URL: padding, Created: at,
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
					ID: market.LicenseID("lic_" + id), Entitlement: market.EntitlementID("ent_" + id), Agent: "agt_1", Key: padding, KeyHash: id,
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
	if err != nil {
		b.Fatal(err)
	}
}

// BenchmarkRawSync is what one caller gets from the disk without any database.
func BenchmarkRawSync(b *testing.B) {
	f, err := os.Create(filepath.Join(b.TempDir(), "raw"))
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	if err := f.Truncate(64 << 20); err != nil {
		b.Fatal(err)
	}
	block := make([]byte, 1024)
	at := int64(0)
	for b.Loop() {
		if _, err := f.WriteAt(block, at%(64<<20)); err != nil {
			b.Fatal(err)
		}
		at += int64(len(block))
		if err := syscall.Fdatasync(int(f.Fd())); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "syncs/s")
}

// shelfOf30k opens a database of 30,000 agents as they lie after an import.
func shelfOf30k(b *testing.B) *DB {
	db := open(b, Options{Dir: b.TempDir()})
	insertMany(b, db, 30_000)
	if err := db.Compact(b.Context()); err != nil {
		b.Fatal(err)
	}
	return db
}

func BenchmarkLoad(b *testing.B) {
	db := shelfOf30k(b)
	b.ReportAllocs()
	cpu := cpuTime(b)
	defer func() { b.ReportMetric(float64(cpuTime(b)-cpu)/float64(b.N), "cpu-ns/op") }()
	for i := 0; b.Loop(); i++ {
		err := db.View(b.Context(), tenant, func(tx *ReadTx) error {
			_, err := Agents.Load(tx, market.AgentID(fmt.Sprintf("agt_%06d", i*7919%30_000)))
			return err
		})
		if err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkLoadBySlug(b *testing.B) {
	db := shelfOf30k(b)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		err := db.View(b.Context(), tenant, func(tx *ReadTx) error {
			_, err := AgentBySlug.Load(tx, fmt.Sprint("s", i*7919%30_000))
			return err
		})
		if err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkScan100 reads a page of a hundred from a random place of an index.
func BenchmarkScan100(b *testing.B) {
	db := shelfOf30k(b)
	var cursors []Cursor
	err := db.View(b.Context(), tenant, func(tx *ReadTx) error {
		for row, err := range PopularAgents.Scan(tx, All{}, "") {
			if err != nil {
				return err
			}
			cursors = append(cursors, row.Cursor)
		}
		return nil
	})
	if err != nil {
		b.Fatal(err)
	}
	cursors = cursors[:len(cursors)-100]
	b.ReportAllocs()
	cpu := cpuTime(b)
	defer func() { b.ReportMetric(float64(cpuTime(b)-cpu)/float64(b.N), "cpu-ns/op") }()
	for i := 0; b.Loop(); i++ {
		n := 0
		err := db.View(b.Context(), tenant, func(tx *ReadTx) error {
			for _, err := range PopularAgents.Scan(tx, All{}, cursors[i*7919%len(cursors)]) {
				if err != nil {
					return err
				}
				if n++; n == 100 {
					break
				}
			}
			return nil
		})
		if err != nil || n != 100 {
			b.Fatal(n, err)
		}
	}
}

func BenchmarkCheck30k(b *testing.B) {
	db := shelfOf30k(b)
	for b.Loop() {
		rep, err := db.Check(b.Context(), CheckOptions{})
		if err != nil || !rep.OK() {
			b.Fatal(rep, err)
		}
	}
}
