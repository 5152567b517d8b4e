package catalog

import (
	"embed"
	"fmt"
	"slices"
	"strings"

	"github.com/souk-market/souk/internal/market"
	"github.com/souk-market/souk/store"
)

// defaultPages are the pages that every marketplace has until its operator writes their
// own: a file each, its first line the title.
//
//go:embed pages/*.md
var defaultPages embed.FS

// StaticPageOf returns the page with a slug, the operator's or a default one, or NotFound.
// A default one has no time of its last change.
func StaticPageOf(tx store.Reader, slug string) (market.StaticPage, error) {
	p, err := store.Pages.Load(tx, slug)
	if !market.Is(err, market.NotFound) {
		return p, err
	}
	if p := defaultPage(slug); p.Slug != "" {
		return p, nil
	}
	return p, err
}

// StaticPages returns all pages, the operator's and the default ones that they haven't
// replaced, by slug.
func StaticPages(tx store.Reader) ([]market.StaticPage, error) {
	files, err := defaultPages.ReadDir("pages")
	if err != nil {
		return nil, fmt.Errorf("catalog: listing the default pages: %w", err)
	}
	var pages []market.StaticPage
	for p, err := range store.Pages.All(tx, "") {
		if err != nil {
			return nil, err
		}
		pages = append(pages, p)
	}
	own := len(pages)
	for _, f := range files {
		slug := strings.TrimSuffix(f.Name(), ".md")
		if !slices.ContainsFunc(pages[:own], func(p market.StaticPage) bool { return p.Slug == slug }) {
			pages = append(pages, defaultPage(slug))
		}
	}
	slices.SortFunc(pages, func(a, b market.StaticPage) int { return strings.Compare(a.Slug, b.Slug) })
	return pages, nil
}

// defaultPage is the default page with a slug, without a slug where there is none.
func defaultPage(slug string) market.StaticPage {
	text, err := defaultPages.ReadFile("pages/" + slug + ".md")
	if err != nil {
		return market.StaticPage{}
	}
	title, body, _ := strings.Cut(strings.TrimPrefix(string(text), "# "), "\n")
	return market.StaticPage{Slug: slug, Title: title, Body: strings.TrimSpace(body)}
}
