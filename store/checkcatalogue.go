package store

import "github.com/souk-market/souk/internal/market"

// checkCatalogue verifies what belongs to agents.
func (c *checker) checkCatalogue(tx *ReadTx) {
	for t := range recordsOf(c, tx, Texts) {
		c.checkAgent(tx, "The text", string(t.Agent), t.Agent)
	}
	for r := range recordsOf(c, tx, Releases) {
		c.checkAgent(tx, "Release", string(r.ID), r.Agent)
		if r.File.SHA256 != "" && !r.File.OnDemand {
			c.checkFile(tx, "release "+string(r.ID), r.File)
		}
	}
	for r := range recordsOf(c, tx, Redirects) {
		c.checkAgent(tx, "The slug from before", r.Slug, r.Agent)
		if a, err := AgentBySlug.Load(tx, r.Slug); err == nil {
			c.report.problem("The slug %s leads to agent %s, and is that of agent %s.", r.Slug, r.Agent, a.ID)
		}
	}
	ratings, all := c.ratings(tx)
	for a := range recordsOf(c, tx, Agents) {
		c.checkAgentFiles(tx, &a)
		if all && a.Rating != ratings[a.ID] {
			c.report.problem("The rating of agent %s counts %v, and its reviews %v.", a.ID, a.Rating.Stars, ratings[a.ID].Stars)
		}
	}
}

func (c *checker) checkAgentFiles(tx *ReadTx, a *market.Agent) {
	if !a.Release.File.OnDemand {
		c.checkFile(tx, "agent "+a.Slug, a.Release.File)
	}
	for _, img := range a.Images {
		c.checkFile(tx, "agent "+a.Slug, market.File{Name: "picture", SHA256: img.SHA256, Size: img.Size})
	}
}

func (c *checker) checkAgent(tx *ReadTx, what, name string, id market.AgentID) {
	if there, _ := found(loadError(Agents.Load(tx, id))); !there {
		c.report.problem("%s %s is of agent %s, which isn't there.", what, name, id)
	}
}

// ratings are the sums of the reviews that count; all is false when some couldn't be read.
func (c *checker) ratings(tx *ReadTx) (sums map[market.AgentID]market.Rating, all bool) {
	failed := c.failed
	sums = map[market.AgentID]market.Rating{}
	for r := range recordsOf(c, tx, Reviews) {
		c.checkAgent(tx, "Review", string(r.ID), r.Agent)
		if !r.Counts() {
			continue
		}
		if r.Stars < 1 || r.Stars > len(market.Rating{}.Stars) {
			c.report.problem("Review %s has %d stars.", r.ID, r.Stars)
			continue
		}
		sum := sums[r.Agent]
		sum.Stars[r.Stars-1]++
		sums[r.Agent] = sum
	}
	return sums, c.failed == failed
}
