package store

import (
	"fmt"
	"testing"

	"github.com/souk-market/souk/internal/market"
)

// TestFrontierIsNeverTooLow: what the frontier has learned of a transaction's own writes
// isn't lost when it holds too many spaces to keep them all.
func TestFrontierIsNeverTooLow(t *testing.T) {
	db := openTest(t, Options{})
	for i := range maxFrontier - 2 { // as other tenants fill it
		db.frontier[fmt.Sprint(i)] = nil
	}
	insert := func(ids ...string) error {
		_, err := db.Update(t.Context(), tenant, Op{}, func(tx *Tx) error {
			for _, id := range ids {
				if err := Events.Insert(tx, &market.ProviderEvent{ID: id, Type: "first"}); err != nil {
					return err
				}
			}
			return nil
		})
		return err
	}
	if err := insert("z", "of two", "of three", "a"); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := insert("z"); !market.Is(err, market.Conflict) {
			t.Errorf("a second event z: %v, want a conflict", err)
		}
	}
	if err := insert("another"); err != nil {
		t.Fatal(err)
	}
	if n := len(db.frontier); n > maxFrontier {
		t.Errorf("the frontier holds %d spaces", n)
	}
}
