package store

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"reflect"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/souk-market/souk/internal/market"
)

// transfer is a posting of an amount from one account to another.
func transfer(at time.Time, cause string, amount market.Money, from, to market.LedgerAccount) market.Posting {
	return market.Posting{ID: market.NewPostingID(at), Cause: cause, At: at, Entries: []market.Entry{
		{Account: to, Amount: amount}, {Account: from, Amount: amount.Neg()},
	}}
}

func TestPostRefuses(t *testing.T) {
	at := newClock().now
	most := market.Money{Amount: 1<<53 - 1, Currency: "USD"}
	first := transfer(at, "first", most, "a", "b")
	for name, c := range map[string]struct {
		change func(p *market.Posting)
		want   market.Kind
	}{
		"what doesn't balance":       {func(p *market.Posting) { p.Entries[0].Amount.Amount++ }, market.Invalid},
		"a second for a cause":       {func(p *market.Posting) { p.Cause = "first" }, market.Conflict},
		"a second with an ID":        {func(p *market.Posting) { p.ID = first.ID }, market.Conflict},
		"an ID of another time":      {func(p *market.Posting) { p.At = at.Add(time.Second) }, market.Invalid},
		"an ID of no time":           {func(p *market.Posting) { p.ID = "pst_1" }, market.Invalid},
		"a balance past counting":    {func(p *market.Posting) { p.Entries[0].Account = "b" }, market.Invalid},
		"a cause too long for a key": {func(p *market.Posting) { p.Cause = string(make([]byte, MaxKey)) }, market.TooLarge},
	} {
		t.Run(name, func(t *testing.T) {
			db := openTest(t, Options{})
			update(t, db, Op{}, func(tx *Tx) error { return Post(tx, &first) })
			p := transfer(at, "second", dollars(1), "x", "y")
			c.change(&p)
			_, err := db.Update(t.Context(), tenant, Op{}, func(tx *Tx) error {
				err := Post(tx, &p)
				if !market.Is(err, c.want) {
					t.Errorf("the error is %v, want %v", err, c.want)
				}
				return nil // a caller that doesn't mind; what can't be committed must not be
			})
			if (err != nil) != (c.want == market.TooLarge) {
				t.Errorf("the commit: %v", err)
			}
			wantLedger(t, db, []market.Posting{first})
		})
	}
}

