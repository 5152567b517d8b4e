package order

import (
	"context"

	"github.com/souk-market/souk/internal/market"
	"github.com/souk-market/souk/store"
)

// Receipt is a checkout as its buyer sees it.
type Receipt struct {
	Checkout market.Checkout
	State    market.GroupState
	Payment  *market.Payment // nil when there was nothing to pay
	Orders   []ReceiptOrder
}

// ReceiptOrder is one seller's part of a receipt.
type ReceiptOrder struct {
	market.Order
	Seller market.Seller
	Items  []ReceiptItem // one per line
}

// ReceiptItem is a line with what it gives. Entitlement is nil until the line is paid.
type ReceiptItem struct {
	market.Line
	Entitlement *market.Entitlement
	License     *market.License
	ExternalID  string // of the agent today; empty when it is gone
	Yanked      string // why the version was withdrawn from sale; empty when it wasn't
}

// Receipt returns the receipt with an unguessable name, or NotFound. For a payment that
// is still open it asks the provider first: this is where the buyer's return completes
// an order whose webhook is late.
func (s *Shop) Receipt(ctx context.Context, name string) (*Receipt, error) {
	r, err := s.receipt(ctx, func(tx store.Reader) (market.Checkout, error) { return store.CheckoutByReceipt.Load(tx, name) })
	if err != nil || r.Payment == nil || !r.Payment.State.Open() || r.Payment.Session == "" {
		return r, err
	}
	if err := s.look(ctx, r.Payment); err != nil {
		s.Logger.Warn("asking the provider for a returning buyer", "payment", r.Payment.ID, "err", err)
		return r, nil // the page says that the payment is being confirmed
	}
	return s.receipt(ctx, func(tx store.Reader) (market.Checkout, error) { return store.Checkouts.Load(tx, r.Checkout.ID) })
}

// ReceiptOf returns the receipt of a checkout without asking anybody.
func (s *Shop) ReceiptOf(ctx context.Context, id market.CheckoutID) (*Receipt, error) {
	return s.receipt(ctx, func(tx store.Reader) (market.Checkout, error) { return store.Checkouts.Load(tx, id) })
}

func (s *Shop) receipt(ctx context.Context, load func(store.Reader) (market.Checkout, error)) (r *Receipt, err error) {
	err = s.Store.ViewDurable(ctx, s.Tenant, func(tx *store.ReadTx) error {
		ch, err := load(tx)
		if err != nil {
			return err
		}
		r = &Receipt{Checkout: ch}
		if ch.Payment != "" {
			p, err := store.Payments.Load(tx, ch.Payment)
			if err != nil {
				return err
			}
			r.Payment = &p
		}
		orders, err := ordersOf(tx, &ch)
		if err != nil {
			return err
		}
		r.State = market.GroupOf(orders)
		for _, o := range orders {
			ro, err := receiptOrder(tx, o)
			if err != nil {
				return err
			}
			r.Orders = append(r.Orders, ro)
		}
		return nil
	})
	return r, err
}

func receiptOrder(tx store.Reader, o market.Order) (ReceiptOrder, error) {
	ro := ReceiptOrder{Order: o}
	var err error
	if ro.Seller, err = store.Sellers.Load(tx, o.Seller); err != nil {
		return ro, err
	}
	for _, l := range o.Lines {
		item := ReceiptItem{Line: l}
		if a, err := store.Agents.Load(tx, l.Agent); err == nil {
			item.ExternalID = a.ExternalID
		} else if !market.Is(err, market.NotFound) {
			return ro, err
		}
		if item.Yanked, err = yanked(tx, l.Release.ID); err != nil {
			return ro, err
		}
		if o.State.Paid() {
			e, err := store.EntitlementOfLine.Load(tx, l.ID)
			if err != nil {
				return ro, err
			}
			item.Entitlement = &e
			if e.License != "" {
				lic, err := store.Licenses.Load(tx, e.License)
				if err != nil {
					return ro, err
				}
				item.License = &lic
			}
		}
		ro.Items = append(ro.Items, item)
	}
	return ro, nil
}

// yanked is why a version was withdrawn.
func yanked(tx store.Reader, id market.ReleaseID) (reason string, err error) {
	r, err := store.Releases.Load(tx, id)
	if market.Is(err, market.NotFound) {
		return "", nil // an imported listing has no history
	}
	if err != nil || r.State != market.ReleaseYanked {
		return "", err
	}
	return r.Reason, nil
}

// Download returns the file that an entitlement gives to whoever has the receipt's
// name. Anything that doesn't fit together is NotFound.
func (s *Shop) Download(ctx context.Context, receipt string, id market.EntitlementID) (f market.File, err error) {
	err = s.Store.View(ctx, s.Tenant, func(tx *store.ReadTx) error {
		ch, err := store.CheckoutByReceipt.Load(tx, receipt)
		if err != nil {
			return err
		}
		e, err := store.Entitlements.Load(tx, id)
		if err != nil {
			return err
		}
		if e.Checkout != ch.ID {
			return market.Errorf(market.NotFound, "There is no such entitlement.")
		}
		if e.State != market.EntitlementActive {
			return market.Errorf(market.Forbidden, "This download is %s.", e.State)
		}
		o, err := store.Orders.Load(tx, e.Order)
		if err != nil {
			return err
		}
		for _, l := range o.Lines {
			if l.ID == e.Line {
				f = l.Release.File
			}
		}
		return nil
	})
	return f, err
}
