package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/souk-market/souk/internal/edge"
	"github.com/souk-market/souk/internal/market"
)

func TestBadInput(t *testing.T) {
	s := newShelf(t)
	const validate = "/api/v1/licenses/validate"
	for _, c := range []struct {
		method, path, body, header string
		status                     int
		field, detail              string
	}{
		{"GET", "/api/v1/agents?limit=0", "", "", 400, "limit", "limit must be 1 or more."},
		{"GET", "/api/v1/agents?limit=-1", "", "", 400, "limit", "limit must be 1 or more."},
		{"GET", "/api/v1/agents?limit=101", "", "", 400, "limit", "limit must be 100 or less."},
		{"GET", "/api/v1/agents?limit=ten", "", "", 400, "limit", "limit must be a whole number."},
		{"GET", "/api/v1/agents?limit=1.5", "", "", 400, "limit", "limit must be a whole number."},
		{"GET", "/api/v1/agents?limit=99999999999999999999", "", "", 400, "limit", "limit must be a whole number."},
		{"GET", "/api/v1/agents?cursor=!", "", "", 400, "cursor", "This cursor can't be read. Take it unchanged"},
		{"GET", "/api/v1/agents?cursor=" + strings.Repeat("A", 201), "", "", 400, "cursor", "cursor is too long; it must have 200 or fewer characters."},
		{"GET", "/api/v1/agents?category=" + strings.Repeat("a", 41), "", "", 400, "category", "category is too long; it must have 40 or fewer characters."},
		{"GET", "/api/v1/agents?limit=0&category=" + strings.Repeat("a", 41), "", "", 400, "category",
			"category is too long; it must have 40 or fewer characters; limit must be 1 or more."},
		{"GET", "/api/v1/search?limit=0", "", "", 400, "limit", "limit must be 1 or more."},
		{"GET", "/api/v1/search?q=" + strings.Repeat("a", 257), "", "", 400, "q", "q is too long; it must have 256 or fewer characters."},
		{"GET", "/api/v1/agents?cursor=AAAA", "", "", 400, "cursor", "This cursor can't be read. Take it unchanged"},
		{"GET", "/api/v1/search?cursor=garbage", "", "", 400, "cursor", "This cursor can't be read. Take it unchanged"},
		{"GET", "/api/v1/search?cursor=%ff%fe", "", "", 400, "cursor", "This cursor can't be read."},
		{"GET", "/api/v1/search?cursor=cxQAAA", "", "", 400, "cursor", "This cursor can't be read."},
		{"POST", validate, "", "", 400, "", "The body is missing. Send a JSON object."},
		{"POST", validate, "{", "", 400, "body", "body isn't valid JSON (unexpected end of JSON input)."},
		{"POST", validate, `{"key": "x"} {}`, "", 400, "body", "body isn't valid JSON"},
		{"POST", validate, `"x"`, "", 400, "body", "body must be a JSON object."},
		{"POST", validate, `[]`, "", 400, "body", "body must be a JSON object."},
		{"POST", validate, `null`, "", 400, "body", "body must be a JSON object."},
		{"POST", validate, `{}`, "", 400, "body", `body must have the property "key".`},
		{"POST", validate, `{"key": 1}`, "", 400, "key", "key must be a text."},
		{"POST", validate, `{"key": null}`, "", 400, "key", "key must be a text."},
		{"POST", validate, `{"key": ""}`, "", 400, "key", "key is too short; it must have 1 or more characters."},
		{"POST", validate, `{"key": "` + strings.Repeat("a", 201) + `"}`, "", 400, "key", "key is too long; it must have 200 or fewer characters."},
		{"POST", validate, `{"key": "x", "machine": 1}`, "", 400, "machine", "machine isn't known here; leave it out."},
		{"POST", validate, "key=x", "Content-Type: application/x-www-form-urlencoded", 415, "", "The body must be JSON"},
		{"POST", validate, `{"key": "x"}`, "Content-Type: text/plain", 415, "", "The body must be JSON"},
		{"POST", validate, `{"key": "` + strings.Repeat("a", 5_000) + `"}`, "", 413, "", "The body is larger than this address takes."},
	} {
		var headers []string
		if c.header != "" {
			headers = []string{c.header}
		}
		s.wait(validateBurst * 1e9)
		r := s.send(c.method, c.path, c.body, headers...)
		name := fmt.Sprintf("%s %.60s %.40s", c.method, c.path, c.body)
		p := s.problem(r)
		if r.StatusCode != c.status || !strings.HasPrefix(p.Detail, c.detail) {
			t.Errorf("%s: %s %q, want %d %q", name, r.Status, p.Detail, c.status, c.detail)
		}
		field := ""
		if len(p.Errors) > 0 {
			field = p.Errors[0].Field
		}
		if field != c.field {
			t.Errorf("%s: errors %+v, want one for %q", name, p.Errors, c.field)
		}
		if strings.Contains(string(r.body), strings.Repeat("a", 40)) {
			t.Errorf("%s: the answer repeats what was sent: %s", name, r.body)
		}
	}
}

