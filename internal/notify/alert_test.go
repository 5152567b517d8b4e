package notify

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/souk-market/souk/internal/jobs"
	"github.com/souk-market/souk/internal/mail"
	"github.com/souk-market/souk/internal/market"
	"github.com/souk-market/souk/store"
	"github.com/souk-market/souk/store/storetest"
)

// sent is a mail server's end that refuses the first few messages.
type sent struct {
	refuse   int
	messages []mail.Message
}

func (s *sent) Send(_ context.Context, m mail.Message) error {
	if s.refuse--; s.refuse >= 0 {
		return market.Errorf(market.Unavailable, "Later.")
	}
	s.messages = append(s.messages, m)
	return nil
}

// raise runs the queue over an alert for an hour of virtual time, and returns the log.
func raise(t *testing.T, m *Mailer) (log string, a market.Alert) {
	a = market.Alert{Subject: "A restore drill failed", Text: "The file x is damaged. Look at it.", At: time.Date(2026, 11, 23, 4, 0, 0, 0, time.UTC)}
	synctest.Test(t, func(t *testing.T) {
		db := storetest.Open(t)
		var text strings.Builder
		m.Logger = slog.New(slog.NewTextHandler(&text, nil))
		for {
			_, err := db.Update(t.Context(), market.MainTenant, store.Op{ID: "alert"}, func(tx *store.Tx) error { return store.Enqueue(tx, market.AlertJob, a) })
			if err == nil {
				break
			}
			if !errors.Is(err, store.ErrUnknownOutcome) {
				t.Fatal(err)
			}
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- jobs.New(db, market.MainTenant, m.Handlers(), m.Logger).Run(ctx) }()
		time.Sleep(time.Hour)
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		log = text.String()
		err := db.View(t.Context(), market.MainTenant, func(tx *store.ReadTx) error {
			for j, err := range store.Jobs(tx, "", "") {
				t.Errorf("a job is left: %+v (%v)", j, err)
			}
			return nil
		})
		if err != nil {
			t.Error(err)
		}
	})
	return log, a
}

// TestAlertByMail: the operator's mail says what happened, and goes when the server takes it.
func TestAlertByMail(t *testing.T) {
	out := &sent{refuse: 2}
	m := &Mailer{Sender: out, From: mail.Address{Email: "souk@market.example"}, Name: "Souk", BaseURL: "https://market.example",
		Operator: mail.Address{Email: "ops@market.example"}}
	log, a := raise(t, m)
	if len(out.messages) != 1 {
		t.Fatalf("%d messages\n%s", len(out.messages), log)
	}
	got := out.messages[0]
	if got.To != m.Operator || got.Subject != "Souk: A restore drill failed" || !strings.Contains(got.Text, a.Text) || !strings.Contains(got.Text, m.BaseURL) {
		t.Errorf("the mail: %+v", got)
	}
	if strings.Count(log, "level=ERROR") != 1 {
		t.Errorf("the log:\n%s", log)
	}
}

// TestAlertInTheLog: without an operator's address the log has it, as an error.
func TestAlertInTheLog(t *testing.T) {
	out := &sent{}
	log, a := raise(t, &Mailer{Sender: out})
	if len(out.messages) != 0 || strings.Count(log, "level=ERROR") != 1 || !strings.Contains(log, a.Text) || !strings.Contains(log, a.Subject) {
		t.Errorf("%d messages, the log:\n%s", len(out.messages), log)
	}
}
