package replica

import (
	"flag"
	"fmt"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/souk-market/souk/internal/market"
	"github.com/souk-market/souk/store"
)

var (
	levelsTime      = flag.Duration("levels", 5*time.Minute, "virtual time that BenchmarkLevels sells at each rate")
	snapshotRecords = flag.Int("snapshot-records", 100_000, "records of 1 KB that BenchmarkSnapshot has")
)

// BenchmarkLevels is what a commit costs at the replica with all its levels, in requests
// and in bytes, at several rates. Time is virtual; each commit writes a new order's worth
// of records and changes one of 200 that are changed often.
func BenchmarkLevels(b *testing.B) {
	for _, rate := range []int{1, 50, 500} {
		b.Run(fmt.Sprintf("%d-per-second", rate), func(b *testing.B) {
			for b.Loop() {
				now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
				db, err := store.Open(store.Options{Dir: "store", FS: vfs.NewMem()})
				if err != nil {
					b.Fatal(err)
				}
				c := benchClient(b, "file://"+b.TempDir())
				r := New(db, nil, c, Options{SpoolDir: b.TempDir(), Clock: func() time.Time { return now }})
				if err := r.Open(ctx); err != nil {
					b.Fatal(err)
				}
				before := c.Requests()
				commits, loaded := 0, false
				for range int(levelsTime.Seconds()) {
					for range rate {
						commits++
						benchCommit(b, db, commits)
					}
					if _, err := r.Sync(ctx); err != nil {
						b.Fatal(err)
					}
					now = now.Add(time.Second)
					if err := r.mergeDue(ctx, &loaded); err != nil {
						b.Fatal(err)
					}
				}
				now = now.Add(2 * time.Hour)
				if err := r.mergeDue(ctx, &loaded); err != nil {
					b.Fatal(err)
				}
				after := c.Requests()
				n := float64(commits)
				b.ReportMetric(float64(after.Put-before.Put)/n, "puts/commit")
				b.ReportMetric(float64(after.Get-before.Get)/n, "gets/commit")
				b.ReportMetric(float64(after.BytesOut-before.BytesOut)/n, "B-out/commit")
				b.ReportMetric(float64(after.BytesIn-before.BytesIn)/n, "B-in/commit")
				db.Close()
			}
		})
	}
}

func benchCommit(b *testing.B, db *store.DB, i int) {
	_, err := db.Update(ctx, market.MainTenant, store.Op{}, func(tx *store.Tx) error {
		s := market.Seller{ID: market.SellerID(fmt.Sprintf("sel_%09d", i)), Slug: fmt.Sprint("s", i), Name: strings.Repeat("name", 80)}
		if err := store.Sellers.Put(tx, &s); err != nil {
			return err
		}
		hot := market.Seller{ID: market.SellerID(fmt.Sprintf("hot_%03d", i%200)), Slug: fmt.Sprint("hot", i%200), Name: fmt.Sprint("popular ", i)}
		return store.Sellers.Put(tx, &hot)
	})
	if err != nil {
		b.Fatal(err)
	}
}

// BenchmarkSnapshot is a first snapshot, and the one after a hundredth of the records is
// new: the rate in bytes of keys and values, what is sent, and the memory beyond what
// the open database has, at its peak.
func BenchmarkSnapshot(b *testing.B) {
	db, r := benchNode(b, "")
	_ = r
	put := func(from, to int) {
		for i := from; i < to; i += 200 {
			_, err := db.Update(ctx, market.MainTenant, store.Op{}, func(tx *store.Tx) error {
				for k := i; k < min(i+200, to); k++ {
					s := market.Seller{ID: market.SellerID(fmt.Sprintf("sel_%09d", k)), Slug: fmt.Sprint("s", k), Name: noise(k, 900)}
					if err := store.Sellers.Put(tx, &s); err != nil {
						return err
					}
				}
				return nil
			})
			if err != nil {
				b.Fatal(err)
			}
		}
	}
	put(0, *snapshotRecords)
	for _, step := range []struct {
		name string
		more int
	}{{"first", 0}, {"one-percent-new", *snapshotRecords / 100}} {
		b.Run(step.name, func(b *testing.B) {
			for b.Loop() {
				b.StopTimer()
				c := benchClient(b, "file://"+b.TempDir())
				r := New(db, nil, c, Options{SpoolDir: b.TempDir()})
				if err := r.Open(ctx); err != nil {
					b.Fatal(err)
				}
				if step.more > 0 {
					if err := r.Snapshot(ctx); err != nil {
						b.Fatal(err)
					}
					put(*snapshotRecords, *snapshotRecords+step.more)
				}
				if _, err := r.Sync(ctx); err != nil {
					b.Fatal(err)
				}
				before := c.Requests()
				peak := watchHeap()
				b.StartTimer()
				if err := r.Snapshot(ctx); err != nil {
					b.Fatal(err)
				}
				b.StopTimer()
				b.ReportMetric(float64(peak())/(1<<20), "heap-MiB")
				after := c.Requests()
				b.ReportMetric(float64(after.Put-before.Put), "puts")
				b.ReportMetric(float64(after.BytesOut-before.BytesOut), "B-out")
				b.ReportMetric(float64(len(r.newest.Segments)), "segments")
				b.StartTimer()
			}
			b.SetBytes(int64(*snapshotRecords) * 1000)
		})
	}
}

// noise is a text that hardly compresses.
func noise(seed, size int) string {
	b := make([]byte, size)
	x := uint64(seed)*0x9e3779b97f4a7c15 + 1
	for i := range b {
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
		b[i] = byte(33 + x%90)
	}
	return string(b)
}

// watchHeap samples the live heap until the function that it returns is called, which
// gives its growth at its peak, in bytes. The collector runs often meanwhile, so that
// garbage counts little.
func watchHeap() func() uint64 {
	old := debug.SetGCPercent(10)
	runtime.GC()
	sample := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	read := func() uint64 {
		metrics.Read(sample)
		return sample[0].Value.Uint64()
	}
	start, peak := read(), uint64(0)
	done := make(chan struct{})
	var sampling sync.WaitGroup
	sampling.Go(func() {
		for tick := time.NewTicker(5 * time.Millisecond); ; {
			select {
			case <-done:
				tick.Stop()
				return
			case <-tick.C:
				peak = max(peak, read())
			}
		}
	})
	return func() uint64 {
		close(done)
		sampling.Wait()
		debug.SetGCPercent(old)
		return max(peak, start) - start
	}
}
