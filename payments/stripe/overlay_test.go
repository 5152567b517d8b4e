package stripe

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/souk-market/souk/payments"
)

// overlay gives stripe-mock a memory. Every request is first judged by stripe-mock,
// against Stripe's own specification, and its answer, which has all the fields that the
// specification demands, is then filled with state: IDs, amounts, status, idempotency
// keys. It is also the buyer's page, the network that fails, and the sender of webhooks.
type overlay struct {
	mock string // stripe-mock's base URL
	addr string // of the overlay

	mu       sync.Mutex // guards what follows
	server   *http.Server
	sessions map[string]map[string]any
	keys     map[string]kept
	lose     int // answers still to be lost
	events   chan []byte
}

type kept struct {
	form   string
	answer []byte
}

func newOverlay(t *testing.T, mock string) *overlay {
	o := &overlay{
		mock:     mock,
		addr:     "127.0.0.1:0",
		sessions: map[string]map[string]any{},
		keys:     map[string]kept{},
		events:   make(chan []byte, 10),
	}
	o.listen(t)
	t.Cleanup(func() { o.server.Close() })
	return o
}

func (o *overlay) url() string { return "http://" + o.addr }

// listen opens the door, on the same port as before if there was one.
func (o *overlay) listen(t *testing.T) {
	l, err := net.Listen("tcp", o.addr)
	if err != nil {
		t.Fatal(err)
	}
	o.addr = l.Addr().String()
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v1/checkout/sessions", o.create)
	mux.HandleFunc("GET /v1/checkout/sessions/{id}", o.fetch)
	mux.HandleFunc("POST /c/{id}", o.pay)
	o.server = &http.Server{Handler: mux}
	go o.server.Serve(l)
}

func (o *overlay) create(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	status, template := o.judge(r, body)
	if status != http.StatusOK {
		w.WriteHeader(status)
		w.Write(template)
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	key := r.Header.Get("Idempotency-Key")
	first, ok := o.keys[key]
	switch {
	case !ok && !livesAsStripeWants(body):
		fail(w, http.StatusBadRequest, "invalid_request_error", "", "The `expires_at` timestamp must be between 30 minutes and 24 hours from Checkout Session creation.")
		return
	case !ok:
		first = kept{string(body), o.make(template, body)}
		o.keys[key] = first
	case first.form != string(body):
		fail(w, http.StatusBadRequest, "idempotency_error", "",
			"Keys for idempotent requests can only be used with the same parameters they were first used with.")
		return
	}
	if o.lose > 0 {
		o.lose--
		panic(http.ErrAbortHandler) // cuts the connection
	}
	w.Write(first.answer)
}

func livesAsStripeWants(body []byte) bool {
	form, err := url.ParseQuery(string(body))
	if err != nil || !form.Has("expires_at") {
		return err == nil
	}
	life := time.Until(time.Unix(number(form, "expires_at"), 0))
	return life >= payments.MinSessionLife && life <= payments.MaxSessionLife
}

// judge asks stripe-mock.
func (o *overlay) judge(r *http.Request, body []byte) (int, []byte) {
	req, err := http.NewRequest(r.Method, o.mock+r.URL.Path, bytes.NewReader(body))
	if err != nil {
		panic(err)
	}
	req.Header = r.Header.Clone()
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		panic(err)
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(res.Body)
	if err != nil {
		panic(err)
	}
	return res.StatusCode, answer
}

// make fills in the template of a new session. o.mu is held.
func (o *overlay) make(template, body []byte) []byte {
	form, err := url.ParseQuery(string(body))
	if err != nil {
		panic(err)
	}
	s := map[string]any{}
	if err := json.Unmarshal(template, &s); err != nil {
		panic(err)
	}
	id := fmt.Sprintf("cs_test_%06d", len(o.sessions)+1)
	s["id"], s["url"], s["payment_intent"] = id, o.url()+"/c/"+id, nil
	s["client_reference_id"], s["success_url"] = form.Get("client_reference_id"), form.Get("success_url")
	s["currency"], s["amount_total"] = form.Get("line_items[0][price_data][currency]"), total(form)
	s["expires_at"] = time.Now().Add(payments.MaxSessionLife).Unix()
	if form.Has("expires_at") {
		s["expires_at"] = number(form, "expires_at")
	}
	o.sessions[id] = s
	return encode(s)
}

func total(form url.Values) int64 {
	sum := int64(0)
	for i := 0; form.Has(fmt.Sprintf("line_items[%d][quantity]", i)); i++ {
		sum += number(form, fmt.Sprintf("line_items[%d][quantity]", i)) * number(form, fmt.Sprintf("line_items[%d][price_data][unit_amount]", i))
	}
	return sum
}

func number(form url.Values, name string) int64 {
	n, err := strconv.ParseInt(form.Get(name), 10, 64)
	if err != nil {
		panic(err)
	}
	return n
}

func encode(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return b
}

func fail(w http.ResponseWriter, status int, typ, code, message string) {
	w.WriteHeader(status)
	w.Write(encode(map[string]any{"error": map[string]any{"type": typ, "code": code, "message": message}}))
}

func (o *overlay) fetch(w http.ResponseWriter, r *http.Request) {
	o.mu.Lock()
	defer o.mu.Unlock()
	s := o.sessions[r.PathValue("id")]
	if s == nil {
		fail(w, http.StatusNotFound, "invalid_request_error", "resource_missing", "No such checkout.session")
		return
	}
	w.Write(encode(s))
}

func (o *overlay) pay(w http.ResponseWriter, r *http.Request) {
	o.mu.Lock()
	defer o.mu.Unlock()
	s := o.sessions[r.PathValue("id")]
	if s == nil || s["status"] != "open" {
		http.Error(w, "not open", http.StatusGone)
		return
	}
	s["status"], s["payment_status"], s["url"] = "complete", "paid", nil
	s["payment_intent"] = "pi_" + strings.TrimPrefix(s["id"].(string), "cs_test_")
	o.tell("checkout.session.completed", s)
	http.Redirect(w, r, s["success_url"].(string), http.StatusSeeOther)
}

// tell queues a webhook. o.mu is held.
func (o *overlay) tell(typ string, session map[string]any) {
	o.events <- encode(map[string]any{
		"id": "evt_" + typ, "object": "event", "api_version": APIVersion, "created": time.Now().Unix(),
		"type": typ, "livemode": false, "data": map[string]any{"object": session},
	})
}

func (o *overlay) Pay(t *testing.T, s payments.Session) *url.URL {
	t.Helper()
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	res, err := client.Post(s.URL, "", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	to, err := res.Location()
	if err != nil {
		t.Fatalf("paying answered %s: %v", res.Status, err)
	}
	return to
}

func (o *overlay) Expire(t *testing.T, s payments.Session) {
	o.mu.Lock()
	defer o.mu.Unlock()
	found := o.sessions[s.ID]
	found["status"], found["url"] = "expired", nil
	o.tell("checkout.session.expired", found)
}

func (o *overlay) Webhook(t *testing.T) (http.Header, []byte) {
	t.Helper()
	select {
	case body := <-o.events:
		return signStripe(body, time.Now(), testSecrets[0]), body
	default:
		t.Fatal("Stripe has nothing to tell")
		return nil, nil
	}
}

// LoseAnswers loses those of stripe-go's own repeats too, which would find the session.
func (o *overlay) LoseAnswers(n int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.lose = n * (1 + maxRetries)
}

func (o *overlay) Away(away bool) {
	if away {
		o.server.Close()
		return
	}
	o.listen(nil)
}
