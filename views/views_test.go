package views

import (
	"bytes"
	"compress/gzip"
	"io"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/souk-market/souk/internal/market"
)

func TestFormats(t *testing.T) {
	plain := func(s string) string { return plainSpace(s) }
	for _, c := range []struct{ got, want string }{
		{plain(Price(English, market.Money{Amount: 900, Currency: "USD"})), "9.00 USD"},
		{plain(Price(English, market.Money{Currency: "USD"})), "Free"},
		{plain(Price(English, market.Money{})), "Free"},
		{plain(Amount(English, market.Money{Currency: "USD"})), "0.00 USD"},
		{plain(Amount(English, market.Money{Amount: 123456789, Currency: "USD"})), "1,234,567.89 USD"},
		{plain(Amount(English, market.Money{Amount: 1250, Currency: "JPY"})), "1,250 JPY"},
		{plain(Amount(English, market.Money{Amount: 1234, Currency: "KWD"})), "1.234 KWD"},
		{plain(Amount(English, market.Money{Amount: -99, Currency: "EUR"})), "−0.99 EUR"},
		{Number(0), "0"}, {Number(999), "999"}, {Number(1000), "1,000"}, {Number(-1234567), "−1,234,567"},
		{Rough(0), "0"}, {Rough(999), "999"}, {Rough(1000), "1.0k"}, {Rough(9_949), "9.9k"}, {Rough(9_960), "10k"}, {Rough(104_140), "104k"},
		{Rough(999_600), "1.0M"}, {Rough(780_720_439), "781M"}, {Rough(2_000_000_000), "2.0bn"},
		{Size(0), "0 B"}, {Size(812), "812 B"}, {Size(1_000), "1.0 kB"}, {Size(18_423_111), "18 MB"}, {Size(999_600), "1.0 MB"}, {Size(5e15), "5000 TB"},
		{december.String(), "Dec 2025"}, {december.machine(), "2025-12"}, {When{Time: noon}.String(), "23 Nov 2026"}, {When{}.String(), ""},
		{Country("DE"), "Germany"}, {Country("GB"), "United Kingdom"}, {Country("QQ"), "QQ"}, {Country("ZZ"), "ZZ"}, {Country(""), ""},
		{plural(1, "agent", "agents"), "1 agent"}, {plural(1204, "agent", "agents"), "1,204 agents"},
	} {
		if c.got != c.want {
			t.Errorf("got %q, want %q", c.got, c.want)
		}
	}
}

func TestQueryPath(t *testing.T) {
	q := Query{Text: "a&b ü", Filters: []Filter{{"category", "mcp-server"}}, Sort: "new", Page: 3}
	for _, c := range []struct {
		name, got, want string
	}{
		{"everything", q.Path(), "/search?q=a%26b+%C3%BC&category=mcp-server&sort=new&page=3"},
		{"nothing", Query{}.Path(), "/search"},
		{"first page", Query{Text: "x", Page: 1}.Path(), "/search?q=x"},
		{"a filter replaced", q.With("category", "data").Path(), "/search?q=a%26b+%C3%BC&category=data&sort=new"},
		{"a filter removed", q.With("category", "").Path(), "/search?q=a%26b+%C3%BC&sort=new"},
		{"a filter added", q.With("price", "free").Path(), "/search?q=a%26b+%C3%BC&category=mcp-server&price=free&sort=new"},
		{"the original kept", q.Path(), "/search?q=a%26b+%C3%BC&category=mcp-server&sort=new&page=3"},
		{"a category", CategoryPath("data"), "/categories/data"},
		{"one more value", q.And(Filter{"category", "data"}).Path(), "/search?q=a%26b+%C3%BC&category=mcp-server&category=data&sort=new"},
		{"in the order of addresses", Query{Filters: []Filter{{"without", "shell"}}}.And(Filter{"price", "free"}).Path(), "/search?price=free&without=shell"},
		{"a value taken away", q.Without(Filter{"category", "mcp-server"}).Path(), "/search?q=a%26b+%C3%BC&sort=new"},
		{"a category's listing", Query{Base: CategoryPath("data"), Sort: "new"}.Path(), "/categories/data?sort=new"},
		{"an odd slug", AgentPath("a/b?c"), "/agents/a%2Fb%3Fc"},
	} {
		if c.got != c.want {
			t.Errorf("%s: got %s, want %s", c.name, c.got, c.want)
		}
	}
}

func TestPageNumbers(t *testing.T) {
	for _, c := range []struct {
		page, pages int
		want        []int
	}{
		{1, 1, []int{1}},
		{1, 3, []int{1, 2, 3}},
		{1, 51, []int{1, 2, 0, 51}},
		{3, 51, []int{1, 2, 3, 4, 0, 51}},
		{4, 51, []int{1, 2, 3, 4, 5, 0, 51}},
		{25, 51, []int{1, 0, 24, 25, 26, 0, 51}},
		{48, 51, []int{1, 0, 47, 48, 49, 50, 51}},
		{51, 51, []int{1, 0, 50, 51}},
		{99, 4, []int{1, 0, 4}},
	} {
		if got := pageNumbers(c.page, c.pages); !slices.Equal(got, c.want) {
			t.Errorf("page %d of %d: got %v, want %v", c.page, c.pages, got, c.want)
		}
	}
}

