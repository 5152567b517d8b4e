package views

import (
	"strings"
	"testing"
	"time"

	"github.com/PuerkitoBio/goquery"
	"github.com/a-h/templ"

	"github.com/souk-market/souk/internal/market"
)

// hostile is what a seller might type to break a page.
const hostile = `"><script>alert(1)</script><img src=x onerror=alert(2)>' style="color:red`

const sum = "3f9a0c7be2d418563f9a0c7be2d418563f9a0c7be2d418563f9a0c7be2d41856"

func dollars(n int64) market.Money { return market.Money{Amount: n * 100, Currency: "USD"} }

func testSite() Site {
	return Site{
		Name: "Souk", BaseURL: "https://souk.example", Sandbox: true, DevMail: true,
		Categories: Categories(map[string]int{
			"mcp-server": 11602, "other": 5124, "coding": 3164, "sdk": 2898, "orchestration": 1781, "rag-search": 1440, "evaluation": 1342,
			"cli-tool": 788, "chatbot": 672, "data": 493, "voice-media": 355, "browser-automation": 215, "ui": 126,
		}),
	}
}

func testCards(n int) []Card {
	cards := make([]Card, n)
	for i := range cards {
		cards[i] = Card{
			Slug: "chroma-" + decimal(i), Seed: "agt_chroma" + decimal(i), Name: "@langchain/chroma-" + decimal(i), Summary: "Connects Chroma and LangChain.",
			Seller: "Imported", Category: "rag-search", Price: dollars(int64(i%2) * 9), Version: "1.1.0", Downloads: 104_140,
			Rating: 4.6, Ratings: i, Verified: i%3 == 0, Permissions: []string{"network", "files"}, NameMarks: []Span{{11, 17}}, SummaryMarks: []Span{{9, 15}},
		}
	}
	return cards
}

var (
	december   = When{Time: time.Date(2025, 12, 1, 0, 0, 0, 0, time.UTC), MonthOnly: true}
	noon       = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	testSeller = Seller{Name: "Chroma Labs", Seed: "sel_chroma", Verified: true, Note: "Sells here since Mar 2026"}
)

func testAgent() Agent {
	return Agent{
		Meta: Meta{
			Title: "langchain-chroma", Description: "Connects Chroma and LangChain.", Canonical: "/agents/langchain-chroma", Image: "/og/agt_1.png", Type: "product",
			Others: []Other{{"text/markdown", "As Markdown", "/agents/langchain-chroma.md"}},
		},
		ID: "agt_1", Slug: "langchain-chroma", Name: "langchain-chroma", Summary: "An integration package connecting Chroma and LangChain.",
		About: "<p>It keeps your documents in a <em>collection</em>.</p><h3>Limits</h3><ul><li>One folder</li></ul><pre><code>x := 1</code></pre>",
		Path:  []Category{{Slug: "build", Title: "Build"}, CategoryOf("rag-search")}, Seller: testSeller,
		Source: Link{"PyPI", "https://pypi.org/project/langchain-chroma/"}, Tags: []Link{{"postgres", "/tags/postgres"}},
		Offers: []Offer{{ID: "off_1", Price: dollars(9), Includes: []string{"The setup file of version 1.1.0", "A licence key of your own"}}}, Currency: "USD",
		Rating: Rating{Stars: [5]int{2, 1, 8, 30, 87}}, Downloads: 104_140,
		Label: Label{
			Permissions: []Permission{{"network", "Calls your Chroma server"}, {"files", ""}}, Version: "1.1.0", LastRelease: december, Size: 812,
		},
		Demo:  []Turn{{"You", "Which invoices are due?", true}, {"Agent", "Two: 11 and 14.\nBoth on Friday.", false}},
		Setup: []Snippet{{"With pip", "pip install langchain-chroma==1.1.0"}},
		Releases: []Release{
			{Version: "1.1.0", Date: december, Notes: "<p>Faster.</p>", Files: []File{{Name: "langchain-chroma.json", Size: 812, SHA256: sum}}},
			{Version: "1.1.0-rc.1", Date: december, Channel: "beta", Files: []File{{Name: "rc.json", Size: 800, SHA256: sum}}},
			{Version: "1.0.9", Date: december, Yanked: true, Reason: "It lost the last row.", Files: []File{{Name: "old.json"}}},
		},
		Reviews: []Review{
			{Name: "Grace", Stars: 5, Title: "Does it", Text: "It found what I had lost.", Version: "1.1.0", Reply: "Thank you.", Date: When{Time: noon}},
			{Name: "Alan", Stars: 3, Text: "Slow at first.", Free: true, Date: When{Time: noon}},
		},
		Refunds: "Ask for your money back within 14 days.", License: "One person, any number of machines.", Related: testCards(4),
	}
}

