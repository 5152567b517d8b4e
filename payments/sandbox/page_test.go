package sandbox_test

import (
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/souk-market/souk/payments"
	"github.com/souk-market/souk/payments/paymentstest"
)

func openWorld(t *testing.T) *world {
	w := newWorld(t)
	w.open()
	w.run()
	return w
}

func wantAnswer(t *testing.T, got answer, status int, contains ...string) {
	t.Helper()
	if got.status != status {
		t.Errorf("got status %d, want %d; body:\n%s", got.status, status, got.body)
	}
	for _, text := range contains {
		if !strings.Contains(got.body, text) {
			t.Errorf("the page lacks %q:\n%s", text, got.body)
		}
	}
}

func TestPageShowsWhatIsBought(t *testing.T) {
	w := openWorld(t)
	got := w.get(pagePath(w.create("shown")))
	wantAnswer(t, got, http.StatusOK,
		"Souk Sandbox", "test payments", "shop.example.test",
		"LangChain retriever for Chroma", "Playwright MCP “server” &amp; &lt;tools&gt;", "× 2", "18.00 USD", "Pay 27.00 USD",
		`autocomplete="cc-number"`, `autocomplete="cc-exp"`, `autocomplete="cc-csc"`, `inputmode="numeric"`)
	if got.header.Get("Cache-Control") != "private, no-store" {
		t.Errorf("Cache-Control is %q, want private, no-store", got.header.Get("Cache-Control"))
	}
}

// The page has to work under a policy that allows no inline style and no script.
func TestPageKeepsItsContentSecurityPolicy(t *testing.T) {
	w := openWorld(t)
	got := w.get(pagePath(w.create("csp")))
	policy := got.header.Get("Content-Security-Policy")
	for _, want := range []string{"default-src 'none'", "style-src 'self'", "form-action 'self' https://shop.example.test"} {
		if !strings.Contains(policy, want) {
			t.Errorf("the policy %q lacks %q", policy, want)
		}
	}
	if inline := regexp.MustCompile(`(?i)<script|<style|\sstyle=|\son\w+=`).FindString(got.body); inline != "" {
		t.Errorf("the page has %q, which its policy forbids", inline)
	}
	href := regexp.MustCompile(`<link rel="stylesheet" href="([^"]+)"`).FindStringSubmatch(got.body)
	if href == nil || !strings.HasPrefix(href[1], "/sandbox/assets/") {
		t.Fatalf("the page links no style sheet under /sandbox/assets/:\n%s", got.body)
	}
	css := w.get(href[1])
	if css.status != http.StatusOK || !strings.Contains(css.header.Get("Cache-Control"), "immutable") || !strings.Contains(css.header.Get("Content-Type"), "text/css") {
		t.Errorf("the style sheet answers %d %v", css.status, css.header)
	}
	wantAnswer(t, w.get("/sandbox/assets/sandbox.css"), http.StatusNotFound)
}

func TestMistypedCard(t *testing.T) {
	w := openWorld(t)
	path := pagePath(w.create("mistyped"))
	cases := []struct {
		name                string
		number, expiry, cvc string
		want                string // the error, beside its field
		field               string
	}{
		{"nothing", "", "12/34", "123", "Enter a card number", "number"},
		{"letters", "4242 4242 4242 424O", "12/34", "123", "12 to 19 digits", "number"},
		{"too short", "4242 4242", "12/34", "123", "12 to 19 digits", "number"},
		{"check digit", "4242 4242 4242 4241", "12/34", "123", "check digit", "number"},
		{"no such test card", "4000 0000 0000 0010", "12/34", "123", "not one of the test cards", "number"},
		{"no date", goodCard, "", "123", "month and year", "expiry"},
		{"month 13", goodCard, "13/34", "123", "no month 13", "expiry"},
		{"month 00", goodCard, "00/34", "123", "no month 00", "expiry"},
		{"last month", goodCard, "10/26", "123", "has expired", "expiry"},
		{"far future", goodCard, "12/99", "123", "20 years", "expiry"},
		{"short code", goodCard, "12/34", "12", "three digits", "cvc"},
		{"no code", goodCard, "12/34", "", "three digits", "cvc"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			got := w.post(path, url.Values{"number": {c.number}, "expiry": {c.expiry}, "cvc": {c.cvc}})
			wantAnswer(t, got, http.StatusUnprocessableEntity, c.want, `id="`+c.field+`-error"`, `aria-describedby="`+c.field+`-error"`)
			if strings.Count(got.body, `class="error"`) != 1 {
				t.Errorf("want one error on the page:\n%s", got.body)
			}
			if c.field != "number" && !strings.Contains(got.body, `value="`+c.number+`"`) {
				t.Errorf("the number typed is not kept:\n%s", got.body)
			}
			if c.expiry != "" && !strings.Contains(got.body, `value="`+c.expiry+`"`) {
				t.Errorf("the expiry typed is not kept:\n%s", got.body)
			}
		})
	}
	if s := w.session(strings.TrimPrefix(path, "/sandbox/pay/")); s.Status != payments.SessionOpen {
		t.Errorf("the session is %s after mistypings, want it open", s.Status)
	}
}

