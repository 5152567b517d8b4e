package views

import (
	"context"
	"io"
	"net/url"
	"strconv"
	"strings"

	"github.com/a-h/templ"

	"github.com/souk-market/souk/internal/market"
)

func fullTitle(site Site, m Meta) string {
	if m.Title == "" {
		return site.Name
	}
	return m.Title + " · " + site.Name
}

func ogTitle(site Site, m Meta) string {
	if m.Title == "" {
		return site.Name
	}
	return m.Title
}

func ogType(m Meta) string {
	if m.Type == "" {
		return "website"
	}
	return m.Type
}

func searchLabel(large bool) string {
	if large {
		return "Search the marketplace"
	}
	return "Search"
}

// placeholder says how much there is to search, where that is known.
func placeholder(total int) string {
	if total == 0 {
		return "Search agents"
	}
	return "Search " + plural(total, "agent", "agents")
}

// pathEscape escapes one element of a path.
func pathEscape(s string) string { return url.PathEscape(s) }

func decimal(n int) string { return strconv.Itoa(n) }

func lower(s string) string { return strings.ToLower(s) }

// shortSum is the beginning of a checksum, enough to compare by eye.
func shortSum(sum string) string {
	if len(sum) <= 16 {
		return sum
	}
	return sum[:16] + "…"
}

// domID makes a value usable in an element's ID.
func domID(prefix, value string) string {
	return prefix + "-" + strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '_' {
			return r
		}
		return '-'
	}, value)
}

// moneyValue lets templates name the type without importing its package each.
type moneyValue = market.Money

// permissionTitles are the permissions that have a glyph.
var permissionTitles = map[string]string{
	"network": "Uses the network",
	"files":   "Reads and writes files",
	"shell":   "Runs commands",
	"browser": "Drives a browser",
	"secrets": "Needs your keys",
}

// glyphs are the permissions that have one, in a row. A listing has a hundred of them, so
// they are written by hand: as components they take a fifth of its rendering.
func glyphs(icons string, permissions []string) templ.Component {
	return templ.ComponentFunc(func(_ context.Context, w io.Writer) error {
		html := make([]byte, 0, 1024)
		html = append(html, `<span class="permissions">`...)
		for _, p := range permissions {
			title, known := permissionTitles[p]
			if !known {
				continue
			}
			html = append(append(html, `<span class="permission" title="`...), title...)
			html = append(append(html, `"><svg class="icon" width="20" height="20" aria-hidden="true"><use href="`...), icons...)
			html = append(append(html, '#'), p...)
			html = append(append(html, `"></use></svg><span class="vh">`...), title...)
			html = append(html, `</span></span>`...)
		}
		_, err := w.Write(append(html, `</span>`...))
		return err
	})
}

// icon is a symbol of the sprite, its name one of this package's own.
func icon(site Site, name string) templ.Component {
	return safe(HTML(`<svg class="icon" width="20" height="20" aria-hidden="true"><use href="` + site.asset("icons.svg") + "#" + name + `"></use></svg>`))
}

// marked is a text with what was searched for set off.
func marked(text string, marks []Span) templ.Component {
	return templ.ComponentFunc(func(_ context.Context, w io.Writer) error { return writeMarked(w, text, marks, nil) })
}

// markedName is breakable with what was searched for set off.
func markedName(name string, marks []Span) templ.Component {
	return templ.ComponentFunc(func(_ context.Context, w io.Writer) error { return writeMarked(w, name, marks, breaks) })
}

func writeMarked(w io.Writer, text string, marks []Span, br *strings.Replacer) error {
	at := 0
	for _, m := range marks {
		if m.Start < at || m.End > len(text) || m.Start >= m.End {
			continue
		}
		if err := writeText(w, text[at:m.Start], br); err != nil {
			return err
		}
		if _, err := io.WriteString(w, "<mark>"); err != nil {
			return err
		}
		if err := writeText(w, text[m.Start:m.End], br); err != nil {
			return err
		}
		if _, err := io.WriteString(w, "</mark>"); err != nil {
			return err
		}
		at = m.End
	}
	return writeText(w, text[at:], br)
}

func writeText(w io.Writer, text string, br *strings.Replacer) error {
	html := templ.EscapeString(text)
	if br != nil {
		html = br.Replace(html)
	}
	_, err := io.WriteString(w, html)
	return err
}

// breakable is a package's name, with places to break a line after "/", "_" and ".". It is
// written by hand because white space between its parts would show.
func breakable(name string) templ.Component {
	return templ.ComponentFunc(func(_ context.Context, w io.Writer) error {
		html := templ.EscapeString(name)
		_, err := breaks.WriteString(w, html)
		return err
	})
}

var breaks = strings.NewReplacer("/", "/<wbr>", "_", "_<wbr>", ".", ".<wbr>")

func oneDigit(f float64) string { return strconv.FormatFloat(f, 'f', 1, 64) }

func snippetLabel(s Snippet) string {
	if s.Title == "" {
		return "Code"
	}
	return s.Title
}
