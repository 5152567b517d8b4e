package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/PuerkitoBio/goquery"
	"github.com/souk-market/souk/internal/testenv"
)

// visitor is a browser without scripts.
type visitor struct {
	t      testing.TB
	base   string
	client *http.Client
}

func visit(t testing.TB, base string) *visitor {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &visitor{t, base, &http.Client{Jar: jar, Timeout: 30 * time.Second}}
}

// page is an answer that has been read.
type page struct {
	*goquery.Document
	status int
	url    *url.URL
	header http.Header
	body   []byte
}

func (v *visitor) read(resp *http.Response, err error) page {
	v.t.Helper()
	if err != nil {
		v.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		v.t.Fatal(err)
	}
	doc, err := goquery.NewDocumentFromReader(bytes.NewReader(body))
	if err != nil {
		v.t.Fatal(err)
	}
	return page{doc, resp.StatusCode, resp.Request.URL, resp.Header, body}
}

func (v *visitor) open(path string) page {
	v.t.Helper()
	return v.read(v.client.Get(v.abs(path)))
}

func (v *visitor) abs(path string) string {
	if strings.HasPrefix(path, "http") {
		return path
	}
	return v.base + path
}

// submit fills and sends the page's form that posts to an action.
func (v *visitor) submit(p page, action string, fields map[string]string) page {
	v.t.Helper()
	form := p.Find(`form[method="post"][action="` + action + `"]`).First()
	if form.Length() == 0 {
		v.t.Fatalf("%s has no form for %s\n%s", p.url, action, p.body)
	}
	values := url.Values{}
	form.Find("input[name], button[name]").Each(func(_ int, s *goquery.Selection) {
		if value, _ := s.Attr("value"); s.AttrOr("type", "") != "checkbox" {
			values.Set(s.AttrOr("name", ""), value)
		}
	})
	for name, value := range fields {
		values.Set(name, value)
	}
	target, err := p.url.Parse(action)
	if err != nil {
		v.t.Fatal(err)
	}
	return v.read(v.client.PostForm(target.String(), values))
}

// checkOut puts agents into the cart and goes through the checkout up to the bank's
// page, or the receipt when nothing is to be paid.
func (v *visitor) checkOut(email string, slugs ...string) page {
	v.t.Helper()
	for _, slug := range slugs {
		v.submit(v.open("/agents/"+slug), "/cart", nil)
	}
	return v.submit(v.open("/checkout"), "/checkout", map[string]string{"email": email, "terms": "yes"})
}

// payWith types a card into the bank's page.
func (v *visitor) payWith(bank page, card string) page {
	v.t.Helper()
	return v.submit(bank, bank.url.Path, map[string]string{"number": card, "expiry": "12/39", "cvc": "123"})
}

// buy goes all the way and returns the receipt page, once it says paid.
func (v *visitor) buy(email string, slugs ...string) page {
	v.t.Helper()
	p := v.checkOut(email, slugs...)
	if strings.HasPrefix(p.url.Path, "/sandbox/") {
		p = v.payWith(p, "4242 4242 4242 4242")
	}
	if !strings.HasPrefix(p.url.Path, "/o/") {
		v.t.Fatalf("after paying at %s, status %d:\n%s", p.url, p.status, p.Text())
	}
	return p
}

// key returns the licence key on a receipt page, "" when there is none.
func (p page) key() string {
	return findKey(string(p.body))
}

func findKey(text string) string {
	i := strings.Index(text, "SOUK-")
	if i < 0 || len(text) < i+39 {
		return ""
	}
	return text[i : i+39]
}

// downloads returns the addresses of a receipt's files.
func (p page) downloads() []string {
	var hrefs []string
	p.Find(`a[href*="/download/"]`).Each(func(_ int, s *goquery.Selection) { hrefs = append(hrefs, s.AttrOr("href", "")) })
	return hrefs
}

// getJSON reads an API answer.
func (v *visitor) getJSON(path string, into any) int {
	v.t.Helper()
	p := v.open(path)
	if err := json.Unmarshal(p.body, into); err != nil {
		v.t.Fatalf("%s: %v\n%s", path, err, p.body)
	}
	return p.status
}

type apiAgent struct {
	ID, Slug, Name, Summary, Category string
	ExternalID                        string `json:"external_id"`
	Price                             struct {
		Amount   int64
		Currency string
	}
}

type apiList struct {
	Items []apiAgent
	Total int
	Next  *string
}

