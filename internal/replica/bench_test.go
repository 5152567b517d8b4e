package replica

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/souk-market/souk/internal/market"
	"github.com/souk-market/souk/internal/testenv"
	"github.com/souk-market/souk/store"
)

// filled makes a replica of many records in one snapshot, then one small file per commit.
func filled(b *testing.B, url string, records, files int) *Client {
	b.Helper()
	db, err := store.Open(store.Options{Dir: filepath.Join(b.TempDir(), "store")})
	if err != nil {
		b.Fatal(err)
	}
	defer db.Close()
	c, err := OpenClient(url, ClientOptions{})
	if err != nil {
		b.Fatal(err)
	}
	r := New(db, nil, c, Options{})
	if err := r.Open(ctx); err != nil {
		b.Fatal(err)
	}
	put := func(from, to int) {
		b.Helper()
		_, err := db.Update(ctx, market.MainTenant, store.Op{}, func(tx *store.Tx) error {
			for i := from; i < to; i++ {
				name := fmt.Sprintf("seller-%08d", i)
				s := market.Seller{ID: market.SellerID("sel_" + name), Slug: name, Name: strings.Repeat(name, 20)}
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
	for i := 0; i < records; i += 400 {
		put(i, min(i+400, records))
	}
	if records > 0 {
		if err := r.Snapshot(ctx); err != nil {
			b.Fatal(err)
		}
	}
	for i := range files {
		put(i%50, i%50+3)
		if _, err := r.Sync(ctx); err != nil {
			b.Fatal(err)
		}
	}
	return c
}

func BenchmarkRestore(b *testing.B) {
	for _, bb := range []struct{ records, files int }{{100_000, 0}, {0, 1000}} {
		for _, kind := range []string{"file", "s3"} {
			b.Run(fmt.Sprintf("%s/%d-records-%d-files", kind, bb.records, bb.files), func(b *testing.B) {
				url := "file://" + b.TempDir()
				if kind == "s3" {
					url = testenv.S3(b).URL("bench")
				}
				c := filled(b, url, bb.records, bb.files)
				var bytes int64
				for b.Loop() {
					rep, err := Restore(ctx, []*Client{c}, filepath.Join(b.TempDir(), "r"), Target{}, RestoreOptions{})
					if err != nil {
						b.Fatal(err)
					}
					bytes = rep.Bytes
				}
				b.ReportMetric(float64(bytes), "replica-bytes")
			})
		}
	}
}

// BenchmarkShip is one commit of three records and its file.
func BenchmarkShip(b *testing.B) {
	for _, kind := range []string{"file", "s3"} {
		b.Run(kind, func(b *testing.B) {
			url := "file://" + b.TempDir()
			if kind == "s3" {
				url = testenv.S3(b).URL("bench")
			}
			db, err := store.Open(store.Options{Dir: filepath.Join(b.TempDir(), "store")})
			if err != nil {
				b.Fatal(err)
			}
			defer db.Close()
			c, err := OpenClient(url, ClientOptions{})
			if err != nil {
				b.Fatal(err)
			}
			r := New(db, nil, c, Options{})
			if err := r.Open(ctx); err != nil {
				b.Fatal(err)
			}
			i := 0
			for b.Loop() {
				_, err := db.Update(ctx, market.MainTenant, store.Op{}, func(tx *store.Tx) error {
					s := market.Seller{ID: market.SellerID(fmt.Sprintf("sel_%d", i%100)), Slug: fmt.Sprint("s", i%100), Name: "seller"}
					return store.Sellers.Put(tx, &s)
				})
				if err != nil {
					b.Fatal(err)
				}
				if _, err := r.Sync(ctx); err != nil {
					b.Fatal(err)
				}
				i++
			}
		})
	}
}
