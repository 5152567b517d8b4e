package web

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/souk-market/souk/internal/catalog"
	"github.com/souk-market/souk/internal/market"
	"github.com/souk-market/souk/internal/pagecache"
	"github.com/souk-market/souk/search"
	"github.com/souk-market/souk/store"
	"github.com/souk-market/souk/views"
)

// feedItems is how many agents a feed has.
const feedItems = 50

// Media types of feeds, by the ending of their address.
var feedTypes = map[string]string{"atom": "application/atom+xml", "json": "application/feed+json"}

// feedsOf are a listing's feeds, for its page's head. listing is its address, with the query.
func feedsOf(title, listing string) []views.Other {
	path, query, _ := strings.Cut(listing, "?")
	if query != "" {
		query = "?" + query
	}
	return []views.Other{
		{Type: feedTypes["atom"], Title: title, Href: path + "/feed.atom" + query},
		{Type: feedTypes["json"], Title: title, Href: path + "/feed.json" + query},
	}
}

// feed is a listing for software that looks again: the same agents under the same filters,
// the last updated first unless an order is asked for.
type feed struct {
	title   string
	home    string // address of the listing
	self    string // and of the feed
	updated time.Time
	items   []catalog.Listing
}

// feed answers at a listing's address with /feed.atom or /feed.json behind it.
func (s *Server) feed(w http.ResponseWriter, r *http.Request) error {
	ext := r.URL.Path[strings.LastIndexByte(r.URL.Path, '.')+1:]
	q, title, err := s.feedQuery(r)
	if err != nil {
		return err
	}
	found, err := s.Catalog.Search(r.Context(), q)
	if err != nil {
		return err
	}
	query := ""
	if form := r.URL.Query(); len(form) > 0 {
		query = "?" + form.Encode()
	}
	f := feed{
		title: title + " · " + s.Name, self: s.BaseURL + r.URL.EscapedPath() + query, items: found.Listings,
		home: s.BaseURL + strings.TrimSuffix(r.URL.EscapedPath(), "/feed."+ext) + query,
	}
	for _, l := range f.items {
		if at := changed(&l.Agent); at.After(f.updated) {
			f.updated = at
		}
	}
	body, err := s.atom(&f)
	if ext == "json" {
		body, err = s.jsonFeed(&f)
	}
	if err != nil {
		return err
	}
	return s.publicBody(w, r, feedTypes[ext]+"; charset=utf-8", body)
}

// feedQuery reads the listing that a feed is of, and what it is called.
func (s *Server) feedQuery(r *http.Request) (q search.Query, title string, err error) {
	form := r.URL.Query()
	if q.Filters, err = readFilters(form); err != nil {
		return q, "", err
	}
	q.Text, q.Sort, q.Limit = market.CleanText(form.Get("q")), search.ByDate, feedItems
	if order := form.Get("sort"); order != "" && order != "relevance" {
		q.Sort = search.Sort(order)
	}
	title = "New agents"
	if q.Text != "" {
		title = "“" + q.Text + "”"
	}
	slug, sellers := r.PathValue("slug"), form.Get("seller")
	if strings.HasPrefix(r.Pattern, "GET /sellers/") {
		sellers = slug
	}
	err = s.Catalog.Store.View(r.Context(), s.Catalog.Tenant, func(tx *store.ReadTx) error {
		switch {
		case strings.HasPrefix(r.Pattern, "GET /categories/"):
			tree, err := catalog.Shelves(tx)
			if err != nil {
				return err
			}
			q.Filters.Categories, title = []market.Category{market.Category(slug)}, tree.Shelf(market.Category(slug)).Title
		case strings.HasPrefix(r.Pattern, "GET /tags/"):
			q.Filters.Tags, title = []market.Tag{market.Tag(slug)}, "Agents tagged "+slug
		}
		if sellers != "" {
			seller, err := store.SellerBySlug.Load(tx, sellers)
			q.Filters.Seller, title = seller.ID, seller.Name
			return err
		}
		return nil
	})
	return q, title, err
}

// readFilters reads the filters of a search's address. Values that are none are Invalid
// where the search says so.
func readFilters(form url.Values) (f search.Filters, err error) {
	f.Categories = named[market.Category](form["category"])
	f.Tags = named[market.Tag](form["tag"])
	f.Price = named[search.PriceBand](form["price"])
	f.Types = named[search.Type](form["type"])
	f.Runtimes = named[string](form["runtime"])
	f.Without = named[market.Permission](form["without"])
	f.Verified = form.Get("verified") == "yes"
	if stars := form.Get("rating"); stars != "" {
		if f.MinRating, err = strconv.Atoi(stars); err != nil {
			return f, market.FieldErrorf("rating", "A rating is a number of stars from 1 to 5.")
		}
	}
	return f, nil
}

func named[T ~string](values []string) (list []T) {
	for _, v := range values {
		if v != "" {
			list = append(list, T(v))
		}
	}
	return list
}

