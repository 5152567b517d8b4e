package search

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/blevesearch/bleve/v2/index/scorch/mergeplan"
	index "github.com/blevesearch/bleve_index_api"
	"github.com/souk-market/souk/internal/market"
	"github.com/souk-market/souk/store"
)

const (
	buildDocs    = 5_000  // agents of a batch while the index is built
	heldDocs     = 50_000 // agents that are kept in memory and written as one segment: 40 MB
	buildWorkers = 2
)

// rebuild makes a new generation from the store's records and puts it in the place of the
// one before, if there is one.
func (ix *Index) rebuild(ctx context.Context) error {
	ix.setRebuilding(true)
	select {
	case <-ix.again: // this build is what was asked for
	default:
	}
	err := ix.buildAnew(ctx)
	ix.setRebuilding(false)
	ix.note(func(b *build) { b.attempts, b.err = b.attempts+1, err })
	return err
}

func (ix *Index) buildAnew(ctx context.Context) error {
	began := time.Now()
	g, err := newGeneration(ix.dir, ix.next, ix.tenants, ix.log)
	if err != nil {
		return err
	}
	err = ix.fill(ctx, g)
	if err == nil {
		old := ix.gen
		if err = ix.adopt(g); err == nil {
			ix.next++
			ix.retire(old)
			ix.log.Info("the search index is built", "documents", ix.documents(), "lsn", g.cursor.lsn, "took", time.Since(began))
			return nil
		}
	}
	return errors.Join(err, guard(g.close))
}

// fill fills a generation, as one segment, and completes it with the cursor from which the
// records are to be followed.
func (ix *Index) fill(ctx context.Context, g *generation) error {
	if err := ix.beginBuild(ctx); err != nil {
		return err
	}
	lsn := ix.db.DurableLSN()
	chain, err := ix.db.ChainAt(lsn)
	if err != nil {
		return err
	}
	if ix.gen == nil {
		ix.hold.Advance(lsn)
	}
	if err := ix.buildAll(ctx, g); err != nil {
		return err
	}
	if err := ix.settle(ctx); err != nil {
		return err
	}
	if err := g.letGo(ctx); err != nil {
		return err
	}
	if err := g.engine.ForceMerge(ctx, &mergeplan.SingleSegmentMergePlanOptions); err != nil {
		return fmt.Errorf("search: merging the index: %w", err)
	}
	if err := g.finish(ctx, index.NewBatch(), cursor{lsn, chain}); err != nil {
		return err
	}
	ix.hold.Advance(lsn)
	return nil
}

// portion is some of a tenant's agents, as they are read in one View.
type portion struct {
	tenant   market.TenantID
	listings []*listing
}

// buildAll indexes all published agents: one goroutine reads, buildWorkers write.
func (ix *Index) buildAll(ctx context.Context, g *generation) error {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	portions := make(chan portion)
	var wg sync.WaitGroup
	for range buildWorkers {
		wg.Go(func() {
			if err := ix.writePortions(g, portions); err != nil {
				stop(err)
			}
		})
	}
	err := ix.readAll(ctx, g, portions)
	close(portions)
	wg.Wait()
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	return err
}

// writePortions indexes portions, a batch each, until there are no more.
func (ix *Index) writePortions(g *generation, portions <-chan portion) error {
	var an analyst
	for p := range portions {
		b := index.NewBatch()
		an.newBatch()
		for _, l := range p.listings {
			b.Update(an.newDocument(p.tenant, l))
		}
		if err := g.batch(b); err != nil {
			return err
		}
		ix.note(func(at *build) { at.read += len(p.listings) })
	}
	return nil
}

// readAll reads all published agents.
func (ix *Index) readAll(ctx context.Context, g *generation, to chan<- portion) error {
	held := heldDocs
	for _, tenant := range ix.tenants {
		for after, more := market.AgentID(""), true; more; {
			p := portion{tenant: tenant}
			read, err := 0, error(nil)
			if read, after, err = ix.readPortion(ctx, &p, after); err != nil {
				return err
			}
			more = read >= buildDocs
			if held += read; held >= heldDocs {
				held = 0
				if err := g.hold(ctx); err != nil {
					return err
				}
			}
			select {
			case to <- p:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
	}
	return nil
}

// readPortion reads the next agents in one View: the store is not held for longer, and what
// changes meanwhile is followed afterwards. read is what they count for together.
func (ix *Index) readPortion(ctx context.Context, p *portion, after market.AgentID) (read int, last market.AgentID, err error) {
	sellers := map[market.SellerID]market.Seller{}
	err = ix.db.View(ctx, p.tenant, func(tx *store.ReadTx) error {
		read, last, p.listings = 0, after, nil
		for a, err := range store.Agents.All(tx, after) {
			if err != nil {
				return err
			}
			last = a.ID
			if a.Visible() {
				l, err := readListing(tx, &a, sellers)
				if err != nil {
					return err
				}
				p.listings = append(p.listings, l)
				read += l.weight() - 1
			}
			if read++; read >= buildDocs {
				break
			}
		}
		return nil
	})
	if err != nil {
		return 0, "", fmt.Errorf("search: reading agents: %w", err)
	}
	return read, last, nil
}

// retire closes the generation before and removes all others from the disk. Searches
// that still read it keep what they need of it.
func (ix *Index) retire(old *generation) {
	if old != nil {
		if err := guard(old.close); err != nil {
			ix.log.Error("closing the old search index", "err", err)
		}
	}
	ix.removeOthers(ix.gen.number)
}

func (ix *Index) setRebuilding(on bool) {
	ix.mu.Lock()
	defer ix.mu.Unlock()
	ix.rebuilding = on
}

func (ix *Index) documents() int {
	n := 0
	for _, t := range ix.tenants {
		n += ix.Documents(t)
	}
	return n
}