func declaredAgent() Agent {
	a := testAgent()
	a.Label = Label{
		Declared: true, Models: []string{"claude-sonnet-4", "gpt-5"}, Permissions: []Permission{{"network", "Calls api.example.com"}}, Retention: "Keeps nothing",
		Runtimes: []string{"python", "docker"}, Inputs: []string{"text", "pdf"}, Outputs: []string{"text"}, Version: "2.0", LastRelease: december, Size: 81_200,
	}
	a.Offers = []Offer{
		{ID: "a", Name: "Single", Price: dollars(9), Includes: []string{"One machine", "Updates for a year"}},
		{ID: "b", Name: "Team", Price: dollars(1250), Per: "a year", Includes: []string{"Any number of machines"}},
	}
	return a
}

// awkward is text that is hard to lay out: no place to break, both directions, signs beside
// the plane of letters.
const awkward = "\u05e9\u05dc\u05d5\u05dd\U0001f9d5\U0001f3fd"

func awkwardAgent() Agent {
	a := declaredAgent()
	long := strings.Repeat("w", 200)
	a.Name, a.Summary, a.Seller.Name, a.License = long, long+awkward, awkward+long, awkward+long
	a.Offers[0].Name, a.Offers[0].Includes, a.Offers[1].Includes = awkward, []string{long}, []string{awkward}
	a.Label.Models, a.Label.Retention, a.Label.Permissions[0].Detail = []string{long}, long, long
	a.Reviews[0].Name, a.Reviews[0].Title, a.Reviews[0].Text, a.Reviews[0].Reply = long, awkward, long, long
	a.Releases[0].Version, a.Releases[2].Reason, a.Releases[0].Files[0].Name = long, long, long
	a.Demo[0].Text, a.About = long, HTML("<p>"+long+"</p><pre><code>"+long+"</code></pre><table><tr><td>"+long+"</td></tr></table>")
	a.Tags = []Link{{long, "/tags/x"}}
	return a
}

func testSellerProfile() SellerProfile {
	return SellerProfile{
		Meta: Meta{Title: "Chroma Labs", Canonical: "/sellers/chroma-labs"}, Seller: testSeller, About: "<p>We make stores of <strong>vectors</strong>.</p>",
		Site: "https://chroma.example/about", Country: "NL", Since: december, Known: When{Time: noon}, Rating: Rating{Stars: [5]int{0, 0, 0, 1, 3}},
		Total: 60, Cards: testCards(6), All: Link{"All 60", "/search?q=x"},
	}
}

func testGroups() []Group {
	was := dollars(7)
	return []Group{
		{Seller: testSeller, Subtotal: dollars(18), Lines: []Line{
			{AgentID: "agt_1", OfferID: "off_1", Slug: "langchain-chroma", Seed: "agt_1", Name: "langchain-chroma", Price: dollars(9), Was: &was},
			{AgentID: "agt_2", OfferID: "off_2", Slug: "two", Seed: "agt_2", Name: "two", Offer: "Team", Price: dollars(9), Per: "a year"},
		}},
		{Seller: Seller{Name: "Imported", Seed: "sel_i"}, Lines: []Line{{AgentID: "agt_3", OfferID: "off_3", Slug: "three", Seed: "agt_3", Name: "three"}}},
	}
}

func testCheckout() Checkout {
	return Checkout{
		Meta: Meta{Title: "Checkout", NoIndex: true}, Token: "tok_1", Groups: testGroups(), Total: dollars(18), TaxNote: "No tax is added.",
		Terms: "I agree to the terms of sale.", TermsHref: "/terms", Provider: "the Souk Sandbox",
	}
}

