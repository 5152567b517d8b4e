package web

import (
	"github.com/souk-market/souk/internal/catalog"
	"github.com/souk-market/souk/store"
	"github.com/souk-market/souk/views"
	"github.com/souk-market/souk/views/markdown"
)

// sellerCards is how many of a seller's agents stand on their page.
const sellerCards = 24

// maxDescription bounds what a page says of itself in its head, in bytes.
const maxDescription = 160

func (s *Server) seller(tx store.Reader, at address) (content, error) {
	p, err := catalog.SellerPageOf(tx, at.Path("slug"))
	if err != nil {
		return content{}, err
	}
	site, err := s.siteIn(tx)
	if err != nil {
		return content{}, err
	}
	path := views.SellerPath(p.Slug)
	page := views.SellerProfile{
		Meta: views.Meta{
			Title: p.Name, Canonical: path, Type: "profile", Description: markdown.Plain(p.About, maxDescription),
			NoIndex: len(p.Agents) == 0, Others: feedsOf(p.Name, path),
		},
		Seller: sellerOf(p.Seller), About: s.written(p.About, 3), Site: p.Site, Country: p.Country,
		Since: views.When{Time: p.Created, MonthOnly: true}, Known: views.When{Time: p.Verified},
		Rating: p.Rating, Total: len(p.Agents), Cards: cards(p.Agents[:min(sellerCards, len(p.Agents))]),
	}
	if p.More || len(p.Agents) > sellerCards {
		page.All = views.Link{Text: "All agents of " + p.Name, Href: "/search?seller=" + p.Slug}
	}
	return html(views.SellerPage(site, page))
}
