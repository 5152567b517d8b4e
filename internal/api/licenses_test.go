package api

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/souk-market/souk/internal/market"
	"github.com/souk-market/souk/store"
)

// sell gives the agent with a slug a paid order whose licence is in a state, and returns
// the key.
func (s *shelf) sell(slug string, state market.LicenseState) (key string) {
	s.t.Helper()
	key = market.NewLicenseKey()
	s.update(func(tx *store.Tx) error {
		a, err := store.AgentBySlug.Load(tx, slug)
		if err != nil {
			return err
		}
		o := market.Order{
			ID: market.NewOrderID(firstLight), Checkout: market.NewCheckoutID(firstLight), Seller: a.Seller, State: market.OrderPaid,
			Lines: []market.Line{{ID: market.NewLineID(firstLight), Agent: a.ID, Release: a.Release, License: true}},
		}
		ch := market.Checkout{
			ID: o.Checkout, Number: market.NewOrderNumber(), Receipt: market.NewSecret(), State: market.CheckoutCompleted,
			Orders: []market.OrderID{o.ID},
		}
		e := market.Entitlement{
			ID: market.NewEntitlementID(firstLight), Checkout: ch.ID, Order: o.ID, Line: o.Lines[0].ID, Agent: a.ID,
			State: market.EntitlementActive, License: market.NewLicenseID(firstLight),
		}
		l := market.License{
			ID: e.License, Entitlement: e.ID, Agent: a.ID, Key: key, KeyHash: market.HashLicenseKey(key), State: state, Issued: firstLight,
		}
		if err := store.Blobs.Put(tx, &market.Blob{SHA256: a.Release.File.SHA256, Size: a.Release.File.Size}); err != nil {
			return err
		}
		if err := store.Checkouts.Insert(tx, &ch); err != nil {
			return err
		}
		if err := store.Orders.Insert(tx, &o); err != nil {
			return err
		}
		if err := store.Entitlements.Insert(tx, &e); err != nil {
			return err
		}
		return store.Licenses.Insert(tx, &l)
	})
	return key
}

func (s *shelf) validate(key string) reply {
	s.t.Helper()
	body, err := json.Marshal(map[string]string{"key": key})
	if err != nil {
		s.t.Fatal(err)
	}
	return s.send("POST", "/api/v1/licenses/validate", string(body))
}

func TestValidate(t *testing.T) {
	s := newShelf(t)
	for state, code := range map[market.LicenseState]string{
		market.LicenseActive: "VALID", market.LicenseSuspended: "SUSPENDED",
		market.LicenseExpired: "EXPIRED", market.LicenseRevoked: "REVOKED",
	} {
		r := s.validate(s.sell("crewai", state))
		var got Validation
		s.decode(r, &got)
		if r.StatusCode != http.StatusOK || got.Valid != (code == "VALID") || string(got.Code) != code || !strings.HasSuffix(got.Detail, ".") {
			t.Errorf("%s: %s %s", state, r.Status, r.body)
		}
		if got.Agent == nil || got.Agent.Slug != "crewai" || got.Agent.Name != "crewai" || !strings.HasPrefix(string(got.Agent.ID), "agt_") {
			t.Errorf("%s: agent %+v", state, got.Agent)
		}
		if r.Header.Get("Cache-Control") != "no-store" || r.Header.Get("Etag") != "" {
			t.Errorf("%s: the answer may be kept: %v", state, r.Header)
		}
	}
}

func TestValidateForgives(t *testing.T) {
	s := newShelf(t)
	key := s.sell("aider-chat", market.LicenseActive)
	for _, typed := range []string{strings.ToLower(key), " " + key + "\n", strings.ReplaceAll(key, "-", ""), strings.ReplaceAll(key, "-", " - ")} {
		var got Validation
		s.decode(s.validate(typed), &got)
		if !got.Valid {
			t.Errorf("%q: %+v", typed, got)
		}
	}
}

func TestValidateUnknown(t *testing.T) {
	s := newShelf(t)
	s.sell("aider-chat", market.LicenseActive)
	want := map[string]any{"valid": false, "code": "NOT_FOUND", "detail": "There is no such key. Check it for typing errors."}
	for _, key := range []string{market.NewLicenseKey(), "SOUK", "x", "\x00", "<script>", "كلمة"} {
		r := s.validate(key)
		var got map[string]any
		s.decode(r, &got)
		if diff := cmp.Diff(want, got); diff != "" || r.StatusCode != http.StatusOK {
			t.Errorf("%q: %s\n-want +got:\n%s", key, r.Status, diff)
		}
	}
}

func TestValidateIsLimited(t *testing.T) {
	s := newShelf(t)
	for range validateBurst {
		if r := s.validate("x"); r.StatusCode != http.StatusOK {
			t.Fatalf("within the burst: %s", r.Status)
		}
	}
	r := s.validate("x")
	p := s.problem(r)
	if r.StatusCode != http.StatusTooManyRequests || r.Header.Get("Retry-After") != "1" || !strings.Contains(p.Detail, "Retry-After") {
		t.Errorf("after the burst: %s, Retry-After %q, %s", r.Status, r.Header.Get("Retry-After"), r.body)
	}
	s.get("/api/v1/agents", new(AgentList)) // others are not limited
	s.wait(1500 * time.Millisecond)
	if r := s.validate("x"); r.StatusCode != http.StatusOK {
		t.Errorf("a second later: %s", r.Status)
	}
	if r := s.validate("x"); r.StatusCode != http.StatusTooManyRequests {
		t.Errorf("and at once again: %s", r.Status)
	}
}
