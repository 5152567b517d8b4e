package order

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
	"time"

	"github.com/souk-market/souk/internal/market"
	"github.com/souk-market/souk/payments"
	"github.com/souk-market/souk/store"
)

// Placement is what a buyer sends from the checkout page.
type Placement struct {
	Cart  market.CartID
	Email string
	Terms bool
	// Token is the page's PageToken: sending the same page again places the same
	// checkout, not another, and a page that shows what the cart no longer holds is
	// refused.
	Token string
	// Shown is the total that the page showed. A cart that costs something else by now
	// is refused, so that the buyer sees the new total first.
	Shown market.Money
}

// Place stores a checkout of a cart and returns where the buyer goes next: the
// provider's page, or the receipt when there is nothing to pay.
//
// The checkout is stored before the provider is asked. When the provider can't be
// asked, the error is Unavailable and placing the same page again goes on from there.
func (s *Shop) Place(ctx context.Context, p Placement) (next string, err error) {
	email, err := market.NormalizeEmail(p.Email)
	if err != nil {
		return "", err
	}
	if !p.Terms {
		return "", market.FieldErrorf("terms", "Please agree to the terms to go on.")
	}
	secret, lines, _ := strings.Cut(p.Token, ".")
	if !isPage(secret) || len(lines) > 64 {
		return "", market.Errorf(market.Invalid, "This checkout page is damaged. Please open your cart and check out again.")
	}
	made, err := s.makeFiles(ctx, p.Cart)
	if err != nil {
		return "", err
	}
	op := store.Op{ID: placeOp(p, email), Class: store.Transaction}
	res, err := s.Store.Update(ctx, s.Tenant, op, func(tx *store.Tx) error {
		c, err := s.cart(tx, p.Cart)
		if err != nil {
			return err
		}
		if err := c.mayPlace(p.Shown, lines); err != nil {
			return err
		}
		id, err := s.placeOnce(tx, &c, email, made)
		tx.SetResult([]byte(id))
		return err
	})
	if err != nil {
		return "", err
	}
	return s.next(ctx, market.CheckoutID(res.Value))
}

// makeFiles puts the files made on demand of a cart's agents into the blob store, so
// that the transaction may name them, and returns their hashes.
func (s *Shop) makeFiles(ctx context.Context, id market.CartID) (made map[string]bool, err error) {
	c, err := s.Cart(ctx, id)
	if err != nil {
		return nil, err
	}
	made = map[string]bool{}
	for _, l := range c.Lines {
		if !l.Agent.Release.File.OnDemand {
			continue
		}
		f, content := market.SetupFile(&l.Agent)
		if _, err := s.Blobs.Put(ctx, bytes.NewReader(content), f.Size); err != nil {
			return nil, fmt.Errorf("order: making the file of %s: %w", l.Agent.ID, err)
		}
		made[f.SHA256] = true
	}
	return made, nil
}

// nameBlobs records files made on demand as blobs of the tenant. A file that hasn't been
// made is Conflict: its listing has changed since.
func nameBlobs(tx *store.Tx, o *market.Order, made map[string]bool) error {
	for _, l := range o.Lines {
		f := l.Release.File
		known, err := store.Blobs.Has(tx, f.SHA256)
		if err != nil {
			return err
		}
		if known {
			continue
		}
		if !made[f.SHA256] {
			return market.Errorf(market.Conflict, "%s has just been updated. Please look at it and confirm once more.", l.Name)
		}
		if err := store.Blobs.Insert(tx, &market.Blob{SHA256: f.SHA256, Size: f.Size}); err != nil {
			return err
		}
	}
	return nil
}

// placeOp names a placement: the same page sent twice is one operation, the page sent
// again with another address is another.
func placeOp(p Placement, email string) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%q %q %q %q", p.Token, p.Cart, email, p.Shown))
	return "place/" + hex.EncodeToString(sum[:16])
}

