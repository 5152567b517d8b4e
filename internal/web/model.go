package web

import (
	"github.com/souk-market/souk/internal/catalog"
	"github.com/souk-market/souk/internal/market"
	"github.com/souk-market/souk/search"
	"github.com/souk-market/souk/views"
)

func cards(ls []catalog.Listing) []views.Card {
	cc := make([]views.Card, len(ls))
	for i, l := range ls {
		cc[i] = views.Card{
			Slug: l.Slug, Seed: string(l.ID), Name: l.Name, Summary: l.Summary, Seller: l.Seller.Name,
			Category: string(l.Category), Price: l.Offer.Price, Version: l.Release.Version,
			Updated: views.When{Time: l.Updated, MonthOnly: true}, Downloads: l.Popularity,
		}
	}
	return cc
}

func categories(counts []catalog.CategoryCount) []views.Category {
	n := make(map[string]int, len(counts))
	for _, c := range counts {
		n[string(c.Category)] = c.Count
	}
	return views.Categories(n)
}

func choices(counts []search.Choice) []views.Choice {
	cc := make([]views.Choice, len(counts))
	for i, c := range counts {
		cc[i] = views.Choice{Value: c.Value, Label: views.CategoryTitle(c.Value), Count: c.Count}
	}
	return cc
}

func file(f market.File, href string) views.File {
	return views.File{Name: f.Name, Href: href, Size: f.Size, SHA256: f.SHA256}
}

// source is where an imported agent comes from.
func source(a *market.Agent) views.Link {
	name, url := market.RegistryPage(a.ExternalID)
	return views.Link{Text: name, Href: url}
}

// setup is how to install an imported agent.
func setup(externalID, version string) []views.Snippet {
	var ss []views.Snippet
	for _, c := range market.InstallCommands(externalID, version) {
		ss = append(ss, views.Snippet{Title: "With " + c.Tool, Code: c.Line})
	}
	return ss
}
