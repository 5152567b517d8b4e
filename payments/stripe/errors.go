package stripe

import (
	"errors"
	"fmt"
	"net/http"

	stripego "github.com/stripe/stripe-go/v76"

	"github.com/souk-market/souk/internal/market"
	"github.com/souk-market/souk/payments"
)

// createFailed sorts the error of a create: refused for good, not possible now, or of
// unknown outcome. sent says whether a request went out at all.
func createFailed(err error, sent bool) error {
	var e *stripego.Error
	if !errors.As(err, &e) {
		if sent {
			return unknown(err)
		}
		return unavailable(err)
	}
	switch {
	case e.Type == stripego.ErrorTypeIdempotency:
		return market.Errorf(market.Conflict, "This payment was begun before with other details.").Because(redacted(e))
	case e.Code == stripego.ErrorCodeAmountTooSmall:
		return market.Errorf(market.Invalid, "The total is below the least amount that can be paid by card (about 0.50 USD).").Because(redacted(e))
	case e.Code == stripego.ErrorCodeAmountTooLarge:
		return market.Errorf(market.Invalid, "The total is above the greatest amount that can be paid at once.").Because(redacted(e))
	case e.HTTPStatusCode == http.StatusConflict:
		// Another request with this key is under way (idempotency_key_in_use), or
		// Stripe couldn't lock something: the session may exist in a moment.
		return unknown(redacted(e))
	case e.HTTPStatusCode >= http.StatusInternalServerError:
		// "Treat the result of a 500 request as indeterminate" (docs.stripe.com, Advanced error handling).
		return unknown(redacted(e))
	}
	return refused(e)
}

// fetchFailed sorts the error of a read, whose outcome doesn't matter.
func fetchFailed(err error) error {
	var e *stripego.Error
	if !errors.As(err, &e) {
		return unavailable(err)
	}
	switch {
	case e.HTTPStatusCode == http.StatusNotFound || e.Code == stripego.ErrorCodeResourceMissing:
		return market.Errorf(market.NotFound, "Stripe has no such payment.").Because(redacted(e))
	case e.HTTPStatusCode == http.StatusConflict || e.HTTPStatusCode >= http.StatusInternalServerError:
		return unavailable(redacted(e))
	}
	return refused(e)
}

// refused is an answer by which nothing was done.
func refused(e *stripego.Error) error {
	switch e.HTTPStatusCode {
	case http.StatusTooManyRequests:
		return unavailable(redacted(e))
	case http.StatusUnauthorized, http.StatusForbidden:
		return market.Errorf(market.Internal, "Payments are not set up correctly in this shop. Nothing was charged; please tell the shop.").
			Because(fmt.Errorf("stripe refuses the API key (revoked, or without the permission needed): %w", redacted(e)))
	}
	return market.Errorf(market.Invalid, "The payment provider refused this order. Nothing was charged.").Because(redacted(e))
}

func unavailable(err error) error {
	return market.Errorf(market.Unavailable, "The payment provider can't be reached just now. Nothing was charged; please try again in a minute.").Because(err)
}

func unknown(err error) error {
	return market.Errorf(market.Unavailable, "The payment provider did not answer in time. Please try again; you will not pay twice.").
		Because(fmt.Errorf("%w: %w", payments.ErrOutcomeUnknown, err))
}

func otherMode(what string, live bool) error {
	if live {
		return market.Errorf(market.Conflict, "Stripe's %s is about real money, and this shop is in test mode.", what)
	}
	return market.Errorf(market.Conflict, "Stripe's %s is a test, and this shop takes real money.", what)
}

// redacted is e in one line for the log. *stripego.Error prints itself as JSON with
// whatever objects it holds, the buyer's details among them.
func redacted(e *stripego.Error) error {
	return fmt.Errorf("stripe answered %d %s (code %q, parameter %q, request %s): %s", e.HTTPStatusCode, e.Type, e.Code, e.Param, e.RequestID, e.Msg)
}
