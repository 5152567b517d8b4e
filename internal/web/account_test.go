package web_test

import (
	"context"
	"fmt"
	"html"
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/souk-market/souk/internal/account"
	"github.com/souk-market/souk/internal/blob"
	"github.com/souk-market/souk/internal/catalog"
	"github.com/souk-market/souk/internal/edge"
	"github.com/souk-market/souk/internal/market"
	"github.com/souk-market/souk/internal/order"
	"github.com/souk-market/souk/internal/web"
	"github.com/souk-market/souk/payments/sandbox"
	"github.com/souk-market/souk/search"
	"github.com/souk-market/souk/store"
	"github.com/souk-market/souk/store/storetest"
)

const (
	ada      = "ada@example.com"
	password = "correct horse battery"
)

// bazaar is a marketplace over HTTP with one seller, who has one free and one paid agent.
type bazaar struct {
	*httptest.Server
	t      *testing.T
	db     *store.DB
	people *account.Roster
	shop   *order.Shop
	index  *search.Index
	halt   func() // ends that the index follows the store
	blobs  *blob.Store
	free   market.Agent
	paid   market.Agent
}

// open opens a bazaar, by TLS when secure.
func open(t *testing.T, secure bool) *bazaar {
	t.Helper()
	b := &bazaar{t: t, db: storetest.Open(t)}
	var pages http.Handler
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { pages.ServeHTTP(w, r) })
	if b.Server = httptest.NewUnstartedServer(handler); secure {
		b.StartTLS()
	} else {
		b.Start()
	}
	t.Cleanup(b.Close)

	log := slog.New(slog.DiscardHandler)
	bank, err := sandbox.Open(sandbox.Options{Dir: t.TempDir(), Logger: log})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { bank.Close() })
	bank.SetBaseURL(b.URL)
	blobs, err := blob.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	index, err := search.Open(search.Options{Dir: t.TempDir(), DB: b.db, Logger: log})
	if err != nil {
		t.Fatal(err)
	}
	b.index, b.blobs = index, blobs
	shelf := &catalog.Catalog{Store: b.db, Tenant: market.MainTenant, Index: index, Logger: log}
	b.people = account.New(account.Config{Store: b.db, Tenant: market.MainTenant, Logger: log})
	b.shop = order.New(order.Config{
		Store: b.db, Tenant: market.MainTenant, Blobs: blobs, Provider: bank, BaseURL: b.URL, Commission: 1000, Currency: "USD", Logger: log,
	})
	b.stock(shelf, blobs)
	b.follow(index)
	pages = edge.Protect(web.New(web.Config{
		Name: "Bazaar", BaseURL: b.URL, Catalog: shelf, Shop: b.shop, Accounts: b.people, Blobs: blobs, Provider: bank, Logger: log,
		Media: b.media(log),
	}), edge.Options{})
	return b
}

// stock makes the seller with their agents.
func (b *bazaar) stock(shelf *catalog.Catalog, blobs *blob.Store) {
	ctx := context.Background()
	owner := b.account(account.NewAccount{Email: "samir@example.com", Name: "Samir", Verified: true, Seller: "Attic"})
	sellers, err := b.people.Sellers(ctx, owner.ID)
	if err != nil {
		b.t.Fatal(err)
	}
	for name, price := range map[string]int64{"Free Thing": 0, "Paid Thing": 900} {
		a, err := shelf.Publish(ctx, blobs, catalog.NewListing{
			Seller: sellers[0].ID, Name: name, Category: "data", Price: market.Money{Amount: price, Currency: "USD"}, License: price > 0,
			File: strings.NewReader(name), FileName: "thing.txt",
		})
		if err != nil {
			b.t.Fatal(err)
		}
		if price == 0 {
			b.free = a
		} else {
			b.paid = a
		}
	}
}

