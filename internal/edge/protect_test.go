package edge

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"mime/multipart"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
)

// answer is a handler that sets headers and writes its "body".
type answer map[string]string

func (a answer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	for name, value := range a {
		if name != "body" {
			w.Header().Set(name, value)
		}
	}
	io.WriteString(w, a["body"])
}

// plain is a client that neither asks for compression nor follows redirects.
var plain = &http.Client{Transport: &http.Transport{DisableCompression: true}}

func serve(t *testing.T, h http.Handler, o Options) *httptest.Server {
	t.Helper()
	s := httptest.NewServer(Protect(h, o))
	t.Cleanup(s.Close)
	return s
}

// send makes a request with headers given as "Name: value".
func send(t *testing.T, s *httptest.Server, method, path string, body io.Reader, headers ...string) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequest(method, s.URL+path, body)
	if err != nil {
		t.Fatal(err)
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		if name == "Host" {
			req.Host = value
		}
		req.Header.Set(name, value)
	}
	return do(t, plain, req)
}

func TestHeaders(t *testing.T) {
	s := serve(t, answer{"body": "hi"}, Options{FormAction: []string{"https://checkout.stripe.com"}})
	res, _ := send(t, s, "GET", "/", nil)
	for name, want := range map[string]string{
		"Content-Security-Policy": "default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'; " +
			"frame-ancestors 'none'; form-action 'self' https://checkout.stripe.com",
		"X-Content-Type-Options":     "nosniff",
		"Referrer-Policy":            "strict-origin-when-cross-origin",
		"Cross-Origin-Opener-Policy": "same-origin",
		"Vary":                       "Accept-Encoding",
		"Strict-Transport-Security":  "", // without TLS browsers must ignore it
	} {
		if got := res.Header.Get(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	if !strings.Contains(res.Header.Get("Permissions-Policy"), "camera=()") {
		t.Errorf("Permissions-Policy: %q", res.Header.Get("Permissions-Policy"))
	}
	for _, path := range []string{"/o/secret", "/o/secret/download/x", "/sandbox/pay/secret"} {
		res, _ := send(t, s, "GET", path, nil)
		if got := res.Header.Get("Referrer-Policy"); got != "no-referrer" {
			t.Errorf("Referrer-Policy of %s: %q", path, got)
		}
	}
}

func TestFormActionIsAnOrigin(t *testing.T) {
	for _, origin := range []string{"https://x.test/path", "x.test", "https://x.test; script-src *", "https://*.test", "https://x.test https://y.test", "javascript:x"} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%q was taken for an origin", origin)
				}
			}()
			Protect(http.NotFoundHandler(), Options{FormAction: []string{origin}})
		}()
	}
}

func TestRequestID(t *testing.T) {
	inner := make(chan string, 1)
	s := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithCancel(r.Context())
		defer cancel()
		inner <- RequestID(ctx)
	}), Options{})
	seen := map[string]bool{}
	for range 3 {
		res, _ := send(t, s, "GET", "/", nil, "X-Request-Id: chosen-by-the-client")
		id := res.Header.Get("X-Request-Id")
		if in := <-inner; in != id || len(id) != 16 || seen[id] {
			t.Errorf("in the answer %q, in the context %q; seen before: %v", id, in, seen[id])
		}
		seen[id] = true
	}
	if got := RequestID(context.Background()); got != "" {
		t.Errorf("outside of a request: %q", got)
	}
}

