package web

import (
	"fmt"
	"hash/maphash"
	"net/http"
	"strings"

	"github.com/souk-market/souk/views"
)

// routes is every address of a page.
func (s *Server) routes() http.Handler {
	mux := http.NewServeMux()
	for pattern, h := range map[string]handler{
		"GET /{$}":                                s.kept(s.home),
		"GET /search":                             s.search,
		"GET /categories/{slug}":                  s.category,
		"GET /tags/{tag}":                         s.tag,
		"GET /suggest":                            s.suggest,
		"GET /agents/{slug}":                      s.kept(s.agent),
		"GET /agents/{slug}/reviews":              s.kept(s.reviews, "page"),
		"GET /sellers/{slug}":                     s.kept(s.seller),
		"GET /pages/{slug}":                       s.kept(s.textPage),
		"GET /cart":                               s.cart,
		"POST /cart":                              s.addToCart,
		"POST /cart/remove":                       s.removeFromCart,
		"GET /checkout":                           s.checkout,
		"POST /checkout":                          s.place,
		"GET /o/{receipt}":                        s.receipt,
		"GET /o/{receipt}/download/{entitlement}": s.download,
		"POST /webhooks/{provider}":               s.webhook,
		"GET /sign-in":                            s.signInPage,
		"POST /sign-in":                           s.signIn,
		"POST /sign-out":                          s.signOut,
		"GET /account":                            s.account,
		"GET /terms":                              s.kept(s.terms),
		"GET /assets/{name...}":                   s.asset,
		"GET /tiles/{file}":                       s.tile,
		"GET /media/{file}":                       s.media,
		"GET /favicon.ico":                        s.favicon,
		"GET /robots.txt":                         s.kept(s.robots),
		"GET /og/{file}":                          s.kept(s.og),
		"GET /llms.txt":                           s.kept(s.llms),
		"GET /sitemap.xml":                        s.kept(s.sitemapIndex),
		"GET /sitemaps/{file}":                    s.kept(s.sitemap),
		"GET /":                                   s.lost,
	} {
		if s.Closed != nil && !forEverybody[pattern] {
			h = s.closed
		}
		mux.Handle(pattern, s.serve(h))
	}
	for _, listing := range []string{"/search", "/categories/{slug}", "/tags/{slug}", "/sellers/{slug}"} {
		mux.Handle("GET "+listing+"/feed.atom", s.serve(s.feed))
		mux.Handle("GET "+listing+"/feed.json", s.serve(s.feed))
	}
	if s.Outbox != nil {
		mux.Handle("GET /dev/gallery", s.serve(s.gallery))
		mux.Handle("GET /dev/mail", s.serve(s.outbox))
		mux.Handle("GET /dev/mail/{id}", s.serve(s.mail))
		mux.Handle("GET /dev/mail/{id}/html", s.serve(s.mailBody))
	}
	return mux
}

// forEverybody are the patterns of pages that are the same for every visitor.
var forEverybody = map[string]bool{
	"GET /{$}": true, "GET /search": true, "GET /agents/{slug}": true, "GET /terms": true, "GET /agents/{slug}/reviews": true,
	"GET /sellers/{slug}": true, "GET /pages/{slug}": true, "GET /assets/{name...}": true,
	"GET /categories/{slug}": true, "GET /tags/{tag}": true, "GET /suggest": true,
	"GET /tiles/{file}": true, "GET /media/{file}": true, "GET /favicon.ico": true, "GET /robots.txt": true, "GET /llms.txt": true, "GET /og/{file}": true,
	"GET /sitemap.xml":     true,
	"GET /sitemaps/{file}": true, "GET /": true,
}

// closed says why something can't be done at this server.
func (s *Server) closed(w http.ResponseWriter, r *http.Request) error {
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Retry-After", "60")
	status := statuses[s.Closed.Kind]
	return s.write(w, r, status, views.ProblemPage(s.site(r.Context()), views.Problem{
		Meta: views.Meta{NoIndex: true}, Status: status, Title: "Not at this server", Message: s.Closed.Message,
		Action: views.Link{Text: "Look around", Href: "/"},
	}))
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
