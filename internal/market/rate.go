package market

import (
	"math/big"
	"strconv"
	"strings"
	"time"
)

// Rate is what one major unit of a currency was worth in another at a time: Value / 10^
// Digits. It is stored with what was converted by it, so that a refund uses the same.
type Rate struct {
	From   Currency  `cbor:"from"`
	To     Currency  `cbor:"to"`
	Value  int64     `cbor:"value"` // more than zero
	Digits int       `cbor:"digits"`
	At     time.Time `cbor:"at"`
}

// maxRateDigits bounds a rate's text; central banks publish six digits or fewer.
const maxRateDigits = 12

// ParseRate reads a rate that is written as a decimal number: ("EUR", "USD", "1.0845").
func ParseRate(from, to Currency, value string, at time.Time) (Rate, error) {
	whole, frac, dotted := strings.Cut(value, ".")
	n, err := strconv.ParseInt(whole+frac, 10, 64)
	if !from.Valid() || !to.Valid() || from == to || at.IsZero() {
		return Rate{}, Errorf(Invalid, "a rate is between two currencies at a time, not from %q to %q at %v", from, to, at)
	}
	if !allDigits(whole) || dotted && !allDigits(frac) || len(frac) > maxRateDigits || err != nil || n == 0 || n > maxAmount {
		return Rate{}, Errorf(Invalid, "%.40q is no rate of %s in %s: write it like \"1.0845\"", value, from, to)
	}
	return Rate{from, to, n, len(frac), at}, nil
}

// String is the rate as people write it: "1 EUR = 1.0845 USD".
func (r Rate) String() string {
	digits := strconv.FormatInt(r.Value, 10)
	if r.Digits > 0 {
		digits = strings.Repeat("0", max(0, r.Digits+1-len(digits))) + digits
		digits = digits[:len(digits)-r.Digits] + "." + digits[len(digits)-r.Digits:]
	}
	return "1 " + string(r.From) + " = " + digits + " " + string(r.To)
}

// Convert returns the amount in the rate's other currency, rounded half up to its minor
// unit (away from zero for negative amounts). An amount of another currency than From,
// and one that becomes too large, are Invalid.
func (r Rate) Convert(m Money) (Money, error) {
	if m.Currency != r.From || r.Value <= 0 || !r.To.Valid() || !r.From.Valid() {
		return Money{}, Errorf(Invalid, "%s can't be converted at the rate %s", m, r)
	}
	num := new(big.Int).Mul(big.NewInt(m.Amount), big.NewInt(r.Value))
	num.Mul(num, pow10(r.To.Exponent()))
	den := pow10(r.Digits + r.From.Exponent())
	n := roundHalfUp(num, den)
	if n.CmpAbs(big.NewInt(maxAmount)) > 0 {
		return Money{}, Errorf(Invalid, "%s is too large to be converted to %s", m, r.To)
	}
	return Money{n.Int64(), r.To}, nil
}

func pow10(n int) *big.Int { return new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(n)), nil) }

// roundHalfUp is num/den, whose halves go away from zero; den is positive.
func roundHalfUp(num, den *big.Int) *big.Int {
	twice := new(big.Int).Abs(num)
	twice.Lsh(twice, 1).Add(twice, den)
	q := twice.Quo(twice, new(big.Int).Lsh(den, 1))
	if num.Sign() < 0 {
		q.Neg(q)
	}
	return q
}

// ConvertPart converts one of several parts of an amount, such as a refund after
// others: before is the sum of the parts converted so far. So the parts together are
// what the whole converts to, to the last unit.
func (r Rate) ConvertPart(before, part Money) (Money, error) {
	sum, err := before.Add(part)
	if err != nil {
		return Money{}, err
	}
	first := Money{Currency: r.To}
	if !before.IsZero() {
		if first, err = r.Convert(before); err != nil {
			return Money{}, err
		}
	}
	both, err := r.Convert(sum)
	if err != nil {
		return Money{}, err
	}
	return both.Add(first.Neg())
}

// Difference is how much more an amount is worth at a later rate than it was at r, in
// r's To: what the platform gains (or loses, below zero) by refunding at r. It is an
// entry of the ledger of its own.
func (r Rate) Difference(m Money, later Rate) (Money, error) {
	if later.From != r.From || later.To != r.To {
		return Money{}, Errorf(Invalid, "%s and %s have no difference: they are of other currencies", r, later)
	}
	then, err := r.Convert(m)
	if err != nil {
		return Money{}, err
	}
	now, err := later.Convert(m)
	if err != nil {
		return Money{}, err
	}
	return now.Add(then.Neg())
}

// Total is a sum over several currencies in one, which says how old its rates are.
type Total struct {
	Amount Money
	// RateDate is the time of the oldest rate in it; zero when nothing was converted.
	RateDate time.Time
}

// TotalIn adds amounts up in one currency. Each currency's sum is converted once, by the
// rate from it; Invalid without one.
func TotalIn(c Currency, amounts []Money, rates ...Rate) (Total, error) {
	sums, err := sumsByCurrency(amounts)
	if err != nil {
		return Total{}, err
	}
	total := Total{Amount: Money{Currency: c}}
	for _, sum := range sums {
		if sum.Currency != c {
			r, err := rateFor(sum.Currency, c, rates)
			if err != nil {
				return Total{}, err
			}
			if sum, err = r.Convert(sum); err != nil {
				return Total{}, err
			}
			if total.RateDate.IsZero() || r.At.Before(total.RateDate) {
				total.RateDate = r.At
			}
		}
		if total.Amount, err = total.Amount.Add(sum); err != nil {
			return Total{}, err
		}
	}
	return total, nil
}

func rateFor(from, to Currency, rates []Rate) (Rate, error) {
	for _, r := range rates {
		if r.From == from && r.To == to {
			return r, nil
		}
	}
	return Rate{}, Errorf(Invalid, "There is no rate from %s to %s for this sum.", from, to)
}

// sumsByCurrency adds up each currency, in the order in which they first come.
func sumsByCurrency(amounts []Money) ([]Money, error) {
	var sums []Money
	for _, m := range amounts {
		at := 0
		for at < len(sums) && sums[at].Currency != m.Currency {
			at++
		}
		if at == len(sums) {
			if m.IsZero() {
				continue // nothing of a currency needs no rate
			}
			sums = append(sums, Money{Currency: m.Currency})
		}
		sum, err := sums[at].Add(m)
		if err != nil {
			return nil, err
		}
		sums[at] = sum
	}
	return sums, nil
}
