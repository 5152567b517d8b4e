package views

import (
	"cmp"
	"slices"
	"strings"

	"github.com/souk-market/souk/internal/market"
)

// Category is a shelf of the marketplace.
type Category struct {
	Slug  string // as stored on agents: "mcp-server"
	Title string // as shown: "MCP servers"
	Line  string // what is on it, in a few words; "" for categories without one
	Count int    // published agents on it
}

// shelves are the known categories in the order they are shown.
var shelves = defaultShelves()

func defaultShelves() []Category {
	var known []Category
	for _, s := range market.DefaultShelves() {
		known = append(known, Category{Slug: string(s.Category), Title: s.Title, Line: s.Line})
	}
	return known
}

// CategoryOf is the category with the given slug, without a count. One that Souk has no
// title for is shown by its slug, in words.
func CategoryOf(slug string) Category {
	for _, c := range shelves {
		if c.Slug == slug {
			return c
		}
	}
	return Category{Slug: slug, Title: market.ShelfInWords(market.Category(slug)).Title}
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
