package catalog

import (
	"github.com/souk-market/souk/internal/market"
)

// newAlias is an alias in the form that is stored.
func newAlias(alias, tag market.Tag) (market.TagAlias, error) {
	a := market.TagAlias{Alias: market.Tag(market.Slug(string(alias))), Tag: market.Tag(market.Slug(string(tag)))}
	if a.Alias == "" || a.Tag == "" || a.Alias == a.Tag || len(a.Alias) > market.MaxTagLen || len(a.Tag) > market.MaxTagLen {
		return a, market.FieldErrorf("tag", "An alias is one tag of 1 to %d bytes that stands for another.", market.MaxTagLen)
	}
	return a, nil
}