// mayPlace compares the cart with the total and the lines' digest that the page showed.
func (c *Cart) mayPlace(shown market.Money, lines string) error {
	same := shown.Amount == c.Total.Amount && shown.Currency == c.Total.Currency
	switch {
	case len(c.Gone) > 0 && !(same && lines == c.digest()): // the page was shown before it went
		return market.Errorf(market.Conflict, "%s can't be bought any more and has left your cart. Please look at the new total.", c.Gone[0])
	case len(c.Lines) == 0:
		return market.Errorf(market.Conflict, "Your cart is empty. If you have just paid, your receipt is in your mail.")
	case !same:
		return market.Errorf(market.Conflict, "The total has changed from %s to %s. Please confirm the new one.", shown, c.Total)
	case lines != c.digest():
		return market.Errorf(market.Conflict, "Your cart has changed in the meantime. Please look at what is in it and confirm once more.")
	}
	return nil
}

// placeOnce returns the checkout that was already placed from the cart as it is, or
// places one.
func (s *Shop) placeOnce(tx *store.Tx, c *Cart, email string, made map[string]bool) (market.CheckoutID, error) {
	rec, err := loadCart(tx, c.ID)
	if err != nil {
		return "", err
	}
	if id, err := reopened(tx, &rec, c, email); err != nil || id != "" {
		return id, err
	}
	if err := s.dropGone(tx, &rec); err != nil {
		return "", err
	}
	if err := store.Carts.Put(tx, &rec); err != nil {
		return "", err
	}
	ch, err := s.place(tx, c, email, made)
	if err != nil {
		return "", err
	}
	if ch.Payment == "" {
		return ch.ID, nil // settled at once, and the cart emptied
	}
	rec.Checkout = ch.ID
	return ch.ID, store.Carts.Put(tx, &rec)
}

// place writes the checkout of a cart with its orders and its payment. A checkout
// without money is settled at once. made are the hashes of files made on demand.
func (s *Shop) place(tx *store.Tx, c *Cart, email string, made map[string]bool) (*market.Checkout, error) {
	now := tx.Now()
	ch := &market.Checkout{
		ID: market.NewCheckoutID(now), Number: market.NewOrderNumber(), Receipt: market.NewSecret(),
		Cart: c.ID, Email: email, State: market.CheckoutOpen, Total: c.Total, Terms: termsVersion,
		Created: now, Expires: now.Add(checkoutLife),
	}
	orders, err := s.split(ch, c.Lines, now)
	if err != nil {
		return nil, err
	}
	for i := range orders {
		if err := nameBlobs(tx, &orders[i], made); err != nil {
			return nil, err
		}
		ch.Orders = append(ch.Orders, orders[i].ID)
		if err := store.Orders.Insert(tx, &orders[i]); err != nil {
			return nil, err
		}
	}
	if ch.Total.IsZero() {
		if err := store.Checkouts.Insert(tx, ch); err != nil {
			return nil, err
		}
		return ch, s.fulfil(tx, ch, now)
	}
	p := &market.Payment{
		ID: market.NewPaymentID(now), Checkout: ch.ID, State: market.PaymentCreated, Amount: ch.Total,
		Provider: s.Provider.Name(), Live: s.Provider.Live(), Created: now,
	}
	ch.Payment = p.ID
	if err := store.Payments.Insert(tx, p); err != nil {
		return nil, err
	}
	return ch, store.Checkouts.Insert(tx, ch)
}

// split makes one order per seller, in the order of the cart, and freezes prices,
// commissions and terms in their lines.
func (s *Shop) split(ch *market.Checkout, lines []CartLine, now time.Time) ([]market.Order, error) {
	var orders []market.Order
	bySeller := map[market.SellerID]int{}
	for _, l := range lines {
		i, ok := bySeller[l.Seller.ID]
		if !ok {
			i = len(orders)
			bySeller[l.Seller.ID] = i
			orders = append(orders, market.Order{
				ID: market.NewOrderID(now), Checkout: ch.ID, Seller: l.Seller.ID, Email: ch.Email,
				State: market.OrderPendingPayment, Total: market.Money{Currency: s.Currency}, Created: now,
			})
		}
		o, a := &orders[i], &l.Agent
		price := market.Money{Amount: l.Offer.Price.Amount, Currency: s.Currency}
		total, err := o.Total.Add(price)
		if err != nil {
			return nil, err
		}
		o.Total = total
		release := a.Release
		if release.File.OnDemand { // as makeFiles has made it
			release.File, _ = market.SetupFile(a)
			release.File.OnDemand = false
		}
		o.Lines = append(o.Lines, market.Line{
			ID: market.NewLineID(now), Agent: a.ID, Offer: l.Offer.ID, Name: a.Name, Slug: a.Slug,
			Price: price, Commission: price.BasisPoints(s.Commission), Rule: fmt.Sprintf("%d bp", s.Commission),
			License: l.Offer.License, Release: release, OfferName: l.Offer.Name, Includes: l.Offer.Includes, Terms: l.Terms,
		})
	}
	return orders, nil
}

