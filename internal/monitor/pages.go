package monitor

// Pages is what a cache of pages has done and holds.
type Pages struct {
	Hits      uint64 // requests answered from a page that was kept
	Shared    uint64 // requests that waited for a rendering of somebody else's
	Misses    uint64 // renderings
	Evictions uint64 // pages that made room for others
	Drops     uint64 // pages that a commit had changed
	Pages     int
	Bytes     int64
}

// WatchPages shows the figures of the cache of public pages.
func (m *Monitor) WatchPages(read func() Pages) {
	m.watch(func(emit emitter) {
		p := read()
		emit(pageHits, float64(p.Hits))
		emit(pageShared, float64(p.Shared))
		emit(pageMisses, float64(p.Misses))
		emit(pageEvictions, float64(p.Evictions))
		emit(pageDrops, float64(p.Drops))
		emit(pagesKept, float64(p.Pages))
		emit(pageBytes, float64(p.Bytes))
	}, pageHits, pageShared, pageMisses, pageEvictions, pageDrops, pagesKept, pageBytes)
}

var (
	pageHits      = counter("souk_page_cache_hits_total", "Requests for public pages answered from a page that was kept.")
	pageShared    = counter("souk_page_cache_shared_total", "Requests for public pages that waited for the rendering of another request.")
	pageMisses    = counter("souk_page_cache_misses_total", "Public pages rendered.")
	pageEvictions = counter("souk_page_cache_evictions_total", "Pages that made room for others.")
	pageDrops     = counter("souk_page_cache_drops_total", "Pages dropped because a commit changed what they show.")

	pagesKept = gauge("souk_page_cache_pages", "Public pages that are kept.")
	pageBytes = gauge("souk_page_cache_bytes", "Memory taken by the pages that are kept.")
)
