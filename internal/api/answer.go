package api

import (
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"strconv"
	"strings"
	"sync"
)

// ServeHTTP answers one request. The answer is held back until it is whole, so that it
// can have an ETag and a length, and a panic leaves nothing half sent. The longest is a
// list of 100 agents, at most 200 KB.
func (a *API) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	ans := answers.Get().(*answer)
	ans.w, ans.status, ans.body = w, 0, ans.body[:0]
	a.mux.ServeHTTP(ans, r)
	if r.Pattern == "" {
		ans.unrouted(r)
	}
	ans.send(r)
	if ans.w = nil; cap(ans.body) <= maxKept {
		answers.Put(ans)
	}
}

// maxKept is the largest buffer that is used again.
const maxKept = 64 << 10

var answers = sync.Pool{New: func() any { return new(answer) }}

// answer collects what a handler writes.
type answer struct {
	w      http.ResponseWriter
	status int
	body   []byte
}

func (ans *answer) Header() http.Header { return ans.w.Header() }

// Unwrap lets huma and http.ResponseController reach the connection's deadlines.
func (ans *answer) Unwrap() http.ResponseWriter { return ans.w }

func (ans *answer) WriteHeader(status int) {
	if ans.status == 0 {
		ans.status = status
	}
}

func (ans *answer) Write(b []byte) (int, error) {
	ans.WriteHeader(http.StatusOK)
	ans.body = append(ans.body, b...)
	return len(b), nil
}

// unrouted replaces what the mux says about a path or method that it doesn't know.
func (ans *answer) unrouted(r *http.Request) {
	h := ans.w.Header()
	switch {
	case ans.status != http.StatusMethodNotAllowed:
		ans.problem(r, newProblem(http.StatusNotFound,
			"There is nothing at this address. What there is stands in "+documentPath+".json."))
	case r.Method == http.MethodOptions:
		ans.preflight()
	default:
		allowed := h.Get("Allow") + ", OPTIONS"
		h.Set("Allow", allowed)
		ans.problem(r, newProblem(http.StatusMethodNotAllowed, "This address takes "+allowed+"; "+r.Method+" is none of them."))
	}
}

// preflight answers OPTIONS: what the address takes, for a browser that asks on behalf of
// another site's script. The mux has set Allow.
func (ans *answer) preflight() {
	h := ans.w.Header()
	allowed := h.Get("Allow") + ", OPTIONS"
	h.Set("Allow", allowed)
	h.Set("Access-Control-Allow-Methods", allowed)
	h.Set("Access-Control-Allow-Headers", "Content-Type, If-None-Match")
	h.Set("Access-Control-Max-Age", "86400")
	h.Del("Content-Type")
	ans.status, ans.body = http.StatusNoContent, ans.body[:0]
}

// Values of headers, shared between answers.
var (
	anyOrigin  = []string{"*"}
	exposed    = []string{"ETag, Retry-After, X-Request-Id"}
	revalidate = []string{"public, max-age=0, must-revalidate"}
	noStore    = []string{"no-store"}
)

// send gives the answer to the connection. Any site's script may read it: it is public or
// depends on nothing that a browser adds by itself (no credentials are allowed).
func (ans *answer) send(r *http.Request) {
	h := ans.w.Header()
	h["Access-Control-Allow-Origin"] = anyOrigin
	h["Access-Control-Expose-Headers"] = exposed
	if ans.status == 0 {
		ans.status = http.StatusOK
	}
	reading := r.Method == http.MethodGet || r.Method == http.MethodHead
	if reading && ans.status == http.StatusOK {
		tag := entityTag(ans.body)
		h["Etag"] = []string{tag}
		h["Cache-Control"] = revalidate
		if matches(r.Header["If-None-Match"], tag) {
			delete(h, "Content-Type")
			ans.w.WriteHeader(http.StatusNotModified)
			return
		}
	} else {
		h["Cache-Control"] = noStore
	}
	if ans.status != http.StatusNoContent {
		h["Content-Length"] = []string{strconv.Itoa(len(ans.body))}
	}
	ans.w.WriteHeader(ans.status)
	if r.Method != http.MethodHead && len(ans.body) > 0 {
		ans.w.Write(ans.body) // an error here is the connection's, and nobody is left to tell
	}
}

// entityTag is the strong tag of a body: half of its SHA-256, the same on every server
// and after every restart.
func entityTag(body []byte) string {
	sum := sha256.Sum256(body)
	var tag [34]byte
	tag[0], tag[33] = '"', '"'
	hex.Encode(tag[1:33], sum[:16])
	return string(tag[:])
}

// matches reports whether If-None-Match names the tag, by the weak comparison that RFC
// 9110 (13.1.2) asks for: a compressed answer carries the tag as a weak one.
func matches(header []string, tag string) bool {
	for _, line := range header {
		for t := range strings.SplitSeq(line, ",") {
			if t = strings.TrimSpace(t); t == "*" || strings.TrimPrefix(t, "W/") == tag {
				return true
			}
		}
	}
	return false
}