func TestExpiryForms(t *testing.T) {
	w := openWorld(t)
	for i, expiry := range []string{"12/34", "12 / 34", "1234", "12/2034", "1/27", "11/26"} {
		s := w.create("expiry-" + string(rune('a'+i)))
		form := card(goodCard)
		form.Set("expiry", expiry)
		if got := w.post(pagePath(s), form); got.status != http.StatusSeeOther {
			t.Errorf("%q answered %d, want 303", expiry, got.status)
		}
	}
}

func TestRefusedCardMayTryAgain(t *testing.T) {
	w := openWorld(t)
	s := w.create("refused")
	wantAnswer(t, w.post(pagePath(s), card("4000 0000 0000 0002")), http.StatusPaymentRequired, "was declined", `role="alert"`, `value="4000 0000 0000 0002"`)
	wantAnswer(t, w.post(pagePath(s), card("4000 0000 0000 9995")), http.StatusPaymentRequired, "insufficient funds")
	if got := w.session(s.ID); got.Status != payments.SessionOpen || got.Paid {
		t.Errorf("after two refused cards the session is %+v, want it open", got)
	}
	w.Pay(t, s)
	if e := w.event(); e.Type != payments.EventSessionCompleted || !e.Session.Paid {
		t.Errorf("the first webhook is %+v, want the payment", e)
	}
}

func TestHolderConfirms(t *testing.T) {
	w := openWorld(t)
	s := w.create("confirm")
	confirm := pagePath(s) + "/confirm"

	if got := w.get(confirm); got.location != pagePath(s) {
		t.Errorf("confirming before paying leads to %q (%d), want the card form", got.location, got.status)
	}
	if got := w.post(pagePath(s), card("4000002500003155")); got.status != http.StatusSeeOther || got.location != confirm {
		t.Fatalf("paying leads to %q (%d), want %q", got.location, got.status, confirm)
	}
	if got := w.session(s.ID); got.Paid || got.Status != payments.SessionOpen {
		t.Errorf("the session is %+v before the holder has answered, want it open", got)
	}
	wantAnswer(t, w.get(confirm), http.StatusOK, "Visa ending in 3155", "27.00 USD", "shop.example.test")
	wantAnswer(t, w.post(confirm, url.Values{"answer": {"maybe"}}), http.StatusUnprocessableEntity, "Choose one")
	wantAnswer(t, w.post(confirm, url.Values{"answer": {"deny"}}), http.StatusPaymentRequired, "did not confirm", "Card number")
	if got := w.post(confirm, url.Values{"answer": {"approve"}}); got.location != pagePath(s) {
		t.Errorf("approving after denying leads to %q, want the card form", got.location)
	}
	if got := w.session(s.ID); got.Paid {
		t.Error("paid although the holder denied")
	}

	w.post(pagePath(s), card("4000002500003155"))
	if got := w.post(confirm, url.Values{"answer": {"approve"}}); got.location != paymentstest.Request("confirm", w.clock.now()).SuccessURL {
		t.Errorf("approving leads to %q (%d), want the shop", got.location, got.status)
	}
	if e := w.event(); !e.Session.Paid || e.Session.ID != s.ID {
		t.Errorf("got the webhook %+v, want the payment", e)
	}
}

