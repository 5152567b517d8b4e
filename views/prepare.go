package views

import (
	"context"
	"strings"

	"github.com/a-h/templ"
)

// Prepared is the site with header and footer written ahead, for many pages, and how many
// bytes they are.
func (s Site) Prepared() (Site, int, error) {
	head, err := written(header(s, "", ""))
	if err != nil {
		return s, 0, err
	}
	foot, err := written(footer(s))
	s.header, s.footer = head, foot
	return s, len(head) + len(foot), err
}

// PrepareCards writes cards ahead for shelves of many pages, and returns how many bytes
// they are.
func PrepareCards(site Site, cards []Card) (bytes int, err error) {
	for i := range cards {
		c := &cards[i]
		if c.tall, err = written(tallCard(site, *c)); err != nil {
			return bytes, err
		}
		bytes += len(c.tall)
	}
	return bytes, nil
}

func written(c templ.Component) (HTML, error) {
	var b strings.Builder
	err := c.Render(context.Background(), &b)
	return HTML(b.String()), err
}

// headerOf is the header, written ahead where it is like most.
func headerOf(site Site, kind, query string) templ.Component {
	if site.header != "" && kind != homeKind && query == "" {
		return safe(site.header)
	}
	return header(site, kind, query)
}

func footerOf(site Site) templ.Component {
	if site.footer != "" {
		return safe(site.footer)
	}
	return footer(site)
}

func tallCardOf(site Site, c Card) templ.Component {
	if c.tall != "" {
		return safe(c.tall)
	}
	return tallCard(site, c)
}
