package pagecache

import (
	"net/http"

	"github.com/souk-market/souk/store"
)

// Part returns what build makes of a transaction, made now or before: what many pages show
// alike, such as their header. It is kept with the pages, in their room, until a commit
// changes what build has read, and counts as read by tx. build also returns how many bytes
// the value takes; the value is shared, and must not be changed. The key's Route must name
// no route. What goes for Render goes for build.
//
// A part is taken for a transaction only where no commit between the two has changed it,
// so that a page is of one moment. A transaction whose moment isn't known (store.Moment)
// has it built for itself.
func Part[T any](c *Cache, tx store.Reader, k Key, build func(tx store.Reader) (value T, bytes int, err error)) (T, error) {
	at, known := store.Moment(tx)
	if !known {
		v, _, err := build(tx)
		return v, err
	}
	if e := c.part(k, at); e != nil {
		store.AlsoRead(tx, &e.reads)
		return e.value.(T), nil
	}
	var v T
	var bytes int
	reads, err := store.ReadsOf(tx, func(tx store.Reader) (err error) {
		v, bytes, err = build(tx)
		return err
	})
	if err == nil && !reads.Timed {
		c.keepPart(&entry{key: k, page: Page{Status: http.StatusOK}, value: v, reads: reads}, int64(bytes))
	}
	return v, err
}

// part returns a part as it was at a commit, nil when that isn't kept.
func (c *Cache) part(k Key, at store.LSN) *entry {
	e := c.lookUp(k, at)
	if e == nil {
		c.mu.Lock()
		c.follow(c.db.LastLSN())
		e = c.pages[k]
		c.mu.Unlock()
	}
	if e == nil || e.reads.LSN > at {
		return nil // of later: nobody knows whether it was the same
	}
	return e
}

// keepPart keeps a part unless a commit has changed it meanwhile. It takes the place of
// one that is kept: that hasn't changed either, so both are the same, and the one built
// last is mostly of an earlier moment, for transactions that the other was too late for.
func (c *Cache) keepPart(e *entry, bytes int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.db.LastLSN()
	c.follow(now)
	if c.firstTouch(&e.reads, now) != 0 {
		return
	}
	if was := c.pages[e.key]; was != nil {
		c.remove(was)
	}
	var keys int64
	e.reads, keys = e.reads.Compact()
	c.keep(e, &e.reads, bytes+keys)
}
