package api

import (
	"context"
	"fmt"
	"net/http"
	"reflect"
	"strconv"
	"strings"
	"sync"

	"github.com/danielgtaylor/huma/v2"
)

// documentPath is where the OpenAPI document is, without its extension.
const documentPath = "/api/v1/openapi"

func (a *API) describe() *huma.OpenAPI {
	return &huma.OpenAPI{
		OpenAPI: "3.1.0",
		Info: &huma.Info{
			Title:   "Souk API",
			Version: a.Version,
			Description: "A marketplace of AI agents.\n\n" +
				"Nothing here needs an account. Lists come in pages: pass `next` as `cursor` until it is null. " +
				"Errors are problems as RFC 9457 has them. Answers to GET have an ETag; send it as If-None-Match, " +
				"and an unchanged answer costs 304 and no body. Scripts of any site may call this API.",
		},
		Tags: []*huma.Tag{
			{Name: "Agents", Description: "What is on the shelf."},
			{Name: "Licences", Description: "For software that asks whether it may run."},
			{Name: "About", Description: "This description."},
		},
		Components: &huma.Components{Schemas: huma.NewMapRegistry("#/components/schemas/", huma.DefaultSchemaNamer)},
	}
}

// operation begins an operation with the answers that its method and the given statuses
// of problems bring.
func (a *API) operation(id, method, path string, problems ...int) huma.Operation {
	op := huma.Operation{OperationID: id, Method: method, Path: path, Responses: map[string]*huma.Response{}}
	ok := &huma.Response{Description: http.StatusText(http.StatusOK)}
	if method == http.MethodGet {
		tag := &huma.Header{Description: "Names this state of the answer.", Schema: &huma.Schema{Type: huma.TypeString}}
		ok.Headers = map[string]*huma.Header{"ETag": tag}
		op.Responses["304"] = &huma.Response{Description: "The answer is still the one that If-None-Match names.", Headers: ok.Headers}
		op.Parameters = []*huma.Param{{
			Name: "If-None-Match", In: "header", Description: "The ETag of the answer that you have.",
			Schema: &huma.Schema{Type: huma.TypeString},
		}}
	}
	op.Responses["200"] = ok
	problem := a.huma.OpenAPI().Components.Schemas.Schema(reflect.TypeFor[Problem](), true, "")
	for _, status := range append(problems, http.StatusInternalServerError, http.StatusServiceUnavailable) {
		r := &huma.Response{
			Description: http.StatusText(status),
			Content:     map[string]*huma.MediaType{problemType: {Schema: problem}},
		}
		if status == http.StatusTooManyRequests || status == http.StatusServiceUnavailable {
			r.Headers = map[string]*huma.Header{"Retry-After": {
				Description: "Seconds to wait.", Schema: &huma.Schema{Type: huma.TypeInteger},
			}}
		}
		op.Responses[strconv.Itoa(status)] = r
	}
	return op
}

// letAnswersGrow permits properties in answers that this document doesn't have: later
// versions add some, and a client that is generated from it must bear them. Requests stay
// strict, so that a misspelt property is told.
func letAnswersGrow(doc *huma.OpenAPI) {
	for name, s := range doc.Components.Schemas.Map() {
		if !strings.HasSuffix(name, "Request") {
			s.AdditionalProperties = nil
		}
	}
}

type documentOutput struct {
	ContentType string `header:"Content-Type" hidden:"true"`
	Body        []byte
}

func (a *API) routeDocuments() {
	for _, d := range []struct {
		format, mediaType string
		of                func(*rendered) []byte
	}{
		{"json", "application/json", func(r *rendered) []byte { return r.json }},
		{"yaml", "application/yaml", func(r *rendered) []byte { return r.yaml }},
	} {
		op := a.operation("openapi-"+d.format, http.MethodGet, documentPath+"."+d.format)
		op.Summary = "This description"
		op.Description = "The OpenAPI 3.1 document of this API."
		op.Tags = []string{"About"}
		op.Responses["200"].Content = map[string]*huma.MediaType{d.mediaType: {Schema: &huma.Schema{Type: huma.TypeObject}}}
		route(a, op, func(context.Context, *struct{}) (*documentOutput, error) {
			r, err := a.documents.of(a.huma.OpenAPI(), a.BaseURL())
			if err != nil {
				return nil, err
			}
			return &documentOutput{d.mediaType, d.of(r)}, nil
		})
	}
}

// documents keeps the rendered document for the address that was last asked for.
type documents struct {
	mu sync.Mutex // guards the rest
	rendered
}

type rendered struct {
	base       string
	json, yaml []byte
}

// of returns the document with base as its server; "/" where there is none.
func (d *documents) of(doc *huma.OpenAPI, base string) (*rendered, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if base == "" {
		base = "/"
	}
	if d.base != base {
		at := *doc
		at.Servers = []*huma.Server{{URL: base, Description: "This marketplace"}}
		r := rendered{base: base}
		var err error
		if r.json, err = at.MarshalJSON(); err != nil {
			return nil, fmt.Errorf("api: rendering the OpenAPI document: %w", err)
		}
		if r.yaml, err = at.YAML(); err != nil {
			return nil, fmt.Errorf("api: rendering the OpenAPI document: %w", err)
		}
		d.rendered = r
	}
	r := d.rendered
	return &r, nil
}
