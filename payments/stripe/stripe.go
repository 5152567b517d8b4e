package stripe

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	stripego "github.com/stripe/stripe-go/v76"
	"github.com/stripe/stripe-go/v76/checkout/session"
	"github.com/stripe/stripe-go/v76/webhookendpoint"

	"github.com/souk-market/souk/internal/market"
	"github.com/souk-market/souk/payments"
)

// Name is the provider's name: webhooks go to /webhooks/stripe.
const Name = "stripe"

// APIVersion is the version of Stripe's API that is spoken. A webhook endpoint has to
// be made with it, because Stripe renders events in the endpoint's version.
const APIVersion = stripego.APIVersion

const (
	// defaultTimeout bounds a call with its retries, so that a buyer is told within
	// five seconds that payment is not available (RELIABILITY R11).
	defaultTimeout = 4 * time.Second

	// maxRetries is stripe-go's own repeating, with the same idempotency key, after a
	// broken connection, a 409 or a 503.
	maxRetries = 1
)

// Config says how to reach Stripe. The zero values of the optional fields are right
// for production.
type Config struct {
	// SecretKey is a secret (sk_) or restricted (rk_) API key. A restricted one needs
	// "Checkout Sessions: write".
	SecretKey string

	// WebhookSecrets are the signing secrets (whsec_) of the webhook endpoint: one, or
	// two while they are rotated. An event signed with any of them is authentic.
	WebhookSecrets []string

	// Live says which mode the operator means. A key of the other is refused.
	Live bool

	BaseURL string        // optional: where the API is, "https://api.stripe.com"
	Timeout time.Duration // optional: for one call with its retries
	Logger  *slog.Logger  // optional
}

// Provider is Stripe as a payments.Provider.
type Provider struct {
	sessions  session.Client
	endpoints webhookendpoint.Client
	secrets   []string
	live      bool
	timeout   time.Duration
}

