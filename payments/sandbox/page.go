package sandbox

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"fmt"
	"html/template"
	"net/http"
	"net/url"
	"strings"

	"github.com/souk-market/souk/internal/market"
	"github.com/souk-market/souk/payments"
)

// The page is the bank's, not the marketplace's: its own markup and style, no script,
// no cookie. Its forms work on any browser and from curl:
//
//	GET  /sandbox/pay/{session}           the card form
//	POST /sandbox/pay/{session}           number, expiry, cvc
//	POST /sandbox/pay/{session}/cancel
//	GET  /sandbox/pay/{session}/confirm   the card holder's question
//	POST /sandbox/pay/{session}/confirm   answer=approve or answer=deny
//	GET  /sandbox/assets/{file}
//
// After paying and after cancelling the answer is 303 to the marketplace. A card that
// is refused gets 402 and one that is mistyped 422, both with the form.

//go:embed page.html
var pageHTML string

//go:embed sandbox.css
var styleSheet []byte

var (
	pages     = template.Must(template.New("page").Parse(pageHTML))
	stylePath = assetPath("sandbox", ".css", styleSheet)
)

const maxForm = 16 << 10 // bytes; the form has three short fields

func assetPath(name, ext string, content []byte) string {
	sum := sha256.Sum256(content)
	return "/sandbox/assets/" + name + "." + hex.EncodeToString(sum[:6]) + ext
}

func pagePath(id string) string { return "/sandbox/pay/" + url.PathEscape(id) }

// view is what the templates show.
type view struct {
	Style    string
	Session  *session
	Path     string
	Shop     string // host of the marketplace
	Alert    string // why the last attempt did not pay
	Typed    card
	Problems problems
}

// Template methods: what was typed stands in the form again.
func (c card) Number() string { return c.number }
func (c card) Expiry() string { return c.expiry }
func (c card) CVC() string    { return c.cvc }

// Amount is what a line comes to. The request was validated, so it can't overflow.
func (l line) Amount() market.Money {
	return market.Money{Amount: l.UnitPrice.Amount * l.Quantity, Currency: l.UnitPrice.Currency}
}

func (b *Bank) routes() *http.ServeMux {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /sandbox/pay/{session}", b.showForm)
	mux.HandleFunc("POST /sandbox/pay/{session}", b.pay)
	mux.HandleFunc("POST /sandbox/pay/{session}/cancel", b.cancel)
	mux.HandleFunc("GET /sandbox/pay/{session}/confirm", b.showConfirm)
	mux.HandleFunc("POST /sandbox/pay/{session}/confirm", b.confirm)
	mux.HandleFunc("GET "+stylePath, serveStyle)
	return mux
}

// ServeHTTP serves the bank's own page, everything under /sandbox/.
func (b *Bank) ServeHTTP(w http.ResponseWriter, r *http.Request) { b.mux.ServeHTTP(w, r) }

func serveStyle(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/css; charset=utf-8")
	w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.Write(styleSheet)
}

// open finds the request's session while it can be paid. Otherwise it answers the
// request: paid goes on to the marketplace, so a second click on "Pay" ends where the
// first did.
func (b *Bank) open(w http.ResponseWriter, r *http.Request) (*session, bool) {
	b.mu.Lock()
	s, err := b.present(r.PathValue("session"))
	b.mu.Unlock()
	switch {
	case err != nil:
		b.fail(w, err)
	case s.Status == payments.SessionComplete:
		b.leave(w, r, s.SuccessURL)
	case s.Status == payments.SessionExpired:
		b.render(w, http.StatusGone, "expired", view{Session: s})
	default:
		return s, true
	}
	return nil, false
}

func (b *Bank) showForm(w http.ResponseWriter, r *http.Request) {
	if s, ok := b.open(w, r); ok {
		b.render(w, http.StatusOK, "form", view{Session: s})
	}
}

func (b *Bank) cancel(w http.ResponseWriter, r *http.Request) {
	// The session stays open, as at Stripe: the buyer may come back and pay.
	if s, ok := b.open(w, r); ok {
		b.leave(w, r, s.CancelURL)
	}
}

func (b *Bank) pay(w http.ResponseWriter, r *http.Request) {
	typed, err := readCard(w, r)
	if err != nil {
		b.fail(w, err)
		return
	}
	s, ok := b.open(w, r)
	if !ok {
		return
	}
	if p := typed.check(b.now()); p.any() {
		b.renderForm(w, http.StatusUnprocessableEntity, s, typed, p, "")
		return
	}
	switch typed.outcome() {
	case declined:
		b.renderForm(w, http.StatusPaymentRequired, s, typed, problems{},
			"The card was declined. Nothing was charged; try another card.")
	case insufficientFunds:
		b.renderForm(w, http.StatusPaymentRequired, s, typed, problems{},
			"The card has insufficient funds. Nothing was charged; try another card.")
	case asksHolder:
		b.settle(w, r, s.ID, func(s *session) entry { return entry{Session: s.confirming(typed.label())} })
	default:
		b.settle(w, r, s.ID, func(s *session) entry { return b.payment(s, typed.label()) })
	}
}

func readCard(w http.ResponseWriter, r *http.Request) (card, error) {
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	if err := r.ParseForm(); err != nil {
		return card{}, market.Errorf(market.Invalid, "The form could not be read. Go back and try again.")
	}
	return card{r.PostForm.Get("number"), r.PostForm.Get("expiry"), r.PostForm.Get("cvc")}, nil
}

// payment is the entry by which card pays s, with the webhook that tells of it.
func (b *Bank) payment(s *session, card string) entry {
	now := b.now()
	paid := s.paidBy(card, now)
	return entry{Session: paid, Event: newMessage(payments.EventSessionCompleted, paid, now)}
}

