package main

import (
	"testing"

	"github.com/souk-market/souk/internal/market"
)

func TestImportPricesInTheMarketplacesCurrency(t *testing.T) {
	for _, c := range []struct {
		text     string
		currency market.Currency
		want     string
	}{
		{"", "USD", "9.00 USD every 10"},
		{"", "JPY", "9 JPY every 10"},
		{"free", "EUR", "free"},
		{"0 USD", "EUR", "free"},
		{"5 EUR", "EUR", "5.00 EUR"},
		{"5 USD every 2", "USD", "5.00 USD every 2"},
	} {
		if got, err := priceRule(c.text, c.currency); err != nil || got.String() != c.want {
			t.Errorf("%q in %s: got %s, %v; want %s", c.text, c.currency, got, err, c.want)
		}
	}
	if _, err := priceRule("9.00 USD every 10", "EUR"); !market.Is(err, market.Invalid) {
		t.Errorf("prices that no cart takes: %v", err)
	}
}
