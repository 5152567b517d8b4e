package market

import "cmp"

// Terms are what a sale is made under, in plain text: how the buyer gets their money back,
// and what they may do with what they bought. An agent's page shows them as they are, and an
// order's line keeps them as they were.
type Terms struct {
	Refunds string `cbor:"refunds,omitempty"`
	License string `cbor:"license,omitempty"`
}

// MaxTerms bounds each text of Terms, in bytes: with it an order of MaxCartLines lines, each
// as long as may be, is a record that the store takes.
const MaxTerms = 500

// The operator's pages whose Brief are the marketplace's own terms.
const (
	RefundsPage = "refunds"
	LicensePage = "terms"
)

// DefaultTerms are those of a marketplace whose operator has written none, in the words of
// catalog's default pages.
var DefaultTerms = Terms{
	Refunds: "Ask for your money back within 14 days if the download doesn't do what its page says.",
	License: "You may use the agent yourself on any of your own machines, and not pass it on.",
}

// registryLicense is said of an agent of a registry that has no terms of its own: the
// marketplace's don't hold for it.
const registryLicense = "The agent remains under the licence that it has where it comes from."

// Terms are those that the agent is sold under: its own, and for what it doesn't say the
// marketplace's.
func (a *Agent) Terms(own *AgentText, shop Terms) Terms {
	if a.ExternalID != "" {
		shop.License = registryLicense
	}
	return Terms{Refunds: cmp.Or(own.Refunds, shop.Refunds), License: cmp.Or(own.Terms, shop.License)}
}

// SoldUnder are the terms that the line was sold under. A line from before they were kept
// has the refunds that all had then, and nothing is known of its licence.
func (l *Line) SoldUnder() Terms {
	if l.Terms == (Terms{}) {
		return Terms{Refunds: DefaultTerms.Refunds}
	}
	return l.Terms
}
