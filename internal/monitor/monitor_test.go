package monitor

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/souk-market/souk/store"
)

const (
	loopback = "127.0.0.1:40000"
	stranger = "203.0.113.9:40000"
)

// ask sends a request that seems to come from remote, with headers given in pairs.
func ask(m *Monitor, method, path, remote string, headers ...string) *httptest.ResponseRecorder {
	mux := http.NewServeMux()
	m.Register(mux)
	r := httptest.NewRequest(method, path, nil)
	r.RemoteAddr = remote
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	mux.ServeHTTP(w, r)
	return w
}

func scrape(t *testing.T, m *Monitor) string {
	t.Helper()
	w := ask(m, "GET", "/metrics", loopback)
	if w.Code != 200 {
		t.Fatalf("/metrics: %d %s", w.Code, w.Body)
	}
	return w.Body.String()
}

func expect(t *testing.T, figures string, lines ...string) {
	t.Helper()
	have := strings.Split(figures, "\n")
	for _, line := range lines {
		if !slices.Contains(have, line) {
			t.Errorf("%q is not among the figures:\n%s", line, souksOwn(have))
		}
	}
}

func souksOwn(lines []string) string {
	return strings.Join(slices.DeleteFunc(lines, func(s string) bool { return !strings.HasPrefix(s, "souk_") }), "\n")
}

func TestHealthz(t *testing.T) {
	m := New(Options{})
	m.Check("store", func(context.Context) error { return errors.New("down") })
	w := ask(m, "GET", "/healthz", stranger)
	if w.Code != 200 || w.Body.String() != "ok\n" || w.Header().Get("Cache-Control") != "no-store" {
		t.Errorf("%d %q %v", w.Code, w.Body, w.Header())
	}
	if w := ask(m, "POST", "/healthz", stranger); w.Code != http.StatusMethodNotAllowed {
		t.Errorf("POST: %d", w.Code)
	}
}

func TestReadyz(t *testing.T) {
	var broken error
	m := New(Options{})
	m.Check("store", func(context.Context) error { return nil })
	m.Check("search", func(context.Context) error { return broken })
	m.Check("edge", func(context.Context) error {
		if broken != nil {
			panic("certificate gone")
		}
		return nil
	})
	for _, c := range []struct {
		broken error
		remote string
		status int
		want   readiness
	}{
		{nil, stranger, 200, readiness{Ready: true, Failing: []string{}}},
		{errors.New("300 changes behind"), stranger, 503, readiness{Failing: []string{"search", "edge"}}},
		{errors.New("300 changes behind"), loopback, 503, readiness{Failing: []string{"search", "edge"},
			Reasons: map[string]string{"search": "300 changes behind", "edge": "the check panicked: certificate gone"}}},
	} {
		broken = c.broken
		w := ask(m, "GET", "/readyz", c.remote)
		want, err := json.Marshal(c.want)
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.TrimSpace(w.Body.String()); w.Code != c.status || got != string(want) {
			t.Errorf("from %s with %v: %d %s, want %d %s", c.remote, c.broken, w.Code, got, c.status, want)
		}
		if got := w.Header().Get("Content-Type"); got != "application/json" {
			t.Errorf("content type %q", got)
		}
	}
}

func TestChecksHaveADeadline(t *testing.T) {
	m := New(Options{})
	m.Check("store", func(ctx context.Context) error {
		if _, ok := ctx.Deadline(); !ok {
			t.Error("a check may take for ever")
		}
		return nil
	})
	ask(m, "GET", "/readyz", stranger)
}

func TestMetricsAreNotPublic(t *testing.T) {
	const secret = "a-long-metrics-token"
	for _, c := range []struct {
		name, token, remote string
		headers             []string
		want                int
	}{
		{"loopback", "", loopback, nil, 200},
		{"loopback in IPv6", "", "[::1]:40000", nil, 200},
		{"mapped loopback", "", "[::ffff:127.0.0.1]:40000", nil, 200},
		{"private", "", "10.1.2.3:40000", nil, 200},
		{"private in IPv6", "", "[fd12::1]:40000", nil, 200},
		{"stranger", "", stranger, nil, 404},
		{"stranger in IPv6", "", "[2001:db8::1]:40000", nil, 404},
		{"link-local", "", "169.254.169.254:80", nil, 404},
		{"unknown peer", "", "@", nil, 404},
		{"through a proxy", "", loopback, []string{"X-Forwarded-For", "203.0.113.9"}, 404},
		{"who claims to be local", "", loopback, []string{"X-Forwarded-For", "127.0.0.1"}, 404},
		{"through a standard proxy", "", loopback, []string{"Forwarded", "for=203.0.113.9"}, 404},
		{"through a plain proxy", "", loopback, []string{"Via", "1.1 cache"}, 404},
		{"stranger with a claim", "", stranger, []string{"X-Forwarded-For", "127.0.0.1"}, 404},
		{"no token configured, one sent", "", stranger, []string{"Authorization", "Bearer "}, 404},
		{"token", secret, stranger, []string{"Authorization", "Bearer " + secret}, 200},
		{"token through a proxy", secret, loopback, []string{"Authorization", "Bearer " + secret, "Via", "1.1 x"}, 200},
		{"no token", secret, stranger, nil, 401},
		{"local without the token", secret, loopback, nil, 401},
		{"wrong token", secret, loopback, []string{"Authorization", "Bearer " + secret + "x"}, 401},
		{"empty token", secret, loopback, []string{"Authorization", "Bearer "}, 401},
		{"other scheme", secret, loopback, []string{"Authorization", "Basic " + secret}, 401},
	} {
		m := New(Options{Token: c.token})
		w := ask(m, "GET", "/metrics", c.remote, c.headers...)
		if w.Code != c.want {
			t.Errorf("%s: %d, want %d", c.name, w.Code, c.want)
		}
		if shown := strings.Contains(w.Body.String(), "go_goroutines"); shown != (c.want == 200) {
			t.Errorf("%s: figures shown: %v", c.name, shown)
		}
	}
}

