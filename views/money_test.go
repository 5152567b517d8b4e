package views

import (
	"math"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"unicode/utf8"

	"github.com/bojanz/currency"

	"github.com/souk-market/souk/internal/market"
)

// locales are languages of all scripts, digits, groupings and orders that CLDR has for
// money, and some that nobody speaks.
var locales = strings.Fields("en en-GB en-IN en-ZA en-CH de de-AT de-CH de-LI fr fr-CA fr-CH es es-MX es-AR es-CO pt pt-PT pt-CV it it-CH nl nl-BE da sv nb fi is et lv lt " +
	"pl cs sk sl hr sr sr-Latn bs hu ro bg mk el sq tr az kk uz ky ru uk be ka hy he ar ar-EG ar-MA ar-SA ar-AE fa ur ps hi bn mr ne gu ta te kn ml pa si th lo km my " +
	"vi id ms fil ja zh zh-Hant zh-HK ko mn sw am af zu eu ca gl cy ga gsw xx xx-YY qqq -- *")

// money is an amount in minor units.
func money(n int64, c market.Currency) market.Money { return market.Money{Amount: n, Currency: c} }

func TestAmountByLocale(t *testing.T) {
	for _, c := range []struct {
		locale Locale
		amount market.Money
		want   string
	}{
		{"en", money(123456789, "USD"), "1,234,567.89 USD"}, {"en", money(-129900, "EUR"), "−1,299.00 EUR"}, {"en", money(1299, "JPY"), "1,299 JPY"},
		{"en", money(1234567, "KWD"), "1,234.567 KWD"}, {"en", money(5, "USD"), "0.05 USD"}, {"en", money(50, "USD"), "0.50 USD"}, {"en", money(0, "KWD"), "0.000 KWD"},
		{"en-IN", money(123456789, "INR"), "12,34,567.89 INR"},
		{"", money(900, "USD"), "9.00 USD"}, {"xx", money(900, "USD"), "$9.00"},
		{"de", money(123456789, "EUR"), "1.234.567,89 €"}, {"de", money(-500, "JPY"), "−500 ¥"}, {"de", money(1234567, "KWD"), "1.234,567 KWD"},
		{"de-CH", money(123456789, "CHF"), "CHF 1’234’567.89"}, {"de-AT", money(129900, "EUR"), "€ 1.299,00"},
		{"fr", money(123456789, "EUR"), "1 234 567,89 €"}, {"fr", money(-900, "USD"), "−9,00 $US"}, {"fr-CA", money(129900, "CAD"), "1 299,00 $"},
		{"es", money(129900, "EUR"), "1299,00 €"}, {"es", money(1299900, "EUR"), "12.999,00 €"},
		{"ja", money(129900, "JPY"), "￥129,900"}, {"ja", money(900, "USD"), "$9.00"}, {"zh", money(900, "CNY"), "¥9.00"},
		{"ar", money(129900, "USD"), "1,299.00 US$"}, {"ar-EG", money(129900, "EGP"), "١٬٢٩٩٫٠٠ ج.م."}, {"ar-EG", money(-1234567, "KWD"), "−١٬٢٣٤٫٥٦٧ د.ك."},
		{"hi", money(123456789, "INR"), "₹12,34,567.89"}, {"bn", money(123456789, "BDT"), "১২,৩৪,৫৬৭.৮৯৳"},
		{"nl", money(-900, "EUR"), "€ −9,00"}, {"de", money(900, "XCG"), "9,00 XCG"}, {"en", money(7, ""), "7"}, {"de", money(7, ""), "7"},
		{"en", money(math.MinInt64, "USD"), "−92,233,720,368,547,758.08 USD"}, {"en", money(math.MaxInt64, "JPY"), "9,223,372,036,854,775,807 JPY"},
	} {
		if got := plainSpace(plainAmount(strings.ReplaceAll(Amount(c.locale, c.amount), "\u202f", " "))); got != c.want {
			t.Errorf("%s in %q: got %q, want %q", c.amount, c.locale, got, c.want)
		}
	}
	if got := Price("de", money(0, "EUR")); got != "Free" {
		t.Errorf("nothing costs %q", got)
	}
}