// New checks the configuration and calls nobody. Errors are Invalid, with the
// configuration's field in Field.
func New(c Config) (*Provider, error) {
	if err := checkKey(c.SecretKey, c.Live); err != nil {
		return nil, err
	}
	if err := checkSecrets(c.WebhookSecrets); err != nil {
		return nil, err
	}
	if c.BaseURL == "" {
		c.BaseURL = stripego.APIURL
	}
	if u, err := url.Parse(c.BaseURL); err != nil || u.Host == "" {
		return nil, market.FieldErrorf("base_url", "%q is not the address of an API.", c.BaseURL)
	}
	if c.Timeout == 0 {
		c.Timeout = defaultTimeout
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	backend := newBackend(c)
	return &Provider{
		sessions:  session.Client{B: backend, Key: c.SecretKey},
		endpoints: webhookendpoint.Client{B: backend, Key: c.SecretKey},
		secrets:   slices.Clone(c.WebhookSecrets),
		live:      c.Live,
		timeout:   c.Timeout,
	}, nil
}

func newBackend(c Config) stripego.Backend {
	return stripego.GetBackendWithConfig(stripego.APIBackend, &stripego.BackendConfig{
		URL:               stripego.String(c.BaseURL),
		HTTPClient:        &http.Client{Timeout: c.Timeout, Transport: http.DefaultTransport.(*http.Transport).Clone()},
		LeveledLogger:     logger{c.Logger},
		MaxNetworkRetries: stripego.Int64(maxRetries),
		EnableTelemetry:   stripego.Bool(false),
	})
}

// checkKey says what is wrong with a key without repeating it.
func checkKey(key string, live bool) error {
	kind, rest, _ := strings.Cut(key, "_")
	mode, _, _ := strings.Cut(rest, "_")
	switch {
	case key == "":
		return market.FieldErrorf("secret_key", "Stripe needs a secret key; it begins with sk_test_ or sk_live_.")
	case kind == "pk":
		return market.FieldErrorf("secret_key", "This is a publishable key (pk_). Stripe needs the secret key, sk_ or rk_.")
	case (kind != "sk" && kind != "rk") || (mode != "test" && mode != "live") || strings.ContainsAny(key, " \t\r\n"):
		return market.FieldErrorf("secret_key", "This is not a Stripe secret key: one begins with sk_test_, sk_live_, rk_test_ or rk_live_.")
	case mode == "live" && !live:
		return market.FieldErrorf("secret_key", "This is a live key, and the shop is in test mode: real cards would be charged. Configure a test key, or live mode.")
	case mode == "test" && live:
		return market.FieldErrorf("secret_key", "This is a test key, and the shop is in live mode: nobody would be charged. Configure a live key, or test mode.")
	}
	return nil
}

func checkSecrets(secrets []string) error {
	if len(secrets) == 0 {
		return market.FieldErrorf("webhook_secrets", "Stripe needs the signing secret of the webhook endpoint; it begins with whsec_.")
	}
	for _, s := range secrets {
		if !strings.HasPrefix(s, "whsec_") || len(s) == len("whsec_") {
			return market.FieldErrorf("webhook_secrets", "This is not a signing secret of a Stripe webhook endpoint: one begins with whsec_.")
		}
	}
	return nil
}

// Name returns "stripe".
func (p *Provider) Name() string { return Name }

// Live reports whether the key is a live one.
func (p *Provider) Live() bool { return p.live }

// CreateSession makes a Checkout Session. See payments.Provider. The order's reference
// is the only thing of it that goes into metadata; it is also the transfer group, under
// which the sellers' parts are found later.
func (p *Provider) CreateSession(ctx context.Context, req payments.SessionRequest) (payments.Session, error) {
	if err := req.Validate(); err != nil {
		return payments.Session{}, err
	}
	params, err := sessionParams(req)
	if err != nil {
		return payments.Session{}, err
	}
	call, end := p.begin(ctx)
	defer end()
	params.Context = call.ctx
	made, err := p.sessions.New(params)
	if err != nil {
		return payments.Session{}, createFailed(err, call.sent.Load())
	}
	s, err := p.publish(made)
	if err != nil {
		return payments.Session{}, err
	}
	if s.Amount.Currency != "" && s.Amount != req.Total {
		return payments.Session{}, market.Errorf(market.Conflict, "Stripe asks for %s where the order comes to %s, so the payment was not offered.", s.Amount, req.Total)
	}
	return s, nil
}

func sessionParams(req payments.SessionRequest) (*stripego.CheckoutSessionParams, error) {
	reference := string(req.Reference)
	params := &stripego.CheckoutSessionParams{
		Mode:              stripego.String(string(stripego.CheckoutSessionModePayment)),
		SubmitType:        stripego.String(string(stripego.CheckoutSessionSubmitTypePay)),
		ClientReferenceID: stripego.String(reference),
		CustomerEmail:     stripego.String(req.Email),
		SuccessURL:        stripego.String(req.SuccessURL),
		CancelURL:         stripego.String(req.CancelURL),
		Metadata:          map[string]string{"checkout": reference},
		PaymentIntentData: &stripego.CheckoutSessionPaymentIntentDataParams{
			Metadata:      map[string]string{"checkout": reference, "payment": string(req.PaymentID)},
			TransferGroup: stripego.String(reference),
		},
	}
	params.SetIdempotencyKey(req.IdempotencyKey)
	if !req.ExpiresAt.IsZero() {
		params.ExpiresAt = stripego.Int64(req.ExpiresAt.Unix())
	}
	for _, l := range req.Lines {
		item, err := lineItem(l)
		if err != nil {
			return nil, err
		}
		params.LineItems = append(params.LineItems, item)
	}
	return params, nil
}

func lineItem(l payments.Line) (*stripego.CheckoutSessionLineItemParams, error) {
	amount, err := toStripe(l.UnitPrice)
	if err != nil {
		return nil, err
	}
	return &stripego.CheckoutSessionLineItemParams{
		Quantity: stripego.Int64(l.Quantity),
		PriceData: &stripego.CheckoutSessionLineItemPriceDataParams{
			Currency:    stripego.String(strings.ToLower(string(l.UnitPrice.Currency))),
			UnitAmount:  stripego.Int64(amount),
			ProductData: &stripego.CheckoutSessionLineItemPriceDataProductDataParams{Name: stripego.String(l.Name)},
		},
	}, nil
}

// Session fetches a Checkout Session. See payments.Provider.
func (p *Provider) Session(ctx context.Context, id string) (payments.Session, error) {
	if !strings.HasPrefix(id, "cs_") {
		return payments.Session{}, market.Errorf(market.NotFound, "Stripe has no payment %q.", id)
	}
	call, end := p.begin(ctx)
	defer end()
	params := &stripego.CheckoutSessionParams{}
	params.Context = call.ctx
	found, err := p.sessions.Get(id, params)
	if err != nil {
		return payments.Session{}, fetchFailed(err)
	}
	return p.publish(found)
}

// publish gives s the neutral form, and refuses one of the other mode.
func (p *Provider) publish(s *stripego.CheckoutSession) (payments.Session, error) {
	out, err := neutral(s)
	if err != nil {
		return payments.Session{}, err
	}
	if out.Live != p.live {
		return payments.Session{}, otherMode("payment "+out.ID, out.Live)
	}
	return out, nil
}

func neutral(s *stripego.CheckoutSession) (payments.Session, error) {
	out := payments.Session{
		ID:        s.ID,
		URL:       s.URL,
		Paid:      s.PaymentStatus == stripego.CheckoutSessionPaymentStatusPaid,
		Reference: market.CheckoutID(s.ClientReferenceID),
		Live:      s.Livemode,
	}
	if s.ExpiresAt != 0 {
		out.ExpiresAt = time.Unix(s.ExpiresAt, 0).UTC()
	}
	if s.PaymentIntent != nil {
		out.PaymentRef = s.PaymentIntent.ID
	}
	var err error
	out.Amount, err = amountOf(s)
	if err != nil {
		return out, err
	}
	switch s.Status {
	case stripego.CheckoutSessionStatusOpen:
		out.Status = payments.SessionOpen
	case stripego.CheckoutSessionStatusComplete:
		out.Status = payments.SessionComplete
	case stripego.CheckoutSessionStatusExpired:
		out.Status = payments.SessionExpired
	default:
		return out, market.Errorf(market.Internal, "Stripe told of a payment in a state that is not known here.").
			Because(fmt.Errorf("stripe: session %s has status %q", s.ID, s.Status))
	}
	return out, nil
}

// amountOf is what was asked for, in the currency it was asked in: when Stripe showed
// the buyer another currency, the session's own total is in that one.
func amountOf(s *stripego.CheckoutSession) (market.Money, error) {
	if c := s.CurrencyConversion; c != nil {
		return fromStripe(c.AmountTotal, string(c.SourceCurrency))
	}
	if s.Currency == "" && s.AmountTotal == 0 {
		return market.Money{}, nil
	}
	return fromStripe(s.AmountTotal, string(s.Currency))
}

// call is one request to Stripe, retries included.
type call struct {
	ctx  context.Context
	sent atomic.Bool // a request went out, so it may have taken effect
}

func (p *Provider) begin(ctx context.Context) (*call, context.CancelFunc) {
	c := &call{}
	ctx, cancel := context.WithTimeout(ctx, p.timeout)
	c.ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{WroteHeaders: func() { c.sent.Store(true) }})
	return c, cancel
}

// logger passes on what stripe-go logs. Errors are returned to the caller, who logs
// them; bodies (debug) hold personal data and are left out.
type logger struct{ log *slog.Logger }

func (l logger) Debugf(string, ...any)          {}
func (l logger) Infof(string, ...any)           {}
func (l logger) Warnf(format string, v ...any)  { l.log.Warn("stripe: " + fmt.Sprintf(format, v...)) }
func (l logger) Errorf(format string, v ...any) { l.log.Debug("stripe: " + fmt.Sprintf(format, v...)) }
