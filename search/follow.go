package search

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	index "github.com/blevesearch/bleve_index_api"
	"github.com/souk-market/souk/internal/market"
	"github.com/souk-market/souk/store"
)

const (
	batchDocs    = 2_000            // agents at which a batch is written though more is waiting
	batchCommits = 10_000           // commits after which the cursor is written though no agent changed
	batchPace    = time.Millisecond // an agent: see pause
	maxPause     = time.Second
	flushTimeout = 10 * time.Second
	firstRetry   = time.Second
	lastRetry    = time.Minute
)

// errAgain ends following so that the index is built anew.
var errAgain = errors.New("search: a rebuild was asked for")

// Run keeps the index at the store's last durable commit until ctx ends, then returns
// nil. What goes wrong is logged and tried again; damage has the index built anew.
func (ix *Index) Run(ctx context.Context) error {
	retry := firstRetry
	for {
		began := time.Now()
		err := ix.run(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if err == nil {
			continue
		}
		if time.Since(began) > lastRetry {
			retry = firstRetry
		}
		ix.log.Error("the search index can't follow the store; trying again", "in", retry, "err", err)
		select {
		case <-time.After(retry):
		case <-ctx.Done():
			return nil
		}
		retry = min(2*retry, lastRetry)
	}
}

// run builds the index if needed and follows until something ends it, which may be that
// the index is to be built anew: then it does that and returns nil.
func (ix *Index) run(ctx context.Context) error {
	if ix.gen == nil {
		if err := ix.open(); err != nil {
			return err
		}
	}
	if ix.gen == nil {
		if err := ix.rebuild(ctx); err != nil {
			return err
		}
	}
	if err := ix.readShelves(ctx, ix.tenants); err != nil { // changes before the cursor aren't followed
		return err
	}
	ix.warm()
	err := ix.follow(ctx, ix.gen)
	switch {
	case ctx.Err() != nil:
		return nil
	case errors.Is(err, errAgain) || errors.Is(err, store.ErrLogCut):
		ix.log.Info("building the search index anew", "why", err)
		return ix.rebuild(ctx)
	}
	return errors.Join(err, ix.abandon(err))
}

// abandon closes the generation after an error. A damaged one is not searched any longer.
func (ix *Index) abandon(why error) error {
	g := ix.gen
	ix.gen = nil
	if errors.Is(why, errBroken) {
		ix.show(nil, 0)
		ix.removeOthers(ix.next) // all of them
	}
	return guard(g.close)
}

// follow applies the store's changes, and shows what Bleve's background tasks did to the
// segments, until ctx ends, a rebuild is asked for, or something fails.
func (ix *Index) follow(ctx context.Context, g *generation) error {
	ctx, stop := context.WithCancelCause(ctx)
	var wg sync.WaitGroup
	wg.Go(func() { ix.watch(ctx, stop, g) })
	err := ix.apply(ctx, g)
	stop(err)
	wg.Wait()
	return context.Cause(ctx)
}

// watch ends the following of a generation when it is damaged or not wanted any longer.
func (ix *Index) watch(ctx context.Context, stop context.CancelCauseFunc, g *generation) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-ix.again:
			stop(errAgain)
		case err := <-ix.damaged:
			stop(err)
		case err := <-g.failed:
			stop(err)
		case <-g.moved:
			if err := ix.publish(g, sameLSN); err != nil {
				stop(err)
			}
			ix.warm()
		}
	}
}

