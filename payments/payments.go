package payments

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/souk-market/souk/internal/market"
)

// Provider takes payments. Its methods may be called from any goroutine.
//
// A buyer's way: CreateSession, a redirect to Session.URL, and then news of the result
// by three roads that may come in any order or not at all: a webhook (ParseWebhook), the
// buyer's return to SuccessURL, and a later look (Session). None of them is authority on
// its own about what was ordered, and the return proves nothing about payment: before
// anything is granted, the session's Reference, Amount and Live are compared with what
// was stored when the session was asked for.
type Provider interface {
	// Name is a lower-case word, the last part of its webhook's path: /webhooks/{name}.
	Name() string

	// Live reports whether real money moves. It never changes.
	Live() bool

	// CreateSession opens a payment page for the request. It is idempotent by
	// IdempotencyKey: the same key with the same request gives the same session (whose
	// state may be that of the first answer), the same key with another request gives
	// Conflict. Providers keep keys for a day at least.
	//
	// Errors: Invalid when the request breaks a rule of Validate or of the provider
	// (an amount too small, a currency it doesn't take), so that repeating is useless;
	// Unavailable when the provider can't be asked. If the answer was lost on the way,
	// the error also is ErrOutcomeUnknown: that is neither success nor failure, and the
	// way out is the same call with the same key. Every other error means that no
	// session was made.
	CreateSession(ctx context.Context, req SessionRequest) (Session, error)

	// Session fetches the session's present state. Errors: NotFound, Unavailable, and
	// Conflict for a session of the other mode (test or live).
	Session(ctx context.Context, id string) (Session, error)

	// ParseWebhook authenticates a webhook's raw body and reads it. The signature is
	// checked over the bytes as received, so nothing may have parsed and rewritten them;
	// it may be at most Tolerance old and be made with any of the configured secrets.
	//
	// Errors: Invalid, also ErrSignature, for what the provider didn't send or sent too
	// long ago. Conflict for an authentic event that this instance must not act on: one
	// of the other mode (test or live), or in an API version that can't be read. Then
	// the Event has its ID, Created and Live, and what else could be read, so that it
	// can be set aside for the operator; repeating it would not help.
	ParseWebhook(ctx context.Context, header http.Header, body []byte) (Event, error)
}

const (
	// Tolerance is the oldest age at which a signed webhook is believed (RELIABILITY case 4).
	Tolerance = 300 * time.Second

	// MinSessionLife and MaxSessionLife bound how long a session can be paid (Stripe's
	// API reference, "Create a Checkout Session", expires_at).
	MinSessionLife = 30 * time.Minute
	MaxSessionLife = 24 * time.Hour

	// MaxWebhookBody is the largest webhook body, in bytes, that a way in has to read.
	MaxWebhookBody = 1 << 20
)

var (
	// ErrOutcomeUnknown says that a request may or may not have taken effect at the provider.
	ErrOutcomeUnknown = errors.New("payments: outcome unknown")

	// ErrSignature says that a webhook isn't proven to come from the provider.
	ErrSignature = errors.New("payments: webhook signature refused")
)

// SessionRequest asks for one payment. To repeat it, repeat every field: a provider
// compares them all, so ExpiresAt is a stored time and not one counted from now.
type SessionRequest struct {
	// IdempotencyKey is 1 to 255 bytes, and names this request for ever: the
	// PaymentID serves.
	IdempotencyKey string

	// Reference is echoed in the session and its events.
	Reference market.CheckoutID
	PaymentID market.PaymentID

	Lines []Line
	Total market.Money // the sum of the lines, more than zero
	Email string       // of the buyer, normalized; filled in on the page and used for the provider's receipt

	// SuccessURL and CancelURL are absolute http or https URLs, to which the buyer
	// is sent back after paying, and when they turn back without paying.
	SuccessURL string
	CancelURL  string

	// ExpiresAt is when the page stops taking payment. Zero means the provider's
	// default. Otherwise it must be MinSessionLife to MaxSessionLife ahead when the
	// session is made, so an hour leaves room to repeat a call whose outcome is
	// unknown. Once less than MinSessionLife is left, a repeat finds the session or is
	// refused, and can't make a second one, even if the provider has forgotten the key.
	ExpiresAt time.Time
}

// Line is one row of the payment page: Quantity times UnitPrice.
type Line struct {
	Name      string
	Quantity  int64
	UnitPrice market.Money // may be zero, so that a free line shows beside a paid one
}

// SessionStatus says what the payment page still does. A complete session is not
// always a paid one: see Session.Paid.
//
//	open → complete | expired
type SessionStatus string

const (
	SessionOpen     SessionStatus = "open"     // the buyer can pay
	SessionComplete SessionStatus = "complete" // the buyer has done their part
	SessionExpired  SessionStatus = "expired"  // nothing was paid, and nothing can be
)

// Session is a provider's payment page and what became of it.
type Session struct {
	ID     string // the provider's
	URL    string // where the buyer pays; empty when the session is not open
	Status SessionStatus

	// Paid reports whether the money is certain. With delayed methods (bank transfer,
	// SEPA debit) a session is complete days before it is paid, or never is.
	Paid bool

	Amount     market.Money // what the session asks for
	Reference  market.CheckoutID
	PaymentRef string // the provider's ID of the payment itself, for refunds; empty until there is one
	Live       bool
	ExpiresAt  time.Time
}

// EventType is what a webhook tells.
type EventType string

const (
	// EventSessionCompleted: the buyer is through. It comes a second time, under another
	// event ID, when a delayed payment succeeds. Only Session.Paid says that money came.
	EventSessionCompleted EventType = "session.completed"
	// EventSessionExpired: the time ran out and nothing was paid.
	EventSessionExpired EventType = "session.expired"
	// EventPaymentFailed: a delayed payment failed after the session was complete. A
	// card declined on the page is no event: the buyer is told there and tries again.
	EventPaymentFailed EventType = "payment.failed"
	// EventOther is authentic and of no interest. Session may be empty.
	EventOther EventType = "other"
)

// Event is an authentic message from a provider. Deliveries repeat, come late and in
// any order: act once per ID, and never move a payment backwards because of one.
type Event struct {
	ID      string // the provider's, the same in every delivery
	Type    EventType
	Session Session // as it was when the event was made
	Created time.Time
	Live    bool
}
