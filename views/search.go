package views

import "cmp"

// openChoices is how many choices of a facet are in view before "Show all".
const openChoices = 8

// heading is the page's title.
func (p Search) heading() string {
	switch {
	case p.Shelf.Slug != "":
		return p.Shelf.Title
	case p.Tag != "":
		return "Tagged “" + tagInWords(p.Tag) + "”"
	case p.Query.Text == "":
		return "All agents"
	}
	if in := p.only("category"); in != "" {
		return "“" + p.Query.Text + "” in " + in
	}
	return "“" + p.Query.Text + "”"
}

// only is the label of the one value that is filtered by, "" when there are none or several.
func (p Search) only(param string) string {
	label := ""
	for _, f := range p.Query.Filters {
		if f.Param == param && label != "" {
			return ""
		}
		if f.Param == param {
			label = p.choice(f).Label
		}
	}
	return label
}

// trail is the way from all agents to this listing; the last is the page itself.
func (p Search) trail() []Link {
	links := []Link{{"All agents", "/search"}}
	if p.Over.Slug != "" {
		links = append(links, Link{p.Over.Title, CategoryPath(p.Over.Slug)})
	}
	switch {
	case p.Shelf.Slug != "":
		return append(links, Link{Text: p.Shelf.Title})
	case p.Tag != "":
		return append(links, Link{Text: "Tag " + tagInWords(p.Tag)})
	}
	return nil
}

// Found is how many agents were found, in words.
func (p Search) Found() string { return plural(p.Total, "agent", "agents") }

func (p Search) count() string {
	n := p.Found()
	if p.page() > 1 {
		n += ", page " + Number(p.page())
		if p.Pages > 0 {
			n += " of " + Number(p.Pages)
		}
	}
	return n
}

// understood says what was looked for, when nothing was found.
func (p Search) understood() string {
	in := ""
	if shelf := p.only("category"); shelf != "" {
		in = " in " + shelf
	}
	switch {
	case p.Query.Text == "" && len(p.Query.Filters) > 0:
		return "No agent passes all of these filters. Take one away to see more."
	case p.Query.Text == "" && p.Shelf.Slug != "":
		return "There are no agents under " + p.Shelf.Title + " yet."
	case p.Query.Text == "":
		return "There are no agents here yet."
	}
	return "We looked" + in + " for agents that have all of these words, or words spelled much like them: " + p.Query.Text + ". There are none."
}

// chip is an active filter, with the address of the listing without it.
type chip struct {
	Link
	key string // names it for scripts, in the chips and in the filters alike
}

func (p Search) chips() []chip {
	chips := make([]chip, 0, len(p.Query.Filters))
	for _, f := range p.Query.Filters {
		c := p.choice(f)
		chips = append(chips, chip{Link{cmp.Or(c.Chip, c.Label), p.Query.Without(f).Path()}, f.Param + "=" + f.Value})
	}
	return chips
}

// choice is a filter's choice; one that no facet has is shown by its value.
func (p Search) choice(filter Filter) Choice {
	for _, f := range p.Facets {
		for _, c := range f.Choices {
			if f.Param == filter.Param && c.Value == filter.Value {
				return c
			}
		}
	}
	if filter.Param == "category" {
		return Choice{Value: filter.Value, Label: CategoryTitle(filter.Value)}
	}
	return Choice{Value: filter.Value, Label: filter.Value}
}

// chosen is the address that a choice leads to: the listing with it, or without it when it
// is active.
func (p Search) chosen(f Facet, c Choice, active bool) string {
	filter := Filter{f.Param, c.Value}
	switch {
	case active:
		return p.Query.Without(filter).Path()
	case f.One:
		return p.Query.With(f.Param, c.Value).Path()
	}
	return p.Query.And(filter).Path()
}

// opens reports whether a facet is unfolded from the start: where one of its choices is
// active, and the first three.
func (p Search) opens(f Facet, at int) bool { return at < 3 || p.Query.Filter(f.Param) != "" }

// folded are how many of a facet's choices stand behind "Show all": none when an active one
// would be among them.
func (p Search) folded(f Facet) int {
	if len(f.Choices) <= openChoices+2 {
		return 0
	}
	for _, c := range f.Choices[openChoices:] {
		if p.Query.Has(Filter{f.Param, c.Value}) {
			return 0
		}
	}
	return len(f.Choices) - openChoices
}

func (p Search) page() int { return max(p.Query.Page, 1) }

// retyped is the listing's query with another text.
func (p Search) retyped(text string) Query {
	q := p.Query
	q.Text, q.Page = text, 0
	return q
}

// pageNumbers are the pages that a pager links to: the first, the last, and those around
// the current one. A 0 stands for a gap.
func pageNumbers(page, pages int) []int {
	var list []int
	last := 0
	for n := 1; n <= pages; n++ {
		if n != 1 && n != pages && (n < page-1 || n > page+1) {
			continue
		}
		switch {
		case n == last+2:
			list = append(list, n-1)
		case n > last+2:
			list = append(list, 0)
		}
		list = append(list, n)
		last = n
	}
	return list
}

func current(is bool) string {
	if is {
		return "true"
	}
	return "false"
}

func currentPage(is bool) string {
	if is {
		return "page"
	}
	return "false"
}