func testReceipt(state State) Receipt {
	goods := Goods{
		Line: testGroups()[0].Lines[0], Version: "1.1.0", Keys: []string{"SOUK-7K3M9-2QX4T-H8WZC"},
		Files: []File{{Name: "langchain-chroma.json", Href: "/o/secret/download/ent_1", Size: 812, SHA256: sum}},
		Setup: []Snippet{{"With pip", "pip install langchain-chroma==1.1.0"}},
	}
	goods.Was, goods.Terms = nil, market.Terms{Refunds: "Ask for your money back within 14 days.", License: "One person, any number of machines."}
	return Receipt{
		Meta: Meta{Title: "Receipt S-7K3M-92QX", NoIndex: true}, State: state, Number: "S-7K3M-92QX", Date: noon, Email: "ada@example.com",
		Paid: "Visa ending in 4242", Total: dollars(9), TaxNote: "No tax is added.", Reason: "The bank said: insufficient funds.", Retry: "/checkout",
		Support: Link{"Get help", "/help"}, Address: "https://souk.example/o/secret",
		Groups: []ReceiptGroup{{Seller: testSeller, Order: "ord_1", Lines: []Goods{goods}, Subtotal: dollars(9)}},
	}
}

func testSearch() Search {
	return Search{
		Meta: Meta{Title: "chroma"}, Query: Query{Text: "chroma", Filters: []Filter{{"category", "rag-search"}}, Page: 3}, Total: 1204, Pages: 51, Cards: testCards(24),
		Facets: []Facet{
			{Title: "Category", Param: "category", Choices: []Choice{
				{Value: "rag-search", Label: "Search and retrieval", Count: 1204}, {Value: "graphs", Label: "Graphs", Count: 7, Below: true}, {Value: "mcp-server", Label: "MCP servers", Count: 77},
			}},
			{Title: "Runs on", Param: "runtime", Choices: testRuntimes()},
			{Title: "Rating", Param: "rating", One: true, Choices: []Choice{{Value: "4", Label: "4 stars and up", Count: 12}}},
		},
		Sorts: []Choice{{Label: "Best match"}, {Value: "popular", Label: "Popular"}},
	}
}

func testRuntimes() []Choice {
	var cc []Choice
	for i := range 14 {
		cc = append(cc, Choice{Value: "r" + decimal(i), Label: "Runtime " + decimal(i), Count: 20 - i})
	}
	return cc
}

func testShelf() Search {
	s := testSearch()
	s.Query = Query{Base: CategoryPath("rag-search"), Filters: []Filter{{"price", "free"}, {"rating", "4"}}}
	s.Shelf, s.Over = CategoryOf("rag-search"), Category{Slug: "work", Title: "Work"}
	s.Below = []Category{{Slug: "graphs", Title: "Graphs", Count: 7}}
	return s
}

func testStory() Story {
	return Story{Seller: Seller{Name: "Chroma Labs", Seed: "sel_chroma", Href: "/sellers/chroma-labs", Verified: true}, Text: "We make small tools.", Cards: testCards(3)}
}

