package replica

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/souk-market/souk/internal/market"
	"github.com/souk-market/souk/internal/testenv"
	"github.com/souk-market/souk/store"
)

var (
	trafficTime    = flag.Duration("traffic", 20*time.Second, "how long BenchmarkTraffic sells at each rate")
	idleTime       = flag.Duration("idle", 20*time.Second, "how long BenchmarkIdle waits")
	restoreRecords = flag.Int("restore-records", 100_000, "records of 1 KB that BenchmarkRestoreRate restores")
)

// benchNode is a database with a replicator that runs until the benchmark ends.
func benchNode(b *testing.B, url string) (*store.DB, *Replicator) {
	b.Helper()
	db, err := store.Open(store.Options{Dir: filepath.Join(b.TempDir(), "store")})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { db.Close() })
	if url == "" {
		return db, nil
	}
	r := New(db, nil, benchClient(b, url), Options{SpoolDir: b.TempDir()})
	if err := r.Open(ctx); err != nil {
		b.Fatal(err)
	}
	run, stop := context.WithCancel(ctx)
	var running sync.WaitGroup
	running.Go(func() {
		if err := r.Run(run); err != nil {
			b.Error(err)
		}
	})
	b.Cleanup(func() { stop(); running.Wait() })
	return db, r
}

func benchClient(b *testing.B, url string) *Client {
	b.Helper()
	c, err := OpenClient(url, ClientOptions{})
	if err != nil {
		b.Fatal(err)
	}
	return c
}

// purchase commits what a purchase writes: six records of about 300 bytes with their indexes.
func purchase(db *store.DB) (store.LSN, error) {
	var random [8]byte
	rand.Read(random[:])
	at := time.Now().UTC().Truncate(time.Millisecond)
	id := fmt.Sprintf("%012x%x", at.UnixMilli(), random)
	secret := hex.EncodeToString(random[:]) + hex.EncodeToString(random[:4])
	ch, order, price := market.CheckoutID("chk_"+id), market.OrderID("ord_"+id), market.Money{Amount: 900, Currency: "USD"}
	res, err := db.Update(ctx, market.MainTenant, store.Op{ID: "settle/" + id}, func(tx *store.Tx) error {
		for _, write := range []func() error{
			func() error {
				return store.Checkouts.Insert(tx, &market.Checkout{ID: ch, Number: secret, Receipt: secret, Email: "buyer@example.com", State: market.CheckoutCompleted,
					Orders: []market.OrderID{order}, Payment: market.PaymentID("pay_" + id), Total: price, Terms: "2026-01", Created: at, Expires: at})
			},
			func() error {
				return store.Orders.Insert(tx, &market.Order{ID: order, Checkout: ch, Seller: "sel_1", Email: "buyer@example.com", State: market.OrderFulfilled, Total: price,
					Created: at, Paid: at, Lines: []market.Line{{ID: market.LineID("lin_" + id), Agent: "agt_1", Offer: "off_1", Name: "An agent", Slug: "an-agent", Price: price}}})
			},
			func() error {
				return store.Payments.Insert(tx, &market.Payment{ID: market.PaymentID("pay_" + id), Checkout: ch, State: market.PaymentCaptured, Amount: price,
					Provider: "sandbox", Session: secret, URL: "https://pay.example.com/c/" + secret, Created: at})
			},
			func() error {
				return store.Entitlements.Insert(tx, &market.Entitlement{ID: market.EntitlementID("ent_" + id), Order: order, Line: market.LineID("lin_" + id), Checkout: ch,
					Agent: "agt_1", Email: "buyer@example.com", State: market.EntitlementActive, Granted: at})
			},
			func() error {
				return store.Licenses.Insert(tx, &market.License{ID: market.LicenseID("lic_" + id), Entitlement: market.EntitlementID("ent_" + id), Agent: "agt_1",
					Key: secret, KeyHash: id, State: market.LicenseActive, Issued: at})
			},
			func() error {
				return store.Events.Insert(tx, &market.ProviderEvent{ID: id, Type: "checkout.completed", Payment: market.PaymentID("pay_" + id), Received: at})
			},
		} {
			if err := write(); err != nil {
				return err
			}
		}
		return nil
	})
	return res.LSN, err
}

// BenchmarkTraffic sells at a steady rate, and counts at the S3 server what a purchase
// costs there, and how long it waits to be there.
//
//	go test ./internal/replica -run '^$' -bench Traffic -traffic 60s -benchtime 1x
func BenchmarkTraffic(b *testing.B) {
	server := testenv.S3(b)
	for _, rate := range []int{1, 50, 200, 500} {
		b.Run(fmt.Sprintf("%d-per-second", rate), func(b *testing.B) {
			line := testenv.NewFaultyS3(b, server)
			db, r := benchNode(b, line.URL(fmt.Sprint("traffic-", rate)))
			for b.Loop() {
				lags := sell(b, db, r, rate)
				slices.Sort(lags)
				n, counts := float64(len(lags)), line.Requests()
				b.ReportMetric(float64(counts.Put)/n, "PUT/commit")
				b.ReportMetric(float64(counts.Get+counts.List)/n, "GET+LIST/commit")
				b.ReportMetric(float64(counts.BytesIn)/n, "B-uploaded/commit")
				b.ReportMetric(float64(lags[len(lags)/2].Milliseconds()), "lag-p50-ms")
				b.ReportMetric(float64(lags[len(lags)*99/100].Milliseconds()), "lag-p99-ms")
				b.ReportMetric(n, "commits")
			}
		})
	}
}

