package market

import (
	"encoding/json"
	"fmt"
	"math"
	"math/big"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// property runs a check with random numbers, each time the same ones.
func property(t *testing.T, check func(t *testing.T, rng *rand.Rand)) {
	for seed := range uint64(20_000) {
		check(t, rand.New(rand.NewPCG(seed, 0)))
		if t.Failed() {
			t.Fatalf("with seed %d", seed)
		}
	}
}

// amount draws an amount that sums and ParseMoney accept, small and extreme ones often.
func amount(rng *rand.Rand) int64 {
	switch rng.IntN(3) {
	case 0:
		return rng.Int64N(2001) - 1000
	case 1:
		return []int64{0, 1, -1, maxAmount, -maxAmount}[rng.IntN(5)]
	}
	return rng.Int64N(2*maxAmount+1) - maxAmount
}

// TestCurrencies has one test per currency of testdata/currencies.txt, which lists them
// as ISO 4217 does, a second time. What Stripe counts otherwise is tested in its package.
func TestCurrencies(t *testing.T) {
	text, err := os.ReadFile("testdata/currencies.txt")
	if err != nil {
		t.Fatal(err)
	}
	var listed []Currency
	for line := range strings.Lines(string(text)) {
		if line[0] == '#' {
			continue
		}
		words := strings.Fields(line)
		code := Currency(words[0])
		listed = append(listed, code)
		t.Run(words[0], func(t *testing.T) {
			if got := strconv.Itoa(code.Exponent()); got != words[1] || !code.Valid() {
				t.Errorf("%s digits, want %s; valid: %t", got, words[1], code.Valid())
			}
			one := Money{int64(math.Pow10(code.Exponent())), code}
			if got, err := ParseMoney("1 " + words[0]); err != nil || got != one {
				t.Errorf("one is %v, %v; want %v", got, err, one)
			}
		})
	}
	if got := Currencies(); !slices.Equal(got, listed) {
		t.Errorf("the currencies are %v, want %v", got, listed)
	}
	// Not in use, funds and metals, and what is no code.
	for code := range strings.FieldsSeq("HRK BGN ANG SLL ZWL CUC XAU XXX XTS USN CHE CLF UYW BTC usd US USDX") {
		if c := Currency(code); c.Exponent() != -1 || c.Valid() {
			t.Errorf("%s has %d digits, valid: %t", c, c.Exponent(), c.Valid())
		}
	}
	if Currency("").Valid() {
		t.Error("no code is a currency")
	}
}

// TestEveryCurrencyIsWrittenAndRead goes through the whole table.
func TestEveryCurrencyIsWrittenAndRead(t *testing.T) {
	for c, exp := range exponents {
		if len(c) != 3 || strings.ToUpper(string(c)) != string(c) {
			t.Errorf("the code %q is no code", c)
		}
		major := int64(math.Pow10(exp))
		for _, amount := range []int64{0, 1, -1, 9 * major, 9*major + 1, -major, maxAmount, -maxAmount} {
			m := Money{amount, c}
			got, err := ParseMoney(m.String())
			if err != nil || got != m {
				t.Errorf("%v is written %q and read as %v, %v", amount, m, got, err)
			}
		}
		if got, err := ParseMoney("9 " + string(c)); err != nil || got.Amount != 9*major {
			t.Errorf("9 %s is %d units, %v; want %d", c, got.Amount, err, 9*major)
		}
	}
}

func TestParseMoney(t *testing.T) {
	for in, want := range map[string]Money{
		"9.00 USD": {900, "USD"}, "9 USD": {900, "USD"}, "9.5 usd": {950, "USD"}, " 9.00  USD ": {900, "USD"}, "500 JPY": {500, "JPY"},
		"0.001 KWD": {1, "KWD"}, "-9.00 USD": {-900, "USD"}, "-0 USD": {0, "USD"}, "007.10 EUR": {710, "EUR"}, "90071992547409.91 USD": {maxAmount, "USD"},
	} {
		if got, err := ParseMoney(in); err != nil || got != want {
			t.Errorf("%q is %v, %v; want %v", in, got, err, want)
		}
	}
	for _, in := range []string{
		"", "9.00", "USD", "9.00USD", "USD 9.00", "9,00 USD", "9.001 USD", "9. USD", ".5 USD", "+9 USD", "--9 USD", "- 9 USD", "1e3 USD", "0x9 USD",
		"9.00 XXX", "9.5 JPY", "1_000 USD", "1 000 USD", "9.-5 USD", "٩ USD", "9.00 USD x", "90071992547409.92 USD", strings.Repeat("9", 400) + " USD", "NaN USD", "Inf USD",
	} {
		if got, err := ParseMoney(in); !Is(err, Invalid) {
			t.Errorf("%.30q is %v, %v; want it refused", in, got, err)
		}
	}
}

func FuzzParseMoney(f *testing.F) {
	for _, s := range []string{"9.00 USD", "-500 JPY", "0.001 KWD", "9. USD", " 1 eur", "90071992547409.91 USD"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		m, err := ParseMoney(s)
		if err != nil {
			if !Is(err, Invalid) || m != (Money{}) {
				t.Errorf("%q: %v with %v", s, err, m)
			}
			return
		}
		if !m.countable() || !m.Currency.Valid() {
			t.Errorf("%q is %+v", s, m)
		}
		if again, err := ParseMoney(m.String()); err != nil || again != m {
			t.Errorf("%q is %s, and that is %v, %v", s, m, again, err)
		}
	})
}

