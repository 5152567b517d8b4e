package catalog

import (
	"context"

	"github.com/souk-market/souk/internal/market"
	"github.com/souk-market/souk/store"
)

// NewReview is what a buyer says of what they bought.
type NewReview struct {
	Line  market.LineID // the sale
	Stars int           // 1 to 5
	Name  string        // as shown; "" is the account's
	Title string
	Text  string
}

// Review records a buyer's review, one for each sale, and counts it. The sale must be of the
// account's verified address and paid; for others there is no such sale (NotFound). A second
// review of a sale is a Conflict.
func (c *Catalog) Review(ctx context.Context, who *market.Account, n NewReview) (r market.Review, err error) {
	_, err = c.Store.Update(ctx, c.Tenant, store.Op{Class: store.UserData}, func(tx *store.Tx) error {
		line, err := boughtLine(tx, who, n.Line)
		if err != nil {
			return err
		}
		a, err := store.Agents.Load(tx, line.Agent)
		if err != nil {
			return err
		}
		if _, err := store.ReviewByLine.Load(tx, line.ID); !market.Is(err, market.NotFound) {
			return conflictUnless(err, "You have reviewed this purchase already. You can change what you wrote.")
		}
		r = market.Review{
			ID: market.NewReviewID(tx.Now()), Agent: a.ID, Author: who.ID, Name: n.Name, Line: line.ID, Stars: n.Stars, Title: n.Title, Text: n.Text,
			Version: line.Release.Version, Free: line.Price.IsZero(), State: market.ReviewPublished, Created: tx.Now(),
		}
		if r.Name == "" {
			r.Name = who.Name
		}
		if err := cleanReview(&r); err != nil {
			return err
		}
		return putReview(tx, &a, &market.Review{}, &r)
	})
	return r, err
}

// conflictUnless is a Conflict, or the error that kept from finding out.
func conflictUnless(err error, message string) error {
	if err != nil {
		return err
	}
	return market.Errorf(market.Conflict, "%s", message)
}

// boughtLine returns a paid line that was bought with an account's verified address and
// that its buyer still has.
func boughtLine(tx store.Reader, who *market.Account, id market.LineID) (market.Line, error) {
	none := market.Errorf(market.NotFound, "There is no such purchase with your address.")
	e, err := store.EntitlementOfLine.Load(tx, id)
	if err != nil {
		return market.Line{}, notFoundAs(err, none)
	}
	o, err := store.Orders.Load(tx, e.Order)
	if err != nil {
		return market.Line{}, err
	}
	if who.Verified.IsZero() || market.EmailKey(o.Email) != market.EmailKey(who.Email) || e.State != market.EntitlementActive {
		return market.Line{}, none
	}
	for _, l := range o.Lines {
		if l.ID == id {
			return l, nil
		}
	}
	return market.Line{}, none
}

// Revise changes what a review says, for its author.
func (c *Catalog) Revise(ctx context.Context, who *market.Account, id market.ReviewID, stars int, title, text string) error {
	return c.changeReview(ctx, id, func(tx *store.Tx, _ *market.Agent, r *market.Review) error {
		if who.ID == "" || r.Author != who.ID {
			return market.Errorf(market.NotFound, "There is no such review of yours.")
		}
		r.Stars, r.Title, r.Text, r.Updated = stars, title, text, tx.Now()
		return cleanReview(r)
	})
}

// Reply puts the seller's answer below a review; "" takes it away.
func (c *Catalog) Reply(ctx context.Context, who *market.Account, id market.ReviewID, reply string) error {
	return c.changeReview(ctx, id, func(tx *store.Tx, a *market.Agent, r *market.Review) error {
		owns, err := ownsSeller(tx, who, a.Seller)
		if err == nil && !owns {
			err = market.Errorf(market.Forbidden, "Only the seller may answer a review.")
		}
		if err != nil {
			return err
		}
		r.Reply = reply
		return cleanReview(r)
	})
}

// MoveReview brings a review into another state, along the arrows of market.ReviewState, and
// counts it or no longer does. Only the operator may.
func (c *Catalog) MoveReview(ctx context.Context, who *market.Account, id market.ReviewID, next market.ReviewState) error {
	if err := operatorOnly(who); err != nil {
		return err
	}
	return c.changeReview(ctx, id, func(_ *store.Tx, _ *market.Agent, r *market.Review) (err error) {
		r.State, err = r.State.To(next)
		return err
	})
}

// changeReview changes a review and its agent's rating in one transaction.
func (c *Catalog) changeReview(ctx context.Context, id market.ReviewID, change func(tx *store.Tx, a *market.Agent, r *market.Review) error) error {
	_, err := c.Store.Update(ctx, c.Tenant, store.Op{Class: store.UserData}, func(tx *store.Tx) error {
		old, err := store.Reviews.Load(tx, id)
		if err != nil {
			return err
		}
		a, err := store.Agents.Load(tx, old.Agent)
		if err != nil {
			return err
		}
		r := old
		if err := change(tx, &a, &r); err != nil {
			return err
		}
		return putReview(tx, &a, &old, &r)
	})
	return err
}

// ExcludeReviewOf takes the review of a sale out of the agent's rating, in the transaction
// that gives all of the buyer's money back or loses a dispute. A sale without a counted
// review is fine.
func ExcludeReviewOf(tx *store.Tx, line market.LineID) error {
	old, err := store.ReviewByLine.Load(tx, line)
	if market.Is(err, market.NotFound) || err == nil && !old.Counts() {
		return nil
	}
	if err != nil {
		return err
	}
	a, err := store.Agents.Load(tx, old.Agent)
	if err != nil {
		return err
	}
	r := old
	if r.State, err = r.State.To(market.ReviewExcluded); err != nil {
		return err
	}
	return putReview(tx, &a, &old, &r)
}

// putReview writes a review, and with it its agent's rating: the two never differ. old is
// the review as it was; without an ID there was none.
func putReview(tx *store.Tx, a *market.Agent, old, r *market.Review) error {
	was := a.Rating
	if old.ID != "" && old.Counts() {
		a.Rating.Stars[old.Stars-1]--
	}
	if r.Counts() {
		a.Rating.Stars[r.Stars-1]++
	}
	if err := store.Reviews.Put(tx, r); err != nil {
		return err
	}
	if a.Rating == was {
		return nil
	}
	return store.Agents.Put(tx, a)
}
