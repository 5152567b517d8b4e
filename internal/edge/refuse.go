package edge

import (
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
)

// A refusal is an answer of edge's own.
type refusal struct {
	status  int
	message string // a sentence for the person: what happened and what to do
}

var (
	misdirected = &refusal{http.StatusMisdirectedRequest,
		"This server does not answer for that host name. Please use the marketplace's own address."}
	crossSite = &refusal{http.StatusForbidden,
		"This request came from another site and was refused. Please open the page on the marketplace itself and try again."}
	tooLarge = &refusal{http.StatusRequestEntityTooLarge,
		"What was sent is larger than this address takes. Nothing was stored."}
	busy = &refusal{http.StatusServiceUnavailable,
		"The marketplace is very busy right now. Please try again in a few seconds; nothing was lost."}
)

// refuse answers with why, as an RFC 9457 problem below /api/ and as text elsewhere. It
// needs no template, store or session, so that it works when those don't.
func (x *exchange) refuse(why *refusal) {
	h := x.w.Header()
	h.Set("Cache-Control", "no-store")
	switch why.status {
	case http.StatusServiceUnavailable:
		h.Set("Retry-After", retryAfter)
	case http.StatusRequestEntityTooLarge:
		h.Set("Connection", "close") // rather than reading what is still coming
	}
	var body []byte
	if strings.HasPrefix(x.r.URL.Path, "/api/") {
		h.Set("Content-Type", "application/problem+json")
		body, _ = json.Marshal(map[string]any{ // strings and a number: can't fail
			"type": "about:blank", "title": http.StatusText(why.status), "status": why.status,
			"detail": why.message, "request_id": x.id,
		})
	} else {
		h.Set("Content-Type", "text/plain; charset=utf-8")
		body = []byte(why.message + "\n\n" + http.StatusText(why.status) + " · request " + x.id + "\n")
	}
	h.Set("Content-Length", strconv.Itoa(len(body)))
	x.WriteHeader(why.status)
	if x.r.Method != http.MethodHead {
		x.Write(body)
	}
	x.close()
}
