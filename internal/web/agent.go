package web

import (
	"errors"
	"net/http"
	"strings"

	"github.com/souk-market/souk/internal/catalog"
	"github.com/souk-market/souk/internal/market"
	"github.com/souk-market/souk/store"
	"github.com/souk-market/souk/views"
)

// Reviews on an agent's page, on a page of reviews, and the last such page. A page reads
// those before it as well, so that its address is a number.
const (
	agentReviews  = 4
	pageReviews   = 20
	maxReviewPage = 50
)

// agent is the page of an agent, or its twin in Markdown where the address ends so.
func (s *Server) agent(tx store.Reader, at address) (content, error) {
	slug, twin := strings.CutSuffix(at.Path("slug"), ".md")
	d, err := catalog.DetailOf(tx, slug, agentReviews)
	if moved, ok := errors.AsType[*catalog.Moved](err); ok && twin {
		return content{moved: views.AgentPath(moved.Slug) + ".md"}, nil
	}
	if off, ok := errors.AsType[*catalog.OffShelf](err); ok && !twin {
		return s.offShelf(tx, off)
	}
	if err != nil {
		return content{}, err
	}
	if twin {
		return s.agentTwin(&d)
	}
	sh, err := s.shellIn(tx)
	if err != nil {
		return content{}, err
	}
	page := s.agentPage(&d)
	page.Path = shelvesOf(sh.tree.Path(d.Category))
	if page.Related, err = s.related(tx, sh.site, d.ID, d.Category); err != nil {
		return content{}, err
	}
	return html(views.AgentPage(sh.site, &page))
}

// offShelf says what has become of an agent. One that may come back is not found, one that
// has gone for good is gone.
func (s *Server) offShelf(tx store.Reader, off *catalog.OffShelf) (content, error) {
	site, err := s.siteIn(tx)
	if err != nil {
		return content{}, err
	}
	page := views.GoneAgent{Meta: views.Meta{NoIndex: true}, Seed: string(off.Agent)}
	if off.Category != "" {
		if page.Related, err = s.related(tx, site, off.Agent, off.Category); err != nil {
			return content{}, err
		}
	}
	const owners = " Who bought it keeps it: it is in their account and on their receipt."
	status := http.StatusNotFound
	switch off.State {
	case market.ListingPaused:
		page.Title, page.Message = off.Name+" is paused", "Its seller doesn't sell it at the moment, and may again."+owners
	case market.ListingArchived:
		page.Title, page.Message, status = off.Name+" is not sold any more", "Its seller has taken it off the shelf."+owners, http.StatusGone
	case market.ListingSuspended:
		page.Title, page.Message = "This agent is suspended", s.Name+" has taken it off the shelf while it is looked at."+owners
	default:
		page.Title, page.Message, status = "This agent was removed", s.Name+" has removed it. If you bought it, your receipt says what that means for you.", http.StatusGone
	}
	page.Meta.Title = page.Title
	c, err := html(views.GonePage(site, page))
	c.status = status
	return c, err
}

// reviews is a page of an agent's reviews.
func (s *Server) reviews(tx store.Reader, at address) (content, error) {
	n := at.Number("page")
	if n > maxReviewPage {
		return content{}, market.Errorf(market.NotFound, "Reviews can be read up to page %d. Older ones count in the rating.", maxReviewPage)
	}
	d, err := catalog.DetailOf(tx, at.Path("slug"), n*pageReviews)
	if moved, ok := errors.AsType[*catalog.Moved](err); ok {
		return content{moved: views.ReviewsPath(moved.Slug, n)}, nil
	}
	if err != nil {
		return content{}, err
	}
	list := d.Reviews.Reviews[min((n-1)*pageReviews, len(d.Reviews.Reviews)):]
	if len(list) == 0 && n > 1 {
		return content{}, market.Errorf(market.NotFound, "There are no more reviews. The agent's page has the newest.")
	}
	site, err := s.siteIn(tx)
	if err != nil {
		return content{}, err
	}
	return html(views.ReviewsPage(site, views.Reviews{
		Meta: views.Meta{Title: "Reviews of " + d.Name, Canonical: views.ReviewsPath(d.Slug, n), NoIndex: n > 1 || !d.Visible()},
		Slug: d.Slug, Seed: string(d.ID), Name: d.Name, Seller: d.Seller.Name, Rating: d.Rating, Reviews: reviewsOf(list),
		Page: n, Pages: min((d.Reviews.Total+pageReviews-1)/pageReviews, maxReviewPage),
	}))
}
