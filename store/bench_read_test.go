package store

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/souk-market/souk/internal/market"
)

// shelfOf30k opens a database of 30,000 agents as they lie after an import.
func shelfOf30k(b *testing.B) *DB {
	db := open(b, Options{Dir: b.TempDir()})
	insertMany(b, db, 30_000)
	if err := db.Compact(b.Context()); err != nil {
		b.Fatal(err)
	}
	return db
}

// BenchmarkLoad reads records of 1 KB by their keys from a database of a million, all of
// it in the cache, in no order, and decodes them: in a View each, and a hundred in one View. Beside it
// stands bare Pebble's Get of the same keys from the same files.
//
//	go test ./store -run '^$' -bench 'Load$' -benchmem
func BenchmarkLoad(b *testing.B) {
	const records = 1_000_000
	db, ids := paymentsIn(b, records)
	id := func(i int) market.PaymentID { return ids[i*7919%records] }
	for i := range records { // warm
		if err := db.View(b.Context(), tenant, loadPayment(id(i))); err != nil {
			b.Fatal(err)
		}
	}
	b.Run("souk", func(b *testing.B) {
		b.ReportAllocs()
		cpu := cpuTime(b)
		for i := 0; b.Loop(); i++ {
			if err := db.View(b.Context(), tenant, loadPayment(id(i))); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64(cpuTime(b)-cpu)/float64(b.N), "cpu-ns/op")
	})
	b.Run("souk/view=100", func(b *testing.B) {
		b.ReportAllocs()
		cpu := cpuTime(b)
		for i := 0; b.Loop(); i++ {
			err := db.View(b.Context(), tenant, func(tx *ReadTx) error {
				for k := range 100 {
					if _, err := Payments.Load(tx, id(100*i+k)); err != nil {
						return err
					}
				}
				return nil
			})
			if err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64(cpuTime(b)-cpu)/float64(100*b.N), "cpu-ns/record")
	})
	b.Run("pebble", func(b *testing.B) {
		b.ReportAllocs()
		cpu := cpuTime(b)
		r := reader{prefix: tenantPrefix(tenant)}
		for i := 0; b.Loop(); i++ {
			v, closer, err := db.engine.Get(Payments.recordKey(&r, id(i)))
			if err != nil || len(v) < 900 {
				b.Fatal(len(v), err)
			}
			if err := closer.Close(); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64(cpuTime(b)-cpu)/float64(b.N), "cpu-ns/op")
	})
}

func loadPayment(id market.PaymentID) func(*ReadTx) error {
	return func(tx *ReadTx) error {
		_, err := Payments.Load(tx, id)
		return err
	}
}

// paymentsIn fills a database with payments of 1 KB, and compacts it.
func paymentsIn(b *testing.B, n int) (*DB, []market.PaymentID) {
	const perTx = 400 // each writes two keys
	db := open(b, Options{Dir: b.TempDir(), CacheSize: 2 << 30})
	at := time.Unix(1_790_000_000, 0).UTC()
	rng := rand.New(rand.NewPCG(1, 2))
	ids := make([]market.PaymentID, 0, n)
	for len(ids) < n {
		var some []market.PaymentID
		update(b, db, Op{}, func(tx *Tx) error {
			some = some[:0]
			for range min(perTx, n-len(ids)) {
				suffix := newSuffix()
				p := market.Payment{
					ID: market.PaymentID("pay_" + suffix), Checkout: market.CheckoutID("chk_" + suffix), State: market.PaymentCaptured,
					Amount: market.Money{Amount: 900, Currency: "USD"}, Provider: "sandbox", Session: "", URL: randomText(rng, 570),
					Ref: "txn_" + suffix, Created: at, Captured: at,
				}
				if err := Payments.Insert(tx, &p); err != nil {
					return err
				}
				some = append(some, p.ID)
			}
			return nil
		})
		ids = append(ids, some...)
	}
	if err := db.Compact(b.Context()); err != nil {
		b.Fatal(err)
	}
	return db, ids
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
