package market_test

import (
	"slices"
	"testing"

	"github.com/souk-market/souk/internal/market"
)

// TestCompareVersions: each of these is before those after it.
func TestCompareVersions(t *testing.T) {
	inOrder := []string{
		"", "0.0.1", "0.1", "0.9.9", "1.0.0-alpha", "1.0.0-alpha.1", "1.0.0-alpha.beta", "1.0.0-beta", "1.0.0-beta.2", "1.0.0-beta.11",
		"1.0.0-rc.1", "1.0.0", "1.0.1", "1.2", "1.10.0", "2.0.0", "10", "2024.1", "99999999999999999999.0", "x", "y",
	}
	for i, a := range inOrder {
		for j, b := range inOrder {
			got := market.CompareVersions(a, b)
			if (got < 0) != (i < j) || (got > 0) != (i > j) {
				t.Errorf("%q against %q: %d", a, b, got)
			}
		}
	}
	for _, same := range [][2]string{{"1.0", "1.0.0"}, {"v1.2.3", "1.2.3+build.5"}, {"01.2", "1.02"}} {
		if got := market.CompareVersions(same[0], same[1]); got != 0 {
			t.Errorf("%q: %d", same, got)
		}
	}
}

func FuzzCompareVersions(f *testing.F) {
	f.Add("1.0", "1.0.0-rc.1", "v2")
	f.Fuzz(func(t *testing.T, a, b, c string) {
		if market.CompareVersions(a, b) != -market.CompareVersions(b, a) && market.CompareVersions(a, b)*market.CompareVersions(b, a) >= 0 && market.CompareVersions(a, b) != 0 {
			t.Errorf("%q and %q are each before the other", a, b)
		}
		list := []string{a, b, c}
		slices.SortFunc(list, market.CompareVersions)
		if market.CompareVersions(list[0], list[2]) > 0 {
			t.Errorf("%q aren't in an order", list)
		}
	})
}
