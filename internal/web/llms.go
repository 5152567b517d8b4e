package web

import (
	"fmt"
	"strings"

	"github.com/souk-market/souk/internal/catalog"
	"github.com/souk-market/souk/store"
	"github.com/souk-market/souk/views"
)

// llmsAgents is how many agents llms.txt names.
const llmsAgents = 50

// llms is the marketplace for software that reads (https://llmstxt.org): where what is, and
// the agents that most people use, each by its page in Markdown.
func (s *Server) llms(tx store.Reader, _ address) (content, error) {
	home, err := catalog.HomeOf(tx, llmsAgents)
	if err != nil {
		return content{}, err
	}
	tree, err := catalog.Shelves(tx)
	if err != nil {
		return content{}, err
	}
	counts, err := catalog.ShelfCounts(tx)
	if err != nil {
		return content{}, err
	}
	var b strings.Builder
	fmt.Fprintf(&b, "# %s\n\n> A marketplace for AI agents and the tools around them, with %d on sale. Each has a price, a label of what it needs and may touch, and its releases with checksums.\n\n", s.Name, home.Total)
	b.WriteString("Every agent's page has a twin in Markdown: add .md to its address. What a seller says stands there as a quotation.\n")
	b.WriteString("\n## Finding\n\n")
	s.entry(&b, "Search", "/search?q=postgres", "any words; filters are parameters: category, tag, price, type, runtime, without, rating, verified, sort, page")
	s.entry(&b, "New agents, JSON Feed", "/search/feed.json", "takes the parameters of the search")
	s.entry(&b, "New agents, Atom", "/search/feed.atom", "the same as Atom")
	s.entry(&b, "Sitemap", "/sitemap.xml", "all agents, with dates")
	b.WriteString("\n## Categories\n\n")
	for _, branch := range tree {
		for _, c := range tree.Within(branch.Category) {
			if n := counts.Of(tree, c); n > 0 {
				s.entry(&b, tree.Shelf(c).Title, views.CategoryPath(string(c)), agentsIn(n))
			}
		}
	}
	b.WriteString("\n## Agents\n\n")
	for _, l := range home.Popular {
		s.entry(&b, l.Name, views.AgentPath(l.Slug)+".md", summaryOf(&l))
	}
	texts, err := catalog.StaticPages(tx)
	if err != nil {
		return content{}, err
	}
	b.WriteString("\n## Optional\n\n")
	for _, p := range texts {
		s.entry(&b, p.Title, pagePath(p.Slug), "")
	}
	return document("text/plain; charset=utf-8", []byte(b.String()))
}

func agentsIn(n int) string {
	if n == 1 {
		return "1 agent"
	}
	return fmt.Sprintf("%d agents", n)
}

// entry is a link with a note. A name is a seller's word, so it can't end the link, also
// where software looks for brackets alone.
func (s *Server) entry(b *strings.Builder, name, path, note string) {
	fmt.Fprintf(b, "- [%s](%s%s)", inline(linkText.Replace(name)), s.BaseURL, path)
	if note != "" {
		b.WriteString(": " + inline(note))
	}
	b.WriteString("\n")
}

var linkText = strings.NewReplacer("[", "(", "]", ")", "\\", "/", "`", "'")
