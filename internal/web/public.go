package web

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/a-h/templ"
	"github.com/souk-market/souk/internal/catalog"
	"github.com/souk-market/souk/internal/market"
	"github.com/souk-market/souk/internal/pagecache"
	"github.com/souk-market/souk/store"
	"github.com/souk-market/souk/views"
)

// page makes a public page of one transaction and of what it asks its address for, and of
// nothing else: no clock (views.When shows dates and not "3 days ago"), no search index, no
// second transaction, no cookie. So it can be kept until a commit changes what it has read
// (internal/pagecache); what it reads and doesn't show drops it without need, as the counts
// of all categories would with every listing. A NotFound error becomes the page that says
// so, *catalog.Moved a permanent redirect to the agent's page, and others are answered as
// those of handlers are.
//
// A page whose content comes from the index is a handler that ends with public.
type page func(tx store.Reader, at address) (content, error)

// address is what a page may know of the request.
type address struct {
	r      *http.Request
	params []string
}

// Path returns the value of a wildcard of the page's pattern.
func (a address) Path(name string) string { return a.r.PathValue(name) }

// Number returns a parameter of the query that counts from 1, which is also what any other
// text is taken for. The page has to be registered with the parameters that it reads.
func (a address) Number(name string) int {
	if !slices.Contains(a.params, name) {
		panic("web: a page reads the parameter " + name + ", with which it isn't registered")
	}
	n, err := strconv.Atoi(a.r.URL.Query().Get(name))
	if err != nil {
		return 1
	}
	return max(1, n)
}

// content is what a page answers with: HTML, another document, or another address.
type content struct {
	component templ.Component
	mediaType string
	body      []byte
	moved     string
	status    int // 0 is 200
}

// html is a page of views.
func html(c templ.Component) (content, error) { return content{component: c}, nil }

// document is a body of another media type ("application/xml").
func document(mediaType string, body []byte) (content, error) {
	return content{mediaType: mediaType, body: body}, nil
}

// moved is a permanent redirect to a path of this site.
func moved(to string) (content, error) { return content{moved: to}, nil }

// kept makes a handler of a page, which reads those parameters of the query, numbers all of
// them, and no others.
func (s *Server) kept(p page, params ...string) handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		at := address{r, params}
		return s.Pages.Serve(w, r, s.key(at), func(tx store.Reader) (pagecache.Page, error) {
			return s.render(tx, p, at)
		})
	}
}

// key names the page at an address. The address is taken apart so that one page has one
// name, whatever parameters others add to links and however the path is escaped.
func (s *Server) key(at address) pagecache.Key {
	return pagecache.Key{
		Tenant: s.Catalog.Tenant, Host: s.BaseURL, Route: at.r.Pattern, Path: at.values(), Query: at.query(),
		Language: "en", Currency: string(s.Shop.Currency),
	}
}

// values are those of the pattern's wildcards, in its order.
func (a address) values() string {
	values := ""
	for rest := a.r.Pattern; ; {
		_, after, found := strings.Cut(rest, "{")
		if !found {
			return values
		}
		var name string
		name, rest, _ = strings.Cut(after, "}")
		if name == "$" {
			continue
		}
		if values != "" {
			values += "\x00"
		}
		values += a.Path(strings.TrimSuffix(name, "..."))
	}
}

// query is the parameters that the page reads, in the order of its registration and in one
// spelling: what a page takes for the same number makes no other page.
func (a address) query() string {
	if a.r.URL.RawQuery == "" || len(a.params) == 0 {
		return ""
	}
	var b strings.Builder
	for _, p := range a.params {
		if n := a.Number(p); n > 1 {
			b.WriteString(p + "=" + strconv.Itoa(n) + "&")
		}
	}
	return b.String()
}

// render makes a page, also the one that says that there is none.
func (s *Server) render(tx store.Reader, p page, at address) (pagecache.Page, error) {
	c, err := p(tx, at)
	if to, ok := errors.AsType[*catalog.Moved](err); ok {
		c, err = moved(views.AgentPath(to.Slug))
	}
	if market.Is(err, market.NotFound) {
		return s.absent(tx, at, err)
	}
	switch {
	case err != nil:
		return pagecache.Page{}, err
	case c.moved != "":
		return pagecache.Page{Status: http.StatusMovedPermanently, Location: c.moved}, nil
	case c.component != nil:
		body, err := s.rendered(c.component)
		return pagecache.Page{Status: c.status, Type: htmlType, Body: body}, err
	}
	return pagecache.Page{Status: c.status, Type: c.mediaType, Body: c.body}, nil
}

// absent is the page of an error NotFound. It offers a search for the address's words.
func (s *Server) absent(tx store.Reader, at address, why error) (pagecache.Page, error) {
	site, err := s.siteIn(tx)
	if err != nil {
		return pagecache.Page{}, err
	}
	body, err := s.rendered(views.ProblemPage(site, views.Problem{
		Meta: views.Meta{NoIndex: true}, Status: http.StatusNotFound, Message: market.Message(why),
		Query: wordsOf(at.values()),
	}))
	return pagecache.Page{Status: http.StatusNotFound, Type: htmlType, Body: body, CacheControl: "no-store"}, err
}

const htmlType = "text/html; charset=utf-8"

// rendered is a component's HTML. It gets no request's context, so nothing of a visitor
// gets into a page for all.
func (s *Server) rendered(c templ.Component) ([]byte, error) {
	buf := s.buffers.Get().(*bytes.Buffer)
	defer s.buffers.Put(buf)
	buf.Reset()
	err := c.Render(context.Background(), buf)
	return bytes.Clone(buf.Bytes()), err
}

// public writes a page that is the same for every visitor and comes from the index: it is
// rendered for each request, and caches ask for it again each time by its ETag.
func (s *Server) public(w http.ResponseWriter, r *http.Request, c templ.Component) error {
	w.Header().Set("Cache-Control", pagecache.Revalidate)
	return s.write(w, r, http.StatusOK, c)
}
