package web

import (
	"net/http"
	"testing"
)

// TestHas covers what browsers send back: they ask for compression, so the tag that they
// keep is the weak one.
func TestHas(t *testing.T) {
	const tag = `"0123456789abcdef00001000"`
	for _, c := range []struct {
		name  string
		lines []string
		want  bool
	}{
		{"nothing", nil, false},
		{"strong", []string{tag}, true},
		{"weak", []string{"W/" + tag}, true},
		{"one of several", []string{`"a", W/` + tag + `, "b"`}, true},
		{"in a second line", []string{`"a"`, tag}, true},
		{"another", []string{`"1123456789abcdef00001000"`}, false},
		{"without quotes", []string{"0123456789abcdef00001000"}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := &http.Request{Header: http.Header{"If-None-Match": c.lines}}
			if got := has(r, tag); got != c.want {
				t.Errorf("has(%q) = %v, want %v", c.lines, got, c.want)
			}
		})
	}
}
