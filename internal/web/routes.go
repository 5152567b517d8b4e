package web

import (
	"fmt"
	"hash/maphash"
	"net/http"
	"strings"

	"github.com/souk-market/souk/internal/market"
)

// routes is every address of a page.
func (s *Server) routes() http.Handler {
	mux := http.NewServeMux()
	for pattern, h := range map[string]handler{
		"GET /{$}":           s.home,
		"GET /search":        s.search,
		"GET /agents/{slug}": s.agent,
		"GET /cart":          s.cart,
		"POST /cart":         s.addToCart,
		"POST /cart/remove":  s.removeFromCart,
		"GET /checkout":      s.checkout,
		"POST /checkout":     s.place,
		"GET /o/{receipt}":   s.receipt,
		"GET /o/{receipt}/download/{entitlement}": s.download,
		"POST /webhooks/{provider}":               s.webhook,
		"GET /sign-in":                            s.signInPage,
		"POST /sign-in":                           s.signIn,
		"POST /sign-out":                          s.signOut,
		"GET /account":                            s.account,
		"GET /terms":                              s.terms,
		"GET /assets/{name...}":                   s.asset,
		"GET /tiles/{file}":                       s.tile,
		"GET /favicon.ico":                        s.favicon,
		"GET /robots.txt":                         s.robots,
		"GET /":                                   s.lost,
	} {
		mux.Handle(pattern, s.serve(h))
	}
	if s.Outbox != nil {
		mux.Handle("GET /dev/mail", s.serve(s.outbox))
		mux.Handle("GET /dev/mail/{id}", s.serve(s.mail))
		mux.Handle("GET /dev/mail/{id}/html", s.serve(s.mailBody))
	}
	return mux
}

func (s *Server) lost(w http.ResponseWriter, r *http.Request) error {
	return market.Errorf(market.NotFound, "There is no page at this address. It may have moved, or the link may be mistyped.")
}

// tagSeed makes entity tags of one process; a new process may render otherwise.
var tagSeed = maphash.MakeSeed()

// entityTag is a strong ETag of a body.
func entityTag(body []byte) string {
	return fmt.Sprintf(`"%016x%08x"`, maphash.Bytes(tagSeed, body), len(body))
}

// has reports whether the client names tag among the bodies that it holds. Weak tags
// count (RFC 9110, 13.1.2): a page that went out compressed carries one.
func has(r *http.Request, tag string) bool {
	for _, line := range r.Header["If-None-Match"] {
		if strings.Contains(line, tag) { // tag has its quotes, so it is no part of another
			return true
		}
	}
	return false
}
