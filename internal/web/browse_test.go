package web

import (
	"slices"
	"testing"

	"github.com/souk-market/souk/internal/catalog"
	"github.com/souk-market/souk/internal/market"
)

func TestTriesAreOfTheCatalogue(t *testing.T) {
	listing := func(name string, tags ...market.Tag) catalog.Listing {
		return catalog.Listing{Agent: market.Agent{Name: name, Tags: tags}}
	}
	got := tries(catalog.Home{
		Picks:   []catalog.Listing{listing("Keyhole", "style-guide", "email"), listing("Other", "style-guide")},
		Popular: []catalog.Listing{listing("a name that is longer than a button"), listing("openai"), listing("Desk", "csv"), listing("More", "pdf")},
	})
	if want := []string{"style guide", "openai", "csv"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}
