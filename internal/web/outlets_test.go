package web_test

import (
	"bytes"
	"context"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"image/png"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/PuerkitoBio/goquery"

	"github.com/souk-market/souk/internal/market"
	"github.com/souk-market/souk/store"
	"github.com/souk-market/souk/views/markdown"
)

// change writes an agent's record anew after fn, and waits until the index has it.
func (b *bazaar) change(id market.AgentID, fn func(tx *store.Tx, a *market.Agent) error) {
	b.t.Helper()
	b.write(market.MainTenant, func(tx *store.Tx) error {
		a, err := store.Agents.Load(tx, id)
		if err != nil {
			return err
		}
		if err := fn(tx, &a); err != nil {
			return err
		}
		return store.Agents.Put(tx, &a)
	})
}

func (b *bazaar) write(tenant market.TenantID, fn func(tx *store.Tx) error) {
	b.t.Helper()
	if _, err := b.db.Update(context.Background(), tenant, store.Op{}, fn); err != nil {
		b.t.Fatal(err)
	}
	if err := b.index.WaitFor(context.Background(), b.db.LastLSN()); err != nil {
		b.t.Fatal(err)
	}
}

// look opens an address and parses what is there.
func (b *bazaar) look(path string, status int) *goquery.Document {
	b.t.Helper()
	p := b.browser().get(path)
	if p.StatusCode != status {
		b.t.Fatalf("%s answers %d, want %d", path, p.StatusCode, status)
	}
	doc, err := goquery.NewDocumentFromReader(strings.NewReader(p.body))
	if err != nil {
		b.t.Fatal(err)
	}
	return doc
}

// outlets are all public addresses that may tell of an agent, its own pages left aside.
var outlets = []string{
	"/", "/search", "/search?q=free", "/search?q=thing", "/search?category=data", "/sellers/attic", "/sitemap.xml", "/sitemaps/1.xml", "/sitemaps/2.xml",
	"/llms.txt", "/robots.txt", "/agents/paid-thing", "/agents/paid-thing.md",
	"/search/feed.atom", "/search/feed.json", "/search/feed.atom?q=thing", "/search/feed.json?category=data", "/categories/data/feed.atom",
	"/categories/data/feed.json", "/tags/tools/feed.atom", "/tags/tools/feed.json", "/sellers/attic/feed.atom", "/sellers/attic/feed.json",
}

// told are the outlets that name something.
func (b *bazaar) told(words ...string) (list []string) {
	b.t.Helper()
	for _, path := range outlets {
		p := b.browser().get(path)
		if p.StatusCode >= 500 {
			b.t.Errorf("%s answers %d", path, p.StatusCode)
		}
		for _, w := range words {
			if strings.Contains(p.body, w) {
				list = append(list, path)
				break
			}
		}
	}
	return list
}

// TestOutletsTellOfWhatIsOnTheShelfAlone: an agent is in all outlets while it is published,
// and in none in any other state or of another marketplace.
func TestOutletsTellOfWhatIsOnTheShelfAlone(t *testing.T) {
	b := open(t, false)
	id := b.free.ID
	b.change(id, func(_ *store.Tx, a *market.Agent) error {
		a.Tags = []market.Tag{"tools"}
		return nil
	})
	silent := []string{"/robots.txt", "/sitemap.xml", "/sitemaps/1.xml"}
	if told := b.told("free-thing", "Free Thing", string(id)); len(told) != len(outlets)-len(silent)-1 { // and the other's twin
		t.Errorf("of %d outlets %d tell of a published agent: %v", len(outlets), len(told), told)
	}
	b.write("ten_other", func(tx *store.Tx) error {
		return store.Agents.Insert(tx, &market.Agent{
			ID: "agt_foreign", Slug: "foreign", Name: "Foreign Thing", Category: "data", Seller: "sel_x", State: market.ListingPublished,
			Tags: []market.Tag{"tools"}, Offer: market.Offer{ID: "off_x"}, Release: market.Release{File: market.File{OnDemand: true}}, Created: tx.Now(), Updated: tx.Now(),
		})
	})
	if told := b.told("foreign", "Foreign"); len(told) > 0 {
		t.Errorf("outlets tell of another marketplace's agent: %v", told)
	}
	b.look("/agents/foreign", http.StatusNotFound)
	for _, c := range []struct {
		state  market.ListingState
		status int
		says   string
	}{
		{market.ListingDraft, 404, "There is no such agent."},
		{market.ListingInReview, 404, "There is no such agent."},
		{market.ListingChangesRequested, 404, "There is no such agent."},
		{market.ListingApproved, 404, "There is no such agent."},
		{market.ListingUnlisted, 200, "This page is not listed."},
		{market.ListingPaused, 404, "Free Thing is paused"},
		{market.ListingSuspended, 404, "This agent is suspended"},
		{market.ListingArchived, 410, "Free Thing is not sold any more"},
		{market.ListingRemoved, 410, "This agent was removed"},
	} {
		t.Run(string(c.state), func(t *testing.T) {
			b.t = t
			b.change(id, func(_ *store.Tx, a *market.Agent) error {
				a.State = c.state
				return nil
			})
			if told := b.told("free-thing", "Free Thing", string(id)); len(told) > 0 {
				t.Errorf("outlets tell of it: %v", told)
			}
			page := b.look("/agents/free-thing", c.status)
			if !strings.Contains(page.Find("main").Text(), c.says) {
				t.Errorf("its page doesn't say %q", c.says)
			}
			if page.Find("meta[name=robots][content=noindex]").Length() != 1 || page.Find("script[type='application/ld+json']").Length() != 0 {
				t.Error("its page may be indexed")
			}
			b.look("/agents/free-thing.md", http.StatusNotFound)
		})
	}
	b.change(id, func(_ *store.Tx, a *market.Agent) error {
		a.State = market.ListingPublished
		return nil
	})
	b.look("/agents/free-thing", http.StatusOK)
}

