package catalog_test

import (
	"context"
	"maps"
	"os"
	"testing"

	"github.com/souk-market/souk/internal/market"
)

// TestAttributes: an agent says what is declared, of its kind, and what isn't any more is
// shown and exported no more.
func TestAttributes(t *testing.T) {
	s, ctx := newStand(t), context.Background()
	s.mustLoad(t, sample())
	op := &market.Account{Roles: []market.Role{market.RoleOperator}}
	id := detail(t, s.Catalog, "csv-desk").ID
	said := func() map[string]string {
		values := map[string]string{}
		for _, v := range detail(t, s.Catalog, "csv-desk").Said {
			values[string(v.Name)] = v.Value
		}
		return values
	}
	for name, wrong := range map[string]map[string]string{
		"unknown": {"colour": "red"}, "no number": {"seats": "many"}, "no yes or no": {"certified": "Yes"}, "no choice": {"region": "eu"},
	} {
		if err := s.SetAttributes(ctx, op, id, wrong); !market.Is(err, market.Invalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := s.SetAttributes(ctx, &market.Account{ID: "acc_1"}, id, nil); !market.Is(err, market.NotFound) {
		t.Errorf("another's agent: %v", err)
	}
	if err := s.SetAttributes(ctx, op, id, map[string]string{"seats": " 12.5 ", "certified": ""}); err != nil {
		t.Fatal(err)
	}
	if got, want := said(), (map[string]string{"region": "EU", "seats": "12.5"}); !maps.Equal(got, want) {
		t.Errorf("it says %v, want %v", got, want)
	}
	if err := s.RemoveAttribute(ctx, op, "seats"); err != nil {
		t.Fatal(err)
	}
	if err := s.PutAttribute(ctx, op, market.Attribute{Name: "region", Title: "Region", Kind: market.AttributeChoice, Choices: []string{"Asia"}}); err != nil {
		t.Fatal(err)
	}
	if got := said(); len(got) > 0 {
		t.Errorf("it says %v of what isn't asked any more", got)
	}
	dir, _ := s.export(t)
	newStand(t).mustLoad(t, os.DirFS(dir)) // which has nothing that it refuses
	for _, refused := range []error{s.RemoveAttribute(ctx, &market.Account{}, "region"), s.PutAttribute(ctx, &market.Account{}, market.Attribute{})} {
		if !market.Is(refused, market.Forbidden) {
			t.Errorf("not the operator: %v", refused)
		}
	}
	if err := s.RemoveAttribute(ctx, op, "seats"); !market.Is(err, market.NotFound) {
		t.Errorf("removed twice: %v", err)
	}
}
