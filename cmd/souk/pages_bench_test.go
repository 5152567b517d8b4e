package main

import (
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
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
	handler, slug := pagesForBench(b)
	get := func(accept string) *http.Request {
		r := httptest.NewRequest("GET", "/agents/"+slug, nil)
		r.Header.Set("Accept-Encoding", accept)
		return r
	}
	for _, accept := range []string{"identity", "gzip, deflate, br, zstd"} {
		var answer *httptest.ResponseRecorder
		for range 3 { // the third is of the variant that is kept
			answer = httptest.NewRecorder()
			handler.ServeHTTP(answer, get(accept))
		}
		if answer.Code != http.StatusOK {
			b.Fatal(answer.Code)
		}
		header, body := answer.Header(), answer.Body.Bytes()
		bare := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			h := w.Header()
			for k, v := range header {
				h[k] = v
			}
			w.WriteHeader(http.StatusOK)
			w.Write(body)
		})
		name := "identity"
		if accept != name {
			name = "browser"
		}
		for side, h := range map[string]http.Handler{"bare": bare, "kept": handler} {
			b.Run(name+"/"+side, func(b *testing.B) {
				r := get(accept)
				b.ReportAllocs()
				for b.Loop() {
					w := &sink{header: make(http.Header, 16)}
					if h.ServeHTTP(w, r); w.status != http.StatusOK {
						b.Fatal(w.status)
					}
				}
			})
		}
	}
}

// pagesForBench is the demo's marketplace with all that a server puts before its pages, and
// its access log in a file; and the slug of an agent.
func pagesForBench(b *testing.B) (handler http.Handler, slug string) {
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
	must(h.stockDemo(b.Context()))
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
