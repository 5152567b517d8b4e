package views

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/PuerkitoBio/goquery"
	"golang.org/x/net/html"
)

// TestEveryPage holds all pages to what every page promises: one main with one heading,
// a way past the header, names for all controls, no inline script or style, and no
// reference that leads nowhere.
func TestEveryPage(t *testing.T) {
	for name, c := range pages() {
		t.Run(name, func(t *testing.T) {
			doc := parse(t, c)
			for selector, want := range map[string]int{"main#main": 1, "h1": 1, "main h1": 1, "header": 1, "footer": 1, "title": 1, "html[lang]": 1} {
				if selector == "header" {
					selector = "body > header"
				}
				if got := doc.Find(selector).Length(); got != want {
					t.Errorf("%d of %s, want %d", got, selector, want)
				}
			}
			if href, _ := doc.Find("body > a").First().Attr("href"); href != "#main" {
				t.Errorf("the first link of the body leads to %q, want #main", href)
			}
			checkAttributes(t, render(t, c))
			checkNames(t, doc)
			checkPolicy(t, doc)
			checkReferences(t, doc)
			checkHeadings(t, doc)
		})
	}
}

// checkAttributes wants no element to have an attribute twice, which parsers pass over, nor a
// word of a template's language for one.
func checkAttributes(t *testing.T, page string) {
	t.Helper()
	for z := html.NewTokenizer(strings.NewReader(page)); z.Next() != html.ErrorToken; {
		token := z.Token()
		seen := map[string]bool{"else": true, "if": true}
		for _, a := range token.Attr {
			if seen[a.Key] {
				t.Errorf("%s has %q twice, or shouldn't have it", token, a.Key)
			}
			seen[a.Key] = true
		}
	}
}

func checkNames(t *testing.T, doc *goquery.Document) {
	t.Helper()
	doc.Find("img").Each(func(_ int, s *goquery.Selection) {
		_, alt := s.Attr("alt")
		_, width := s.Attr("width")
		_, height := s.Attr("height")
		if !alt || !width || !height {
			html, _ := goquery.OuterHtml(s)
			t.Errorf("%s: an image needs alt, width and height", html)
		}
	})
	doc.Find("input:not([type=hidden])").Each(func(_ int, s *goquery.Selection) {
		id, _ := s.Attr("id")
		if s.Closest("label").Length() == 0 && doc.Find(`label[for="`+id+`"]`).Length() != 1 {
			html, _ := goquery.OuterHtml(s)
			t.Errorf("%s has no label", html)
		}
	})
	doc.Find("a, button").Each(func(_ int, s *goquery.Selection) {
		if strings.TrimSpace(s.Text()) == "" {
			html, _ := goquery.OuterHtml(s)
			t.Errorf("%s has no text", html)
		}
	})
	doc.Find("nav, section").Each(func(_ int, s *goquery.Selection) {
		_, label := s.Attr("aria-label")
		_, by := s.Attr("aria-labelledby")
		if !label && !by && !s.HasClass("hero") && !s.HasClass("empty") {
			html, _ := goquery.OuterHtml(s)
			t.Errorf("an unnamed landmark: %.120s", html)
		}
	})
}

// checkPolicy: a content security policy of script-src 'self'; style-src 'self' blocks nothing.
func checkPolicy(t *testing.T, doc *goquery.Document) {
	t.Helper()
	if n := doc.Find("[style], style").Length(); n > 0 {
		t.Errorf("%d inline styles", n)
	}
	doc.Find("script").Each(func(_ int, s *goquery.Selection) {
		if kind, _ := s.Attr("type"); kind == "application/ld+json" {
			return // data, which no browser runs
		}
		if src, _ := s.Attr("src"); !strings.HasPrefix(src, "/assets/") || s.Text() != "" {
			t.Errorf("a script that is not an asset: %q", src)
		}
	})
	doc.Find("*").Each(func(_ int, s *goquery.Selection) {
		for _, a := range s.Nodes[0].Attr {
			if strings.HasPrefix(a.Key, "on") {
				t.Errorf("an inline handler: %s", a.Key)
			}
		}
	})
}

