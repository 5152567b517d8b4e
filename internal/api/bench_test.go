package api

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strconv"
	"testing"
)

// sink is a ResponseWriter that costs nothing itself.
type sink struct{ h http.Header }

func (s *sink) Header() http.Header         { return s.h }
func (s *sink) WriteHeader(int)             {}
func (s *sink) Write(b []byte) (int, error) { return len(b), nil }

// BenchmarkAgent compares one agent through the API with a bare handler that writes the
// same bytes, in process and over a connection that is kept. byhand is a handler without
// huma, ETag and CORS that loads and encodes the agent itself.
func BenchmarkAgent(b *testing.B) {
	s := newShelf(b)
	const path = "/api/v1/agents/langchain-chroma"
	body := s.send("GET", path, "").body
	bare := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Content-Length", strconv.Itoa(len(body)))
		w.Write(body)
	})
	byHand := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		l, err := s.Catalog.Agent(r.Context(), "langchain-chroma")
		if err != nil {
			b.Error(err)
		}
		w.Header().Set("Content-Type", "application/json")
		json.NewEncoder(w).Encode(s.agent(&l, s.BaseURL()))
	})
	handlers := []struct {
		name string
		h    http.Handler
	}{{"bare", bare}, {"byhand", byHand}, {"api", s.API}}
	for _, h := range handlers {
		b.Run("process/"+h.name, func(b *testing.B) {
			r := httptest.NewRequest("GET", path, nil)
			b.ReportAllocs()
			for b.Loop() {
				h.h.ServeHTTP(&sink{http.Header{}}, r)
			}
		})
	}
	for _, h := range handlers {
		b.Run("connection/"+h.name, func(b *testing.B) {
			server := httptest.NewServer(h.h)
			defer server.Close()
			b.ReportAllocs()
			for b.Loop() {
				if r := s.sendTo(server.URL, "GET", path, ""); len(r.body) != len(body) {
					b.Fatalf("%s: %d bytes", r.Status, len(r.body))
				}
			}
		})
	}
}
