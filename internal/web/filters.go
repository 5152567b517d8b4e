package web

import (
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/souk-market/souk/internal/catalog"
	"github.com/souk-market/souk/internal/market"
	"github.com/souk-market/souk/search"
	"github.com/souk-market/souk/views"
)

// maxValues bounds the values of one filter that are read from an address.
const maxValues = 16

// readQuery reads what a visitor asks a listing for. What can't be meant is left out: an
// unknown price band or order, a page that is no number.
func readQuery(form url.Values, base string) views.Query {
	q := views.Query{Base: base, Text: searchText(form.Get("q"))}
	for _, param := range views.Params {
		q.Filters = appendValues(q.Filters, param, form[param])
	}
	if sort := form.Get("sort"); slices.Contains(search.Sorts, search.Sort(sort)) {
		q.Sort = sort
	}
	if q.Text == "" && q.Sort == string(search.ByPopularity) {
		q.Sort = "" // which is the same
	}
	if n, err := strconv.Atoi(form.Get("page")); err == nil && n > 1 {
		q.Page = min(n, maxPage)
	}
	return q
}

// searchText is a text within the index's limit, cut at the end of a word where it can be.
func searchText(text string) string {
	text = market.CleanText(text)
	if len(text) <= search.MaxText {
		return text
	}
	text = text[:search.MaxText]
	if i := strings.LastIndexByte(text, ' '); i > search.MaxText/2 {
		return text[:i]
	}
	for !utf8.ValidString(text) {
		text = text[:len(text)-1]
	}
	return text
}

func appendValues(all []views.Filter, param string, values []string) []views.Filter {
	first := len(all)
	for _, v := range values {
		f := views.Filter{Param: param, Value: v}
		if len(all)-first == maxValues || single[param] && len(all) > first {
			break
		}
		if meant(param, v) && !slices.Contains(all, f) {
			all = append(all, f)
		}
	}
	return all
}

// single are the filters that have one value.
var single = map[string]bool{"rating": true, "verified": true, "seller": true}

// meant reports whether a value can stand in a filter.
func meant(param, v string) bool {
	switch param {
	case "price":
		return slices.Contains(search.PriceBands, search.PriceBand(v))
	case "type":
		return slices.Contains(search.Types, search.Type(v))
	case "without":
		return slices.Contains(market.Permissions, market.Permission(v))
	case "rating":
		return v == "3" || v == "4"
	case "verified":
		return v == "yes"
	}
	return v != "" && len(v) <= market.MaxSlug && market.CleanText(v) == v
}

// filters are a listing's own and those of its query.
func filters(q views.Query, f search.Filters) search.Filters {
	for _, c := range q.Filters {
		switch c.Param {
		case "category":
			f.Categories = append(f.Categories, market.Category(c.Value))
		case "tag":
			f.Tags = append(f.Tags, market.Tag(c.Value))
		case "price":
			f.Price = append(f.Price, search.PriceBand(c.Value))
		case "type":
			f.Types = append(f.Types, search.Type(c.Value))
		case "runtime":
			f.Runtimes = append(f.Runtimes, c.Value)
		case "without":
			f.Without = append(f.Without, market.Permission(c.Value))
		case "rating":
			f.MinRating = int(c.Value[0] - '0')
		case "verified":
			f.Verified = true
		}
	}
	return f
}

// facetsShown are the facets in the order of the page.
var facetsShown = []views.Facet{
	{Title: "Category", Param: search.FacetCategory},
	{Title: "Price", Param: search.FacetPrice},
	{Title: "Works without", Param: search.FacetWithout},
	{Title: "You get", Param: search.FacetType},
	{Title: "Runs on", Param: search.FacetRuntime},
	{Title: "Rating", Param: search.FacetRating, One: true},
	{Title: "Seller", Param: search.FacetVerified},
}