// wantFile downloads a file whole and in two parts, and compares both with its hash as
// the page shows it.
func (v *visitor) wantFile(receipt page, href string) {
	v.t.Helper()
	whole := v.open(href)
	if whole.status != http.StatusOK || !strings.HasPrefix(whole.header.Get("Content-Disposition"), "attachment") {
		v.t.Fatalf("%s: status %d, %q", href, whole.status, whole.header.Get("Content-Disposition"))
	}
	sum := sha256.Sum256(whole.body)
	if !bytes.Contains(receipt.body, []byte(hex.EncodeToString(sum[:]))) {
		v.t.Errorf("the receipt doesn't show %x, the hash of %s", sum, href)
	}
	req, err := http.NewRequest(http.MethodGet, v.abs(href), nil)
	if err != nil {
		v.t.Fatal(err)
	}
	req.Header.Set("Range", "bytes=100-")
	req.Header.Set("If-Range", whole.header.Get("ETag"))
	rest := v.read(v.client.Do(req))
	if rest.status != http.StatusPartialContent || !bytes.Equal(rest.body, whole.body[100:]) {
		v.t.Errorf("resuming %s at 100: status %d, %d bytes", href, rest.status, len(rest.body))
	}
}

// TestStory is the marketplace's first story, on the real binary: listings come in, are
// found, bought and downloaded; the machine dies; a restored one has everything.
func TestStory(t *testing.T) {
	t.Run("file", func(t *testing.T) { story(t, "file://"+filepath.Join(t.TempDir(), "replica")) })
	t.Run("s3", func(t *testing.T) { story(t, testenv.S3(t).URL("souk")) })
}

func story(t *testing.T, replicaURL string) {
	dir := filepath.Join(t.TempDir(), "data")
	importSample(t, dir)

	market := serve(t, "serve", "--data", dir, "--addr", "127.0.0.1:0", "--replica", replicaURL)
	v := visit(t, market.URL)
	browse(t, v)
	free, paid := pick(t, v)

	bank := v.checkOut("ada@example.com", free.Slug, paid.Slug)
	if declined := v.payWith(bank, "4000 0000 0000 0002"); !strings.HasPrefix(declined.url.Path, "/sandbox/") {
		t.Fatalf("a declined card led to %s", declined.url)
	}
	receipt := v.payWith(bank, "4242 4242 4242 4242")
	if !strings.HasPrefix(receipt.url.Path, "/o/") || receipt.key() == "" || len(receipt.downloads()) != 2 {
		t.Fatalf("the receipt at %s has key %q and files %v\n%s", receipt.url, receipt.key(), receipt.downloads(), receipt.Text())
	}
	for _, href := range receipt.downloads() {
		v.wantFile(receipt, href)
	}
	wantValid(t, v, receipt.key())
	closed := payAndCloseTheBrowser(t, market.URL, paid.Slug)
	waitFor(t, "the purchase of a buyer who didn't come back", func() bool { return visit(t, market.URL).open(closed).key() != "" })
	quiet := 0 // what matters is shipped when no such commit has waited for two seconds
	waitFor(t, "everything that matters to be replicated", func() bool {
		if quiet++; metric(t, v, "souk_replica_lag_seconds") > 0 {
			quiet = 0
		}
		return quiet == 40
	})

	market.Kill()
	restored := filepath.Join(t.TempDir(), "restored")
	mustSouk(t, "restore", "--from", replicaURL, "--data", restored)
	if out := mustSouk(t, "check", "--data", restored, "--full"); !strings.Contains(out, "everything is in order") {
		t.Errorf("check says: %s", out)
	}
	again := serve(t, "serve", "--data", restored, "--addr", strings.TrimPrefix(market.URL, "http://"), "--replica", replicaURL, "--takeover")
	v = visit(t, again.URL)
	kept := v.open(receipt.url.Path)
	if kept.key() != receipt.key() || len(kept.downloads()) != 2 {
		t.Fatalf("the restored receipt has key %q and files %v", kept.key(), kept.downloads())
	}
	for _, href := range kept.downloads() {
		v.wantFile(kept, href)
	}
	wantValid(t, v, receipt.key())
	if got := v.open(closed); got.key() == "" {
		t.Error("the second purchase is lost")
	}
	if p := v.buy("grace@example.com", paid.Slug); p.key() == "" {
		t.Error("the restored marketplace doesn't sell")
	}
	again.Stop()
}

// importSample imports the sample listings with two bad rows among them, twice.
func importSample(t *testing.T, dir string) {
	t.Helper()
	rows := bytes.SplitAfterN(sampleListings, []byte("\n"), 3)
	file := filepath.Join(t.TempDir(), "agents.tsv")
	bad := append(append(rows[0], rows[1]...), "pypi:bad\tbad\tno such popularity\t1.0\tmany\tpypi\tother\t2026-01\nshort\trow\n"...)
	if err := os.WriteFile(file, append(bad, rows[2]...), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"329 added, 0 updated, 0 unchanged, 2 refused", "0 added, 0 updated, 329 unchanged, 2 refused"} {
		out, errs, status := souk(t, "import", file, "--data", dir)
		if status != 0 || !strings.Contains(out, want) {
			t.Fatalf("import: exit status %d, %q, want %q\n%s", status, out, want, errs)
		}
		for _, line := range []string{"line 3, popularity: ", "line 4: "} {
			if !strings.Contains(errs, line) {
				t.Errorf("import says nothing about %s%s", line, errs)
			}
		}
	}
}

