// Package web is the marketplace in a browser: it parses requests, calls one use-case
// each, and renders pages of views. It promises that public pages are the same for
// every visitor, that personal ones are never kept by anybody, and that everything
// works without scripts. Rules of the market are not decided here.
package web

import (
	"bytes"
	"context"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"sync"

	"github.com/a-h/templ"
	"github.com/souk-market/souk/internal/account"
	"github.com/souk-market/souk/internal/blob"
	"github.com/souk-market/souk/internal/catalog"
	"github.com/souk-market/souk/internal/edge"
	"github.com/souk-market/souk/internal/mail"
	"github.com/souk-market/souk/internal/market"
	"github.com/souk-market/souk/internal/media"
	"github.com/souk-market/souk/internal/order"
	"github.com/souk-market/souk/internal/pagecache"
	"github.com/souk-market/souk/payments"
	"github.com/souk-market/souk/store"
	"github.com/souk-market/souk/views"
	"github.com/souk-market/souk/views/markdown"
)

// Config of New.
type Config struct {
	Name     string // of the marketplace
	BaseURL  string // without a slash at the end; "https://…" makes cookies secure
	Catalog  *catalog.Catalog
	Shop     *order.Shop
	Accounts *account.Roster
	Blobs    *blob.Store
	Provider payments.Provider
	Outbox   *mail.Outbox // shown at /dev/mail; nil hides it
	// Closed, when set, answers in place of everything but the pages that are the same
	// for every visitor.
	Closed *market.Error
	// Pages keeps public pages; nil makes one of the default size.
	Pages *pagecache.Cache
	// Media makes the pictures of agents; nil shows none.
	Media  *media.Variants
	Logger *slog.Logger
}

// Server answers for all pages.
type Server struct {
	Config
	secure  bool
	buffers sync.Pool // *bytes.Buffer
	texts   markdown.Cache
}

// New returns the handler of all pages.
func New(c Config) http.Handler {
	s := &Server{Config: c, secure: strings.HasPrefix(c.BaseURL, "https://")}
	if s.Pages == nil {
		s.Pages = pagecache.New(c.Catalog.Store, pagecache.Options{})
	}
	s.buffers.New = func() any { return new(bytes.Buffer) }
	return s.routes()
}

// handler is a page's function: it writes an answer, or returns an error before it has
// written anything.
type handler func(w http.ResponseWriter, r *http.Request) error

// serve makes an http.Handler of h; it is where errors stop travelling.
func (s *Server) serve(h handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := h(w, r); err != nil {
			s.fail(w, r, err)
		}
	})
}

var statuses = map[market.Kind]int{
	market.Internal:     http.StatusInternalServerError,
	market.Invalid:      http.StatusBadRequest,
	market.NotFound:     http.StatusNotFound,
	market.Conflict:     http.StatusConflict,
	market.Unauthorized: http.StatusUnauthorized,
	market.Forbidden:    http.StatusForbidden,
	market.TooLarge:     http.StatusRequestEntityTooLarge,
	market.RateLimited:  http.StatusTooManyRequests,
	market.Unavailable:  http.StatusServiceUnavailable,
}

// fail renders an error and logs it when it is ours to mend.
func (s *Server) fail(w http.ResponseWriter, r *http.Request, err error) {
	kind := market.KindOf(err)
	if kind == market.Internal || kind == market.Unavailable {
		if r.Context().Err() != nil {
			return // the visitor has gone; nobody reads an answer
		}
		s.Logger.Error("a request failed", "request", edge.RequestID(r.Context()), "path", r.Pattern, "err", err)
	}
	w.Header().Set("Cache-Control", "no-store")
	if kind == market.Unavailable || kind == market.RateLimited {
		w.Header().Set("Retry-After", "5")
	}
	page := views.ProblemPage(s.site(r.Context()), views.Problem{
		Meta: views.Meta{NoIndex: true}, Status: statuses[kind], Message: market.Message(err), RequestID: edge.RequestID(r.Context()),
	})
	if err := s.write(w, r, statuses[kind], page); err != nil {
		s.Logger.Error("rendering an error page", "err", err)
	}
}

// site is siteIn for who has no transaction. A marketplace whose shelves can't be read
// still has pages.
func (s *Server) site(ctx context.Context) (site views.Site) {
	err := s.Catalog.Store.View(ctx, s.Catalog.Tenant, func(tx *store.ReadTx) (err error) {
		site, err = s.siteIn(tx)
		return err
	})
	if err != nil {
		s.Logger.Error("reading the shelves", "err", err)
		return s.bareSite()
	}
	return site
}

func (s *Server) bareSite() views.Site {
	return views.Site{Name: s.Name, BaseURL: s.BaseURL, Sandbox: !s.Provider.Live(), DevMail: s.Outbox != nil}
}

// private writes a page for one visitor's eyes.
func (s *Server) private(w http.ResponseWriter, r *http.Request, status int, c templ.Component) error {
	w.Header().Set("Cache-Control", "private, no-store")
	return s.write(w, r, status, c)
}

// write renders the page whole before it sends anything, so that a page that fails
// half-way is an error and not half a page.
func (s *Server) write(w http.ResponseWriter, r *http.Request, status int, c templ.Component) error {
	buf := s.buffers.Get().(*bytes.Buffer)
	defer s.buffers.Put(buf)
	buf.Reset()
	if err := c.Render(r.Context(), buf); err != nil {
		return err
	}
	h := w.Header()
	h.Set("Content-Type", htmlType)
	if status == http.StatusOK && strings.HasPrefix(h.Get("Cache-Control"), "public") {
		tag := entityTag(buf.Bytes())
		h.Set("ETag", tag)
		if has(r, tag) {
			w.WriteHeader(http.StatusNotModified)
			return nil
		}
	}
	h.Set("Content-Length", strconv.Itoa(buf.Len())) // else net/http sends it in chunks
	w.WriteHeader(status)
	if r.Method != http.MethodHead {
		w.Write(buf.Bytes()) // a visitor who has gone is no error of ours
	}
	return nil
}
