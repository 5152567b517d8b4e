package order

import (
	"context"

	"github.com/souk-market/souk/internal/market"
	"github.com/souk-market/souk/store"
)

// Purchase is a completed checkout in its buyer's list.
type Purchase struct {
	market.Checkout
	Lines []market.Line // of all its orders
}

// Purchases is a stretch of a buyer's list, the newest first.
type Purchases struct {
	Items []Purchase
	Total int          // in the whole list
	Next  store.Cursor // "" at the end
}

// Purchases lists what was bought with an account's address, after a cursor, also what
// was bought before there was an account. Anybody can type an address into a form, so
// the account's must be verified; else the error is Forbidden.
func (s *Shop) Purchases(ctx context.Context, buyer *market.Account, after store.Cursor, limit int) (pp Purchases, err error) {
	if buyer.Verified.IsZero() {
		return pp, market.Errorf(market.Forbidden, "Your address isn't confirmed yet. What was bought with it appears here once it is.")
	}
	key := market.EmailKey(buyer.Email)
	err = s.Store.ViewDurable(ctx, s.Tenant, func(tx *store.ReadTx) (err error) {
		if pp.Total, err = store.PurchasesOf.Count(tx, key); err != nil {
			return err
		}
		var last store.Cursor
		for row, err := range store.PurchasesOf.Scan(tx, key, after) {
			if err != nil {
				return err
			}
			if len(pp.Items) == limit {
				pp.Next = last
				break
			}
			p, err := purchase(tx, row.Record)
			if err != nil {
				return err
			}
			pp.Items, last = append(pp.Items, p), row.Cursor
		}
		return nil
	})
	return pp, err
}

func purchase(tx store.Reader, ch market.Checkout) (Purchase, error) {
	orders, err := ordersOf(tx, &ch)
	if err != nil {
		return Purchase{}, err
	}
	p := Purchase{Checkout: ch}
	for _, o := range orders {
		p.Lines = append(p.Lines, o.Lines...)
	}
	return p, nil
}

// Desk is what a seller has to see at a glance.
type Desk struct {
	Seller   market.Seller
	Balance  []market.Money // what the marketplace owes the seller, one for each currency sold in
	Listings int            // in any state
	Sales    int            // paid orders
	Latest   []Sale         // the newest first
}

// Sale is a paid order in its seller's list.
type Sale struct {
	market.Order
	Number string // of the checkout, which the buyer has
}

// Desk returns a seller's desk with up to n latest sales, for an account that is the
// seller; for others there is no such seller.
func (s *Shop) Desk(ctx context.Context, who *market.Account, id market.SellerID, n int) (d Desk, err error) {
	err = s.Store.ViewDurable(ctx, s.Tenant, func(tx *store.ReadTx) (err error) {
		if d.Seller, err = store.Sellers.Load(tx, id); err != nil {
			return err
		}
		if who.ID == "" || d.Seller.Account != who.ID {
			return market.Errorf(market.NotFound, "There is no such seller.")
		}
		balances, err := store.BalancesOf(tx, market.SellerAccount(id))
		if err != nil {
			return err
		}
		for _, b := range balances {
			d.Balance = append(d.Balance, b.Amount.Neg()) // liabilities are credits
		}
		if d.Listings, err = store.AgentsOfSeller.Count(tx, id); err != nil {
			return err
		}
		if d.Sales, err = store.SalesOfSeller.Count(tx, id); err != nil {
			return err
		}
		for row, err := range store.SalesOfSeller.Scan(tx, id, "") {
			if err != nil {
				return err
			}
			if len(d.Latest) == n {
				break
			}
			ch, err := store.Checkouts.Load(tx, row.Record.Checkout)
			if err != nil {
				return err
			}
			d.Latest = append(d.Latest, Sale{row.Record, ch.Number})
		}
		return nil
	})
	return d, err
}
