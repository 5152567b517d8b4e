package api

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/souk-market/souk/internal/catalog"
	"github.com/souk-market/souk/internal/licensing"
	"github.com/souk-market/souk/internal/market"
	"github.com/souk-market/souk/search"
	"github.com/souk-market/souk/store"
	"github.com/souk-market/souk/store/storetest"
)

// rows are on the shelf of every test: the third and sixth cost 9.00 USD.
const rows = `id	name	summary	version	popularity	source	category	updated
pypi:langchain-chroma	langchain-chroma	An integration package connecting Chroma and LangChain	0.2.5	1820344	pypi	sdk	2026-08-31
npm:@playwright/mcp	@playwright/mcp	Playwright tools for MCP	0.0.38	940210	npm	mcp-server	2026-08
npm:@modelcontextprotocol/server-postgres	server-postgres	MCP server for PostgreSQL <read-only> & safe	1.2.0	51000	npm	mcp-server	2026-07-04
pypi:crewai	crewai	Framework for orchestrating autonomous agents	0.177.0	1200000	pypi	framework	2026-08-30
pypi:aider-chat	aider-chat	Pair programming in your terminal	0.86.1	310000	pypi	coding-agent	2026-08-12
npm:mcp-weather	mcp-weather	Weather for MCP clients	2.0.0	300000	npm	mcp-server	2026-06-01
pypi:plain	plain	Plain words		0	pypi	other	
`

var firstLight = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// shelf is the API of a marketplace with rows, over real HTTP.
type shelf struct {
	*API
	t   testing.TB
	db  *store.DB
	url string
	log *lockedBuffer

	mu  sync.Mutex // guards now
	now time.Time
}

// stock makes a catalogue with rows, its index following.
func stock(t testing.TB) *catalog.Catalog {
	t.Helper()
	db := storetest.Open(t)
	ix, err := search.Open(search.Options{Dir: t.TempDir(), DB: db})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := ix.Run(ctx); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() {
		cancel()
		wg.Wait()
		if err := ix.Close(); err != nil {
			t.Error(err)
		}
	})
	c := &catalog.Catalog{Store: db, Tenant: market.MainTenant, Index: ix, Logger: slog.New(slog.DiscardHandler)}
	price := catalog.PriceRule{Price: market.Money{Amount: 900, Currency: "USD"}, Every: 3}
	rep, err := c.Import(ctx, strings.NewReader(rows), catalog.ImportOptions{Price: price})
	if err != nil || rep.Added != 7 {
		t.Fatalf("importing: %+v, %v", rep, err)
	}
	if err := ix.WaitFor(ctx, db.LastLSN()); err != nil {
		t.Fatal(err)
	}
	return c
}

func newShelf(t testing.TB) *shelf {
	t.Helper()
	if t, ok := t.(*testing.T); ok {
		t.Parallel() // a new index is mostly waited for
	}
	c := stock(t)
	s := &shelf{t: t, db: c.Store, log: &lockedBuffer{}, now: firstLight}
	s.API = New(Config{
		Catalog: c, Licenses: &licensing.Desk{Store: c.Store, Tenant: market.MainTenant},
		BaseURL: func() string { return "https://market.example" },
		Version: "1.2.3", Logger: slog.New(slog.NewTextHandler(s.log, nil)), Clock: s.clock,
	})
	s.url = s.serve(s.API)
	return s
}

func (s *shelf) serve(h http.Handler) string {
	server := httptest.NewServer(h)
	s.t.Cleanup(server.Close)
	return server.URL
}

func (s *shelf) clock() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.now
}

func (s *shelf) wait(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.now = s.now.Add(d)
}

func (s *shelf) update(fn func(tx *store.Tx) error) {
	s.t.Helper()
	if _, err := s.db.Update(context.Background(), market.MainTenant, store.Op{}, fn); err != nil {
		s.t.Fatal(err)
	}
}

// reply is an answer with its body read.
type reply struct {
	*http.Response
	body []byte
}

// browser follows no redirects and adds no headers.
var browser = http.Client{
	Transport:     &http.Transport{DisableCompression: true},
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
}

