package order

import (
	"context"
	"slices"

	"github.com/souk-market/souk/internal/market"
	"github.com/souk-market/souk/store"
)

// Cart is a cart as its owner sees it now: prices and sellers are read afresh.
type Cart struct {
	ID    market.CartID
	Lines []CartLine
	Total market.Money
	// Gone are the names of agents that can no longer be bought; they are not in Lines.
	Gone []string
}

// CartLine is a line of a Cart.
type CartLine struct {
	Agent  market.Agent
	Offer  market.Offer // of the agent's
	Seller market.Seller
	Terms  market.Terms // that it is sold under
}

// Cart returns what is in a cart; an unknown one is empty.
func (s *Shop) Cart(ctx context.Context, id market.CartID) (c Cart, err error) {
	err = s.Store.View(ctx, s.Tenant, func(tx *store.ReadTx) error {
		c, err = s.cart(tx, id)
		return err
	})
	return c, err
}

func (s *Shop) cart(tx store.Reader, id market.CartID) (Cart, error) {
	rec, err := loadCart(tx, id)
	if err != nil {
		return Cart{}, err
	}
	c, err := s.present(tx, &rec)
	c.ID = id
	return c, err
}

// present reads what a stored cart holds as it is sold now.
func (s *Shop) present(tx store.Reader, rec *market.Cart) (Cart, error) {
	c := Cart{ID: rec.ID, Total: market.Money{Currency: s.Currency}}
	for _, l := range rec.Lines {
		a, err := store.Agents.Load(tx, l.Agent)
		if err != nil && !market.Is(err, market.NotFound) {
			return c, err
		}
		o, sold := a.OfferNamed(l.Offer)
		if err != nil || !a.Listed() || !sold || !s.takes(o.Price) {
			c.Gone = append(c.Gone, cmpName(a.Name))
			continue
		}
		seller, err := store.Sellers.Load(tx, a.Seller)
		if err != nil {
			return c, err
		}
		terms, err := termsOf(tx, &a)
		if err != nil {
			return c, err
		}
		if c.Total, err = c.Total.Add(market.Money{Amount: o.Price.Amount, Currency: s.Currency}); err != nil {
			return c, err
		}
		c.Lines = append(c.Lines, CartLine{a, o, seller, terms})
	}
	return c, nil
}

func termsOf(tx store.Reader, a *market.Agent) (market.Terms, error) {
	text, err := store.TextOf(tx, a.ID)
	if err != nil {
		return market.Terms{}, err
	}
	return store.TermsOf(tx, a, &text)
}

// takes reports whether the marketplace sells at a price: in its currency, or for nothing.
func (s *Shop) takes(price market.Money) bool { return price.IsZero() || price.Currency == s.Currency }

// dropGone takes what can no longer be bought out of a stored cart. The pages leave it
// out before that, and say so until the buyer next changes the cart or buys it.
func (s *Shop) dropGone(tx store.Reader, rec *market.Cart) error {
	c, err := s.present(tx, rec)
	if err != nil {
		return err
	}
	rec.Lines = slices.DeleteFunc(rec.Lines, func(l market.CartLine) bool {
		return !slices.ContainsFunc(c.Lines, func(cl CartLine) bool { return cl.Agent.ID == l.Agent })
	})
	return nil
}

func cmpName(name string) string {
	if name == "" {
		return "An agent"
	}
	return name
}

// loadCart returns a stored cart, an empty one when there is none.
func loadCart(tx store.Reader, id market.CartID) (market.Cart, error) {
	if id == "" {
		return market.Cart{}, nil
	}
	rec, err := store.Carts.Load(tx, id)
	if market.Is(err, market.NotFound) {
		return market.Cart{ID: id}, nil
	}
	return rec, err
}