// follow keeps the search index up to date until the test ends, or halts it.
func (b *bazaar) follow(index *search.Index) {
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := index.Run(ctx); err != nil && ctx.Err() == nil {
			b.t.Error(err)
		}
	})
	b.halt = func() {
		cancel()
		wg.Wait()
	}
	b.t.Cleanup(func() {
		b.halt()
		index.Close()
	})
	if err := index.WaitFor(ctx, b.db.LastLSN()); err != nil {
		b.t.Fatal(err)
	}
}

func (b *bazaar) account(n account.NewAccount) market.Account {
	b.t.Helper()
	if n.Password == "" {
		n.Password = password
	}
	a, err := b.people.Create(context.Background(), n)
	if err != nil {
		b.t.Fatal(err)
	}
	return a
}

// buy places a free order.
func (b *bazaar) buy(email string) {
	b.t.Helper()
	ctx := context.Background()
	id, _, err := b.shop.Add(ctx, "", b.free.ID, "")
	if err != nil {
		b.t.Fatal(err)
	}
	cart, err := b.shop.Cart(ctx, id)
	if err != nil {
		b.t.Fatal(err)
	}
	_, err = b.shop.Place(ctx, order.Placement{Cart: id, Email: email, Terms: true, Token: order.PageToken("", &cart), Shown: cart.Total})
	if err != nil {
		b.t.Fatal(err)
	}
}

// browser keeps cookies and doesn't follow redirects.
type browser struct {
	*http.Client
	b *bazaar
}

func (b *bazaar) browser() *browser {
	jar, err := cookiejar.New(nil)
	if err != nil {
		b.t.Fatal(err)
	}
	c := *b.Client()
	c.Jar = jar
	c.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &browser{&c, b}
}

// answer is a response with its body read.
type answer struct {
	*http.Response
	body string
}

func (br *browser) do(req *http.Request) answer {
	br.b.t.Helper()
	resp, err := br.Do(req)
	if err != nil {
		br.b.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		br.b.t.Fatal(err)
	}
	return answer{resp, string(body)}
}

func (br *browser) get(path string) answer {
	br.b.t.Helper()
	return br.do(br.b.request(http.MethodGet, path, nil))
}

func (br *browser) post(path string, form url.Values) answer {
	br.b.t.Helper()
	return br.do(br.b.request(http.MethodPost, path, form))
}

func (b *bazaar) request(method, path string, form url.Values) *http.Request {
	b.t.Helper()
	var body io.Reader
	if form != nil {
		body = strings.NewReader(form.Encode())
	}
	req, err := http.NewRequest(method, b.URL+path, body)
	if err != nil {
		b.t.Fatal(err)
	}
	if form != nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	return req
}

func credentials(email, password string) url.Values {
	return url.Values{"email": {email}, "password": {password}}
}

// signIn signs in and checks that it worked.
func (br *browser) signIn(email string) {
	br.b.t.Helper()
	if a := br.post("/sign-in", credentials(email, password)); a.StatusCode != http.StatusSeeOther || a.Header.Get("Location") != "/account" {
		br.b.t.Fatalf("signing in: %s to %q", a.Status, a.Header.Get("Location"))
	}
}

// signedIn reports whether the account's page opens.
func (br *browser) signedIn() bool {
	br.b.t.Helper()
	a := br.get("/account")
	if a.StatusCode == http.StatusOK {
		return true
	}
	if a.StatusCode != http.StatusSeeOther || a.Header.Get("Location") != "/sign-in?next=%2Faccount" {
		br.b.t.Errorf("/account: %s to %q", a.Status, a.Header.Get("Location"))
	}
	return false
}