// send makes a request with headers ("Name: value"), and holds the answer to the OpenAPI
// document.
func (s *shelf) send(method, path, body string, headers ...string) reply {
	s.t.Helper()
	r := s.sendTo(s.url, method, path, body, headers...)
	s.conforms(r)
	return r
}

func (s *shelf) sendTo(base, method, path, body string, headers ...string) reply {
	s.t.Helper()
	req, err := http.NewRequest(method, base+path, strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		req.Header.Set(name, value)
	}
	res, err := browser.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	defer res.Body.Close()
	r := reply{Response: res}
	if r.body, err = io.ReadAll(res.Body); err != nil {
		s.t.Fatal(err)
	}
	return r
}

// get reads the JSON of a successful GET into v.
func (s *shelf) get(path string, v any) {
	s.t.Helper()
	r := s.send("GET", path, "")
	if r.StatusCode != http.StatusOK {
		s.t.Fatalf("GET %s: %s %s", path, r.Status, r.body)
	}
	s.decode(r, v)
}

func (s *shelf) decode(r reply, v any) {
	s.t.Helper()
	d := json.NewDecoder(bytes.NewReader(r.body))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		s.t.Fatalf("%s %s: %v in %s", r.Request.Method, r.Request.URL, err, r.body)
	}
}

// problem reads a problem and checks what all problems have.
func (s *shelf) problem(r reply) (p Problem) {
	s.t.Helper()
	s.decode(r, &p)
	if r.Header.Get("Content-Type") != problemType || p.Type != "about:blank" || p.Status != r.StatusCode ||
		p.Title != http.StatusText(r.StatusCode) || !strings.HasSuffix(p.Detail, ".") {
		s.t.Errorf("%s %s: no problem of RFC 9457: %s %s", r.Request.Method, r.Request.URL, r.Header.Get("Content-Type"), r.body)
	}
	if r.Header.Get("Cache-Control") != "no-store" || r.Header.Get("Etag") != "" {
		s.t.Errorf("%s %s: a problem may be kept: %v", r.Request.Method, r.Request.URL, r.Header)
	}
	return p
}

// conforms checks that the OpenAPI document has the answer's status, type and schema.
func (s *shelf) conforms(r reply) {
	s.t.Helper()
	_, pattern := s.mux.Handler(r.Request)
	method, path, ok := strings.Cut(pattern, " ")
	if !ok || r.Request.Method == http.MethodHead {
		return // no route: nothing is promised
	}
	doc := s.huma.OpenAPI()
	op := operationAt(doc, method, path)
	if op == nil {
		s.t.Fatalf("%s is not in the OpenAPI document", pattern)
	}
	want := op.Responses[strconv.Itoa(r.StatusCode)]
	if want == nil {
		s.t.Fatalf("%s answers %d, which is not in the OpenAPI document", pattern, r.StatusCode)
	}
	if len(r.body) == 0 {
		return
	}
	media := want.Content[r.Header.Get("Content-Type")]
	if media == nil {
		s.t.Fatalf("%s answers %d with %q, which is not in the OpenAPI document", pattern, r.StatusCode, r.Header.Get("Content-Type"))
	}
	if media.Schema.Ref == "" {
		return
	}
	var v any
	s.decode(r, &v)
	var res huma.ValidateResult
	huma.Validate(doc.Components.Schemas, media.Schema, huma.NewPathBuffer(nil, 0), huma.ModeReadFromServer, v, &res)
	for _, err := range res.Errors {
		s.t.Errorf("%s %s: the answer breaks its schema: %v in %s", r.Request.Method, r.Request.URL, err, r.body)
	}
}

func operationAt(doc *huma.OpenAPI, method, path string) *huma.Operation {
	item := doc.Paths[path]
	if item == nil {
		return nil
	}
	return map[string]*huma.Operation{"GET": item.Get, "POST": item.Post, "PUT": item.Put, "PATCH": item.Patch, "DELETE": item.Delete}[method]
}

// lockedBuffer is a log that handlers write while a test reads it.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