// TestNoTwoCurrenciesLookTheSame: a price in dollars is none in pesos.
func TestNoTwoCurrenciesLookTheSame(t *testing.T) {
	for _, l := range append(strings.Fields("es-US es-CL es-PR en-CA en-AU fr-BE zh-SG zh-TW pt-MO"), locales...) {
		seen := map[string]market.Currency{}
		for _, c := range market.Currencies() {
			text := Amount(Locale(l), money(0, c))
			if other, ok := seen[text]; ok {
				t.Errorf("in %s, nothing of %s and of %s is %q", l, other, c, text)
			}
			seen[text] = c
		}
	}
	if m, err := ParseAmount("es-MX", "USD", "$9.00"); err == nil {
		t.Errorf("nine pesos are read as %s", m)
	}
}

// TestAmountIsAsTheLibraryFormats compares what was learned with the library itself, for
// each locale with some currencies and amounts.
func TestAmountIsAsTheLibraryFormats(t *testing.T) {
	rng := rand.New(rand.NewPCG(2, 2))
	codes := market.Currencies()
	compared := 0
	for _, name := range locales {
		f := currency.NewFormatter(currency.NewLocale(name))
		if lang := f.Locale().Language; lang == "en" || lang == "" {
			continue // has a form of its own
		}
		if name == "es-MX" {
			f.SymbolMap["USD"] = "USD" // see TestNoTwoCurrenciesLookTheSame
		}
		for range 300 {
			m := money(rng.Int64N(1<<53)>>rng.IntN(53), codes[rng.IntN(len(codes))])
			if !currency.IsValid(string(m.Currency)) {
				continue
			}
			if rng.IntN(3) == 0 {
				m = m.Neg()
			}
			a, err := currency.NewAmount(m.Decimal(), string(m.Currency))
			if err != nil {
				t.Fatal(err)
			}
			want := strings.ReplaceAll(f.Format(a), "-", "−")
			if got := Amount(Locale(name), m); got != want {
				t.Errorf("%s in %s: got %q, want %q", m, name, got, want)
			}
			compared++
		}
	}
	if compared < 20_000 {
		t.Errorf("only %d amounts were compared", compared)
	}
}

// TestEveryCurrencyHasTheLibrarysDigits: an amount of ours would be written wrong if the
// library counted its decimals otherwise.
func TestEveryCurrencyHasTheLibrarysDigits(t *testing.T) {
	for _, c := range market.Currencies() {
		if digits, ok := currency.GetDigits(string(c)); ok && int(digits) != c.Exponent() {
			t.Errorf("%s has %d digits, and %d in the library", c, c.Exponent(), digits)
		}
	}
}

// TestParseAmountReadsWhatAmountWrites: in every locale, every currency.
func TestParseAmountReadsWhatAmountWrites(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 3))
	for _, name := range locales {
		for _, c := range market.Currencies() {
			m := money(rng.Int64N(1<<53)>>rng.IntN(53), c)
			for _, m := range []market.Money{m, m.Neg(), money(0, c)} {
				written := Amount(Locale(name), m)
				if got, err := ParseAmount(Locale(name), c, written); err != nil || got != m {
					t.Errorf("%s in %s is written %q and read as %v, %v", m, name, written, got, err)
				}
			}
		}
	}
}

