package api

import (
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/souk-market/souk/internal/market"
	"github.com/souk-market/souk/store"
)

func slugs(as []Agent) string {
	names := make([]string, len(as))
	for i, a := range as {
		names[i] = a.Slug
	}
	return strings.Join(names, " ")
}

func TestAgent(t *testing.T) {
	s := newShelf(t)
	var got map[string]any
	s.get("/api/v1/agents/server-postgres", &got)
	id, _ := got["id"].(string)
	if !strings.HasPrefix(id, "agt_") {
		t.Errorf("the ID is %q", id)
	}
	want := map[string]any{
		"id": id, "slug": "server-postgres", "name": "server-postgres", "summary": "MCP server for PostgreSQL <read-only> & safe",
		"external_id": "npm:@modelcontextprotocol/server-postgres", "category": "mcp-server",
		"price":   map[string]any{"amount": 900.0, "currency": "USD", "formatted": "9.00 USD", "free": false},
		"version": "1.2.0", "source": "npm", "popularity": 51000.0, "updated": "2026-07-04T00:00:00Z",
		"seller": map[string]any{"slug": "imported", "name": "Imported"},
		"url":    "https://market.example/agents/server-postgres", "license": true,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if r := s.send("GET", "/api/v1/agents/server-postgres", ""); !strings.Contains(string(r.body), "<read-only> & safe") {
		t.Errorf("HTML is escaped in %s", r.body)
	}
}

func TestFreeAgent(t *testing.T) {
	s := newShelf(t)
	s.update(func(tx *store.Tx) error { // as an import that prices nothing leaves it
		a, err := store.AgentBySlug.Load(tx, "plain")
		if err != nil {
			return err
		}
		a.Offer.Price = market.Money{}
		return store.Agents.Put(tx, &a)
	})
	for _, slug := range []string{"crewai", "plain"} {
		var a Agent
		s.get("/api/v1/agents/"+slug, &a)
		want := Price{0, "USD", "0.00 USD", true}
		if a.Price != want || a.License {
			t.Errorf("%s: price %+v, license %t; want %+v and none", slug, a.Price, a.License, want)
		}
	}
	if r := s.send("GET", "/api/v1/agents/plain", ""); strings.Contains(string(r.body), "updated") || strings.Contains(string(r.body), "version") {
		t.Errorf("without date and version, these should be left out: %s", r.body)
	}
}

func TestHiddenAgents(t *testing.T) {
	s := newShelf(t)
	s.update(func(tx *store.Tx) error {
		a, err := store.AgentBySlug.Load(tx, "crewai")
		if err != nil {
			return err
		}
		a.State = market.ListingSuspended
		return store.Agents.Put(tx, &a)
	})
	for _, path := range []string{"crewai", "no-such", "CREWAI", "%00", "..%2fcrewai", strings.Repeat("x", 5_000)} {
		r := s.send("GET", "/api/v1/agents/"+path, "")
		if p := s.problem(r); r.StatusCode != http.StatusNotFound || p.Detail != "There is no such agent." {
			t.Errorf("%.20s: %s %s", path, r.Status, r.body)
		}
	}
	var list AgentList
	s.get("/api/v1/agents?limit=100", &list)
	if list.Total != 6 || strings.Contains(slugs(list.Items), "crewai") {
		t.Errorf("%d agents, %s", list.Total, slugs(list.Items))
	}
}

func TestAgentsByPopularity(t *testing.T) {
	s := newShelf(t)
	var list AgentList
	s.get("/api/v1/agents", &list)
	want := "langchain-chroma crewai playwright-mcp aider-chat mcp-weather server-postgres plain"
	if got := slugs(list.Items); got != want || list.Total != 7 || list.Next != nil {
		t.Errorf("got %s, total %d, next %v; want %s", got, list.Total, list.Next, want)
	}
	if r := s.send("GET", "/api/v1/agents", ""); !strings.Contains(string(r.body), `"next":null`) {
		t.Errorf("the last page has no next: %s", r.body)
	}
}

func TestAgentPages(t *testing.T) {
	s := newShelf(t)
	for _, c := range []struct{ query, want string }{
		{"limit=1", "langchain-chroma|crewai|playwright-mcp|aider-chat|mcp-weather|server-postgres|plain"},
		{"limit=3", "langchain-chroma crewai playwright-mcp|aider-chat mcp-weather server-postgres|plain"},
		{"limit=7", "langchain-chroma crewai playwright-mcp aider-chat mcp-weather server-postgres plain"},
		{"category=mcp-server&limit=2", "playwright-mcp mcp-weather|server-postgres"},
		{"category=nothing-here", ""},
	} {
		var pages []string
		for next := ""; ; {
			var list AgentList
			s.get("/api/v1/agents?"+c.query+next, &list)
			pages = append(pages, slugs(list.Items))
			if list.Items == nil {
				t.Errorf("%s: no list", c.query)
			}
			if list.Next == nil || len(pages) > 10 {
				break
			}
			next = "&cursor=" + *list.Next
		}
		if got := strings.Join(pages, "|"); got != c.want {
			t.Errorf("%s: %s, want %s", c.query, got, c.want)
		}
	}
}

func TestPagesMoveOn(t *testing.T) {
	s := newShelf(t)
	var first, second AgentList
	s.get("/api/v1/agents?limit=2", &first)
	s.update(func(tx *store.Tx) error { // a new first must not bring one twice
		a, err := store.AgentBySlug.Load(tx, "plain")
		if err != nil {
			return err
		}
		a.Popularity = 9_000_000
		return store.Agents.Put(tx, &a)
	})
	s.get("/api/v1/agents?limit=2&cursor="+*first.Next, &second)
	if got := slugs(second.Items); got != "playwright-mcp aider-chat" {
		t.Errorf("the second page has %s", got)
	}
}