func TestSignInAndOut(t *testing.T) {
	b := open(t, false)
	b.account(account.NewAccount{Email: ada, Name: "Ada"})
	br := b.browser()
	if br.signedIn() {
		t.Error("signed in from the beginning")
	}
	br.signIn(ada)
	if !br.signedIn() {
		t.Error("not signed in after signing in")
	}
	if a := br.get("/sign-in?next=/cart"); a.StatusCode != http.StatusSeeOther || a.Header.Get("Location") != "/cart" {
		t.Errorf("the sign-in page for who is signed in: %s to %q", a.Status, a.Header.Get("Location"))
	}

	stolen := br.Jar.Cookies(b.request(http.MethodGet, "/", nil).URL)
	if a := br.post("/sign-out", nil); a.StatusCode != http.StatusSeeOther || a.Header.Get("Location") != "/" {
		t.Errorf("signing out: %s to %q", a.Status, a.Header.Get("Location"))
	}
	if br.signedIn() {
		t.Error("signed in after signing out")
	}
	br.Jar.SetCookies(b.request(http.MethodGet, "/", nil).URL, stolen)
	if br.signedIn() {
		t.Error("the session goes on on the server")
	}
}

func TestSignInRotatesAndAdoptsNothing(t *testing.T) {
	b := open(t, false)
	b.account(account.NewAccount{Email: ada})
	br := b.browser()
	site := b.request(http.MethodGet, "/", nil).URL
	session := func() string {
		for _, c := range br.Jar.Cookies(site) {
			if c.Name == "souk_session" {
				return c.Value
			}
		}
		return ""
	}
	planted := market.NewSecret()
	br.Jar.SetCookies(site, []*http.Cookie{{Name: "souk_session", Value: planted, Path: "/"}})
	br.signIn(ada)
	first := session()
	br.signIn(ada)
	second := session()
	if first == planted || second == first || len(second) < 26 {
		t.Errorf("sessions %q, %q, %q", planted, first, second)
	}
	for _, dead := range []string{planted, first} {
		br.Jar.SetCookies(site, []*http.Cookie{{Name: "souk_session", Value: dead, Path: "/"}})
		if br.signedIn() {
			t.Errorf("the session %q is alive", dead)
		}
	}
}

func TestSessionCookies(t *testing.T) {
	for _, secure := range []bool{false, true} {
		t.Run(fmt.Sprintf("secure=%t", secure), func(t *testing.T) {
			b := open(t, secure)
			b.account(account.NewAccount{Email: ada})
			prefix := ""
			if secure {
				prefix = "__Host-"
			}
			a := b.browser().post("/sign-in", credentials(ada, password))
			want := []string{prefix + "souk_device", prefix + "souk_session"}
			var got []string
			for _, c := range a.Cookies() {
				got = append(got, c.Name)
				if !c.HttpOnly || c.SameSite != http.SameSiteLaxMode || c.Path != "/" || c.Domain != "" || c.Secure != secure || c.MaxAge <= 0 {
					t.Errorf("cookie %s", c)
				}
			}
			if slices.Sort(got); !slices.Equal(got, want) {
				t.Errorf("cookies %v, want %v", got, want)
			}
			if cc := a.Header.Get("Cache-Control"); cc != "private, no-store" {
				t.Errorf("Cache-Control: %s", cc)
			}
		})
	}
}

func TestSignInFormTellsWhatIsWrong(t *testing.T) {
	b := open(t, false)
	b.account(account.NewAccount{Email: ada})
	for name, c := range map[string]struct {
		email, password, next string
		status                int
		field                 string
	}{
		"no address":     {"", "guess-guess", "", 400, "email-error"},
		"half address":   {"ada@", "guess-guess", "", 400, "email-error"},
		"no password":    {ada, "", "/cart", 400, "password-error"},
		"wrong password": {ada, "guess-guess", "/cart", 400, "password-error"},
		"markup":         {`"><script>alert(1)</script>`, "guess-guess", "", 400, "email-error"},
	} {
		form := credentials(c.email, c.password)
		form.Set("next", c.next)
		a := b.browser().post("/sign-in", form)
		if a.StatusCode != c.status || a.Header.Get("Cache-Control") != "private, no-store" || len(a.Cookies()) > 0 {
			t.Errorf("%s: %s, %v", name, a.Status, a.Header)
		}
		if !strings.Contains(a.body, `id="`+c.field+`"`) || strings.Count(a.body, "field-error") != 1 {
			t.Errorf("%s: the page has no %s alone", name, c.field)
		}
		if !strings.Contains(a.body, `value="`+html.EscapeString(c.email)+`"`) || !strings.Contains(a.body, `name="next" value="`+c.next+`"`) {
			t.Errorf("%s: what was typed is lost", name)
		}
		if strings.Contains(a.body, "guess-guess") || strings.Contains(a.body, "<script>alert") {
			t.Errorf("%s: the page holds what it must not", name)
		}
	}
}

