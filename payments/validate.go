package payments

import (
	"net/mail"
	"net/url"
	"unicode/utf8"

	"github.com/souk-market/souk/internal/market"
)

// Limits of a request: the tightest of the known providers (Stripe's API reference,
// "Create a Checkout Session", version 2023-10-16).
const (
	MaxLines     = 100
	maxKey       = 255
	maxReference = 200
	maxName      = 5000
	maxEmail     = 800
	maxURL       = 5000
	maxQuantity  = 999_999
)

// Validate reports the first rule that the request breaks, as Invalid. Providers call
// it before anything else, so that all refuse the same requests.
func (r SessionRequest) Validate() error {
	if n := len(r.IdempotencyKey); n == 0 || n > maxKey {
		return market.FieldErrorf("idempotency_key", "A payment needs an idempotency key of 1 to %d bytes; this one has %d.", maxKey, n)
	}
	if n := len(r.Reference); n == 0 || n > maxReference {
		return market.FieldErrorf("reference", "A payment needs a reference of 1 to %d bytes; this one has %d.", maxReference, n)
	}
	if err := r.validateAmounts(); err != nil {
		return err
	}
	if a, err := mail.ParseAddress(r.Email); err != nil || a.Address != r.Email || len(r.Email) > maxEmail {
		return market.FieldErrorf("email", "%q is not an e-mail address.", r.Email)
	}
	if err := validateReturn("success_url", r.SuccessURL); err != nil {
		return err
	}
	return validateReturn("cancel_url", r.CancelURL)
}

func (r SessionRequest) validateAmounts() error {
	if !r.Total.Currency.Valid() {
		return market.FieldErrorf("total", "%q is not a currency.", r.Total.Currency)
	}
	if r.Total.Amount <= 0 {
		return market.FieldErrorf("total", "There is nothing to pay in %s; an order of nothing is not sent to a payment provider.", r.Total)
	}
	if n := len(r.Lines); n == 0 || n > MaxLines {
		return market.FieldErrorf("lines", "A payment has 1 to %d lines; this one has %d.", MaxLines, n)
	}
	sum := market.Money{Currency: r.Total.Currency}
	for _, l := range r.Lines {
		amount, err := l.amount()
		if err != nil {
			return err
		}
		if sum, err = sum.Add(amount); err != nil {
			return err
		}
	}
	if sum != r.Total {
		return market.FieldErrorf("total", "The lines add up to %s, not to %s.", sum, r.Total)
	}
	return nil
}

func (l Line) amount() (market.Money, error) {
	switch {
	case l.Name == "" || len(l.Name) > maxName || !utf8.ValidString(l.Name):
		return market.Money{}, market.FieldErrorf("lines", "A line needs a name of 1 to %d bytes of UTF-8.", maxName)
	case l.Quantity < 1 || l.Quantity > maxQuantity:
		return market.Money{}, market.FieldErrorf("lines", "The quantity of %q must be 1 to %d; it is %d.", l.Name, maxQuantity, l.Quantity)
	case l.UnitPrice.Amount < 0:
		return market.Money{}, market.FieldErrorf("lines", "The price of %q is below zero: %s.", l.Name, l.UnitPrice)
	case !l.UnitPrice.Currency.Valid():
		return market.Money{}, market.FieldErrorf("lines", "The price of %q has no currency.", l.Name)
	}
	return l.UnitPrice.Times(l.Quantity)
}

func validateReturn(field, s string) error {
	u, err := url.Parse(s)
	if err != nil || (u.Scheme != "https" && u.Scheme != "http") || u.Host == "" || u.User != nil || len(s) > maxURL {
		return market.FieldErrorf(field, "%q is not an absolute http or https URL.", s)
	}
	return nil
}