// PRODUCT CHK-10: fifty clicks on "Pay" are one payment, and all end in the shop.
func TestDoubleClickPaysOnce(t *testing.T) {
	w := openWorld(t)
	s := w.create("double")
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			res, err := client.PostForm(w.page.URL+pagePath(s), card(goodCard))
			if err != nil {
				t.Error(err)
				return
			}
			res.Body.Close()
			if to := res.Header.Get("Location"); res.StatusCode != http.StatusSeeOther || to != "https://shop.example.test/o/double" {
				t.Errorf("a click answered %d to %q, want 303 to the shop", res.StatusCode, to)
			}
		})
	}
	wg.Wait()
	ref := w.session(s.ID).PaymentRef
	w.Pay(t, s) // and once more, later
	if got := w.session(s.ID).PaymentRef; got != ref {
		t.Errorf("the payment changed from %s to %s", ref, got)
	}
	w.event()
	w.stop()
	if n := len(w.hooks) + w.bank.Pending(); n != 0 {
		t.Errorf("%d webhooks beside the first, want none", n)
	}
}

func TestCancelLeavesSessionOpen(t *testing.T) {
	w := openWorld(t)
	s := w.create("cancel")
	if got := w.post(pagePath(s)+"/cancel", nil); got.status != http.StatusSeeOther || got.location != "https://shop.example.test/checkout?canceled=1" {
		t.Errorf("cancelling leads to %q (%d), want the shop's cancel page", got.location, got.status)
	}
	w.Pay(t, s)
	if got := w.post(pagePath(s)+"/cancel", nil); got.location != "https://shop.example.test/o/cancel" {
		t.Errorf("cancelling what is paid leads to %q, want the shop's success page", got.location)
	}
	if got := w.get(pagePath(s)); got.location != "https://shop.example.test/o/cancel" {
		t.Errorf("coming back to a paid page leads to %q, want the shop's success page", got.location)
	}
}

func TestExpiredPage(t *testing.T) {
	w := openWorld(t)
	s := w.create("expired")
	w.clock.advance(time.Hour) // nobody tells the worker: the page has to see for itself
	wantAnswer(t, w.post(pagePath(s), card(goodCard)), http.StatusGone, "expired", "Nothing was charged", "https://shop.example.test/checkout?canceled=1")
	wantAnswer(t, w.get(pagePath(s)), http.StatusGone)
	if got := w.session(s.ID); got.Status != payments.SessionExpired || got.Paid {
		t.Errorf("got %+v, want it expired", got)
	}
	if e := w.event(); e.Type != payments.EventSessionExpired {
		t.Errorf("got the webhook %s, want %s", e.Type, payments.EventSessionExpired)
	}
}

func TestUnknownPage(t *testing.T) {
	w := openWorld(t)
	wantAnswer(t, w.get("/sandbox/pay/cs_sandbox_unknown"), http.StatusNotFound, "no payment")
	wantAnswer(t, w.post("/sandbox/pay/cs_sandbox_unknown", card(goodCard)), http.StatusNotFound)
	wantAnswer(t, w.post("/sandbox/pay/cs_sandbox_unknown", url.Values{"number": {strings.Repeat("4", 1<<20)}}), http.StatusBadRequest)
}

// A full card number stands neither in the journal nor in the log, and one that could
// be real isn't even sent back.
func TestCardNumbersAreNotKept(t *testing.T) {
	w := openWorld(t)
	const real = "4111 1111 1111 1111"
	s := w.create("pan")
	if got := w.post(pagePath(s), card(real)); strings.Contains(got.body, real) {
		t.Error("a number that may be a real card's is sent back")
	}
	w.post(pagePath(s), card("4000002500003155"))
	w.post(pagePath(s), card("4000000000000002"))
	w.Pay(t, s)
	w.event()
	w.stop()
	if err := w.bank.Close(); err != nil {
		t.Fatal(err)
	}
	journal, err := os.ReadFile(filepath.Join(w.dir, "journal"))
	if err != nil {
		t.Fatal(err)
	}
	kept := string(journal) + w.log.String()
	for _, pan := range []string{real, goodCard, "4000002500003155", "4000000000000002"} {
		for _, form := range []string{pan, strings.ReplaceAll(pan, " ", "")} {
			if strings.Contains(kept, form) {
				t.Errorf("%s was kept", form)
			}
		}
	}
	if !strings.Contains(kept, "Visa ending in 4242") {
		t.Error("brand and last four digits were not kept")
	}
}
