package store

import (
	"slices"
	"testing"

	"github.com/souk-market/souk/internal/market"
)

func TestNamesBlobOfAnyTenant(t *testing.T) {
	db := openTest(t, Options{})
	others := []market.TenantID{"ten_a", "ten_another", "ten_b"}
	names := func(sha256 string) bool {
		t.Helper()
		named, err := db.NamesBlob(t.Context(), sha256)
		if err != nil {
			t.Fatal(err)
		}
		return named
	}
	if names("ab12") {
		t.Error("an empty database names a file")
	}
	put := func(tenant market.TenantID, fn func(tx *Tx) error) {
		t.Helper()
		if _, err := db.Update(t.Context(), tenant, Op{}, fn); err != nil {
			t.Fatal(err)
		}
	}
	for _, tenant := range others {
		put(tenant, func(tx *Tx) error { return Events.Put(tx, &market.ProviderEvent{ID: "ab12"}) })
	}
	if names("ab12") {
		t.Error("an event names a file")
	}
	for _, tenant := range others {
		put(tenant, func(tx *Tx) error { return Blobs.Put(tx, &market.Blob{SHA256: string(tenant)}) })
	}
	for _, tenant := range others {
		if !names(string(tenant)) {
			t.Errorf("the file of %s isn't named", tenant)
		}
		put(tenant, func(tx *Tx) error { return Blobs.Delete(tx, string(tenant)) })
		if names(string(tenant)) {
			t.Errorf("the file that %s has deleted is named", tenant)
		}
	}
	if got, err := tenantsIn(db.engine); err != nil || !slices.Equal(got, []market.TenantID{"ten_a", "ten_b", "ten_another"}) {
		t.Errorf("the tenants are %v, %v", got, err)
	}
}

func TestNamesBlobOfAClosedStore(t *testing.T) {
	db := openRaw(t)
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := db.NamesBlob(t.Context(), "ab12"); !market.Is(err, market.Unavailable) {
		t.Errorf("%v, want Unavailable", err)
	}
}
