package web

import (
	"github.com/souk-market/souk/internal/catalog"
	"github.com/souk-market/souk/internal/market"
	"github.com/souk-market/souk/views"
)

func cards(ls []catalog.Listing) []views.Card {
	cc := make([]views.Card, len(ls))
	for i := range ls {
		cc[i] = card(&ls[i])
	}
	return cc
}

// lowest is an agent's lowest price, and whether there are others above it, so that it is
// what prices start from. Nothing is not said to be a start.
func lowest(a *market.Agent) (price market.Money, from bool) {
	price = a.Offer.Price
	for _, o := range a.Also {
		from = from || o.Price != a.Offer.Price
		if o.Price.Currency == price.Currency && o.Price.Amount < price.Amount {
			price = o.Price
		}
	}
	return price, from && !price.IsZero()
}

func card(l *catalog.Listing) views.Card {
	price, from := lowest(&l.Agent)
	c := views.Card{
		Slug: l.Slug, Seed: string(l.ID), Name: l.Name, Summary: l.Summary, Seller: l.Seller.Name, Verified: !l.Seller.Verified.IsZero(),
		Category: string(l.Category), Price: price, From: from, Version: l.Release.Version,
		Updated: views.When{Time: l.Updated, MonthOnly: true}, Downloads: l.Popularity, Rating: l.Rating.Mean(), Ratings: l.Rating.Count(),
	}
	if len(l.Images) > 0 {
		i := l.Images[0]
		c.Cover = views.Cover{Src: views.PicturePath(i), SrcSet: views.SrcSet(i, market.JPEG), Width: i.Width, Height: i.Height}
	}
	for _, u := range l.Facts.Permissions {
		c.Permissions = append(c.Permissions, string(u.Permission))
	}
	return c
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
