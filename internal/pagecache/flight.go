package pagecache

import (
	"context"
	"errors"
	"net/http"

	"github.com/souk-market/souk/store"
)

// flight is a page that is being rendered. Its other fields are set before done is closed.
type flight struct {
	done  chan struct{}
	entry *entry
	err   error
	// touched is the first commit known to have changed the page since its snapshot, 0
	// when there is none. Who asked after it has to ask again.
	touched store.LSN
}

// errBroken is for those who waited for a rendering that panicked; who rendered panics.
var errBroken = errors.New("pagecache: the page could not be rendered: its rendering panicked")

// render makes a page for all who wait for it, and keeps it if it may be kept.
func (c *Cache) render(ctx context.Context, k Key, f *flight, render Render) (*entry, error) {
	var p Page
	var reads store.ReadSet
	f.err = errBroken
	defer func() { c.land(k, f, &reads) }()
	reads, err := c.db.ViewReads(context.WithoutCancel(ctx), k.Tenant, func(tx *store.ReadTx) (err error) {
		p, err = render(tx)
		return err
	})
	if f.err = err; err == nil {
		f.entry = newEntry(k, p)
	}
	return f.entry, err
}

// land ends a flight.
func (c *Cache) land(k Key, f *flight, reads *store.ReadSet) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.flights, k)
	now := c.db.LastLSN()
	c.follow(now)
	f.touched = c.firstTouch(reads, now)
	if f.err == nil && f.touched == 0 && !reads.Timed {
		c.keep(f.entry, reads, int64(cap(f.entry.page.Body)))
	}
	close(f.done)
}

// firstTouch returns the first commit up to now that touches a read set after its
// snapshot, 0 when none does, and the one after the snapshot where that can't be known.
func (c *Cache) firstTouch(reads *store.ReadSet, now store.LSN) store.LSN {
	if now <= reads.LSN || len(reads.Points)+len(reads.Ranges) == 0 {
		return 0
	}
	if now-reads.LSN > maxBehind {
		return reads.LSN + 1
	}
	for change, err := range c.db.Visible(reads.LSN, now) {
		if err != nil {
			return reads.LSN + 1
		}
		for _, k := range change.Keys {
			if reads.Touches(k) {
				return change.LSN
			}
		}
	}
	return 0
}

// keep puts a page of so many bytes in its queue, unless it is too large or of a kind that
// isn't kept.
func (c *Cache) keep(e *entry, reads *store.ReadSet, bytes int64) {
	q := &c.found
	switch e.page.Status {
	case http.StatusOK, http.StatusMovedPermanently, http.StatusPermanentRedirect:
	case http.StatusNotFound:
		q = &c.absent
	default:
		return
	}
	points := c.reads.hashes(reads)
	e.size = entrySize + 2*int64(e.key.size()) + bytes + readsSize(points, reads.Ranges)
	if e.size > q.limit/largestShare || e.key.size() > maxKey {
		return
	}
	c.makeRoom(q, e.size)
	q.push(e)
	c.pages[e.key] = e
	c.reads.add(e, points, reads.Ranges)
}

// grow notes that a variant has been made of a page.
func (c *Cache) grow(e *entry, n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e.queue == nil {
		return // dropped meanwhile
	}
	e.size += int64(n)
	e.queue.bytes += int64(n)
	c.makeRoom(e.queue, 0)
}

func (c *Cache) makeRoom(q *queue, bytes int64) {
	for q.bytes+bytes > q.limit { // an empty queue has room for any page
		c.remove(q.victim())
		c.stats.evictions.Add(1)
	}
}

// remove takes a page out of everything.
func (c *Cache) remove(e *entry) {
	e.queue.remove(e)
	c.reads.remove(e)
	delete(c.pages, e.key)
}