func TestMoneyIsWritten(t *testing.T) {
	for m, want := range map[Money]string{
		{0, "USD"}: "0.00 USD", {5, "USD"}: "0.05 USD", {-5, "USD"}: "-0.05 USD", {-500, "JPY"}: "-500 JPY", {1, "KWD"}: "0.001 KWD",
		{12345678, "USD"}: "123456.78 USD", {7, ""}: "7", {7, "???"}: "7 ???", {math.MinInt64, "USD"}: "-92233720368547758.08 USD",
	} {
		if got := m.String(); got != want {
			t.Errorf("%+v is written %q, want %q", [2]any{m.Amount, m.Currency}, got, want)
		}
	}
}

func TestAddRefusesWhatHasNoSum(t *testing.T) {
	usd := func(n int64) Money { return Money{n, "USD"} }
	for _, c := range []struct {
		name string
		a, b Money
		want Money
		ok   bool
	}{
		{"two amounts", usd(1), usd(2), usd(3), true},
		{"none to some", Money{}, usd(2), usd(2), true},
		{"some to none", usd(2), Money{}, usd(2), true},
		{"two currencies", usd(1), Money{1, "EUR"}, Money{}, false},
		{"nothing of another currency", usd(1), Money{0, "EUR"}, Money{}, false},
		{"up to the bound", usd(maxAmount - 1), usd(1), usd(maxAmount), true},
		{"over the bound", usd(maxAmount), usd(1), Money{}, false},
		{"under the bound", usd(-maxAmount), usd(-1), Money{}, false},
		{"over int64", usd(math.MaxInt64), usd(math.MaxInt64), Money{}, false},
		{"under int64", usd(math.MinInt64), usd(math.MinInt64), Money{}, false},
		{"out of bounds and back", usd(math.MaxInt64), usd(-math.MaxInt64), Money{}, false},
	} {
		got, err := c.a.Add(c.b)
		if got != c.want || (err == nil) != c.ok || err != nil && !Is(err, Invalid) {
			t.Errorf("%s: %v, %v; want %v", c.name, got, err, c.want)
		}
	}
}

