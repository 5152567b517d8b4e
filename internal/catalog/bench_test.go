package catalog_test

import (
	"context"
	"io"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/souk-market/souk/internal/catalog"
	"github.com/souk-market/souk/internal/market"
	"github.com/souk-market/souk/store"
	"github.com/souk-market/souk/store/storetest"
)

// BenchmarkImport imports 30,000 rows into a store on disk, without an index: once as new
// ones, once again. cpu-µs/row is process time, which other work on the machine disturbs less.
func BenchmarkImport(b *testing.B) {
	const rows = 30_000
	for b.Loop() {
		b.StopTimer()
		shelf := &catalog.Catalog{Tenant: market.MainTenant, Store: storetest.OpenWith(b, store.Options{Dir: b.TempDir()})}
		b.StartTimer()
		for _, unit := range []string{"cpu-µs/new-row", "cpu-µs/same-row"} {
			before := cpuTime(b)
			file := io.MultiReader(strings.NewReader(header), &generated{n: rows, at: func(int) {}})
			if _, err := shelf.Import(context.Background(), file, catalog.ImportOptions{}); err != nil {
				b.Fatal(err)
			}
			b.ReportMetric(float64((cpuTime(b)-before).Microseconds())/rows, unit)
		}
	}
}

func cpuTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
