package api

import (
	"net/http"
	"strings"
	"testing"

	"github.com/souk-market/souk/search"
)

func TestSearch(t *testing.T) {
	s := newShelf(t)
	var got SearchResults
	s.get("/api/v1/search?q=langchain+chroma", &got)
	if slugs(got.Items) != "langchain-chroma" || got.Total != 1 || got.Next != nil || got.Corrected || got.Understood != "" {
		t.Errorf("got %+v", got)
	}
	if len(got.Categories) != 1 || got.Categories[0] != (CategoryCount{"sdk", 1}) {
		t.Errorf("categories %+v", got.Categories)
	}
}

func TestSearchMisspelt(t *testing.T) {
	s := newShelf(t)
	var got SearchResults
	s.get("/api/v1/search?q=playwrigth+mcp", &got)
	if slugs(got.Items) != "playwright-mcp" || !got.Corrected || got.Understood != "playwright mcp" {
		t.Errorf("got %+v", got)
	}
}

func TestSearchFindsNothing(t *testing.T) {
	s := newShelf(t)
	r := s.send("GET", "/api/v1/search?q=xylophonist", "")
	if want := `{"items":[],"total":0,"next":null,"corrected":false,"categories":[]}` + "\n"; string(r.body) != want {
		t.Errorf("got %s, want %s", r.body, want)
	}
}

func TestSearchPages(t *testing.T) {
	s := newShelf(t)
	for _, c := range []struct {
		query string
		total int
	}{
		{"q=mcp&limit=1", 3},
		{"q=mcp&limit=2", 3},
		{"q=mcp&limit=3", 3},
		{"q=mcp&category=mcp-server&limit=2", 3},
		{"q=mcp&category=sdk", 0},
		{"q=&limit=3", 7},
		{"limit=5", 7},
		{"category=mcp-server&limit=2", 3},
	} {
		seen := map[string]bool{}
		for next, pages := "", 0; ; pages++ {
			var got SearchResults
			s.get("/api/v1/search?"+c.query+next, &got)
			if got.Total != c.total {
				t.Errorf("%s: total %d, want %d", c.query, got.Total, c.total)
			}
			for _, a := range got.Items {
				if seen[a.Slug] {
					t.Errorf("%s: %s comes twice", c.query, a.Slug)
				}
				seen[a.Slug] = true
			}
			if got.Next == nil || pages > 10 {
				break
			}
			next = "&cursor=" + *got.Next
		}
		if len(seen) != c.total {
			t.Errorf("%s: %d agents on all pages, want %d", c.query, len(seen), c.total)
		}
	}
}

func TestSearchCategories(t *testing.T) {
	s := newShelf(t)
	var got SearchResults
	s.get("/api/v1/search?q=mcp", &got)
	if len(got.Categories) != 1 || got.Categories[0] != (CategoryCount{"mcp-server", 3}) {
		t.Errorf("categories %+v", got.Categories)
	}
}

func TestOffsetCursor(t *testing.T) {
	for _, n := range []int{1, 20, 127, 128, 9_999} {
		if got, err := parseOffset(offsetCursor(n)); err != nil || got != n {
			t.Errorf("%d came back as %d, %v", n, got, err)
		}
	}
	if n, err := parseOffset(""); n != 0 || err != nil {
		t.Errorf("no cursor is %d, %v", n, err)
	}
	for _, n := range []int{0, search.MaxOffset, 1 << 40} {
		if _, err := parseOffset(offsetCursor(n)); err == nil {
			t.Errorf("%d was taken", n)
		}
	}
}

func FuzzParseOffset(f *testing.F) {
	for _, s := range []string{"", "cxQ", "c_____8P", "cxQA", "!", "cw", strings.Repeat("c", 200)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, cursor string) {
		n, err := parseOffset(cursor)
		if err == nil && (n < 0 || n >= search.MaxOffset) {
			t.Errorf("%q is %d", cursor, n)
		}
	})
}

func TestSearchOfDeepPages(t *testing.T) {
	s := newShelf(t)
	var got SearchResults
	s.get("/api/v1/search?limit=100&cursor="+offsetCursor(9_990), &got)
	if len(got.Items) != 0 || got.Next != nil {
		t.Errorf("beyond the end: %+v", got)
	}
	r := s.send("GET", "/api/v1/search?cursor="+offsetCursor(search.MaxOffset), "")
	if p := s.problem(r); r.StatusCode != http.StatusBadRequest || p.Errors[0].Field != "cursor" {
		t.Errorf("beyond the bound: %s %s", r.Status, r.body)
	}
}
