package stripe

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	stripego "github.com/stripe/stripe-go/v76"
	"github.com/stripe/stripe-go/v76/webhook"

	"github.com/souk-market/souk/internal/market"
	"github.com/souk-market/souk/payments"
)

// Events are the types a webhook endpoint has to be subscribed to.
var Events = []string{
	string(stripego.EventTypeCheckoutSessionCompleted),
	string(stripego.EventTypeCheckoutSessionExpired),
	string(stripego.EventTypeCheckoutSessionAsyncPaymentSucceeded),
	string(stripego.EventTypeCheckoutSessionAsyncPaymentFailed),
}

var eventTypes = map[stripego.EventType]payments.EventType{
	stripego.EventTypeCheckoutSessionCompleted:             payments.EventSessionCompleted,
	stripego.EventTypeCheckoutSessionAsyncPaymentSucceeded: payments.EventSessionCompleted,
	stripego.EventTypeCheckoutSessionExpired:               payments.EventSessionExpired,
	stripego.EventTypeCheckoutSessionAsyncPaymentFailed:    payments.EventPaymentFailed,
}

// ParseWebhook verifies and reads an event. See payments.Provider.
func (p *Provider) ParseWebhook(ctx context.Context, header http.Header, body []byte) (payments.Event, error) {
	e, err := p.authenticate(header.Get("Stripe-Signature"), body)
	if err != nil {
		return payments.Event{}, err
	}
	out := payments.Event{
		ID:      e.ID,
		Type:    payments.EventOther,
		Created: time.Unix(e.Created, 0).UTC(),
		Live:    e.Livemode,
	}
	if typ, ok := eventTypes[e.Type]; ok {
		out.Type = typ
		out.Session.ID = objectID(e)
	}
	switch {
	case e.Livemode != p.live:
		return out, otherMode("event "+e.ID, e.Livemode)
	case e.Account != "":
		return out, market.Errorf(market.Conflict, "Stripe's event %s is about the connected account %s and not about this shop's own. "+
			"Events of connected accounts need a webhook endpoint of their own.", e.ID, e.Account)
	case out.Type == payments.EventOther:
		return out, nil
	case e.APIVersion != APIVersion:
		return out, otherVersion(e)
	}
	return p.readSession(out, e)
}

// authenticate returns the event if it was signed with one of the secrets. The API
// version is judged later, so that an authentic event can at least be named.
func (p *Provider) authenticate(signature string, body []byte) (stripego.Event, error) {
	var e stripego.Event
	err := webhook.ErrNotSigned
	for _, secret := range p.secrets {
		e, err = webhook.ConstructEventWithOptions(body, signature, secret, webhook.ConstructEventOptions{
			Tolerance:                payments.Tolerance,
			IgnoreAPIVersionMismatch: true,
		})
		if !errors.Is(err, webhook.ErrNoValidSignature) {
			break
		}
	}
	if err != nil {
		return e, market.Errorf(market.Invalid, "The webhook was refused: it is not signed by Stripe for this endpoint, or too old.").
			Because(fmt.Errorf("%w: %w", payments.ErrSignature, err))
	}
	return e, nil
}

func otherVersion(e stripego.Event) error {
	return market.Errorf(market.Conflict, "Stripe's event %s is in API version %q, and only %s can be read. The webhook endpoint was made with another version: "+
		"make one through the API with api_version=%s, for the same URL and the events %v, put its signing secret into the configuration, and disable the old one. "+
		"The payment itself is found by the next reconciliation.", e.ID, e.APIVersion, APIVersion, APIVersion, Events)
}

func objectID(e stripego.Event) string {
	if e.Data == nil {
		return ""
	}
	var object struct {
		ID string `json:"id"`
	}
	if err := json.Unmarshal(e.Data.Raw, &object); err != nil {
		return ""
	}
	return object.ID
}

func (p *Provider) readSession(out payments.Event, e stripego.Event) (payments.Event, error) {
	if e.Data == nil {
		return out, unreadable(e, errors.New("it has no data"))
	}
	var s stripego.CheckoutSession
	if err := json.Unmarshal(e.Data.Raw, &s); err != nil {
		return out, unreadable(e, err)
	}
	session, err := neutral(&s)
	if err != nil {
		return out, unreadable(e, err)
	}
	out.Session = session
	if session.Live != p.live {
		return out, otherMode("event "+e.ID, session.Live)
	}
	return out, nil
}

func unreadable(e stripego.Event, err error) error {
	return market.Errorf(market.Conflict, "Stripe's event %s (%s) can't be read.", e.ID, e.Type).Because(err)
}
