// Package pagecache keeps pages that are the same for every visitor: rendered once,
// compressed once, and dropped by the first commit that changes what they show.
//
// # What is kept, and until when
//
// A page is made by a function of one read transaction (Render). The store notes each key
// and each range of keys that the transaction asks for, those among them where nothing
// is: the page's read set. Rendered again, the page would be the same until a commit
// writes into its read set. The cache follows the change log and drops exactly those
// pages. There are no times after which pages go, and no lists of what to purge.
//
// What a page is made of besides the transaction has to be in its Key or the same for the
// life of the process. So Render may not read the clock, the search index, or a second
// transaction. One that asks the transaction for its time is rendered for each request.
//
// # Why no request sees a page from before a commit that had returned
//
// Store.LastLSN moves before Update returns, and the commit's entry of the change log is
// readable by then. Each lookup compares LastLSN with the LSN up to which the cache has
// followed the log. When they differ, it first reads the entries between, durable or not,
// and drops the pages that they touch, all under the cache's lock. So a request that
// begins after Update has returned finds no page that the commit changed. Writers do
// nothing for the cache, and wait for nothing of it.
//
// A page that is being rendered meanwhile is in no index yet. Its snapshot has all commits
// up to an LSN that was read before it was taken (ReadSet.LSN). When it is done, and under
// the same lock, the cache follows the log to LastLSN, and looks for the page's read set in
// the entries since the snapshot. Only a page that none of them touches is kept, and
// from there on it is dropped like others. One that has been touched is right for those
// who asked before the commit that did, and the others that have waited for it ask again:
// the rendering they then wait for has begun after they came, so they ask once more at most.
//
// A standby's log has one entry for many commits, which works the same. Where the log can't
// say what changed (ErrLogCut), and after more than 10,000 commits without a request, all
// pages go.
//
// # One rendering
//
// However many ask for a page that isn't there, one of them renders and the others wait.
// Rendering goes on when the visitor who does it leaves. A visitor who leaves while waiting
// ends their own wait alone. An error or a panic reaches all who waited, and isn't kept.
//
// # Parts
//
// What many pages show alike, such as their header or the best of a category, is built once
// (Part) and kept as pages are. What it was made of counts as read by every page that has it,
// so a commit that changes a part drops it together with these pages.
//
// # Memory
//
// Pages, parts, their variants and their read sets take up to Options.Bytes. For more, pages make
// room by SIEVE: they stand in the order in which they came; a hand goes from the oldest to
// the newest, passes over each that has been asked for since it last came by, and drops the
// first that hasn't. A crawler that asks once for everything so drops what it brought and
// not what visitors come back for. Pages that say that there is nothing have a sixteenth of
// the room for themselves, since there is no end of addresses with nothing. A page larger
// than an eighth of its room isn't kept, nor one whose key is longer than 512 bytes.
package pagecache

import (
	"context"
	"net/http"
	"sync"

	"github.com/souk-market/souk/internal/market"
	"github.com/souk-market/souk/store"
)

// Key names a page: everything that it depends on besides the records. Its texts are the
// server's own, or parts of the address that the page reads, in one spelling.
type Key struct {
	Tenant   market.TenantID
	Host     string // that the page gives as the marketplace's own ("https://souk.example")
	Route    string // pattern of the route
	Path     string // values of the pattern's wildcards
	Query    string // the parameters that the page reads, encoded, in one order
	Language string // BCP 47
	Currency string // ISO 4217
}

func (k *Key) size() int {
	return len(k.Tenant) + len(k.Host) + len(k.Route) + len(k.Path) + len(k.Query) + len(k.Language) + len(k.Currency)
}

// Page is the answer to a request.
type Page struct {
	Status       int    // 0 is 200
	Type         string // media type of Body
	Body         []byte // not to be changed any more
	Location     string // of a redirect
	CacheControl string // "" is Revalidate
}

// Revalidate lets browsers and proxies keep a page and ask each time whether it is the same.
const Revalidate = "public, max-age=0, must-revalidate"

// Render makes a page of a transaction. It may run at the same time for different pages.
type Render func(tx store.Reader) (Page, error)

