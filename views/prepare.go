package views

import (
	"context"
	"strings"

	"github.com/a-h/templ"
)

// Prepared is the site with what all pages share written ahead, and how many bytes that is.
func (s Site) Prepared() (Site, int, error) {
	var err error
	ahead := func(c templ.Component) (html HTML) {
		if err == nil {
			html, err = written(c)
		}
		return html
	}
	s.links, s.header, s.footer = ahead(assetLinks(s)), ahead(header(s, "", "")), ahead(footer(s))
	return s, len(s.links) + len(s.header) + len(s.footer), err
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

func assetLinksOf(site Site) templ.Component {
	if site.links != "" {
		return safe(site.links)
	}
	return assetLinks(site)
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
