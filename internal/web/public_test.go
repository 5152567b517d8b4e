package web

import (
	"net/http"
	"net/http/httptest"
	"testing"
)

// TestOnePageHasOneName: what others add to links and how a number is spelled make no page
// of its own, of which a cache could be filled.
func TestOnePageHasOneName(t *testing.T) {
	for query, want := range map[string]string{
		"": "", "?": "", "?utm_source=x": "", "?page=": "", "?page=1": "", "?page=0": "", "?page=-7": "", "?page=one": "", "?page=%ff": "",
		"?page=99999999999999999999": "", "?PAGE=2": "", "?page=2;a=b": "", "?page=1&page=2": "",
		"?page=2": "page=2&", "?page=002": "page=2&", "?page=%2B2": "page=2&", "?a=b&page=2": "page=2&", "?page=2&page=3": "page=2&", "?page=2&a=%zz": "page=2&",
	} {
		r := httptest.NewRequest(http.MethodGet, "/agents/a/reviews"+query, nil)
		if got := (address{r, []string{"page"}}).query(); got != want {
			t.Errorf("%s: %q, want %q", query, got, want)
		}
	}
}