// publicBody is public for what isn't HTML.
func (s *Server) publicBody(w http.ResponseWriter, r *http.Request, mediaType string, body []byte) error {
	h := w.Header()
	h.Set("Cache-Control", pagecache.Revalidate)
	h.Set("Content-Type", mediaType)
	tag := entityTag(body)
	h.Set("ETag", tag)
	if has(r, tag) {
		w.WriteHeader(http.StatusNotModified)
		return nil
	}
	h.Set("Content-Length", strconv.Itoa(len(body)))
	if r.Method != http.MethodHead {
		w.Write(body) // a visitor who has gone is no error of ours
	}
	return nil
}

// tagURI names an agent for good, whatever becomes of its slug (RFC 4151).
func (s *Server) tagURI(id string) string {
	host := "souk"
	if u, err := url.Parse(s.BaseURL); err == nil && u.Hostname() != "" {
		host = u.Hostname()
	}
	return "tag:" + host + ",2026:" + id
}

// atomFeed is a feed as RFC 4287 has it.
type atomFeed struct {
	XMLName xml.Name    `xml:"http://www.w3.org/2005/Atom feed"`
	ID      string      `xml:"id"`
	Title   string      `xml:"title"`
	Updated string      `xml:"updated"`
	Links   []atomLink  `xml:"link"`
	Entries []atomEntry `xml:"entry"`
}

type atomLink struct {
	Rel  string `xml:"rel,attr"`
	Type string `xml:"type,attr,omitempty"`
	Href string `xml:"href,attr"`
}

type atomEntry struct {
	ID        string     `xml:"id"`
	Title     string     `xml:"title"`
	Updated   string     `xml:"updated"`
	Published string     `xml:"published"`
	Author    string     `xml:"author>name"`
	Links     []atomLink `xml:"link"`
	Summary   string     `xml:"summary"`
	Category  struct {
		Term string `xml:"term,attr"`
	} `xml:"category"`
}

func (s *Server) atom(f *feed) ([]byte, error) {
	out := atomFeed{
		ID: f.self, Title: f.title, Updated: rfc3339(f.updated),
		Links: []atomLink{{Rel: "self", Type: feedTypes["atom"], Href: f.self}, {Rel: "alternate", Type: "text/html", Href: f.home}},
	}
	for _, l := range f.items {
		e := atomEntry{
			ID: s.tagURI(string(l.ID)), Title: l.Name, Updated: rfc3339(changed(&l.Agent)), Published: rfc3339(l.Created), Author: l.Seller.Name,
			Links:   []atomLink{{Rel: "alternate", Type: "text/html", Href: s.BaseURL + views.AgentPath(l.Slug)}},
			Summary: summaryOf(&l),
		}
		e.Category.Term = string(l.Category)
		out.Entries = append(out.Entries, e)
	}
	var b bytes.Buffer
	b.WriteString(xml.Header)
	err := xml.NewEncoder(&b).Encode(out)
	return b.Bytes(), err
}

// rfc3339 is a time in UTC; the zero time, of a feed without items, is the beginning of
// Unix time, for every feed has a date.
func rfc3339(t time.Time) string {
	if t.IsZero() {
		t = time.Unix(0, 0)
	}
	return t.UTC().Format(time.RFC3339)
}

// changed is when a listing last changed for readers here: as its source tells it, and never
// before it was listed.
func changed(a *market.Agent) time.Time {
	if a.Updated.Before(a.Created) {
		return a.Created
	}
	return a.Updated
}

// summaryOf is an agent's promise with its lowest price.
func summaryOf(l *catalog.Listing) string {
	least, from := lowest(&l.Agent)
	price := "Free."
	switch {
	case from:
		price = "From " + least.String() + "."
	case !least.IsZero():
		price = least.String() + "."
	}
	return strings.TrimSpace(l.Summary + " " + price)
}

// jsonFeed is a feed as https://jsonfeed.org/version/1.1 has it.
func (s *Server) jsonFeed(f *feed) ([]byte, error) {
	type author struct {
		Name string `json:"name"`
		URL  string `json:"url"`
	}
	type item struct {
		ID        string       `json:"id"`
		URL       string       `json:"url"`
		Title     string       `json:"title"`
		Text      string       `json:"content_text"`
		Summary   string       `json:"summary,omitempty"`
		Image     string       `json:"image,omitempty"`
		Published string       `json:"date_published"`
		Modified  string       `json:"date_modified"`
		Authors   []author     `json:"authors"`
		Tags      []market.Tag `json:"tags,omitempty"`
	}
	items := make([]item, len(f.items))
	for i, l := range f.items {
		items[i] = item{
			ID: s.tagURI(string(l.ID)), URL: s.BaseURL + views.AgentPath(l.Slug), Title: l.Name, Text: summaryOf(&l), Summary: l.Summary,
			Image: s.BaseURL + ogPath(&l.Agent), Published: rfc3339(l.Created), Modified: rfc3339(changed(&l.Agent)),
			Authors: []author{{l.Seller.Name, s.BaseURL + views.SellerPath(l.Seller.Slug)}}, Tags: l.Tags,
		}
	}
	return json.Marshal(map[string]any{
		"version": "https://jsonfeed.org/version/1.1", "title": f.title, "home_page_url": f.home, "feed_url": f.self, "items": items,
	})
}