func TestRequests(t *testing.T) {
	m := New(Options{Version: "1.2.3"})
	m.Request("GET /agents/{slug}", 200, 3*time.Millisecond)
	m.Request("GET /agents/{slug}", 404, 2*time.Millisecond)
	m.Request("GET /agents/{slug}", 204, 20*time.Second)
	m.Request("", 404, time.Millisecond)
	m.Request("POST /checkout", 0, time.Second)
	m.Request("POST /checkout", 999, time.Second)
	m.Request("POST /checkout", -500, time.Second)
	expect(t, scrape(t, m),
		`souk_http_requests_total{route="GET /agents/{slug}",status="2xx"} 2`,
		`souk_http_requests_total{route="GET /agents/{slug}",status="4xx"} 1`,
		`souk_http_requests_total{route="none",status="4xx"} 1`,
		`souk_http_requests_total{route="POST /checkout",status="broken"} 1`,
		`souk_http_requests_total{route="POST /checkout",status="5xx"} 2`,
		`souk_http_request_duration_seconds_bucket{route="GET /agents/{slug}",le="0.0025"} 1`,
		`souk_http_request_duration_seconds_bucket{route="GET /agents/{slug}",le="10"} 2`,
		`souk_http_request_duration_seconds_count{route="GET /agents/{slug}"} 3`,
		`souk_build_info{version="1.2.3"} 1`)
}

func TestRequestsAtTheSameTime(t *testing.T) {
	m := New(Options{})
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for i := range 1000 {
				m.Request([]string{"GET /a", "GET /b"}[i%2], 200, time.Millisecond)
			}
		})
	}
	wg.Wait()
	expect(t, scrape(t, m),
		`souk_http_requests_total{route="GET /a",status="2xx"} 4000`,
		`souk_http_request_duration_seconds_count{route="GET /b"} 4000`)
}

func TestWatched(t *testing.T) {
	m := New(Options{})
	m.WatchStore(func() store.Stats {
		return store.Stats{Commits: 7, Writes: 40, LastLSN: 12, DurableLSN: 11, DiskBytes: 4096, FreeBytes: 1 << 30}
	})
	m.WatchJobs(func() map[string]int { return map[string]int{"queued": 3, "failed": 1} })
	m.WatchPages(func() Pages {
		return Pages{Hits: 90, Shared: 2, Misses: 8, Evictions: 1, Drops: 3, Pages: 4, Bytes: 65536}
	})
	m.Gauge("souk_search_lag_commits", "Commits that the index lacks.", func() float64 { return 2 })
	expect(t, scrape(t, m),
		`souk_page_cache_hits_total 90`, `souk_page_cache_shared_total 2`, `souk_page_cache_misses_total 8`,
		`souk_page_cache_evictions_total 1`, `souk_page_cache_drops_total 3`, `souk_page_cache_pages 4`, `souk_page_cache_bytes 65536`,
		`souk_store_commits_total 7`, `souk_store_writes_total 40`,
		`souk_store_lsn{state="committed"} 12`, `souk_store_lsn{state="durable"} 11`,
		`souk_store_disk_bytes 4096`, `souk_store_disk_free_bytes 1.073741824e+09`,
		`souk_jobs{state="queued"} 3`, `souk_jobs{state="failed"} 1`, `souk_search_lag_commits 2`)
}

func TestASourceThatPanicsCostsOnlyItsFigure(t *testing.T) {
	var log bytes.Buffer
	m := New(Options{Logger: slog.New(slog.NewTextHandler(&log, nil))})
	m.Gauge("souk_broken", "Panics.", func() float64 { panic("no value") })
	m.WatchJobs(func() map[string]int { return map[string]int{"queued": 1} })
	figures := scrape(t, m)
	expect(t, figures, `souk_jobs{state="queued"} 1`)
	if strings.Contains(figures, "souk_broken") || !strings.Contains(log.String(), "no value") {
		t.Errorf("log: %s", log.String())
	}
}

func BenchmarkRequest(b *testing.B) {
	m := New(Options{})
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			m.Request("GET /agents/{slug}", 200, 300*time.Microsecond)
		}
	})
}

func BenchmarkScrape(b *testing.B) {
	m := New(Options{})
	for range 100 {
		m.Request("GET /agents/{slug}", 200, time.Millisecond)
	}
	for b.Loop() {
		io.Copy(io.Discard, ask(m, "GET", "/metrics", loopback).Body)
	}
}
