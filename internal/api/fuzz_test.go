package api

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
)

// FuzzRequests holds what strangers may choose to an answer below 500.
func FuzzRequests(f *testing.F) {
	s := newShelf(f)
	for _, c := range [][4]string{
		{"GET", "/api/v1/agents", "limit=3&cursor=AAAA&category=sdk", ""},
		{"GET", "/api/v1/search", "q=playwrigth+mcp&limit=1&cursor=cwE", ";;,,q=x"},
		{"GET", "/api/v1/search", "q=%00%ff\"*(&category=", "W/\"x\", *"},
		{"GET", "/api/v1/agents/crewai", ";=%zz&&=", "application/json;q=0.5"},
		{"POST", "/api/v1/licenses/validate", "", "application/json; charset=utf-8"},
		{"POST", "/api/v1/licenses/validate", "", "a;b+c"},
		{"OPTIONS", "/api/v1/agents", "", ""},
		{"GET", "/api//v1/../v1/agents", "", ""},
	} {
		f.Add(c[0], c[1], c[2], c[3], `{"key": "SOUK-7K3M"}`)
	}
	f.Fuzz(func(t *testing.T, method, path, query, header, body string) {
		r := httptest.NewRequest("GET", "/", strings.NewReader(body))
		r.Method, r.URL = method, &url.URL{Path: "/" + strings.TrimPrefix(path, "/"), RawQuery: query}
		for _, name := range []string{"Accept", "Content-Type", "If-None-Match"} {
			r.Header.Set(name, header)
		}
		s.wait(1e9)
		w := httptest.NewRecorder()
		s.API.ServeHTTP(w, r)
		if w.Code >= http.StatusInternalServerError {
			t.Errorf("%s %s?%s: %d %s", method, path, query, w.Code, w.Body)
		}
	})
}