func TestSignInPageTellsNothingAboutAddresses(t *testing.T) {
	b := open(t, false)
	b.account(account.NewAccount{Email: ada})
	known := b.browser().post("/sign-in", credentials(ada, "not the password"))
	unknown := b.browser().post("/sign-in", credentials("bob@example.com", "not the password"))
	if known.StatusCode != unknown.StatusCode || strings.ReplaceAll(known.body, ada, "bob@example.com") != unknown.body {
		t.Errorf("the answers differ: %s and %s, %d and %d bytes", known.Status, unknown.Status, len(known.body), len(unknown.body))
	}
	for _, name := range []string{"Set-Cookie", "Location", "Retry-After", "Cache-Control", "Content-Length"} {
		if known.Header.Get(name) != unknown.Header.Get(name) {
			t.Errorf("%s: %q and %q", name, known.Header.Get(name), unknown.Header.Get(name))
		}
	}
}

func TestTooManyGuesses(t *testing.T) {
	b := open(t, false)
	b.account(account.NewAccount{Email: ada})
	home := b.browser()
	home.signIn(ada)
	if a := home.post("/sign-out", nil); a.StatusCode != http.StatusSeeOther {
		t.Fatal(a.Status)
	}
	br := b.browser()
	for range 5 {
		if a := br.post("/sign-in", credentials(ada, "guess-guess")); a.StatusCode != http.StatusBadRequest {
			t.Fatal(a.Status)
		}
	}
	a := br.post("/sign-in", credentials(ada, password))
	if a.StatusCode != http.StatusTooManyRequests || a.Header.Get("Retry-After") == "" || !strings.Contains(a.body, `role="alert"`) {
		t.Errorf("the sixth attempt: %s, Retry-After %q", a.Status, a.Header.Get("Retry-After"))
	}
	home.signIn(ada) // the owner's usual browser, in the same network
}

func TestNextStaysHere(t *testing.T) {
	b := open(t, false)
	b.account(account.NewAccount{Email: ada})
	br := b.browser()
	base := b.request(http.MethodGet, "/sign-in", nil).URL
	for next, want := range map[string]string{
		"/cart": "/cart", "/search?q=a+b&page=2": "/search?q=a+b&page=2", "/o/abc#keys": "/o/abc#keys", "/": "/",
		"": "/account", "cart": "/account", "//e.example": "/account", "///e.example": "/account", `/\e.example`: "/account", `\\e.example`: "/account",
		"/\t/e.example": "/account", "/\n/e.example": "/account", "\t//e.example": "/account", "https:e.example": "/account",
		"https://e.example": "/account", "javascript:alert(1)": "/account", "/%2fe.example": "/account", "/%5ce.example": "/account",
		"//user:pass@e.example": "/account", "http:///e.example": "/account", "/a\r\nSet-Cookie: x=y": "/account", "/%": "/account",
		"/" + strings.Repeat("x", 600): "/account", "//e.example/%2f..": "/account", "/é": "/account",
	} {
		form := credentials(ada, password)
		form.Set("next", next)
		for how, a := range map[string]answer{"form": br.post("/sign-in", form), "link": br.get("/sign-in?next=" + url.QueryEscape(next))} {
			got := a.Header.Get("Location")
			if a.StatusCode != http.StatusSeeOther || got != want {
				t.Errorf("%s %q: %s to %q, want %q", how, next, a.Status, got, want)
			}
			if to, err := base.Parse(got); err != nil || to.Host != base.Host {
				t.Errorf("%s %q leads to %s, %v", how, next, to, err)
			}
		}
	}
}

