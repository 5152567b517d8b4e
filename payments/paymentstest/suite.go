// Package paymentstest is the contract of payments.Provider as tests. Every provider
// runs all of it; what passes here can stand in for any other that does.
//
// RunShapes needs no memory at the other end. Run adds the cases of state: idempotency,
// paying, expiry, answers that get lost.
package paymentstest

import (
	"context"
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/souk-market/souk/internal/market"
	"github.com/souk-market/souk/payments"
)

// Subject is a provider under test, in test mode, with what the suite needs to play
// the outside world. Each case gets a new one.
type Subject struct {
	Provider payments.Provider

	// Now is the provider's clock.
	Now func() time.Time

	// Secrets are the two webhook secrets configured, as during a rotation.
	Secrets [2]string

	// Sign returns the headers of a webhook signed at a time with each of secrets.
	Sign func(body []byte, at time.Time, secrets ...string) http.Header

	// Body is a webhook's body in the provider's own JSON form.
	Body func(payments.Event) []byte

	// Buyer is the other end, for Run.
	Buyer Buyer
}

// Buyer is the other end of a provider that keeps state: the person on the payment
// page, time, and the network.
type Buyer interface {
	// Pay does what a buyer does on the page at s.URL with a good card, and returns
	// where they were sent.
	Pay(t *testing.T, s payments.Session) *url.URL

	// Expire lets s run out of time.
	Expire(t *testing.T, s payments.Session)

	// Webhook waits for the next webhook.
	Webhook(t *testing.T) (http.Header, []byte)

	// LoseAnswers makes the next n creates take effect and their answers get lost.
	LoseAnswers(n int)

	// Away makes the provider unreachable, or reachable again.
	Away(bool)
}

// Run runs the suite. open makes a new Subject that lives as long as the test.
func Run(t *testing.T, open func(*testing.T) Subject) {
	RunShapes(t, open)
	runCases(t, open, statefulCases)
}

// RunShapes runs the cases that ask nothing about what was done before.
func RunShapes(t *testing.T, open func(*testing.T) Subject) { runCases(t, open, shapeCases) }

type testCase struct {
	name string
	run  func(*testing.T, Subject)
}

func runCases(t *testing.T, open func(*testing.T) Subject, cases []testCase) {
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) { c.run(t, open(t)) })
	}
}

var shapeCases = []testCase{
	{"names itself", namesItself},
	{"makes a session", makesSession},
	{"takes a free line beside a paid one", takesFreeLine},
	{"takes currencies without minor units", takesYen},
	{"refuses what breaks the rules", refusesInvalid},
	{"does not find an unknown session", doesNotFind},
	{"stops with the caller", stopsWithCaller},
	{"reads every event", readsEvents},
	{"refuses unproven webhooks", refusesUnproven},
	{"accepts either secret", acceptsEitherSecret},
	{"keeps the modes apart", keepsModesApart},
	{"reads one event alike a hundred times", readsAlike},
}

// Request is a valid request of two lines, 27.00 USD. Its references are unique to key.
func Request(key string, now time.Time) payments.SessionRequest {
	return payments.SessionRequest{
		IdempotencyKey: "pay_" + key,
		Reference:      market.CheckoutID("chk_" + key),
		PaymentID:      market.PaymentID("pay_" + key),
		Lines: []payments.Line{
			{Name: "LangChain retriever for Chroma", Quantity: 1, UnitPrice: usd(900)},
			{Name: "Playwright MCP “server” & <tools>", Quantity: 2, UnitPrice: usd(900)},
		},
		Total:      usd(2700),
		Email:      "buyer@example.test",
		SuccessURL: "https://shop.example.test/o/" + key,
		CancelURL:  "https://shop.example.test/checkout?canceled=1",
		ExpiresAt:  now.Add(time.Hour),
	}
}

func usd(minor int64) market.Money { return market.Money{Amount: minor, Currency: "USD"} }

func create(t *testing.T, s Subject, req payments.SessionRequest) payments.Session {
	t.Helper()
	got, err := s.Provider.CreateSession(t.Context(), req)
	if err != nil {
		t.Fatalf("CreateSession: %v", err)
	}
	return got
}

