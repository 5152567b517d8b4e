package views

import (
	"strconv"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"

	"github.com/bojanz/currency"

	"github.com/souk-market/souk/internal/market"
)

// Locale is a language, with a script and a place where they matter, as in HTML's lang
// attribute: "de", "de-CH", "sr-Latn". One that is not known has English separators.
type Locale string

// English is the language of the pages.
const English Locale = "en"

// Price is an amount as a price: "9.00 USD", and "Free" for nothing. The word is
// English's in every locale, as the pages around it are.
func Price(l Locale, m market.Money) string {
	if m.IsZero() {
		return "Free"
	}
	return Amount(l, m)
}

// Amount is an amount in a sum, where nothing is a number too: "1,250.00 USD",
// "1.250,00 €", "0.00 USD". It has all of the currency's decimals. Where symbol and sign
// stand and how digits are grouped is the Unicode CLDR's; English has the code behind
// the number instead of a symbol, which several currencies share.
func Amount(l Locale, m market.Money) string { return layouts.of(l, m.Currency).write(m) }

// moneyLayout is how amounts of a currency are written in a locale.
type moneyLayout struct {
	pos, neg       [2]string // what stands before and after the digits
	zero           rune      // the first of the ten digits
	decimal, group string
	// The last primary digits are a group, and before them each secondary; numbers of
	// fewer than minimum digits are not grouped. All are zero where none is.
	primary, secondary, minimum int
}

// write costs one allocation.
func (y *moneyLayout) write(m market.Money) string {
	affix, n := &y.pos, uint64(m.Amount)
	if m.Amount < 0 {
		affix, n = &y.neg, -n
	}
	var number [24]byte
	digits := strconv.AppendUint(number[:0], n, 10)
	exp := max(m.Currency.Exponent(), 0)
	var text [96]byte
	b := append(text[:0], affix[0]...)
	whole := len(digits) - exp
	if whole <= 0 {
		b = y.digit(b, '0')
	}
	for i := range whole {
		if i > 0 && y.groupEnds(whole, whole-i) {
			b = append(b, y.group...)
		}
		b = y.digit(b, digits[i])
	}
	if exp > 0 {
		b = append(b, y.decimal...)
	}
	for i := whole; i < len(digits); i++ {
		if i < 0 {
			b = y.digit(b, '0')
			continue
		}
		b = y.digit(b, digits[i])
	}
	return string(append(b, affix[1]...))
}

func (y *moneyLayout) digit(b []byte, d byte) []byte {
	return utf8.AppendRune(b, y.zero+rune(d-'0'))
}

// groupEnds reports whether, of a number of whole digits, a group ends before the last
// rest of them.
func (y *moneyLayout) groupEnds(whole, rest int) bool {
	return y.primary > 0 && whole >= y.minimum && (rest == y.primary || rest > y.primary && (rest-y.primary)%y.secondary == 0)
}

// layouts keeps what was learned, for a listing page writes forty prices.
var layouts layoutCache

type layoutCache struct {
	sync.RWMutex
	known map[layoutKey]*moneyLayout
}

type layoutKey struct {
	locale   Locale
	currency market.Currency
}

// maxLayouts bounds the cache should locales come from outside.
const maxLayouts = 2_000

func (c *layoutCache) of(l Locale, code market.Currency) *moneyLayout {
	key := layoutKey{l, code}
	c.RLock()
	y := c.known[key]
	c.RUnlock()
	if y != nil {
		return y
	}
	y = learn(l, code)
	c.Lock()
	defer c.Unlock()
	if c.known == nil || len(c.known) >= maxLayouts {
		c.known = map[layoutKey]*moneyLayout{}
	}
	c.known[key] = y
	return y
}

// learn finds a layout by having samples formatted: the library formats one amount in
// some microseconds and twenty allocations.
func learn(l Locale, code market.Currency) *moneyLayout {
	f := currency.NewFormatter(currency.NewLocale(string(l)))
	f.MinDigits, f.CurrencyDisplay = 0, currency.DisplayNone
	y := &moneyLayout{}
	y.learnDigits(f)
	y.learnAffixes(f, code)
	if lang := f.Locale().Language; lang == "en" || lang == "" {
		after := strings.TrimRight("\u00a0"+string(code), "\u00a0")
		y.pos, y.neg = [2]string{"", after}, [2]string{"−", after}
	}
	return y
}

// sample formats a number as an amount of dollars.
func sample(f *currency.Formatter, number string) string {
	a, err := currency.NewAmount(number, "USD")
	if err != nil {
		panic(err) // the samples are numbers
	}
	return f.Format(a)
}

func (y *moneyLayout) learnDigits(f *currency.Formatter) {
	runs, between := cutDigits(sample(f, "1234567.89"))
	first, _ := utf8.DecodeRuneInString(runs[0])
	y.zero = first - 1
	y.decimal = between[len(between)-1]
	if groups := len(runs) - 1; groups > 1 {
		y.group = between[0]
		y.primary, y.secondary = utf8.RuneCountInString(runs[groups-1]), utf8.RuneCountInString(runs[groups-1])
		if groups > 2 {
			y.secondary = utf8.RuneCountInString(runs[groups-2])
		}
		for y.minimum = y.primary + 1; y.minimum < 7; y.minimum++ {
			if runs, _ := cutDigits(sample(f, "1234567"[:y.minimum])); len(runs) > 1 {
				break
			}
		}
	}
}

func (y *moneyLayout) learnAffixes(f *currency.Formatter, code market.Currency) {
	if code != "" {
		f.CurrencyDisplay = currency.DisplaySymbol
		f.SymbolMap["USD"] = symbolOf(f.Locale(), code)
	}
	// A sign of its own stands out, and isn't a hyphen, which some screen readers skip.
	minus := strings.NewReplacer("-", "−")
	y.pos[0], _, y.pos[1] = cutNumber(sample(f, "1"))
	y.neg[0], _, y.neg[1] = cutNumber(sample(f, "-1"))
	y.neg[0], y.neg[1] = minus.Replace(y.neg[0]), minus.Replace(y.neg[1])
}

// symbolOf is a currency's symbol in a locale, and its code where it has none there, where
// the library doesn't know it, and where the place's own currency has the same: the
// library's "$" in es-MX is of dollars, too.
func symbolOf(l currency.Locale, code market.Currency) string {
	s, _ := currency.GetSymbol(string(code), l)
	if own, ok := currency.ForCountryCode(l.Territory); ok && own != string(code) {
		if of, _ := currency.GetSymbol(own, l); of == s {
			s = ""
		}
	}
	if s == "" {
		return string(code)
	}
	return s
}

// cutNumber cuts a text around its first and last digit.
func cutNumber(s string) (before, number, after string) {
	first := strings.IndexFunc(s, unicode.IsDigit)
	if first < 0 {
		return s, "", ""
	}
	last := strings.LastIndexFunc(s, unicode.IsDigit)
	_, size := utf8.DecodeRuneInString(s[last:])
	return s[:first], s[first : last+size], s[last+size:]
}

// cutDigits cuts a number into its runs of digits and what is between them.
func cutDigits(s string) (runs, between []string) {
	_, s, _ = cutNumber(s)
	for s != "" {
		end := strings.IndexFunc(s, func(r rune) bool { return !unicode.IsDigit(r) })
		if end < 0 {
			return append(runs, s), between
		}
		runs, s = append(runs, s[:end]), s[end:]
		end = strings.IndexFunc(s, unicode.IsDigit)
		between, s = append(between, s[:end]), s[end:]
	}
	return runs, between
}
