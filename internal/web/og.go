package web

import (
	"strings"

	"github.com/souk-market/souk/internal/market"
	"github.com/souk-market/souk/store"
	"github.com/souk-market/souk/views"
	"github.com/souk-market/souk/views/preview"
)

// ogPath is the address of an agent's preview image.
func ogPath(a *market.Agent) string { return "/og/" + string(a.ID) + ".png" }

// og is the picture that other sites show with a link to an agent.
func (s *Server) og(tx store.Reader, at address) (content, error) {
	id, isPNG := strings.CutSuffix(at.Path("file"), ".png")
	if !isPNG {
		return content{}, market.Errorf(market.NotFound, "There is no such picture.")
	}
	a, err := store.Agents.Load(tx, market.AgentID(id))
	if err != nil {
		return content{}, err
	}
	if !a.Visible() {
		return content{}, market.Errorf(market.NotFound, "There is no such picture.")
	}
	seller, err := store.Sellers.Load(tx, a.Seller)
	if err != nil {
		return content{}, err
	}
	least, from := lowest(&a)
	price := views.Price(views.English, least)
	if from {
		price = "from " + price
	}
	body, err := preview.PNG(preview.Card{
		Seed: string(a.ID), Name: a.Name, Summary: a.Summary, Price: price, Seller: seller.Name, Site: s.Name,
	})
	if err != nil {
		return content{}, err
	}
	return document("image/png", body)
}