func TestTimes(t *testing.T) {
	property(t, func(t *testing.T, rng *rand.Rand) {
		m, n := Money{amount(rng), "USD"}, int64(rng.Uint64())>>rng.IntN(64)
		want := new(big.Int).Mul(big.NewInt(m.Amount), big.NewInt(n))
		got, err := m.Times(n)
		if ok := want.CmpAbs(big.NewInt(maxAmount)) <= 0; ok != (err == nil) || ok && got.Amount != want.Int64() {
			t.Errorf("%d times %s is %v, %v; want %d", n, m, got, err, want)
		}
	})
}

// TestBasisPointsAreRoundedHalfUp compares with exact arithmetic.
func TestBasisPointsAreRoundedHalfUp(t *testing.T) {
	for _, c := range []struct{ amount, bp, want int64 }{
		{900, 1000, 90}, {5, 1000, 1}, {4, 1000, 0}, {-5, 1000, -1}, {-4, 1000, 0}, {1, 5000, 1}, {1, 4999, 0}, {3, 3333, 1}, {100, 0, 0}, {0, 1000, 0},
		{maxAmount, 10_000, maxAmount}, {-maxAmount, 10_000, -maxAmount}, {100, -1000, -10}, {-100, -1000, 10},
	} {
		if got := (Money{c.amount, "USD"}).BasisPoints(c.bp); got != (Money{c.want, "USD"}) {
			t.Errorf("%d bp of %d are %d, want %d", c.bp, c.amount, got.Amount, c.want)
		}
	}
	property(t, func(t *testing.T, rng *rand.Rand) {
		amount, bp := amount(rng), rng.Int64N(20_001)-10_000
		twice := new(big.Int).Mul(big.NewInt(amount), big.NewInt(2*bp))
		twice.Add(twice, big.NewInt(int64(twice.Sign())*10_000)) // half a unit, away from zero
		want := twice.Quo(twice, big.NewInt(20_000)).Int64()
		if got := (Money{amount, "USD"}).BasisPoints(bp).Amount; got != want {
			t.Errorf("%d bp of %d are %d, want %d", bp, amount, got, want)
		}
	})
	for _, c := range [][2]int64{{maxAmount, 10_002}, {math.MinInt64, 10_000}, {math.MaxInt64, math.MaxInt64}} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%d bp of %d can be counted", c[1], c[0])
				}
			}()
			Money{c[0], "USD"}.BasisPoints(c[1])
		}()
	}
}

func TestAllocate(t *testing.T) {
	for _, c := range []struct {
		name    string
		amount  int64
		weights []int64
		want    []int64
	}{
		{"even", 100, []int64{1, 1}, []int64{50, 50}},
		{"the earlier gets the odd cent", 101, []int64{1, 1}, []int64{51, 50}},
		{"thirds", 100, []int64{1, 1, 1}, []int64{34, 33, 33}},
		{"the largest remainder", 10, []int64{1, 1, 4}, []int64{2, 2, 6}},
		{"nothing for no weight", 5, []int64{0, 1, 0, 2}, []int64{0, 2, 0, 3}},
		{"less than parts", 2, []int64{1, 1, 1}, []int64{1, 1, 0}},
		{"negative", -101, []int64{1, 1}, []int64{-51, -50}},
		{"nothing", 0, []int64{3, 4}, []int64{0, 0}},
		{"all", maxAmount, []int64{math.MaxInt64}, []int64{maxAmount}},
	} {
		parts, err := Money{c.amount, "USD"}.Allocate(c.weights...)
		if err != nil || len(parts) != len(c.want) {
			t.Fatalf("%s: %v, %v", c.name, parts, err)
		}
		for i, p := range parts {
			if p != (Money{c.want[i], "USD"}) {
				t.Errorf("%s: part %d is %s, want %d", c.name, i, p, c.want[i])
			}
		}
	}
	for name, weights := range map[string][]int64{"none": {}, "all zero": {0, 0}, "negative": {1, -1}, "too large": {math.MaxInt64, 1}} {
		if parts, err := (Money{100, "USD"}).Allocate(weights...); !Is(err, Invalid) {
			t.Errorf("weights %s: %v, %v", name, parts, err)
		}
	}
	if parts, err := (Money{math.MinInt64, "USD"}).Allocate(1); !Is(err, Invalid) {
		t.Errorf("more than can be counted: %v, %v", parts, err)
	}
}