// TestSearchesThatEnginesKeep: of searches those alone whose words are all in what they find.
func TestSearchesThatEnginesKeep(t *testing.T) {
	b := open(t, false)
	for path, kept := range map[string]bool{
		"/search": true, "/search?q=thing": true, "/search?q=free+thing": true, "/categories/data": true,
		"/search?q=thinng": false, "/search?q=nothing-like-it": false, "/search?q=thing&price=free": false, "/search?q=thing&sort=price": false,
		"/search?q=thing+-cheap+-watches": false, "/search?price=free": false, "/search?q=thing+" + strings.Repeat("the+", 20): false,
	} {
		page := b.look(path, http.StatusOK)
		if got := page.Find("meta[name=robots]").Length() == 0; got != kept {
			t.Errorf("%s: kept is %t, want %t", path, got, kept)
		}
		if kept && len(page.Find("meta[name=description]").AttrOr("content", "")) < 20 {
			t.Errorf("%s doesn't describe itself", path)
		}
	}
}

func TestOldSlugsLeadOn(t *testing.T) {
	b := open(t, false)
	b.write(market.MainTenant, func(tx *store.Tx) error {
		return store.Redirects.Insert(tx, &market.Redirect{Slug: "first-name", Agent: b.free.ID, Since: tx.Now()})
	})
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	for from, to := range map[string]string{
		"/agents/first-name": "/agents/free-thing", "/agents/first-name.md": "/agents/free-thing.md",
		"/agents/first-name/reviews?page=2": "/agents/free-thing/reviews?page=2", "/terms": "/pages/terms",
	} {
		r, err := client.Get(b.URL + from)
		if err != nil {
			t.Fatal(err)
		}
		r.Body.Close()
		if got := r.Header.Get("Location"); r.StatusCode != http.StatusMovedPermanently || got != to {
			t.Errorf("%s leads to %q with %d, want %q with 301", from, got, r.StatusCode, to)
		}
	}
}

// structured is what a page says to search engines: its nodes by type.
func structured(t *testing.T, doc *goquery.Document) map[string]map[string]any {
	t.Helper()
	var data struct {
		Context string           `json:"@context"`
		Graph   []map[string]any `json:"@graph"`
	}
	text := doc.Find("script[type='application/ld+json']").Text()
	if err := json.Unmarshal([]byte(text), &data); err != nil || data.Context != "https://schema.org" {
		t.Fatalf("%v in %s", err, text)
	}
	nodes := map[string]map[string]any{}
	for _, n := range data.Graph {
		nodes[n["@type"].(string)] = n
	}
	return nodes
}

// required are the fields without which search engines leave a thing out:
// developers.google.com/search/docs/appearance/structured-data (merchant listing, product
// snippet, breadcrumb).
var required = map[string][]string{
	"Product":         {"name", "image", "offers", "description"},
	"Offer":           {"price", "priceCurrency", "availability", "url"},
	"AggregateRating": {"ratingValue", "reviewCount", "bestRating", "worstRating"},
	"BreadcrumbList":  {"itemListElement"},
	"ListItem":        {"position", "name"},
	"Organization":    {"name"},
	"Brand":           {"name"},
}

