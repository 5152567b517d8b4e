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
		if got, ok := id.Time(); !ok || !got.Equal(a) {
			t.Errorf("%s is of %v (%t), want %v", id, got, ok, a)
		}
		if id >= next {
			t.Errorf("%s of %v comes after %s of %v", id, a, next, b)
		}
		bound := PostingsBefore(b)
		if !(id <= bound && bound < next) {
			t.Errorf("%s doesn't lie between %s and %s", bound, id, next)
		}
		if got, ok := bound.Time(); !ok || got.UnixMilli() != b.UnixMilli()-1 {
			t.Errorf("the bound %s is of %v (%t), want the millisecond before %v", bound, got, ok, b)
		}
	})
	if first, bound := NewPostingID(time.UnixMilli(0)), PostingsBefore(time.UnixMilli(0)); bound != "" || first <= bound {
		t.Errorf("before 1970: %q", bound)
	}
}

func TestTimeOfWhatIsNoPostingID(t *testing.T) {
	good := NewPostingID(at)
	for _, bad := range []PostingID{
		"", "pst_", "pst_1", good[:len(good)-1], good + "0", "ord_" + good[4:], "PST_" + good[4:],
		"pst_8" + good[5:], good[:len(good)-1] + "u", good[:len(good)-1] + "\n", "pst_" + PostingID("é"+string(good[6:])),
	} {
		if got, ok := bad.Time(); ok {
			t.Errorf("%q is of %v", bad, got)
		}
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