// apply follows the feed from the generation's cursor.
func (ix *Index) apply(ctx context.Context, g *generation) error {
	p := pending{agents: map[store.RecordKey[market.AgentID]]bool{}}
	for change, err := range ix.db.Feed(ctx, g.cursor.lsn) {
		if err != nil {
			return err
		}
		p.add(change, ix.tenants)
		if !p.full() && (change.More || ix.pause(ctx, &p)) {
			continue
		}
		if err := ix.write(ctx, g, &p); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// pending is what changes have named and the index hasn't been told.
type pending struct {
	agents  map[store.RecordKey[market.AgentID]]bool
	sweeps  []sweep
	shelves []market.TenantID // whose categories changed
	commits int               // since the cursor was last written
	to      cursor
	swept   bool      // the last batch was part of a sweep that goes on
	due     time.Time // when the next batch is written at the latest
}

func (p *pending) full() bool { return len(p.agents) >= batchDocs || p.commits >= batchCommits }

// pause waits until the batch is due, and reports whether more has come meanwhile. Small
// batches make small segments, which cost more to merge than to write: after a batch of
// n agents the next waits n times batchPace, unless it is full or WaitFor wants it.
func (ix *Index) pause(ctx context.Context, p *pending) (more bool) {
	wait := time.Until(p.due)
	if len(p.agents) == 0 && len(p.sweeps) == 0 || wait <= 0 {
		return false
	}
	select {
	case <-time.After(wait):
	case <-ix.wanted:
	case <-ctx.Done():
	}
	return ix.db.DurableLSN() > p.to.lsn
}

func (p *pending) add(change store.Change, tenants []market.TenantID) {
	for key := range store.Agents.ChangedIn(change.Keys) {
		if slices.Contains(tenants, key.Tenant) {
			p.agents[key] = true
		}
	}
	for key := range store.Texts.ChangedIn(change.Keys) {
		if slices.Contains(tenants, key.Tenant) {
			p.agents[key] = true
		}
	}
	for key := range store.Sellers.ChangedIn(change.Keys) {
		if slices.Contains(tenants, key.Tenant) {
			p.addSweep(key)
		}
	}
	for key := range store.Shelves.ChangedIn(change.Keys) {
		if slices.Contains(tenants, key.Tenant) && !slices.Contains(p.shelves, key.Tenant) {
			p.shelves = append(p.shelves, key.Tenant)
		}
	}
	p.commits++
	p.to = cursor{change.LSN, change.Chain}
}

// write brings the named agents into the state that they have now. Commits that name none
// move only the view's LSN: their cursor is written with a later batch. While a sweep is
// under way the cursor stays, and write returns when the feed has more.
func (ix *Index) write(ctx context.Context, g *generation, p *pending) error {
	if err := ix.prepare(ctx, p); err != nil {
		return err
	}
	for {
		if len(p.agents) == 0 && len(p.sweeps) == 0 && !p.swept && p.commits < batchCommits {
			ix.followed(p.to.lsn)
			return nil
		}
		if err := ix.writeOnce(ctx, g, p); err != nil {
			return err
		}
		if !p.swept || ix.db.DurableLSN() > p.to.lsn {
			return nil
		}
	}
}

// prepare reads what of a change isn't in documents.
func (ix *Index) prepare(ctx context.Context, p *pending) error {
	if len(p.shelves) > 0 {
		if err := ix.readShelves(ctx, p.shelves); err != nil {
			return err
		}
		p.shelves = nil
	}
	return ix.dropSweeps(ctx, p)
}

// writeOnce writes one batch, with the cursor unless a sweep is to go on.
func (ix *Index) writeOnce(ctx context.Context, g *generation, p *pending) error {
	b, err := ix.batchOf(ctx, p)
	if err != nil {
		return err
	}
	p.due = time.Now().Add(min(time.Duration(len(p.agents))*batchPace, maxPause))
	clear(p.agents)
	if p.swept = len(p.sweeps) > 0; p.swept {
		if err := g.batch(b); err != nil {
			return err
		}
		return ix.publish(g, sameLSN)
	}
	lsn := p.to.lsn
	if err := g.advance(b, p.to, func() { ix.hold.Advance(lsn) }); err != nil {
		return err
	}
	p.commits = 0
	return ix.publish(g, lsn)
}

// batchOf reads the agents' records, which may be newer than the changes that named them,
// and goes on with a sweep.
func (ix *Index) batchOf(ctx context.Context, p *pending) (*index.Batch, error) {
	b := index.NewBatch()
	ix.analyst.newBatch()
	for _, tenant := range ix.tenants {
		err := ix.db.View(ctx, tenant, func(tx *store.ReadTx) error {
			sellers := map[market.SellerID]market.Seller{}
			for key := range p.agents {
				if key.Tenant != tenant {
					continue
				}
				a, err := store.Agents.Load(tx, key.ID)
				if err != nil && !market.Is(err, market.NotFound) {
					return err
				}
				if err != nil || !a.Visible() {
					b.Delete(docID(tenant, key.ID))
					continue
				}
				l, err := readListing(tx, &a, sellers)
				if err != nil {
					return err
				}
				b.Update(ix.analyst.newDocument(tenant, l))
			}
			return nil
		})
		if err != nil {
			return nil, fmt.Errorf("search: reading agents: %w", err)
		}
	}
	if err := ix.step(ctx, p, b, len(p.agents)); err != nil {
		return nil, err
	}
	return b, ix.settle(ctx)
}

// settle waits until everything read so far is durable: the index must not outlive a
// commit that the store may lose in a crash.
func (ix *Index) settle(ctx context.Context) error {
	if last := ix.db.LastLSN(); last <= ix.db.DurableLSN() {
		return nil
	}
	s, err := ix.db.Snapshot(ctx)
	if err != nil {
		return err
	}
	return s.Close()
}
