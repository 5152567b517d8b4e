package api

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
)

// document is the served OpenAPI document as a tree.
func document(t *testing.T, s *shelf) map[string]any {
	t.Helper()
	r := s.send("GET", "/api/v1/openapi.json", "")
	var doc map[string]any
	if err := json.Unmarshal(r.body, &doc); err != nil {
		t.Fatal(err)
	}
	return doc
}

// at follows keys down a tree; nil where there is nothing.
func at(v any, keys ...string) any {
	for _, k := range keys {
		m, _ := v.(map[string]any)
		v = m[k]
	}
	return v
}

func TestEveryRouteIsDescribed(t *testing.T) {
	s := newShelf(t)
	doc := document(t, s)
	want := []string{
		"GET /api/v1/agents", "GET /api/v1/agents/{slug}", "GET /api/v1/search", "POST /api/v1/licenses/validate",
		"GET /api/v1/openapi.json", "GET /api/v1/openapi.yaml",
	}
	if !slices.Equal(s.mux.patterns, want) {
		t.Errorf("the routes are %q, want %q", s.mux.patterns, want)
	}
	described := 0
	for _, item := range at(doc, "paths").(map[string]any) {
		described += len(item.(map[string]any))
	}
	if described != len(s.mux.patterns) {
		t.Errorf("%d operations are described, and there are %d routes", described, len(s.mux.patterns))
	}
	for _, pattern := range s.mux.patterns {
		method, path, _ := strings.Cut(pattern, " ")
		op := at(doc, "paths", path, strings.ToLower(method))
		if op == nil {
			t.Errorf("%s is not in the OpenAPI document", pattern)
			continue
		}
		for _, key := range []string{"operationId", "summary", "description", "tags", "responses"} {
			if at(op, key) == nil {
				t.Errorf("%s has no %s", pattern, key)
			}
		}
		params, _ := at(op, "parameters").([]any)
		for _, p := range params {
			if at(p, "description") == nil {
				t.Errorf("%s: the parameter %v isn't described", pattern, at(p, "name"))
			}
		}
		for status, r := range at(op, "responses").(map[string]any) {
			content, _ := at(r, "content").(map[string]any)
			if status >= "400" && at(content, problemType, "schema", "$ref") != "#/components/schemas/Problem" {
				t.Errorf("%s: %s is no problem: %v", pattern, status, content)
			}
			if status == "200" && len(content) != 1 {
				t.Errorf("%s: 200 has the contents %v", pattern, content)
			}
		}
	}
}

func TestDocument(t *testing.T) {
	s := newShelf(t)
	doc := document(t, s)
	for _, c := range []struct {
		keys []string
		want any
	}{
		{[]string{"openapi"}, "3.1.0"},
		{[]string{"info", "title"}, "Souk API"},
		{[]string{"info", "version"}, "1.2.3"},
		{[]string{"components", "schemas", "ErrorModel"}, nil},
		{[]string{"components", "schemas", "Agent", "additionalProperties"}, nil},
		{[]string{"components", "schemas", "ValidateRequest", "additionalProperties"}, false},
		{[]string{"components", "schemas", "Price", "properties", "amount", "type"}, "integer"},
		{[]string{"components", "schemas", "Agent", "properties", "updated", "format"}, "date-time"},
	} {
		if got := at(doc, c.keys...); got != c.want {
			t.Errorf("%v: %v, want %v", c.keys, got, c.want)
		}
	}
	servers, _ := doc["servers"].([]any)
	if len(servers) != 1 || at(servers[0], "url") != "https://market.example" {
		t.Errorf("servers: %v", servers)
	}
	schemas, _ := at(doc, "components", "schemas").(map[string]any)
	for name, schema := range schemas {
		for property, p := range at(schema, "properties").(map[string]any) {
			if at(p, "description") == nil {
				t.Errorf("%s.%s isn't described", name, property)
			}
			if at(p, "$ref") == nil && at(p, "items") == nil && at(p, "examples") == nil {
				t.Errorf("%s.%s has no example", name, property)
			}
			if strings.HasPrefix(property, "$") {
				t.Errorf("%s.%s is huma's", name, property)
			}
		}
	}
	text, _ := json.Marshal(doc)
	for ref := range strings.SplitSeq(string(text), `"$ref":"`) {
		name, ok := strings.CutPrefix(ref, "#/components/schemas/")
		if name, _, _ = strings.Cut(name, `"`); ok && schemas[name] == nil {
			t.Errorf("the schema %s is missing", name)
		}
	}
}

func TestDocumentFollowsTheAddress(t *testing.T) {
	s := newShelf(t)
	base := ""
	c := s.Config
	c.BaseURL = func() string { return base }
	s.API = New(c)
	s.url = s.serve(s.API)
	for _, c := range []struct{ base, server string }{{"", "/"}, {"https://a.example", "https://a.example"}, {"https://b.example", "https://b.example"}} {
		base = c.base
		servers, _ := document(t, s)["servers"].([]any)
		if len(servers) != 1 || at(servers[0], "url") != c.server {
			t.Errorf("%q: servers %v", c.base, servers)
		}
		r := s.send("GET", "/api/v1/openapi.yaml", "")
		if !strings.Contains(string(r.body), "url: "+c.server) || r.Header.Get("Content-Type") != "application/yaml" {
			t.Errorf("%q: YAML as %s without its server", c.base, r.Header.Get("Content-Type"))
		}
		var a Agent
		s.get("/api/v1/agents/crewai", &a)
		if a.URL != c.base+"/agents/crewai" {
			t.Errorf("%q: the page is at %s", c.base, a.URL)
		}
	}
}