func TestBodyLimit(t *testing.T) {
	read := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n, err := io.Copy(io.Discard, r.Body)
		var over *http.MaxBytesError
		if errors.As(err, &over) {
			http.Error(w, "", http.StatusRequestEntityTooLarge)
			return
		}
		fmt.Fprint(w, n)
	})
	s := serve(t, read, Options{BodyLimits: map[string]int64{"/upload": 2 * DefaultBodyLimit, "/upload/small": 10}})
	for _, c := range []struct {
		path string
		size int
		want int
	}{
		{"/", DefaultBodyLimit, 200},
		{"/", DefaultBodyLimit + 1, 413},
		{"/upload/x", DefaultBodyLimit + 1, 200},
		{"/upload/x", 2*DefaultBodyLimit + 1, 413},
		{"/upload/small", 11, 413},
	} {
		body := make([]byte, c.size)
		res, _ := send(t, s, "POST", c.path, bytes.NewReader(body))
		if res.StatusCode != c.want {
			t.Errorf("%d bytes to %s: %d, want %d", c.size, c.path, res.StatusCode, c.want)
		}
		res, _ = send(t, s, "POST", c.path, io.MultiReader(bytes.NewReader(body))) // of unknown length
		if res.StatusCode != c.want {
			t.Errorf("%d bytes in chunks to %s: %d, want %d", c.size, c.path, res.StatusCode, c.want)
		}
	}
}

func TestCrossSite(t *testing.T) {
	s := serve(t, answer{"body": "hi"}, Options{})
	for _, c := range []struct {
		name, method, path string
		headers            []string
		want               int
	}{
		{"own form", "POST", "/cart", []string{"Sec-Fetch-Site: same-origin"}, 200},
		{"other site's form", "POST", "/cart", []string{"Sec-Fetch-Site: cross-site"}, 403},
		{"sibling domain", "POST", "/cart", []string{"Sec-Fetch-Site: same-site"}, 403},
		{"old browser, other origin", "POST", "/cart", []string{"Origin: https://evil.test"}, 403},
		{"sandboxed frame", "POST", "/cart", []string{"Origin: null"}, 403},
		{"JSON as text", "DELETE", "/cart", []string{"Sec-Fetch-Site: cross-site", "Content-Type: text/plain"}, 403},
		{"other site's link", "GET", "/cart", []string{"Sec-Fetch-Site: cross-site"}, 200},
		{"no browser", "POST", "/cart", nil, 200},
		{"webhook", "POST", "/webhooks/stripe", []string{"Origin: https://stripe.test"}, 200},
		{"webhook by another method", "PUT", "/webhooks/stripe", []string{"Origin: https://stripe.test"}, 403},
		{"API from another site's script", "POST", "/api/v1/x", []string{"Sec-Fetch-Site: cross-site"}, 200},
		{"the same with cookies", "POST", "/api/v1/x", []string{"Sec-Fetch-Site: cross-site", "Cookie: a=b"}, 403},
	} {
		t.Run(c.name, func(t *testing.T) {
			res, body := send(t, s, c.method, c.path, nil, c.headers...)
			if res.StatusCode != c.want {
				t.Errorf("%d %s, want %d", res.StatusCode, body, c.want)
			}
		})
	}
}

func TestHosts(t *testing.T) {
	s := serve(t, answer{"body": "hi"}, Options{Hosts: []string{"Market.test"}})
	for host, want := range map[string]int{
		"market.test": 200, "MARKET.test:8443": 200, "market.test.": 200,
		"evil.test": 421, "market.test.evil.test": 421, "127.0.0.1": 421, "[::1]:80": 421,
	} {
		if res, _ := send(t, s, "GET", "/", nil, "Host: "+host); res.StatusCode != want {
			t.Errorf("Host %q: %d, want %d", host, res.StatusCode, want)
		}
	}
}

func TestRefusalsBelowAPIAreProblems(t *testing.T) {
	s := serve(t, answer{"body": "hi"}, Options{})
	res, body := send(t, s, "POST", "/api/v1/x", nil, "Sec-Fetch-Site: cross-site", "Cookie: a=b")
	var problem struct {
		Type, Title, Detail string
		Status              int
		RequestID           string `json:"request_id"`
	}
	if err := json.Unmarshal([]byte(body), &problem); err != nil {
		t.Fatalf("%v: %s", err, body)
	}
	if problem.Status != 403 || problem.Title != "Forbidden" || problem.Type != "about:blank" || problem.Detail != crossSite.message ||
		problem.RequestID != res.Header.Get("X-Request-Id") || res.Header.Get("Content-Type") != "application/problem+json" {
		t.Errorf("%s as %s", body, res.Header.Get("Content-Type"))
	}
}