// Add puts an offer of an agent ("" is the first) into a cart, making the cart when id is
// empty or unknown, and returns the cart's ID and number of lines. Another offer of the
// agent leaves the cart for it. Errors: NotFound, Conflict for an offer in another currency
// and for a full cart.
func (s *Shop) Add(ctx context.Context, id market.CartID, agent market.AgentID, offer market.OfferID) (market.CartID, int, error) {
	fresh := market.NewCartID()
	n := 0
	_, err := s.Store.Update(ctx, s.Tenant, store.Op{Class: store.UserData}, func(tx *store.Tx) error {
		line, err := s.wish(tx, agent, offer)
		if err != nil {
			return err
		}
		c, err := loadCart(tx, id)
		if err != nil {
			return err
		}
		if c.Updated.IsZero() { // never adopt an ID that a browser made up
			c = market.Cart{ID: fresh}
		}
		if err := s.dropGone(tx, &c); err != nil {
			return err
		}
		i := slices.IndexFunc(c.Lines, func(l market.CartLine) bool { return l.Agent == agent })
		switch {
		case i >= 0:
			c.Lines[i] = line
		case len(c.Lines) == market.MaxCartLines:
			return market.Errorf(market.Conflict, "A cart holds %d agents. Buy these first, or remove one.", market.MaxCartLines)
		default:
			c.Lines = append(c.Lines, line)
		}
		c.Updated = tx.Now()
		id, n = c.ID, len(c.Lines)
		return store.Carts.Put(tx, &c)
	})
	return id, n, err
}

// wish is the line of an offer that can be bought now.
func (s *Shop) wish(tx store.Reader, agent market.AgentID, offer market.OfferID) (market.CartLine, error) {
	a, err := store.Agents.Load(tx, agent)
	if err != nil {
		return market.CartLine{}, err
	}
	o := a.Offer
	if offer != "" {
		o, _ = a.OfferNamed(offer)
	}
	switch {
	case !a.Listed():
		err = market.Errorf(market.NotFound, "%s isn't sold any more.", a.Name)
	case o.ID == "":
		err = market.Errorf(market.NotFound, "%s isn't sold in this way any more. Its page shows how it is.", a.Name)
	case !s.takes(o.Price):
		err = market.Errorf(market.Conflict, "%s is sold in %s, and this marketplace takes %s.", a.Name, o.Price.Currency, s.Currency)
	default:
		return market.CartLine{Agent: a.ID, Offer: o.ID}, nil
	}
	return market.CartLine{}, err
}

// Remove takes an agent out of a cart and returns the number of lines left.
func (s *Shop) Remove(ctx context.Context, id market.CartID, agent market.AgentID) (int, error) {
	n := 0
	_, err := s.Store.Update(ctx, s.Tenant, store.Op{Class: store.UserData}, func(tx *store.Tx) error {
		c, err := loadCart(tx, id)
		if err != nil || c.Updated.IsZero() {
			return err
		}
		if err := s.dropGone(tx, &c); err != nil {
			return err
		}
		c.Lines = slices.DeleteFunc(c.Lines, func(l market.CartLine) bool { return l.Agent == agent })
		c.Updated = tx.Now()
		n = len(c.Lines)
		return store.Carts.Put(tx, &c)
	})
	return n, err
}

// pruneCarts forgets up to 100 carts untouched for cartLife.
func (s *Shop) pruneCarts(ctx context.Context) error {
	_, err := s.Store.Update(ctx, s.Tenant, store.Op{Class: store.Ephemeral}, func(tx *store.Tx) error {
		var old []market.CartID
		for row, err := range store.OldCarts.Scan(tx, store.All{}, "") {
			if err != nil {
				return err
			}
			if len(old) == 100 || row.Record.Updated.After(tx.Now().Add(-cartLife)) {
				break
			}
			old = append(old, row.Record.ID)
		}
		for _, id := range old {
			if err := store.Carts.Delete(tx, id); err != nil {
				return err
			}
		}
		return nil
	})
	return err
}
