package market

import (
	"math/rand/v2"
	"testing"
	"time"
)

func TestPostingIDsAreInOrderOfTime(t *testing.T) {
	property(t, func(t *testing.T, rng *rand.Rand) {
		a := time.UnixMilli(rng.Int64N(1 << 48))
		b := a.Add(time.Duration(rng.Int64N(3)+1) * time.Millisecond)
		if b.UnixMilli() >= 1<<48 {
			return
		}
		id, next := NewPostingID(a), NewPostingID(b)
		if got := IDTime(id); !got.Equal(a) {
			t.Errorf("%s is of %v, want %v", id, got, a)
		}
		if id >= next {
			t.Errorf("%s of %v comes after %s of %v", id, a, next, b)
		}
		bound := PostingsBefore(b)
		if !(id <= bound && bound < next) {
			t.Errorf("%s doesn't lie between %s and %s", bound, id, next)
		}
		if got := IDTime(bound); got.UnixMilli() != b.UnixMilli()-1 {
			t.Errorf("the bound %s is of %v, want the millisecond before %v", bound, got, b)
		}
	})
	if first, bound := NewPostingID(time.UnixMilli(0)), PostingsBefore(time.UnixMilli(0)); bound != "" || first <= bound {
		t.Errorf("before 1970: %q", bound)
	}
}

func TestDated(t *testing.T) {
	for _, c := range []struct {
		id PostingID
		at time.Time
		ok bool
	}{
		{NewPostingID(at), at, true},
		{NewPostingID(at), at.Add(time.Millisecond - 1), true},
		{NewPostingID(at), at.Add(time.Millisecond), false},
		{NewPostingID(at), at.Add(-1), false},
		{NewPostingID(time.Time{}), time.Time{}, false},
		{"pst_1", at, false},
		{"pst_1", time.Time{}, false},
		{PostingID("ord_" + NewPostingID(at)[4:]), at, false},
	} {
		err := (&Posting{ID: c.id, At: c.at}).Dated()
		if (err == nil) != c.ok || err != nil && !Is(err, Invalid) {
			t.Errorf("%s of %v: %v", c.id, c.at, err)
		}
	}
}

func TestReverse(t *testing.T) {
	o := Order{ID: "ord_1", Seller: "sel_1", Total: Money{999, "USD"}, Lines: []Line{{Commission: Money{100, "USD"}}}}
	p, _, err := SalePosting(&o, "sandbox", at)
	if err != nil {
		t.Fatal(err)
	}
	before := len(p.Entries)
	later := at.Add(time.Hour)
	r := Reverse(&p, "reversal:"+string(p.ID), later)
	if err := r.Balanced(); err != nil || r.Dated() != nil || r.ID == p.ID || r.Cause == p.Cause || !r.At.Equal(later) {
		t.Fatalf("the reversal is %+v, %v", r, err)
	}
	sums := map[LedgerAccount]Money{}
	for _, e := range append(p.Entries, r.Entries...) {
		sums[e.Account] = mustAdd(t, sums[e.Account], e.Amount)
	}
	for account, sum := range sums {
		if !sum.IsZero() {
			t.Errorf("%s is left with %s", account, sum)
		}
	}
	if len(p.Entries) != before || p.Cause != "sale:ord_1" {
		t.Errorf("the posting has changed: %+v", p)
	}
}