// journal is a log that tests read.
type journal struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (j *journal) Write(b []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.b.Write(b)
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.b.String()
}

func (j *journal) logger() *slog.Logger {
	return slog.New(slog.NewJSONHandler(j, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

func TestPanic(t *testing.T) {
	var log journal
	s := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Set-Cookie", "a=b")
		w.Header().Set("Content-Type", "text/html")
		switch r.URL.Path {
		case "/ok":
			return
		case "/part":
			io.WriteString(w, "<p>half a page")
		case "/sent":
			io.WriteString(w, "<p>half a page")
			http.NewResponseController(w).Flush()
		case "/abort":
			panic(http.ErrAbortHandler)
		}
		panic("boom at " + r.URL.Path)
	}), Options{Logger: log.logger(), InFlight: 1})

	for _, accept := range []string{"identity", "gzip", "zstd"} {
		for _, path := range []string{"/", "/part"} {
			res, body := send(t, s, "GET", path, nil, "Accept-Encoding: "+accept)
			if res.StatusCode != 500 || strings.Contains(body, "half") || strings.Contains(body, "boom") || !strings.Contains(body, res.Header.Get("X-Request-Id")) {
				t.Errorf("%s, %s: %d %q", path, accept, res.StatusCode, body)
			}
			if res.Header.Get("Set-Cookie") != "" || res.Header.Get("Content-Encoding") != "" {
				t.Errorf("%s, %s: headers of the failed answer are left: %v", path, accept, res.Header)
			}
		}
		req, _ := http.NewRequest("GET", s.URL+"/sent", nil)
		req.Header.Set("Accept-Encoding", accept)
		if res, err := plain.Do(req); err == nil {
			if _, err = io.ReadAll(res.Body); err == nil {
				t.Errorf("/sent, %s: a page that broke off looks whole", accept)
			}
			res.Body.Close()
		}
	}
	if res, err := plain.Get(s.URL + "/abort"); err == nil {
		res.Body.Close()
		t.Error("/abort: got an answer")
	}
	if res, _ := send(t, s, "GET", "/ok", nil); res.StatusCode != 200 {
		t.Errorf("after the panics: %d; is a slot lost?", res.StatusCode)
	}
	s.Close() // waits for the log
	if got := strings.Count(log.String(), `"level":"ERROR"`); got != 9 {
		t.Errorf("%d errors logged, want 9:\n%s", got, log.String())
	}
	if !strings.Contains(log.String(), "protect_test.go") {
		t.Error("no stack in the log")
	}
}

func TestLogHasNoSecrets(t *testing.T) {
	const token = "canary0canary1canary2canary3cana" // as long as market.NewSecret's
	var log journal
	mux := http.NewServeMux()
	mux.HandleFunc("/{rest...}", func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/panic") {
			panic("boom")
		}
	})
	s := serve(t, mux, Options{Logger: log.logger()})
	paths := []string{
		"/o/" + token, "/o/" + token + "/download/ent_01", "/o/" + token + "/panic", "/o/short-canary", "/%6f/short-canary",
		"/o//" + token, "//o/short-canary", "/x/../o/short-canary", "/./o/short-canary/panic", "/o/" + token + "x" + token,
		"/sandbox/pay/short-canary/confirm", "/reset/" + token, "/agents/a?q=canary", "/o/x?t=" + token + "#canary",
	}
	for _, p := range paths {
		conn, err := net.Dial("tcp", s.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: x\r\nCookie: c=canary\r\nReferer: http://x/o/canary\r\nConnection: close\r\n\r\n", p)
		io.ReadAll(conn)
		conn.Close()
	}
	s.Close()
	got := log.String()
	if strings.Contains(got, "canary") {
		t.Errorf("a secret is in the log:\n%s", got)
	}
	for _, want := range []string{`"path":"/o/***"`, `"path":"/o/***/download/ent_01"`, `"path":"/sandbox/pay/***/confirm"`, `"path":"/reset/***"`, `"path":"/agents/a"`} {
		if !strings.Contains(got, want) {
			t.Errorf("%s is not in the log", want)
		}
	}
	if n := strings.Count(got, `"msg":"request"`); n != len(paths) {
		t.Errorf("%d requests logged, want %d", n, len(paths))
	}
}