func TestHarmlessInput(t *testing.T) {
	s := newShelf(t)
	for _, path := range []string{
		"/api/v1/agents?limit=", "/api/v1/agents?limit=100", "/api/v1/agents?cursor=",
		"/api/v1/agents?category=%00", "/api/v1/agents?category=%ff", "/api/v1/agents?category=A%20B", "/api/v1/agents?utm_source=x",
		"/api/v1/agents?limit=1&limit=x", "/api/v1/agents?;=%zz", "/api/v1/search?q=%00", "/api/v1/search?q=%ff", "/api/v1/search?q=*:%22(",
	} {
		s.get(path, new(map[string]any))
	}
}

func TestUnrouted(t *testing.T) {
	s := newShelf(t)
	for _, c := range []struct {
		method, path  string
		status        int
		allow, detail string
	}{
		{"GET", "/api/", 404, "", "There is nothing at this address. What there is stands in /api/v1/openapi.json."},
		{"GET", "/api/v2/agents", 404, "", "There is nothing"},
		{"GET", "/api/v1/agents/", 404, "", "There is nothing"},
		{"GET", "/api/v1/agents/a/b", 404, "", "There is nothing"},
		{"GET", "/api/v1/docs", 404, "", "There is nothing"},
		{"GET", "/api/v1/schemas/Agent.json", 404, "", "There is nothing"},
		{"DELETE", "/api/nothing", 404, "", "There is nothing"},
		{"POST", "/api/v1/agents", 405, "GET, HEAD, OPTIONS", "This address takes GET, HEAD, OPTIONS; POST is none of them."},
		{"DELETE", "/api/v1/agents/crewai", 405, "GET, HEAD, OPTIONS", "This address takes"},
		{"GET", "/api/v1/licenses/validate", 405, "POST, OPTIONS", "This address takes POST, OPTIONS; GET is none of them."},
		{"BREW", "/api/v1/search", 405, "GET, HEAD, OPTIONS", "This address takes"},
	} {
		r := s.send(c.method, c.path, "")
		p := s.problem(r)
		if r.StatusCode != c.status || r.Header.Get("Allow") != c.allow || !strings.HasPrefix(p.Detail, c.detail) {
			t.Errorf("%s %s: %s, Allow %q, %q", c.method, c.path, r.Status, r.Header.Get("Allow"), p.Detail)
		}
	}
}

// failing registers a route that fails as the last path element says.
func (s *shelf) failing(errs map[string]error) {
	op := s.operation("fail", http.MethodGet, "/api/v1/fail/{how}", http.StatusBadRequest, http.StatusUnauthorized,
		http.StatusForbidden, http.StatusNotFound, http.StatusConflict, http.StatusRequestEntityTooLarge, http.StatusTooManyRequests)
	route(s.API, op, func(_ context.Context, in *struct {
		How string `path:"how"`
	}) (*agentOutput, error) {
		return nil, fmt.Errorf("api: failing: %w", errs[in.How])
	})
}