// next returns where the buyer of a checkout goes: the receipt, or the provider's page,
// for which a session is made when there is none yet.
func (s *Shop) next(ctx context.Context, id market.CheckoutID) (string, error) {
	var ch market.Checkout
	var p market.Payment
	var orders []market.Order
	err := s.Store.View(ctx, s.Tenant, func(tx *store.ReadTx) (err error) {
		if ch, err = store.Checkouts.Load(tx, id); err != nil || ch.Payment == "" {
			return err
		}
		if orders, err = ordersOf(tx, &ch); err != nil {
			return err
		}
		p, err = store.Payments.Load(tx, ch.Payment)
		return err
	})
	if err != nil {
		return "", err
	}
	if ch.Payment == "" || !p.State.Open() {
		return s.ReceiptURL(ch.Receipt), nil
	}
	if p.Session != "" {
		return p.URL, nil
	}
	session, err := s.Provider.CreateSession(ctx, s.sessionRequest(&ch, &p, orders))
	if err != nil {
		return "", err
	}
	return session.URL, s.recordSession(ctx, p.ID, session)
}

func (s *Shop) sessionRequest(ch *market.Checkout, p *market.Payment, orders []market.Order) payments.SessionRequest {
	req := payments.SessionRequest{
		IdempotencyKey: string(p.ID), Reference: ch.ID, PaymentID: p.ID, Total: p.Amount, Email: ch.Email,
		SuccessURL: s.ReceiptURL(ch.Receipt), CancelURL: s.BaseURL + "/cart", ExpiresAt: ch.Expires,
	}
	for _, o := range orders {
		for _, l := range o.Lines {
			req.Lines = append(req.Lines, payments.Line{Name: lineTitle(&l), Quantity: 1, UnitPrice: l.Price})
		}
	}
	return req
}

// lineTitle is what a line is called on the provider's page: "CSV Desk (Team)".
func lineTitle(l *market.Line) string {
	if l.OfferName == "" {
		return l.Name
	}
	return l.Name + " (" + l.OfferName + ")"
}

// recordSession notes the provider's session. A webhook may have been faster: then the
// payment is not open any more and stays as it is.
func (s *Shop) recordSession(ctx context.Context, id market.PaymentID, session payments.Session) error {
	op := store.Op{ID: "session/" + string(id), Class: store.Transaction}
	_, err := s.Store.Update(ctx, s.Tenant, op, func(tx *store.Tx) error {
		p, err := store.Payments.Load(tx, id)
		if err != nil || p.State != market.PaymentCreated {
			return err
		}
		p.State, p.Session, p.URL = market.PaymentProcessing, session.ID, session.URL
		if err := store.Payments.Put(tx, &p); err != nil {
			return err
		}
		ch, err := store.Checkouts.Load(tx, p.Checkout)
		if err != nil {
			return err
		}
		if ch.State, err = ch.State.To(market.CheckoutProcessing); err != nil {
			return err
		}
		return store.Checkouts.Put(tx, &ch)
	})
	return err
}

func ordersOf(tx store.Reader, ch *market.Checkout) ([]market.Order, error) {
	orders := make([]market.Order, 0, len(ch.Orders))
	for _, id := range ch.Orders {
		o, err := store.Orders.Load(tx, id)
		if err != nil {
			return nil, err
		}
		orders = append(orders, o)
	}
	return orders, nil
}

// ReceiptURL is the address of a receipt, for its owner's eyes.
func (s *Shop) ReceiptURL(receipt string) string { return s.BaseURL + "/o/" + receipt }
