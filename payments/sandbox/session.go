package sandbox

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"time"

	"github.com/souk-market/souk/internal/market"
	"github.com/souk-market/souk/payments"
)

// defaultLife is how long a session can be paid when the request doesn't say.
const defaultLife = 30 * time.Minute

// session is the stored form of a payment page.
//
//	open → (confirming →) complete, paid
//	open | confirming → expired
//
// Of a card only brand and last four digits are ever kept.
type session struct {
	ID          string                 `json:"id"`
	Key         string                 `json:"key"`
	Fingerprint string                 `json:"fingerprint"` // of the request, to tell repeats from misuse of a key
	Reference   market.CheckoutID      `json:"reference"`
	Lines       []line                 `json:"lines"`
	Total       market.Money           `json:"total"`
	Email       string                 `json:"email"`
	SuccessURL  string                 `json:"success_url"`
	CancelURL   string                 `json:"cancel_url"`
	Created     time.Time              `json:"created"`
	Expires     time.Time              `json:"expires"`
	Status      payments.SessionStatus `json:"status"`
	Finished    time.Time              `json:"finished,omitzero"`
	PaymentRef  string                 `json:"payment_ref,omitempty"` // set when paid
	Card        string                 `json:"card,omitempty"`        // "Visa ending in 4242"
	Confirming  string                 `json:"confirming,omitempty"`  // the card whose holder has to confirm
}

type line struct {
	Name      string       `json:"name"`
	Quantity  int64        `json:"quantity"`
	UnitPrice market.Money `json:"unit_price"`
}

func newSession(req payments.SessionRequest, now time.Time) *session {
	s := &session{
		ID:          "cs_sandbox_" + market.NewSecret(),
		Key:         req.IdempotencyKey,
		Fingerprint: fingerprint(req),
		Reference:   req.Reference,
		Total:       req.Total,
		Email:       req.Email,
		SuccessURL:  req.SuccessURL,
		CancelURL:   req.CancelURL,
		Created:     now,
		Expires:     req.ExpiresAt.UTC().Truncate(time.Second),
		Status:      payments.SessionOpen,
	}
	for _, l := range req.Lines {
		s.Lines = append(s.Lines, line(l))
	}
	if req.ExpiresAt.IsZero() {
		s.Expires = now.Add(defaultLife).Truncate(time.Second)
	}
	return s
}

// fingerprint is equal for requests that ask for the same. Times count in whole
// seconds, as they do at other providers.
func fingerprint(req payments.SessionRequest) string {
	if !req.ExpiresAt.IsZero() {
		req.ExpiresAt = time.Unix(req.ExpiresAt.Unix(), 0).UTC()
	}
	text, err := json.Marshal(req)
	if err != nil {
		panic(err) // a struct of strings, numbers and a time always has a JSON form
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])
}

func (s *session) paid() bool { return s.PaymentRef != "" }

// paidBy returns the session as it is after card has paid.
func (s session) paidBy(card string, now time.Time) *session {
	s.Status, s.Finished = payments.SessionComplete, now
	s.PaymentRef = "pi_sandbox_" + market.NewSecret()
	s.Card, s.Confirming = card, ""
	return &s
}

// confirming returns the session as it is while the holder of card is asked; "" is nobody.
func (s session) confirming(card string) *session {
	s.Confirming = card
	return &s
}

// expired returns the session as it is after its time has run out.
func (s session) expired(now time.Time) *session {
	s.Status, s.Finished, s.Confirming = payments.SessionExpired, now, ""
	return &s
}

func (s *session) public(base string) payments.Session {
	p := payments.Session{
		ID:         s.ID,
		Status:     s.Status,
		Paid:       s.paid(),
		Amount:     s.Total,
		Reference:  s.Reference,
		PaymentRef: s.PaymentRef,
		ExpiresAt:  s.Expires,
	}
	if s.Status == payments.SessionOpen {
		p.URL = base + pagePath(s.ID)
	}
	return p
}

// message is a webhook that is to be delivered: the bytes are fixed when the thing
// happens, so that every delivery of an event says the same.
type message struct {
	ID      string          `json:"id"`
	Created time.Time       `json:"created"`
	Body    json.RawMessage `json:"body"`
}

// wireEvent is the JSON body of a webhook.
type wireEvent struct {
	ID      string             `json:"id"`
	Type    payments.EventType `json:"type"`
	Created int64              `json:"created"` // Unix seconds
	Live    bool               `json:"live"`
	Session wireSession        `json:"session"`
}

type wireSession struct {
	ID         string                 `json:"id"`
	Status     payments.SessionStatus `json:"status"`
	Paid       bool                   `json:"paid"`
	Amount     market.Money           `json:"amount"`
	Reference  market.CheckoutID      `json:"reference"`
	PaymentRef string                 `json:"payment_ref,omitempty"`
	ExpiresAt  int64                  `json:"expires_at"` // Unix seconds
}

func newMessage(typ payments.EventType, s *session, now time.Time) *message {
	e := wireEvent{
		ID:      "evt_sandbox_" + market.NewSecret(),
		Type:    typ,
		Created: now.Unix(),
		Session: wireSession{
			ID:         s.ID,
			Status:     s.Status,
			Paid:       s.paid(),
			Amount:     s.Total,
			Reference:  s.Reference,
			PaymentRef: s.PaymentRef,
			ExpiresAt:  s.Expires.Unix(),
		},
	}
	body, err := json.Marshal(e)
	if err != nil {
		panic(err) // strings and numbers always have a JSON form
	}
	return &message{ID: e.ID, Created: now, Body: body}
}

func (e wireEvent) public() payments.Event {
	typ := e.Type
	switch typ {
	case payments.EventSessionCompleted, payments.EventSessionExpired, payments.EventPaymentFailed:
	default:
		typ = payments.EventOther
	}
	return payments.Event{
		ID:      e.ID,
		Type:    typ,
		Created: time.Unix(e.Created, 0).UTC(),
		Live:    e.Live,
		Session: payments.Session{
			ID:         e.Session.ID,
			Status:     e.Session.Status,
			Paid:       e.Session.Paid,
			Amount:     e.Session.Amount,
			Reference:  e.Session.Reference,
			PaymentRef: e.Session.PaymentRef,
			Live:       e.Live,
			ExpiresAt:  time.Unix(e.Session.ExpiresAt, 0).UTC(),
		},
	}
}