// mustBeComplete holds a node and those in it to the required fields.
func mustBeComplete(t *testing.T, v any) {
	t.Helper()
	switch v := v.(type) {
	case []any:
		for _, e := range v {
			mustBeComplete(t, e)
		}
	case map[string]any:
		kind, _ := v["@type"].(string)
		fields, known := required[kind]
		if !known {
			t.Errorf("a node of type %q", kind)
		}
		for _, f := range fields {
			if v[f] == nil || v[f] == "" {
				t.Errorf("%s without %s: %v", kind, f, v)
			}
		}
		for key, e := range v {
			if _, text := e.(string); !text || key == "" {
				mustBeComplete(t, e)
			}
		}
	}
}

// TestStructuredPriceIsTheCheckoutPrice buys each offer of an agent as far as the checkout
// page, and compares what it asks for with what search engines are told.
func TestStructuredPriceIsTheCheckoutPrice(t *testing.T) {
	b := open(t, false)
	b.change(b.paid.ID, func(tx *store.Tx, a *market.Agent) error {
		for i, stars := range []int{3, 5, 5, 5} {
			r := market.Review{
				ID: market.ReviewID(fmt.Sprintf("rev_%d", i)), Agent: a.ID, Line: market.LineID(fmt.Sprintf("lin_%d", i)), Name: "Reader",
				Stars: stars, State: market.ReviewPublished, Created: tx.Now(),
			}
			if err := store.Reviews.Put(tx, &r); err != nil {
				return err
			}
			a.Rating.Stars[stars-1]++
		}
		a.Summary, a.Offer.Name = "Does <b>it</b> & \u202emore</script>", "Single"
		a.Also = []market.Offer{{ID: "off_team", Name: "Team", Price: market.Money{Amount: 123456, Currency: "USD"}, License: true}, {ID: "off_free", Name: "Try", Price: market.Money{}}}
		return nil
	})
	doc := b.look("/agents/paid-thing", http.StatusOK)
	nodes := structured(t, doc)
	for _, n := range nodes {
		mustBeComplete(t, n)
	}
	rating := nodes["Product"]["aggregateRating"].(map[string]any)
	if rating["ratingValue"] != "4.5" || rating["reviewCount"] != 4.0 {
		t.Errorf("rated %v", rating)
	}
	told := map[string]string{}
	for _, o := range nodes["Product"]["offers"].([]any) {
		o := o.(map[string]any)
		told[o["name"].(string)] = fmt.Sprint(o["price"], " ", o["priceCurrency"])
	}
	if want := (map[string]string{"Single": "9.00 USD", "Team": "1234.56 USD", "Try": "0.00 USD"}); fmt.Sprint(told) != fmt.Sprint(want) {
		t.Errorf("told %v, want %v", told, want)
	}
	doc.Find("input[name=offer]").Each(func(i int, s *goquery.Selection) {
		id, _ := s.Attr("value")
		visitor := b.browser()
		visitor.post("/cart", url.Values{"agent": {string(b.paid.ID)}, "offer": {id}, "then": {"checkout"}})
		page, err := goquery.NewDocumentFromReader(strings.NewReader(visitor.get("/checkout").body))
		if err != nil {
			t.Fatal(err)
		}
		total, _ := page.Find("input[name=total]").Attr("value")
		name := doc.Find(".offer .offer-name").Eq(i).Text()
		if total != told[name] {
			t.Errorf("%s: told %s, the checkout asks for %s", name, told[name], total)
		}
	})
}

