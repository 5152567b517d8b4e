package market

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"math/bits"
	"slices"
	"strconv"
	"strings"
)

// Currency is an ISO 4217 alphabetic code in upper case ("USD").
type Currency string

// exponents is ISO 4217's number of minor digits where it isn't two, for the
// currencies in use today. Fund codes and metals are left out: nothing is sold in them.
// What a payment provider counts otherwise (PRODUCT.md C.24) is its own package's matter;
// testdata/currencies.txt has both.
var exponents = map[Currency]int{
	"BIF": 0, "CLP": 0, "DJF": 0, "GNF": 0, "ISK": 0, "JPY": 0, "KMF": 0, "KRW": 0, "PYG": 0, "RWF": 0,
	"UGX": 0, "VND": 0, "VUV": 0, "XAF": 0, "XOF": 0, "XPF": 0,
	"BHD": 3, "IQD": 3, "JOD": 3, "KWD": 3, "LYD": 3, "OMR": 3, "TND": 3,
}

// twoDigit lists the other currencies of ISO 4217 in use.
const twoDigit = "AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BMD BND BOB BRL BSD BTN BWP BYN BZD CAD CDF CHF " +
	"CNY COP CRC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GTQ GYD HKD HNL HTG HUF " +
	"IDR ILS INR IRR JMD KES KGS KHR KPW KYD KZT LAK LBP LKR LRD LSL MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR " +
	"MWK MXN MYR MZN NAD NGN NIO NOK NPR NZD PAB PEN PGK PHP PKR PLN QAR RON RSD RUB SAR SBD SCR SDG SEK SGD " +
	"SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TOP TRY TTD TWD TZS UAH USD UYU UZS VED VES WST XCD XCG YER ZAR " +
	"ZMW ZWG"

func init() {
	for code := range strings.FieldsSeq(twoDigit) {
		exponents[Currency(code)] = 2
	}
}

// Exponent is the number of decimal digits of the minor unit: 2 for USD, 0 for JPY.
// It is -1 for a code that is not in the table.
func (c Currency) Exponent() int {
	if e, ok := exponents[c]; ok {
		return e
	}
	return -1
}

// Valid reports whether c is a currency of the table.
func (c Currency) Valid() bool { return c.Exponent() >= 0 }

// Currencies are all of the table, in alphabetical order.
func Currencies() []Currency { return slices.Sorted(maps.Keys(exponents)) }

// Money is an amount in minor units of a currency (900 USD is nine dollars). The zero
// value is no money in no currency, and may be added to any.
type Money struct {
	Amount   int64    `cbor:"a" json:"amount"`
	Currency Currency `cbor:"c" json:"currency"`
}

// maxAmount bounds amounts so that a thousand of them still add up in an int64, and so
// that they survive JSON numbers (2^53-1).
const maxAmount = 1<<53 - 1

// Add returns m+n. Mixed currencies and overflow are errors: neither is ever rounded away.
func (m Money) Add(n Money) (Money, error) {
	if m.Currency == "" && m.Amount == 0 {
		return n, nil
	}
	if n.Currency == "" && n.Amount == 0 {
		return m, nil
	}
	if m.Currency != n.Currency {
		return Money{}, Errorf(Invalid, "%s and %s can't be added: the currencies differ", m, n)
	}
	sum := m.Amount + n.Amount
	if !m.countable() || !n.countable() || abs(sum) > maxAmount {
		return Money{}, Errorf(Invalid, "the sum of %s and %s is too large", m, n)
	}
	return Money{sum, m.Currency}, nil
}

// countable reports whether m is within the bounds that ParseMoney and sums keep.
func (m Money) countable() bool { return abs(m.Amount) <= maxAmount }

// MarshalJSON writes {"amount": minor units, "currency": code}, the amount as an integer
// that survives JSON's numbers: one above 2^53-1 is Invalid. Reading refuses fractions.
func (m Money) MarshalJSON() ([]byte, error) {
	if !m.countable() {
		return nil, Errorf(Invalid, "%s is more than JSON can count", m)
	}
	type plain Money
	return json.Marshal(plain(m))
}

// Neg returns -m.
func (m Money) Neg() Money { return Money{-m.Amount, m.Currency} }

// Times returns m n times.
func (m Money) Times(n int64) (Money, error) {
	hi, lo := bits.Mul64(abs(m.Amount), abs(n))
	if hi != 0 || lo > maxAmount {
		return Money{}, Errorf(Invalid, "%d times %s is too large", n, m)
	}
	return Money{m.Amount * n, m.Currency}, nil
}

func abs(n int64) uint64 {
	if n < 0 {
		return uint64(-n)
	}
	return uint64(n)
}

// IsZero reports whether there is no money in m, whatever its currency.
func (m Money) IsZero() bool { return m.Amount == 0 }

// BasisPoints returns bp ten-thousandths of m, rounded half up (away from zero for
// negative amounts), the rounding of every fee in Souk. It panics when the result is too
// large, which it isn't for any amount that could be added up and up to 10,000 bp.
func (m Money) BasisPoints(bp int64) Money {
	hi, lo := bits.Mul64(abs(m.Amount), abs(bp))
	lo, carry := bits.Add64(lo, 5_000, 0)
	if hi+carry >= 10_000 {
		panic(fmt.Sprintf("market: %d basis points of %s are too much", bp, m))
	}
	q, _ := bits.Div64(hi+carry, lo, 10_000)
	part := Money{int64(q), m.Currency}
	if q > math.MaxInt64 || !part.countable() {
		panic(fmt.Sprintf("market: %d basis points of %s are too much", bp, m))
	}
	if (m.Amount < 0) != (bp < 0) {
		return part.Neg()
	}
	return part
}

