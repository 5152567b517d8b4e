package pagecache

import (
	"net/http"
	"strings"

	"github.com/souk-market/souk/internal/edge"
)

// answer writes a page, or that the client has it.
func (c *Cache) answer(w http.ResponseWriter, r *http.Request, e *entry, kept bool) {
	h := w.Header()
	h["Cache-Control"] = e.cacheControl
	if e.page.Status == http.StatusOK {
		if tag := e.heldBy(r.Header["If-None-Match"]); tag != "" {
			h["Etag"] = []string{tag}
			w.WriteHeader(http.StatusNotModified)
			return
		}
	}
	v := c.choose(e, r.Header["Accept-Encoding"], kept)
	e.describe(h, v)
	w.WriteHeader(e.page.Status)
	if r.Method != http.MethodHead {
		w.Write(v.body) // a visitor who has gone is no error of ours
	}
}

// choose returns the variant that a client wants most. Who waits for a rendering doesn't
// wait for brotli besides, which takes several times as long as the others: it is made for
// the next one.
func (c *Cache) choose(e *entry, accept []string, kept bool) *variant {
	coding, first := edge.Identity, edge.Brotli
	if !kept {
		first = edge.Zstd
	}
	if e.packable {
		coding = edge.Negotiate(accept, first)
	}
	return c.in(e, coding)
}

// describe sets the headers of a variant.
func (e *entry) describe(h http.Header, v *variant) {
	if v.coding != nil {
		h["Content-Encoding"] = v.coding
	}
	if e.page.Status == http.StatusOK {
		h["Etag"] = v.tag
	}
	if e.location != nil {
		h["Location"] = e.location
	}
	if e.mediaType != nil {
		h["Content-Type"] = e.mediaType
	}
	h["Content-Length"] = v.length
}

// heldBy returns the tag of the page by which a client names it among the bodies that it
// holds, "" when it doesn't. All variants are the same page, and weak tags count (RFC 9110,
// 13.1.2): proxies weaken what they compress.
func (e *entry) heldBy(lines []string) string {
	for _, line := range lines {
		if line == "*" {
			return e.tag + tagSuffixes[edge.Identity]
		}
		_, rest, found := strings.Cut(line, e.tag)
		if !found {
			continue
		}
		for _, suffix := range tagSuffixes {
			if strings.HasPrefix(rest, suffix) {
				return e.tag + suffix
			}
		}
	}
	return ""
}
