package web

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"iter"
	"strconv"
	"strings"
	"time"

	"github.com/souk-market/souk/internal/catalog"
	"github.com/souk-market/souk/internal/market"
	"github.com/souk-market/souk/internal/pagecache"
	"github.com/souk-market/souk/store"
	"github.com/souk-market/souk/views"
)

// mapAgents is how many agents a sitemap is made of, of which it has those that are on the
// shelf. An address with its date takes up to 250 bytes, so a sitemap of agents has 0.5 MB at
// most: sitemaps.org allows 50,000 and 50 MB. The first sitemap has what else there is, up to
// maxSitemapSellers sellers.
const (
	mapAgents         = 2_000
	maxSitemapSellers = 40_000
)

const xmlType = "application/xml; charset=utf-8"

// mapEntry is an address in a sitemap.
type mapEntry struct {
	Address  string `xml:"loc"`
	Modified string `xml:"lastmod,omitempty"`
}

func (s *Server) mapped(path string, modified time.Time) mapEntry {
	p := mapEntry{Address: s.BaseURL + path}
	if !modified.IsZero() {
		p.Modified = rfc3339(modified)
	}
	return p
}

type placeSet struct {
	XMLName xml.Name   `xml:"http://www.sitemaps.org/schemas/sitemap/0.9 urlset"`
	Places  []mapEntry `xml:"url"`
}

type placeIndex struct {
	XMLName xml.Name   `xml:"http://www.sitemaps.org/schemas/sitemap/0.9 sitemapindex"`
	Places  []mapEntry `xml:"sitemap"`
}

func xmlDocument(v any) (content, error) {
	var b bytes.Buffer
	b.WriteString(xml.Header)
	if err := xml.NewEncoder(&b).Encode(v); err != nil {
		return content{}, err
	}
	return document(xmlType, b.Bytes())
}

// mapRange is the agents of a sitemap: mapAgents of them in the order of their IDs, or fewer
// at the end. So a new agent is in the last.
type mapRange struct {
	after, last market.AgentID // it begins after one, and ends with the other
	on          int            // agents on the shelf
	latest      time.Time      // of their dates
	whole       bool           // another one may follow
}

// mapRanges yields the ranges from the first on. Each is a part of its own, so a commit
// costs the index a reading of the range that it changes.
func (s *Server) mapRanges(tx store.Reader) iter.Seq2[mapRange, error] {
	return func(yield func(mapRange, error) bool) {
		for next := (mapRange{whole: true}); next.whole; {
			var err error
			next, err = pagecache.Part(s.Pages, tx, s.partKey("map range", string(next.last)), func(tx store.Reader) (mapRange, int, error) {
				m, err := mapRangeAfter(tx, next.last)
				return m, mapRangeSize, err
			})
			if !yield(next, err) || err != nil {
				return
			}
		}
	}
}

// mapRangeSize is what a mapRange takes in memory, in bytes.
const mapRangeSize = 128

func mapRangeAfter(tx store.Reader, after market.AgentID) (mapRange, error) {
	m, n := mapRange{after: after, last: after}, 0
	for a, err := range store.Agents.All(tx, after) {
		if err != nil {
			return m, err
		}
		m.last = a.ID
		if a.Visible() {
			m.on++
			if a.Updated.After(m.latest) {
				m.latest = a.Updated
			}
		}
		if n++; n == mapAgents {
			m.whole = true
			break
		}
	}
	return m, nil
}

// sitemapIndex names the sitemaps, each with the latest date in it.
func (s *Server) sitemapIndex(tx store.Reader, _ address) (content, error) {
	index := placeIndex{Places: []mapEntry{s.mapped("/sitemaps/1.xml", time.Time{})}}
	n := 1
	for m, err := range s.mapRanges(tx) {
		if err != nil {
			return content{}, err
		}
		if n++; m.on > 0 {
			index.Places = append(index.Places, s.mapped(fmt.Sprintf("/sitemaps/%d.xml", n), m.latest))
		}
	}
	return xmlDocument(index)
}

