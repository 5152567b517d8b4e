// Package api is the marketplace's REST API, version 1, under /api/v1/: listing, finding
// and showing agents, and validating licence keys.
//
// It owns the public form of things (agents.go, search.go, licenses.go), how errors look
// (problem.go) and what each answer carries besides its body (answer.go). It promises
// that every route is in the OpenAPI document that it serves, that every error is an RFC
// 9457 problem that says what to do, and that a cause meant for the log stays there. Who
// may do what, and what there is, belongs to the use-cases; TLS, body limits and
// compression to internal/edge.
package api

import (
	"context"
	"log/slog"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/souk-market/souk/internal/catalog"
	"github.com/souk-market/souk/internal/licensing"
	"github.com/souk-market/souk/internal/market"
)

// Config is what the API needs.
type Config struct {
	Catalog  *catalog.Catalog
	Licenses *licensing.Desk

	// BaseURL returns the marketplace's address without a final slash
	// ("https://market.example"). It is asked for each answer, because the address may
	// be known only once the server listens. nil makes addresses relative.
	BaseURL func() string

	// Currency is the marketplace's, for what is free. Empty is USD.
	Currency market.Currency

	// Version is Souk's, for the OpenAPI document.
	Version string

	Logger *slog.Logger     // nil discards
	Clock  func() time.Time // nil is the machine's clock
}

// API answers everything under /api/.
type API struct {
	Config
	mux       *recordingMux
	huma      huma.API
	validates *limiter
	documents documents
}

// New returns the API's handler, for the pattern "/api/". It starts nothing.
func New(c Config) *API {
	if c.BaseURL == nil {
		c.BaseURL = func() string { return "" }
	}
	if c.Currency == "" {
		c.Currency = "USD"
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Clock == nil {
		c.Clock = time.Now
	}
	a := &API{Config: c, mux: &recordingMux{ServeMux: http.NewServeMux()}, validates: newLimiter(validateRate, validateBurst)}
	a.huma = huma.NewAPI(a.humaConfig(), adapter{a.mux})
	a.routeAgents()
	a.routeSearch()
	a.routeLicenses()
	a.routeDocuments()
	letAnswersGrow(a.huma.OpenAPI())
	return a
}

// humaConfig leaves out what huma's default has besides: a docs page that loads scripts
// from elsewhere, links to schemas in bodies, and a document whose first readers race.
func (a *API) humaConfig() huma.Config {
	return huma.Config{
		OpenAPI:       a.describe(),
		Formats:       huma.DefaultFormats,
		DefaultFormat: "application/json",
	}
}

// route registers an operation whose errors are rendered by refuse.
func route[I, O any](a *API, op huma.Operation, serve func(context.Context, *I) (*O, error)) {
	huma.Register(a.huma, op, func(ctx context.Context, in *I) (*O, error) {
		out, err := serve(ctx, in)
		if err != nil {
			return nil, a.refuse(ctx, err)
		}
		return out, nil
	})
}

// adapter is humago's, but for requests that all ask for JSON.
type adapter struct{ *recordingMux }

func (a adapter) Handle(op *huma.Operation, serve func(huma.Context)) {
	a.HandleFunc(op.Method+" "+op.Path, func(w http.ResponseWriter, r *http.Request) {
		serve(jsonRequest{humago.NewContext(op, r, w)})
	})
}

// jsonRequest hides Accept: JSON is all there is, and the parser of huma 2.37 panics on
// some headers (";;,,q=x").
type jsonRequest struct{ exchange }

type exchange huma.Context // embedded by a name that its method Context doesn't clash with

func (r jsonRequest) Header(name string) string {
	if name == "Accept" {
		return ""
	}
	return r.exchange.Header(name)
}

// recordingMux is a mux that knows its patterns.
type recordingMux struct {
	*http.ServeMux
	patterns []string
}

func (m *recordingMux) HandleFunc(pattern string, h func(http.ResponseWriter, *http.Request)) {
	m.patterns = append(m.patterns, pattern)
	m.ServeMux.HandleFunc(pattern, h)
}
