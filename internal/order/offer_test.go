package order_test

import (
	"context"
	"slices"
	"testing"

	"github.com/souk-market/souk/internal/market"
)

// team is a second way to buy an agent.
var team = market.Offer{
	ID: "off_team", Name: "Team", Price: market.Money{Amount: 4900, Currency: "USD"}, License: true, Includes: []string{"Five seats", "A year of updates"},
}

// withTeam is a stall where ada-free can also be bought for a team.
func withTeam(t *testing.T) *stall {
	s := newStall(t)
	s.change("ada-free", func(a *market.Agent) { a.Offer.Name, a.Also = "Alone", []market.Offer{team} })
	return s
}

func TestALineIsOneOfSeveralOffers(t *testing.T) {
	s, ctx := withTeam(t), context.Background()
	cart, _, err := s.Add(ctx, "", s.agents["ada-free"], "off_team")
	if err != nil {
		t.Fatal(err)
	}
	c, err := s.Cart(ctx, cart)
	if err != nil || len(c.Lines) != 1 || c.Lines[0].Offer.ID != "off_team" || c.Total != team.Price {
		t.Fatalf("%+v, %v", c, err)
	}
	page := s.place(cart)
	s.change("ada-free", func(a *market.Agent) { // later changes don't touch what was ordered
		a.Also[0].Name, a.Also[0].Includes, a.Also[0].Price.Amount = "Crew", []string{"Nothing"}, 1
	})
	s.pay(page, goodCard)
	if err := s.HandleEvent(ctx, s.event()); err != nil {
		t.Fatal(err)
	}
	line := s.receiptOf(s.only()).Orders[0].Items[0]
	if line.Offer != "off_team" || line.OfferName != "Team" || !slices.Equal(line.Includes, team.Includes) || line.Price != team.Price || line.License == nil {
		t.Errorf("the line is %+v", line)
	}
}

func TestAnotherOfferTakesTheLine(t *testing.T) {
	s, ctx := withTeam(t), context.Background()
	cart := s.fill("ada-free", "bob-odd")
	id, n, err := s.Add(ctx, cart, s.agents["ada-free"], "off_team")
	if err != nil || id != cart || n != 2 {
		t.Fatalf("%d lines, %v", n, err)
	}
	if c, err := s.Cart(ctx, cart); err != nil || c.Total.Amount != 4900+333 {
		t.Errorf("%s, %v", c.Total, err)
	}
	if _, _, err := s.Add(ctx, cart, s.agents["ada-free"], "off_nobody"); !market.Is(err, market.NotFound) {
		t.Errorf("an offer of nobody's: %v", err)
	}
	s.change("ada-free", func(a *market.Agent) { a.Also = nil })
	if c, err := s.Cart(ctx, cart); err != nil || len(c.Gone) != 1 || c.Total.Amount != 333 {
		t.Errorf("after the offer went: %+v, %v", c, err)
	}
}

func TestUnlistedAgentsAreSoldToWhoHasTheAddress(t *testing.T) {
	s := newStall(t)
	s.change("ada-free", func(a *market.Agent) { a.State = market.ListingUnlisted })
	s.place(s.fill("ada-free"))
	if s.only().State != market.CheckoutCompleted {
		t.Errorf("the checkout is %s", s.only().State)
	}
}
