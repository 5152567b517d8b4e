package views

import (
	"context"
	"io"
	"slices"
	"strings"

	"github.com/a-h/templ"

	"github.com/souk-market/souk/internal/market"
)

// ReviewsPath is the address of a page of an agent's reviews, from 1.
func ReviewsPath(slug string, page int) string {
	path := AgentPath(slug) + "/reviews"
	if page > 1 {
		path += "?page=" + decimal(page)
	}
	return path
}

// SellerPath is the address of a seller's page.
func SellerPath(slug string) string { return "/sellers/" + pathEscape(slug) }

// TagPath is the address of a tag's listing.
func TagPath(tag string) string { return "/tags/" + pathEscape(tag) }

// trail is the way from the front to the agent.
func (p *Agent) trail() []Link {
	links := []Link{{"All agents", "/search"}}
	for _, c := range p.Path {
		links = append(links, Link{c.Title, CategoryPath(c.Slug)})
	}
	return append(links, Link{Text: p.Name})
}

// category is the shelf on which the agent stands; its Slug is "" when it is on none.
func (p *Agent) category() Category {
	if len(p.Path) == 0 {
		return Category{}
	}
	return p.Path[len(p.Path)-1]
}

func (p *Agent) moreLike() Link {
	c := p.category()
	if c.Slug == "" {
		return Link{}
	}
	return Link{"More in " + c.Title, CategoryPath(c.Slug)}
}

// own is what an offer gives that not every offer gives.
func (p *Agent) own(o Offer) (list []string) {
	for _, text := range o.Includes {
		if slices.ContainsFunc(p.Offers, func(other Offer) bool { return !slices.Contains(other.Includes, text) }) {
			list = append(list, text)
		}
	}
	return list
}

// longName is from how many bytes on a name is written smaller.
const longName = 60

// free reports whether the agent can be had for nothing only.
func (p *Agent) free() bool {
	for _, o := range p.Offers {
		if !o.Price.IsZero() {
			return false
		}
	}
	return true
}

// rows are the label's lines but those of permissions, in two groups: what the seller
// declares, always the same lines so that labels compare, and what is known of the files.
func (l Label) rows() (declared, known []Row) {
	size := ""
	if l.Size > 0 {
		size = Size(l.Size)
	}
	list := func(s []string) string {
		if len(s) == 0 && l.Declared {
			return "None"
		}
		return strings.Join(s, ", ")
	}
	declared = []Row{
		{"Models", list(l.Models)},
		{"Your data", l.Retention},
		{"Runs on", list(l.Runtimes)},
		{"Keys you bring", list(l.Keys)},
		{"Takes in", list(l.Inputs)},
		{"Gives back", list(l.Outputs)},
	}
	declared = append(declared, l.More...)
	for _, r := range []Row{{"Version", l.Version}, {"Last release", l.LastRelease.String()}, {"Download", size}} {
		if r.Value != "" {
			known = append(known, r)
		}
	}
	return declared, known
}

// use is a permission as the label shows it.
type use struct {
	Permission
	Title string
	Used  bool
}

var permissionNames = map[market.Permission]string{
	market.PermissionNetwork: "Network", market.PermissionFiles: "Files", market.PermissionShell: "Shell",
	market.PermissionBrowser: "Browser", market.PermissionSecrets: "Secrets",
}

// uses are all permissions, used or not, in the order in which all labels have them. There
// are none of a label that declares nothing.
func (l Label) uses() []use {
	if !l.Declared && len(l.Permissions) == 0 {
		return nil
	}
	var all []use
	for _, name := range market.Permissions {
		u := use{Permission: Permission{Name: string(name)}, Title: permissionNames[name]}
		for _, p := range l.Permissions {
			if p.Name == string(name) {
				u.Permission, u.Used = p, true
			}
		}
		if u.Used && u.Detail == "" {
			u.Detail = permissionTitles[u.Name]
		}
		if u.Used || l.Declared {
			all = append(all, u)
		}
	}
	return all
}

// bar is a line of the distribution of stars.
type bar struct {
	Stars, Count, Percent int
}

// bars are the distribution of stars, five stars first. Percentages are rounded, and one
// that isn't zero is one at least.
func bars(r Rating) []bar {
	total := r.Count()
	list := make([]bar, 0, 5)
	for stars := 5; stars >= 1; stars-- {
		b := bar{Stars: stars, Count: r.Stars[stars-1]}
		if b.Count > 0 {
			b.Percent = max((b.Count*200+total)/(2*total), 1)
		}
		list = append(list, b)
	}
	return list
}

// stars draws a rating in five signs: "★★★★☆".
func stars(n int) string {
	n = min(max(n, 0), 5)
	return strings.Repeat("★", n) + strings.Repeat("☆", 5-n)
}

// safe is HTML that package markdown has made, as it is.
func safe(html HTML) templ.Component {
	return templ.ComponentFunc(func(_ context.Context, w io.Writer) error {
		_, err := io.WriteString(w, string(html))
		return err
	})
}
