package search

import (
	"cmp"
	"encoding/binary"
	"math/bits"
	"slices"
	"strings"
)

// maxStartKey is the number of bytes of a name's key in which words are found that begin
// as asked for.
const maxStartKey = 64

// wordStarts finds names by the beginning of any of their words: about 60 bytes a name.
// A name's key has its letters and digits without anything between (keyOf).
type wordStarts struct {
	text   string   // all keys
	ends   []uint32 // of each name's key
	begins []uint64 // bit i: a word of the name begins at byte i of its key
	places []place  // of all words, ordered by what follows there in the key, whole names first
	heads  []uint64 // the first eight bytes there
}

// place is where a word begins in the key of a name.
type place struct {
	name uint32
	at   uint8
}

func newWordStarts(n int, name func(i int) string) *wordStarts {
	w := &wordStarts{ends: make([]uint32, n), begins: make([]uint64, n)}
	var text strings.Builder
	words := 0
	for i := range n {
		key, begins := startsOf(name(i))
		text.WriteString(key)
		w.ends[i], w.begins[i] = uint32(text.Len()), begins
		words += bits.OnesCount64(begins)
	}
	w.text = text.String()
	w.sort(words)
	return w
}

// startsOf is a name's key, cut short, and where words begin in it.
func startsOf(name string) (key string, begins uint64) {
	var b strings.Builder
	for _, c := range chunksOf(name) {
		at := b.Len()
		b.WriteString(fold(name[c.start:c.end]))
		if at < maxStartKey {
			begins |= 1 << at
		}
		if c.whole == "" {
			continue
		}
		for _, part := range c.parts[:len(c.parts)-1] {
			if at += len(part); at < min(maxStartKey, b.Len()) {
				begins |= 1 << at
			}
		}
	}
	return cut(b.String(), maxStartKey), begins & (1<<min(b.Len(), maxStartKey) - 1)
}

// sort orders all places, by the first eight bytes where these differ.
func (w *wordStarts) sort(n int) {
	type headed struct {
		head uint64
		place
	}
	all := make([]headed, 0, n)
	for i := range w.ends {
		for set := w.begins[i]; set != 0; set &= set - 1 {
			p := place{uint32(i), uint8(bits.TrailingZeros64(set))}
			all = append(all, headed{headOf(w.after(p)), p})
		}
	}
	slices.SortFunc(all, func(a, b headed) int {
		if a.head != b.head {
			return cmp.Compare(a.head, b.head)
		}
		return cmp.Or(strings.Compare(w.after(a.place), w.after(b.place)), cmp.Compare(a.at, b.at), cmp.Compare(a.name, b.name))
	})
	w.places, w.heads = make([]place, len(all)), make([]uint64, len(all))
	for i, h := range all {
		w.places[i], w.heads[i] = h.place, h.head
	}
}

func headOf(s string) uint64 {
	if len(s) >= 8 {
		return binary.BigEndian.Uint64([]byte(s[:8]))
	}
	var b [8]byte
	copy(b[:], s)
	return binary.BigEndian.Uint64(b[:])
}

func (w *wordStarts) key(name uint32) string {
	start := uint32(0)
	if name > 0 {
		start = w.ends[name-1]
	}
	return w.text[start:w.ends[name]]
}

func (w *wordStarts) after(p place) string { return w.key(p.name)[p.at:] }

// with returns the range of places at which a beginning stands.
func (w *wordStarts) with(start string) (from, to int) {
	low := headOf(start)
	high := low
	if len(start) < 8 {
		high |= 1<<(64-8*len(start)) - 1
	}
	from, _ = slices.BinarySearch(w.heads, low)
	to = len(w.heads)
	if high != ^uint64(0) {
		to, _ = slices.BinarySearch(w.heads, high+1)
	}
	if len(start) <= 8 {
		return from, to
	}
	list := w.places[from:to]
	first, _ := slices.BinarySearchFunc(list, start, func(p place, start string) int { return strings.Compare(w.after(p), start) })
	n, _ := slices.BinarySearchFunc(list[first:], start, func(p place, start string) int {
		if strings.HasPrefix(w.after(p), start) {
			return -1
		}
		return 1
	})
	return from + first, from + first + n
}

// word returns where the first word of a name begins that has a beginning; -1 if none has.
func (w *wordStarts) word(name uint32, start string) int {
	key := w.key(name)
	for set := w.begins[name]; set != 0; set &= set - 1 {
		if at := bits.TrailingZeros64(set); strings.HasPrefix(key[at:], start) {
			return at
		}
	}
	return -1
}

// near yields the places at which stands what is one edit from a beginning, its first
// byte left alone.
func (w *wordStarts) near(start string, yield func(p place)) {
	from, to := w.with(start[:1])
	for _, p := range w.places[from:to] {
		if oneEdit(start, w.after(p)) {
			yield(p)
		}
	}
}

// oneEdit reports whether s begins with what is one edit from start: a character too much,
// missing, another, or two exchanged. The last one of start may not be the one that is
// wrong, unless one before it is missing: every beginning has such neighbours.
func oneEdit(start, s string) bool {
	i := 0
	for i < len(start) && i < len(s) && start[i] == s[i] {
		i++
	}
	start, s = start[i:], s[i:]
	switch {
	case len(start) == 0 || len(s) == 0:
		return len(start) == 0
	case strings.HasPrefix(s[1:], start):
		return true
	case len(start) == 1:
		return false
	case strings.HasPrefix(s[1:], start[1:]) || strings.HasPrefix(s, start[1:]):
		return true
	}
	return len(s) > 1 && start[0] == s[1] && start[1] == s[0] && strings.HasPrefix(s[2:], start[2:])
}