// sitemap is one of the index's: the first has what isn't agents.
func (s *Server) sitemap(tx store.Reader, at address) (content, error) {
	name, isXML := strings.CutSuffix(at.Path("file"), ".xml")
	n, err := strconv.Atoi(name)
	if !isXML || err != nil || n < 1 || strconv.Itoa(n) != name {
		return content{}, noSitemap()
	}
	if n == 1 {
		return s.shopMap(tx)
	}
	for m, err := range s.mapRanges(tx) {
		if err != nil {
			return content{}, err
		}
		if n--; n == 1 {
			return s.agentMap(tx, m)
		}
	}
	return content{}, noSitemap()
}

func noSitemap() error { return market.Errorf(market.NotFound, "There is no such sitemap.") }

// agentMap is the sitemap of a range.
func (s *Server) agentMap(tx store.Reader, m mapRange) (content, error) {
	if m.on == 0 {
		return content{}, noSitemap()
	}
	set := placeSet{Places: make([]mapEntry, 0, m.on)}
	for a, err := range store.Agents.All(tx, m.after) {
		if err != nil {
			return content{}, err
		}
		if a.Visible() {
			set.Places = append(set.Places, s.mapped(views.AgentPath(a.Slug), a.Updated))
		}
		if a.ID == m.last {
			break
		}
	}
	return xmlDocument(set)
}

// shopMap has the front page, the shelves with something on them, the sellers who sell
// something, and the operator's texts.
func (s *Server) shopMap(tx store.Reader) (content, error) {
	set := placeSet{Places: []mapEntry{s.mapped("/", time.Time{}), s.mapped("/search", time.Time{})}}
	tree, err := catalog.Shelves(tx)
	if err != nil {
		return content{}, err
	}
	counts, err := catalog.ShelfCounts(tx)
	if err != nil {
		return content{}, err
	}
	for _, b := range tree {
		for _, c := range tree.Within(b.Category) {
			if counts.Of(tree, c) > 0 {
				set.Places = append(set.Places, s.mapped(views.CategoryPath(string(c)), time.Time{}))
			}
		}
	}
	for _, shelf := range counts.Loose(tree) {
		set.Places = append(set.Places, s.mapped(views.CategoryPath(string(shelf.Category)), time.Time{}))
	}
	if set.Places, err = s.sellerPlaces(tx, set.Places); err != nil {
		return content{}, err
	}
	texts, err := catalog.StaticPages(tx)
	for _, p := range texts {
		set.Places = append(set.Places, s.mapped(pagePath(p.Slug), p.Updated))
	}
	if err != nil {
		return content{}, err
	}
	return xmlDocument(set)
}

func (s *Server) sellerPlaces(tx store.Reader, places []mapEntry) ([]mapEntry, error) {
	n := 0
	for seller, err := range store.Sellers.All(tx, "") {
		if err != nil {
			return nil, err
		}
		sells, err := sellsSomething(tx, seller.ID)
		if err != nil {
			return nil, err
		}
		if !sells {
			continue
		}
		places = append(places, s.mapped(views.SellerPath(seller.Slug), time.Time{}))
		if n++; n == maxSitemapSellers {
			break
		}
	}
	return places, nil
}

// sellsSomething reports whether one of a seller's first agents is for sale.
func sellsSomething(tx store.Reader, id market.SellerID) (bool, error) {
	looked := 0
	for row, err := range store.AgentsOfSeller.Scan(tx, id, "") {
		if err != nil || row.Record.Visible() {
			return err == nil, err
		}
		if looked++; looked == catalog.MaxSellerAgents {
			break
		}
	}
	return false, nil
}

// robots says what to leave alone: what is personal, and searches beyond those of a text
// alone, of which there is no end. The longest rule that matches an address counts (RFC
// 9309, 2.2.2). Categories, tags and sellers lead to everything.
func (s *Server) robots(store.Reader, address) (content, error) {
	return document("text/plain; charset=utf-8", []byte(`User-agent: *
Disallow: /cart
Disallow: /checkout
Disallow: /account
Disallow: /sign-in
Disallow: /o/
Disallow: /dev/
Disallow: /sandbox/
Disallow: /suggest
Disallow: /search?
Allow: /search?q=
Disallow: /search?q=*&

Sitemap: `+s.BaseURL+"/sitemap.xml\n"))
}
