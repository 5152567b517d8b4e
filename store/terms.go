package store

import (
	"cmp"

	"github.com/souk-market/souk/internal/market"
)

// TextOf returns what an agent says at length, empty where it says nothing.
func TextOf(tx Reader, id market.AgentID) (market.AgentText, error) {
	t, err := Texts.Load(tx, id)
	if market.Is(err, market.NotFound) {
		return market.AgentText{Agent: id}, nil
	}
	return t, err
}

// TermsOf returns the terms that an agent with a text is sold under now. It reads the
// operator's pages only for what the text doesn't say.
func TermsOf(tx Reader, a *market.Agent, text *market.AgentText) (market.Terms, error) {
	shop := market.DefaultTerms
	for _, t := range []struct {
		own, page string
		shop      *string
	}{
		{text.Refunds, market.RefundsPage, &shop.Refunds},
		{text.Terms, market.LicensePage, &shop.License},
	} {
		if t.own != "" {
			continue
		}
		page, err := Pages.Load(tx, t.page)
		if err != nil && !market.Is(err, market.NotFound) {
			return shop, err
		}
		*t.shop = cmp.Or(page.Brief, *t.shop)
	}
	return a.Terms(text, shop), nil
}