// TestAllocateLosesNothing: the parts are the whole, each within one unit of its exact
// share, and larger weights never get less.
func TestAllocateLosesNothing(t *testing.T) {
	property(t, func(t *testing.T, rng *rand.Rand) {
		m := Money{amount(rng), "JPY"}
		weights, total := make([]int64, 1+rng.IntN(20)), new(big.Int)
		for i := range weights {
			weights[i] = rng.Int64N([]int64{2, 10, math.MaxInt64 / 20}[rng.IntN(3)])
			total.Add(total, big.NewInt(weights[i]))
		}
		parts, err := m.Allocate(weights...)
		if total.Sign() == 0 {
			if !Is(err, Invalid) {
				t.Fatalf("without weights: %v, %v", parts, err)
			}
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		sum := int64(0)
		for i, p := range parts {
			sum += p.Amount
			// |part·total - amount·weight| < total
			diff := new(big.Int).Mul(big.NewInt(p.Amount), total)
			diff.Sub(diff, new(big.Int).Mul(big.NewInt(m.Amount), big.NewInt(weights[i])))
			if diff.CmpAbs(total) >= 0 || p.Currency != m.Currency {
				t.Errorf("part %d of %s by %v is %s", i, m, weights, p)
			}
			for j, q := range parts[:i] {
				if weights[i] > weights[j] && abs(p.Amount) < abs(q.Amount) {
					t.Errorf("weight %d gets %s and weight %d %s", weights[i], p, weights[j], q)
				}
			}
		}
		if sum != m.Amount {
			t.Errorf("the parts of %s by %v add up to %d", m, weights, sum)
		}
	})
}

// FuzzAllocate splits by what the bytes say.
func FuzzAllocate(f *testing.F) {
	f.Add(int64(100), []byte{1, 1, 1})
	f.Add(int64(-101), []byte{0, 255})
	f.Add(int64(maxAmount), []byte{255, 254, 0, 1})
	f.Add(int64(math.MinInt64), []byte{1})
	f.Add(int64(5), []byte{})
	f.Fuzz(func(t *testing.T, amount int64, bytes []byte) {
		m, total, weights := Money{amount, "USD"}, int64(0), make([]int64, len(bytes))
		for i, b := range bytes {
			weights[i] = int64(b)
			total += weights[i]
		}
		parts, err := m.Allocate(weights...)
		if ok := total > 0 && m.countable(); ok != (err == nil) {
			t.Fatalf("%s by %v: %v, %v", m, weights, parts, err)
		}
		sum := Money{}
		for _, p := range parts {
			if sum, err = sum.Add(p); err != nil {
				t.Fatal(err)
			}
		}
		if len(parts) > 0 && sum != m {
			t.Errorf("the parts of %s by %v are %v", m, weights, parts)
		}
	})
}

func TestDiscount(t *testing.T) {
	for _, c := range []struct {
		name   string
		prices []int64
		off    int64
		want   []int64
	}{
		{"in proportion", []int64{900, 100}, 100, []int64{90, 10}},
		{"odd cents", []int64{333, 333, 334}, 100, []int64{33, 33, 34}},
		{"all of it", []int64{900, 100}, 1000, []int64{900, 100}},
		{"more than all", []int64{900, 100}, 5000, []int64{900, 100}},
		{"free lines", []int64{0, 100, 0}, 30, []int64{0, 30, 0}},
		{"nothing to take from", []int64{0, 0}, 30, []int64{0, 0}},
		{"nothing off", []int64{10, 20}, 0, []int64{0, 0}},
		{"no lines", nil, 30, nil},
	} {
		var prices []Money
		for _, p := range c.prices {
			prices = append(prices, Money{p, "USD"})
		}
		got, err := Discount(prices, Money{c.off, "USD"})
		if err != nil || len(got) != len(c.want) {
			t.Fatalf("%s: %v, %v", c.name, got, err)
		}
		for i := range got {
			if got[i].Amount != c.want[i] {
				t.Errorf("%s: line %d gets %s off, want %d", c.name, i, got[i], c.want[i])
			}
		}
	}
	usd := func(n int64) Money { return Money{n, "USD"} }
	for name, c := range map[string]struct {
		prices []Money
		off    Money
	}{
		"two currencies": {[]Money{usd(1), {1, "EUR"}}, usd(1)}, "another currency off": {[]Money{usd(1)}, Money{1, "EUR"}},
		"a negative price": {[]Money{usd(5), usd(-1)}, usd(1)}, "a negative discount": {[]Money{usd(5)}, usd(-1)}, "too large": {[]Money{usd(maxAmount), usd(1)}, usd(1)},
	} {
		if got, err := Discount(c.prices, c.off); !Is(err, Invalid) {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
}

// TestDiscountNeverTakesMoreThanALineCosts, and all of them take what is off or all there is.
func TestDiscountNeverTakesMoreThanALineCosts(t *testing.T) {
	property(t, func(t *testing.T, rng *rand.Rand) {
		prices, total := make([]Money, 1+rng.IntN(MaxCartLines)), int64(0)
		for i := range prices {
			prices[i] = Money{rng.Int64N([]int64{3, 1000, maxAmount / MaxCartLines}[rng.IntN(3)]), "USD"}
			total += prices[i].Amount
		}
		off := Money{rng.Int64N([]int64{10, 5000, maxAmount}[rng.IntN(3)]), "USD"}
		parts, err := Discount(prices, off)
		if err != nil {
			t.Fatal(err)
		}
		sum := int64(0)
		for i, p := range parts {
			if p.Amount < 0 || p.Amount > prices[i].Amount {
				t.Errorf("a line of %s gets %s off", prices[i], p)
			}
			sum += p.Amount
		}
		if sum != min(off.Amount, total) {
			t.Errorf("%s off of %d are %d", off, total, sum)
		}
	})
}

func TestMoneyInJSON(t *testing.T) {
	for _, m := range []Money{{}, {900, "USD"}, {-1, "JPY"}, {maxAmount, "USD"}, {-maxAmount, "KWD"}} {
		b, err := json.Marshal(struct{ M Money }{m})
		if err != nil {
			t.Fatal(err)
		}
		if want := fmt.Sprintf(`{"M":{"amount":%d,"currency":"%s"}}`, m.Amount, m.Currency); string(b) != want {
			t.Errorf("%s is %s, want %s", m, b, want)
		}
		var back struct{ M Money }
		if err := json.Unmarshal(b, &back); err != nil || back.M != m {
			t.Errorf("%s is read as %v, %v", b, back.M, err)
		}
	}
	for _, n := range []int64{maxAmount + 1, -maxAmount - 1, math.MaxInt64, math.MinInt64} {
		if b, err := json.Marshal(Money{n, "USD"}); !Is(err, Invalid) {
			t.Errorf("%d is %s, %v", n, b, err)
		}
	}
	for _, text := range []string{`{"amount":9.5}`, `{"amount":9e2}`, `{"amount":"9"}`, `{"amount":9.0}`} {
		var m Money
		if err := json.Unmarshal([]byte(text), &m); err == nil {
			t.Errorf("%s is %v", text, m)
		}
	}
}

func BenchmarkAllocate(b *testing.B) {
	weights := make([]int64, 20)
	for i := range weights {
		weights[i] = rand.Int64N(1000) + 1
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := (Money{123_456_789, "USD"}).Allocate(weights...); err != nil {
			b.Fatal(err)
		}
	}
}
