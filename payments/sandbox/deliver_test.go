package sandbox_test

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/souk-market/souk/payments"
	"github.com/souk-market/souk/payments/sandbox"
)

// soon lets virtual time pass until the next webhook comes.
func (w *world) soon() payments.Event {
	w.t.Helper()
	for range 2000 {
		select {
		case d := <-w.hooks:
			e, err := w.bank.ParseWebhook(w.t.Context(), d.header, d.body)
			if err != nil {
				w.t.Fatal(err)
			}
			return e
		case <-time.After(5 * time.Millisecond):
			w.advance(time.Minute)
		}
	}
	w.t.Fatal("no webhook came")
	return payments.Event{}
}

// quiet ends Run and reports webhooks that nobody expected.
func (w *world) quiet() {
	w.t.Helper()
	w.stop()
	if n := len(w.hooks); n != 0 {
		w.t.Errorf("%d more webhooks came, want none", n)
	}
}

func TestDeliveryIsRepeatedUntilAccepted(t *testing.T) {
	w := openWorld(t)
	for _, status := range []int{500, 503, 400, 404} {
		w.answers <- status
	}
	s := w.create("retried")
	w.Pay(t, s)
	first := w.event()
	for range 4 {
		if again := w.soon(); again != first {
			t.Errorf("a repeated delivery says %+v, the first said %+v", again, first)
		}
	}
	w.quiet()
	if n := w.bank.Pending(); n != 0 {
		t.Errorf("%d webhooks are pending after a 200, want none", n)
	}
	if !strings.Contains(w.log.String(), "attempt=4") {
		t.Errorf("the log doesn't tell of the fourth attempt:\n%s", w.log)
	}
}

func TestDeliverySurvivesRestart(t *testing.T) {
	w := newWorld(t)
	w.open()
	s := w.create("restarted") // nothing runs yet, so the webhook stays due
	w.Pay(t, s)
	if err := w.bank.Close(); err != nil {
		t.Fatal(err)
	}
	w.open()
	if got := w.session(s.ID); !got.Paid {
		t.Errorf("after a restart the session is %+v, want it paid", got)
	}
	if again := w.create("restarted"); again.ID != s.ID {
		t.Errorf("after a restart the key gives session %s, want %s", again.ID, s.ID)
	}
	w.run()
	e := w.event()
	if e.Session.ID != s.ID || !e.Session.Paid {
		t.Errorf("got the webhook %+v, want the payment of %s", e, s.ID)
	}
	w.stop()
	w.bank.Close()
	w.open()
	w.run()
	w.quiet() // what was accepted before a restart isn't sent after it
	if n := w.bank.Pending(); n != 0 {
		t.Errorf("%d webhooks are pending, want none", n)
	}
}

// What a crash leaves is the journal as it was when an answer was given.
func TestAnswersSurviveCrash(t *testing.T) {
	w := newWorld(t)
	w.open()
	s := w.create("crashed")
	w.Pay(t, s)
	crashed, err := os.ReadFile(filepath.Join(w.dir, "journal"))
	if err != nil {
		t.Fatal(err)
	}
	w.bank.Close()
	w.dir = t.TempDir()
	if err := os.WriteFile(filepath.Join(w.dir, "journal"), crashed, 0o600); err != nil {
		t.Fatal(err)
	}
	w.open()
	w.run()
	if got := w.session(s.ID); !got.Paid {
		t.Errorf("got %+v, want the answered payment", got)
	}
	if e := w.event(); e.Session.ID != s.ID {
		t.Errorf("got the webhook %+v, want that of %s", e, s.ID)
	}
}

func TestDeliveryWaitsForAddress(t *testing.T) {
	w := newWorld(t)
	w.open()
	w.bank.SetWebhookURL("")
	w.run()
	w.Pay(t, w.create("early"))
	w.bank.SetWebhookURL(w.shop.URL)
	w.event()
}

func TestDeliveryFollowsNoRedirect(t *testing.T) {
	w := openWorld(t)
	w.answers <- http.StatusFound
	w.Pay(t, w.create("redirected"))
	first := w.event()
	if again := w.soon(); again.ID != first.ID {
		t.Errorf("got %s after %s, want it again", again.ID, first.ID)
	}
}

func TestOwnSecretIsKept(t *testing.T) {
	w := newWorld(t)
	w.secrets = nil
	w.open()
	w.run()
	w.Pay(t, w.create("own"))
	header, body := w.Webhook(t)
	w.stop()
	w.bank.Close()
	w.open()
	if _, err := w.bank.ParseWebhook(t.Context(), header, body); err != nil {
		t.Errorf("after a restart the bank refuses its own signature: %v", err)
	}
}

func TestFaults(t *testing.T) {
	t.Run("drop", func(t *testing.T) {
		w := openWorld(t)
		s := w.create("dropped")
		w.bank.SetFaults(sandbox.Faults{Drop: func(e payments.Event) bool { return e.Session.ID == s.ID }})
		w.Pay(t, s)
		other := w.create("kept")
		w.Pay(t, other)
		if e := w.event(); e.Session.ID != other.ID {
			t.Errorf("got the webhook of %s, want only that of %s", e.Session.ID, other.ID)
		}
		w.quiet()
		if n := w.bank.Pending(); n != 0 {
			t.Errorf("%d webhooks are pending, want none: the bank believes it delivered", n)
		}
	})
	t.Run("copies", func(t *testing.T) {
		w := openWorld(t)
		w.bank.SetFaults(sandbox.Faults{Copies: 2})
		w.Pay(t, w.create("copied"))
		first := w.event()
		for range 2 {
			if again := w.event(); again != first {
				t.Errorf("a copy says %+v, the first said %+v", again, first)
			}
		}
		w.quiet()
	})
	t.Run("delay and reorder", func(t *testing.T) {
		w := openWorld(t)
		first, second := w.create("slow"), w.create("fast")
		w.bank.SetFaults(sandbox.Faults{Delay: func(e payments.Event) time.Duration {
			if e.Session.ID == first.ID {
				return 2 * time.Minute
			}
			return time.Minute
		}})
		w.Pay(t, first)
		w.Pay(t, second)
		w.advance(time.Minute)
		if e := w.event(); e.Session.ID != second.ID {
			t.Errorf("the first webhook is of %s, want %s", e.Session.ID, second.ID)
		}
		w.advance(time.Minute)
		if e := w.event(); e.Session.ID != first.ID {
			t.Errorf("the second webhook is of %s, want %s", e.Session.ID, first.ID)
		}
	})
}