// choiceNames are the labels of choices that aren't named by their values, and what they
// are called away from their facet.
var choiceNames = map[views.Filter]views.Choice{
	{Param: "price", Value: "free"}:       {Label: "Free"},
	{Param: "price", Value: "under-10"}:   {Label: "Under 10"},
	{Param: "price", Value: "10-50"}:      {Label: "10 to 50"},
	{Param: "price", Value: "over-50"}:    {Label: "Over 50"},
	{Param: "type", Value: "download"}:    {Label: "Download"},
	{Param: "type", Value: "license"}:     {Label: "Licence key"},
	{Param: "without", Value: "network"}:  {Label: "The network", Chip: "Without the network"},
	{Param: "without", Value: "files"}:    {Label: "Your files", Chip: "Without your files"},
	{Param: "without", Value: "shell"}:    {Label: "Running commands", Chip: "Without running commands"},
	{Param: "without", Value: "browser"}:  {Label: "A browser", Chip: "Without a browser"},
	{Param: "without", Value: "secrets"}:  {Label: "Your keys", Chip: "Without your keys"},
	{Param: "rating", Value: "4"}:         {Label: "4 stars and up"},
	{Param: "rating", Value: "3"}:         {Label: "3 stars and up"},
	{Param: "verified", Value: "yes"}:     {Label: "Verified", Chip: "Verified seller"},
	{Param: "runtime", Value: "node"}:     {Label: "Node.js"},
	{Param: "runtime", Value: "python"}:   {Label: "Python"},
	{Param: "runtime", Value: "docker"}:   {Label: "Docker"},
	{Param: "runtime", Value: "go"}:       {Label: "Go"},
	{Param: "runtime", Value: "binary"}:   {Label: "Binary"},
	{Param: "runtime", Value: "markdown"}: {Label: "Markdown"},
}

// facets are what the index counted, with every active value among them. A category's page
// has its own way to those below it instead of a facet. Prices are in the marketplace's
// currency.
func facets(tree catalog.Tree, in market.Currency, page *views.Search, found *search.Results) []views.Facet {
	list := make([]views.Facet, 0, len(facetsShown))
	for _, f := range facetsShown {
		if f.Param == search.FacetCategory && page.Shelf.Slug != "" {
			continue
		}
		counted := found.Facet(f.Param)
		f.Choices = make([]views.Choice, 0, len(counted)+2)
		for _, c := range counted {
			if meant(f.Param, c.Value) {
				f.Choices = append(f.Choices, choice(tree, in, f.Param, c.Value, c.Count))
			}
		}
		for _, active := range page.Query.Filters {
			if active.Param == f.Param && !slices.ContainsFunc(f.Choices, func(c views.Choice) bool { return c.Value == active.Value }) {
				f.Choices = append(f.Choices, choice(tree, in, f.Param, active.Value, 0))
			}
		}
		if f.Param == search.FacetCategory {
			f.Choices = inTree(tree, page.Query, f.Choices)
		}
		if len(f.Choices) > 0 {
			list = append(list, f)
		}
	}
	return list
}

func choice(tree catalog.Tree, in market.Currency, param, value string, n int) views.Choice {
	c, named := choiceNames[views.Filter{Param: param, Value: value}]
	switch {
	case param == search.FacetCategory:
		c.Label = tree.Shelf(market.Category(value)).Title
	case param == search.FacetPrice && value != string(search.PriceFree):
		c.Label += " " + string(in)
	case !named:
		c.Label = value
	}
	c.Value, c.Count = value, n
	return c
}

// inTree puts the categories of the second level behind the one that they belong to, where
// it or one of them is chosen, and leaves them out elsewhere.
func inTree(tree catalog.Tree, q views.Query, all []views.Choice) []views.Choice {
	under := map[string][]views.Choice{}
	top := make([]views.Choice, 0, len(all))
	open := map[string]bool{}
	for _, c := range all {
		path := tree.Path(market.Category(c.Value))
		over := string(path[0].Category)
		open[over] = open[over] || q.Has(views.Filter{Param: search.FacetCategory, Value: c.Value})
		if len(path) == 1 {
			top = append(top, c)
			continue
		}
		c.Below = true
		under[over] = append(under[over], c)
	}
	list := make([]views.Choice, 0, len(all))
	for _, c := range top {
		list = append(list, c)
		if open[c.Value] {
			list = append(list, under[c.Value]...)
		}
	}
	return list
}

// sorts are the orders that a listing offers. Without a text the best match is the most
// popular.
func sorts(text bool) []views.Choice {
	if text {
		return sortsOfText
	}
	return sortsOfAll
}

var sortsOfText = append([]views.Choice{
	{Value: string(search.ByRelevance), Label: "Best match"},
	{Value: string(search.ByPopularity), Label: "Popular"},
}, sortsOfAll[1:]...)

var sortsOfAll = []views.Choice{
	{Value: string(search.ByRelevance), Label: "Popular"},
	{Value: string(search.ByDate), Label: "Newest"},
	{Value: string(search.ByPrice), Label: "Price"},
	{Value: string(search.ByRating), Label: "Rating"},
}