func TestOtherSitesCantSignInOrOut(t *testing.T) {
	b := open(t, false)
	b.account(account.NewAccount{Email: ada})
	br := b.browser()
	br.signIn(ada)
	for _, path := range []string{"/sign-in", "/sign-out"} {
		for name, set := range map[string]func(h http.Header){
			"fetch metadata": func(h http.Header) { h.Set("Sec-Fetch-Site", "cross-site") },
			"origin":         func(h http.Header) { h.Set("Origin", "https://evil.example") },
			"opaque origin":  func(h http.Header) { h.Set("Origin", "null") },
			"plain text": func(h http.Header) {
				h.Set("Sec-Fetch-Site", "cross-site")
				h.Set("Content-Type", "text/plain")
			},
		} {
			req := b.request(http.MethodPost, path, credentials(ada, password))
			set(req.Header)
			if a := br.do(req); a.StatusCode != http.StatusForbidden || len(a.Cookies()) > 0 {
				t.Errorf("%s by %s: %s", path, name, a.Status)
			}
		}
	}
	if a := br.get("/sign-out"); a.StatusCode != http.StatusNotFound && a.StatusCode != http.StatusMethodNotAllowed {
		t.Errorf("GET /sign-out: %s", a.Status)
	}
	if !br.signedIn() {
		t.Error("another site signed the visitor out")
	}
}

func TestPublicPagesAreTheSameForEveryone(t *testing.T) {
	b := open(t, false)
	b.account(account.NewAccount{Email: ada, Name: "Ada Lovelace", Verified: true, Operator: true})
	b.buy(ada)
	stranger, member := b.browser(), b.browser()
	member.signIn(ada)
	home := stranger.get("/")
	paths := []string{"/", "/search", "/search?q=thing&category=data", "/agents/free-thing", "/agents/paid-thing", "/pages/terms", "/sellers/attic", "/robots.txt"}
	paths = append(paths, regexp.MustCompile(`/(?:assets|tiles)/[\w.-]+`).FindAllString(home.body, -1)...)
	if len(paths) < 12 {
		t.Fatalf("only %d public addresses", len(paths))
	}
	for _, path := range paths {
		theirs, ours := stranger.get(path), member.get(path)
		if theirs.StatusCode != http.StatusOK || theirs.body != ours.body || theirs.Header.Get("Etag") != ours.Header.Get("Etag") {
			t.Errorf("%s: %s and %s, %d and %d bytes", path, theirs.Status, ours.Status, len(theirs.body), len(ours.body))
		}
		for _, a := range []answer{theirs, ours} {
			if len(a.Cookies()) > 0 || strings.Contains(a.Header.Get("Vary"), "Cookie") {
				t.Errorf("%s: %v", path, a.Header)
			}
			for _, personal := range []string{ada, "Lovelace", "samir@", "Sign out", "/o/"} {
				if strings.Contains(a.body, personal) && path != "/robots.txt" {
					t.Errorf("%s has %q in it", path, personal)
				}
			}
		}
	}
}

func TestPrivatePagesAreKeptByNobody(t *testing.T) {
	b := open(t, false)
	b.account(account.NewAccount{Email: ada})
	br := b.browser()
	for _, path := range []string{"/account", "/sign-in", "/account/x.css", "/account.css"} {
		if cc := br.get(path).Header.Get("Cache-Control"); !strings.Contains(cc, "no-store") {
			t.Errorf("%s, signed out: Cache-Control %q", path, cc)
		}
	}
	br.signIn(ada)
	for _, path := range []string{"/account", "/sign-in", "/account/x.css", "/account.css"} {
		a := br.get(path)
		if cc := a.Header.Get("Cache-Control"); !strings.Contains(cc, "no-store") {
			t.Errorf("%s, signed in: Cache-Control %q", path, cc)
		}
		if path != "/account" && strings.Contains(a.body, ada) {
			t.Errorf("%s shows the account", path)
		}
	}
}

