package markdown_test

import (
	_ "embed"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"golang.org/x/net/html"

	"github.com/souk-market/souk/views/markdown"
)

func TestHTML(t *testing.T) {
	for _, c := range []struct{ name, in, want string }{
		{"paragraphs", "One *two*\nthree\n\nFour", "<p>One <em>two</em>\nthree</p>\n<p>Four</p>\n"},
		{"headings below the page's", "# A\n\n#### B", "<h3>A</h3>\n<h4>B</h4>\n"},
		{"headings that begin below", "## A\n\n### B\n\n## C", "<h3>A</h3>\n<h4>B</h4>\n<h3>C</h3>\n"},
		{"a link away", "[x](https://a.example/?a=1&b=2)", `<p><a href="https://a.example/?a=1&amp;b=2" rel="nofollow ugc noopener">x</a></p>` + "\n"},
		{"a link here", "[x](/pages/refunds#x)", `<p><a href="/pages/refunds#x">x</a></p>` + "\n"},
		{"an address", "See https://a.example.", `<p>See <a href="https://a.example" rel="nofollow ugc noopener">https://a.example</a>.</p>` + "\n"},
		{"a mail address", "a@b.example", `<p><a href="mailto:a@b.example" rel="nofollow ugc noopener">a@b.example</a></p>` + "\n"},
		{"a link that is none", "[**x**](javascript:alert(1)) y", "<p><strong>x</strong> y</p>\n"},
		{"a picture of ours", "![A *cover*](/media/ab12.webp)", `<p><img src="/media/ab12.webp" alt="A cover" loading="lazy"></p>` + "\n"},
		{"a picture of others", "![A *cover*](https://a.example/p.png)", "<p>A <em>cover</em></p>\n"},
		{"code", "```go\na < b\n```", "<pre tabindex=\"0\"><code class=\"language-go\">a &lt; b\n</code></pre>\n"},
		{"a table", "|a|b|\n|-|:-:|\n|1|2|", "<table tabindex=\"0\">\n<thead>\n<tr>\n<th>a</th>\n<th align=\"center\">b</th>\n</tr>\n</thead>\n<tbody>\n<tr>\n<td>1</td>\n<td align=\"center\">2</td>\n</tr>\n</tbody>\n</table>\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := markdown.HTML(c.in, 3); got != c.want {
				t.Errorf("got  %q\nwant %q", got, c.want)
			}
		})
	}
}

//go:embed testdata/hostile.md
var hostile string

// vectors are the lines of the corpus, and all of it as one text.
func vectors() []string {
	all := strings.Split(strings.TrimSpace(hostile), "\n")
	return append(all, hostile, strings.ReplaceAll(hostile, "\n", "\n\n"), strings.ReplaceAll(hostile, "\n", "\t"))
}

func TestHostileTextsAreHarmless(t *testing.T) {
	if n := len(vectors()); n < 80 {
		t.Fatalf("the corpus has %d vectors", n)
	}
	for _, v := range vectors() {
		mustBeHarmless(t, v)
	}
}

func FuzzHTML(f *testing.F) {
	for _, v := range vectors() {
		f.Add(v)
	}
	f.Fuzz(func(t *testing.T, text string) {
		mustBeHarmless(t, text)
		if p := markdown.Plain(text, 160); len(p) > 160 || !utf8.ValidString(p) || strings.ContainsAny(p, "\n\x00") {
			t.Errorf("%q as plain text: %q", text, p)
		}
	})
}

// attributes are what each element may have. All others have no place in the HTML.
var attributes = map[string][]string{
	"p": nil, "br": nil, "hr": nil, "h3": nil, "h4": nil, "h5": nil, "h6": nil, "ul": nil, "ol": {"start"}, "li": nil,
	"blockquote": nil, "pre": {"tabindex"}, "code": {"class"}, "em": nil, "strong": nil, "del": nil,
	"table": {"tabindex"}, "thead": nil, "tbody": nil, "tr": nil, "th": {"align"}, "td": {"align"}, "a": {"href", "rel"}, "img": {"src", "alt", "loading"},
}

