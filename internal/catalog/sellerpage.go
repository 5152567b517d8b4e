package catalog

import (
	"cmp"
	"slices"

	"github.com/souk-market/souk/internal/market"
	"github.com/souk-market/souk/store"
)

// SellerPage is what a seller's page shows of them.
type SellerPage struct {
	market.Seller
	Agents []Listing     // published, the most popular first
	Rating market.Rating // of all of Agents
	// More: the seller has so many listings that Agents and Rating are of some of them.
	// Search, with the seller as a filter, has all.
	More bool
}

// MaxSellerAgents is how many listings of a seller are looked at for their page.
const MaxSellerAgents = 200

// SellerPageOf returns the page of the seller with a slug, or NotFound.
func SellerPageOf(tx store.Reader, slug string) (p SellerPage, err error) {
	if p.Seller, err = store.SellerBySlug.Load(tx, slug); err != nil {
		return p, err
	}
	looked := 0
	for row, err := range store.AgentsOfSeller.Scan(tx, p.ID, "") {
		if err != nil {
			return p, err
		}
		if looked++; looked > MaxSellerAgents {
			p.More = true
			break
		}
		if a := row.Record; a.Visible() {
			p.Agents = append(p.Agents, Listing{a, p.Seller})
			p.Rating = p.Rating.Plus(a.Rating)
		}
	}
	slices.SortFunc(p.Agents, func(a, b Listing) int {
		return cmp.Or(cmp.Compare(b.Popularity, a.Popularity), cmp.Compare(a.ID, b.ID))
	})
	return p, nil
}