func TestSitemapsAreTrueAndCurrent(t *testing.T) {
	b := open(t, false)
	type urls struct {
		XMLName xml.Name
		Places  []struct {
			Loc     string    `xml:"loc"`
			Lastmod time.Time `xml:"lastmod"`
		} `xml:",any"`
	}
	read := func(path string) (u urls) {
		t.Helper()
		p := b.browser().get(path)
		if err := xml.Unmarshal([]byte(p.body), &u); err != nil || !strings.HasPrefix(p.Header.Get("Content-Type"), "application/xml") {
			t.Fatalf("%s: %v", path, err)
		}
		return u
	}
	index := read("/sitemap.xml")
	if index.XMLName.Local != "sitemapindex" || len(index.Places) != 2 || index.Places[1].Loc != b.URL+"/sitemaps/2.xml" {
		t.Fatalf("the index: %+v", index)
	}
	locs := func(u urls) (list []string) {
		for _, p := range u.Places {
			list = append(list, strings.TrimPrefix(p.Loc, b.URL))
		}
		return list
	}
	if got := locs(read("/sitemaps/1.xml")); !slices.Contains(got, "/sellers/attic") || !slices.Contains(got, "/pages/terms") || !slices.Contains(got, "/") {
		t.Errorf("the shop's sitemap: %v", got)
	}
	b.look("/sitemaps/3.xml", http.StatusNotFound)
	b.look("/sitemaps/02.xml", http.StatusNotFound)
	moment := time.Date(2027, 1, 2, 3, 4, 5, 0, time.UTC)
	b.change(b.free.ID, func(_ *store.Tx, a *market.Agent) error {
		a.Updated = moment
		return nil
	})
	if got := read("/sitemap.xml"); !got.Places[1].Lastmod.Equal(moment) {
		t.Errorf("after a change the index says %v", got.Places[1].Lastmod)
	}
	agents := read("/sitemaps/2.xml")
	i := slices.Index(locs(agents), "/agents/free-thing")
	if i < 0 || len(agents.Places) != 2 || !agents.Places[i].Lastmod.Equal(moment) {
		t.Errorf("agents: %+v", agents)
	}
	for _, path := range append(locs(read("/sitemaps/1.xml")), locs(agents)...) {
		if strings.HasPrefix(path, "/categories/") {
			continue // listings are tested on their own
		}
		page := b.look(path, http.StatusOK)
		if canonical, _ := page.Find("link[rel=canonical]").Attr("href"); canonical != b.URL+path {
			t.Errorf("%s names %q as its address", path, canonical)
		}
	}
}

func TestFeeds(t *testing.T) {
	b := open(t, false)
	const nasty = "A </title> ]]> & \x01 \u202e\"thing\""
	b.change(b.free.ID, func(_ *store.Tx, a *market.Agent) error {
		a.Tags = []market.Tag{"tools"}
		a.Name, a.Summary, a.Updated = nasty, nasty, time.Date(2027, 1, 2, 3, 4, 5, 0, time.UTC)
		return nil
	})
	b.change(b.paid.ID, func(_ *store.Tx, a *market.Agent) error {
		a.Updated = time.Time{}
		a.Also = []market.Offer{{ID: "off_less", Name: "Less", Price: market.Money{Amount: 500, Currency: "USD"}}}
		return nil
	})
	var atom struct {
		ID      string `xml:"id"`
		Updated string `xml:"updated"`
		Links   []struct {
			Rel  string `xml:"rel,attr"`
			Href string `xml:"href,attr"`
		} `xml:"link"`
		Entries []struct {
			ID        string    `xml:"id"`
			Title     string    `xml:"title"`
			Author    string    `xml:"author>name"`
			Summary   string    `xml:"summary"`
			Updated   time.Time `xml:"updated"`
			Published time.Time `xml:"published"`
		} `xml:"entry"`
	}
	p := b.browser().get("/search/feed.atom?q=thing")
	if err := xml.Unmarshal([]byte(p.body), &atom); err != nil {
		t.Fatal(err)
	}
	if len(atom.Entries) != 2 || atom.Updated != "2027-01-02T03:04:05Z" || atom.Links[0].Href != b.URL+"/search/feed.atom?q=thing" || atom.Links[1].Href != b.URL+"/search?q=thing" {
		t.Errorf("%+v", atom)
	}
	if e := atom.Entries[0]; e.Author != "Attic" || !strings.HasSuffix(e.ID, ":"+string(b.free.ID)) || strings.ReplaceAll(e.Title, "\ufffd", "\x01") != nasty {
		t.Errorf("the first entry: %+v", e)
	}
	if got := atom.Entries[1].Summary; !strings.HasSuffix(got, "From 5.00 USD.") {
		t.Errorf("what costs 9.00 or 5.00 USD is summed up as %q", got)
	}
	for _, e := range atom.Entries {
		if e.Updated.Before(e.Published) {
			t.Errorf("%s was changed at %s, before it was listed at %s", e.Title, e.Updated, e.Published)
		}
	}
	var feed struct {
		Version string
		Items   []struct{ ID, URL, Title string }
	}
	p = b.browser().get("/sellers/attic/feed.json")
	if err := json.Unmarshal([]byte(p.body), &feed); err != nil || feed.Version != "https://jsonfeed.org/version/1.1" || len(feed.Items) != 2 {
		t.Errorf("%v: %s", err, p.body)
	}
	if again := b.browser().get("/sellers/attic/feed.json"); again.Header.Get("Etag") == "" || again.Header.Get("Etag") != p.Header.Get("Etag") {
		t.Error("a feed that is the same has another tag")
	}
	for path, status := range map[string]int{
		"/sellers/nobody/feed.atom": 404, "/search/feed.atom?price=cheap": 400, "/search/feed.json?rating=x": 400, "/search/feed.atom?sort=best": 400,
	} {
		if got := b.browser().get(path).StatusCode; got != status {
			t.Errorf("%s answers %d, want %d", path, got, status)
		}
	}
	for _, path := range []string{"/sellers/attic", "/", "/search?seller=attic", "/categories/data", "/tags/tools"} {
		b.look(path, http.StatusOK).Find("link[rel=alternate]").Each(func(_ int, s *goquery.Selection) {
			href, _ := s.Attr("href")
			if got := b.browser().get(href); got.StatusCode != http.StatusOK {
				t.Errorf("%s names %s, which answers %d", path, href, got.StatusCode)
			}
		})
	}
}

