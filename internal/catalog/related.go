package catalog

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/souk-market/souk/internal/market"
	"github.com/souk-market/souk/store"
)

// How related agents are looked for. One takes 0.3 ms over 30,000 agents (BenchmarkRelated
// of package search), so that looking at all of them takes one minute or three.
const (
	relatedKept   = 8              // of an agent: what a page shows, and some that may go off the shelf
	relatedAtOnce = 512            // agents looked at in one go, and written in one commit
	relatedPause  = 19             // times what it took is rested: a twentieth of one core is used,
	relatedHurry  = 4              // or a fifth, while of some nothing is known
	relatedEvery  = 24 * time.Hour // all agents are looked at so often
	relatedRetry  = time.Minute    // after an error
)

// relatedSettle is how long after a change it is looked at, so that the index has followed
// at its own pace. Tests don't wait for it.
var relatedSettle = time.Second

// RelatedTo returns the agents that have most in common with one, the nearest first, as
// KeepRelated last found them. Some may be off the shelf by now.
func RelatedTo(tx store.Reader, id market.AgentID) ([]market.AgentID, error) {
	r, err := store.Related.Load(tx, id)
	if market.Is(err, market.NotFound) {
		return nil, nil
	}
	return r.Agents, err
}

// KeepRelated keeps store.Related until ctx ends, and then returns nil: for every published
// agent those that have most in common with it, as the index finds them. They are records,
// so that pages are of one moment, can be kept until one of their records changes, and show
// the same on a standby. An agent is looked at seconds after it has changed; those of which
// nothing is known when KeepRelated begins; and all once a day, because others come and go.
// Changes that were missed, after an error, have all looked at. Only what is found to be
// different is written.
func (c *Catalog) KeepRelated(ctx context.Context) error {
	for missed := false; ctx.Err() == nil; missed = true {
		r := relating{Catalog: c, after: c.Store.DurableLSN(), known: missed}
		err := r.run(ctx)
		if ctx.Err() != nil {
			break
		}
		if !errors.Is(err, store.ErrLogCut) {
			c.Logger.Error("related agents can't be kept; trying again", "in", relatedRetry, "err", err)
			rest(ctx, relatedRetry)
		}
	}
	return nil
}

// relating looks at agents: at all of them, and at those that change meanwhile.
type relating struct {
	*Catalog
	after store.LSN      // the feed is followed up to here
	last  market.AgentID // that was looked at, of all
	next  time.Time      // when all are looked at again; zero while they are
	known bool           // those of which something is known are looked at too
}

func (r *relating) run(ctx context.Context) error {
	if err := r.Index.WaitFor(ctx, r.after); err != nil {
		return err
	}
	for {
		ids, err := r.changed(ctx)
		if err == nil && len(ids) == 0 {
			ids, err = r.portion(ctx)
		}
		if err != nil {
			return err
		}
		began := time.Now()
		if err := r.relate(ctx, ids); err != nil {
			return err
		}
		pause := time.Duration(relatedPause)
		if !r.known {
			pause = relatedHurry
		}
		rest(ctx, pause*time.Since(began))
	}
}

// changed returns agents that have changed, and the index knows it. It returns none while
// all are looked at and nothing has changed, or when it is time for that.
func (r *relating) changed(ctx context.Context) (ids []market.AgentID, err error) {
	if ids, err = r.feed(ctx); err != nil || len(ids) == 0 {
		return nil, err
	}
	rest(ctx, relatedSettle)
	return ids, r.Index.WaitFor(ctx, r.after)
}

// feed returns agents that have changed. It waits for some until all are to be looked at
// again; while they are, it doesn't wait.
func (r *relating) feed(ctx context.Context) (ids []market.AgentID, err error) {
	all := r.next.IsZero()
	if all && r.Store.DurableLSN() <= r.after {
		return nil, nil
	}
	waiting, cancel := context.WithCancel(ctx)
	if !all {
		waiting, cancel = context.WithDeadline(ctx, r.next)
	}
	defer cancel()
	for change, err := range r.Store.Feed(waiting, r.after) {
		if waiting.Err() != nil {
			break
		}
		if err != nil {
			return nil, err
		}
		r.after = change.LSN
		for key := range store.Agents.ChangedIn(change.Keys) {
			if key.Tenant == r.Tenant && !slices.Contains(ids, key.ID) {
				ids = append(ids, key.ID)
			}
		}
		if len(ids) >= relatedAtOnce || !change.More && (all || len(ids) > 0) {
			break
		}
	}
	return ids, ctx.Err()
}

// portion returns the next of all agents, none when there are no more.
func (r *relating) portion(ctx context.Context) (ids []market.AgentID, err error) {
	if !r.next.IsZero() {
		r.last, r.next = "", time.Time{}
	}
	err = r.Store.View(ctx, r.Tenant, func(tx *store.ReadTx) error {
		for a, err := range store.Agents.All(tx, r.last) {
			if err != nil || len(ids) == relatedAtOnce {
				return err
			}
			there := false
			if !r.known {
				there, err = store.Related.Has(tx, a.ID)
			}
			if err != nil {
				return err
			}
			if !there {
				ids = append(ids, a.ID)
			}
		}
		return nil
	})
	if len(ids) == 0 {
		r.next, r.known = time.Now().Add(relatedEvery), true
		return nil, err
	}
	r.last = ids[len(ids)-1]
	return ids, err
}

// relate looks for what is related to agents, and writes what differs from what is kept.
func (r *relating) relate(ctx context.Context, ids []market.AgentID) error {
	agents, kept, err := r.read(ctx, ids)
	if err != nil {
		return err
	}
	var found []market.Related
	for i := range agents {
		list, err := r.Index.Related(ctx, r.Tenant, &agents[i], relatedKept)
		if err != nil {
			return err
		}
		if !slices.Equal(list, kept[i]) {
			found = append(found, market.Related{Agent: agents[i].ID, Agents: list})
		}
	}
	if len(found) == 0 {
		return nil
	}
	_, err = r.Store.Update(ctx, r.Tenant, store.Op{}, func(tx *store.Tx) error {
		for i := range found {
			if err := store.Related.Put(tx, &found[i]); err != nil {
				return err
			}
		}
		return nil
	})
	return err
}

// read returns those of the agents that are published, and what is kept of each.
func (r *relating) read(ctx context.Context, ids []market.AgentID) (agents []market.Agent, kept [][]market.AgentID, err error) {
	err = r.Store.View(ctx, r.Tenant, func(tx *store.ReadTx) error {
		for _, id := range ids {
			a, err := store.Agents.Load(tx, id)
			if market.Is(err, market.NotFound) || err == nil && !a.Visible() {
				continue
			}
			if err != nil {
				return err
			}
			list, err := RelatedTo(tx, id)
			if err != nil {
				return err
			}
			agents, kept = append(agents, a), append(kept, list)
		}
		return nil
	})
	return agents, kept, err
}

// rest waits, or until ctx ends.
func rest(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}
