package web

import (
	"strings"

	"github.com/souk-market/souk/internal/catalog"
	"github.com/souk-market/souk/internal/market"
	"github.com/souk-market/souk/views"
)

// agentPage is an agent's page without its place and what is related.
func (s *Server) agentPage(d *catalog.Detail) views.Agent {
	v := views.Agent{
		Meta: views.Meta{
			Title: d.Name, Description: d.Summary, Canonical: views.AgentPath(d.Slug), NoIndex: !d.Visible(), Type: "product",
			Image: ogPath(&d.Agent), Others: []views.Other{{Type: "text/markdown", Title: d.Name + " as Markdown", Href: views.AgentPath(d.Slug) + ".md"}},
		},
		ID: string(d.ID), Slug: d.Slug, Name: d.Name, Summary: d.Summary, Seller: sellerOf(d.Seller),
		Source: source(&d.Agent), Tags: tagLinks(d.Tags), Offers: offersOf(&d.Agent), Currency: string(s.Shop.Currency),
		Unlisted: !d.Visible(), Updated: views.When{Time: d.Updated},
		Rating: d.Rating, Downloads: d.Popularity, Pictures: d.Images,
		Label: labelOf(d), About: s.written(d.Text.Description, 3), Demo: turns(d.Text.Demo),
		Setup:    setup(d.ExternalID, d.Release.Version),
		Releases: s.releasesOf(d), Reviews: reviewsOf(d.Reviews.Reviews),
		Refunds: d.Terms.Refunds, License: d.Terms.License,
	}
	if v.Unlisted {
		v.Meta.Image, v.Meta.Others = "", nil // there are none
	}
	return v
}

// written makes HTML of what a seller or operator wrote, its headings from a level on.
func (s *Server) written(markdown string, level int) views.HTML {
	if markdown == "" {
		return ""
	}
	return views.HTML(s.texts.HTML(markdown, level))
}

func shelvesOf(path []market.Shelf) []views.Category {
	list := make([]views.Category, len(path))
	for i, s := range path {
		list[i] = views.Category{Slug: string(s.Category), Title: s.Title, Line: s.Line}
	}
	return list
}

func sellerOf(s market.Seller) views.Seller {
	v := views.Seller{Name: s.Name, Seed: string(s.ID), Href: views.SellerPath(s.Slug), Verified: !s.Verified.IsZero()}
	if s.Slug == catalog.ImportedSeller {
		v.Note = "Listed from a public registry"
	}
	return v
}

func tagLinks(tags []market.Tag) []views.Link {
	links := make([]views.Link, len(tags))
	for i, t := range tags {
		links[i] = views.Link{Text: strings.ReplaceAll(string(t), "-", " "), Href: views.TagPath(string(t))}
	}
	return links
}

func offersOf(a *market.Agent) []views.Offer {
	var list []views.Offer
	for _, o := range a.Offers() {
		list = append(list, views.Offer{ID: string(o.ID), Name: offerName(a, o), Price: o.Price, Includes: includes(a, o)})
	}
	return list
}

// includes is what a sale of an offer gives.
func includes(a *market.Agent, o market.Offer) []string {
	what := "The files"
	if a.Release.File.OnDemand {
		what = "The setup file"
	}
	if v := a.Release.Version; v != "" {
		what += " of version " + v
	} else {
		what += " of the current version"
	}
	list := []string{what}
	if o.License {
		list = append(list, "A licence key of your own")
	}
	return append(list, o.Includes...)
}

func labelOf(d *catalog.Detail) views.Label {
	a := &d.Agent
	l := views.Label{
		Declared: a.Facts.Declared, Models: a.Facts.Models, Retention: a.Facts.Retention, Runtimes: a.Facts.Runtimes,
		Keys: a.Facts.Keys, Inputs: a.Facts.Inputs, Outputs: a.Facts.Outputs,
		Version: a.Release.Version, LastRelease: released(a, a.Release), Size: a.Release.File.Size,
	}
	for _, s := range d.Said {
		l.More = append(l.More, views.Row{Term: s.Title, Value: s.Value})
	}
	for _, p := range a.Facts.Permissions {
		l.Permissions = append(l.Permissions, views.Permission{Name: string(p.Permission), Detail: p.Detail})
	}
	return l
}

// released is when a version came out; registries tell the month.
func released(a *market.Agent, r market.Release) views.When {
	return views.When{Time: r.Released, MonthOnly: a.ExternalID != ""}
}

func turns(demo []market.Turn) []views.Turn {
	list := make([]views.Turn, len(demo))
	for i, t := range demo {
		list[i] = views.Turn{Who: t.Who, Text: t.Text, You: strings.EqualFold(t.Who, "you")}
	}
	return list
}

func (s *Server) releasesOf(d *catalog.Detail) []views.Release {
	list := make([]views.Release, len(d.Releases))
	for i, r := range d.Releases {
		list[i] = views.Release{
			Version: r.Version, Date: released(&d.Agent, r.Release), Channel: r.Channel, Notes: s.written(r.Notes, 4),
			Yanked: r.State == market.ReleaseYanked, Reason: r.Reason,
		}
		if r.File.Name != "" {
			list[i].Files = []views.File{file(r.File, "")}
		}
	}
	return list
}

func reviewsOf(rr []market.Review) []views.Review {
	list := make([]views.Review, len(rr))
	for i, r := range rr {
		list[i] = views.Review{
			Name: r.Name, Stars: r.Stars, Title: r.Title, Text: r.Text, Version: r.Version, Free: r.Free, Reply: r.Reply,
			Date: views.When{Time: r.Created},
		}
	}
	return list
}