func TestRecord(t *testing.T) {
	records := make(chan Record, 1)
	mux := http.NewServeMux()
	mux.HandleFunc("GET /agents/{slug}", func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "hi") })
	s := serve(t, mux, Options{Observe: func(r Record) { records <- r }})
	res, _ := send(t, s, "GET", "/agents/a?b=c", nil)
	got := <-records
	if got.Duration <= 0 {
		t.Errorf("duration %v", got.Duration)
	}
	got.Duration = 0
	want := Record{ID: res.Header.Get("X-Request-Id"), Method: "GET", Path: "/agents/a", Pattern: "GET /agents/{slug}", Status: 200, Bytes: 2, Remote: "127.0.0.1"}
	if got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	send(t, s, "BREW", "/"+strings.Repeat("a-", 1000), nil)
	if got := <-records; got.Method != "other" || got.Status != 404 || len(got.Path) > 300 || got.Pattern != "" {
		t.Errorf("%+v", got)
	}
}

func TestTrustedProxies(t *testing.T) {
	remote := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, r.RemoteAddr) })
	trusted := []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("10.0.0.0/8")}
	for _, c := range []struct {
		name      string
		proxies   []netip.Prefix
		forwarded string
		want      string // prefix
	}{
		{"untrusted peer", nil, "192.0.2.1", "127.0.0.1:"},
		{"other network", trusted[1:], "192.0.2.1", "127.0.0.1:"},
		{"one proxy", trusted, "192.0.2.1", "192.0.2.1:0"},
		{"forged left part", trusted, "198.51.100.9, 192.0.2.1", "192.0.2.1:0"},
		{"two proxies", trusted, "198.51.100.9, 192.0.2.1, 10.1.2.3", "192.0.2.1:0"},
		{"nonsense", trusted, "unknown", "127.0.0.1:"},
		{"IPv6", trusted, "2001:db8::1", "[2001:db8::1]:0"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := serve(t, remote, Options{TrustedProxies: c.proxies})
			if _, got := send(t, s, "GET", "/", nil, "X-Forwarded-For: "+c.forwarded, "X-Real-IP: 203.0.113.1"); !strings.HasPrefix(got, c.want) {
				t.Errorf("%s, want %s", got, c.want)
			}
		})
	}
}

func TestOverload(t *testing.T) {
	entered, leave := make(chan bool, 100), make(chan bool)
	var log journal
	s := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Has("wait") {
			entered <- true
			<-leave
		}
	}), Options{InFlight: 4, Logger: log.logger()})

	var waiting sync.WaitGroup
	hold := func(path string) {
		waiting.Go(func() {
			res, err := plain.Get(s.URL + path + "?wait")
			if err != nil {
				t.Error(err)
				return
			}
			res.Body.Close()
			if res.StatusCode != 200 {
				t.Errorf("%s: %d", path, res.StatusCode)
			}
		})
		<-entered
	}
	expect := func(path string, want int) {
		t.Helper()
		res, body := send(t, s, "POST", path, nil)
		if res.StatusCode != want {
			t.Errorf("%s: %d %s, want %d", path, res.StatusCode, body, want)
		}
		if want == 503 && res.Header.Get("Retry-After") == "" {
			t.Errorf("%s: no Retry-After", path)
		}
	}
	for range 4 {
		hold("/agents/a")
	}
	expect("/agents/a", 503)
	expect("/webhooks/stripe", 200)
	expect("/checkout", 200)
	expect("/o/token", 200)
	hold("/webhooks/stripe")
	hold("/checkout")
	expect("/webhooks/stripe", 503)
	expect("/agents/a", 503)
	close(leave)
	waiting.Wait()
	expect("/agents/a", 200)
	s.Close()
	if got := strings.Count(log.String(), "overloaded"); got < 1 || got > 3 {
		t.Errorf("%d lines about overload, want one a second at most", got)
	}
}

