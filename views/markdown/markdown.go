// Package markdown makes HTML of the Markdown that sellers and operators write: CommonMark
// with tables, struck-out text and addresses that become links.
//
// It promises that what comes out can stand in a page of the marketplace whoever wrote it:
// it runs no script, loads nothing from anywhere else, has no style, no identifier and no
// form of its own, and its headings stand below the page's. HTML in the text is left out.
// Links that lead away are marked as a stranger's (rel="nofollow ugc noopener"); pictures are
// shown from /media/ only, and others by their description. The text is bounded, and so is
// the work that it makes.
//
// Two parts see to that, and each would do alone: the parser, which is told to write no HTML
// of the text's own and no address but those of http, https, mailto and this site, and the
// sanitizer, which lets nothing through but the elements and attributes listed in policy.go.
package markdown

import (
	"bytes"
	"strings"
	"unicode/utf8"

	"github.com/souk-market/souk/internal/market"
	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/ast"
	"github.com/yuin/goldmark/extension"
	"github.com/yuin/goldmark/parser"
	"github.com/yuin/goldmark/renderer"
	"github.com/yuin/goldmark/text"
	"github.com/yuin/goldmark/util"
)

// MaxText is how many bytes of a text are read; the rest is left out.
const MaxText = market.MaxText

// MaxCells bounds the cells that a text's tables could have, which may be far more than it
// has bytes: a row gets as many cells as the head has. Tables of a text beyond it are shown
// as they are written.
const MaxCells = 5_000

var (
	plain  = newParser(extension.Strikethrough, extension.Linkify)
	tables = newParser(extension.Strikethrough, extension.Linkify,
		extension.NewTable(extension.WithTableCellAlignMethod(extension.TableCellAlignAttribute)))
)

func newParser(extensions ...goldmark.Extender) goldmark.Markdown {
	return goldmark.New(
		goldmark.WithExtensions(extensions...),
		goldmark.WithParserOptions(parser.WithASTTransformers(util.Prioritized(house{}, 1000))),
		goldmark.WithRendererOptions(renderer.WithNodeRenderers(util.Prioritized(pictures{}, 100))),
	)
}

// HTML returns a text as HTML, its headings from h{level} on without a gap: 3 where the text
// stands under an h2.
func HTML(source string, level int) string {
	src := []byte(cut(source))
	md := parserFor(src)
	pc := parser.NewContext()
	pc.Set(levelKey, level)
	var out bytes.Buffer
	if err := md.Renderer().Render(&out, src, md.Parser().Parse(text.NewReader(src), parser.WithContext(pc))); err != nil {
		return "" // a buffer takes everything
	}
	return reachable.Replace(string(policy.SanitizeBytes(out.Bytes())))
}

// reachable lets the keyboard move what may be wider than the page. The sanitizer writes
// these tags without attributes, and escapes them in text.
var reachable = strings.NewReplacer("<pre>", `<pre tabindex="0">`, "<table>", `<table tabindex="0">`)

// Plain returns a text without its marks on one line, cut at a word's end to at most n bytes.
func Plain(source string, n int) string {
	src := []byte(cut(source))
	md := parserFor(src)
	var out strings.Builder
	root := md.Parser().Parse(text.NewReader(src), parser.WithContext(parser.NewContext()))
	_ = ast.Walk(root, func(node ast.Node, entering bool) (ast.WalkStatus, error) {
		writePlain(&out, node, entering, src)
		return ast.WalkContinue, nil
	})
	return shorten(market.CleanText(out.String()), n)
}

func parserFor(src []byte) goldmark.Markdown {
	if mayCell(src) > MaxCells {
		return plain
	}
	return tables
}

// mayCell is how many cells the tables of a text can have at most: its lines times the most
// bars in one.
func mayCell(src []byte) int {
	lines, most := 0, 0
	for line := range bytes.Lines(src) {
		if bars := bytes.Count(line, []byte{'|'}); bars > 0 {
			most = max(most, bars+1)
		}
		lines++
	}
	return lines * most
}

// cut returns at most MaxText bytes of a text, whole characters.
func cut(s string) string {
	if len(s) <= MaxText {
		return s
	}
	s = s[:MaxText]
	for len(s) > 0 && !utf8.RuneStart(s[len(s)-1]) {
		s = s[:len(s)-1]
	}
	return s[:max(len(s)-1, 0)]
}

func shorten(s string, n int) string {
	if len(s) <= n {
		return s
	}
	end := n - len("…")
	if end <= 0 {
		return ""
	}
	for end > 0 && !utf8.RuneStart(s[end]) {
		end--
	}
	if space := strings.LastIndexByte(s[:end], ' '); space > 0 {
		end = space
	}
	return s[:end] + "…"
}

func writePlain(out *strings.Builder, node ast.Node, entering bool, src []byte) {
	switch n := node.(type) {
	case *ast.Text:
		if entering {
			out.Write(n.Segment.Value(src))
			if n.SoftLineBreak() || n.HardLineBreak() {
				out.WriteByte(' ')
			}
		}
	case *ast.String:
		if entering {
			out.Write(n.Value)
		}
	case *ast.AutoLink:
		if entering {
			out.Write(n.Label(src))
		}
	case *ast.FencedCodeBlock, *ast.CodeBlock:
		if entering {
			out.WriteByte(' ')
			out.Write(n.Lines().Value(src))
		}
	default:
		if !entering && node.Type() == ast.TypeBlock {
			out.WriteByte(' ')
		}
	}
}