func checkReferences(t *testing.T, doc *goquery.Document) {
	t.Helper()
	ids := map[string]int{}
	doc.Find("[id]").Each(func(_ int, s *goquery.Selection) {
		id, _ := s.Attr("id")
		if ids[id]++; ids[id] == 2 {
			t.Errorf("the ID %q is used twice", id)
		}
	})
	for _, attr := range []string{"aria-describedby", "aria-labelledby", "for", "popovertarget"} {
		doc.Find("[" + attr + "]").Each(func(_ int, s *goquery.Selection) {
			value, _ := s.Attr(attr)
			if strings.TrimSpace(value) == "" {
				t.Errorf("%s of a %s is empty", attr, goquery.NodeName(s))
			}
			for _, id := range strings.Fields(value) {
				if ids[id] == 0 {
					t.Errorf("%s=%q names no element", attr, id)
				}
			}
		})
	}
	if n := doc.Find("pre[aria-label]:not([role])").Length(); n > 0 {
		t.Errorf("%d pre with a name and no role that may have one", n)
	}
	doc.Find("[href], [src]").Each(func(_ int, s *goquery.Selection) {
		for _, attr := range []string{"href", "src"} {
			address, ok := s.Attr(attr)
			if !ok {
				continue
			}
			checkAddress(t, address, ids)
		}
	})
}

func checkAddress(t *testing.T, address string, ids map[string]int) {
	t.Helper()
	path, fragment, _ := strings.Cut(address, "#")
	if name, ok := strings.CutPrefix(path, "/assets/"); ok {
		data, _, hashed := Asset(name)
		if hashed != name {
			t.Errorf("%s is no hashed asset", address)
		}
		if fragment != "" && !strings.Contains(string(data), `id="`+fragment+`"`) {
			t.Errorf("%s names no symbol", address)
		}
		return
	}
	if file, ok := strings.CutPrefix(path, "/tiles/"); ok {
		if _, ok := Tile(file); !ok {
			t.Errorf("%s is no tile", address)
		}
		return
	}
	if path == "" && ids[fragment] == 0 {
		t.Errorf("%s leads nowhere on its page", address)
	}
}

// checkHeadings: levels go down by one at a time.
func checkHeadings(t *testing.T, doc *goquery.Document) {
	t.Helper()
	last := 0
	doc.Find("main h1, main h2, main h3").Each(func(_ int, s *goquery.Selection) {
		level := int(goquery.NodeName(s)[1] - '0')
		if level > last+1 {
			t.Errorf("%q is a heading of level %d after one of level %d", s.Text(), level, last)
		}
		last = level
	})
}

