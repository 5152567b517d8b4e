package views

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/url"

	"github.com/a-h/templ"

	"github.com/souk-market/souk/internal/market"
)

// node is an object of JSON-LD in schema.org's vocabulary.
type node map[string]any

// jsonLD is a script element that no browser runs. encoding/json writes <, > and & as
// escapes, so no text of a seller's ends the element.
func jsonLD(data string) templ.Component {
	return templ.ComponentFunc(func(_ context.Context, w io.Writer) error {
		_, err := io.WriteString(w, `<script type="application/ld+json">`+data+`</script>`)
		return err
	})
}

func graph(nodes ...node) string {
	var b bytes.Buffer
	if err := json.NewEncoder(&b).Encode(node{"@context": "https://schema.org", "@graph": nodes}); err != nil {
		panic(err) // maps of texts and numbers always encode
	}
	return string(bytes.TrimSpace(b.Bytes()))
}

// meta is the page's own with what software reads of it. A page that isn't indexed has none.
func (p Agent) meta(site Site) Meta {
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
func (p Agent) product(site Site) node {
	address := site.absolute(AgentPath(p.Slug))
	n := node{
		"@type": "Product", "@id": address + "#product", "name": p.Name, "url": address, "sku": p.ID,
		"brand": node{"@type": "Brand", "name": p.Seller.Name},
	}
	if p.Summary != "" {
		n["description"] = p.Summary
	}
	if p.Meta.Image != "" {
		n["image"] = site.absolute(p.Meta.Image)
	}
	if c := p.category(); c.Slug != "" {
		n["category"] = c.Title
	}
	if len(p.Offers) > 0 {
		n["offers"] = p.offers(site, address)
	}
	if p.Rating.Count() > 0 {
		n["aggregateRating"] = rated(p.Rating)
	}
	return n
}

func (p Agent) offers(site Site, address string) []node {
	var list []node
	for _, o := range p.Offers {
		price, currency := o.Price, string(o.Price.Currency)
		if currency == "" {
			currency = p.Currency
			price = market.Money{Currency: market.Currency(currency)}
		}
		n := node{
			"@type": "Offer", "url": address, "price": price.Decimal(), "priceCurrency": currency,
			"availability": "https://schema.org/InStock",
			"seller":       organization(site, p.Seller),
		}
		if o.Name != "" {
			n["name"] = o.Name
		}
		list = append(list, n)
	}
	return list
}

func organization(site Site, s Seller) node {
	n := node{"@type": "Organization", "name": s.Name}
	if s.Href != "" {
		n["url"] = site.absolute(s.Href)
	}
	return n
}

func rated(r Rating) node {
	return node{"@type": "AggregateRating", "ratingValue": oneDigit(r.Mean()), "reviewCount": r.Count(), "bestRating": 5, "worstRating": 1}
}

// crumbList is schema.org's BreadcrumbList; the last one, the page itself, has no address.
func crumbList(site Site, links []Link) node {
	items := make([]node, len(links))
	for i, l := range links {
		items[i] = node{"@type": "ListItem", "position": i + 1, "name": l.Text}
		if l.Href != "" {
			items[i]["item"] = site.absolute(l.Href)
		}
	}
	return node{"@type": "BreadcrumbList", "itemListElement": items}
}

func (p SellerProfile) meta(site Site) Meta {
	m := p.Meta
	if m.NoIndex || site.BaseURL == "" {
		return m
	}
	n := organization(site, p.Seller)
	if p.Site != "" {
		n["sameAs"] = p.Site
	}
	if p.Meta.Description != "" {
		n["description"] = p.Meta.Description
	}
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
