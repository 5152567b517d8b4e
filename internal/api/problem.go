package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/validation"

	"github.com/souk-market/souk/internal/edge"
	"github.com/souk-market/souk/internal/market"
)

// Problem is an error as RFC 9457 has it.
type Problem struct {
	Type      string       `json:"type" doc:"Always about:blank: the status says which kind of problem it is." example:"about:blank"`
	Title     string       `json:"title" doc:"The name of the status." example:"Bad Request"`
	Status    int          `json:"status" doc:"The HTTP status." example:"400"`
	Detail    string       `json:"detail" doc:"What happened and what to do, for people." example:"limit must be 100 or less."`
	RequestID string       `json:"request_id,omitempty" doc:"Names this request in the marketplace's log; give it when you report the problem." example:"7k3m92qx4dft01ab"`
	Errors    []FieldError `json:"errors,omitempty" nullable:"false" doc:"The inputs that were refused."`
}

// FieldError is what is wrong with one input.
type FieldError struct {
	Field  string `json:"field" doc:"The parameter or property; \"body\" for the body as a whole." example:"limit"`
	Detail string `json:"detail" doc:"What is wrong with it." example:"must be 100 or less"`
}

func newProblem(status int, detail string) *Problem {
	return &Problem{Type: "about:blank", Title: http.StatusText(status), Status: status, Detail: detail}
}

func (p *Problem) Error() string             { return p.Detail }
func (p *Problem) GetStatus() int            { return p.Status }
func (p *Problem) ContentType(string) string { return problemType }

// GetHeaders gives huma the headers that belong to the status.
func (p *Problem) GetHeaders() http.Header {
	if p.Status == http.StatusServiceUnavailable {
		return http.Header{"Retry-After": {"2"}}
	}
	return nil
}

const problemType = "application/problem+json"

// problem makes p the answer.
func (ans *answer) problem(r *http.Request, p *Problem) {
	p.RequestID = edge.RequestID(r.Context())
	body, _ := json.Marshal(p) // strings and a number: can't fail
	ans.w.Header().Set("Content-Type", problemType)
	ans.status, ans.body = p.Status, append(append(ans.body[:0], body...), '\n')
}

// statuses of the kinds of errors.
var statuses = [...]int{
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

// refuse turns a use-case's error into a problem. What only the log may know is logged
// here, once.
func (a *API) refuse(ctx context.Context, err error) *Problem {
	if ctx.Err() != nil {
		err = market.Errorf(market.Unavailable, "The request was broken off before it was done.")
	}
	kind := market.KindOf(err)
	p := newProblem(statuses[kind], market.Message(err))
	p.RequestID = edge.RequestID(ctx)
	var e *market.Error
	if errors.As(err, &e) && e.Field != "" {
		p.Errors = []FieldError{{e.Field, e.Message}}
	}
	switch {
	case ctx.Err() != nil: // the client is gone
	case kind == market.Internal:
		a.Logger.ErrorContext(ctx, "api: request failed", "request", p.RequestID, "error", err)
	case kind == market.Unavailable:
		a.Logger.WarnContext(ctx, "api: request refused", "request", p.RequestID, "error", err)
	}
	return p
}

// huma makes its own errors, about inputs that it couldn't read or that break the schema,
// by these package variables; there is no other way in. They are set before any API is
// made, and nothing else in the program uses huma.
func init() {
	huma.NewError = func(status int, message string, errs ...error) huma.StatusError {
		return inputProblem(status, message, errs)
	}
	huma.NewErrorWithContext = func(ctx huma.Context, status int, message string, errs ...error) huma.StatusError {
		p := inputProblem(status, message, errs)
		p.RequestID = edge.RequestID(ctx.Context())
		return p
	}
	// They follow the name of the input: "limit must be 100 or less".
	validation.MsgExpectedRequiredProperty = "must have the property \"%s\""
	validation.MsgUnexpectedProperty = "isn't known here; leave it out"
	validation.MsgExpectedString = "must be a text"
	validation.MsgExpectedObject = "must be a JSON object"
	validation.MsgExpectedMinLength = "is too short; it must have %d or more characters"
	validation.MsgExpectedMaxLength = "is too long; it must have %d or fewer characters"
	validation.MsgExpectedMinimumNumber = "must be %v or more"
	validation.MsgExpectedMaximumNumber = "must be %v or less"
}

// inputProblem makes a problem of what huma found. A value that breaks the schema is a
// bad request as any other: 422 has its own meaning for requests with idempotency keys.
func inputProblem(status int, message string, errs []error) *Problem {
	var over *http.MaxBytesError
	switch {
	case len(errs) > 0 && errors.As(errs[0], &over):
		return newProblem(http.StatusRequestEntityTooLarge, fmt.Sprintf("The body is larger than the %d bytes that this address takes.", over.Limit))
	case status == http.StatusUnsupportedMediaType:
		return newProblem(status, "The body must be JSON, sent with \"Content-Type: application/json\".")
	case status == http.StatusRequestEntityTooLarge:
		return newProblem(status, "The body is larger than this address takes.")
	case status == http.StatusRequestTimeout:
		return newProblem(status, "The body didn't arrive in time. Please send it again.")
	case status == http.StatusTooManyRequests:
		return newProblem(status, message)
	case status == http.StatusInternalServerError: // the only one of huma's own: a body cut off
		return newProblem(http.StatusBadRequest, "The body couldn't be read to its end. Please send it again.")
	case len(errs) == 0: // the only one: no body
		return newProblem(http.StatusBadRequest, "The body is missing. Send a JSON object.")
	}
	p := newProblem(http.StatusBadRequest, "")
	for _, err := range errs {
		p.Errors = append(p.Errors, fieldError(err))
	}
	p.Detail = sentence(p.Errors)
	return p
}

func fieldError(err error) FieldError {
	var d *huma.ErrorDetail
	if !errors.As(err, &d) {
		return FieldError{"body", "can't be read"}
	}
	_, field, ok := strings.Cut(d.Location, ".") // "query.limit"
	switch {
	case d.Message == "invalid integer":
		return FieldError{field, "must be a whole number"}
	case !ok && strings.HasPrefix(d.Message, "must "):
		return FieldError{"body", d.Message}
	case !ok: // of encoding/json, about what was sent
		return FieldError{"body", "isn't valid JSON (" + d.Message + ")"}
	}
	return FieldError{field, d.Message}
}

// sentence tells of all fields in one: "limit must be 100 or less; q …."
func sentence(errs []FieldError) string {
	parts := make([]string, len(errs))
	for i, e := range errs {
		parts[i] = e.Field + " " + e.Detail
	}
	return strings.Join(parts, "; ") + "."
}