func TestParseAmount(t *testing.T) {
	for _, c := range []struct {
		locale Locale
		typed  string
		want   string
	}{
		{"en", "1,299.00", "1299.00 USD"}, {"en", "1299", "1299.00 USD"}, {"en", " 9.5 ", "9.50 USD"}, {"en", "$9.00", "9.00 USD"}, {"en", "9.00 usd", "9.00 USD"}, {"en", "USD9", "9.00 USD"},
		{"en", "-9.00", "-9.00 USD"}, {"en", "−$9.00", "-9.00 USD"}, {"en", "$-9", "-9.00 USD"}, {"en", "1 299.00", "1299.00 USD"}, {"en", "007", "7.00 USD"}, {"en", "0", "0.00 USD"},
		{"en", "12,34,567.89", ""}, {"en", "1,299", "1299.00 USD"}, {"en", "1,2999", ""}, {"en", "1299,000", ""}, {"en", "1,299,000.00", "1299000.00 USD"},
		{"en", "1.299,00", ""}, {"en", "9,00", ""}, {"en", "1.299", ""}, {"en", "9.", ""}, {"en", ".5", ""}, {"en", "9.0.0", ""}, {"en", "1,299 000", ""}, {"en", "1,,299", ""},
		{"en", "", ""}, {"en", "free", ""}, {"en", "9 EUR", ""}, {"en", "€9", ""}, {"en", "$9 USD", ""}, {"en", "9.00.", ""}, {"en", "1e3", ""}, {"en", "--9", ""}, {"en", "9-", ""},
		{"en", "0x9", ""}, {"en", "٩", "9.00 USD"}, {"en", "9٩", ""}, {"en", "9½", ""}, {"en", "９．５０", "9.50 USD"}, {"en", "9\x009", ""}, {"en", "9\xff", ""},
		{"en", "90071992547409.91", "90071992547409.91 USD"}, {"en", "90071992547409.92", ""}, {"en", strings.Repeat("9", 90), ""}, {"en", strings.Repeat("9", 101), ""},
		{"de", "1.299,00", "1299.00 USD"}, {"de", "1299,5", "1299.50 USD"}, {"de", "1.299", "1299.00 USD"}, {"de", "1.29", ""}, {"de", "1,299.00", ""}, {"de", "9.00", ""}, {"de", "1 299,00 $", "1299.00 USD"},
		{"de-CH", "1'299.00", "1299.00 USD"}, {"de-CH", "1’299.50", "1299.50 USD"}, {"de-CH", "1,299.00", ""}, {"de-CH", "USD 9.50", "9.50 USD"},
		{"fr", "1 299,00", "1299.00 USD"}, {"fr", "1\u202f299,00\u00a0$US", "1299.00 USD"}, {"fr", "9.00", ""}, {"fr", "1.299,00", ""},
		{"es", "1.299,00", "1299.00 USD"}, {"hi", "12,34,567.89", "1234567.89 USD"}, {"hi", "1,234,567.89", "1234567.89 USD"}, {"hi", "12,345,67", ""},
		{"ar-EG", "١٬٢٩٩٫٠٠", "1299.00 USD"}, {"ar-EG", "1,299.00", "1299.00 USD"}, {"ar-EG", "١٢٩٩", "1299.00 USD"}, {"ar-EG", "\u200f١٢٩٩٫٥\u00a0US$", "1299.50 USD"}, {"ar-EG", "1,299٫00", "1299.00 USD"},
		{"ar", "١٬٢٩٩٫٠٠", "1299.00 USD"}, {"fa", "۱٬۲۹۹٫۰۰", "1299.00 USD"}, {"ja", "１，２９９．００", "1299.00 USD"}, {"xx", "1,299.00", "1299.00 USD"},
	} {
		got, err := ParseAmount(c.locale, "USD", c.typed)
		if c.want == "" {
			if !market.Is(err, market.Invalid) || got != (market.Money{}) {
				t.Errorf("%q in %s is %v, %v; want it refused", c.typed, c.locale, got, err)
			}
		} else if err != nil || got.String() != c.want {
			t.Errorf("%q in %s is %v, %v; want %s", c.typed, c.locale, got, err, c.want)
		}
	}
	for _, c := range []struct {
		typed    string
		currency market.Currency
		want     string
	}{
		{"1,299", "JPY", "1299 JPY"}, {"1299.00", "JPY", ""}, {"1.299", "KWD", "1.299 KWD"}, {"1,299", "KWD", "1299.000 KWD"}, {"9", "XXX", ""}, {"9", "", ""}, {"9 XCG", "XCG", "9.00 XCG"},
	} {
		got, err := ParseAmount("en", c.currency, c.typed)
		if c.want == "" && !market.Is(err, market.Invalid) || c.want != "" && (err != nil || got.String() != c.want) {
			t.Errorf("%q of %q is %v, %v; want %s", c.typed, c.currency, got, err, c.want)
		}
	}
}

