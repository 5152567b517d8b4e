package web

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/souk-market/souk/internal/catalog"
	"github.com/souk-market/souk/internal/edge"
	"github.com/souk-market/souk/internal/market"
	"github.com/souk-market/souk/store"
	"github.com/souk-market/souk/views"
	"github.com/souk-market/souk/views/markdown"
)

// textPage is a page of the operator's, or the one that Souk has until they write theirs.
func (s *Server) textPage(tx store.Reader, at address) (content, error) {
	p, err := catalog.StaticPageOf(tx, at.Path("slug"))
	if err != nil {
		return content{}, err
	}
	site, err := s.siteIn(tx)
	if err != nil {
		return content{}, err
	}
	all, err := catalog.StaticPages(tx)
	if err != nil {
		return content{}, err
	}
	page := views.StaticPage{
		Meta:  views.Meta{Title: p.Title, Description: markdown.Plain(p.Body, maxDescription), Canonical: pagePath(p.Slug)},
		Title: p.Title, Body: s.written(p.Body, 2), Updated: views.When{Time: p.Updated},
	}
	for _, o := range all {
		if o.Slug != p.Slug {
			page.Others = append(page.Others, views.Link{Text: o.Title, Href: pagePath(o.Slug)})
		}
	}
	return html(views.TextPage(site, page))
}

func pagePath(slug string) string { return "/pages/" + url.PathEscape(slug) }

// terms is where the terms of sale were before they were a page.
func (s *Server) terms(store.Reader, address) (content, error) { return moved("/pages/terms") }

// lost answers at addresses where nothing is: with where it is, when that is plain, or with
// a search for their words.
func (s *Server) lost(w http.ResponseWriter, r *http.Request) error {
	if to, ok := elsewhere(r.URL); ok {
		http.Redirect(w, r, to, http.StatusMovedPermanently)
		return nil
	}
	w.Header().Set("Cache-Control", "no-store")
	return s.write(w, r, http.StatusNotFound, views.ProblemPage(s.site(r.Context()), views.Problem{
		Meta: views.Meta{NoIndex: true}, Status: http.StatusNotFound, RequestID: edge.RequestID(r.Context()), Query: wordsOf(r.URL.Path),
		Message: "There is no page at this address. It may have moved, or the link may be mistyped. The search below has its words.",
	}))
}

// elsewhere is the address that is meant by one with a slash too many, or by that above all
// agents, categories, sellers or tags: what can be found.
func elsewhere(u *url.URL) (to string, ok bool) {
	switch u.Path {
	case "/agents", "/categories", "/sellers", "/tags":
		return "/search", true
	}
	path := strings.TrimRight(u.EscapedPath(), "/")
	if len(path) == len(u.EscapedPath()) || path == "" || strings.HasPrefix(path, "//") {
		return "", false
	}
	if u.RawQuery != "" {
		path += "?" + u.RawQuery
	}
	return path, true
}

// wordsOf makes a query of the last element of a path: "/agents/pdf_reader-2.md" is "pdf reader 2".
func wordsOf(path string) string {
	path = strings.TrimRight(path, "/")
	path = path[strings.LastIndexByte(path, '/')+1:]
	if at := strings.LastIndexByte(path, '.'); at > 0 {
		path = path[:at]
	}
	text := market.CleanText(strings.Map(func(r rune) rune {
		if strings.ContainsRune("-_.+/,;:@", r) {
			return ' '
		}
		return r
	}, path))
	if len(text) > maxLostQuery {
		return ""
	}
	return text
}

const maxLostQuery = 80 // bytes
