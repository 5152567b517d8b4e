package stripe

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	stripego "github.com/stripe/stripe-go/v76"
	"github.com/stripe/stripe-go/v76/webhook"

	"github.com/souk-market/souk/internal/market"
	"github.com/souk-market/souk/internal/testenv"
	"github.com/souk-market/souk/payments"
	"github.com/souk-market/souk/payments/paymentstest"
)

const testKey = "sk_test_0123456789abcdef"

var testSecrets = [2]string{"whsec_first", "whsec_second"}

func newProvider(t *testing.T, base string) *Provider {
	t.Helper()
	p, err := New(Config{SecretKey: testKey, WebhookSecrets: testSecrets[:], BaseURL: base})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// Against stripe-mock as it is, which checks shapes and remembers nothing, and against
// stripe-mock with a memory.
func TestConformance(t *testing.T) {
	mock := testenv.StripeMock(t)
	t.Run("shapes", func(t *testing.T) {
		paymentstest.RunShapes(t, func(t *testing.T) paymentstest.Subject { return subject(newProvider(t, mock), nil) })
	})
	t.Run("state", func(t *testing.T) {
		paymentstest.Run(t, func(t *testing.T) paymentstest.Subject {
			o := newOverlay(t, mock)
			return subject(newProvider(t, o.url()), o)
		})
	})
}

func subject(p *Provider, buyer paymentstest.Buyer) paymentstest.Subject {
	return paymentstest.Subject{
		Provider: p,
		Now:      time.Now,
		Secrets:  testSecrets,
		Sign:     signStripe,
		Body:     stripeBody,
		Buyer:    buyer,
	}
}

// signStripe signs with Stripe's own test helper, once for each secret.
func signStripe(body []byte, at time.Time, secrets ...string) http.Header {
	var parts []string
	for i, secret := range secrets {
		signed := webhook.GenerateTestSignedPayload(&webhook.UnsignedPayload{Payload: body, Secret: secret, Timestamp: at})
		t, v1, _ := strings.Cut(signed.Header, ",")
		if i == 0 {
			parts = append(parts, t)
		}
		parts = append(parts, v1)
	}
	return http.Header{"Stripe-Signature": {strings.Join(parts, ",")}}
}

var wireTypes = map[payments.EventType]string{
	payments.EventSessionCompleted: "checkout.session.completed",
	payments.EventSessionExpired:   "checkout.session.expired",
	payments.EventPaymentFailed:    "checkout.session.async_payment_failed",
	payments.EventOther:            "charge.updated",
}

func stripeBody(e payments.Event) []byte { return encode(wireEvent(e)) }

func wireEvent(e payments.Event) map[string]any {
	paid := "unpaid"
	if e.Session.Paid {
		paid = "paid"
	}
	session := map[string]any{
		"id": e.Session.ID, "object": "checkout.session", "status": e.Session.Status, "payment_status": paid, "url": nil,
		"amount_total": e.Session.Amount.Amount, "currency": strings.ToLower(string(e.Session.Amount.Currency)),
		"client_reference_id": e.Session.Reference, "expires_at": e.Session.ExpiresAt.Unix(), "livemode": e.Session.Live,
	}
	if e.Session.PaymentRef != "" {
		session["payment_intent"] = e.Session.PaymentRef
	}
	return map[string]any{
		"id": e.ID, "object": "event", "api_version": APIVersion, "created": e.Created.Unix(), "type": wireTypes[e.Type],
		"livemode": e.Live, "data": map[string]any{"object": session},
	}
}

func TestKeysOfTheOtherModeAreRefused(t *testing.T) {
	cases := []struct {
		key  string
		live bool
		ok   bool
	}{
		{"sk_test_abc", false, true},
		{"rk_test_abc", false, true},
		{"sk_live_abc", true, true},
		{"rk_live_abc", true, true},
		{"sk_live_abc", false, false},
		{"rk_live_abc", false, false},
		{"sk_test_abc", true, false},
		{"rk_test_abc", true, false},
		{"pk_test_abc", false, false},
		{"whsec_abc", false, false},
		{"sk_test_abc\n", false, false},
		{"", false, false},
	}
	for _, c := range cases {
		p, err := New(Config{SecretKey: c.key, Live: c.live, WebhookSecrets: testSecrets[:1]})
		switch {
		case c.ok && (err != nil || p.Live() != c.live):
			t.Errorf("%q with live %t: got %v, want it taken", c.key, c.live, err)
		case !c.ok && !market.Is(err, market.Invalid):
			t.Errorf("%q with live %t: got %v, want Invalid", c.key, c.live, err)
		case !c.ok && len(c.key) > 3 && strings.Contains(err.Error(), c.key):
			t.Errorf("the error repeats the key: %v", err)
		}
	}
	for _, secrets := range [][]string{nil, {""}, {"whsec_"}, {"whsec_good", "sk_test_abc"}} {
		if _, err := New(Config{SecretKey: testKey, WebhookSecrets: secrets}); !market.Is(err, market.Invalid) {
			t.Errorf("webhook secrets %q: got %v, want Invalid", secrets, err)
		}
	}
}

// wire is a server that keeps what it was sent and answers as told.
type wire struct {
	*httptest.Server
	mu       sync.Mutex
	requests []request
}

type request struct {
	header http.Header
	form   url.Values
}

func newWire(t *testing.T, answer http.HandlerFunc) *wire {
	w := &wire{}
	w.Server = httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Errorf("reading a request: %v", err)
		}
		form, err := url.ParseQuery(string(body))
		if err != nil {
			t.Errorf("reading a form: %v", err)
		}
		w.mu.Lock()
		w.requests = append(w.requests, request{r.Header, form})
		w.mu.Unlock()
		answer(rw, r)
	}))
	t.Cleanup(w.Close)
	return w
}