// browse looks around: home page, search with and without a typo, filter, pages, API.
func browse(t *testing.T, v *visitor) {
	t.Helper()
	waitFor(t, "the marketplace to be ready", func() bool { return v.open("/readyz").status == http.StatusOK })
	if p := v.open("/"); p.status != http.StatusOK || p.Find(`a[href^="/agents/"]`).Length() == 0 || !strings.Contains(p.Text(), "no real money") {
		t.Errorf("home: status %d, %d agents", p.status, p.Find(`a[href^="/agents/"]`).Length())
	}
	for q, want := range map[string]string{"langchain chroma": "/agents/langchain-chroma", "playwrigth mcp": "/agents/playwright-mcp"} {
		p := v.open("/search?q=" + url.QueryEscape(q))
		if got := p.Find(`main a[href^="/agents/"]`).First().AttrOr("href", ""); got != want {
			t.Errorf("the first result for %q is %s, want %s", q, got, want)
		}
	}
	first, second := v.open("/search?category=mcp-server"), v.open("/search?category=mcp-server&page=2")
	if first.status != 200 || second.status != 200 || bytes.Equal(first.body, second.body) || second.Find(`main a[href^="/agents/"]`).Length() == 0 {
		t.Errorf("the second page of a category: status %d", second.status)
	}
	var list apiList
	if v.getJSON("/api/v1/agents?limit=3", &list); len(list.Items) != 3 || list.Total != 329 || list.Next == nil {
		t.Errorf("API list: %d items of %d", len(list.Items), list.Total)
	}
	var found apiList
	if v.getJSON("/api/v1/search?q=langchain+chroma", &found); found.Total == 0 || found.Items[0].ExternalID != "pypi:langchain-chroma" {
		t.Errorf("API search: %+v", found)
	}
	if status := v.getJSON("/api/v1/agents/none", &struct{}{}); status != http.StatusNotFound {
		t.Errorf("API for no agent: status %d", status)
	}
	if p := v.open("/healthz"); p.status != http.StatusOK {
		t.Errorf("healthz: %d", p.status)
	}
}

// pick returns a free and a paid agent.
func pick(t *testing.T, v *visitor) (free, paid apiAgent) {
	t.Helper()
	var list apiList
	v.getJSON("/api/v1/agents?limit=100", &list)
	for _, a := range list.Items {
		if a.Price.Amount == 0 {
			free = a
		} else {
			paid = a
		}
	}
	if free.Slug == "" || paid.Slug == "" || paid.Price.Amount != 900 || paid.Price.Currency != "USD" {
		t.Fatalf("nothing to buy: free %+v, paid %+v", free, paid)
	}
	return free, paid
}

// payAndCloseTheBrowser pays at the bank and doesn't come back. It returns the path of
// the receipt that the buyer never opened.
func payAndCloseTheBrowser(t *testing.T, base, slug string) string {
	t.Helper()
	v := visit(t, base)
	bank := v.checkOut("bob@example.com", slug)
	v.client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	p := v.payWith(bank, "4242 4242 4242 4242")
	to, err := url.Parse(p.header.Get("Location"))
	if err != nil || p.status != http.StatusSeeOther {
		t.Fatalf("paying: status %d to %q", p.status, p.header.Get("Location"))
	}
	return to.Path
}

func wantValid(t *testing.T, v *visitor, key string) {
	t.Helper()
	for text, want := range map[string]string{key: "VALID", key[:len(key)-1] + "!": "NOT_FOUND"} {
		body, err := json.Marshal(map[string]string{"key": text})
		if err != nil {
			t.Fatal(err)
		}
		p := v.read(v.client.Post(v.base+"/api/v1/licenses/validate", "application/json", bytes.NewReader(body)))
		var got struct {
			Valid bool
			Code  string
		}
		if err := json.Unmarshal(p.body, &got); err != nil || got.Code != want || got.Valid != (want == "VALID") {
			t.Errorf("validating %q: %s", text, p.body)
		}
	}
}

// metric reads a gauge, summed over its labels.
func metric(t *testing.T, v *visitor, name string) (sum float64) {
	t.Helper()
	found := false
	for line := range strings.Lines(string(v.open("/metrics").body)) {
		rest, ok := strings.CutPrefix(line, name)
		if !ok || (rest[0] != ' ' && rest[0] != '{') {
			continue
		}
		n, err := strconv.ParseFloat(strings.TrimSpace(rest[strings.LastIndex(rest, " ")+1:]), 64)
		if err != nil {
			t.Fatal(err)
		}
		sum, found = sum+n, true
	}
	if !found {
		t.Fatalf("/metrics has no %s", name)
	}
	return sum
}

// waitFor asks until something is true.
func waitFor(t *testing.T, what string, is func() bool) {
	t.Helper()
	again := time.NewTicker(50 * time.Millisecond)
	defer again.Stop()
	for tries := 60 * 20; !is(); tries-- {
		if tries == 0 {
			t.Fatalf("waited a minute for %s", what)
		}
		<-again.C
	}
}
