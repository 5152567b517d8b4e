package search

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"sync"

	index "github.com/blevesearch/bleve_index_api"
	"github.com/souk-market/souk/internal/market"
	"github.com/souk-market/souk/store"
)

// Options of Open. Dir and DB are needed.
type Options struct {
	Dir     string // the index's own directory, made if missing
	DB      *store.DB
	Tenants []market.TenantID // whose agents are found; nil is market.MainTenant
	Logger  *slog.Logger      // nil discards

	Ranking  *Ranking  // nil is DefaultRanking
	Synonyms *Synonyms // nil is DefaultSynonyms
}

// Index is an open index. Search and the methods that report are for any goroutine.
type Index struct {
	dir     string
	db      *store.DB
	tenants []market.TenantID
	log     *slog.Logger
	hold    *store.Retention
	rules   rules

	cold    bool        // see StayCold
	analyst analyst     // of what is followed; owned by Run
	gen     *generation // owned by Run, and by Open and Close before and after it
	next    int         // number of the next generation; owned like gen
	again   chan struct{}
	damaged chan error    // has an element when a search met damage
	wanted  chan struct{} // has an element when someone waits for a commit

	publishing sync.Mutex // held while a view is made, so that they are published in order
	columns    map[uint64]*columns
	owner      *generation // whose columns these are

	mu         sync.RWMutex // guards what follows
	view       *view        // nil until there is a complete generation
	lsn        store.LSN    // that the view has followed
	rebuilding bool
	shelves    map[market.TenantID]*shelfTree
	build      build
	built      chan struct{} // closed and renewed when build changes
	changed    chan struct{} // closed and renewed when lsn moves
}

// Open opens the newest generation in the directory that is fit for use. If there is
// none, Run builds one, and until it has, Search answers Unavailable. From here on the
// store keeps the part of its change log that is yet to be followed.
func Open(o Options) (*Index, error) {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Ranking == nil {
		o.Ranking = &DefaultRanking
	}
	if o.Synonyms == nil {
		o.Synonyms = DefaultSynonyms()
	}
	if o.Tenants == nil {
		o.Tenants = []market.TenantID{market.MainTenant}
	}
	if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("search: making the directory: %w", err)
	}
	ix := &Index{
		dir: o.Dir, db: o.DB, tenants: o.Tenants, log: o.Logger, rules: rules{o.Ranking, o.Ranking.fresh(), o.Synonyms},
		again: make(chan struct{}, 1), damaged: make(chan error, 1), wanted: make(chan struct{}, 1), changed: make(chan struct{}), built: make(chan struct{}),
	}
	if err := ix.readShelves(context.Background(), o.Tenants); err != nil {
		return nil, err
	}
	if err := ix.open(); err != nil {
		return nil, err
	}
	ix.hold = o.DB.Retain("search", ix.start())
	return ix, nil
}

// start is the commit from which the log is needed.
func (ix *Index) start() store.LSN {
	if ix.gen != nil {
		return ix.gen.cursor.lsn
	}
	return ix.db.DurableLSN()
}

// open finds the generation to go on with and publishes it.
func (ix *Index) open() error {
	numbers, err := generationsIn(ix.dir)
	if err != nil {
		return err
	}
	ix.next = 1
	if len(numbers) > 0 {
		ix.next = numbers[0] + 1
	}
	for _, n := range numbers {
		g, err := openGeneration(ix.dir, n, ix.tenants, ix.log)
		if err == nil {
			err = ix.fits(g)
			if err == nil {
				err = ix.adopt(g)
			}
			if err == nil {
				ix.removeOthers(n)
				return nil
			}
			err = errors.Join(err, guard(g.close))
		}
		if market.Is(err, market.Conflict) {
			return err
		}
		ix.log.Warn("the search index can't be used and will be built anew", "dir", generationDir(ix.dir, n), "err", err)
		if errors.Is(err, errBroken) {
			ix.remove(n) // Bleve may keep a lock on it
		}
	}
	return nil
}

// fits compares a generation's cursor with the store's history.
func (ix *Index) fits(g *generation) error {
	durable := ix.db.DurableLSN()
	if g.cursor.lsn > durable {
		return unfit(fmt.Sprintf("it has followed commit %d, and the store ends at %d", g.cursor.lsn, durable))
	}
	chain, err := ix.db.ChainAt(g.cursor.lsn)
	if err != nil {
		return err
	}
	if chain != g.cursor.chain {
		return unfit(fmt.Sprintf("it has followed another history up to commit %d", g.cursor.lsn))
	}
	return nil
}

// adopt publishes a complete generation as the one to search and to follow with.
func (ix *Index) adopt(g *generation) error {
	if err := ix.publish(g, g.cursor.lsn); err != nil {
		return err
	}
	ix.gen = g
	return nil
}

// sameLSN tells publish that no further commit has been followed.
const sameLSN = ^store.LSN(0)

