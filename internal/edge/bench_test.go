package edge

import (
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// discard is the cheapest http.ResponseWriter, so that the difference between two
// benchmarks is Protect's.
type discard struct{ header http.Header }

func (d *discard) Header() http.Header         { return d.header }
func (d *discard) WriteHeader(int)             {}
func (d *discard) Write(b []byte) (int, error) { return len(b), nil }

func writes(page []byte, coding string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		if coding != "" {
			w.Header().Set("Content-Encoding", coding)
		}
		w.Write(page)
	})
}

func BenchmarkProtect(b *testing.B) {
	page := strings.Repeat("<li class=\"tile\">An agent that does things, priced at 9.00 USD</li>\n", 450)
	kept := writes([]byte(page[:3000]), "gzip")
	dynamic := writes([]byte(page), "")
	log := slog.New(slog.NewJSONHandler(io.Discard, nil))
	for _, bm := range []struct {
		name    string
		handler http.Handler
		accept  string
	}{
		{"kept page, bare", kept, "gzip, deflate, br, zstd"},
		{"kept page", Protect(kept, Options{}), "gzip, deflate, br, zstd"},
		{"kept page, logged", Protect(kept, Options{Logger: log}), "gzip, deflate, br, zstd"},
		{"30 KB rendered, bare", dynamic, ""},
		{"30 KB rendered", Protect(dynamic, Options{}), ""},
		{"30 KB rendered, gzip", Protect(dynamic, Options{}), "gzip"},
		{"30 KB rendered, zstd", Protect(dynamic, Options{}), "zstd"},
	} {
		b.Run(bm.name, func(b *testing.B) {
			r := httptest.NewRequest("GET", "/agents/some-agent", nil)
			r.Header.Set("Accept-Encoding", bm.accept)
			b.ReportAllocs()
			for b.Loop() {
				bm.handler.ServeHTTP(&discard{make(http.Header)}, r)
			}
		})
	}
}