func TestErrorsOfUseCases(t *testing.T) {
	s := newShelf(t)
	secret := errors.New("pebble: /var/lib/souk/000012.sst is corrupt")
	cases := map[string]struct {
		err    error
		status int
		detail string
		logged bool
	}{
		"other":        {secret, 500, "Something went wrong on our side.", true},
		"internal":     {market.Errorf(market.Internal, "That failed.").Because(secret), 500, "That failed.", true},
		"invalid":      {market.FieldErrorf("email", "That is no address.").Because(secret), 400, "That is no address.", false},
		"not-found":    {market.Errorf(market.NotFound, "There is no such thing.").Because(secret), 404, "There is no such thing.", false},
		"conflict":     {market.Errorf(market.Conflict, "It has moved on.").Because(secret), 409, "It has moved on.", false},
		"unauthorized": {market.Errorf(market.Unauthorized, "Who are you?").Because(secret), 401, "Who are you?", false},
		"forbidden":    {market.Errorf(market.Forbidden, "Not you.").Because(secret), 403, "Not you.", false},
		"too-large":    {market.Errorf(market.TooLarge, "Too large.").Because(secret), 413, "Too large.", false},
		"rate-limited": {market.Errorf(market.RateLimited, "Too often.").Because(secret), 429, "Too often.", false},
		"unavailable":  {market.Errorf(market.Unavailable, "Not now.").Because(secret), 503, "Not now.", true},
	}
	errs := map[string]error{}
	for name, c := range cases {
		errs[name] = c.err
	}
	s.failing(errs)
	for name, c := range cases {
		before := len(s.log.String())
		r := s.send("GET", "/api/v1/fail/"+name, "")
		var p Problem
		s.decode(r, &p)
		if r.StatusCode != c.status || p.Status != c.status || !strings.HasPrefix(p.Detail, c.detail) || r.Header.Get("Content-Type") != problemType {
			t.Errorf("%s: %s %s", name, r.Status, r.body)
		}
		if strings.Contains(fmt.Sprint(r.Header)+string(r.body), "pebble") {
			t.Errorf("%s: the cause left the house: %v %s", name, r.Header, r.body)
		}
		logged := s.log.String()[before:]
		if got := strings.Count(logged, secret.Error()); got != 0 != c.logged || got > 1 {
			t.Errorf("%s: logged %q", name, logged)
		}
		if retry := r.Header.Get("Retry-After"); (retry == "2") != (c.status == 503) {
			t.Errorf("%s: Retry-After %q", name, retry)
		}
		if (name == "invalid") != (len(p.Errors) == 1) || name == "invalid" && p.Errors[0].Field != "email" {
			t.Errorf("%s: errors %+v", name, p.Errors)
		}
	}
}

func TestClientsThatLeave(t *testing.T) {
	s := newShelf(t)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if p := s.refuse(ctx, fmt.Errorf("store: viewing: %w", ctx.Err())); p.Status != http.StatusServiceUnavailable {
		t.Errorf("got %+v", p)
	}
	if got := s.log.String(); got != "" {
		t.Errorf("logged %q", got)
	}
}

func TestProblemsNameTheRequest(t *testing.T) {
	s := newShelf(t)
	url := s.serve(edge.Protect(s.API, edge.Options{}))
	for _, path := range []string{"/api/v1/agents/no-such", "/api/v1/agents?limit=0", "/api/v1/nothing"} {
		r := s.sendTo(url, "GET", path, "")
		if p := s.problem(r); p.RequestID == "" || p.RequestID != r.Header.Get("X-Request-Id") {
			t.Errorf("%s: %q, want %q", path, p.RequestID, r.Header.Get("X-Request-Id"))
		}
	}
}