func (w *wire) sent() []request {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.requests
}

func TestRequestShape(t *testing.T) {
	w := newWire(t, func(rw http.ResponseWriter, r *http.Request) {
		io.WriteString(rw, `{"id":"cs_test_1","object":"checkout.session","status":"open","payment_status":"unpaid","url":"https://checkout.stripe.com/c/1"}`)
	})
	now := time.Unix(1_795_000_000, 0)
	if _, err := newProvider(t, w.URL).CreateSession(t.Context(), paymentstest.Request("shape", now)); err != nil {
		t.Fatal(err)
	}
	sent := w.sent()[0]
	want := url.Values{
		"mode": {"payment"}, "submit_type": {"pay"},
		"client_reference_id": {"chk_shape"},
		"customer_email":      {"buyer@example.test"},
		"success_url":         {"https://shop.example.test/o/shape"},
		"cancel_url":          {"https://shop.example.test/checkout?canceled=1"},
		"expires_at":          {"1795003600"},
		"metadata[checkout]":  {"chk_shape"},

		"payment_intent_data[metadata][checkout]": {"chk_shape"},
		"payment_intent_data[metadata][payment]":  {"pay_shape"},
		"payment_intent_data[transfer_group]":     {"chk_shape"},

		"line_items[0][quantity]":                       {"1"},
		"line_items[0][price_data][currency]":           {"usd"},
		"line_items[0][price_data][unit_amount]":        {"900"},
		"line_items[0][price_data][product_data][name]": {"LangChain retriever for Chroma"},
		"line_items[1][quantity]":                       {"2"},
		"line_items[1][price_data][currency]":           {"usd"},
		"line_items[1][price_data][unit_amount]":        {"900"},
		"line_items[1][price_data][product_data][name]": {"Playwright MCP “server” & <tools>"},
	}
	if diff := cmp.Diff(want, sent.form); diff != "" {
		t.Errorf("the form differs (-want +got):\n%s", diff)
	}
	for name, want := range map[string]string{"Idempotency-Key": "pay_shape", "Stripe-Version": "2023-10-16", "Authorization": "Bearer " + testKey} {
		if got := sent.header.Get(name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
}

// RELIABILITY case 9: what Stripe may have done is told apart from what it has refused.
func TestErrorsOfCreate(t *testing.T) {
	cases := []struct {
		name    string
		status  int
		body    string
		want    market.Kind
		unknown bool
	}{
		{"internal error", 500, `{"error":{"type":"api_error","message":"oops"}}`, market.Unavailable, true},
		{"maintenance page", 503, `<html>down</html>`, market.Unavailable, true},
		{"same key under way", 409, `{"error":{"type":"invalid_request_error","code":"idempotency_key_in_use"}}`, market.Unavailable, true},
		{"answer cut short", 200, `{"id":"cs_te`, market.Unavailable, true},
		{"too many requests", 429, `{"error":{"type":"invalid_request_error","code":"rate_limit"}}`, market.Unavailable, false},
		{"key revoked", 401, `{"error":{"type":"invalid_request_error","message":"Invalid API Key"}}`, market.Internal, false},
		{"permission missing", 403, `{"error":{"type":"invalid_request_error"}}`, market.Internal, false},
		{"amount too small", 400, `{"error":{"type":"invalid_request_error","code":"amount_too_small"}}`, market.Invalid, false},
		{"bad parameter", 400, `{"error":{"type":"invalid_request_error","code":"parameter_invalid_empty","param":"line_items"}}`, market.Invalid, false},
		{"key used otherwise", 400, `{"error":{"type":"idempotency_error"}}`, market.Conflict, false},
		{"session of the other mode", 200, `{"id":"cs_live_1","status":"open","livemode":true}`, market.Conflict, false},
		{"another amount", 200, `{"id":"cs_test_1","status":"open","currency":"usd","amount_total":270000}`, market.Conflict, false},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			w := newWire(t, func(rw http.ResponseWriter, r *http.Request) {
				rw.WriteHeader(c.status)
				io.WriteString(rw, c.body)
			})
			_, err := newProvider(t, w.URL).CreateSession(t.Context(), paymentstest.Request("err", time.Now()))
			if !market.Is(err, c.want) || errors.Is(err, payments.ErrOutcomeUnknown) != c.unknown {
				t.Errorf("got %v (%s), want %s with unknown outcome %t", err, market.KindOf(err), c.want, c.unknown)
			}
			if strings.Contains(err.Error(), testKey) || strings.Contains(err.Error(), "buyer@") {
				t.Errorf("the error tells a secret: %v", err)
			}
			for i, r := range w.sent() {
				if r.header.Get("Idempotency-Key") != "pay_err" || cmp.Diff(w.sent()[0].form, r.form) != "" {
					t.Errorf("request %d differs from the first", i+1)
				}
			}
			if n := len(w.sent()); n > 1+maxRetries {
				t.Errorf("%d requests, want at most %d", n, 1+maxRetries)
			}
		})
	}
}