func TestKeyFacts(t *testing.T) {
	for _, c := range []struct{ page, selector, want string }{
		{"home", "main", "30,000 agents and tools"},
		{"home", ".bands", "MCP servers Tools your assistant can call 11,602"},
		{"home", ".pills", "Everything else 5,124"},
		{"home", ".sandbox", "Payments here are for testing: no real money moves."},
		{"search", "h1", "“chroma” in Search and retrieval"},
		{"search", ".listing-head", "1,204 agents, page 3 of 51"},
		{"search", ".chips", "Search and retrieval"},
		{"search", "#facets", "Graphs 7"},
		{"search", "#more-runtime", "6 more"},
		{"search", ".card", "@langchain/ chroma -0"},
		{"search, meant", ".corrected", "Did you mean langchain ?"},
		{"category", ".crumbs", "All agents Work Search and retrieval"},
		{"category", ".below", "Graphs 7"},
		{"category", ".chips", "4 stars and up (remove this filter) Clear all"},
		{"tag", "h1", "Tagged “vector store”"},
		{"home", ".story", "What Chroma Labs makes We make small tools."},
		{"search, corrected", ".corrected", "playwright"},
		{"search, empty", ".empty", "in Data for agents that have all of these words, or words spelled much like them: basket weaving"},
		{"search, empty", ".empty", "weaviate"},
		{"agent", ".buy", "9.00 USD once Buy Add to cart"},
		{"agent", ".buy", "A licence key of your own"},
		{"agent", ".buy", "Sold by Chroma Labs Verified"},
		{"agent", ".label", "Permissions Others not declared Network Calls your Chroma server Files Reads and writes files"},
		{"agent", ".label", "Models Not declared"},
		{"agent", ".label", "Last release Dec 2025"},
		{"agent", "main", "langchain-chroma.json 812 B"},
		{"agent", ".timeline", "1.1.0-rc.1 beta Dec 2025 rc.json 800 B"},
		{"agent", ".timeline", "1.0.9 Dec 2025 Withdrawn. It lost the last row."},
		{"agent", ".turns", "You Which invoices are due? Agent Two: 11 and 14. Both on Friday."},
		{"agent", ".spread", "4.6 ★★★★★ 128 reviews, by buyers only Reviews by stars 5 ★ stars 87"},
		{"agent", ".reviews", "Grace Bought here Version 1.1.0 23 Nov 2026 Chroma Labs Seller Thank you."},
		{"agent", ".reviews", "Alan Bought here Got it for free"},
		{"agent", ".crumbs", "All agents Build Search and retrieval langchain-chroma"},
		{"agent, unlisted", ".goods-head", "This page is not listed."},
		{"agent, gone", "main", "Its seller has paused it. What you have bought"},
		{"reviews", "main", "Page 2 of 3"},
		{"seller", "main", "Identity Checked by Souk on 23 Nov 2026"},
		{"seller", "main", "Country Netherlands Site chroma.example"},
		{"seller", "main", "4.8 ★★★★★ 4 reviews"},
		{"text", "main", "What is kept Nothing."},
		{"agent", "main", "Ask for your money back within 14 days."},
		{"agent", "main", "One person, any number of machines."},
		{"agent", ".facts", "Rated 4.6 (128) by Chroma Labs Verified Version 1.1.0"},
		{"agent, two offers", ".buy", "Team 1,250.00 USD a year"},
		{"agent, two offers", ".offers", "Single 9.00 USD One machine Updates for a year"},
		{"agent, two offers", ".label", "Keys you bring None"},
		{"agent, two offers", ".label", "Permissions Network Calls api.example.com Files No Shell No Browser No Secrets No"},
		{"agent, bare", ".buy", "Free Get it for free Add to cart"},
		{"cart", ".total-bar", "18.00 USD"},
		{"cart", ".total-bar", "No tax is added."},
		{"cart", ".changed", "The price was 7.00 USD when you added it."},
		{"cart, empty", "main", "Your cart is empty."},
		{"checkout", "button.primary", "Pay 18.00 USD"},
		{"checkout, wrong", "#email-error", "That is no complete e-mail address."},
		{"checkout, wrong", "#terms-error", "Please agree."},
		{"checkout, wrong", "[role=alert]", "The price has changed."},
		{"receipt, paid", ".key-text", "SOUK-7K3M9-2QX4T-H8WZC"},
		{"receipt, paid", ".download", "SHA-256 " + sum},
		{"receipt, paid", ".state", "ada@example.com"},
		{"receipt, paid", ".state", "Order S-7K3M-92QX"},
		{"receipt, declined", ".state", "The bank said: insufficient funds. Nothing was charged."},
		{"receipt, expired", ".state", "Nothing was charged"},
		{"problem", "main", "req-77"},
		{"outbox", "main", "23 Nov 2026, 12:00 UTC"},
	} {
		if got := words(parse(t, pages()[c.page]), c.selector); !strings.Contains(got, c.want) {
			t.Errorf("%s: %s is %q, want it to say %q", c.page, c.selector, got, c.want)
		}
	}
}

// TestGoodsOnlyWhenPaid: an unpaid receipt must not show what it would give.
func TestGoodsOnlyWhenPaid(t *testing.T) {
	for _, state := range []State{Confirming, Declined, Expired, State("unheard of")} {
		html := render(t, ReceiptPage(testSite(), testReceipt(state)))
		for _, secret := range []string{"SOUK-7K3M9", "/o/secret/download"} {
			if strings.Contains(html, secret) {
				t.Errorf("a receipt that is %s shows %s", state, secret)
			}
		}
	}
}

// TestAReceiptOnPaper: it says where it is, and that the money was none.
func TestAReceiptOnPaper(t *testing.T) {
	doc := parse(t, ReceiptPage(testSite(), testReceipt(Paid)))
	if got := doc.Find(".on-paper").Text(); got != "https://souk.example/o/secret" {
		t.Errorf("the address on paper is %q", got)
	}
	_, paper, _ := strings.Cut(string(embedded("base.css")), "@media print")
	if hidden, _, _ := strings.Cut(paper, "display: none"); strings.Contains(hidden, ".sandbox") || !strings.Contains(hidden, ".button") {
		t.Errorf("on paper these are left out: %s", hidden)
	}
}

func TestOnlyAnOpenPaymentRefreshes(t *testing.T) {
	for state, want := range map[State]string{Paid: "", Declined: "", Expired: "", Confirming: "3"} {
		html := render(t, ReceiptPage(testSite(), testReceipt(state)))
		_, meta, found := strings.Cut(html, `<noscript><meta http-equiv="refresh" content="`)
		if got, _, _ := strings.Cut(meta, `"`); got != want || found != (want != "") {
			t.Errorf("a receipt that is %s refreshes after %q, want %q", state, got, want)
		}
	}
}

