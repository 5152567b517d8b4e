package market

import (
	"math/rand/v2"
	"testing"
	"time"
)

var at = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// TestSalePostingBalances: for every order, whatever its amounts, the posting sums to
// nothing, the provider gets the total, the platform its commissions, the seller the rest.
func TestSalePostingBalances(t *testing.T) {
	property(t, func(t *testing.T, rng *rand.Rand) {
		c := []Currency{"USD", "JPY", "KWD"}[rng.IntN(3)]
		o := Order{ID: "ord_1", Seller: "sel_1", Total: Money{Currency: c}}
		want := Money{Currency: c}
		for range rng.IntN(MaxCartLines + 1) {
			price := Money{rng.Int64N([]int64{4, 1000, maxAmount / MaxCartLines}[rng.IntN(3)]), c}
			l := Line{Price: price, Commission: price.BasisPoints(rng.Int64N(10_001))}
			o.Lines = append(o.Lines, l)
			o.Total, want = mustAdd(t, o.Total, price), mustAdd(t, want, l.Commission)
		}
		p, ok, err := SalePosting(&o, "sandbox", at)
		if err != nil || ok != !o.Total.IsZero() {
			t.Fatalf("the posting of %s: %t, %v", o.Total, ok, err)
		}
		if !ok {
			return
		}
		if err := p.Balanced(); err != nil {
			t.Error(err)
		}
		got := map[LedgerAccount]int64{}
		for _, e := range p.Entries {
			got[e.Account] += e.Amount.Amount
		}
		seller := o.Total.Amount - want.Amount
		if got[ProviderAccount("sandbox")] != o.Total.Amount || got[SellerAccount("sel_1")] != -seller || got[CommissionAccount] != -want.Amount {
			t.Errorf("the posting of %s with %s commission is %v", o.Total, want, got)
		}
		if p.Cause != "sale:ord_1" || !p.At.Equal(at) || p.ID == "" {
			t.Errorf("the posting is %+v", p)
		}
	})
}

func mustAdd(t *testing.T, a, b Money) Money {
	sum, err := a.Add(b)
	if err != nil {
		t.Fatal(err)
	}
	return sum
}

func TestSalePostingRefusesMixedCurrencies(t *testing.T) {
	o := Order{ID: "ord_1", Total: Money{100, "USD"}, Lines: []Line{{Commission: Money{10, "EUR"}}}}
	if p, ok, err := SalePosting(&o, "sandbox", at); err == nil || ok {
		t.Errorf("a commission in another currency gives %+v", p)
	}
	o.Total, o.Lines = Money{100, "XXX"}, nil
	if p, _, err := SalePosting(&o, "sandbox", at); !Is(err, Invalid) {
		t.Errorf("a total in no currency gives %+v, %v", p, err)
	}
}

func TestBalanced(t *testing.T) {
	usd := func(account LedgerAccount, n int64) Entry { return Entry{account, Money{n, "USD"}} }
	for _, c := range []struct {
		name    string
		cause   string
		entries []Entry
		ok      bool
	}{
		{"two", "x", []Entry{usd("a", 1), usd("b", -1)}, true},
		{"three", "x", []Entry{usd("a", 3), usd("b", -1), usd("c", -2)}, true},
		{"each currency by itself", "x", []Entry{usd("a", 1), usd("b", -1), {"a", Money{5, "JPY"}}, {"b", Money{-5, "JPY"}}}, true},
		{"an account twice", "x", []Entry{usd("a", 1), usd("a", -1)}, true},
		{"left over", "x", []Entry{usd("a", 1), usd("b", -2)}, false},
		{"across currencies", "x", []Entry{usd("a", 1), {"b", Money{-1, "EUR"}}}, false},
		{"no cause", "", []Entry{usd("a", 1), usd("b", -1)}, false},
		{"none", "x", nil, false},
		{"one", "x", []Entry{usd("a", 1)}, false},
		{"empty entry", "x", []Entry{usd("a", 1), usd("b", -1), usd("c", 0)}, false},
		{"no account", "x", []Entry{usd("a", 1), usd("", -1)}, false},
		{"no currency", "x", []Entry{{"a", Money{1, ""}}, {"b", Money{-1, ""}}}, false},
		{"too large", "x", []Entry{usd("a", maxAmount), usd("b", maxAmount), usd("c", -maxAmount), usd("d", -maxAmount)}, false},
	} {
		err := (&Posting{ID: "pst_1", Cause: c.cause, Entries: c.entries}).Balanced()
		if (err == nil) != c.ok || err != nil && !Is(err, Invalid) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}