// Clients that stop sending or reading take no places from others, until there are very
// many of them.
func TestSlowClients(t *testing.T) {
	big := make([]byte, 16<<20) // more than the kernel buffers
	s := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		if r.URL.Path == "/big" {
			w.Header().Set("Content-Type", "application/zip")
			w.Write(big)
		}
	}), Options{InFlight: 2})
	stall := func(request string) {
		conn, err := net.Dial("tcp", s.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		io.WriteString(conn, request)
	}
	// The stalled request has its place until it begins to wait.
	await := func(path string, want int) {
		t.Helper()
		for start := time.Now(); ; {
			res, _ := send(t, s, "GET", path, nil)
			if res.StatusCode == want {
				return
			}
			if time.Since(start) > patience {
				t.Fatalf("still %d, want %d", res.StatusCode, want)
			}
		}
	}
	for range openFactor {
		stall("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nnine")
		await("/", 200)
	}
	for range openFactor - 1 {
		stall("GET /big HTTP/1.1\r\nHost: x\r\n\r\n")
		await("/", 200)
	}
	stall("GET /big HTTP/1.1\r\nHost: x\r\n\r\n")
	await("/", 503)
	await("/webhooks/stripe", 200)
}

func TestCompression(t *testing.T) {
	html := "<!doctype html>" + strings.Repeat("<p>agent</p>", 1000)
	for _, c := range []struct {
		name   string
		answer answer
		accept string
		want   string // the coding
	}{
		{"gzip", answer{"body": html}, "gzip", "gzip"},
		{"zstd", answer{"body": html}, "zstd", "zstd"},
		{"Chromium", answer{"body": html}, "gzip, deflate, br, zstd", "zstd"},
		{"weights", answer{"body": html}, "zstd;q=0.5, GZIP;q=0.8", "gzip"},
		{"refused", answer{"body": html}, "gzip;q=0, zstd; q=0", ""},
		{"none of ours", answer{"body": html}, "br, *", ""},
		{"not asked for", answer{"body": html}, "", ""},
		{"malformed", answer{"body": html}, "gzip;q=many", ""},
		{"small", answer{"body": html[:minCompress-1]}, "gzip", ""},
		{"empty", answer{}, "gzip", ""},
		{"declared", answer{"body": html, "Content-Length": fmt.Sprint(len(html)), "Content-Type": "text/html"}, "gzip", "gzip"},
		{"declared small", answer{"body": "hi", "Content-Length": "2", "Content-Type": "text/html"}, "gzip", ""},
		{"JSON", answer{"body": html, "Content-Type": "application/problem+json; charset=utf-8"}, "gzip", "gzip"},
		{"image", answer{"body": html, "Content-Type": "image/png"}, "gzip", ""},
		{"events", answer{"body": html, "Content-Type": "text/event-stream"}, "gzip", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := serve(t, c.answer, Options{})
			res, body := send(t, s, "GET", "/", nil, "Accept-Encoding: "+c.accept)
			if got := res.Header.Get("Content-Encoding"); got != c.want {
				t.Fatalf("Content-Encoding %q, want %q", got, c.want)
			}
			if got := unpack(t, c.want, body); got != c.answer["body"] {
				t.Errorf("the body differs: %d bytes, want %d", len(got), len(c.answer["body"]))
			}
			if c.want != "" && len(body) > len(html)/4 {
				t.Errorf("%d bytes, from %d", len(body), len(html))
			}
			if got := res.Header.Get("Vary"); got != "Accept-Encoding" {
				t.Errorf("Vary %q", got)
			}
			if ct := res.Header.Get("Content-Type"); c.answer["body"] != "" && c.answer["Content-Type"] == "" && ct != "text/html; charset=utf-8" {
				t.Errorf("Content-Type %q", ct)
			}
		})
	}
	t.Run("already", func(t *testing.T) {
		s := serve(t, answer{"body": html, "Content-Encoding": "br", "Etag": `"x"`}, Options{})
		res, body := send(t, s, "GET", "/", nil, "Accept-Encoding: gzip")
		if res.Header.Get("Content-Encoding") != "br" || body != html || res.Header.Get("Etag") != `"x"` {
			t.Errorf("changed: %v", res.Header)
		}
	})
	t.Run("receipt", func(t *testing.T) {
		s := serve(t, answer{"body": html}, Options{})
		if res, _ := send(t, s, "GET", "/o/token", nil, "Accept-Encoding: gzip"); res.Header.Get("Content-Encoding") != "" {
			t.Error("a page with a secret is compressed")
		}
	})
	t.Run("HEAD", func(t *testing.T) {
		s := serve(t, answer{"body": html}, Options{})
		if res, _ := send(t, s, "HEAD", "/", nil, "Accept-Encoding: gzip"); res.Header.Get("Content-Encoding") != "" || res.StatusCode != 200 {
			t.Errorf("%d %v", res.StatusCode, res.Header)
		}
	})
	t.Run("parts", func(t *testing.T) {
		s := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			for i := range len(html) {
				io.WriteString(w, html[i:i+1])
				if i%5000 == 100 {
					http.NewResponseController(w).Flush()
				}
			}
		}), Options{})
		for _, coding := range []string{"gzip", "zstd"} {
			if _, body := send(t, s, "GET", "/", nil, "Accept-Encoding: "+coding); unpack(t, coding, body) != html {
				t.Errorf("%s: the body differs", coding)
			}
		}
	})
}

