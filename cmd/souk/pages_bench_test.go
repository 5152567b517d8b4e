package main

import (
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"

	"github.com/souk-market/souk/internal/pagecache"
)

// sink is the cheapest http.ResponseWriter, so that the difference between two benchmarks
// is the handlers'.
type sink struct {
	header http.Header
	status int
}

func (s *sink) Header() http.Header         { return s.header }
func (s *sink) WriteHeader(status int)      { s.status = status }
func (s *sink) Write(b []byte) (int, error) { return len(b), nil }

// BenchmarkPublicPage compares, without the network, a bare handler that writes an agent's
// page and its headers from memory with the same page as the server answers with it, all
// that it does for each request included, and with the page rendered anew:
//
//	go test ./cmd/souk -run '^$' -bench PublicPage
//
// The allocations of the kept page are those beyond net/http's own. BenchmarkFigures has
// both over the network.
func BenchmarkPublicPage(b *testing.B) {
	kept, slug := pagesForBench(b, 0)
	rendered, _ := pagesForBench(b, 1)
	for _, c := range []struct{ name, accept string }{{"identity", "identity"}, {"browser", "gzip, deflate, br, zstd"}} {
		get := httptest.NewRequest("GET", "/agents/"+slug, nil)
		get.Header.Set("Accept-Encoding", c.accept)
		for _, side := range []struct {
			name    string
			handler http.Handler
		}{{"bare", bareHandler(b, kept, get)}, {"kept", kept}, {"rendered", rendered}} {
			b.Run(c.name+"/"+side.name, func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					w := &sink{header: make(http.Header, 16)}
					if side.handler.ServeHTTP(w, get); w.status != http.StatusOK {
						b.Fatal(w.status)
					}
				}
			})
		}
	}
}

// bareHandler writes what h answers a request with, from its second time on.
func bareHandler(b *testing.B, h http.Handler, r *http.Request) http.Handler {
	h.ServeHTTP(httptest.NewRecorder(), r)
	answer := httptest.NewRecorder()
	if h.ServeHTTP(answer, r); answer.Code != http.StatusOK {
		b.Fatal(answer.Code)
	}
	header, body := answer.Header(), answer.Body.Bytes()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		to := w.Header()
		for k, v := range header {
			to[k] = v
		}
		w.WriteHeader(http.StatusOK)
		w.Write(body)
	})
}

// pagesForBench is the demo's marketplace with all that a server puts before its pages, and
// its access log in a file; and the slug of an agent. keep is how many bytes of pages are kept.
func pagesForBench(b *testing.B, keep int64) (handler http.Handler, slug string) {
	b.Helper()
	must := func(err error) {
		b.Helper()
		if err != nil {
			b.Fatal(err)
		}
	}
	log, err := os.Create(filepath.Join(b.TempDir(), "log"))
	must(err)
	h, err := openHouse(Config{Data: filepath.Join(b.TempDir(), "data"), Addr: "127.0.0.1:0", LogLevel: slog.LevelError, Currency: "USD", Name: "Souk"})
	must(err)
	out := &logLines{to: log}
	h.log = slog.New(logHandler{slog.NewTextHandler(out, nil), out})
	h.pages = pagecache.New(h.db, pagecache.Options{Bytes: keep})
	must(h.stockDemo(b.Context()))
	settle(b, h)
	must(h.replicate(b.Context()))
	f, err := h.openFront()
	must(err)
	_, err = h.wire(f, serveOptions{})
	must(err)
	b.Cleanup(func() {
		must(errors.Join(f.close(), h.close(), log.Close()))
	})
	home, err := h.catalog.Home(b.Context(), 1)
	must(err)
	return *f.handler.Load(), home.Popular[0].Slug
}
