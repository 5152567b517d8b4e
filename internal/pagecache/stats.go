package pagecache

import "sync/atomic"

type counters struct{ hits, shared, misses, evictions, drops atomic.Uint64 }

// Stats are counts since New, and what is kept now.
type Stats struct {
	Hits      uint64 // requests answered from a page that was kept
	Shared    uint64 // requests that waited for a rendering of somebody else's
	Misses    uint64 // renderings
	Evictions uint64 // pages that made room for others
	Drops     uint64 // pages that a commit had changed
	Pages     int
	Bytes     int64
}

// Stats returns the figures.
func (c *Cache) Stats() Stats {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return Stats{
		Hits: c.stats.hits.Load(), Shared: c.stats.shared.Load(), Misses: c.stats.misses.Load(),
		Evictions: c.stats.evictions.Load(), Drops: c.stats.drops.Load(),
		Pages: len(c.pages), Bytes: c.found.bytes + c.absent.bytes,
	}
}
