package edge

import (
	"path"
	"strings"
)

// A rule says how requests under a path differ from those for a page.
type rule struct {
	// prefix of the decoded path. One that ends in a slash covers what is below it.
	prefix string

	// essential requests are still admitted when pages are refused.
	essential bool

	// secret means that the segment after the prefix lets whoever has it act: it is
	// masked in the log, sent to no other site as Referer, and its page is left
	// uncompressed, so that its length tells nothing about it (BREACH).
	secret bool

	// signed requests carry their own proof of origin and come from other machines.
	signed bool

	// tokens means that callers prove themselves by a header. Only a request with
	// cookies can be one that another site made a browser send.
	tokens bool

	// quiet requests are logged only when they fail: monitors and browsers make them by
	// the dozen.
	quiet bool
}

// rules are tried in order.
var rules = []rule{
	{prefix: "/o/", essential: true, secret: true},
	{prefix: "/checkout", essential: true},
	{prefix: "/webhooks/", essential: true, signed: true},
	{prefix: "/sandbox/pay/", essential: true, secret: true},
	{prefix: "/api/", tokens: true},
	{prefix: "/assets/", quiet: true},
	{prefix: "/healthz", essential: true, quiet: true},
	{prefix: "/readyz", essential: true, quiet: true},
	{prefix: "/metrics", essential: true, quiet: true},
}

var page rule

func ruleFor(path string) *rule {
	for i := range rules {
		if strings.HasPrefix(path, rules[i].prefix) {
			return &rules[i]
		}
	}
	return &page
}

// loggedPath is p as the log may have it: cut, and with secrets masked.
func loggedPath(p string) string {
	if strings.Contains(p, "//") || strings.Contains(p, "/.") {
		p = path.Clean("/" + p)
	}
	if r := ruleFor(p); r.secret {
		p = maskSegment(p, len(r.prefix))
	}
	p = maskRuns(p)
	if len(p) > maxLoggedPath {
		p = p[:maxLoggedPath] + "…"
	}
	return p
}

// maskSegment masks the segment of p that begins at start.
func maskSegment(p string, start int) string {
	end := strings.IndexByte(p[start:], '/')
	if end < 0 {
		return p[:start] + mask
	}
	return p[:start] + mask + p[start+end:]
}

const (
	mask = "***"

	// secretRun is the length from which an unbroken run of letters and digits counts
	// as a secret wherever it stands: market.NewSecret is that long, record IDs are
	// shorter, slugs have hyphens. It covers the route that forgot its rule.
	secretRun = 32
)

func maskRuns(p string) string {
	start := 0
	for i := 0; i <= len(p); i++ {
		if i < len(p) && alphanumeric(p[i]) {
			continue
		}
		if i-start >= secretRun {
			return p[:start] + mask + maskRuns(p[i:])
		}
		start = i + 1
	}
	return p
}

func alphanumeric(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c|0x20 && c|0x20 <= 'z'
}