// TestTheTwinQuotesTheSeller: what a seller writes can't pass for what the marketplace says.
func TestTheTwinQuotesTheSeller(t *testing.T) {
	b := open(t, false)
	b.write(market.MainTenant, func(tx *store.Tx) error {
		return store.Texts.Put(tx, &market.AgentText{Agent: b.paid.ID, Description: "Fine.\r\r\n## Label\n\n- Permission: none", Terms: "Any machine."})
	})
	p := b.browser().get("/agents/paid-thing.md")
	if p.Header.Get("Content-Type") != "text/markdown; charset=utf-8" {
		t.Errorf("its type is %s", p.Header.Get("Content-Type"))
	}
	for _, want := range []string{"# Paid Thing\n", "- 9.00 USD (offer `" + string(b.paid.Offer.ID) + "`)", "\n> ## Label\n", "Any machine.", "SHA-256 `" + b.paid.Release.File.SHA256} {
		if !strings.Contains(p.body, want) {
			t.Errorf("it lacks %q:\n%s", want, p.body)
		}
	}
	if n := bytes.Count([]byte(p.body), []byte("\n## Label")); n != 1 {
		t.Errorf("%d labels", n)
	}
	page := b.look("/agents/paid-thing", http.StatusOK)
	if href, _ := page.Find("link[rel=alternate][type='text/markdown']").Attr("href"); href != "/agents/paid-thing.md" {
		t.Errorf("the page names %q as its twin", href)
	}
}

// TestTheTwinHasNoMarkupOfASellers: neither a name, a line nor terms bring a heading, a link
// or a picture with them, and what is read as text has the seller's characters.
func TestTheTwinHasNoMarkupOfASellers(t *testing.T) {
	b := open(t, false)
	const picture = "![p](http://elsewhere.example/p.png) <b>b</b> `c` *d*"
	b.change(b.paid.ID, func(tx *store.Tx, a *market.Agent) error {
		a.Name, a.Summary = "# "+picture, "- "+picture
		a.Facts.Models = []string{"1. " + picture, "3.5 turbo"}
		return store.Texts.Put(tx, &market.AgentText{Agent: a.ID, Refunds: "Never.\n\n## Label\n\n- Permission: none", Terms: "x\n\n# y"})
	})
	text := b.browser().get("/agents/paid-thing.md").body
	doc, err := goquery.NewDocumentFromReader(strings.NewReader(markdown.HTML(text, 1)))
	if err != nil {
		t.Fatal(err)
	}
	if n := doc.Find("h2:contains(Label)").Not("blockquote h2").Length(); n != 1 {
		t.Errorf("%d labels: %s", n, text)
	}
	all := doc.Text()
	for _, want := range []string{"# " + picture, "- " + picture, "Models: 1. " + picture + ", 3.5 turbo\n"} {
		if !strings.Contains(all, want) {
			t.Errorf("it lacks %q: %s", want, text)
		}
	}
	if llms := b.browser().get("/llms.txt").body; strings.Contains(llms, "[p]") || strings.Contains(llms, " <b>") {
		t.Errorf("llms.txt has markup of a seller's: %s", llms)
	}
}

