package edge

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
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
