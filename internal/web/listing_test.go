package web

import (
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/souk-market/souk/search"
	"github.com/souk-market/souk/views"
)

// TestReadQuery: what can't be meant is left out, and what is meant has one address.
func TestReadQuery(t *testing.T) {
	for _, c := range []struct{ name, address, want string }{
		{"nothing", "", "/search"},
		{"everything", "page=2&sort=price&verified=yes&rating=4&without=shell&without=files&runtime=python&type=license&price=free&price=over-50&tag=sql&category=data&q=a+b",
			"/search?q=a+b&category=data&tag=sql&price=free&price=over-50&type=license&runtime=python&without=shell&without=files&rating=4&verified=yes&sort=price&page=2"},
		{"what is no value", "price=cheap&type=rental&without=sleep&rating=9&verified=no&sort=luck&page=-3&category=&tag=", "/search"},
		{"a page that is no number", "page=two", "/search"},
		{"a page beyond all", "page=99999999", "/search?page=" + strconv.Itoa(maxPage)},
		{"a page beyond numbers", "page=99999999999999999999999", "/search"},
		{"the same twice", "price=free&price=free", "/search?price=free"},
		{"two of one", "rating=3&rating=4", "/search?rating=3"},
		{"the order that goes without saying", "sort=popular", "/search"},
		{"the same with a text", "q=x&sort=popular", "/search?q=x&sort=popular"},
		{"a text of control characters", "q=%00%01%ff", "/search"},
		{"a category no slug can be", "category=" + strings.Repeat("x", 300), "/search"},
		{"unknown parameters", "utm_source=x", "/search"},
	} {
		form, err := url.ParseQuery(c.address)
		if err != nil {
			t.Fatal(err)
		}
		if got := readQuery(form, "").Path(); got != c.want {
			t.Errorf("%s: got %s, want %s", c.name, got, c.want)
		}
	}
	for _, text := range []string{strings.Repeat("x", 5_000), strings.Repeat("né ", 500), strings.Repeat("語", 200)} {
		if got := searchText(text); len(got) > search.MaxText || got == "" || !strings.HasPrefix(text, got) {
			t.Errorf("a text of %d bytes is read as %d bytes that don't begin it", len(text), len(got))
		}
	}
	many := url.Values{"runtime": slices.Repeat([]string{"a", "b"}, 40)}
	if got := readQuery(many, "").Filters; len(got) != 2 {
		t.Errorf("two values, often repeated, are %d filters", len(got))
	}
}

// TestFiltersAreTheQuerys: each filter of an address reaches the index.
func TestFiltersAreTheQuerys(t *testing.T) {
	q := views.Query{Filters: []views.Filter{
		{Param: "category", Value: "a"}, {Param: "tag", Value: "b"}, {Param: "price", Value: "free"}, {Param: "type", Value: "license"},
		{Param: "runtime", Value: "c"}, {Param: "without", Value: "shell"}, {Param: "rating", Value: "4"}, {Param: "verified", Value: "yes"},
	}}
	f := filters(q, search.Filters{})
	if len(f.Categories)+len(f.Tags)+len(f.Price)+len(f.Types)+len(f.Runtimes)+len(f.Without) != 6 || f.MinRating != 4 || !f.Verified {
		t.Errorf("the filters are %+v", f)
	}
}