func wantKind(t *testing.T, err error, want market.Kind) {
	t.Helper()
	if !market.Is(err, want) {
		t.Errorf("got error %v (%s), want one of kind %s", err, market.KindOf(err), want)
	}
}

func namesItself(t *testing.T, s Subject) {
	name := s.Provider.Name()
	if name == "" || url.PathEscape(name) != name {
		t.Errorf("Name() is %q, want a word that can stand in a path", name)
	}
	if s.Provider.Live() {
		t.Error("Live() is true, want false: tests never run with real money")
	}
}

func makesSession(t *testing.T, s Subject) {
	made := create(t, s, Request("made", s.Now()))
	if u, err := url.Parse(made.URL); err != nil || u.Host == "" {
		t.Errorf("URL is %q, want an absolute one", made.URL)
	}
	found, err := s.Provider.Session(t.Context(), made.ID)
	if err != nil {
		t.Fatal(err)
	}
	for _, got := range []payments.Session{made, found} {
		if got.ID == "" || got.ID != made.ID {
			t.Errorf("ID is %q and then %q, want one that stays", made.ID, got.ID)
		}
		if got.Status != payments.SessionOpen || got.Paid || got.Live {
			t.Errorf("got status %q, paid %t, live %t; want a new session open, unpaid and of test mode", got.Status, got.Paid, got.Live)
		}
	}
}

func takesFreeLine(t *testing.T, s Subject) {
	req := Request("free-line", s.Now())
	req.Lines = append(req.Lines, payments.Line{Name: "Free agent", Quantity: 1, UnitPrice: usd(0)})
	create(t, s, req)
}

func takesYen(t *testing.T, s Subject) {
	req := Request("yen", s.Now())
	yen := market.Money{Amount: 500, Currency: "JPY"}
	req.Lines, req.Total = []payments.Line{{Name: "Agent", Quantity: 1, UnitPrice: yen}}, yen
	create(t, s, req)
}

func refusesInvalid(t *testing.T, s Subject) {
	cases := map[string]func(*payments.SessionRequest){
		"no key":                    func(r *payments.SessionRequest) { r.IdempotencyKey = "" },
		"no reference":              func(r *payments.SessionRequest) { r.Reference = "" },
		"no lines":                  func(r *payments.SessionRequest) { r.Lines = nil },
		"total is not the sum":      func(r *payments.SessionRequest) { r.Total.Amount-- },
		"total in another currency": func(r *payments.SessionRequest) { r.Total.Currency = "EUR" },
		"nothing to pay": func(r *payments.SessionRequest) {
			r.Lines, r.Total = []payments.Line{{Name: "Free", Quantity: 1, UnitPrice: usd(0)}}, usd(0)
		},
		"negative price":  func(r *payments.SessionRequest) { r.Lines[0].UnitPrice.Amount = -900 },
		"quantity 0":      func(r *payments.SessionRequest) { r.Lines[0].Quantity = 0 },
		"quantity -1":     func(r *payments.SessionRequest) { r.Lines[0].Quantity = -1 },
		"overflow":        func(r *payments.SessionRequest) { r.Lines[0].UnitPrice.Amount = 1 << 62 },
		"no name":         func(r *payments.SessionRequest) { r.Lines[0].Name = "" },
		"no address":      func(r *payments.SessionRequest) { r.Email = "buyer" },
		"relative return": func(r *payments.SessionRequest) { r.SuccessURL = "/o/1" },
		"script return":   func(r *payments.SessionRequest) { r.CancelURL = "javascript:alert(1)" },
	}
	for name, spoil := range cases {
		t.Run(name, func(t *testing.T) {
			req := Request("invalid", s.Now())
			spoil(&req)
			_, err := s.Provider.CreateSession(t.Context(), req)
			wantKind(t, err, market.Invalid)
		})
	}
}

func doesNotFind(t *testing.T, s Subject) {
	_, err := s.Provider.Session(t.Context(), "nothing-like-an-id")
	wantKind(t, err, market.NotFound)
}

func stopsWithCaller(t *testing.T, s Subject) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := s.Provider.CreateSession(ctx, Request("stopped", s.Now()))
	wantKind(t, err, market.Unavailable)
}
