package views

import (
	"cmp"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// Query is the state of a listing that its address holds.
type Query struct {
	Base    string // path of the listing: a category's, a tag's; "" is /search
	Text    string
	Filters []Filter // in the order of the address; a Param may stand several times
	Sort    string   // "" is by relevance
	Page    int      // from 1; 0 and 1 are both the first
}

// Filter narrows a search: Param is the name in the address ("category"), Value its value.
type Filter struct {
	Param string
	Value string
}

// Params are the filters' names in the order in which an address has them.
var Params = []string{"category", "tag", "price", "type", "runtime", "without", "rating", "verified", "seller"}

// Filter returns the first value of param in q, "" when it isn't filtered by.
func (q Query) Filter(param string) string {
	for _, f := range q.Filters {
		if f.Param == param {
			return f.Value
		}
	}
	return ""
}

// Has reports whether q is filtered by a value.
func (q Query) Has(f Filter) bool { return slices.Contains(q.Filters, f) }

// With returns q with param set to value alone, or without it when value is "", on its
// first page.
func (q Query) With(param, value string) Query {
	filters := slices.DeleteFunc(slices.Clone(q.Filters), func(f Filter) bool { return f.Param == param })
	if value != "" {
		filters = append(filters, Filter{param, value})
	}
	return q.filtered(filters)
}

// And returns q with one more filter, beside those that it has, on its first page.
func (q Query) And(f Filter) Query {
	filters := make([]Filter, len(q.Filters), len(q.Filters)+1)
	copy(filters, q.Filters)
	return q.filtered(append(filters, f))
}

// Without returns q without one filter, on its first page.
func (q Query) Without(f Filter) Query {
	return q.filtered(slices.DeleteFunc(slices.Clone(q.Filters), func(g Filter) bool { return g == f }))
}

// filtered puts filters into the order of addresses, so that a state has one address.
func (q Query) filtered(filters []Filter) Query {
	slices.SortStableFunc(filters, func(a, b Filter) int {
		return cmp.Compare(slices.Index(Params, a.Param), slices.Index(Params, b.Param))
	})
	q.Filters, q.Page = filters, 0
	return q
}

// Unfiltered returns q without filters, on its first page.
func (q Query) Unfiltered() Query { return q.filtered(nil) }

// At returns q at a page.
func (q Query) At(page int) Query {
	q.Page = page
	return q
}

// Sorted returns q in another order, on its first page.
func (q Query) Sorted(order string) Query {
	q.Sort, q.Page = order, 0
	return q
}

// Path is the address of q: /search?q=&category=&sort=&page=, with nothing said that goes
// without saying.
func (q Query) Path() string {
	b := make([]byte, 0, 128)
	b = append(b, cmp.Or(q.Base, "/search")...)
	bare := len(b)
	add := func(param, value string) {
		if value == "" {
			return
		}
		mark := byte('&')
		if len(b) == bare {
			mark = '?'
		}
		b = append(append(b, mark), param...)
		b = append(append(b, '='), url.QueryEscape(value)...)
	}
	add("q", q.Text)
	for _, f := range q.Filters {
		add(f.Param, f.Value)
	}
	add("sort", q.Sort)
	if q.Page > 1 {
		add("page", strconv.Itoa(q.Page))
	}
	return string(b)
}

// CategoryPath is the address of a category's listing.
func CategoryPath(slug string) string { return "/categories/" + url.PathEscape(slug) }

// tagInWords is a tag as people read it: "machine learning".
func tagInWords(tag string) string { return strings.ReplaceAll(tag, "-", " ") }