// link is an address that leads where it seems to lead: one of three schemes, or this site.
var link = regexp.MustCompile(`^((?i:https?)://[^/\\]|(?i:mailto):|/([^/\\]|$))`)

// mustBeHarmless reads the HTML of a text as a browser does and looks at all that is in it.
func mustBeHarmless(t *testing.T, text string) {
	t.Helper()
	out := markdown.HTML(text, 3)
	if len(text) > 200 {
		text = text[:200] + "…"
	}
	z := html.NewTokenizer(strings.NewReader(out))
	for {
		switch z.Next() {
		case html.ErrorToken:
			return
		case html.CommentToken, html.DoctypeToken:
			t.Errorf("%q has a comment: %q", text, out)
		case html.StartTagToken, html.SelfClosingTagToken:
			token := z.Token()
			allowed, known := attributes[token.Data]
			if !known {
				t.Errorf("%q has <%s>: %q", text, token.Data, out)
			}
			rel := ""
			for _, a := range token.Attr {
				if !slices.Contains(allowed, a.Key) {
					t.Errorf("%q has %s=%q at <%s>", text, a.Key, a.Val, token.Data)
				}
				if a.Key == "src" && !regexp.MustCompile(`^/media/[\w][\w.-]*$`).MatchString(a.Val) || a.Key == "href" && (!link.MatchString(a.Val) || strings.ContainsAny(a.Val, "\t\r\n\\")) {
					t.Errorf("%q leads to %q", text, a.Val)
				}
				if a.Key == "rel" {
					rel = a.Val
				}
			}
			if href := attr(token, "href"); href != "" && href[0] != '/' && rel != "nofollow ugc noopener" {
				t.Errorf("%q leads away to %q with rel %q", text, href, rel)
			}
		}
	}
}

func attr(token html.Token, key string) string {
	for _, a := range token.Attr {
		if a.Key == key {
			return a.Val
		}
	}
	return ""
}

func TestTablesAreBounded(t *testing.T) {
	wide := strings.Repeat("|a", 500) + "|\n" + strings.Repeat("|-", 500) + "|\n" + strings.Repeat("|\n", 10_000)
	if got := markdown.HTML(wide, 3); strings.Contains(got, "<td") || len(got) > 4*markdown.MaxText {
		t.Errorf("a text of %d bytes makes %d", len(wide), len(got))
	}
}

func TestLongTextsAreCut(t *testing.T) {
	got := markdown.HTML(strings.Repeat("é", markdown.MaxText), 3)
	if len(got) > markdown.MaxText+16 || !utf8.ValidString(got) {
		t.Errorf("%d bytes", len(got))
	}
}

func TestPlain(t *testing.T) {
	for in, want := range map[string]string{
		"# Title\n\nOne *two*\nthree [four](https://a.example) `five`": "Title One two three four five",
		"<b>x</b> y\n\n- a\n- b":    "x y a b",
		strings.Repeat("word ", 50): "word word word word…",
	} {
		n := 200
		if strings.HasPrefix(in, "word") {
			n = 24
		}
		if got := markdown.Plain(in, n); got != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
}

func TestCacheGivesWhatHTMLGives(t *testing.T) {
	var c markdown.Cache
	long := strings.Repeat("word ", 6_000)
	for i := range 500 {
		for _, level := range []int{2, 3} {
			text := "# " + string(rune('a'+i%26)) + long[:i*50]
			if got, want := c.HTML(text, level), markdown.HTML(text, level); got != want {
				t.Fatalf("%d at level %d: %d bytes, want %d", i, level, len(got), len(want))
			}
		}
	}
}

func BenchmarkHTML(b *testing.B) {
	text := strings.Repeat("## What it does\n\nIt reads **files** of [one folder](https://a.example) and `nothing` else.\n\n- a\n- b\n\n", 20)
	b.ReportAllocs()
	for b.Loop() {
		markdown.HTML(text, 3)
	}
}
