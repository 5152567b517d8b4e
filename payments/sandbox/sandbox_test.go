package sandbox_test

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/souk-market/souk/payments"
	"github.com/souk-market/souk/payments/paymentstest"
	"github.com/souk-market/souk/payments/sandbox"
)

func TestConformance(t *testing.T) {
	paymentstest.Run(t, func(t *testing.T) paymentstest.Subject {
		w := newWorld(t)
		w.open()
		w.run()
		return paymentstest.Subject{
			Provider: w.bank,
			Now:      w.clock.now,
			Secrets:  secrets,
			Sign:     sign,
			Body:     wireBody,
			Buyer:    w,
		}
	})
}

var secrets = [2]string{"sbx_first", "sbx_second"}

func sign(body []byte, at time.Time, secrets ...string) http.Header {
	return http.Header{sandbox.SignatureHeader: {sandbox.Sign(at, body, secrets...)}}
}

// wireBody writes an event as doc says the bank does, so that a change of the wire
// format is seen here.
func wireBody(e payments.Event) []byte {
	body, err := json.Marshal(map[string]any{
		"id": e.ID, "type": e.Type, "created": e.Created.Unix(), "live": e.Live,
		"session": map[string]any{
			"id": e.Session.ID, "status": e.Session.Status, "paid": e.Session.Paid, "amount": e.Session.Amount,
			"reference": e.Session.Reference, "payment_ref": e.Session.PaymentRef, "expires_at": e.Session.ExpiresAt.Unix(),
		},
	})
	if err != nil {
		panic(err)
	}
	return body
}

// clock is a virtual clock.
type clock struct {
	mu sync.Mutex
	t  time.Time
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.t
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.t = c.t.Add(d)
}

// world is a bank with all that is around it, over real HTTP: its page, a shop that
// receives its webhooks, a buyer without a browser, and time.
type world struct {
	t     *testing.T
	dir   string
	clock *clock

	secrets []string // configured; without any the bank makes its own

	bank  *sandbox.Bank
	front atomic.Pointer[sandbox.Bank] // bank, for the page's server
	log   *strings.Builder             // all that the bank logs; read after stop

	page    *httptest.Server
	shop    *httptest.Server
	answers chan int      // statuses that the shop gives before it gives 200s
	hooks   chan delivery // what the shop has received
	stop    func()        // ends Run
}

type delivery struct {
	header http.Header
	body   []byte
}

func newWorld(t *testing.T) *world {
	w := &world{
		t:       t,
		dir:     t.TempDir(),
		secrets: secrets[:],
		clock:   &clock{t: time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)},
		log:     &strings.Builder{},
		answers: make(chan int, 100),
		hooks:   make(chan delivery, 1000),
		stop:    func() {},
	}
	w.page = httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) { w.front.Load().ServeHTTP(rw, r) }))
	w.shop = httptest.NewServer(http.HandlerFunc(w.receive))
	t.Cleanup(func() {
		w.stop()
		w.page.Close()
		w.shop.Close()
		w.bank.Close()
	})
	return w
}

func (w *world) receive(rw http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		w.t.Errorf("reading a webhook: %v", err)
	}
	status := http.StatusOK
	select {
	case status = <-w.answers:
	default:
	}
	rw.WriteHeader(status)
	w.hooks <- delivery{r.Header, body}
}

// open opens the bank on its directory, as after a start of the process.
func (w *world) open() {
	w.t.Helper()
	bank, err := sandbox.Open(sandbox.Options{
		Dir:     w.dir,
		Secrets: w.secrets,
		Clock:   w.clock.now,
		Logger:  slog.New(slog.NewTextHandler(w.log, nil)),
	})
	if err != nil {
		w.t.Fatal(err)
	}
	w.bank = bank
	w.front.Store(bank)
	bank.SetBaseURL(w.page.URL)
	bank.SetWebhookURL(w.shop.URL + "/webhooks/sandbox")
}

func (w *world) run() {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := w.bank.Run(ctx); err != nil {
			w.t.Errorf("Run: %v", err)
		}
	}()
	w.stop = sync.OnceFunc(func() { cancel(); <-done })
}

func (w *world) advance(d time.Duration) {
	w.clock.advance(d)
	w.bank.ClockMoved()
}

// client follows no redirect, so that tests see where the buyer is sent.
var client = &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}

type answer struct {
	status   int
	location string
	header   http.Header
	body     string
}

func (w *world) post(path string, form url.Values) answer {
	w.t.Helper()
	res, err := client.PostForm(w.page.URL+path, form)
	return w.read(res, err)
}

func (w *world) get(path string) answer {
	w.t.Helper()
	res, err := client.Get(w.page.URL + path)
	return w.read(res, err)
}

func (w *world) read(res *http.Response, err error) answer {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	return answer{res.StatusCode, res.Header.Get("Location"), res.Header, string(body)}
}

func card(number string) url.Values {
	return url.Values{"number": {number}, "expiry": {"12 / 34"}, "cvc": {"123"}}
}

const goodCard = "4242 4242 4242 4242"

func pagePath(s payments.Session) string { return "/sandbox/pay/" + s.ID }

func (w *world) create(key string) payments.Session {
	w.t.Helper()
	s, err := w.bank.CreateSession(w.t.Context(), paymentstest.Request(key, w.clock.now()))
	if err != nil {
		w.t.Fatal(err)
	}
	return s
}

func (w *world) session(id string) payments.Session {
	w.t.Helper()
	s, err := w.bank.Session(w.t.Context(), id)
	if err != nil {
		w.t.Fatal(err)
	}
	return s
}

// event waits for the next webhook and reads it.
func (w *world) event() payments.Event {
	w.t.Helper()
	header, body := w.Webhook(w.t)
	e, err := w.bank.ParseWebhook(w.t.Context(), header, body)
	if err != nil {
		w.t.Fatal(err)
	}
	return e
}

func (w *world) Pay(t *testing.T, s payments.Session) *url.URL {
	t.Helper()
	got := w.post(strings.TrimPrefix(s.URL, w.page.URL), card(goodCard))
	if got.status != http.StatusSeeOther {
		t.Fatalf("paying answered %d, want 303:\n%s", got.status, got.body)
	}
	to, err := url.Parse(got.location)
	if err != nil {
		t.Fatal(err)
	}
	return to
}

func (w *world) Expire(t *testing.T, s payments.Session) {
	w.advance(s.ExpiresAt.Sub(w.clock.now()))
}

func (w *world) Webhook(t *testing.T) (http.Header, []byte) {
	t.Helper()
	select {
	case d := <-w.hooks:
		return d.header, d.body
	case <-t.Context().Done():
		t.Fatal("no webhook came")
	case <-time.After(10 * time.Second):
		t.Fatal("no webhook came in ten seconds")
	}
	return nil, nil
}

func (w *world) LoseAnswers(n int) { w.bank.SetFaults(sandbox.Faults{LoseAnswers: n}) }
func (w *world) Away(away bool)    { w.bank.SetFaults(sandbox.Faults{Away: away}) }