func TestCategoriesInOrder(t *testing.T) {
	var got []string
	for _, c := range Categories(map[string]int{"other": 9, "ui": 1, "new-shelf": 2, "mcp-server": 5, "data": 0, "big-shelf": 8}) {
		got = append(got, c.Title)
	}
	if want := []string{"MCP servers", "Interfaces", "Big shelf", "New shelf", "Everything else"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestAssets(t *testing.T) {
	for name, wantType := range map[string]string{
		"app.css": "text/css; charset=utf-8", "app.js": "text/javascript; charset=utf-8", "theme.js": "text/javascript; charset=utf-8",
		"suggest.js": "text/javascript; charset=utf-8", "listing.js": "text/javascript; charset=utf-8",
		"icons.svg": "image/svg+xml", "favicon.svg": "image/svg+xml",
	} {
		data, contentType, hashed := Asset(name)
		if len(data) == 0 || contentType != wantType {
			t.Errorf("%s: %d bytes of %q, want some of %q", name, len(data), contentType, wantType)
		}
		if again, _, _ := Asset(hashed); !bytes.Equal(again, data) || hashed == name {
			t.Errorf("%s: its hashed name %s gives something else", name, hashed)
		}
		if AssetPath(name) != "/assets/"+hashed {
			t.Errorf("AssetPath(%s) is %s, want /assets/%s", name, AssetPath(name), hashed)
		}
	}
	if data, _, _ := Asset("../doc.go"); data != nil {
		t.Error("a file that is no asset is served")
	}
	if data, _, _ := Asset("tokens.css"); data != nil {
		t.Error("a part of the style sheet is served by itself")
	}
}

func TestSheetIsWhole(t *testing.T) {
	css, _, _ := Asset("app.css")
	if open, shut := bytes.Count(css, []byte("{")), bytes.Count(css, []byte("}")); open != shut {
		t.Errorf("%d braces open and %d close", open, shut)
	}
	if regexp.MustCompile(`/\*|\*/|\n|url\(|@import`).Match(css) {
		t.Error("the style sheet has comments, line ends or fetches in it")
	}
}

// TestPageWeight holds the goal for an agent's page: HTML, style sheet and all scripts
// together at most 40 kB compressed. The others keep to it too.
func TestPageWeight(t *testing.T) {
	for _, name := range []string{"agent", "search", "home"} {
		total := gzipped(t, []byte(render(t, pages()[name])))
		for _, part := range []string{"app.css", "theme.js", "app.js", "suggest.js", "listing.js"} {
			data, _, _ := Asset(part)
			total += gzipped(t, data)
		}
		if limit := 40_000; total > limit {
			t.Errorf("%s: %d bytes compressed with the style sheet and the scripts, want at most %d", name, total, limit)
		}
	}
}

func gzipped(t *testing.T, data []byte) int {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := w.Write(data); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Len()
}

func TestReceiptMail(t *testing.T) {
	subject, text, html, err := ReceiptMail(t.Context(), Letter{Site: testSite(), Receipt: testReceipt(Paid), Path: "/o/secret"})
	if err != nil {
		t.Fatal(err)
	}
	if want := "Your receipt S-7K3M-92QX: langchain-chroma"; subject != want {
		t.Errorf("the subject is %q, want %q", subject, want)
	}
	for name, body := range map[string]string{"text": text, "html": html} {
		for _, want := range []string{
			"https://souk.example/o/secret", "SOUK-7K3M9-2QX4T-H8WZC", "S-7K3M-92QX", "9.00", "USD", "Chroma Labs", "pip install langchain-chroma==1.1.0",
			"Ask for your money back within 14 days.", "no real money moved",
		} {
			if !strings.Contains(body, want) {
				t.Errorf("the %s doesn't say %q", name, want)
			}
		}
	}
	if !strings.Contains(text, sum) {
		t.Error("the text doesn't give the checksum")
	}
	if strings.ContainsRune(text, '\u00a0') {
		t.Error("the text has no-break spaces")
	}
}

func TestSubjectOfSeveral(t *testing.T) {
	r := testReceipt(Paid)
	r.Groups[0].Lines = append(r.Groups[0].Lines, r.Groups[0].Lines[0], r.Groups[0].Lines[0])
	if got, want := (Letter{Receipt: r}).subject(), "Your receipt S-7K3M-92QX: langchain-chroma and 2 more"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func BenchmarkAgentPage(b *testing.B) {
	site, page := testSite(), testAgent()
	b.ReportAllocs()
	for b.Loop() {
		if err := AgentPage(site, &page).Render(b.Context(), io.Discard); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkListing24(b *testing.B) {
	site, page := testSite(), testSearch()
	b.ReportAllocs()
	for b.Loop() {
		if err := SearchPage(site, page).Render(b.Context(), io.Discard); err != nil {
			b.Fatal(err)
		}
	}
}