// TestForms: what each form sends, and where.
func TestForms(t *testing.T) {
	for _, c := range []struct {
		page, action string
		want         map[string]string
	}{
		{"agent", "/cart", map[string]string{"agent": "agt_1", "offer": "off_1"}},
		{"cart", "/cart/remove", map[string]string{"agent": "agt_1", "offer": "off_1"}},
		{"checkout", "/checkout", map[string]string{"token": "tok_1", "total": "18.00 USD"}},
	} {
		form := parse(t, pages()[c.page]).Find(`form[method=post][action="` + c.action + `"]`).First()
		for name, want := range c.want {
			if got, _ := form.Find(`input[name="` + name + `"]`).Attr("value"); got != want {
				t.Errorf("%s: the form to %s sends %s=%q, want %q", c.page, c.action, name, got, want)
			}
		}
		if form.Find("button").Length() == 0 {
			t.Errorf("%s: the form to %s has no button", c.page, c.action)
		}
	}
	doc := parse(t, pages()["checkout, wrong"])
	if got, _ := doc.Find("#email").Attr("value"); got != "ada@" {
		t.Errorf("the address comes back as %q, want what was typed", got)
	}
}

// TestHostileText: what people type stays text, wherever it is shown.
func TestHostileText(t *testing.T) {
	site := testSite()
	site.Name = hostile
	agent := testAgent()
	agent.ID, agent.Slug, agent.Name, agent.Summary, agent.Path = hostile, hostile, hostile, hostile, []Category{CategoryOf(hostile)}
	agent.Seller = Seller{Name: hostile, Seed: hostile, Href: "javascript:alert(3)", Note: hostile}
	agent.Source = Link{hostile, "javascript:alert(4)"}
	agent.Tags, agent.Demo = []Link{{hostile, "javascript:alert(5)"}}, []Turn{{hostile, hostile, true}}
	agent.Label = Label{
		Declared: true, Models: []string{hostile}, Permissions: []Permission{{"files", hostile}}, Retention: hostile, Runtimes: []string{hostile},
		Keys: []string{hostile}, Inputs: []string{hostile}, Outputs: []string{hostile}, Version: hostile,
	}
	agent.Offers = []Offer{{ID: hostile, Name: hostile, Per: hostile, Includes: []string{hostile}}, {ID: hostile, Name: hostile, Includes: []string{hostile}}}
	agent.Reviews = []Review{{Name: hostile, Title: hostile, Text: hostile, Version: hostile, Reply: hostile}}
	agent.Setup, agent.Refunds, agent.License = []Snippet{{hostile, hostile}}, hostile, hostile
	agent.Releases = []Release{{Version: hostile, Channel: hostile, Yanked: true, Reason: hostile}, {Files: []File{{Name: hostile, SHA256: hostile}}}}
	agent.Meta = Meta{Title: hostile, Description: hostile, Canonical: "/agents/" + hostile, Image: hostile, Others: []Other{{hostile, hostile, "javascript:alert(6)"}}}
	profile := SellerProfile{Meta: agent.Meta, Seller: agent.Seller, Site: "javascript:alert(7)", Country: hostile, Cards: []Card{{Slug: hostile, Name: hostile}}, All: Link{hostile, "javascript:alert(8)"}}
	search := Search{
		Query: Query{Text: hostile, Filters: []Filter{{"category", hostile}}}, Corrected: hostile, Total: 1, Nearby: []string{hostile},
		Cards: []Card{{Slug: hostile, Seed: hostile, Name: hostile, Summary: hostile, Seller: hostile, Permissions: []string{hostile}}},
	}
	receipt := testReceipt(Paid)
	receipt.Email, receipt.Groups[0].Lines[0].Name, receipt.Groups[0].Lines[0].Keys = hostile, hostile, []string{hostile}
	subject, _, mail, err := ReceiptMail(t.Context(), Letter{Site: site, Receipt: receipt, Path: "/o/secret"})
	if err != nil {
		t.Fatal(err)
	}
	for name, html := range map[string]string{
		"agent":   render(t, AgentPage(site, &agent)),
		"search":  render(t, SearchPage(site, search)),
		"seller":  render(t, SellerPage(site, profile)),
		"reviews": render(t, ReviewsPage(site, Reviews{Slug: hostile, Name: hostile, Seller: hostile, Rating: agent.Rating, Reviews: agent.Reviews, Page: 1, Pages: 2})),
		"text":    render(t, TextPage(site, StaticPage{Title: hostile, Others: []Link{{hostile, "javascript:alert(9)"}}})),
		"gone":    render(t, GonePage(site, GoneAgent{Title: hostile, Message: hostile, Seed: hostile})),
		"problem": render(t, ProblemPage(site, Problem{Status: 400, Message: hostile, Query: hostile, RequestID: hostile})),
		"outbox":  render(t, MailPage(site, Mail{Subject: subject, From: hostile, To: hostile, Text: hostile})),
		"mail":    mail,
	} {
		doc, err := goquery.NewDocumentFromReader(strings.NewReader(html))
		if err != nil {
			t.Fatal(err)
		}
		if n := doc.Find("[onerror], img[src=x], [href^='javascript:']").Length(); n > 0 {
			t.Errorf("%s: %d elements made of what was typed", name, n)
		}
		doc.Find("script").Each(func(_ int, s *goquery.Selection) {
			if kind, _ := s.Attr("type"); kind == "application/ld+json" {
				if err := json.Unmarshal([]byte(s.Text()), new(any)); err != nil {
					t.Errorf("%s: data that is broken by what was typed: %v", name, err)
				}
			} else if strings.Contains(s.Text(), "alert") {
				t.Errorf("%s: a script made of what was typed", name)
			}
		})
		if !strings.Contains(doc.Text(), "<script>alert(1)</script>") {
			t.Errorf("%s: what was typed is not shown as it was typed", name)
		}
	}
}

