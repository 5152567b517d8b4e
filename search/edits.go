package search

import (
	"math/bits"
	"unicode/utf8"
)

// edits finds the words of a list that are one edit from another: a character left out,
// put in, replaced, or exchanged with the next. It keeps the list's numbers by a hash of
// each word and of what is left of it without any one character (its deletion
// neighbourhood; Mor and Fraenkel 1982): two words one edit apart share one of these.
// It takes about 8 bytes for each character of the list.
type edits struct {
	start   []uint32 // of each bucket in numbers; one more than there are buckets
	numbers []uint32
	mask    uint64
}

// newEdits is of the n words that word returns, those longer than longest left out.
func newEdits(n int, word func(int) string, longest int) *edits {
	total := 0
	for i := range n {
		if w := word(i); len(w) <= longest {
			total += utf8.RuneCountInString(w) + 1
		}
	}
	size := 1 << bits.Len(uint(total))
	e := &edits{start: make([]uint32, size+1), numbers: make([]uint32, total), mask: uint64(size - 1)}
	each := func(do func(uint32, uint64)) {
		for i := range n {
			if w := word(i); len(w) <= longest {
				eachDeletion(w, func(h uint64) { do(uint32(i), h&e.mask) })
			}
		}
	}
	each(func(_ uint32, bucket uint64) { e.start[bucket]++ })
	sum := uint32(0)
	for i, n := range e.start {
		sum += n
		e.start[i] = sum
	}
	each(func(i uint32, bucket uint64) {
		e.start[bucket]--
		e.numbers[e.start[bucket]] = i
	})
	return e
}

// near calls yield with the numbers of words that may be one edit from a word, some more
// than once.
func (e *edits) near(word string, yield func(uint32)) {
	eachDeletion(word, func(h uint64) {
		b := h & e.mask
		for _, i := range e.numbers[e.start[b]:e.start[b+1]] {
			yield(i)
		}
	})
}

// The constants of FNV-1a.
const fnvOffset, fnvPrime = 14695981039346656037, 1099511628211

// eachDeletion calls yield with the hashes of a word and of it without each character.
func eachDeletion(word string, yield func(uint64)) {
	before := uint64(fnvOffset)
	for i, w := 0, 0; i < len(word); i += w {
		_, w = utf8.DecodeRuneInString(word[i:])
		h := before
		for _, c := range []byte(word[i+w:]) {
			h = (h ^ uint64(c)) * fnvPrime
		}
		yield(spread(h))
		for _, c := range []byte(word[i : i+w]) {
			before = (before ^ uint64(c)) * fnvPrime
		}
	}
	yield(spread(before))
}

// spread mixes the high bits of a hash into the low ones, which choose the bucket.
func spread(h uint64) uint64 { return h ^ h>>32 ^ h>>17 }

// distance is the number of edits between two words, exchanged neighbours being one
// (optimal string alignment), or most+1 when it is more than most.
func distance(a, b string, most int) int {
	if len(a)-len(b) > most*utf8.UTFMax || len(b)-len(a) > most*utf8.UTFMax {
		return most + 1
	}
	var bufA, bufB [maxKey]rune
	ra, rb := runesOf(a, bufA[:0]), runesOf(b, bufB[:0])
	for len(ra) > 0 && len(rb) > 0 && ra[0] == rb[0] {
		ra, rb = ra[1:], rb[1:]
	}
	for len(ra) > 0 && len(rb) > 0 && ra[len(ra)-1] == rb[len(rb)-1] {
		ra, rb = ra[:len(ra)-1], rb[:len(rb)-1]
	}
	if len(ra)-len(rb) > most || len(rb)-len(ra) > most {
		return most + 1
	}
	return align(ra, rb, most)
}

func runesOf(s string, to []rune) []rune {
	for _, r := range s {
		to = append(to, r)
	}
	return to
}

// align fills the table of distances between beginnings, of which it keeps three rows.
func align(a, b []rune, most int) int {
	var rows [3][maxKey + 1]uint8
	two, one, row := &rows[0], &rows[1], &rows[2]
	for j := range len(b) + 1 {
		one[j] = uint8(j)
	}
	for i := 1; i <= len(a); i++ {
		row[0] = uint8(i)
		least := row[0]
		for j := 1; j <= len(b); j++ {
			d := one[j-1]
			if a[i-1] != b[j-1] {
				d = 1 + min(d, one[j], row[j-1])
				if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
					d = min(d, 1+two[j-2])
				}
			}
			row[j] = d
			least = min(least, d)
		}
		if int(least) > most {
			return most + 1
		}
		two, one, row = one, row, two
	}
	return min(int(one[len(b)]), most+1)
}
