package web

import (
	"net/url"
	"testing"
)

func TestElsewhere(t *testing.T) {
	for from, want := range map[string]string{
		"/agents": "/search", "/tags": "/search", "/agents/reader/": "/agents/reader", "/search/?q=a%20b&page=2": "/search?q=a%20b&page=2",
		"/agents/a%2Fb/": "/agents/a%2Fb", "/categories/": "/categories", "/agents/reader//": "/agents/reader",
		"/agents/reader": "", "/": "", "//": "", "//elsewhere.example/": "",
	} {
		u, err := url.ParseRequestURI(from)
		if err != nil {
			t.Fatal(err)
		}
		if from == "//elsewhere.example/" || from == "//" {
			u = &url.URL{Path: from}
		}
		if to, ok := elsewhere(u); to != want || ok != (want != "") {
			t.Errorf("%s: %q, want %q", from, to, want)
		}
	}
}
