package search

import (
	"math"
	"slices"
)

// heapPages is the number of hits up to which the first are kept in a heap. Beyond, all
// hits are kept and the page is selected from them.
const heapPages = 1_000

// top finds those of the hits offered that stand from first to n in their order.
type top struct {
	first, n int
	hits     []hit // the first n, as a heap with the last of them on top; or all
}

func newTop(first, n int) *top { return &top{first: first, n: n, hits: make([]hit, 0, min(n, 64))} }

func (t *top) offer(h hit) {
	if len(t.hits) < t.n || t.n > heapPages {
		t.hits = append(t.hits, h)
		if t.n <= heapPages {
			t.rise()
		}
		return
	}
	if h.before(t.hits[0]) {
		t.hits[0] = h
		t.sink()
	}
}

// least is the score below which no hit is taken any longer, other than that of a listing
// whose name is the query.
func (t *top) least() float64 {
	switch {
	case len(t.hits) < t.n || t.n > heapPages || t.n == 0 || t.hits[0].tier < tierSure:
		return math.Inf(-1)
	case t.hits[0].tier > tierSure:
		return math.Inf(1)
	}
	return t.hits[0].score
}

// rise moves the last hit to its place in the heap.
func (t *top) rise() {
	for i := len(t.hits) - 1; i > 0; {
		parent := (i - 1) / 2
		if !t.hits[parent].before(t.hits[i]) {
			return
		}
		t.hits[parent], t.hits[i] = t.hits[i], t.hits[parent]
		i = parent
	}
}

// sink moves the first hit to its place in the heap.
func (t *top) sink() {
	for i := 0; ; {
		last := i
		for _, child := range [2]int{2*i + 1, 2*i + 2} {
			if child < len(t.hits) && t.hits[last].before(t.hits[child]) {
				last = child
			}
		}
		if last == i {
			return
		}
		t.hits[i], t.hits[last] = t.hits[last], t.hits[i]
		i = last
	}
}

// page returns the hits in their order. It ends the use of t.
func (t *top) page() []hit {
	first, n := min(t.first, len(t.hits)), min(t.n, len(t.hits))
	if t.n > heapPages {
		selectFirst(t.hits, n)
		selectFirst(t.hits[:n], first)
	} else {
		slices.SortFunc(t.hits, compareHits)
	}
	page := t.hits[first:n]
	slices.SortFunc(page, compareHits)
	return page
}

func compareHits(a, b hit) int {
	switch {
	case a.before(b):
		return -1
	case b.before(a):
		return 1
	}
	return 0
}

// selectFirst moves the first n hits of the order to the front, in any order (Hoare's
// quickselect): in time proportional to len(hits), for the order is total and the middle
// of three is the pivot.
func selectFirst(hits []hit, n int) {
	for len(hits) > 12 && 0 < n && n < len(hits) {
		i, j := partition(hits)
		switch {
		case n <= j:
			hits = hits[:j+1]
			if n == len(hits) {
				return
			}
		case n >= i:
			hits, n = hits[i:], n-i
		default:
			return
		}
	}
	if n > 0 && n < len(hits) {
		slices.SortFunc(hits, compareHits)
	}
}

// partition orders hits around a pivot: those up to j are not after it, those from i on
// not before it, and j < i.
func partition(hits []hit) (i, j int) {
	a, b, c := hits[0], hits[len(hits)/2], hits[len(hits)-1]
	if b.before(a) {
		a, b = b, a
	}
	if c.before(b) {
		if b = c; b.before(a) {
			b = a
		}
	}
	i, j = 0, len(hits)-1
	for i <= j {
		for hits[i].before(b) {
			i++
		}
		for b.before(hits[j]) {
			j--
		}
		if i <= j {
			hits[i], hits[j] = hits[j], hits[i]
			i++
			j--
		}
	}
	return i, j
}
