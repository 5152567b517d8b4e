package views

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/bojanz/currency"

	"github.com/souk-market/souk/internal/market"
)

// maxAmountText bounds what is read as an amount, in bytes.
const maxAmountText = 100

// ParseAmount reads an amount that a person typed in the way of their locale: "1.299,00"
// in German, "1'299.00" in Switzerland, "1 299,00" in French, "١٬٢٩٩٫٠٠" in Arabic. The
// currency's code or symbol may stand with it. What could be meant in two ways is
// Invalid, with a message that says how it was read and what to write; show what was
// read (Amount) before it is stored.
func ParseAmount(l Locale, c market.Currency, text string) (market.Money, error) {
	if !c.Valid() {
		return market.Money{}, market.Errorf(market.Invalid, "%q is no currency.", string(c))
	}
	r := amountReader{l: l, c: c, text: strings.TrimSpace(text), layout: layouts.of(l, c)}
	if len(text) > maxAmountText || !utf8.ValidString(text) {
		r.text = "This"
		return market.Money{}, r.refuse("is no amount of %s", c)
	}
	return r.read()
}

type amountReader struct {
	l      Locale
	c      market.Currency
	text   string // as typed, for messages
	layout *moneyLayout
}

// refuse says what is wrong with the text, and how an amount is written.
func (r *amountReader) refuse(format string, args ...any) error {
	n, exp := int64(1299), r.c.Exponent()
	for range exp {
		n *= 10
	}
	example := Amount(r.l, market.Money{Amount: n, Currency: r.c})
	args = append([]any{r.text}, args...)
	return market.Errorf(market.Invalid, "“%s” "+format+". Write it like "+strings.ReplaceAll(example, "%", "%%")+".", args...)
}

func (r *amountReader) read() (market.Money, error) {
	before, number, after := cutNumber(plainAmount(r.text))
	negative, ok := r.readAffixes(before, after)
	if number == "" || !ok {
		return market.Money{}, r.refuse("is no amount of %s", r.c)
	}
	whole, frac, err := r.readNumber(number)
	if err != nil {
		return market.Money{}, err
	}
	sign := ""
	if negative {
		sign = "-"
	}
	if len(frac) > r.c.Exponent() {
		return market.Money{}, r.refuse("was read as %s%s.%s %s, which has more decimals than %s has", sign, whole, frac, r.c, r.c)
	}
	if frac != "" {
		whole += "." + frac
	}
	return market.ParseMoney(sign + whole + " " + string(r.c))
}

// plainAmount is a text without marks of direction, with full-width signs as plain ones.
func plainAmount(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case unicode.Is(unicode.Bidi_Control, r):
			return -1
		case r == '，', r == '．', r == '－', r == '＇':
			return r - '！' + '!'
		}
		return r
	}, s)
}

// readAffixes reads what stands around the number: a sign in front of it or of the
// symbol, and the symbol or code on either side.
func (r *amountReader) readAffixes(before, after string) (negative, ok bool) {
	before, after = solid(before), solid(after)
	for _, minus := range []string{"-", "−"} {
		if rest, found := strings.CutPrefix(before, minus); found && !negative {
			before, negative = rest, true
		} else if rest, found := strings.CutSuffix(before, minus); found && !negative {
			before, negative = rest, true
		}
	}
	if before != "" && after != "" {
		return negative, false
	}
	name := before + after
	symbol := solid(plainAmount(symbolOf(currency.NewLocale(string(r.l)), r.c)))
	return negative, name == "" || name == symbol || strings.EqualFold(name, string(r.c))
}

// solid is a text without white space.
func solid(s string) string { return strings.Join(strings.Fields(s), "") }

// separator is what a character between digits does.
type separator int

const (
	unknown separator = iota
	decimals
	thousands
)

// separates says what a text between two digits means. Spaces and apostrophes group in
// every locale; a full stop and a comma do what the locale says, and stand for the
// native separators where digits aren't ASCII's.
func (r *amountReader) separates(s string, digits rune) separator {
	switch c, size := utf8.DecodeRuneInString(s); {
	case size != len(s):
		return unknown
	case s == r.layout.decimal || c == '٫':
		return decimals
	case s == r.layout.group || c == '٬' || unicode.IsSpace(c) || c == '\'' || c == '’':
		return thousands
	case r.layout.zero != '0' && digits == '0' && c == '.':
		return decimals
	case r.layout.zero != '0' && digits == '0' && c == ',':
		return thousands
	}
	return unknown
}

// readNumber returns the digits before and after the decimal separator, in ASCII.
func (r *amountReader) readNumber(s string) (whole, frac string, err error) {
	runs, between := cutDigits(s)
	zero, groups, group := zeroOf(s), len(runs), ""
	for i := range runs {
		var ok bool
		if runs[i], ok = asciiDigits(runs[i], zero); !ok {
			return "", "", r.refuse("has digits of two kinds")
		}
	}
	for i, sep := range between {
		switch r.separates(sep, zero) {
		case decimals:
			if i < len(between)-1 {
				return "", "", r.refuse("has “%s”, which starts the decimals, before the end", sep)
			}
			groups, frac = i+1, runs[i+1]
		case thousands:
			if group != "" && group != sep {
				return "", "", r.refuse("has both “%s” and “%s” between digits", group, sep)
			}
			group = sep
		default:
			return "", "", r.refuse("has “%s” between digits", sep)
		}
	}
	if !r.grouped(runs[:groups]) {
		return "", "", r.refuse("has “%s” between digits, which groups thousands, where they are no thousands", group)
	}
	return strings.Join(runs[:groups], ""), frac, nil
}

// grouped reports whether digits are grouped in threes, or as the locale does it.
func (r *amountReader) grouped(runs []string) bool {
	secondary := max(r.layout.secondary, 2)
	threes, local := true, true
	for i, run := range runs[1:] {
		last := i == len(runs)-2
		threes = threes && len(run) == 3
		local = local && (last && len(run) == 3 || !last && len(run) == secondary)
	}
	return len(runs) == 1 || threes && len(runs[0]) <= 3 || local && len(runs[0]) <= secondary
}

// zeroOf is the zero of the first digit's kind, or of ASCII's when its kind is none
// that is read.
func zeroOf(s string) rune {
	first, _ := utf8.DecodeRuneInString(s)
	for _, zero := range "٠۰०০၀０" {
		if zero <= first && first <= zero+9 {
			return zero
		}
	}
	return '0'
}

// asciiDigits is false for a text with a digit of another kind than zero's.
func asciiDigits(s string, zero rune) (string, bool) {
	var b strings.Builder
	for _, d := range s {
		if d < zero || d > zero+9 {
			return "", false
		}
		b.WriteByte(byte('0' + d - zero))
	}
	return b.String(), true
}