// settle makes a change to a session that is still open, waits until it is on disk, and
// sends the buyer on. Of two that come at once the second finds the first's result.
func (b *Bank) settle(w http.ResponseWriter, r *http.Request, id string, change func(*session) entry) {
	s, err := b.changeOpen(id, change)
	if err == nil {
		err = b.journal.sync()
	}
	switch {
	case err != nil:
		b.fail(w, away(err))
	case s.Status == payments.SessionOpen && s.Confirming != "":
		http.Redirect(w, r, pagePath(s.ID)+"/confirm", http.StatusSeeOther)
	case s.Status == payments.SessionExpired:
		b.render(w, http.StatusGone, "expired", view{Session: s})
	default:
		b.leave(w, r, s.SuccessURL)
	}
}

func (b *Bank) changeOpen(id string, change func(*session) entry) (*session, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	s, err := b.present(id)
	if err != nil || s.Status != payments.SessionOpen {
		return s, err
	}
	if err := b.change(change(s)); err != nil {
		return nil, err
	}
	return b.sessions[id], nil
}

func (b *Bank) showConfirm(w http.ResponseWriter, r *http.Request) {
	s, ok := b.open(w, r)
	if !ok {
		return
	}
	if s.Confirming == "" {
		http.Redirect(w, r, pagePath(s.ID), http.StatusSeeOther)
		return
	}
	b.render(w, http.StatusOK, "confirm", view{Session: s})
}

func (b *Bank) confirm(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	answer := r.PostFormValue("answer")
	s, ok := b.open(w, r)
	if !ok {
		return
	}
	switch {
	case s.Confirming == "":
		http.Redirect(w, r, pagePath(s.ID), http.StatusSeeOther)
	case answer == "approve":
		b.settle(w, r, s.ID, b.approve)
	case answer == "deny":
		b.deny(w, s)
	default:
		b.render(w, http.StatusUnprocessableEntity, "confirm", view{Session: s, Alert: "Choose one of the two answers."})
	}
}

// approve pays with the card that was asked about. If another tab has denied in
// between there is none, and the session stays as it is.
func (b *Bank) approve(s *session) entry {
	if s.Confirming == "" {
		return entry{Session: s}
	}
	return b.payment(s, s.Confirming)
}

func (b *Bank) deny(w http.ResponseWriter, s *session) {
	s, err := b.changeOpen(s.ID, func(s *session) entry { return entry{Session: s.confirming("")} })
	if err != nil {
		b.fail(w, err)
		return
	}
	b.renderForm(w, http.StatusPaymentRequired, s, card{}, problems{},
		"You did not confirm the payment. Nothing was charged; try again, or use another card.")
}

// leave sends the buyer back to the marketplace.
func (b *Bank) leave(w http.ResponseWriter, r *http.Request, to string) {
	setPrivate(w.Header())
	http.Redirect(w, r, to, http.StatusSeeOther)
}

// renderForm shows the form again with what was typed. A number that is no test card's
// may be a real one, and isn't sent back.
func (b *Bank) renderForm(w http.ResponseWriter, status int, s *session, typed card, p problems, alert string) {
	if n := typed.digits(); luhn(n) && !known(n) {
		typed.number = ""
	}
	b.render(w, status, "form", view{Session: s, Typed: typed, Problems: p, Alert: alert})
}

func (b *Bank) fail(w http.ResponseWriter, err error) {
	status := http.StatusServiceUnavailable
	switch market.KindOf(err) {
	case market.NotFound:
		status = http.StatusNotFound
	case market.Invalid:
		status = http.StatusBadRequest
	default:
		b.log.Error("sandbox: the payment page failed", "err", err)
	}
	b.render(w, status, "problem", view{Alert: market.Message(err)})
}

func (b *Bank) render(w http.ResponseWriter, status int, name string, v view) {
	v.Style = stylePath
	formTargets := "'self'"
	if s := v.Session; s != nil {
		v.Path, v.Shop = pagePath(s.ID), host(s.SuccessURL)
		formTargets += " " + origin(s.SuccessURL) + " " + origin(s.CancelURL)
	}
	var body bytes.Buffer
	if err := pages.ExecuteTemplate(&body, name, v); err != nil {
		b.log.Error("sandbox: the payment page can't be rendered", "page", name, "err", err)
		http.Error(w, "The payment page is broken. Nothing was charged.", http.StatusInternalServerError)
		return
	}
	h := w.Header()
	setPrivate(h)
	h.Set("Content-Type", "text/html; charset=utf-8")
	// A browser holds form-action against the redirect that follows a form too, so the
	// way back to the marketplace has to be in it.
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'self'; base-uri 'none'; frame-ancestors 'none'; form-action "+formTargets)
	w.WriteHeader(status)
	w.Write(body.Bytes())
}

// setPrivate keeps the session's address, which is as good as a key, out of caches and
// out of other sites' logs. The referrer policy is not "no-referrer", with which a
// browser would send "Origin: null" with the form, and cross-origin checks refuse that.
func setPrivate(h http.Header) {
	h.Set("Cache-Control", "private, no-store")
	h.Set("Referrer-Policy", "same-origin")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Robots-Tag", "noindex")
}

func host(s string) string {
	u, err := url.Parse(s)
	if err != nil {
		return ""
	}
	return u.Host
}

func origin(s string) string {
	u, err := url.Parse(s)
	if err != nil || strings.ContainsAny(u.Host, " ;,'\"") {
		return ""
	}
	return fmt.Sprintf("%s://%s", u.Scheme, u.Host)
}