// sell makes purchases for trafficTime and returns how long each was in the database only.
func sell(b *testing.B, db *store.DB, r *Replicator, rate int) (lags []time.Duration) {
	type sold struct {
		lsn store.LSN
		at  time.Time
	}
	commits := make(chan sold, 1<<20)
	var watching, selling sync.WaitGroup
	watching.Go(func() {
		for c := range commits {
			if err := r.Shipped(ctx, c.lsn); err != nil {
				b.Error(err)
				return
			}
			lags = append(lags, time.Since(c.at))
		}
	})
	tick := time.NewTicker(time.Second / time.Duration(rate))
	defer tick.Stop()
	for end := time.Now().Add(*trafficTime); time.Now().Before(end); <-tick.C {
		selling.Go(func() {
			lsn, err := purchase(db)
			if err != nil {
				b.Error(err)
			}
			commits <- sold{lsn, time.Now()}
		})
	}
	selling.Wait()
	close(commits)
	watching.Wait()
	return lags
}

// BenchmarkOverhead is the rate of purchases by 64 callers without a replica and with
// one: in a directory, and on an S3 server that shares the machine. cpu-us/commit is what
// this process has used until the replica has all of them, which others on the machine
// change little.
//
//	go test ./internal/replica -run '^$' -bench Overhead -benchtime 30000x -count 3
func BenchmarkOverhead(b *testing.B) {
	for _, kind := range []string{"alone", "file", "s3"} {
		b.Run(kind, func(b *testing.B) {
			url := ""
			switch kind {
			case "file":
				url = "file://" + b.TempDir()
			case "s3":
				url = testenv.S3(b).URL("overhead")
			}
			db, r := benchNode(b, url)
			b.SetParallelism(64 / runtime.GOMAXPROCS(0))
			b.ResetTimer()
			cpu := cpuTime(b)
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					if _, err := purchase(db); err != nil {
						b.Error(err)
					}
				}
			})
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "commits/s")
			if r != nil {
				if err := r.Wait(ctx, db.LastLSN()); err != nil {
					b.Error(err)
				}
			}
			b.ReportMetric(float64((cpuTime(b)-cpu).Nanoseconds())/1e3/float64(b.N), "cpu-us/commit")
		})
	}
}

// cpuTime is what this process has used so far, user and system.
func cpuTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkIdle counts the requests of a replica to which nothing is new.
//
//	go test ./internal/replica -run '^$' -bench Idle -idle 10m -benchtime 1x -timeout 20m
func BenchmarkIdle(b *testing.B) {
	line := testenv.NewFaultyS3(b, testenv.S3(b))
	db, r := benchNode(b, line.URL("idle"))
	lsn, err := purchase(db)
	if err != nil {
		b.Fatal(err)
	}
	if err := r.Wait(ctx, lsn); err != nil {
		b.Fatal(err)
	}
	pause(ctx, time.Minute/2) // until the file is merged
	for b.Loop() {
		before := line.Requests()
		pause(ctx, *idleTime)
		after := line.Requests()
		b.ReportMetric(float64(after.Put+after.Get+after.List+after.Delete-before.Put-before.Get-before.List-before.Delete), "requests")
	}
}

// BenchmarkRestoreRate restores records of 1 KB from a snapshot, beside the rate at which
// the disk takes a file.
//
//	go test ./internal/replica -run '^$' -bench RestoreRate -restore-records 1000000 -benchtime 1x -timeout 60m
func BenchmarkRestoreRate(b *testing.B) {
	b.Run("disk", func(b *testing.B) {
		for b.Loop() {
			b.SetBytes(1 << 30)
			writeGiB(b)
		}
	})
	for _, kind := range []string{"file", "s3"} {
		b.Run(kind, func(b *testing.B) {
			url := "file://" + b.TempDir()
			if kind == "s3" {
				url = testenv.S3(b).URL("restore")
			}
			raw := fillReplica(b, url)
			b.SetBytes(raw)
			for b.Loop() {
				rep, err := Restore(ctx, []*Client{benchClient(b, url)}, filepath.Join(b.TempDir(), "r"), Target{}, RestoreOptions{})
				if err != nil {
					b.Fatal(err)
				}
				b.ReportMetric(float64(rep.Bytes), "replica-bytes")
			}
		})
	}
}

func writeGiB(b *testing.B) {
	f, err := os.Create(filepath.Join(b.TempDir(), "file"))
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	block := make([]byte, 1<<20)
	rand.Read(block)
	for range 1 << 10 {
		if _, err := f.Write(block); err != nil {
			b.Fatal(err)
		}
	}
	if err := f.Sync(); err != nil {
		b.Fatal(err)
	}
}

// fillReplica makes a replica of restoreRecords records in one snapshot, and returns the
// bytes of their contents. Half of each is random: records are about as dense as text.
func fillReplica(b *testing.B, url string) (raw int64) {
	b.Helper()
	db, r := benchNode(b, url)
	for i := 0; i < *restoreRecords; i += 400 {
		_, err := db.Update(ctx, market.MainTenant, store.Op{}, func(tx *store.Tx) error {
			for j := i; j < min(i+400, *restoreRecords); j++ {
				var random [256]byte
				rand.Read(random[:])
				text := hex.EncodeToString(random[:])
				s := market.Seller{ID: market.SellerID(fmt.Sprintf("sel_%012x", j)), Slug: fmt.Sprintf("seller-%08d", j), Name: text + text}
				raw += 1024
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
	if err := r.Snapshot(ctx); err != nil {
		b.Fatal(err)
	}
	return raw
}