// TestParseAmountSaysWhatItRead: the message has what was typed, how it was taken, and
// what to write instead, which is then read.
func TestParseAmountSaysWhatItRead(t *testing.T) {
	for _, c := range []struct {
		locale Locale
		typed  string
		want   string
	}{
		{"de", "9.00", "“9.00” has “.” between digits, which groups thousands, where they are no thousands. Write it like 1.299,00 $."},
		{"en", "1.299", "“1.299” was read as 1.299 USD, which has more decimals than USD has. Write it like 1,299.00 USD."},
		{"fr", "-9.00", "“-9.00” has “.” between digits. Write it like 1 299,00 $US."},
		{"en", "free", "“free” is no amount of USD. Write it like 1,299.00 USD."},
		{"en", "1 299,5 0.0", "“1 299,5 0.0” has both “ ” and “,” between digits. Write it like 1,299.00 USD."},
		{"en", "9.0.0", "“9.0.0” has “.”, which starts the decimals, before the end. Write it like 1,299.00 USD."},
		{"en", "100%s", "“100%s” is no amount of USD. Write it like 1,299.00 USD."},
	} {
		_, err := ParseAmount(c.locale, "USD", c.typed)
		got := strings.ReplaceAll(plainSpace(market.Message(err)), "\u202f", " ")
		if got != c.want {
			t.Errorf("%q in %s: got %q, want %q", c.typed, c.locale, got, c.want)
		}
		_, example, _ := strings.Cut(strings.TrimSuffix(market.Message(err), "."), "Write it like ")
		if m, err := ParseAmount(c.locale, "USD", example); err != nil || m.Amount != 129900 {
			t.Errorf("the example %q in %s is %v, %v", example, c.locale, m, err)
		}
	}
	if _, err := ParseAmount("en", "USD", strings.Repeat("9", 1000)); len(market.Message(err)) > 200 {
		t.Errorf("a message of %d bytes", len(market.Message(err)))
	}
}

func FuzzParseAmount(f *testing.F) {
	for _, s := range []string{"1,299.00", "1.299,00", "1'299.00", "1 299,00", "١٬٢٩٩٫٠٠", "-$9.00", "９．５０", "€ −9,00", "12,34,567.89", "\u200f\u061c9", "9\xff", "%d"} {
		for i := range 6 {
			f.Add(uint8(i), uint8(i), s)
		}
	}
	few := []Locale{"en", "de", "de-CH", "fr", "ar-EG", "hi", "ja", "fa", "nl", "xx"}
	codes := []market.Currency{"USD", "EUR", "JPY", "KWD", "CHF", "XCG", "EGP"}
	f.Fuzz(func(t *testing.T, locale, code uint8, s string) {
		l, c := few[int(locale)%len(few)], codes[int(code)%len(codes)]
		m, err := ParseAmount(l, c, s)
		if err != nil {
			if !market.Is(err, market.Invalid) || m != (market.Money{}) || !utf8.ValidString(market.Message(err)) {
				t.Errorf("%q in %s: %v with %v", s, l, err, m)
			}
			return
		}
		if m.Currency != c || m.Amount >= 1<<53 || m.Amount <= -1<<53 {
			t.Errorf("%q in %s is %+v", s, l, m)
		}
		if again, err := ParseAmount(l, c, Amount(l, m)); err != nil || again != m {
			t.Errorf("%q in %s is %s, and that is %v, %v", s, l, Amount(l, m), again, err)
		}
	})
}

// TestLayoutsAreBounded: locales may come from outside, and be many at once.
func TestLayoutsAreBounded(t *testing.T) {
	var c layoutCache
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			for i := range maxLayouts {
				l := Locale("xx-" + string(rune('a'+g)) + string(rune('a'+i%26)) + string(rune('a'+i/26%26)) + "-" + string(rune('a'+i/676)))
				if got := c.of(l, "USD").write(money(900, "USD")); got != "$9.00" {
					t.Errorf("in %s: %q", l, got)
				}
			}
		})
	}
	wg.Wait()
	if n := len(c.known); n > maxLayouts {
		t.Errorf("%d layouts are kept", n)
	}
}

func TestAmountAllocatesItsText(t *testing.T) {
	for _, l := range []Locale{"en", "de", "ar-EG", "hi"} {
		if got := testing.AllocsPerRun(100, func() { Amount(l, money(123456789, "USD")) }); got > 1 {
			t.Errorf("an amount in %s costs %.0f allocations", l, got)
		}
	}
}

func BenchmarkAmount(b *testing.B) {
	for _, l := range []Locale{"en", "ar-EG"} {
		b.Run(string(l), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				Amount(l, money(129900, "USD"))
			}
		})
	}
	b.Run("by the library", func(b *testing.B) {
		f := currency.NewFormatter(currency.NewLocale("ar-EG"))
		b.ReportAllocs()
		for b.Loop() {
			a, err := currency.NewAmount("1299.00", "USD")
			if err != nil {
				b.Fatal(err)
			}
			f.Format(a)
		}
	})
}

func BenchmarkParseAmount(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := ParseAmount("de", "EUR", "1.299,00 €"); err != nil {
			b.Fatal(err)
		}
	}
}
