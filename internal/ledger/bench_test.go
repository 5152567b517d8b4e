package ledger

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"testing"
	"time"

	"github.com/souk-market/souk/internal/market"
	"github.com/souk-market/souk/store"
	"github.com/souk-market/souk/store/storetest"
)

// BenchmarkExport writes 10,000 postings, or 100,000, of a hundred sellers. heap-MiB is
// what lies on the heap at the end of an export, garbage left out, above what lay there
// before.
func BenchmarkExport(b *testing.B) {
	for _, n := range []int{10_000, 100_000} {
		b.Run(fmt.Sprintf("postings=%d", n), func(b *testing.B) {
			db := storetest.OpenWith(b, store.Options{})
			fill(b, db, n)
			for _, form := range []struct {
				name  string
				write func(tx *store.ReadTx, w io.Writer) error
			}{
				{"csv", func(tx *store.ReadTx, w io.Writer) error { return ExportCSV(tx, w, Span{}) }},
				{"beancount", func(tx *store.ReadTx, w io.Writer) error { return ExportBeancount(tx, w, "Bazaar", Span{}) }},
			} {
				b.Run(form.name, func(b *testing.B) {
					before := heap()
					w := &atTheEnd{}
					for b.Loop() {
						err := db.View(context.Background(), market.MainTenant, func(tx *store.ReadTx) error { return form.write(tx, w) })
						if err != nil {
							b.Fatal(err)
						}
					}
					b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(n), "ns/posting")
					b.ReportMetric(float64(int64(w.heap)-int64(before))/(1<<20), "heap-MiB")
				})
			}
		})
	}
}

// atTheEnd notes the heap while an export goes on, every ten megabytes of it.
type atTheEnd struct {
	n    int
	heap uint64
}

func (w *atTheEnd) Write(p []byte) (int, error) {
	if w.n += len(p); w.n > 10<<20 || w.heap == 0 {
		w.n, w.heap = 0, max(w.heap, heap())
	}
	return len(p), nil
}

func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

func fill(b *testing.B, db *store.DB, n int) {
	b.Helper()
	for i := 0; i < n; i += 200 {
		_, err := db.Update(context.Background(), market.MainTenant, store.Op{}, func(tx *store.Tx) error {
			var errs []error
			for j := i; j < min(i+200, n); j++ {
				seller := market.SellerAccount(market.SellerID(fmt.Sprint("sel_", j%100)))
				p := transfer(start.Add(time.Duration(j)*time.Second), fmt.Sprint("gift:", j), market.Money{Amount: 999, Currency: "USD"}, seller, market.ProviderAccount("stripe"))
				errs = append(errs, store.Post(tx, &p))
			}
			return errors.Join(errs...)
		})
		if err != nil {
			b.Fatal(err)
		}
	}
}
