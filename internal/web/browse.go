package web

import (
	"slices"
	"strings"

	"github.com/souk-market/souk/internal/catalog"
	"github.com/souk-market/souk/internal/market"
	"github.com/souk-market/souk/store"
	"github.com/souk-market/souk/views"
	"github.com/souk-market/souk/views/markdown"
)

const (
	homeCards    = 8
	storyCards   = 3
	storyText    = 420 // bytes
	relatedCards = 4
	maxTry       = 24 // bytes of a query that is offered
)

func (s *Server) home(tx store.Reader, _ address) (content, error) {
	h, err := catalog.HomeOf(tx, homeCards)
	if err != nil {
		return content{}, err
	}
	sh, err := s.shellIn(tx)
	if err != nil {
		return content{}, err
	}
	page := views.Home{
		Meta: views.Meta{
			Description: "Find, buy and run AI agents and tools: MCP servers, coding agents, SDKs and more.",
			Canonical:   "/",
			Others:      feedsOf("New agents", "/search"),
		},
		Total: h.Total, Shelves: shelved(sh.tree, h.Categories), Popular: cards(h.Popular), New: cards(h.Newest), Picks: cards(h.Picks),
		Tries: tries(h),
	}
	if page.Story, err = storyOf(tx, h.Picks); err != nil {
		return content{}, err
	}
	if page.Trust, err = trust(tx); err != nil {
		return content{}, err
	}
	return html(views.HomePage(sh.site, page))
}

// tries are up to three queries that find something: of each picked or popular agent its
// first tag, or its name where it has none and a short one.
func tries(h catalog.Home) (list []string) {
	for _, l := range slices.Concat(h.Picks, h.Popular) {
		text := l.Name
		if len(l.Tags) > 0 {
			text = strings.ReplaceAll(string(l.Tags[0]), "-", " ")
		}
		if len(list) < 3 && len(text) <= maxTry && !slices.Contains(list, text) {
			list = append(list, text)
		}
	}
	return list
}

// shelved are the categories that have agents with their counts, in the order of the tree:
// those of the top level with what is below them, then those without a shelf.
func shelved(tree catalog.Tree, counts []catalog.CategoryCount) []views.Category {
	n := catalog.Counts{}
	for _, c := range counts {
		n[c.Category] = c.Count
	}
	var list []views.Category
	for _, b := range tree {
		if agents := n.Of(tree, b.Category); agents > 0 {
			list = append(list, shelf(b.Shelf, agents))
		}
	}
	for _, l := range n.Loose(tree) {
		list = append(list, shelf(l, n[l.Category]))
	}
	return list
}

func shelf(s market.Shelf, agents int) views.Category {
	return views.Category{Slug: string(s.Category), Title: s.Title, Line: s.Line, Count: agents}
}

// storyOf is told by the seller of the latest pick who says something of themselves.
func storyOf(tx store.Reader, picks []catalog.Listing) (views.Story, error) {
	i := slices.IndexFunc(picks, func(l catalog.Listing) bool { return l.Seller.About != "" })
	if i < 0 {
		return views.Story{}, nil
	}
	p, err := catalog.SellerPageOf(tx, picks[i].Seller.Slug)
	if err != nil {
		return views.Story{}, err
	}
	return views.Story{
		Seller: sellerOf(p.Seller), Text: markdown.Plain(p.About, storyText), Cards: cards(p.Agents[:min(storyCards, len(p.Agents))]),
	}, nil
}

// trust is what speaks for buying here. A rehearsed restore counts when it has passed.
func trust(tx store.Reader) ([]views.Trust, error) {
	all := []views.Trust{
		{Title: "Verified sellers", Text: "A seller with the mark has shown the marketplace who they are."},
		{Title: "Files you can verify", Text: "Every download shows its SHA-256, and what you bought stays as it was."},
		{Title: "Your money back", Text: "Ask within 14 days if a download doesn’t do what its page says."},
	}
	for row, err := range store.NewestDrills.Scan(tx, store.All{}, "") {
		if err != nil {
			return nil, err
		}
		if d := row.Record; d.State == market.DrillPassed {
			return append(all, views.Trust{
				Title: "Nothing gets lost",
				Text:  "The last rehearsal of a full restore passed on " + views.When{Time: d.Ended}.String() + ".",
			}), nil
		}
	}
	return append(all, views.Trust{Title: "Nothing gets lost", Text: "Purchases are on disk before you see them, and a receipt stays at its address."}), nil
}