// publish makes what a generation holds now visible to searches. lsn is the commit that
// it has followed, or sameLSN.
func (ix *Index) publish(g *generation, lsn store.LSN) error {
	ix.publishing.Lock()
	defer ix.publishing.Unlock()
	if ix.owner != g {
		ix.columns, ix.owner = nil, g
	}
	err := guard(func() error {
		snap, err := g.snapshot()
		if err != nil {
			return err
		}
		v, columns, err := newView(snap, ix.columns)
		if err != nil {
			return err
		}
		ix.columns = columns
		ix.show(v, lsn)
		return nil
	})
	return err
}

// show puts a view in the place of the one before (nil takes it away).
func (ix *Index) show(v *view, lsn store.LSN) {
	ix.mu.Lock()
	defer ix.mu.Unlock()
	if ix.view != nil {
		if err := ix.view.snap.Close(); err != nil {
			ix.log.Error("letting go of a view of the search index", "err", err)
		}
	}
	ix.view = v
	if lsn != sameLSN {
		ix.moveTo(lsn)
	}
}

// moveTo sets the commit followed. ix.mu is held.
func (ix *Index) moveTo(lsn store.LSN) {
	ix.lsn = lsn
	close(ix.changed)
	ix.changed = make(chan struct{})
}

func (ix *Index) followed(lsn store.LSN) {
	ix.mu.Lock()
	defer ix.mu.Unlock()
	ix.moveTo(lsn)
}

// acquire returns the view to search, with a reference that release gives back.
func (ix *Index) acquire() (v *view, release func(), err error) {
	ix.mu.RLock()
	defer ix.mu.RUnlock()
	if ix.view == nil {
		return nil, nil, market.Errorf(market.Unavailable,
			"The search index is being built and will be ready in a moment. The home page and the pages of agents and sellers work meanwhile.")
	}
	v = ix.view
	v.snap.AddRef()
	return v, func() { v.snap.DecRef() }, nil
}

// Ready reports whether searches are answered. They are during a rebuild too if there
// was an index before.
func (ix *Index) Ready() bool {
	ix.mu.RLock()
	defer ix.mu.RUnlock()
	return ix.view != nil
}

// Rebuilding reports whether the index is being built from the store's records.
func (ix *Index) Rebuilding() bool {
	ix.mu.RLock()
	defer ix.mu.RUnlock()
	return ix.rebuilding
}

// LSN is the commit up to which searches see the store; 0 when not Ready.
func (ix *Index) LSN() store.LSN {
	ix.mu.RLock()
	defer ix.mu.RUnlock()
	return ix.lsn
}

// Documents is the number of a tenant's agents that can be found.
func (ix *Index) Documents(tenant market.TenantID) int {
	ix.mu.RLock()
	defer ix.mu.RUnlock()
	if ix.view == nil {
		return 0
	}
	return ix.view.docs[tenant]
}

// WaitFor returns when searches see the commit lsn, of whatever class, or with ctx's error.
func (ix *Index) WaitFor(ctx context.Context, lsn store.LSN) error {
	for {
		ix.mu.RLock()
		changed, there := ix.changed, ix.view != nil && ix.lsn >= lsn
		ix.mu.RUnlock()
		if there {
			return nil
		}
		select {
		case ix.wanted <- struct{}{}:
		default:
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Rebuild has Run build the index anew from the store's records. Searches are answered
// from the old one until the new one is complete.
func (ix *Index) Rebuild() {
	select {
	case ix.again <- struct{}{}:
	default:
	}
}

// Close writes the cursor and closes the index. Run must have returned.
func (ix *Index) Close() error {
	lsn := ix.LSN()
	ix.show(nil, 0)
	ix.hold.Release()
	if ix.gen == nil {
		return nil
	}
	g := ix.gen
	ix.gen = nil
	err := ix.saveCursor(g, lsn)
	return errors.Join(err, g.close())
}

// saveCursor has the next start begin where this one ends. Without it the next start
// follows a part of the log again.
func (ix *Index) saveCursor(g *generation, lsn store.LSN) error {
	if lsn <= g.cursor.lsn {
		lsn = g.cursor.lsn
	}
	chain, err := ix.db.ChainAt(lsn)
	if err != nil {
		return fmt.Errorf("search: writing the cursor: %w", err)
	}
	b := index.NewBatch()
	ctx, cancel := context.WithTimeout(context.Background(), flushTimeout)
	defer cancel()
	return g.finish(ctx, b, cursor{lsn, chain})
}

// removeOthers removes the directories of all generations but one.
func (ix *Index) removeOthers(keep int) {
	numbers, err := generationsIn(ix.dir)
	if err != nil {
		ix.log.Error("removing old search indexes", "err", err)
		return
	}
	numbers = slices.DeleteFunc(numbers, func(n int) bool { return n == keep })
	for _, n := range numbers {
		ix.remove(n)
	}
}

func (ix *Index) remove(n int) {
	if err := os.RemoveAll(generationDir(ix.dir, n)); err != nil {
		ix.log.Error("removing an old search index", "err", err)
	}
}
