package pagecache

import (
	"bytes"
	"hash/maphash"
	"maps"
	"slices"

	"github.com/souk-market/souk/store"
)

// readers finds the pages that have read a key: by its hash those that have read it by
// itself, and by the hash of a prefix of it the ranges that it may be in. Two keys with
// one hash cost a rendering and show nothing wrong. Pages that read the same range, such as
// a category's best, share it.
type readers struct {
	seed    maphash.Seed
	points  map[uint64]*link
	groups  map[uint64][]*stretch // by the hash of their prefix
	lengths map[int]int           // how many groups have a prefix of that length
	sorted  []int                 // the lengths
}

// link is one page among those that have read one thing.
type link struct {
	entry      *entry
	next, prev *link    // prev is nil for the first
	point      uint64   // the key's hash, unless
	of         *stretch // it is a range
}

// stretch is a range with its readers.
type stretch struct {
	store.Range
	group uint64
	first *link
}

// What a link with its place in a map, and a range with its keys, are taken to need, in bytes.
const (
	linkSize    = 64
	stretchSize = 192
)

func newReaders() readers {
	return readers{seed: maphash.MakeSeed(), points: map[uint64]*link{}, groups: map[uint64][]*stretch{}, lengths: map[int]int{}}
}

// hashes returns the hashes of the keys that were read one by one, each once.
func (r *readers) hashes(reads *store.ReadSet) []uint64 {
	hashes := make([]uint64, len(reads.Points))
	for i, k := range reads.Points {
		hashes[i] = maphash.Bytes(r.seed, k)
	}
	slices.Sort(hashes)
	return slices.Compact(hashes)
}

func readsSize(points []uint64, ranges []store.Range) int64 {
	return int64(len(points)*linkSize + len(ranges)*(linkSize+stretchSize))
}

// add enters a page with what it has read.
func (r *readers) add(e *entry, points []uint64, ranges []store.Range) {
	e.links = make([]link, len(points)+len(ranges)) // they point at each other, and stay
	for i, p := range points {
		l := &e.links[i]
		*l = link{entry: e, point: p}
		l.before(r.points[p])
		r.points[p] = l
	}
	for i, g := range ranges {
		l := &e.links[len(points)+i]
		*l = link{entry: e, of: r.stretch(g)}
		l.before(l.of.first)
		l.of.first = l
	}
}

// before puts a link in front of the one that has been the first, if there is one.
func (l *link) before(first *link) {
	if l.next = first; first != nil {
		first.prev = l
	}
}

// stretch returns a range that is entered, now or before.
func (r *readers) stretch(g store.Range) *stretch {
	group := maphash.Bytes(r.seed, g.Prefix)
	for _, s := range r.groups[group] {
		if bytes.Equal(s.From, g.From) && bytes.Equal(s.To, g.To) {
			return s
		}
	}
	s := &stretch{group: group}
	s.Prefix, s.From = bytes.Clone(g.Prefix), bytes.Clone(g.From) // not to hold on to the arena
	s.To = bytes.Clone(g.To)
	if len(r.groups[group]) == 0 {
		r.count(len(s.Prefix), 1)
	}
	r.groups[group] = append(r.groups[group], s)
	return s
}

func (r *readers) count(length, by int) {
	was := r.lengths[length]
	if r.lengths[length] = was + by; was > 0 && was+by > 0 {
		return
	}
	if was+by == 0 {
		delete(r.lengths, length)
	}
	r.sorted = slices.Sorted(maps.Keys(r.lengths))
}

// remove takes a page out.
func (r *readers) remove(e *entry) {
	for i := range e.links {
		l := &e.links[i]
		if l.next != nil {
			l.next.prev = l.prev
		}
		switch {
		case l.prev != nil:
			l.prev.next = l.next
		case l.of != nil:
			if l.of.first = l.next; l.next == nil {
				r.forget(l.of)
			}
		case l.next != nil:
			r.points[l.point] = l.next
		default:
			delete(r.points, l.point)
		}
	}
	e.links = nil
}

// forget takes a range out that nobody has read any more.
func (r *readers) forget(s *stretch) {
	left := slices.DeleteFunc(r.groups[s.group], func(other *stretch) bool { return other == s })
	if len(left) > 0 {
		r.groups[s.group] = left
		return
	}
	delete(r.groups, s.group)
	r.count(len(s.Prefix), -1)
}

// of returns the pages that have read a key; one may come several times.
func (r *readers) of(k store.Key) (pages []*entry) {
	for l := r.points[maphash.Bytes(r.seed, k)]; l != nil; l = l.next {
		pages = append(pages, l.entry)
	}
	for _, n := range r.sorted {
		if n > len(k) {
			break
		}
		for _, s := range r.groups[maphash.Bytes(r.seed, k[:n])] {
			if !s.Contains(k) {
				continue
			}
			for l := s.first; l != nil; l = l.next {
				pages = append(pages, l.entry)
			}
		}
	}
	return pages
}
