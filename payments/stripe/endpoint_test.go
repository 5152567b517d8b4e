package stripe

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/souk-market/souk/internal/market"
	"github.com/souk-market/souk/internal/testenv"
)

const hookURL = "https://shop.example.test/webhooks/stripe"

// PRODUCT C.1 number 1.
func TestCreateEndpointPinsTheVersion(t *testing.T) {
	w := newWire(t, func(rw http.ResponseWriter, r *http.Request) {
		io.WriteString(rw, `{"id":"we_1","secret":"whsec_new"}`)
	})
	secret, err := newProvider(t, w.URL).CreateEndpoint(t.Context(), hookURL)
	if err != nil || secret != "whsec_new" {
		t.Fatalf("got %q, %v; want the new secret", secret, err)
	}
	form := w.sent()[0].form
	if form.Get("api_version") != "2023-10-16" || form.Get("url") != hookURL || form.Get("enabled_events[0]") != "checkout.session.completed" || len(form) != 2+len(Events) {
		t.Errorf("the endpoint asked for is %v", form)
	}
}

func TestEndpointCallsHaveStripesShape(t *testing.T) {
	p := newProvider(t, testenv.StripeMock(t))
	if _, err := p.CreateEndpoint(t.Context(), hookURL); err != nil {
		t.Errorf("CreateEndpoint: %v", err)
	}
	if err := p.CheckEndpoint(t.Context(), hookURL); !market.Is(err, market.NotFound) {
		t.Errorf("CheckEndpoint: got %v, want NotFound, since stripe-mock has another's endpoint", err)
	}
}

func TestCheckEndpoint(t *testing.T) {
	const good = `{"id":"we_1","url":"` + hookURL + `","status":"enabled","api_version":"2023-10-16","enabled_events":["checkout.session.completed","checkout.session.expired","checkout.session.async_payment_succeeded","checkout.session.async_payment_failed"]}`
	other := strings.Replace(good, hookURL, "https://elsewhere.test/", 1)
	newer := strings.Replace(good, "2023-10-16", "2026-08-26.dahlia", 1)
	cases := []struct {
		name, endpoints string
		want            market.Kind // Internal stands for no error
		says            string
	}{
		{"good", good, market.Internal, ""},
		{"good beside others", other + "," + newer + "," + good, market.Internal, ""},
		{"all events", strings.Replace(good, `"checkout.session.completed","checkout.session.expired","checkout.session.async_payment_succeeded","checkout.session.async_payment_failed"`, `"*"`, 1), market.Internal, ""},
		{"none", other, market.NotFound, "no webhook endpoint for " + hookURL},
		{"another version", newer, market.Conflict, "2026-08-26.dahlia"},
		{"the account's version", strings.Replace(good, `"2023-10-16"`, `null`, 1), market.Conflict, "only 2023-10-16"},
		{"disabled", strings.Replace(good, "enabled\",\"api", "disabled\",\"api", 1), market.Conflict, "disabled"},
		{"an event missing", strings.Replace(good, `"checkout.session.expired",`, "", 1), market.Conflict, "checkout.session.expired"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			w := newWire(t, func(rw http.ResponseWriter, r *http.Request) {
				io.WriteString(rw, `{"object":"list","url":"/v1/webhook_endpoints","has_more":false,"data":[`+c.endpoints+`]}`)
			})
			err := newProvider(t, w.URL).CheckEndpoint(t.Context(), hookURL)
			if c.want == market.Internal {
				if err != nil {
					t.Errorf("got %v, want no error", err)
				}
				return
			}
			if !market.Is(err, c.want) || !strings.Contains(market.Message(err), c.says) {
				t.Errorf("got %v, want %s that says %q", err, c.want, c.says)
			}
		})
	}
}

func TestCheckEndpointWithARestrictedKey(t *testing.T) {
	w := newWire(t, func(rw http.ResponseWriter, r *http.Request) {
		rw.WriteHeader(http.StatusForbidden)
		io.WriteString(rw, `{"error":{"type":"invalid_request_error"}}`)
	})
	if err := newProvider(t, w.URL).CheckEndpoint(t.Context(), hookURL); !market.Is(err, market.Forbidden) {
		t.Errorf("got %v, want Forbidden", err)
	}
}
