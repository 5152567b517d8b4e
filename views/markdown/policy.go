package markdown

import (
	"regexp"
	"strings"

	"github.com/microcosm-cc/bluemonday"
	"github.com/yuin/goldmark/ast"
	"github.com/yuin/goldmark/parser"
	"github.com/yuin/goldmark/renderer"
	"github.com/yuin/goldmark/text"
	"github.com/yuin/goldmark/util"
)

// foreign is the rel of links that lead away: they lend no rank and learn no window.
const foreign = "nofollow ugc noopener"

var picture = regexp.MustCompile(`^/media/[A-Za-z0-9][A-Za-z0-9._-]*$`)

// policy is everything that may come out.
var policy = newPolicy()

func newPolicy() *bluemonday.Policy {
	p := bluemonday.NewPolicy()
	p.AllowElements("p", "br", "hr", "h1", "h2", "h3", "h4", "h5", "h6", "ul", "ol", "li", "blockquote", "pre", "code",
		"em", "strong", "del", "table", "thead", "tbody", "tr", "th", "td")
	p.AllowAttrs("start").Matching(regexp.MustCompile(`^[0-9]{1,9}$`)).OnElements("ol")
	p.AllowAttrs("align").Matching(regexp.MustCompile(`^(left|right|center)$`)).OnElements("th", "td")
	p.AllowAttrs("class").Matching(regexp.MustCompile(`^language-[A-Za-z0-9+#-]{1,30}$`)).OnElements("code")
	p.AllowAttrs("href").OnElements("a")
	p.AllowAttrs("rel").Matching(regexp.MustCompile("^" + foreign + "$")).OnElements("a")
	p.AllowURLSchemes("http", "https", "mailto")
	p.AllowRelativeURLs(true)
	p.RequireParseableURLs(true)
	p.AllowAttrs("src").Matching(picture).OnElements("img")
	p.AllowAttrs("alt").OnElements("img")
	p.AllowAttrs("loading").Matching(regexp.MustCompile(`^lazy$`)).OnElements("img")
	return p
}

// address reports whether a link may lead to an address, and whether that is on this site.
// Browsers read backslashes as slashes and leave out tabs and ends of lines, so an address
// with such a character leads nowhere.
func address(dest string) (allowed, here bool) {
	if strings.ContainsFunc(dest, func(r rune) bool { return r <= ' ' || r == '\\' || r == 0x7f }) {
		return false, false
	}
	lower := strings.ToLower(dest)
	for _, scheme := range []string{"https://", "http://", "mailto:"} {
		if strings.HasPrefix(lower, scheme) {
			return len(lower) > len(scheme) && !strings.ContainsRune("/?#", rune(lower[len(scheme)])), false
		}
	}
	return strings.HasPrefix(dest, "/") && !strings.HasPrefix(dest, "//"), true
}

var levelKey = parser.NewContextKey()

// house brings a parsed text into the house's form: headings below the page's, links marked,
// links that may not be followed left as their words.
type house struct{}

// Transform implements parser.ASTTransformer.
func (house) Transform(doc *ast.Document, reader text.Reader, pc parser.Context) {
	level, _ := pc.Get(levelKey).(int)
	var dead []ast.Node
	var headings []*ast.Heading
	_ = ast.Walk(doc, func(node ast.Node, entering bool) (ast.WalkStatus, error) {
		if !entering {
			return ast.WalkContinue, nil
		}
		switch n := node.(type) {
		case *ast.Heading:
			headings = append(headings, n)
		case *ast.Link:
			if !mark(n, string(n.Destination)) {
				dead = append(dead, n)
			}
		case *ast.AutoLink:
			dest := string(n.URL(reader.Source()))
			if n.AutoLinkType == ast.AutoLinkEmail && !strings.HasPrefix(strings.ToLower(dest), "mailto:") {
				dest = "mailto:" + dest
			}
			if !mark(n, dest) {
				dead = append(dead, n)
			}
		}
		return ast.WalkContinue, nil
	})
	for _, n := range dead {
		bury(n, reader.Source())
	}
	lower(headings, level)
}

// lower makes the levels that a text's headings have follow one another from level on, so
// that no page skips one, whichever its writer began with.
func lower(headings []*ast.Heading, level int) {
	var used [7]int // CommonMark has levels 1 to 6
	for _, h := range headings {
		used[h.Level] = 1
	}
	below := max(level, 1)
	for l, is := range used {
		used[l], below = min(below, 6), below+is
	}
	for _, h := range headings {
		h.Level = used[h.Level]
	}
}

// mark says of a link that it leads away; it reports whether it may be a link at all.
func mark(n ast.Node, dest string) bool {
	allowed, here := address(dest)
	if allowed && !here {
		n.SetAttributeString("rel", []byte(foreign))
	}
	return allowed
}

// bury puts a link's words in its place.
func bury(n ast.Node, source []byte) {
	parent := n.Parent()
	if parent == nil {
		return
	}
	if auto, ok := n.(*ast.AutoLink); ok {
		parent.ReplaceChild(parent, n, ast.NewString(auto.Label(source)))
		return
	}
	for child := n.FirstChild(); child != nil; {
		next := child.NextSibling()
		parent.InsertBefore(parent, n, child)
		child = next
	}
	parent.RemoveChild(parent, n)
}

// pictures renders pictures of this site, and the description of others.
type pictures struct{}

// RegisterFuncs implements renderer.NodeRenderer.
func (pictures) RegisterFuncs(r renderer.NodeRendererFuncRegisterer) {
	r.Register(ast.KindImage, renderPicture)
}

func renderPicture(w util.BufWriter, source []byte, node ast.Node, entering bool) (ast.WalkStatus, error) {
	n := node.(*ast.Image)
	if !picture.Match(n.Destination) {
		return ast.WalkContinue, nil // its description is its children
	}
	if !entering {
		return ast.WalkContinue, nil
	}
	var alt strings.Builder
	for c := n.FirstChild(); c != nil; c = c.NextSibling() {
		_ = ast.Walk(c, func(node ast.Node, entering bool) (ast.WalkStatus, error) {
			writePlain(&alt, node, entering, source)
			return ast.WalkContinue, nil
		})
	}
	_, _ = w.WriteString(`<img src="`)
	_, _ = w.Write(util.EscapeHTML(n.Destination))
	_, _ = w.WriteString(`" alt="`)
	_, _ = w.Write(util.EscapeHTML([]byte(alt.String())))
	_, _ = w.WriteString(`" loading="lazy">`)
	return ast.WalkSkipChildren, nil
}
