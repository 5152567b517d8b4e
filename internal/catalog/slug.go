package catalog

import (
	"github.com/souk-market/souk/internal/market"
	"github.com/souk-market/souk/store"
)

// slugTaken reports whether a slug is another agent's, now or from before: an address that
// was given out once leads to the agent that had it, until its seller gives it up.
func slugTaken(tx store.Reader, slug string, id market.AgentID) (bool, error) {
	a, err := store.AgentBySlug.Load(tx, slug)
	if err == nil {
		return a.ID != id, nil
	}
	if !market.Is(err, market.NotFound) {
		return false, err
	}
	r, err := store.Redirects.Load(tx, slug)
	if market.Is(err, market.NotFound) {
		return false, nil
	}
	return r.Agent != id, err
}

// putAgent writes an agent. Where its slug was another before (old), that leads to it from
// now on; a slug that it takes back doesn't any more. The slug must be free (slugTaken).
func putAgent(tx *store.Tx, a *market.Agent, old string) error {
	if err := store.Agents.Put(tx, a); err != nil {
		return err
	}
	if old == a.Slug {
		return nil
	}
	if err := store.Redirects.Delete(tx, a.Slug); err != nil {
		return err
	}
	if old == "" {
		return nil
	}
	return store.Redirects.Put(tx, &market.Redirect{Slug: old, Agent: a.ID, Since: tx.Now()})
}
