package stripe

import (
	"strings"

	"github.com/souk-market/souk/internal/market"
)

// unit is how Stripe writes amounts of a currency.
type unit struct {
	digits int   // decimal digits in Stripe's amounts
	step   int64 // Stripe's amounts are multiples of it
}

// units lists the currencies that aren't simply written with two digits
// (docs.stripe.com/currencies, "Zero-decimal", "Three-decimal" and "Special case").
//
// Digits differ from ISO 4217 for MGA (two there), and for ISK and UGX (none there),
// which Stripe once wrote with two and still does, though only whole units exist. HUF
// and TWD can be charged with a fraction and only be paid out whole, so a fraction that
// no seller could ever receive is refused here. The last digit of a three-digit amount
// has to be zero.
var units = map[market.Currency]unit{
	"BIF": {0, 1}, "CLP": {0, 1}, "DJF": {0, 1}, "GNF": {0, 1}, "JPY": {0, 1}, "KMF": {0, 1}, "KRW": {0, 1}, "MGA": {0, 1},
	"PYG": {0, 1}, "RWF": {0, 1}, "VND": {0, 1}, "VUV": {0, 1}, "XAF": {0, 1}, "XOF": {0, 1}, "XPF": {0, 1},
	"ISK": {2, 100}, "UGX": {2, 100}, "HUF": {2, 100}, "TWD": {2, 100},
	"BHD": {3, 10}, "JOD": {3, 10}, "KWD": {3, 10}, "OMR": {3, 10}, "TND": {3, 10},
}

// unitOf returns ok false for a currency whose writing is unknown: one without two
// digits that Stripe doesn't list (IQD, LYD) would be charged a thousandfold if guessed.
func unitOf(c market.Currency) (unit, bool) {
	if u, ok := units[c]; ok {
		return u, true
	}
	return unit{2, 1}, c.Exponent() == 2
}

// toStripe returns the amount in Stripe's unit. It is exact, or Invalid.
func toStripe(m market.Money) (int64, error) {
	u, ok := unitOf(m.Currency)
	if !ok {
		return 0, market.Errorf(market.Invalid, "Stripe takes no payments in %s.", m.Currency)
	}
	n, exact := rescale(m.Amount, m.Currency.Exponent(), u.digits)
	if !exact || n%u.step != 0 {
		return 0, market.Errorf(market.Invalid, "Stripe can't take %s: prices in %s must be multiples of %s.", m, m.Currency, smallest(m.Currency, u))
	}
	return n, nil
}

// smallest is the least amount of c that Stripe takes and ISO 4217 can write.
func smallest(c market.Currency, u unit) market.Money {
	n, exact := rescale(u.step, u.digits, c.Exponent())
	if !exact {
		n = 1
	}
	return market.Money{Amount: n, Currency: c}
}

// fromStripe reads an amount in Stripe's unit; currency is in lower case, as Stripe
// writes it. An amount that the currency can't write is Invalid.
func fromStripe(amount int64, currency string) (market.Money, error) {
	c := market.Currency(strings.ToUpper(currency))
	u, ok := unitOf(c)
	if !ok {
		return market.Money{}, market.Errorf(market.Invalid, "Stripe told of an amount in %q, which is not known here.", currency)
	}
	n, exact := rescale(amount, u.digits, c.Exponent())
	if !exact {
		return market.Money{}, market.Errorf(market.Invalid, "Stripe told of an amount of %d/%d %s, which is no whole number of minor units.", amount, pow10(u.digits), c)
	}
	return market.Money{Amount: n, Currency: c}, nil
}

// rescale writes n with to digits instead of from.
func rescale(n int64, from, to int) (scaled int64, exact bool) {
	if to >= from {
		f := pow10(to - from)
		return n * f, n*f/f == n
	}
	f := pow10(from - to)
	return n / f, n%f == 0
}

func pow10(n int) int64 {
	p := int64(1)
	for range n {
		p *= 10
	}
	return p
}
