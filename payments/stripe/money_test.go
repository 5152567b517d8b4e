package stripe

import (
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/souk-market/souk/internal/market"
)

// One case per currency that isn't simply written with two digits (PRODUCT C.24), the
// amounts as docs.stripe.com/currencies writes them.
func TestAmounts(t *testing.T) {
	cases := []struct {
		money string
		want  int64 // -1 is refused
	}{
		{"10.99 USD", 1099}, {"0.50 EUR", 50},
		{"500 BIF", 500}, {"500 CLP", 500}, {"500 DJF", 500}, {"500 GNF", 500}, {"500 JPY", 500}, {"500 KMF", 500},
		{"500 KRW", 500}, {"500 PYG", 500}, {"500 RWF", 500}, {"500 VND", 500}, {"500 VUV", 500}, {"500 XAF", 500},
		{"500 XOF", 500}, {"500 XPF", 500},
		{"500.00 MGA", 500}, {"500.20 MGA", -1},
		{"5 ISK", 500}, {"5 UGX", 500},
		{"10.00 HUF", 1000}, {"10.45 HUF", -1},
		{"800.00 TWD", 80000}, {"800.45 TWD", -1},
		{"5.120 BHD", 5120}, {"5.124 BHD", -1},
		{"5.120 JOD", 5120}, {"5.124 JOD", -1},
		{"5.120 KWD", 5120}, {"5.124 KWD", -1},
		{"5.120 OMR", 5120}, {"5.124 OMR", -1},
		{"5.120 TND", 5120}, {"5.124 TND", -1},
		{"5.120 IQD", -1}, {"5.120 LYD", -1},
	}
	seen := map[market.Currency]bool{}
	for _, c := range cases {
		m, err := market.ParseMoney(c.money)
		if err != nil {
			t.Fatal(err)
		}
		seen[m.Currency] = true
		got, err := toStripe(m)
		if c.want < 0 {
			if !market.Is(err, market.Invalid) {
				t.Errorf("%s: got %d, %v; want Invalid", m, got, err)
			}
			continue
		}
		if err != nil || got != c.want {
			t.Errorf("%s: got %d, %v; want %d", m, got, err, c.want)
			continue
		}
		back, err := fromStripe(got, string(m.Currency))
		if err != nil || back != m {
			t.Errorf("%s comes back as %s, %v", m, back, err)
		}
	}
	for c := range units {
		if !seen[c] {
			t.Errorf("%s has a unit of its own and no case", c)
		}
	}
}

// TestEveryCurrency has one test per currency of internal/market's list, which says for
// each how many digits Stripe writes and in which steps.
func TestEveryCurrency(t *testing.T) {
	text, err := os.ReadFile("../../internal/market/testdata/currencies.txt")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if line[0] == '#' {
			continue
		}
		words := strings.Fields(line)
		t.Run(words[0], func(t *testing.T) {
			m, err := market.ParseMoney("70 " + words[0])
			if err != nil {
				t.Fatal(err)
			}
			got, err := toStripe(m)
			if words[2] == "-" {
				if !market.Is(err, market.Invalid) {
					t.Errorf("%s is %d at Stripe, want it refused", m, got)
				}
				return
			}
			if want := "70" + strings.Repeat("0", int(words[2][0]-'0')); err != nil || strconv.FormatInt(got, 10) != want {
				t.Errorf("%s is %d at Stripe, %v; want %s", m, got, err, want)
			}
			if u, _ := unitOf(m.Currency); strconv.FormatInt(u.step, 10) != words[3] {
				t.Errorf("%s goes in steps of %d, want %s", m.Currency, u.step, words[3])
			}
		})
	}
}

func TestRefusedAmountsSayWhatWouldDo(t *testing.T) {
	for money, want := range map[string]string{
		"5.124 KWD":  "Stripe can't take 5.124 KWD: prices in KWD must be multiples of 0.010 KWD.",
		"10.45 HUF":  "Stripe can't take 10.45 HUF: prices in HUF must be multiples of 1.00 HUF.",
		"500.20 MGA": "Stripe can't take 500.20 MGA: prices in MGA must be multiples of 1.00 MGA.",
	} {
		m, err := market.ParseMoney(money)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := toStripe(m); market.Message(err) != want {
			t.Errorf("got %q, want %q", market.Message(err), want)
		}
	}
}