func unpack(t *testing.T, coding, body string) string {
	t.Helper()
	r, err := io.Reader(strings.NewReader(body)), error(nil)
	switch coding {
	case "gzip":
		r, err = gzip.NewReader(r)
	case "zstd":
		r, err = zstd.NewReader(r)
	}
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// The ETag of a compressed page is weak, and asking again with it gives 304.
func TestCompressedTag(t *testing.T) {
	html := strings.Repeat("<p>agent</p>", 1000)
	s := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Etag", `"x"`)
		http.ServeContent(w, r, "a.html", time.Time{}, strings.NewReader(html))
	}), Options{})
	for accept, want := range map[string]string{"gzip": `W/"x"`, "": `"x"`} {
		res, body := send(t, s, "GET", "/", nil, "Accept-Encoding: "+accept)
		if got := res.Header.Get("Etag"); got != want || unpack(t, res.Header.Get("Content-Encoding"), body) != html {
			t.Errorf("ETag %s of %d bytes, want %s", got, len(body), want)
		}
		res, body = send(t, s, "GET", "/", nil, "Accept-Encoding: "+accept, "If-None-Match: "+want)
		if res.StatusCode != 304 || body != "" || res.Header.Get("Etag") != want {
			t.Errorf("again: %d with ETag %s", res.StatusCode, res.Header.Get("Etag"))
		}
	}
}

func TestDownload(t *testing.T) {
	name := filepath.Join(t.TempDir(), "agent.zip")
	content := bytes.Repeat([]byte("0123456789abcdef"), 5<<16) // 5 MiB
	if err := os.WriteFile(name, content, 0o600); err != nil {
		t.Fatal(err)
	}
	s := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { http.ServeFile(w, r, name) }), Options{})
	for _, path := range []string{"/o/token/download/x", "/assets/agent.zip"} {
		res, body := send(t, s, "GET", path, nil, "Accept-Encoding: gzip")
		if body != string(content) || res.ContentLength != int64(len(content)) || res.Header.Get("Accept-Ranges") != "bytes" {
			t.Errorf("%s: %d bytes, %v", path, len(body), res.Header)
		}
		res, body = send(t, s, "GET", path, nil, "Accept-Encoding: gzip", "Range: bytes=1048570-3145740")
		if res.StatusCode != 206 || body != string(content[1048570:3145741]) {
			t.Errorf("%s: %d with %d bytes of a range", path, res.StatusCode, len(body))
		}
	}
}