// pages is one of every page, and of every state that looks different.
func pages() map[string]templ.Component {
	site := testSite()
	emptySearch := Search{Query: Query{Text: "basket weaving", Filters: []Filter{{"category", "data"}}}, Nearby: []string{"basket", "weaviate"}}
	badCheckout := testCheckout()
	badCheckout.Email, badCheckout.EmailError, badCheckout.TermsError, badCheckout.FormError = "ada@", "That is no complete e-mail address.", "Please agree.", "The price has changed."
	dear := testCheckout()
	dear.Total = dollars(129_100)
	unlisted := testAgent()
	unlisted.Unlisted, unlisted.Meta.NoIndex = true, true
	mail := Mail{Meta: Meta{Title: "Your receipt"}, Href: "/dev/mail/1", From: "Souk <souk@localhost>", To: "ada@example.com", Subject: "Your receipt", Time: noon, Text: "Thank you.", HTML: "/dev/mail/1/html"}
	return map[string]templ.Component{
		"home": HomePage(site, Home{
			Meta: Meta{Description: "Buy agents.", Canonical: "/"}, Total: 30_000, Popular: testCards(8), New: testCards(8), Picks: testCards(1), Shelves: site.Categories, Story: testStory(),
			Tries: []string{"langchain chroma"}, Trust: []Trust{{Title: "Signed files", Text: "Every download shows its SHA-256."}},
		}),
		"home, empty":         HomePage(Site{Name: "Souk"}, Home{}),
		"search":              SearchPage(site, testSearch()),
		"search, corrected":   SearchPage(site, Search{Query: Query{Text: "playwrigth"}, Corrected: "playwright", Total: 1, Pages: 1, Cards: testCards(1)}),
		"search, meant":       SearchPage(site, Search{Query: Query{Text: "lang chain"}, DidYouMean: "langchain", Total: 1, Pages: 1, Cards: testCards(1)}),
		"gallery":             GalleryPage(site, Gallery{Meta: Meta{Title: "Gallery", NoIndex: true}, Cards: testCards(4)}),
		"category":            SearchPage(site, testShelf()),
		"tag":                 SearchPage(site, Search{Query: Query{Base: TagPath("vector-store")}, Tag: "vector-store", Total: 2, Pages: 1, Cards: testCards(2)}),
		"search, empty":       SearchPage(site, emptySearch),
		"agent":               AgentPage(site, new(testAgent())),
		"agent, two offers":   AgentPage(site, new(declaredAgent())),
		"agent, unlisted":     AgentPage(site, &unlisted),
		"agent, awkward":      AgentPage(site, new(awkwardAgent())),
		"agent, gone":         GonePage(site, GoneAgent{Title: "x is paused", Message: "Its seller has paused it.", Seed: "agt_1", Related: testCards(2)}),
		"reviews":             ReviewsPage(site, Reviews{Slug: "x", Name: "x", Seller: "Chroma Labs", Rating: testAgent().Rating, Reviews: testAgent().Reviews, Page: 2, Pages: 3}),
		"seller":              SellerPage(site, testSellerProfile()),
		"seller, bare":        SellerPage(site, SellerProfile{Seller: Seller{Name: awkward + strings.Repeat("w", 200), Seed: "sel_1"}}),
		"text":                TextPage(site, StaticPage{Title: "Privacy", Body: "<h2>What is kept</h2><p>Nothing.</p>", Updated: december, Others: []Link{{"Terms", "/pages/terms"}}}),
		"agent, bare":         AgentPage(site, new(Agent{ID: "agt_9", Slug: "x", Name: "x", Offers: []Offer{{ID: "off_9"}}})),
		"cart":                CartPage(site, Cart{Groups: testGroups(), Total: dollars(18), TaxNote: "No tax is added.", Notice: "Added."}),
		"cart, empty":         CartPage(site, Cart{Popular: testCards(4)}),
		"checkout":            CheckoutPage(site, testCheckout()),
		"checkout, dear":      CheckoutPage(site, dear),
		"checkout, wrong":     CheckoutPage(site, badCheckout),
		"receipt, paid":       ReceiptPage(site, testReceipt(Paid)),
		"receipt, confirming": ReceiptPage(site, testReceipt(Confirming)),
		"receipt, declined":   ReceiptPage(site, testReceipt(Declined)),
		"receipt, expired":    ReceiptPage(site, testReceipt(Expired)),
		"problem":             ProblemPage(site, Problem{Status: 404, Message: "Nothing is here.", RequestID: "req-77", Query: "chroma", Action: Link{"Home", "/"}}),
		"message":             MessagePage(site, Message{Title: "Terms", Body: []string{"One.", "Two."}, Action: Link{"Home", "/"}}),
		"outbox":              OutboxPage(site, Outbox{Mails: []Mail{mail}}),
		"outbox, empty":       OutboxPage(site, Outbox{}),
		"mail":                MailPage(site, mail),
	}
}

func render(t testing.TB, c templ.Component) string {
	t.Helper()
	var b strings.Builder
	if err := c.Render(t.Context(), &b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func parse(t testing.TB, c templ.Component) *goquery.Document {
	t.Helper()
	doc, err := goquery.NewDocumentFromReader(strings.NewReader(render(t, c)))
	if err != nil {
		t.Fatal(err)
	}
	return doc
}

// words is the text of what selector finds, its elements set apart by spaces.
func words(doc *goquery.Document, selector string) string {
	var texts []string
	var walk func(s *goquery.Selection)
	walk = func(s *goquery.Selection) {
		s.Contents().Each(func(_ int, c *goquery.Selection) {
			if goquery.NodeName(c) == "#text" {
				texts = append(texts, c.Text())
			} else {
				walk(c)
			}
		})
	}
	walk(doc.Find(selector))
	return strings.Join(strings.Fields(plainSpace(strings.Join(texts, " "))), " ")
}
