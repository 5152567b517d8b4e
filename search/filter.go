package search

import (
	"slices"

	"github.com/RoaringBitmap/roaring/v2"
	"github.com/souk-market/souk/internal/market"
)

// Filters narrow a query. An agent passes if it passes every field; values of one field
// are alternatives, except those of Without, which must all hold. Empty fields pass all.
type Filters struct {
	Categories []market.Category // with their sub-categories
	Tags       []market.Tag
	Price      []PriceBand
	Types      []Type
	Runtimes   []string
	Without    []market.Permission // declared, and does not use it
	MinRating  int                 // mean stars at least, 1 to 5; 0 for all
	Verified   bool                // of a seller whom the operator knows
	Seller     market.SellerID
}

// PriceBand is a range of an agent's lowest price, in major units of its currency.
type PriceBand string

const (
	PriceFree    PriceBand = "free"
	PriceUnder10 PriceBand = "under-10" // above 0 and below 10
	Price10To50  PriceBand = "10-50"    // 10 to 50, both included
	PriceOver50  PriceBand = "over-50"
)

// PriceBands are all bands, the cheapest first.
var PriceBands = []PriceBand{PriceFree, PriceUnder10, Price10To50, PriceOver50}

// Type is what a sale of an agent gives. An agent with several offers may be of both.
type Type string

const (
	TypeDownload Type = "download" // an offer without a licence key
	TypeLicense  Type = "license"  // an offer with one
)

// Types are all types.
var Types = []Type{TypeDownload, TypeLicense}

// Names of facets: the parameters of a search's address.
const (
	FacetCategory = "category"
	FacetPrice    = "price"
	FacetType     = "type"
	FacetRuntime  = "runtime"
	FacetWithout  = "without"
	FacetRating   = "rating"
	FacetVerified = "verified"
)

// Facet counts what each value of one filter would find beside all other filters: its own
// values are set aside, except those of without, which add up. A choice that finds nothing
// is left out.
type Facet struct {
	Param   string
	Choices []Choice
}

// Choice is one value of a facet. Of rating, "4" counts what has four stars or more; of
// verified there is only "yes". A category counts its sub-categories' agents too.
type Choice struct {
	Value string
	Count int
}

// Facet returns the choices of a facet; none if it wasn't asked for.
func (r *Results) Facet(param string) []Choice {
	i := slices.IndexFunc(r.Facets, func(f Facet) bool { return f.Param == param })
	if i < 0 {
		return nil
	}
	return r.Facets[i].Choices
}

// maxChosen bounds the values of one filter.
const maxChosen = 32

// check applies the limits.
func (f *Filters) check() error {
	for _, n := range []int{len(f.Categories), len(f.Tags), len(f.Price), len(f.Types), len(f.Runtimes), len(f.Without)} {
		if n > maxChosen {
			return market.FieldErrorf("q", "A filter can have up to %d values. Please leave out some.", maxChosen)
		}
	}
	if f.MinRating < 0 || f.MinRating > 5 {
		return market.FieldErrorf("rating", "A rating is a number of stars from 1 to 5.")
	}
	for _, p := range f.Price {
		if !slices.Contains(PriceBands, p) {
			return market.FieldErrorf("price", "Prices can be %q, %q, %q or %q.", PriceFree, PriceUnder10, Price10To50, PriceOver50)
		}
	}
	for _, t := range f.Types {
		if !slices.Contains(Types, t) {
			return market.FieldErrorf("type", "Agents are of type %q or %q.", TypeDownload, TypeLicense)
		}
	}
	for _, p := range f.Without {
		if !slices.Contains(market.Permissions, p) {
			return market.FieldErrorf("without", "%q is no permission. There are network, files, shell, browser and secrets.", p)
		}
	}
	return nil
}

// rowsWith are the live rows whose tag, category or seller has a value, as addresses have
// it.
func (s *searcher) rowsWith(field, value string) rowSet {
	slug := market.Slug(value)
	set := make(rowSet, len(s.view.segs))
	for i := range s.view.segs {
		seg := &s.view.segs[i]
		set[i] = none
		if live := seg.live[s.tenant]; live != nil {
			set[i] = roaring.And(live, seg.with(field, slug))
		}
	}
	return set
}

func (c *columns) with(field, slug string) *roaring.Bitmap {
	rows := roaring.New()
	switch field {
	case "tag":
		if n, ok := slices.BinarySearch(c.tags.values, market.Tag(slug)); ok {
			rows.AddMany(c.tags.of(n))
		}
	case "seller":
		for n, seller := range c.sellers.values {
			if seller.slug != "" && (seller.slug == slug || c.sellerNames[n] == slug) {
				rows.AddMany(c.sellers.of(n))
			}
		}
	case "category":
		wanted := make([]bool, len(c.profiles))
		for i := range c.profiles {
			wanted[i] = market.Slug(c.profiles[i].profile.category) == slug
		}
		for row, p := range c.profile {
			if wanted[p] {
				rows.Add(uint32(row))
			}
		}
	}
	return rows
}