// wantLedger compares the whole ledger with postings in order of time, and the balances
// with their sums.
func wantLedger(t *testing.T, db *DB, want []market.Posting) {
	t.Helper()
	sums := map[string]int64{}
	for _, p := range want {
		for _, e := range p.Entries {
			sums[balanceKey(e.Account, e.Amount.Currency)] += e.Amount.Amount
		}
	}
	err := db.View(t.Context(), tenant, func(tx *ReadTx) error {
		n := 0
		for p, err := range Postings.All(tx, "") {
			if err != nil {
				return err
			}
			if n == len(want) || p.ID != want[n].ID || !p.At.Equal(want[n].At) || !reflect.DeepEqual(p.Entries, want[n].Entries) {
				t.Fatalf("posting %d is %+v", n, p)
			}
			n++
		}
		if n != len(want) {
			t.Errorf("%d postings, want %d", n, len(want))
		}
		for b, err := range Balances.All(tx, "") {
			if err != nil {
				return err
			}
			k := balanceKey(b.Account, b.Amount.Currency)
			if sum, ok := sums[k]; !ok || sum != b.Amount.Amount {
				t.Errorf("the balance %s is %s, want %d", k, b.Amount, sum)
			}
			delete(sums, k)
		}
		if len(sums) > 0 {
			t.Errorf("balances that are missing: %v", sums)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestLedgerIsReadOnly: nothing outside of this package writes postings or balances but
// Post, because nothing exported of them takes a transaction that can write.
func TestLedgerIsReadOnly(t *testing.T) {
	writer := reflect.TypeFor[*Tx]()
	for _, v := range []any{Postings, Balances, PostingByCause} {
		kind := reflect.TypeOf(v)
		if kind.NumMethod() == 0 {
			t.Errorf("%v has no methods", kind)
		}
		for i := range kind.NumMethod() {
			m := kind.Method(i)
			for j := range m.Type.NumIn() {
				if m.Type.In(j) == writer {
					t.Errorf("%v.%s can write", kind, m.Name)
				}
			}
		}
		for kind.Kind() == reflect.Pointer {
			kind = kind.Elem()
		}
		for i := range kind.NumField() {
			if f := kind.Field(i); f.IsExported() {
				t.Errorf("%v.%s is exported", kind, f.Name)
			}
		}
	}
}

// TestRandomLedger posts sales and reversals in several currencies at times that also go
// back, and compares the walk with the order of time, the balances with the sums, and
// what begins at a time with what a filter finds.
func TestRandomLedger(t *testing.T) {
	for seed := range uint64(20) {
		rng := rand.New(rand.NewPCG(seed, 1))
		db := openTest(t, Options{})
		var posted []market.Posting
		start := newClock().now
		for i := range 60 {
			at := start.Add(time.Duration(rng.Int64N(100)) * time.Millisecond)
			p := transfer(at, fmt.Sprint("gift:", i), market.Money{Amount: 1 + rng.Int64N(1<<40), Currency: pick[market.Currency](rng, "USD", "JPY", "KWD", "EUR")},
				pick[market.LedgerAccount](rng, "assets:a", "assets:b"), pick[market.LedgerAccount](rng, "assets:a", "liabilities:seller:x", "income:commission"))
			if len(posted) > 0 && rng.IntN(4) == 0 {
				p = market.Reverse(&posted[rng.IntN(len(posted))], fmt.Sprint("reversal:", i), at)
			}
			update(t, db, Op{}, func(tx *Tx) error { return Post(tx, &p) })
			at2 := len(posted)
			for at2 > 0 && posted[at2-1].ID > p.ID {
				at2--
			}
			posted = append(posted[:at2], append([]market.Posting{p}, posted[at2:]...)...)
		}
		for i := range posted[1:] {
			if posted[i+1].At.Before(posted[i].At) {
				t.Fatalf("seed %d: %s of %v comes after %s of %v", seed, posted[i+1].ID, posted[i+1].At, posted[i].ID, posted[i].At)
			}
		}
		wantLedger(t, db, posted)
		from := start.Add(time.Duration(rng.Int64N(120)-10) * time.Millisecond)
		got, want := 0, 0
		for _, p := range posted {
			if !p.At.Before(from) {
				want++
			}
		}
		err := db.View(t.Context(), tenant, func(tx *ReadTx) error {
			for p, err := range Postings.All(tx, market.PostingsBefore(from)) {
				if err != nil || p.At.Before(from) {
					t.Fatalf("seed %d: from %v on: %+v, %v", seed, from, p, err)
				}
				got++
			}
			return nil
		})
		if err != nil || got != want {
			t.Errorf("seed %d: %d postings from %v on, want %d (%v)", seed, got, from, want, err)
		}
	}
}

func pick[T any](rng *rand.Rand, from ...T) T { return from[rng.IntN(len(from))] }

// countingReads counts the point reads and the iterators of a reader.
type countingReads struct {
	pebble.Reader
	gets, iterators int
}

func (c *countingReads) Get(key []byte) ([]byte, io.Closer, error) {
	c.gets++
	return c.Reader.Get(key)
}

func (c *countingReads) NewIter(o *pebble.IterOptions) (*pebble.Iterator, error) {
	c.iterators++
	return c.Reader.NewIter(o)
}

// TestBalanceIsOneRead: what a balance costs doesn't depend on how many postings made it.
func TestBalanceIsOneRead(t *testing.T) {
	db := openTest(t, Options{})
	at := newClock().now
	for i := range 50 {
		update(t, db, Op{}, func(tx *Tx) error {
			usd, yen := transfer(at, fmt.Sprint("usd:", i), dollars(7), "a", "b"), transfer(at, fmt.Sprint("yen:", i), market.Money{Amount: 9, Currency: "JPY"}, "a", "b")
			return errors.Join(Post(tx, &usd), Post(tx, &yen))
		})
	}
	err := db.View(t.Context(), tenant, func(tx *ReadTx) error {
		reads := &countingReads{Reader: tx.from}
		tx.from = reads
		b, err := BalanceOf(tx, "b", "USD")
		if err != nil || b.Amount != dollars(350) || reads.gets != 1 || reads.iterators != 0 {
			t.Errorf("%s by %d reads and %d iterators, %v; want one read", b.Amount, reads.gets, reads.iterators, err)
		}
		*reads = countingReads{Reader: reads.Reader}
		bb, err := BalancesOf(tx, "b")
		if err != nil || len(bb) != 2 || reads.gets != 0 || reads.iterators != 1 {
			t.Errorf("%v by %d reads and %d iterators, %v; want one iterator", bb, reads.gets, reads.iterators, err)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// FuzzSale sells lines of any prices and commissions, posts the sale and takes it back:
// no cent is lost, made or moved elsewhere at any step.
func FuzzSale(f *testing.F) {
	f.Add([]byte{1, 0, 0, 0, 0, 0, 0, 0, 100, 0})
	f.Add([]byte("\xe7\x03\x00\x00\x00\x00\x00\x00\x0d\x05\x01\x00\x00\x00\x00\x00\x00\x00\x10\x27"))
	f.Fuzz(func(t *testing.T, lines []byte) {
		o := market.Order{ID: "ord_1", Seller: "sel_1", Total: dollars(0)}
		var commission int64
		for ; len(lines) >= 10 && len(o.Lines) < market.MaxCartLines; lines = lines[10:] {
			price := dollars(int64(binary.LittleEndian.Uint64(lines) % (1 << 46)))
			l := market.Line{Price: price, Commission: price.BasisPoints(int64(binary.LittleEndian.Uint16(lines[8:])) % 10_001)}
			var err error
			if o.Total, err = o.Total.Add(price); err != nil {
				t.Fatal(err)
			}
			o.Lines = append(o.Lines, l)
			commission += l.Commission.Amount
		}
		at := newClock().now
		p, ok, err := market.SalePosting(&o, "sandbox", at)
		if err != nil || ok != !o.Total.IsZero() {
			t.Fatalf("the posting of %s: %t, %v", o.Total, ok, err)
		}
		if !ok {
			return
		}
		back := market.Reverse(&p, "reversal:"+string(p.ID), at)
		db := openRaw(t)
		for _, step := range []struct {
			p      *market.Posting
			factor int64
		}{{&p, 1}, {&back, 0}} {
			update(t, db, Op{}, func(tx *Tx) error { return Post(tx, step.p) })
			wantBalance(t, db, market.ProviderAccount("sandbox"), step.factor*o.Total.Amount)
			wantBalance(t, db, market.CommissionAccount, -step.factor*commission)
			wantBalance(t, db, market.SellerAccount("sel_1"), -step.factor*(o.Total.Amount-commission))
		}
	})
}

func wantBalance(t *testing.T, db *DB, account market.LedgerAccount, want int64) {
	t.Helper()
	err := db.View(t.Context(), tenant, func(tx *ReadTx) error {
		b, err := BalanceOf(tx, account, "USD")
		if b.Amount != dollars(want) {
			t.Errorf("the balance of %s is %s, want %s", account, b.Amount, dollars(want))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// BenchmarkBalance reads a balance that one posting has made, or a hundred thousand.
func BenchmarkBalance(b *testing.B) {
	for _, n := range []int{1, 100_000} {
		b.Run(fmt.Sprintf("postings=%d", n), func(b *testing.B) {
			db := openRaw(b)
			at := newClock().now
			for i := 0; i < n; i += 200 {
				update(b, db, Op{}, func(tx *Tx) error {
					var errs []error
					for j := range min(200, n-i) {
						p := transfer(at, fmt.Sprint("gift:", i+j), dollars(1), "a", "b")
						errs = append(errs, Post(tx, &p))
					}
					return errors.Join(errs...)
				})
			}
			err := db.View(b.Context(), tenant, func(tx *ReadTx) error {
				b.ReportAllocs()
				for b.Loop() {
					if got, err := BalanceOf(tx, "b", "USD"); err != nil || got.Amount.Amount != int64(n) {
						b.Fatal(got, err)
					}
				}
				return nil
			})
			if err != nil {
				b.Fatal(err)
			}
		})
	}
}
