package views

import (
	"context"
	"encoding/json"
	"io"
	"net/url"

	"github.com/a-h/templ"

	"github.com/souk-market/souk/internal/market"
)

// What follows are objects of JSON-LD in schema.org's vocabulary, as far as pages use it.

type ldGraph struct {
	Context string `json:"@context"`
	Graph   [2]any `json:"@graph"`
}

type ldProduct struct {
	Type        string    `json:"@type"`
	ID          string    `json:"@id"`
	Name        string    `json:"name"`
	Description string    `json:"description,omitempty"`
	URL         string    `json:"url"`
	SKU         string    `json:"sku"`
	Image       string    `json:"image,omitempty"`
	Category    string    `json:"category,omitempty"`
	Brand       ldParty   `json:"brand"`
	Offers      []ldOffer `json:"offers,omitempty"`
	Rating      *ldRating `json:"aggregateRating,omitempty"`
}

type ldOffer struct {
	Type         string  `json:"@type"`
	Name         string  `json:"name,omitempty"`
	URL          string  `json:"url"`
	Price        string  `json:"price"`
	Currency     string  `json:"priceCurrency"`
	Availability string  `json:"availability"`
	Seller       ldParty `json:"seller"`
}

// ldParty is a Brand or an Organization.
type ldParty struct {
	Type        string `json:"@type"`
	Name        string `json:"name"`
	URL         string `json:"url,omitempty"`
	SameAs      string `json:"sameAs,omitempty"`
	Description string `json:"description,omitempty"`
}

type ldRating struct {
	Type  string `json:"@type"`
	Value string `json:"ratingValue"`
	Count int    `json:"reviewCount"`
	Best  int    `json:"bestRating"`
	Worst int    `json:"worstRating"`
}

type ldCrumbs struct {
	Type  string    `json:"@type"`
	Items []ldCrumb `json:"itemListElement"`
}

type ldCrumb struct {
	Type     string `json:"@type"`
	Position int    `json:"position"`
	Name     string `json:"name"`
	Item     string `json:"item,omitempty"`
}

// jsonLD is a script element that no browser runs. encoding/json writes <, > and & as
// escapes, so no text of a seller's ends the element.
func jsonLD(data string) templ.Component {
	return templ.ComponentFunc(func(_ context.Context, w io.Writer) error {
		for _, s := range []string{`<script type="application/ld+json">`, data, `</script>`} {
			if _, err := io.WriteString(w, s); err != nil {
				return err
			}
		}
		return nil
	})
}

func graph(what any, crumbs ldCrumbs) string {
	b, err := json.Marshal(ldGraph{"https://schema.org", [2]any{what, crumbs}})
	if err != nil {
		panic(err) // texts and numbers always encode
	}
	return string(b)
}

// meta is the page's own with what software reads of it. A page that isn't indexed has none.
func (p *Agent) meta(site Site) Meta {
	m := p.Meta
	if m.NoIndex || site.BaseURL == "" {
		return m
	}
	m.data = graph(p.product(site), crumbList(site, p.trail()))
	return m
}

// product is schema.org's Product, as search engines ask for it: name, offers with price,
// currency and availability, and the rating where there is one.
// https://developers.google.com/search/docs/appearance/structured-data/product-snippet
func (p *Agent) product(site Site) ldProduct {
	address := site.absolute(AgentPath(p.Slug))
	return ldProduct{
		Type: "Product", ID: address + "#product", Name: p.Name, Description: p.Summary, URL: address, SKU: p.ID,
		Image: site.absolute(p.Meta.Image), Category: p.category().Title,
		Brand:  ldParty{Type: "Brand", Name: p.Seller.Name},
		Offers: p.offers(site, address), Rating: rated(p.Rating),
	}
}

func (p *Agent) offers(site Site, address string) []ldOffer {
	list := make([]ldOffer, len(p.Offers))
	for i, o := range p.Offers {
		price := o.Price
		if price.Currency == "" {
			price = market.Money{Currency: market.Currency(p.Currency)}
		}
		list[i] = ldOffer{
			Type: "Offer", Name: o.Name, URL: address, Price: price.Decimal(), Currency: string(price.Currency),
			Availability: "https://schema.org/InStock", Seller: organization(site, p.Seller),
		}
	}
	return list
}

func organization(site Site, s Seller) ldParty {
	return ldParty{Type: "Organization", Name: s.Name, URL: site.absolute(s.Href)}
}

// rated is nil for what nobody has rated.
func rated(r Rating) *ldRating {
	if r.Count() == 0 {
		return nil
	}
	return &ldRating{Type: "AggregateRating", Value: oneDigit(r.Mean()), Count: r.Count(), Best: 5, Worst: 1}
}

// crumbList is schema.org's BreadcrumbList; the last one, the page itself, has no address.
func crumbList(site Site, links []Link) ldCrumbs {
	items := make([]ldCrumb, len(links))
	for i, l := range links {
		items[i] = ldCrumb{Type: "ListItem", Position: i + 1, Name: l.Text, Item: site.absolute(l.Href)}
	}
	return ldCrumbs{"BreadcrumbList", items}
}

func (p SellerProfile) meta(site Site) Meta {
	m := p.Meta
	if m.NoIndex || site.BaseURL == "" {
		return m
	}
	n := organization(site, p.Seller)
	n.SameAs, n.Description = p.Site, p.Meta.Description
	m.data = graph(n, crumbList(site, []Link{{"All agents", "/search"}, {Text: p.Seller.Name}}))
	return m
}

// hostOf is the host of an address, as a reader knows it.
func hostOf(address string) string {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" {
		return address
	}
	return u.Host
}