func TestSilenceIsUnknownOutcome(t *testing.T) {
	release := make(chan struct{})
	w := newWire(t, func(rw http.ResponseWriter, r *http.Request) { <-release })
	defer close(release)
	p, err := New(Config{SecretKey: testKey, WebhookSecrets: testSecrets[:], BaseURL: w.URL, Timeout: 50 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	_, err = p.CreateSession(t.Context(), paymentstest.Request("silent", time.Now()))
	if !market.Is(err, market.Unavailable) || !errors.Is(err, payments.ErrOutcomeUnknown) {
		t.Errorf("got %v, want Unavailable with unknown outcome", err)
	}
	_, err = p.Session(t.Context(), "cs_test_1")
	if !market.Is(err, market.Unavailable) || errors.Is(err, payments.ErrOutcomeUnknown) {
		t.Errorf("got %v for a read, want Unavailable and no talk of outcomes", err)
	}
}

func TestSession(t *testing.T) {
	cases := []struct {
		name, body string
		want       payments.Session
	}{
		{
			"paid",
			`{"id":"cs_test_1","status":"complete","payment_status":"paid","currency":"usd","amount_total":2700,"client_reference_id":"chk_1","payment_intent":"pi_1","expires_at":1795000000}`,
			payments.Session{ID: "cs_test_1", Status: payments.SessionComplete, Paid: true, Amount: market.Money{Amount: 2700, Currency: "USD"}, Reference: "chk_1", PaymentRef: "pi_1", ExpiresAt: time.Unix(1_795_000_000, 0).UTC()},
		},
		{
			"complete by a delayed method",
			`{"id":"cs_test_1","status":"complete","payment_status":"unpaid","currency":"eur","amount_total":2700}`,
			payments.Session{ID: "cs_test_1", Status: payments.SessionComplete, Amount: market.Money{Amount: 2700, Currency: "EUR"}},
		},
		{
			"nothing was asked for", // never asked by us, so nothing that could pay an order
			`{"id":"cs_test_1","status":"complete","payment_status":"no_payment_required","currency":"usd","amount_total":0}`,
			payments.Session{ID: "cs_test_1", Status: payments.SessionComplete, Amount: market.Money{Currency: "USD"}},
		},
		{
			"shown to the buyer in another currency",
			`{"id":"cs_test_1","status":"complete","payment_status":"paid","currency":"eur","amount_total":2511,"currency_conversion":{"amount_subtotal":2700,"amount_total":2700,"fx_rate":"0.93","source_currency":"usd"}}`,
			payments.Session{ID: "cs_test_1", Status: payments.SessionComplete, Paid: true, Amount: market.Money{Amount: 2700, Currency: "USD"}},
		},
		{
			"in a currency that Stripe writes otherwise",
			`{"id":"cs_test_1","status":"open","payment_status":"unpaid","currency":"isk","amount_total":150000,"url":"https://checkout.stripe.com/c/1"}`,
			payments.Session{ID: "cs_test_1", URL: "https://checkout.stripe.com/c/1", Status: payments.SessionOpen, Amount: market.Money{Amount: 1500, Currency: "ISK"}},
		},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			w := newWire(t, func(rw http.ResponseWriter, r *http.Request) { io.WriteString(rw, c.body) })
			got, err := newProvider(t, w.URL).Session(t.Context(), "cs_test_1")
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("the session differs (-want +got):\n%s", diff)
			}
		})
	}
}

