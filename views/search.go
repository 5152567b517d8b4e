package views

// category is the category the search is filtered by; its Slug is "" when it isn't.
func (p Search) category() Category {
	if slug := p.Query.Filter("category"); slug != "" {
		return CategoryOf(slug)
	}
	return Category{}
}

func (p Search) heading() string {
	c := p.category()
	switch {
	case p.Query.Text != "" && c.Slug != "":
		return "“" + p.Query.Text + "” in " + c.Title
	case p.Query.Text != "":
		return "“" + p.Query.Text + "”"
	case c.Slug != "":
		return c.Title
	}
	return "All agents"
}

func (p Search) count() string {
	n := plural(p.Total, "agent", "agents")
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
	c := p.category()
	switch {
	case p.Query.Text == "" && c.Slug == "":
		return "There are no agents here yet."
	case p.Query.Text == "":
		return "There are no agents under " + c.Title + " yet."
	case c.Slug != "":
		return "We looked in " + c.Title + " for agents that have all of these words, or words spelled much like them: " + p.Query.Text + ". There are none."
	}
	return "We looked for agents that have all of these words, or words spelled much like them: " + p.Query.Text + ". There are none."
}

// chips are the active filters, each with the address of the search without it.
func (p Search) chips() []Link {
	var links []Link
	for _, f := range p.Query.Filters {
		links = append(links, Link{p.label(f), p.Query.With(f.Param, "").Path()})
	}
	return links
}

// label is what a filter is called: its choice's label, or failing that its value.
func (p Search) label(filter Filter) string {
	for _, f := range p.Facets {
		for _, c := range f.Choices {
			if f.Param == filter.Param && c.Value == filter.Value {
				return c.Label
			}
		}
	}
	if filter.Param == "category" {
		return CategoryTitle(filter.Value)
	}
	return filter.Value
}

func (p Search) page() int { return max(p.Query.Page, 1) }

func (p Search) at(page int) Query {
	q := p.Query
	q.Page = page
	return q
}

func (p Search) sorted(order string) Query {
	q := p.Query
	q.Sort, q.Page = order, 0
	return q
}

func (p Search) corrected() Query {
	return Query{Text: p.Corrected, Filters: p.Query.Filters, Sort: p.Query.Sort}
}

func (p Search) nearby(text string) Query { return Query{Text: text, Sort: p.Query.Sort} }

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
