package store

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/souk-market/souk/internal/market"
)

const tenant = market.MainTenant

func openTest(t *testing.T, o Options) *DB {
	t.Helper()
	if o.FS == nil {
		o.FS = vfs.NewMem()
		o.Dir = "db"
	}
	if o.Fatal == nil {
		o.Fatal = func(err error) { panic(err) }
	}
	db, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		rep, err := db.Check(context.Background(), CheckOptions{})
		if err != nil {
			t.Error(err)
		} else if !rep.OK() {
			t.Errorf("the database is broken: %v", rep.Problems)
		}
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}

func seller(slug string) market.Seller {
	return market.Seller{ID: market.NewSellerID(time.Unix(1, 0)), Slug: slug, Name: slug}
}

func TestUpdateOncePerOperation(t *testing.T) {
	db := openTest(t, Options{})
	runs := 0
	for i := range 3 {
		s := seller("ada")
		res, err := db.Update(context.Background(), tenant, Op{ID: "new/ada"}, func(tx *Tx) error {
			runs++
			tx.SetResult([]byte(s.ID))
			return Sellers.Insert(tx, &s)
		})
		if err != nil {
			t.Fatal(err)
		}
		if res.Repeated != (i > 0) {
			t.Errorf("run %d: repeated %t", i, res.Repeated)
		}
	}
	if runs != 1 {
		t.Errorf("fn ran %d times, want 1", runs)
	}
	if got := db.LastLSN(); got != 1 {
		t.Errorf("LSN %d, want 1", got)
	}
}

func TestUpdateThatFailsLeavesNothing(t *testing.T) {
	db := openTest(t, Options{})
	boom := errors.New("boom")
	for name, end := range map[string]func() error{
		"error": func() error { return boom },
		"panic": func() error { panic(boom) },
	} {
		t.Run(name, func(t *testing.T) {
			_, err := db.Update(context.Background(), tenant, Op{ID: name}, func(tx *Tx) error {
				s := seller(name)
				if err := Sellers.Insert(tx, &s); err != nil {
					return err
				}
				return end()
			})
			if err == nil {
				t.Fatal("no error")
			}
			err = db.View(context.Background(), tenant, func(tx *ReadTx) error {
				_, err := SellerBySlug.Load(tx, name)
				return err
			})
			if !market.Is(err, market.NotFound) {
				t.Errorf("after the failure: %v, want not found", err)
			}
		})
	}
	if got := db.LastLSN(); got != 0 {
		t.Errorf("LSN %d, want 0", got)
	}
}

func TestFeedYieldsCommitsInOrder(t *testing.T) {
	db := openTest(t, Options{Faults: NewFaults(1)})
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	go func() {
		for _, slug := range []string{"a", "b", "c", "d"} {
			s := seller(slug)
			if _, err := db.Update(ctx, tenant, Op{ID: slug}, func(tx *Tx) error { return Sellers.Insert(tx, &s) }); err != nil {
				t.Error(err)
				cancel()
			}
		}
	}()
	want := LSN(1)
	for c, err := range db.Feed(ctx, 0) {
		if err != nil {
			t.Fatal(err)
		}
		if c.LSN != want {
			t.Fatalf("LSN %d, want %d", c.LSN, want)
		}
		n := 0
		for range Sellers.ChangedIn(c.Keys) {
			n++
		}
		if n != 1 {
			t.Errorf("LSN %d changed %d sellers, want 1", c.LSN, n)
		}
		if want++; want == 5 {
			break
		}
	}
}

func TestTenantsAreApart(t *testing.T) {
	db := openTest(t, Options{})
	s := seller("ada")
	if _, err := db.Update(context.Background(), "ten_a", Op{}, func(tx *Tx) error { return Sellers.Insert(tx, &s) }); err != nil {
		t.Fatal(err)
	}
	err := db.View(context.Background(), "ten_b", func(tx *ReadTx) error {
		_, err := Sellers.Load(tx, s.ID)
		return err
	})
	if !market.Is(err, market.NotFound) {
		t.Errorf("another tenant's seller: %v, want not found", err)
	}
}
