package market

import (
	"math"
	"math/big"
	"math/rand/v2"
	"testing"
	"time"
)

func mustRate(t *testing.T, from, to Currency, value string, at time.Time) Rate {
	t.Helper()
	r, err := ParseRate(from, to, value, at)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestParseRate(t *testing.T) {
	for value, want := range map[string]string{
		"1.0845": "1 EUR = 1.0845 USD", "1": "1 EUR = 1 USD", "0.000001": "1 EUR = 0.000001 USD", "0.90": "1 EUR = 0.90 USD", "007": "1 EUR = 7 USD",
	} {
		if r, err := ParseRate("EUR", "USD", value, at); err != nil || r.String() != want {
			t.Errorf("%q is %q, %v; want %q", value, r, err, want)
		}
	}
	for _, value := range []string{"", "0", "0.00", "-1", "+1", "1.", ".5", "1,5", "1e3", "1 ", "0.0000000000001", "9007199254740992", "99999999999999999999", "1_0", "x"} {
		if r, err := ParseRate("EUR", "USD", value, at); !Is(err, Invalid) {
			t.Errorf("%q is %q, %v", value, r, err)
		}
	}
	for name, err := range map[string]error{
		"no currency":  second(ParseRate("EUR", "XXX", "1", at)),
		"none":         second(ParseRate("", "USD", "1", at)),
		"one currency": second(ParseRate("USD", "USD", "1", at)),
		"no time":      second(ParseRate("EUR", "USD", "1", time.Time{})),
	} {
		if !Is(err, Invalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestConvert(t *testing.T) {
	for _, c := range []struct{ money, to, rate, want string }{
		{"100.00 EUR", "USD", "1.0845", "108.45 USD"},
		{"0.01 EUR", "USD", "1.4999", "0.01 USD"},
		{"0.01 EUR", "USD", "1.5", "0.02 USD"}, // half up
		{"-0.01 EUR", "USD", "1.5", "-0.02 USD"},
		{"10.00 USD", "JPY", "151.249", "1512 JPY"},
		{"10.00 USD", "JPY", "151.25", "1513 JPY"},
		{"1000 JPY", "USD", "0.006611", "6.61 USD"},
		{"1.000 KWD", "JPY", "492.5", "493 JPY"},
		{"1 JPY", "KWD", "0.00203", "0.002 KWD"},
		{"0.00 EUR", "USD", "1.1", "0.00 USD"},
	} {
		m, err := ParseMoney(c.money)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := mustRate(t, m.Currency, Currency(c.to), c.rate, at).Convert(m); err != nil || got.String() != c.want {
			t.Errorf("%s at %s is %s, %v; want %s", m, c.rate, got, err, c.want)
		}
	}
	r := mustRate(t, "EUR", "USD", "2", at)
	for name, err := range map[string]error{
		"another currency": second(r.Convert(Money{1, "USD"})),
		"no currency":      second(r.Convert(Money{})),
		"too large":        second(r.Convert(Money{maxAmount, "EUR"})),
		"far too large":    second(r.Convert(Money{math.MaxInt64, "EUR"})),
		"no rate":          second(Rate{From: "EUR", To: "USD"}.Convert(Money{1, "EUR"})),
	} {
		if !Is(err, Invalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestConvertIsExact(t *testing.T) {
	currencies := []Currency{"USD", "JPY", "KWD", "EUR"}
	property(t, func(t *testing.T, rng *rand.Rand) {
		i := rng.IntN(4)
		r := Rate{currencies[i], currencies[(i+1+rng.IntN(3))%4], 1 + rng.Int64N(1_000_000), rng.IntN(7), at}
		m := Money{rng.Int64N(2_000_001) - 1_000_000, r.From}
		got, err := r.Convert(m)
		if err != nil {
			t.Fatal(err)
		}
		// |got - exact| ≤ half a unit, in units of To: exact = m·value·10^to / 10^(digits+from)
		num := new(big.Int).Mul(big.NewInt(m.Amount), big.NewInt(r.Value))
		exact := new(big.Rat).SetFrac(num.Mul(num, pow10(r.To.Exponent())), pow10(r.Digits+r.From.Exponent()))
		off := exact.Sub(new(big.Rat).SetInt64(got.Amount), exact)
		switch c := new(big.Rat).Abs(off).Cmp(big.NewRat(1, 2)); {
		case c > 0:
			t.Errorf("%s at %s is %s, %s off", m, r, got, off.FloatString(3))
		case c == 0 && off.Sign() != got.sign():
			t.Errorf("%s at %s is %s, a half rounded down", m, r, got)
		}
		if neg, err := r.Convert(m.Neg()); err != nil || neg != got.Neg() {
			t.Errorf("%s at %s is %s, and its negative %s, %v", m, r, got, neg, err)
		}
	})
}

func (m Money) sign() int { return big.NewInt(m.Amount).Sign() }

// TestRefundsAtTheOriginalRateAddUp: whatever the parts, together they give back what was
// paid, to the last unit.
func TestRefundsAtTheOriginalRateAddUp(t *testing.T) {
	property(t, func(t *testing.T, rng *rand.Rand) {
		r := Rate{"EUR", []Currency{"USD", "JPY", "KWD"}[rng.IntN(3)], 1 + rng.Int64N(3_000_000), 6, at}
		paid := Money{1 + rng.Int64N(100_000), "EUR"}
		whole, err := r.Convert(paid)
		if err != nil {
			t.Fatal(err)
		}
		refunded, back := Money{}, Money{Currency: r.To}
		for refunded.Amount < paid.Amount {
			part := Money{1 + rng.Int64N(paid.Amount-refunded.Amount), "EUR"}
			p, err := r.ConvertPart(refunded, part)
			if err != nil || p.Amount < 0 {
				t.Fatalf("%s after %s: %s, %v", part, refunded, p, err)
			}
			refunded, back = mustAdd(t, refunded, part), mustAdd(t, back, p)
		}
		if back != whole {
			t.Errorf("%s at %s is %s, and in parts %s", paid, r, whole, back)
		}
	})
}

func TestDifference(t *testing.T) {
	sold, later := mustRate(t, "EUR", "USD", "1.10", at), mustRate(t, "EUR", "USD", "1.05", at.AddDate(0, 1, 0))
	if got, err := sold.Difference(Money{10_000, "EUR"}, later); err != nil || got != (Money{-500, "USD"}) {
		t.Errorf("the difference is %s, %v", got, err)
	}
	if got, err := later.Difference(Money{10_000, "EUR"}, sold); err != nil || got != (Money{500, "USD"}) {
		t.Errorf("the difference is %s, %v", got, err)
	}
	if got, err := sold.Difference(Money{10_000, "EUR"}, mustRate(t, "EUR", "JPY", "160", at)); !Is(err, Invalid) {
		t.Errorf("between two currencies: %s, %v", got, err)
	}
	if got, err := sold.Difference(Money{1, "GBP"}, later); !Is(err, Invalid) {
		t.Errorf("of another currency: %s, %v", got, err)
	}
}

// TestTotalIn: a report's total says how old the oldest of its rates is.
func TestTotalIn(t *testing.T) {
	eur, jpy := mustRate(t, "EUR", "USD", "1.10", at), mustRate(t, "JPY", "USD", "0.0066", at.AddDate(0, 0, -3))
	gbp := mustRate(t, "GBP", "USD", "1.25", at.AddDate(-1, 0, 0))
	amounts := []Money{{1000, "USD"}, {1000, "EUR"}, {1, "JPY"}, {1, "JPY"}, {1000, "EUR"}, {0, "CHF"}, {}}
	got, err := TotalIn("USD", amounts, gbp, eur, jpy)
	if want := (Total{Money{1000 + 2200 + 1, "USD"}, jpy.At}); err != nil || got != want { // two yen are rounded once
		t.Errorf("the total is %v, %v; want %v", got, err, want)
	}
	if got, err := TotalIn("USD", amounts[:1], eur); err != nil || got != (Total{Amount: Money{1000, "USD"}}) {
		t.Errorf("without conversion the total is %v, %v", got, err)
	}
	if got, err := TotalIn("USD", nil); err != nil || got != (Total{Amount: Money{0, "USD"}}) {
		t.Errorf("the total of nothing is %v, %v", got, err)
	}
	if got, err := TotalIn("USD", amounts, eur); !Is(err, Invalid) {
		t.Errorf("without a rate the total is %v, %v", got, err)
	}
	if got, err := TotalIn("USD", []Money{{maxAmount, "USD"}, {1, "USD"}}); !Is(err, Invalid) {
		t.Errorf("too much is %v, %v", got, err)
	}
}
