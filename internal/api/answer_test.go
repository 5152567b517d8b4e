package api

import (
	"net/http"
	"strings"
	"testing"

	"github.com/souk-market/souk/internal/edge"
	"github.com/souk-market/souk/internal/market"
	"github.com/souk-market/souk/store"
)

func TestConditionalGet(t *testing.T) {
	s := newShelf(t)
	for _, path := range []string{"/api/v1/agents", "/api/v1/agents/crewai", "/api/v1/search?q=mcp", "/api/v1/openapi.json", "/api/v1/openapi.yaml"} {
		r := s.send("GET", path, "")
		tag := r.Header.Get("Etag")
		if len(tag) != 34 || tag[0] != '"' || r.Header.Get("Cache-Control") != "public, max-age=0, must-revalidate" {
			t.Errorf("%s: ETag %s, Cache-Control %q", path, tag, r.Header.Get("Cache-Control"))
		}
		if again := s.send("GET", path, ""); again.Header.Get("Etag") != tag {
			t.Errorf("%s: ETag %s, then %s", path, tag, again.Header.Get("Etag"))
		}
		for header, want := range map[string]int{
			tag: 304, "W/" + tag: 304, `"other", ` + tag: 304, "*": 304,
			`"other"`: 200, "": 200, strings.Trim(tag, `"`): 200,
		} {
			r := s.send("GET", path, "", "If-None-Match: "+header)
			if r.StatusCode != want || (want == 304) != (len(r.body) == 0) || r.Header.Get("Etag") != tag ||
				r.Header.Get("Cache-Control") == "" || r.Header.Get("Access-Control-Allow-Origin") != "*" {
				t.Errorf("%s with %s: %s, %d bytes, %v", path, header, r.Status, len(r.body), r.Header)
			}
		}
	}
}

func TestTagFollowsTheContent(t *testing.T) {
	s := newShelf(t)
	before := s.send("GET", "/api/v1/agents/crewai", "").Header.Get("Etag")
	s.update(func(tx *store.Tx) error {
		a, err := store.AgentBySlug.Load(tx, "crewai")
		if err != nil {
			return err
		}
		a.Offer.Price = market.Money{Amount: 1, Currency: "USD"}
		return store.Agents.Put(tx, &a)
	})
	r := s.send("GET", "/api/v1/agents/crewai", "", "If-None-Match: "+before)
	if r.StatusCode != http.StatusOK || r.Header.Get("Etag") == before {
		t.Errorf("after a change: %s, ETag %s", r.Status, r.Header.Get("Etag"))
	}
}

func TestConditionalGetOfCompressed(t *testing.T) {
	s := newShelf(t)
	url := s.serve(edge.Protect(s.API, edge.Options{}))
	r := s.sendTo(url, "GET", "/api/v1/agents", "", "Accept-Encoding: gzip")
	tag := r.Header.Get("Etag")
	if r.Header.Get("Content-Encoding") != "gzip" || !strings.HasPrefix(tag, `W/"`) {
		t.Fatalf("Content-Encoding %q, ETag %s", r.Header.Get("Content-Encoding"), tag)
	}
	r = s.sendTo(url, "GET", "/api/v1/agents", "", "Accept-Encoding: gzip", "If-None-Match: "+tag)
	if r.StatusCode != http.StatusNotModified || r.Header.Get("Etag") != tag {
		t.Errorf("%s, ETag %s, want 304 and %s", r.Status, r.Header.Get("Etag"), tag)
	}
}

func TestHead(t *testing.T) {
	s := newShelf(t)
	for _, path := range []string{"/api/v1/agents", "/api/v1/agents/crewai", "/api/v1/agents/no-such", "/api/v1/nothing"} {
		get, head := s.send("GET", path, ""), s.send("HEAD", path, "")
		if head.StatusCode != get.StatusCode || head.ContentLength != get.ContentLength || head.Header.Get("Etag") != get.Header.Get("Etag") || len(head.body) != 0 {
			t.Errorf("%s: %s, %d bytes; GET has %s, %d bytes", path, head.Status, head.ContentLength, get.Status, get.ContentLength)
		}
	}
}

func TestOtherSites(t *testing.T) {
	s := newShelf(t)
	url := s.serve(edge.Protect(s.API, edge.Options{}))
	const origin = "Origin: https://elsewhere.example"
	for _, c := range []struct {
		method, path, body string
		status             int
	}{
		{"GET", "/api/v1/agents", "", 200},
		{"GET", "/api/v1/agents/no-such", "", 404},
		{"GET", "/api/v1/agents?limit=0", "", 400},
		{"POST", "/api/v1/licenses/validate", `{"key":"x"}`, 200},
	} {
		r := s.sendTo(url, c.method, c.path, c.body, origin, "Sec-Fetch-Site: cross-site")
		if r.StatusCode != c.status || r.Header.Get("Access-Control-Allow-Origin") != "*" ||
			!strings.Contains(r.Header.Get("Access-Control-Expose-Headers"), "ETag") || r.Header.Get("Access-Control-Allow-Credentials") != "" {
			t.Errorf("%s %s: %s %v", c.method, c.path, r.Status, r.Header)
		}
	}
}

func TestPreflight(t *testing.T) {
	s := newShelf(t)
	for path, allow := range map[string]string{
		"/api/v1/agents": "GET, HEAD, OPTIONS", "/api/v1/agents/crewai": "GET, HEAD, OPTIONS", "/api/v1/licenses/validate": "POST, OPTIONS",
	} {
		r := s.send("OPTIONS", path, "", "Origin: https://elsewhere.example", "Access-Control-Request-Method: POST", "Access-Control-Request-Headers: content-type")
		if r.StatusCode != http.StatusNoContent || len(r.body) != 0 || r.Header.Get("Allow") != allow || r.Header.Get("Access-Control-Allow-Methods") != allow ||
			!strings.Contains(r.Header.Get("Access-Control-Allow-Headers"), "Content-Type") || r.Header.Get("Access-Control-Allow-Origin") != "*" {
			t.Errorf("%s: %s %v", path, r.Status, r.Header)
		}
	}
	if r := s.send("OPTIONS", "/api/v1/nothing", ""); r.StatusCode != http.StatusNotFound {
		t.Errorf("nothing: %s", r.Status)
	}
}

func TestBodiesAreJSON(t *testing.T) {
	s := newShelf(t)
	for _, accept := range []string{"", "*/*", "application/json", "text/html", "application/cbor", ";;,,q=x"} {
		r := s.send("GET", "/api/v1/agents/crewai", "", "Accept: "+accept)
		if r.StatusCode != http.StatusOK || r.Header.Get("Content-Type") != "application/json" || strings.Contains(string(r.body), "$schema") {
			t.Errorf("Accept %q: %s, %s, %s", accept, r.Status, r.Header.Get("Content-Type"), r.body)
		}
	}
}
