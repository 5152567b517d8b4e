package order_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/souk-market/souk/internal/market"
	"github.com/souk-market/souk/store"
)

func (s *stall) write(text market.AgentText, pages ...market.StaticPage) {
	s.t.Helper()
	s.update(func(tx *store.Tx) error {
		err := store.Texts.Put(tx, &text)
		for _, p := range pages {
			err = errors.Join(err, store.Pages.Put(tx, &p))
		}
		return err
	})
}

// TestLinesKeepTheirTerms sells under the marketplace's terms, the operator's and the
// agent's own, and then changes all of them.
func TestLinesKeepTheirTerms(t *testing.T) {
	s, ctx := newStall(t), context.Background()
	cart := s.fill("ada-paid", "bob-paid")
	s.write(market.AgentText{Agent: s.agents["bob-paid"], Terms: "For one team.", Refunds: "Within 60 days."},
		market.StaticPage{Slug: market.RefundsPage, Title: "Refunds", Brief: "Within 30 days."})
	page := s.place(cart)
	s.write(market.AgentText{Agent: s.agents["bob-paid"], Terms: "For nobody.", Refunds: "Never."},
		market.StaticPage{Slug: market.RefundsPage, Title: "Refunds", Brief: "Never."},
		market.StaticPage{Slug: market.LicensePage, Title: "Terms", Brief: "For nobody."})
	s.pay(page, goodCard)
	if err := s.HandleEvent(ctx, s.event()); err != nil {
		t.Fatal(err)
	}
	got := map[string]market.Terms{}
	for _, o := range s.receiptOf(s.only()).Orders {
		got[o.Items[0].Slug] = o.Items[0].SoldUnder()
	}
	if want := (market.Terms{Refunds: "Within 30 days.", License: market.DefaultTerms.License}); got["ada-paid"] != want {
		t.Errorf("the marketplace's terms are %+v, want %+v", got["ada-paid"], want)
	}
	if want := (market.Terms{Refunds: "Within 60 days.", License: "For one team."}); got["bob-paid"] != want {
		t.Errorf("the agent's own terms are %+v, want %+v", got["bob-paid"], want)
	}
}

// TestTermsAreThoseThatTheCheckoutShowed: a page that shows other terms than those of now
// places nothing.
func TestTermsAreThoseThatTheCheckoutShowed(t *testing.T) {
	s := newStall(t)
	shown := s.placement(s.fill("ada-paid"))
	s.write(market.AgentText{Agent: s.agents["ada-paid"], Refunds: "Never."})
	if _, err := s.Place(context.Background(), shown); !market.Is(err, market.Conflict) {
		t.Errorf("placed under terms that the page didn't show: %v", err)
	}
	if _, err := s.Place(context.Background(), s.placement(shown.Cart)); err != nil {
		t.Error(err)
	}
}

// TestAFullCartOfTheLongestListingsIsSold: their order is within the store's limits.
func TestAFullCartOfTheLongestListingsIsSold(t *testing.T) {
	s := newStall(t)
	long := func(n int) string { return strings.Repeat("x", n) }
	includes := make([]string, market.MaxIncludes)
	for i := range includes {
		includes[i] = long(market.MaxOfferText)
	}
	var slugs []string
	s.update(func(tx *store.Tx) error {
		like, err := store.AgentBySlug.Load(tx, "ada-paid")
		if err != nil {
			return err
		}
		slugs = nil
		for i := range market.MaxCartLines {
			a := like
			a.ID, a.Slug, a.Name = market.NewAgentID(tx.Now()), fmt.Sprintf("%02d%s", i, long(market.MaxSlug-2)), long(market.MaxName)
			a.Offer.Name, a.Offer.Includes, a.Release.Version, a.Release.File.Name = long(market.MaxOfferText), includes, long(64), long(market.MaxName)
			text := market.AgentText{Agent: a.ID, Terms: long(market.MaxTerms), Refunds: long(market.MaxTerms)}
			if err := errors.Join(store.Agents.Put(tx, &a), store.Texts.Put(tx, &text)); err != nil {
				return err
			}
			s.agents[a.Slug], slugs = a.ID, append(slugs, a.Slug)
		}
		return nil
	})
	s.place(s.fill(slugs...))
}
