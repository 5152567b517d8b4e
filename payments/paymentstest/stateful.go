package paymentstest

import (
	"errors"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/souk-market/souk/internal/market"
	"github.com/souk-market/souk/payments"
)

var statefulCases = []testCase{
	{"tells what it was asked for", tellsRequest},
	{"gives one session for one key", oneSessionForKey},
	{"gives one session to parallel callers", oneSessionInParallel},
	{"refuses a key used for something else", refusesOtherRequest},
	{"refuses lives too short and too long", refusesLives},
	{"finds the session after a lost answer", findsAfterLostAnswer},
	{"is paid by the buyer", isPaid},
	{"expires", expires},
	{"says when it is away", saysAway},
}

func tellsRequest(t *testing.T, s Subject) {
	req := Request("told", s.Now())
	made := create(t, s, req)
	got, err := s.Provider.Session(t.Context(), made.ID)
	if err != nil {
		t.Fatal(err)
	}
	if got != made {
		t.Errorf("Session gives %+v, CreateSession gave %+v", got, made)
	}
	if got.Amount != req.Total || got.Reference != req.Reference || got.ExpiresAt.Unix() != req.ExpiresAt.Unix() {
		t.Errorf("got amount %s, reference %s, expiry %s; want %s, %s, %s",
			got.Amount, got.Reference, got.ExpiresAt, req.Total, req.Reference, req.ExpiresAt)
	}
}

func oneSessionForKey(t *testing.T, s Subject) {
	req := Request("again", s.Now())
	first, second := create(t, s, req), create(t, s, req)
	if first.ID != second.ID || first.URL != second.URL {
		t.Errorf("one key gave the sessions %s and %s", first.ID, second.ID)
	}
	if other := create(t, s, Request("other", s.Now())); other.ID == first.ID {
		t.Errorf("two keys gave the session %s", first.ID)
	}
}

func oneSessionInParallel(t *testing.T, s Subject) {
	req := Request("parallel", s.Now())
	var wg sync.WaitGroup
	ids := make([]string, 50)
	for i := range ids {
		wg.Go(func() {
			got, err := s.Provider.CreateSession(t.Context(), req)
			if err != nil && !errors.Is(err, payments.ErrOutcomeUnknown) {
				t.Errorf("caller %d: %v; only an unknown outcome is allowed here", i, err)
			}
			ids[i] = got.ID
		})
	}
	wg.Wait()
	want := create(t, s, req).ID
	for i, id := range ids {
		if id != "" && id != want {
			t.Errorf("caller %d got %s, want %s", i, id, want)
		}
	}
}

func refusesOtherRequest(t *testing.T, s Subject) {
	req := Request("reused", s.Now())
	create(t, s, req)
	req.Lines = req.Lines[:1]
	req.Total = usd(900)
	_, err := s.Provider.CreateSession(t.Context(), req)
	wantKind(t, err, market.Conflict)
}

func refusesLives(t *testing.T, s Subject) {
	for _, life := range []time.Duration{-time.Hour, payments.MinSessionLife - time.Minute, payments.MaxSessionLife + time.Minute} {
		req := Request("life-"+life.String(), s.Now())
		req.ExpiresAt = s.Now().Add(life)
		_, err := s.Provider.CreateSession(t.Context(), req)
		wantKind(t, err, market.Invalid)
	}
	req := Request("life-default", s.Now())
	req.ExpiresAt = time.Time{}
	if got := create(t, s, req); !got.ExpiresAt.After(s.Now()) {
		t.Errorf("the default expiry is %s, want it to come", got.ExpiresAt)
	}
}

// RELIABILITY case 9.
func findsAfterLostAnswer(t *testing.T, s Subject) {
	req := Request("lost", s.Now())
	s.Buyer.LoseAnswers(1)
	_, err := s.Provider.CreateSession(t.Context(), req)
	wantKind(t, err, market.Unavailable)
	if !errors.Is(err, payments.ErrOutcomeUnknown) {
		t.Fatalf("got %v, want ErrOutcomeUnknown: the session may exist", err)
	}
	first, second := create(t, s, req), create(t, s, req)
	if first.ID != second.ID {
		t.Errorf("repeating gave %s and then %s", first.ID, second.ID)
	}
	// Two sessions would be two charges: pay the one and see that it is the only news.
	s.Buyer.Pay(t, first)
	header, body := s.Buyer.Webhook(t)
	e, err := s.Provider.ParseWebhook(t.Context(), header, body)
	if err != nil || e.Session.ID != first.ID {
		t.Errorf("the webhook tells of session %s (%v), want %s", e.Session.ID, err, first.ID)
	}
}

func isPaid(t *testing.T, s Subject) {
	req := Request("paid", s.Now())
	made := create(t, s, req)
	back := s.Buyer.Pay(t, made)
	if want, _ := url.Parse(req.SuccessURL); *back != *want {
		t.Errorf("the buyer was sent to %s, want %s", back, want)
	}
	got, err := s.Provider.Session(t.Context(), made.ID)
	if err != nil {
		t.Fatal(err)
	}
	if got.Status != payments.SessionComplete || !got.Paid || got.PaymentRef == "" || got.URL != "" || got.Amount != req.Total {
		t.Errorf("got %+v, want it complete, paid with a payment reference, and without a page", got)
	}
	header, body := s.Buyer.Webhook(t)
	e, err := s.Provider.ParseWebhook(t.Context(), header, body)
	if err != nil {
		t.Fatal(err)
	}
	if e.Type != payments.EventSessionCompleted || e.ID == "" || e.Session != got {
		t.Errorf("the webhook says %s of %+v, want %s of %+v", e.Type, e.Session, payments.EventSessionCompleted, got)
	}
}

func expires(t *testing.T, s Subject) {
	made := create(t, s, Request("expired", s.Now()))
	s.Buyer.Expire(t, made)
	got, err := s.Provider.Session(t.Context(), made.ID)
	if err != nil {
		t.Fatal(err)
	}
	if got.Status != payments.SessionExpired || got.Paid || got.URL != "" {
		t.Errorf("got %+v, want it expired, unpaid and without a page", got)
	}
	header, body := s.Buyer.Webhook(t)
	e, err := s.Provider.ParseWebhook(t.Context(), header, body)
	if err != nil || e.Type != payments.EventSessionExpired || e.Session.ID != made.ID {
		t.Errorf("the webhook says %s of %s (%v), want %s of %s", e.Type, e.Session.ID, err, payments.EventSessionExpired, made.ID)
	}
}

func saysAway(t *testing.T, s Subject) {
	made := create(t, s, Request("away", s.Now()))
	s.Buyer.Away(true)
	_, err := s.Provider.Session(t.Context(), made.ID)
	wantKind(t, err, market.Unavailable)
	_, err = s.Provider.CreateSession(t.Context(), Request("away-2", s.Now()))
	wantKind(t, err, market.Unavailable)
	if errors.Is(err, payments.ErrOutcomeUnknown) {
		t.Errorf("got %v; nothing was sent, so the outcome is known", err)
	}
	s.Buyer.Away(false)
	create(t, s, Request("away-2", s.Now()))
}
