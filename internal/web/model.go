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

func seller(s market.Seller) views.Seller {
	v := views.Seller{Name: s.Name, Seed: string(s.ID)}
	if s.Slug == catalog.ImportedSeller {
		v.Note = "Listed from a public registry"
	}
	return v
}

const refundTerms = "Ask for your money back within 14 days if the download doesn't do what its page says."

func agentPage(l *catalog.Listing, related []catalog.Listing) views.Agent {
	return views.Agent{
		Meta: views.Meta{
			Title: l.Name, Description: l.Summary, Canonical: views.AgentPath(l.Slug),
			Image: views.TilePathOpenGraph(string(l.ID)), Type: "product",
		},
		ID: string(l.ID), Slug: l.Slug, Name: l.Name, Summary: l.Summary,
		Category: views.CategoryOf(string(l.Category)), Seller: seller(l.Seller), Source: source(&l.Agent),
		Offers:    []views.Offer{{ID: string(l.Offer.ID), Price: l.Offer.Price, Includes: includes(&l.Agent)}},
		Downloads: l.Popularity,
		Label: views.Label{
			Version: l.Release.Version, LastRelease: views.When{Time: l.Release.Released, MonthOnly: true}, Size: l.Release.File.Size,
		},
		Setup:    setup(l.ExternalID, l.Release.Version),
		Releases: []views.Release{{Version: l.Release.Version, Date: views.When{Time: l.Release.Released, MonthOnly: true}, Files: []views.File{file(l.Release.File, "")}}},
		Refunds:  refundTerms,
		Related:  cards(related),
	}
}

func includes(a *market.Agent) []string {
	what := "The files"
	if a.Release.File.OnDemand {
		what = "The setup file"
	}
	if v := a.Release.Version; v != "" {
		what += " of version " + v
	} else {
		what += " of the current version"
	}
	if !a.Offer.License {
		return []string{what}
	}
	return []string{what, "A licence key of your own"}
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
