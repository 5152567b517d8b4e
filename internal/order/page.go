package order

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/souk-market/souk/internal/market"
	"github.com/souk-market/souk/payments"
	"github.com/souk-market/souk/store"
)

// A page token is a secret that names a checkout page, a dot, and a digest of the lines
// that the page shows. The secret makes sending the page again one operation. The digest
// is no secret: it keeps a buyer from confirming what another tab has put into the cart
// in the meantime, which the total alone doesn't tell.

// PageToken returns the token of a checkout page that shows c. The page is the one that
// token names; "", or what can't be a token, makes it a new page.
func PageToken(token string, c *Cart) string {
	secret, _, _ := strings.Cut(token, ".")
	if !isPage(secret) {
		secret = market.NewSecret()
	}
	return secret + "." + c.digest()
}

func isPage(secret string) bool { return len(secret) >= 16 && len(secret) <= 64 }

// digest is equal for carts that sell the same at the same prices and under the same terms.
func (c *Cart) digest() string {
	h := sha256.New()
	for _, l := range c.Lines {
		fmt.Fprintf(h, "%q %q %s %t %q %q\n", l.Agent.ID, l.Offer.ID, l.Offer.Price, l.Offer.License, l.Offer.Includes, l.Terms)
	}
	return hex.EncodeToString(h.Sum(nil)[:8])
}

// reopened returns the checkout that was last placed from a cart, if it still sells what
// the cart holds to the same buyer and can be paid; else "". So two tabs that check out
// the same cart lead to one payment, and not to two that can both be made.
func reopened(tx *store.Tx, rec *market.Cart, c *Cart, email string) (market.CheckoutID, error) {
	if rec.Checkout == "" || c.Total.IsZero() {
		return "", nil
	}
	ch, err := store.Checkouts.Load(tx, rec.Checkout)
	if market.Is(err, market.NotFound) {
		return "", nil
	}
	if err != nil || ch.Email != email {
		return "", err
	}
	payable, err := payable(tx, &ch)
	if err != nil || !payable {
		return "", err
	}
	orders, err := ordersOf(tx, &ch)
	if err != nil || !sells(orders, c) {
		return "", err
	}
	return ch.ID, nil
}

// payable reports whether a checkout's payment page is open, or can still be made.
func payable(tx *store.Tx, ch *market.Checkout) (bool, error) {
	p, err := store.Payments.Load(tx, ch.Payment)
	if err != nil || !p.State.Open() {
		return false, err
	}
	left := ch.Expires.Sub(tx.Now())
	if p.Session == "" {
		left -= payments.MinSessionLife + time.Minute // a minute to ask the provider
	}
	return left > 0, nil
}

// sells reports whether orders have exactly the lines of c, as they would be sold now.
func sells(orders []market.Order, c *Cart) bool {
	n := 0
	for _, o := range orders {
		n += len(o.Lines)
		for _, l := range o.Lines {
			if !slices.ContainsFunc(c.Lines, func(cl CartLine) bool { return cl.soldAs(&l) }) {
				return false
			}
		}
	}
	return n == len(c.Lines) // an agent is in a cart once
}

func (c *CartLine) soldAs(l *market.Line) bool {
	return c.Agent.ID == l.Agent && c.Offer.ID == l.Offer && c.Offer.Price.Amount == l.Price.Amount &&
		c.Offer.Name == l.OfferName && slices.Equal(c.Offer.Includes, l.Includes) && c.Terms == l.Terms &&
		c.Agent.Name == l.Name && c.Agent.Release.Version == l.Release.Version
}
