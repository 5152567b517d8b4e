package order_test

import (
	"context"
	"strings"
	"sync"
	"testing"

	"github.com/souk-market/souk/internal/market"
	"github.com/souk-market/souk/internal/order"
	"github.com/souk-market/souk/payments"
	"github.com/souk-market/souk/store"
)

// TestTwoTabsAreOnePayment checks the same cart out on several pages at once: a buyer who
// pays on each of them has paid once.
func TestTwoTabsAreOnePayment(t *testing.T) {
	s := newStall(t)
	cart := s.fill("ada-paid", "bob-odd", "ada-free")
	var wg sync.WaitGroup
	pages := make([]string, 4)
	for i := range pages {
		p := s.placement(cart) // each page with its own token
		wg.Go(func() {
			var err error
			if pages[i], err = s.Place(context.Background(), p); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	for _, page := range pages {
		if page != pages[0] {
			t.Fatalf("sent to %s and %s, want one page", pages[0], page)
		}
		s.pay(page, goodCard)
	}
	if err := s.HandleEvent(context.Background(), s.event()); err != nil {
		t.Fatal(err)
	}
	s.wantSettledOnce()
}

// TestCheckoutIsNotReopened names what makes a second page of the same cart a checkout of
// its own.
func TestCheckoutIsNotReopened(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(s *stall, cart market.CartID)
		email  string
	}{
		{"another address", func(*stall, market.CartID) {}, "ada@example.com"},
		{"another line", func(s *stall, cart market.CartID) {
			if _, _, err := s.Add(context.Background(), cart, s.agents["bob-odd"], ""); err != nil {
				s.t.Fatal(err)
			}
		}, ""},
		{"another release", func(s *stall, _ market.CartID) {
			s.change("ada-paid", func(a *market.Agent) { a.Release.Version = "2.0.0" })
		}, ""},
		{"another price", func(s *stall, _ market.CartID) {
			s.change("ada-paid", func(a *market.Agent) { a.Offer.Price.Amount = 1000 })
		}, ""},
		{"expired", func(s *stall, _ market.CartID) {
			ch := s.only()
			session := payments.Session{Reference: ch.ID, Amount: ch.Total, Status: payments.SessionExpired, ID: s.receiptOf(ch).Payment.Session}
			if err := s.HandleEvent(context.Background(), payments.Event{ID: "evt_x", Type: payments.EventSessionExpired, Session: session}); err != nil {
				s.t.Fatal(err)
			}
		}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newStall(t)
			cart := s.fill("ada-paid")
			first := s.place(cart)
			c.change(s, cart)
			p := s.placement(cart)
			if c.email != "" {
				p.Email = c.email
			}
			second, err := s.Place(context.Background(), p)
			if err != nil || second == first {
				t.Errorf("sent to %q (%v), want another page than the first", second, err)
			}
		})
	}
}

// change changes a listing, as its seller would.
func (s *stall) change(slug string, fn func(*market.Agent)) {
	s.t.Helper()
	s.update(func(tx *store.Tx) error {
		a, err := store.Agents.Load(tx, s.agents[slug])
		if err != nil {
			return err
		}
		fn(&a)
		return store.Agents.Put(tx, &a)
	})
}

// TestPageOfAnotherCart covers a cart that another tab changes between the page and its
// button: the total alone would let it through.
func TestPageOfAnotherCart(t *testing.T) {
	ctx := context.Background()
	for _, c := range []struct{ name, shown, held string }{
		{"same price", "ada-paid", "bob-paid"},
		{"both free", "ada-free", "bob-free"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newStall(t)
			cart := s.fill(c.shown)
			p := s.placement(cart)
			if _, err := s.Remove(ctx, cart, s.agents[c.shown]); err != nil {
				t.Fatal(err)
			}
			if _, _, err := s.Add(ctx, cart, s.agents[c.held], ""); err != nil {
				t.Fatal(err)
			}
			if next, err := s.Place(ctx, p); !market.Is(err, market.Conflict) {
				t.Fatalf("Place = %q, %v, want Conflict", next, err)
			}
			now, err := s.Cart(ctx, cart)
			if err != nil {
				t.Fatal(err)
			}
			p.Token = order.PageToken(p.Token, &now) // as the page is shown again
			if _, err := s.Place(ctx, p); err != nil {
				t.Errorf("confirmed again: %v", err)
			}
		})
	}
}

func TestDamagedPageToken(t *testing.T) {
	s := newStall(t)
	cart := s.fill("ada-paid")
	for _, token := range []string{"", ".", "short", "short.0123456789abcdef"} {
		p := s.placement(cart)
		p.Token = token
		if _, err := s.Place(context.Background(), p); !market.Is(err, market.Invalid) {
			t.Errorf("Place with token %q: %v, want Invalid", token, err)
		}
	}
}

// TestGoneFromTheCart covers what can't be sold any more by the time of the button: the
// buyer is told once, and then buys the rest.
func TestGoneFromTheCart(t *testing.T) {
	ctx := context.Background()
	for _, c := range []struct {
		name   string
		change func(*market.Agent)
	}{
		{"unpublished", func(a *market.Agent) { a.State = market.ListingDraft }},
		{"another offer", func(a *market.Agent) { a.Offer.ID = "off_other" }},
		{"another currency", func(a *market.Agent) { a.Offer.Price.Currency = "EUR" }},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newStall(t)
			cart := s.fill("ada-paid", "bob-odd")
			p := s.placement(cart)
			s.change("ada-paid", c.change)
			if _, err := s.Place(ctx, p); !market.Is(err, market.Conflict) || !strings.Contains(err.Error(), "ada-paid") {
				t.Fatalf("Place = %v, want Conflict about ada-paid", err)
			}
			s.pay(s.place(cart), goodCard) // the page shown again, with what is left
			if err := s.HandleEvent(ctx, s.event()); err != nil {
				t.Fatal(err)
			}
			r := s.receiptOf(s.only())
			if r.State != market.GroupFulfilled || r.Checkout.Total.Amount != 333 {
				t.Errorf("%s of %s, want bob-odd alone", r.State, r.Checkout.Total)
			}
			if left, err := s.Cart(ctx, cart); err != nil || len(left.Gone)+len(left.Lines) > 0 {
				t.Errorf("left in the cart: %v, %v (%v)", left.Lines, left.Gone, err)
			}
		})
	}
}
