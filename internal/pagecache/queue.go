package pagecache

// queue is pages in the order in which they came, and the hand of SIEVE (Zhang et al.,
// NSDI 2024). A page that is asked for is marked and stays where it is, so that a lookup
// changes nothing that others wait for.
type queue struct {
	limit, bytes int64
	len          int
	newest       *entry
	oldest       *entry
	hand         *entry // where the next search begins; nil is at the oldest
}

func (q *queue) push(e *entry) {
	e.queue, e.older = q, q.newest
	if q.newest != nil {
		q.newest.newer = e
	} else {
		q.oldest = e
	}
	q.newest = e
	q.len++
	q.bytes += e.size
}

func (q *queue) remove(e *entry) {
	if q.hand == e {
		q.hand = e.newer
	}
	if e.newer != nil {
		e.newer.older = e.older
	} else {
		q.newest = e.older
	}
	if e.older != nil {
		e.older.newer = e.newer
	} else {
		q.oldest = e.newer
	}
	e.queue, e.older, e.newer = nil, nil, nil
	q.len--
	q.bytes -= e.size
}

// victim moves the hand to the next page that has not been asked for since the hand last
// came by, and returns it. The queue must not be empty.
func (q *queue) victim() *entry {
	for {
		if q.hand == nil {
			q.hand = q.oldest
		}
		e := q.hand
		if !e.visited.Swap(false) {
			return e
		}
		q.hand = e.newer
	}
}