// Options of New. The zero value is usable.
type Options struct {
	Bytes int64 // for all that is kept; 0 is 32 MiB, about 1,500 agents' pages
}

// What bounds the cache.
const (
	defaultBytes = 32 << 20
	absentShare  = 16  // of the room, for pages that say that there is nothing
	largestShare = 8   // of its room, for one page
	maxKey       = 512 // bytes
	maxBehind    = 10_000
)

// Cache keeps pages of one open database. Its methods may be called from any goroutine.
type Cache struct {
	db    *store.DB
	stats counters

	mu      sync.RWMutex // guards what follows
	at      store.LSN    // the log has been followed up to it
	pages   map[Key]*entry
	flights map[Key]*flight
	reads   readers
	found   queue // of pages that show something
	absent  queue // of pages that say that there is nothing
}

// New returns an empty cache of pages made of db.
func New(db *store.DB, o Options) *Cache {
	if o.Bytes <= 0 {
		o.Bytes = defaultBytes
	}
	c := &Cache{
		db: db, at: db.LastLSN(),
		pages: map[Key]*entry{}, flights: map[Key]*flight{}, reads: newReaders(),
	}
	c.absent.limit = o.Bytes / absentShare
	c.found.limit = o.Bytes - c.absent.limit
	return c
}

// Serve answers a request with the page of a key, made by render unless it is kept. An
// error is render's or the request's context's, and then nothing has been written.
func (c *Cache) Serve(w http.ResponseWriter, r *http.Request, k Key, render Render) error {
	e, kept, err := c.page(r.Context(), k, render)
	if err != nil {
		return err
	}
	c.answer(w, r, e, kept)
	return nil
}

// page returns the page of a key; kept is false when it was rendered for this call.
func (c *Cache) page(ctx context.Context, k Key, render Render) (e *entry, kept bool, err error) {
	now := c.db.LastLSN()
	if e := c.lookUp(k, now); e != nil {
		c.stats.hits.Add(1)
		return e, true, nil
	}
	for {
		e, f, first := c.join(k)
		switch {
		case e != nil:
			c.stats.hits.Add(1)
			return e, true, nil
		case first:
			c.stats.misses.Add(1)
			e, err := c.render(ctx, k, f, render)
			return e, false, err
		}
		select {
		case <-f.done:
		case <-ctx.Done():
			return nil, false, ctx.Err()
		}
		if f.touched == 0 || now < f.touched {
			c.stats.shared.Add(1)
			return f.entry, true, f.err
		}
	}
}

// lookUp returns a page that is kept, nil when it isn't or commits up to now have still to
// be followed.
func (c *Cache) lookUp(k Key, now store.LSN) *entry {
	c.mu.RLock()
	defer c.mu.RUnlock()
	if c.at < now {
		return nil
	}
	e := c.pages[k]
	if e != nil && !e.visited.Load() { // a read leaves the line to all cores
		e.visited.Store(true)
	}
	return e
}

// join returns the page of a key that is kept, or else the rendering of it, which the
// first who asks for it has to do.
func (c *Cache) join(k Key) (e *entry, f *flight, first bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.follow(c.db.LastLSN())
	if e := c.pages[k]; e != nil {
		e.visited.Store(true)
		return e, nil, false
	}
	if f := c.flights[k]; f != nil {
		return nil, f, false
	}
	f = &flight{done: make(chan struct{})}
	c.flights[k] = f
	return nil, f, true
}

// follow drops the pages that commits up to an LSN have changed.
func (c *Cache) follow(to store.LSN) {
	if c.at >= to {
		return
	}
	if to-c.at > maxBehind {
		c.dropAll()
	} else if len(c.pages) > 0 {
		for change, err := range c.db.Visible(c.at, to) {
			if err != nil {
				c.dropAll()
				break
			}
			c.dropTouched(change.Keys)
		}
	}
	c.at = to
}

func (c *Cache) dropTouched(keys []store.Key) {
	for _, k := range keys {
		for _, e := range c.reads.of(k) {
			if e.queue != nil {
				c.remove(e)
				c.stats.drops.Add(1)
			}
		}
	}
}

func (c *Cache) dropAll() {
	for _, e := range c.pages {
		c.remove(e)
		c.stats.drops.Add(1)
	}
}