// kernel is a response writer that notes what a connection would be asked to send from
// the kernel.
type kernel struct {
	discard
	files, bytes int64
	deadlines    int
}

func (k *kernel) SetWriteDeadline(time.Time) error { k.deadlines++; return nil }

func (k *kernel) ReadFrom(src io.Reader) (int64, error) {
	if l, ok := src.(*io.LimitedReader); ok {
		if _, ok := l.R.(*os.File); ok {
			k.files++
		}
	}
	n, err := io.Copy(io.Discard, src)
	k.bytes += n
	return n, err
}

// A file reaches net/http as a file, in steps that each move the write deadline.
func TestDownloadIsSentByTheKernel(t *testing.T) {
	name := filepath.Join(t.TempDir(), "agent.zip")
	if err := os.WriteFile(name, make([]byte, 5*writeStep+1), 0o600); err != nil {
		t.Fatal(err)
	}
	h := Protect(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { http.ServeFile(w, r, name) }), Options{})
	k := &kernel{discard: discard{make(http.Header)}}
	h.ServeHTTP(k, httptest.NewRequest("GET", "/o/token/download/x", nil))
	if k.files != 6 || k.bytes != 5*writeStep+1 || k.deadlines != 6 {
		t.Errorf("%d bytes in %d file steps with %d deadlines, want %d in 6 with 6", k.bytes, k.files, k.deadlines, 5*writeStep+1)
	}
}

func TestLongWritesMoveTheDeadline(t *testing.T) {
	h := Protect(writes(make([]byte, 5*writeStep+1), "br"), Options{})
	k := &kernel{discard: discard{make(http.Header)}}
	h.ServeHTTP(k, httptest.NewRequest("GET", "/", nil))
	if k.deadlines != 5 {
		t.Errorf("%d deadlines, want 5", k.deadlines)
	}
}

func TestResponseController(t *testing.T) {
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c := http.NewResponseController(w)
		err := errors.Join(c.SetReadDeadline(time.Now().Add(time.Minute)), c.SetWriteDeadline(time.Now().Add(time.Minute)))
		io.WriteString(w, "first")
		if err := errors.Join(err, c.Flush()); err != nil {
			io.WriteString(w, err.Error())
		}
		<-r.Context().Done() // when the client has seen "first"
	})
	for _, version := range []int{1, 2} {
		s := httptest.NewUnstartedServer(Protect(h, Options{}))
		s.EnableHTTP2 = version == 2
		s.StartTLS()
		defer s.Close()
		res, err := s.Client().Get(s.URL)
		if err != nil {
			t.Fatal(err)
		}
		first := make([]byte, 5)
		if _, err := io.ReadFull(res.Body, first); string(first) != "first" || res.ProtoMajor != version {
			t.Errorf("HTTP/%d: %q, %v", res.ProtoMajor, first, err)
		}
		res.Body.Close()
	}
}

// net/http removes the files of a multipart form when the request is over.
func TestMultipartFilesAreRemoved(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("TMPDIR", dir)
	count := make(chan int, 1)
	s := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := r.ParseMultipartForm(0); err != nil {
			t.Error(err)
		}
		files, _ := os.ReadDir(dir)
		count <- len(files)
	}), Options{BodyLimits: map[string]int64{"/": 20 << 20}})
	var body bytes.Buffer
	form := multipart.NewWriter(&body)
	part, _ := form.CreateFormFile("file", "agent.zip")
	part.Write(make([]byte, 11<<20)) // more than a form may keep in memory
	form.Close()
	send(t, s, "POST", "/", &body, "Content-Type: "+form.FormDataContentType())
	if n := <-count; n != 1 {
		t.Fatalf("%d files while the form was there, want 1", n)
	}
	s.Close()
	if files, _ := os.ReadDir(dir); len(files) > 0 {
		t.Errorf("%v is left", files)
	}
}