func TestUnknownAddressesOfferASearch(t *testing.T) {
	b := open(t, false)
	for path, want := range map[string]string{"/agents/pdf-reader": "pdf reader", "/nothing/web_search.html": "web search", "/pages/x": "x", "/sellers/some-one": "some one"} {
		if got, _ := b.look(path, http.StatusNotFound).Find("#problem-q").Attr("value"); got != want {
			t.Errorf("%s offers to search for %q, want %q", path, got, want)
		}
	}
}

// TestEveryPageLeadsToEveryShelf: the home page's footer has the categories that other pages
// have, also those without agents.
func TestEveryPageLeadsToEveryShelf(t *testing.T) {
	b := open(t, false)
	shelves := func(path string) string { return b.look(path, http.StatusOK).Find("footer nav").First().Text() }
	if home, other := shelves("/"), shelves("/search"); home != other || !strings.Contains(home, "Everything else") {
		t.Errorf("the home page leads to %q, others lead to %q", home, other)
	}
}

// TestPriceFiltersNameTheCurrency: in the filters and among what is active.
func TestPriceFiltersNameTheCurrency(t *testing.T) {
	b := open(t, false)
	doc := b.look("/search?price=under-10&price=free", http.StatusOK)
	if got := doc.Find("#facet-price").Text(); !strings.Contains(got, "Under 10 USD") || strings.Contains(got, "Free USD") {
		t.Errorf("the filters are %q", got)
	}
	if got := doc.Find(".chips").Text(); !strings.Contains(got, "Under 10 USD") {
		t.Errorf("the active filters are %q", got)
	}
}

func TestReviewsArePaged(t *testing.T) {
	b := open(t, false)
	b.write(market.MainTenant, func(tx *store.Tx) error {
		for i := range 45 {
			r := market.Review{
				ID: market.ReviewID(fmt.Sprintf("rev_%02d", i)), Agent: b.paid.ID, Line: market.LineID(fmt.Sprintf("lin_%02d", i)), Name: fmt.Sprintf("Reader %02d", i),
				Stars: 4, Text: "<img src=x onerror=alert(1)>", State: market.ReviewPublished, Created: tx.Now().Add(time.Duration(i) * time.Hour),
			}
			if i == 7 {
				r.State = market.ReviewRemoved
			}
			if err := store.Reviews.Put(tx, &r); err != nil {
				return err
			}
		}
		a, err := store.Agents.Load(tx, b.paid.ID)
		if err != nil {
			return err
		}
		a.Rating = market.Rating{Stars: [5]int{3: 44}}
		return store.Agents.Put(tx, &a)
	})
	seen := map[string]bool{}
	for page, want := range map[int]int{1: 20, 2: 20, 3: 4} {
		doc := b.look(fmt.Sprintf("/agents/paid-thing/reviews?page=%d", page), http.StatusOK)
		doc.Find(".review").Each(func(_ int, s *goquery.Selection) { seen[s.Find(".review-by bdi").First().Text()] = true })
		if got := doc.Find(".review").Length(); got != want || doc.Find("main img[onerror]").Length() > 0 {
			t.Errorf("page %d has %d reviews, want %d", page, got, want)
		}
	}
	if len(seen) != 44 || seen["Reader 07"] {
		t.Errorf("%d reviews are shown", len(seen))
	}
	b.look("/agents/paid-thing/reviews?page=4", http.StatusNotFound)
	b.look("/agents/paid-thing/reviews?page=51", http.StatusNotFound)
	if got := b.look("/agents/paid-thing", http.StatusOK).Find(".review").Length(); got != 4 {
		t.Errorf("the agent's page has %d reviews", got)
	}
}

func TestPreviewsAreOfWhatIsOnTheShelf(t *testing.T) {
	b := open(t, false)
	image, _ := b.look("/agents/free-thing", http.StatusOK).Find("meta[property='og:image']").Attr("content")
	path := strings.TrimPrefix(image, b.URL)
	p := b.browser().get(path)
	if config, err := png.DecodeConfig(strings.NewReader(p.body)); err != nil || config.Width != 1200 || config.Height != 630 || p.Header.Get("Content-Type") != "image/png" {
		t.Errorf("%s is no preview: %v, %+v", image, err, config)
	}
	b.change(b.free.ID, func(_ *store.Tx, a *market.Agent) error {
		a.State = market.ListingSuspended
		return nil
	})
	b.look(path, http.StatusNotFound)
	b.look("/og/agt_never.png", http.StatusNotFound)
	b.look("/og/x", http.StatusNotFound)
}
