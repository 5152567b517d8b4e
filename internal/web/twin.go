package web

import (
	"fmt"
	"strings"

	"github.com/souk-market/souk/internal/catalog"
	"github.com/souk-market/souk/internal/market"
	"github.com/souk-market/souk/views"
)

const markdownType = "text/markdown; charset=utf-8"

// agentTwin is an agent's page as Markdown, for software: the same facts in the same order.
// What the seller says at length is quoted, so that it can't pass for what the marketplace
// says. Unlisted agents have none, for nothing says there that they are not to be indexed.
func (s *Server) agentTwin(d *catalog.Detail) (content, error) {
	if !d.Visible() {
		return content{}, market.Errorf(market.NotFound, "There is no such agent.")
	}
	p := s.agentPage(d)
	var b strings.Builder
	fmt.Fprintf(&b, "# %s\n\n", inline(p.Name))
	if p.Summary != "" {
		fmt.Fprintf(&b, "%s\n\n", inline(p.Summary))
	}
	fmt.Fprintf(&b, "- Page: %s%s\n- Seller: %s", s.BaseURL, views.AgentPath(p.Slug), inline(p.Seller.Name))
	if p.Seller.Verified {
		b.WriteString(" (verified)")
	}
	b.WriteString("\n")
	if n := p.Rating.Count(); n > 0 {
		fmt.Fprintf(&b, "- Rating: %.1f of 5 (%d reviews)\n", p.Rating.Mean(), n)
	}
	s.twinOffers(&b, &p)
	twinLabel(&b, p.Label)
	if d.Text.Description != "" {
		section(&b, "Description, in the seller's words", quoted(d.Text.Description))
	}
	twinReleases(&b, d.Releases)
	section(&b, "Refunds", asWhose(d.Text.Refunds, p.Refunds))
	section(&b, "Licence", asWhose(d.Text.Terms, p.License))
	return document(markdownType, []byte(b.String()))
}

func section(b *strings.Builder, title, text string) {
	fmt.Fprintf(b, "\n## %s\n\n%s\n", title, text)
}

// quoted is a text as a quotation, whatever is in it.
func quoted(text string) string {
	text = strings.ReplaceAll(strings.ReplaceAll(text, "\r\n", "\n"), "\r", "\n")
	return "> " + strings.ReplaceAll(strings.TrimSpace(text), "\n", "\n> ")
}

// asWhose is a text as a quotation where it is the seller's own, and as it is otherwise.
func asWhose(own, text string) string {
	if own != "" {
		return quoted(text)
	}
	return text
}

// inline is a line of a seller's as Markdown that shows its characters and nothing else: no
// heading, list, link, picture, code or HTML comes of it.
func inline(text string) string {
	text = marks.Replace(text)
	number := strings.TrimLeft(text, "0123456789")
	switch n := len(text) - len(number); {
	case number == "":
	case n == 0 && strings.IndexByte("#-+=~|>", number[0]) >= 0, n > 0 && strings.HasPrefix(number[1:]+" ", " ") && strings.IndexByte(".)", number[0]) >= 0:
		return text[:n] + `\` + number // it would begin a block where it begins a line
	}
	return text
}

// marks are escaped wherever they stand (CommonMark 0.31.2, 2.4).
var marks = strings.NewReplacer(`\`, `\\`, "`", "\\`", "*", `\*`, "[", `\[`, "]", `\]`, "<", `\<`)

// inlines are lines of a seller's, set apart by sep.
func inlines(texts []string, sep string) string {
	safe := make([]string, len(texts))
	for i, text := range texts {
		safe[i] = inline(text)
	}
	return strings.Join(safe, sep)
}

func (s *Server) twinOffers(b *strings.Builder, p *views.Agent) {
	b.WriteString("\n## Price\n\n")
	for _, o := range p.Offers {
		price := "free"
		if !o.Price.IsZero() {
			price = o.Price.String()
		}
		if o.Name != "" {
			price = inline(o.Name) + ": " + price
		}
		fmt.Fprintf(b, "- %s (offer `%s`). Includes: %s\n", price, o.ID, inlines(o.Includes, "; "))
	}
}

func twinLabel(b *strings.Builder, l views.Label) {
	b.WriteString("\n## Label\n\n")
	if !l.Declared {
		b.WriteString("The seller hasn't declared everything: what is missing here is unknown.\n\n")
	}
	for _, p := range l.Permissions {
		fmt.Fprintf(b, "- Permission: %s", p.Name)
		if p.Detail != "" {
			fmt.Fprintf(b, " (%s)", inline(p.Detail))
		}
		b.WriteString("\n")
	}
	for _, f := range []struct {
		term   string
		values []string
	}{
		{"Models", l.Models}, {"Runs on", l.Runtimes}, {"Keys to bring", l.Keys}, {"Takes in", l.Inputs}, {"Gives back", l.Outputs},
	} {
		if len(f.values) > 0 {
			fmt.Fprintf(b, "- %s: %s\n", f.term, inlines(f.values, ", "))
		} else if l.Declared {
			fmt.Fprintf(b, "- %s: none\n", f.term)
		}
	}
	for _, r := range l.More {
		fmt.Fprintf(b, "- %s: %s\n", inline(r.Term), inline(r.Value))
	}
	if l.Retention != "" {
		fmt.Fprintf(b, "- Your data: %s\n", inline(l.Retention))
	}
	if l.Size > 0 {
		fmt.Fprintf(b, "- Download: %d bytes\n", l.Size)
	}
}

func twinReleases(b *strings.Builder, list []market.AgentRelease) {
	b.WriteString("\n## Releases\n")
	for _, r := range list {
		fmt.Fprintf(b, "\n### %s\n\n", inline(orCurrent(r.Version)))
		if !r.Released.IsZero() {
			fmt.Fprintf(b, "- Date: %s\n", r.Released.UTC().Format("2006-01-02"))
		}
		if r.Channel != "" {
			fmt.Fprintf(b, "- Channel: %s\n", inline(r.Channel))
		}
		if r.State == market.ReleaseYanked {
			fmt.Fprintf(b, "- Withdrawn: %s\n", inline(r.Reason))
		} else if r.File.SHA256 != "" {
			fmt.Fprintf(b, "- File: `%s`, %d bytes, SHA-256 `%s`\n", strings.ReplaceAll(r.File.Name, "`", "'"), r.File.Size, r.File.SHA256)
		}
		if r.Notes != "" {
			fmt.Fprintf(b, "\n%s\n", quoted(r.Notes))
		}
	}
}

func orCurrent(version string) string {
	if version == "" {
		return "Current version"
	}
	return version
}
