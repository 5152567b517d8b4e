package stripe

import (
	"context"
	"errors"
	"net/http"
	"slices"

	stripego "github.com/stripe/stripe-go/v76"

	"github.com/souk-market/souk/internal/market"
)

// CreateEndpoint makes a webhook endpoint for url, pinned to APIVersion and subscribed
// to Events, and returns its signing secret, which Stripe never shows again. It is not
// idempotent: repeated, it makes a second endpoint, and every event comes twice.
//
// An endpoint made in Stripe's dashboard gets the account's version instead, which is
// usually one that can't be read here.
func (p *Provider) CreateEndpoint(ctx context.Context, url string) (secret string, err error) {
	call, end := p.begin(ctx)
	defer end()
	params := &stripego.WebhookEndpointParams{
		URL:           stripego.String(url),
		APIVersion:    stripego.String(APIVersion),
		EnabledEvents: stripego.StringSlice(Events),
	}
	params.Context = call.ctx
	e, err := p.endpoints.New(params)
	if err != nil {
		return "", createFailed(err, call.sent.Load())
	}
	return e.Secret, nil
}

// CheckEndpoint asks Stripe whether events will reach url in a form that can be read.
// nil means yes. NotFound and Conflict say what is wrong with the endpoint; other
// errors, that Stripe could not be asked.
func (p *Provider) CheckEndpoint(ctx context.Context, url string) error {
	call, end := p.begin(ctx)
	defer end()
	params := &stripego.WebhookEndpointListParams{}
	params.Context = call.ctx
	params.Limit = stripego.Int64(100)
	found := market.Errorf(market.NotFound, "Stripe has no webhook endpoint for %s.", url)
	for list := p.endpoints.List(params); ; {
		if !list.Next() {
			if err := list.Err(); err != nil {
				return endpointsUnreadable(err)
			}
			return found
		}
		e := list.WebhookEndpoint()
		if e.URL != url {
			continue
		}
		problem := endpointProblem(e)
		if problem == nil {
			return nil
		}
		found = problem
	}
}

func endpointProblem(e *stripego.WebhookEndpoint) *market.Error {
	if e.Status != "enabled" {
		return market.Errorf(market.Conflict, "Stripe's webhook endpoint %s for %s is %s.", e.ID, e.URL, e.Status)
	}
	if e.APIVersion != APIVersion {
		return market.Errorf(market.Conflict, "Stripe's webhook endpoint %s for %s sends events in API version %q (the account's own when empty), and only %s can be read.",
			e.ID, e.URL, e.APIVersion, APIVersion)
	}
	for _, want := range Events {
		if !slices.Contains(e.EnabledEvents, want) && !slices.Contains(e.EnabledEvents, "*") {
			return market.Errorf(market.Conflict, "Stripe's webhook endpoint %s for %s doesn't send %s.", e.ID, e.URL, want)
		}
	}
	return nil
}

// endpointsUnreadable allows for restricted keys, which are enough for payments alone.
func endpointsUnreadable(err error) error {
	var e *stripego.Error
	if errors.As(err, &e) && e.HTTPStatusCode == http.StatusForbidden {
		return market.Errorf(market.Forbidden, "The Stripe key may not list webhook endpoints, so they can't be checked.").Because(redacted(e))
	}
	return fetchFailed(err)
}
