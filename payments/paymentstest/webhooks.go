package paymentstest

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/souk-market/souk/internal/market"
	"github.com/souk-market/souk/payments"
)

// event is what a webhook of typ tells of a session that Request("event") would make.
func event(s Subject, typ payments.EventType) payments.Event {
	now := s.Now().UTC().Truncate(time.Second)
	e := payments.Event{
		ID:      "evt_1",
		Type:    typ,
		Created: now,
		Session: payments.Session{
			ID:        "cs_1",
			Status:    payments.SessionComplete,
			Amount:    usd(2700),
			Reference: "chk_event",
			ExpiresAt: now.Add(time.Hour),
		},
	}
	switch typ {
	case payments.EventSessionCompleted:
		e.Session.Paid, e.Session.PaymentRef = true, "pi_1"
	case payments.EventSessionExpired:
		e.Session.Status = payments.SessionExpired
	case payments.EventPaymentFailed:
		e.Session.PaymentRef = "pi_1"
	}
	return e
}

func parse(s Subject, t *testing.T, header http.Header, body []byte) (payments.Event, error) {
	t.Helper()
	return s.Provider.ParseWebhook(t.Context(), header, body)
}

func readsEvents(t *testing.T, s Subject) {
	completed := event(s, payments.EventSessionCompleted)
	unpaid := completed // a delayed method: the buyer is through, the money isn't there
	unpaid.Session.Paid = false
	for _, want := range []payments.Event{completed, unpaid, event(s, payments.EventSessionExpired), event(s, payments.EventPaymentFailed)} {
		body := s.Body(want)
		got, err := parse(s, t, s.Sign(body, s.Now(), s.Secrets[0]), body)
		if err != nil {
			t.Errorf("%s: %v", want.Type, err)
			continue
		}
		if got != want {
			t.Errorf("%s: got %+v, want %+v", want.Type, got, want)
		}
	}
	other := event(s, payments.EventOther)
	body := s.Body(other)
	got, err := parse(s, t, s.Sign(body, s.Now(), s.Secrets[0]), body)
	if err != nil || got.Type != payments.EventOther || got.ID != other.ID {
		t.Errorf("an event of no interest: got %+v, %v; want type %s and no error", got, err, payments.EventOther)
	}
}

// RELIABILITY cases 3 and 4.
func refusesUnproven(t *testing.T, s Subject) {
	body := s.Body(event(s, payments.EventSessionCompleted))
	good := s.Sign(body, s.Now(), s.Secrets[0])
	cases := []struct {
		name   string
		header http.Header
		body   []byte
	}{
		{"no signature", http.Header{}, body},
		{"another secret", s.Sign(body, s.Now(), "whsec_somebody_else"), body},
		{"one byte changed", good, bytes.Replace(body, []byte("2700"), []byte("2701"), 1)},
		{"JSON written anew", good, rewrite(t, body)},
		{"older than the tolerance", s.Sign(body, s.Now().Add(-payments.Tolerance-5*time.Second), s.Secrets[0]), body},
		{"empty body", good, nil},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			got, err := parse(s, t, c.header, c.body)
			wantKind(t, err, market.Invalid)
			if !errors.Is(err, payments.ErrSignature) {
				t.Errorf("got %v, want ErrSignature", err)
			}
			if got != (payments.Event{}) {
				t.Errorf("got the event %+v although it is unproven", got)
			}
		})
	}
}

// rewrite changes the bytes of some JSON and not its meaning.
func rewrite(t *testing.T, body []byte) []byte {
	var out bytes.Buffer
	if err := json.Indent(&out, body, "", " "); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func acceptsEitherSecret(t *testing.T, s Subject) {
	body := s.Body(event(s, payments.EventSessionCompleted))
	cases := map[string]http.Header{
		"first":             s.Sign(body, s.Now(), s.Secrets[0]),
		"second":            s.Sign(body, s.Now(), s.Secrets[1]),
		"one right of two":  s.Sign(body, s.Now(), "whsec_retired", s.Secrets[0]),
		"almost too old":    s.Sign(body, s.Now().Add(-payments.Tolerance+10*time.Second), s.Secrets[0]),
		"both, in any case": s.Sign(body, s.Now(), s.Secrets[1], s.Secrets[0]),
	}
	for name, header := range cases {
		if _, err := parse(s, t, header, body); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// RELIABILITY case 15, the part that a provider can see.
func keepsModesApart(t *testing.T, s Subject) {
	e := event(s, payments.EventSessionCompleted)
	e.Live, e.Session.Live = true, true
	body := s.Body(e)
	got, err := parse(s, t, s.Sign(body, s.Now(), s.Secrets[0]), body)
	wantKind(t, err, market.Conflict)
	if errors.Is(err, payments.ErrSignature) {
		t.Error("an authentic event of the other mode is reported as unproven")
	}
	if got.ID != e.ID || !got.Live || !got.Created.Equal(e.Created) {
		t.Errorf("got %+v with the error; want ID, Live and Created, so that it can be set aside", got)
	}
}

// RELIABILITY case 5, the part that a provider can see: a hundred deliveries of one
// event have one ID.
func readsAlike(t *testing.T, s Subject) {
	want := event(s, payments.EventSessionCompleted)
	body := s.Body(want)
	var wg sync.WaitGroup
	for i := range 100 {
		wg.Go(func() {
			header := s.Sign(body, s.Now(), s.Secrets[i%2])
			if got, err := s.Provider.ParseWebhook(t.Context(), header, body); err != nil || got != want {
				t.Errorf("delivery %d: got %+v, %v; want %+v", i, got, err, want)
			}
		})
	}
	wg.Wait()
}
