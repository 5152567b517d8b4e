package views

import (
	"cmp"
	"slices"
	"strings"
)

// Category is a shelf of the marketplace.
type Category struct {
	Slug  string // as stored on agents: "mcp-server"
	Title string // as shown: "MCP servers"
	Line  string // what is on it, in a few words; "" for categories without one
	Count int    // published agents on it
}

// shelves are the known categories in the order they are shown.
var shelves = []Category{
	{Slug: "mcp-server", Title: "MCP servers", Line: "Tools your assistant can call"},
	{Slug: "coding", Title: "Coding agents", Line: "Write, review and repair code"},
	{Slug: "orchestration", Title: "Orchestration", Line: "Make several agents work together"},
	{Slug: "rag-search", Title: "Search and retrieval", Line: "Answers from your own documents"},
	{Slug: "browser-automation", Title: "Browser automation", Line: "Agents that use the web for you"},
	{Slug: "data", Title: "Data", Line: "Query, clean and explain data"},
	{Slug: "chatbot", Title: "Chat assistants", Line: "Talk to customers and to teams"},
	{Slug: "voice-media", Title: "Voice and media", Line: "Speech, images and video"},
	{Slug: "evaluation", Title: "Evaluation and safety", Line: "Test agents before users do"},
	{Slug: "cli-tool", Title: "Command line", Line: "Agents at home in a terminal"},
	{Slug: "sdk", Title: "SDKs and clients", Line: "Build on models and services"},
	{Slug: "ui", Title: "Interfaces", Line: "Chat windows and components"},
	{Slug: "other", Title: "Everything else", Line: "Goods with no shelf of their own"},
}

// CategoryOf is the category with the given slug, without a count. One that Souk has no
// title for is shown by its slug, in words.
func CategoryOf(slug string) Category {
	for _, c := range shelves {
		if c.Slug == slug {
			return c
		}
	}
	title := strings.ReplaceAll(slug, "-", " ")
	if title != "" {
		title = strings.ToUpper(title[:1]) + title[1:]
	}
	return Category{Slug: slug, Title: title}
}

// CategoryTitle is the name of a category as shown.
func CategoryTitle(slug string) string { return CategoryOf(slug).Title }

// Categories are the categories with at least one agent, in the order they are shown:
// the known ones, then others by count, then "other".
func Categories(counts map[string]int) []Category {
	var list []Category
	for slug, n := range counts {
		if n > 0 && slug != "" {
			c := CategoryOf(slug)
			c.Count = n
			list = append(list, c)
		}
	}
	slices.SortFunc(list, func(a, b Category) int {
		return cmp.Or(shelfOrder(a.Slug)-shelfOrder(b.Slug), b.Count-a.Count, strings.Compare(a.Slug, b.Slug))
	})
	return list
}

func shelfOrder(slug string) int {
	i := slices.IndexFunc(shelves, func(c Category) bool { return c.Slug == slug })
	switch {
	case slug == "other":
		return len(shelves) + 1
	case i < 0:
		return len(shelves)
	}
	return i
}

// seed is what the category's band is drawn from.
func (c Category) seed() string { return "shelf-" + c.Slug }