func TestLookingChangesNothing(t *testing.T) {
	b := open(t, false)
	b.account(account.NewAccount{Email: ada, Verified: true})
	b.buy(ada)
	br := b.browser()
	br.signIn(ada)
	before := b.db.LastLSN()
	for _, path := range []string{"/", "/account", "/sign-in", "/sign-out", "/cart", "/checkout", "/search", "/account?after=x"} {
		br.get(path)
		br.do(b.request(http.MethodHead, path, nil))
	}
	if got := b.db.LastLSN(); got != before {
		t.Errorf("LSN %d after looking around, want %d", got, before)
	}
}

var receiptLink = regexp.MustCompile(`href="(/o/[^"]+)"`)

func TestAccountShowsPurchases(t *testing.T) {
	b := open(t, false)
	b.account(account.NewAccount{Email: ada, Verified: true})
	br := b.browser()
	br.signIn(ada)
	if a := br.get("/account"); !strings.Contains(a.body, "Nothing yet") || strings.Contains(a.body, "Selling as") {
		t.Error("an account without purchases says something else")
	}
	for range 21 {
		b.buy("Ada@example.com")
	}
	b.buy("bob@example.com")
	first := br.get("/account")
	links := receiptLink.FindAllStringSubmatch(first.body, -1)
	if len(links) != 20 {
		t.Fatalf("%d purchases on the first page, want 20", len(links))
	}
	if receipt := b.browser().get(links[0][1]); receipt.StatusCode != http.StatusOK || !strings.Contains(receipt.body, "Free Thing") {
		t.Errorf("the receipt: %s", receipt.Status)
	}
	older := regexp.MustCompile(`rel="next" href="(/account\?after=[^"]+)"`).FindStringSubmatch(first.body)
	if older == nil {
		t.Fatal("no link to older purchases")
	}
	second := br.get(html.UnescapeString(older[1]))
	rest := receiptLink.FindAllStringSubmatch(second.body, -1)
	if len(rest) != 1 || strings.Contains(first.body, rest[0][1]) || !strings.Contains(second.body, `href="/account">Newest`) {
		t.Errorf("the second page has %v", rest)
	}
	if a := br.get("/account?after=%25%25"); a.StatusCode != http.StatusBadRequest {
		t.Errorf("with a damaged cursor: %s", a.Status)
	}
}

func TestAccountHidesPurchasesOfAnUnconfirmedAddress(t *testing.T) {
	b := open(t, false)
	b.buy(ada)
	b.account(account.NewAccount{Email: ada})
	br := b.browser()
	br.signIn(ada)
	a := br.get("/account")
	if receiptLink.MatchString(a.body) || !strings.Contains(a.body, "isn&#39;t confirmed yet") {
		t.Error("an unconfirmed address sees what was bought with it")
	}
}

func TestAccountShowsTheDesk(t *testing.T) {
	b := open(t, false)
	b.buy(ada)
	br := b.browser()
	br.signIn("samir@example.com")
	a := br.get("/account")
	for _, want := range []string{"Selling as Attic", "Latest sales", "Free Thing", "Nothing yet"} {
		if !strings.Contains(a.body, want) {
			t.Errorf("the desk lacks %q", want)
		}
	}
	if strings.Contains(a.body, ada) || receiptLink.MatchString(a.body) {
		t.Error("the desk shows the buyer's address or receipt")
	}
}

func TestCheckoutKnowsTheAddress(t *testing.T) {
	b := open(t, false)
	b.account(account.NewAccount{Email: ada})
	br := b.browser()
	br.post("/cart", url.Values{"agent": {string(b.free.ID)}})
	if a := br.get("/checkout"); a.StatusCode != http.StatusOK || strings.Contains(a.body, ada) {
		t.Fatalf("signed out: %s", a.Status)
	}
	br.signIn(ada)
	if a := br.get("/checkout"); !strings.Contains(a.body, `value="`+ada+`"`) {
		t.Error("the checkout doesn't know the address of who is signed in")
	}
}
