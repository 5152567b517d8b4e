package views

import "strings"

// trail is the way from the front to the agent.
func (p Agent) trail() []Link {
	links := []Link{{"All agents", "/search"}}
	if p.Category.Slug != "" {
		links = append(links, Link{p.Category.Title, CategoryPath(p.Category.Slug)})
	}
	return append(links, Link{Text: p.Name})
}

func (p Agent) moreLike() Link {
	if p.Category.Slug == "" {
		return Link{}
	}
	return Link{"More in " + p.Category.Title, CategoryPath(p.Category.Slug)}
}

// gets is what the buyer gets. The only offer's own list stands in the buy box.
func (p Agent) gets() []string {
	if len(p.Offers) == 1 {
		return p.Gets
	}
	all := p.Gets
	for _, o := range p.Offers {
		for _, text := range o.Includes {
			all = append(all, strings.TrimPrefix(o.Name+": "+text, ": "))
		}
	}
	return all
}

// rows are the label's lines: always the same first ones, so that labels compare.
func (l Label) rows() []Row {
	size := ""
	if l.Size > 0 {
		size = Size(l.Size)
	}
	list := func(s []string) string { return strings.Join(s, ", ") }
	return append([]Row{
		{Term: "Models", Value: list(l.Models)},
		{Term: "Permissions", Value: list(l.Permissions)},
		{Term: "Your data", Value: l.Retention},
		{Term: "Runs on", Value: list(l.Runtimes)},
		{Term: "Keys you bring", Value: list(l.Keys)},
		{Term: "Version", Value: l.Version},
		{Term: "Last release", Value: l.LastRelease.String()},
		{Term: "Download", Value: size},
	}, l.Rows...)
}
