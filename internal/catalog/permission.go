package catalog

import (
	"github.com/souk-market/souk/internal/market"
	"github.com/souk-market/souk/store"
)

// ownAgent returns an agent that an account may change: its seller's person, or the
// operator. For others there is no such agent.
func ownAgent(tx store.Reader, who *market.Account, id market.AgentID) (market.Agent, error) {
	a, err := store.Agents.Load(tx, id)
	if err != nil {
		return a, err
	}
	owns, err := ownsSeller(tx, who, a.Seller)
	if err == nil && !owns && !who.Has(market.RoleOperator) {
		err = noAgent()
	}
	return a, err
}

// ownsSeller reports whether an account is a seller.
func ownsSeller(tx store.Reader, who *market.Account, id market.SellerID) (bool, error) {
	s, err := store.Sellers.Load(tx, id)
	return err == nil && who.ID != "" && s.Account == who.ID, err
}

// operatorOnly is Forbidden for everybody but the operator.
func operatorOnly(who *market.Account) error {
	if who.Has(market.RoleOperator) {
		return nil
	}
	return market.Errorf(market.Forbidden, "Only the operator of the marketplace may do this.")
}