// TestSameBytes: a page is a function of its values, so that it can be kept and compared.
func TestSameBytes(t *testing.T) {
	for name := range pages() {
		first := render(t, pages()[name])
		if again := render(t, pages()[name]); again != first {
			t.Errorf("%s renders differently from the same values", name)
		}
	}
}

func TestHead(t *testing.T) {
	doc := parse(t, AgentPage(testSite(), new(testAgent())))
	for selector, want := range map[string]string{
		"link[rel=canonical]":             "https://souk.example/agents/langchain-chroma",
		"meta[property='og:url']":         "https://souk.example/agents/langchain-chroma",
		"meta[property='og:title']":       "langchain-chroma",
		"meta[property='og:type']":        "product",
		"meta[property='og:image']":       "https://souk.example/og/agt_1.png",
		"meta[name=description]":          "Connects Chroma and LangChain.",
		"meta[property='og:description']": "Connects Chroma and LangChain.",
	} {
		s := doc.Find(selector)
		got := s.AttrOr("content", s.AttrOr("href", ""))
		if got != want {
			t.Errorf("%s is %q, want %q", selector, got, want)
		}
	}
	if doc.Find("meta[name=robots]").Length() != 0 {
		t.Error("a public page asks not to be indexed")
	}
	if parse(t, ReceiptPage(testSite(), testReceipt(Paid))).Find("meta[name=robots][content=noindex]").Length() != 1 {
		t.Error("a receipt may be indexed")
	}
}

// TestGenerated: the committed Go code is what templ makes of the templates.
func TestGenerated(t *testing.T) {
	if testing.Short() {
		t.Skip("runs the templ command; not in short mode")
	}
	out, err := exec.CommandContext(t.Context(), "go", "tool", "-n", "templ").Output()
	if err != nil {
		t.Fatalf("finding the templ command: %v", err)
	}
	dir := t.TempDir()
	templates, _ := filepath.Glob("*.templ")
	for _, name := range templates {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if out, err := exec.CommandContext(t.Context(), strings.TrimSpace(string(out)), "generate", "-path", dir).CombinedOutput(); err != nil {
		t.Fatalf("templ generate: %v\n%s", err, out)
	}
	want, _ := filepath.Glob(filepath.Join(dir, "*_templ.go"))
	have, _ := filepath.Glob("*_templ.go")
	if len(want) != len(have) || len(want) != len(templates) {
		t.Errorf("%d templates make %d files; %d are here", len(templates), len(want), len(have))
	}
	for _, fresh := range want {
		name := filepath.Base(fresh)
		got, _ := os.ReadFile(name)
		if want, _ := os.ReadFile(fresh); string(got) != string(want) {
			t.Errorf("%s is out of date: run go tool templ generate -path views", name)
		}
	}
}