func anEvent() map[string]any {
	return wireEvent(payments.Event{
		ID: "evt_1", Type: payments.EventSessionCompleted, Created: time.Now(),
		Session: payments.Session{ID: "cs_1", Status: payments.SessionComplete, Paid: true, Amount: market.Money{Amount: 900, Currency: "USD"}, Reference: "chk_1"},
	})
}

func parse(t *testing.T, p *Provider, event map[string]any) (payments.Event, error) {
	t.Helper()
	body := encode(event)
	return p.ParseWebhook(t.Context(), signStripe(body, time.Now(), testSecrets[0]), body)
}

// PRODUCT C.1 number 1.
func TestEventOfAnotherAPIVersion(t *testing.T) {
	p := newProvider(t, "http://127.0.0.1:1")
	event := anEvent()
	event["api_version"] = "2026-08-26.dahlia"
	got, err := parse(t, p, event)
	if !market.Is(err, market.Conflict) {
		t.Fatalf("got %v, want Conflict", err)
	}
	for _, want := range []string{"2026-08-26.dahlia", "api_version=" + stripego.APIVersion, "checkout.session.completed", "signing secret"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("the error doesn't say %q: %v", want, err)
		}
	}
	if got.ID != "evt_1" || got.Session.ID != "cs_1" {
		t.Errorf("got %+v with the error, want the event's and the session's ID", got)
	}
	event["type"] = "charge.updated"
	if got, err := parse(t, p, event); err != nil || got.Type != payments.EventOther {
		t.Errorf("an event of no interest: got %+v, %v; its version doesn't matter", got, err)
	}
}

// PRODUCT C.1 number 8, RELIABILITY case 15.
func TestEventOfAnotherAccount(t *testing.T) {
	event := anEvent()
	event["account"] = "acct_seller"
	got, err := parse(t, newProvider(t, "http://127.0.0.1:1"), event)
	if !market.Is(err, market.Conflict) || !strings.Contains(err.Error(), "acct_seller") || got.ID != "evt_1" {
		t.Errorf("got %+v, %v; want a Conflict that names the account", got, err)
	}
}

// PRODUCT C.1 number 14.
func TestDelayedPayment(t *testing.T) {
	p := newProvider(t, "http://127.0.0.1:1")
	for _, c := range []struct {
		typ, status string
		want        payments.EventType
		paid        bool
	}{
		{"checkout.session.completed", "unpaid", payments.EventSessionCompleted, false},
		{"checkout.session.async_payment_succeeded", "paid", payments.EventSessionCompleted, true},
		{"checkout.session.async_payment_failed", "unpaid", payments.EventPaymentFailed, false},
	} {
		event := anEvent()
		event["type"] = c.typ
		event["data"].(map[string]any)["object"].(map[string]any)["payment_status"] = c.status
		got, err := parse(t, p, event)
		if err != nil || got.Type != c.want || got.Session.Paid != c.paid {
			t.Errorf("%s: got %s, paid %t, %v; want %s, paid %t", c.typ, got.Type, got.Session.Paid, err, c.want, c.paid)
		}
	}
}

func TestUnreadableEvent(t *testing.T) {
	p := newProvider(t, "http://127.0.0.1:1")
	for name, spoil := range map[string]func(map[string]any){
		"no data":              func(e map[string]any) { delete(e, "data") },
		"data of another kind": func(e map[string]any) { e["data"] = map[string]any{"object": []int{1}} },
		"unknown status": func(e map[string]any) {
			e["data"].(map[string]any)["object"].(map[string]any)["status"] = "pondering"
		},
		"unknown currency": func(e map[string]any) {
			e["data"].(map[string]any)["object"].(map[string]any)["currency"] = "xxx"
		},
	} {
		event := anEvent()
		spoil(event)
		if got, err := parse(t, p, event); err == nil {
			t.Errorf("%s: got %+v and no error", name, got)
		}
	}
}