// Allocate splits m in proportion to weights by largest remainder (Hamilton's method):
// the parts add up to m exactly, each differs from its exact share by less than one
// minor unit, and ties go to the earlier part. Weights must not be negative, and one
// must be positive.
func (m Money) Allocate(weights ...int64) ([]Money, error) {
	if !m.countable() {
		return nil, Errorf(Invalid, "%s is too large to be split", m)
	}
	if m.Amount < 0 {
		parts, err := m.Neg().Allocate(weights...)
		for i := range parts {
			parts[i] = parts[i].Neg()
		}
		return parts, err
	}
	var total uint64
	for _, w := range weights {
		if w < 0 || total+uint64(w) > math.MaxInt64 {
			return nil, Errorf(Invalid, "money can't be split by the weights %v", weights)
		}
		total += uint64(w)
	}
	if total == 0 {
		return nil, Errorf(Invalid, "money can't be split by the weights %v: all are zero", weights)
	}
	parts := make([]Money, len(weights))
	remainder := make([]uint64, len(weights))
	order := make([]int, len(weights))
	left := m.Amount
	for i, w := range weights {
		hi, lo := bits.Mul64(uint64(m.Amount), uint64(w))
		q, r := bits.Div64(hi, lo, total)
		parts[i] = Money{int64(q), m.Currency}
		remainder[i], order[i] = r, i
		left -= int64(q)
	}
	slices.SortStableFunc(order, func(a, b int) int {
		switch {
		case remainder[a] > remainder[b]:
			return -1
		case remainder[a] < remainder[b]:
			return 1
		}
		return 0
	})
	for _, i := range order[:left] {
		parts[i].Amount++
	}
	return parts, nil
}

// Discount splits a discount on a whole order over its lines, in proportion to their
// prices by largest remainder. No line gets more off than it costs, so a discount above
// the sum of all is that sum, and no total is ever negative. Prices and the discount are
// nothing or more, and of one currency.
func Discount(prices []Money, off Money) ([]Money, error) {
	total, weights := Money{Currency: off.Currency}, make([]int64, len(prices))
	for i, p := range prices {
		sum, err := total.Add(p)
		if err != nil {
			return nil, err
		}
		if p.Amount < 0 {
			return nil, Errorf(Invalid, "a price of %s can't be discounted", p)
		}
		total, weights[i] = sum, p.Amount
	}
	if off.Amount < 0 {
		return nil, Errorf(Invalid, "a discount can't be %s: it takes nothing or more off", off)
	}
	if total.IsZero() {
		return make([]Money, len(prices)), nil
	}
	return Money{min(off.Amount, total.Amount), total.Currency}.Allocate(weights...)
}

// String is the amount with its code, in the form ParseMoney reads: "9.00 USD", "-500 JPY".
func (m Money) String() string {
	if m.Currency == "" {
		return strconv.FormatInt(m.Amount, 10)
	}
	return m.Decimal() + " " + string(m.Currency)
}

// Decimal is the amount in major units without its currency: "9.00".
func (m Money) Decimal() string {
	exp := max(m.Currency.Exponent(), 0)
	sign := ""
	if m.Amount < 0 {
		sign = "-"
	}
	digits := strconv.FormatUint(abs(m.Amount), 10)
	if exp == 0 {
		return sign + digits
	}
	if len(digits) <= exp {
		digits = strings.Repeat("0", exp-len(digits)+1) + digits
	}
	return sign + digits[:len(digits)-exp] + "." + digits[len(digits)-exp:]
}

// ParseMoney reads an amount of major units and a currency code, "9.00 USD" or
// "500 JPY". The fraction may be left out, but not be longer than the currency's.
func ParseMoney(s string) (Money, error) {
	amount, code, ok := strings.Cut(strings.TrimSpace(s), " ")
	c := Currency(strings.ToUpper(strings.TrimSpace(code)))
	if !ok || !c.Valid() {
		return Money{}, Errorf(Invalid, "%q is no amount of money: write it like \"9.00 USD\", with an ISO 4217 currency code", s)
	}
	sign := int64(1)
	if rest, neg := strings.CutPrefix(amount, "-"); neg {
		sign, amount = -1, rest
	}
	whole, frac, dotted := strings.Cut(amount, ".")
	exp := c.Exponent()
	if !allDigits(whole) || (dotted && !allDigits(frac)) || len(frac) > exp {
		return Money{}, Errorf(Invalid, "%q is no amount of %s: write it like %q", s, c, Money{900, c})
	}
	n, err := strconv.ParseInt(whole+frac+strings.Repeat("0", exp-len(frac)), 10, 64)
	if err != nil || n > maxAmount {
		return Money{}, Errorf(Invalid, "%q is more money than Souk can count (%s at most)", s, Money{maxAmount, c})
	}
	return Money{sign * n, c}, nil
}

func allDigits(s string) bool {
	for _, r := range s {
		if r < '0' || r > '9' {
			return false
		}
	}
	return s != ""
}
