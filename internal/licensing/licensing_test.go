package licensing_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/souk-market/souk/internal/licensing"
	"github.com/souk-market/souk/internal/market"
	"github.com/souk-market/souk/store"
	"github.com/souk-market/souk/store/storetest"
)

// TestValidate asks about a key of each state in the ways in which people copy keys.
func TestValidate(t *testing.T) {
	at := time.Unix(1_790_000_000, 0)
	for _, c := range []struct {
		state market.LicenseState
		want  licensing.Code
	}{
		{market.LicenseActive, licensing.Valid},
		{market.LicenseSuspended, licensing.Suspended},
		{market.LicenseExpired, licensing.Expired},
		{market.LicenseRevoked, licensing.Revoked},
	} {
		t.Run(string(c.state), func(t *testing.T) {
			ctx := context.Background()
			db, err := store.Open(store.Options{Dir: t.TempDir()}) // without Check: a licence alone is no sale
			if err != nil {
				t.Fatal(err)
			}
			defer db.Close()
			key := market.NewLicenseKey()
			agent := market.Agent{ID: market.NewAgentID(at), Slug: "a", Name: "a", State: market.ListingPublished}
			_, err = db.Update(ctx, market.MainTenant, store.Op{}, func(tx *store.Tx) error {
				if err := store.Agents.Insert(tx, &agent); err != nil {
					return err
				}
				return store.Licenses.Insert(tx, &market.License{
					ID: market.NewLicenseID(at), Agent: agent.ID, Key: key, KeyHash: market.HashLicenseKey(key), State: c.state, Issued: at,
				})
			})
			if err != nil {
				t.Fatal(err)
			}
			desk := licensing.Desk{Store: db, Tenant: market.MainTenant}
			for _, typed := range []string{
				key, strings.ToLower(key), " " + key + "\n", strings.ReplaceAll(key, "-", ""), strings.ReplaceAll(key, "-", " "),
				"SOUK" + strings.NewReplacer("0", "O", "1", "l").Replace(strings.TrimPrefix(key, "SOUK")),
			} {
				v, err := desk.Validate(ctx, typed)
				if err != nil || v.Code != c.want || v.Agent == nil || v.Agent.ID != agent.ID || v.Detail == "" {
					t.Errorf("Validate(%q) = %+v, %v, want %s", typed, v, err, c.want)
				}
				if v.Valid() != (c.want == licensing.Valid) {
					t.Errorf("%s is valid: %v", v.Code, v.Valid())
				}
			}
		})
	}
}

// TestValidateUnknown gives the same answer to whatever is no key of ours.
func TestValidateUnknown(t *testing.T) {
	desk := licensing.Desk{Store: storetest.Open(t), Tenant: market.MainTenant}
	for _, typed := range []string{"", "SOUK", market.NewLicenseKey(), market.NewLicenseKey() + "0", "\x00", "\xff\xfe", strings.Repeat("A", 10_000)} {
		v, err := desk.Validate(context.Background(), typed)
		if err != nil || v.Code != licensing.NotFound || v.Agent != nil {
			t.Errorf("Validate(%.40q) = %+v, %v, want NOT_FOUND", typed, v, err)
		}
	}
}

// TestValidateFailsRatherThanGuesses: a licence that this binary can't judge is neither
// valid nor invalid.
func TestValidateFailsRatherThanGuesses(t *testing.T) {
	at := time.Unix(1_790_000_000, 0)
	agent := market.Agent{ID: "agt_1", Slug: "a", State: market.ListingPublished}
	for name, change := range map[string]func(l *market.License){
		"a state of a newer binary": func(l *market.License) { l.State = "on_hold" },
		"no state":                  func(l *market.License) { l.State = "" },
		"an agent that isn't there": func(l *market.License) { l.Agent = "agt_gone" },
	} {
		t.Run(name, func(t *testing.T) {
			db, err := store.Open(store.Options{Dir: t.TempDir()})
			if err != nil {
				t.Fatal(err)
			}
			defer db.Close()
			key := market.NewLicenseKey()
			l := market.License{ID: market.NewLicenseID(at), Agent: agent.ID, Key: key, KeyHash: market.HashLicenseKey(key), State: market.LicenseActive}
			change(&l)
			_, err = db.Update(t.Context(), market.MainTenant, store.Op{}, func(tx *store.Tx) error {
				return errors.Join(store.Agents.Insert(tx, &agent), store.Licenses.Insert(tx, &l))
			})
			if err != nil {
				t.Fatal(err)
			}
			desk := licensing.Desk{Store: db, Tenant: market.MainTenant}
			if v, err := desk.Validate(t.Context(), key); !market.Is(err, market.Internal) || v.Valid() || v.Code != "" || v.Agent != nil {
				t.Errorf("%+v, %v, want an internal error only", v, err)
			}
			other := licensing.Desk{Store: db, Tenant: "ten_other"}
			if v, err := other.Validate(t.Context(), key); err != nil || v.Code != licensing.NotFound {
				t.Errorf("another marketplace says %+v, %v, want NOT_FOUND", v, err)
			}
		})
	}
}
