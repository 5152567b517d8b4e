package search

import "strings"

// Highlights know the words that a query was understood as. The zero value marks nothing.
type Highlights struct {
	words map[string]bool // as written, corrected, and their stems
	first [256]bool       // the bytes with which they begin
	start string          // the beginning that the last word may be; "" for none
}

// Range is a stretch of a text: bytes start to end of it.
type Range struct{ Start, End int }

func highlightsOf(terms []*term) Highlights {
	h := Highlights{words: map[string]bool{}}
	for i, t := range terms {
		for _, word := range []string{t.word, t.near} {
			if word != "" {
				h.words[word] = true
				if !t.exact {
					h.words[stem(word)] = true
				}
			}
		}
		if (t.start || i == len(terms)-1 && !t.exact) && len(t.word) >= minStart {
			h.start = t.word
		}
	}
	for word := range h.words {
		if word != "" {
			h.first[word[0]] = true
		}
	}
	return h
}

// In returns where the query's words, and other forms of them, stand in a text: in order,
// not overlapping. It is computed from the text, 10 µs for a summary.
func (h *Highlights) In(text string) (list []Range) {
	if len(h.words) == 0 {
		return nil
	}
	chunks := chunksOf(text)
	for i := 0; i < len(chunks); i++ {
		c := &chunks[i]
		end := c.end
		switch {
		case i+1 < len(chunks) && h.joins(c, &chunks[i+1]):
			end = chunks[i+1].end
			i++
		case h.has(c):
		default:
			continue
		}
		if n := len(list); n > 0 && c.start <= list[n-1].End {
			list[n-1].End = end
			continue
		}
		list = append(list, Range{c.start, end})
	}
	return list
}

// has reports whether a chunk, or a part of it, is one of the words.
func (h *Highlights) has(c *chunk) bool {
	if h.hasWord(c.whole) {
		return true
	}
	for _, p := range c.parts {
		if h.hasWord(p) {
			return true
		}
	}
	return false
}

// hasWord looks at the first byte before it takes the stem, which begins with the same one
// and costs most of the marking of a listing.
func (h *Highlights) hasWord(word string) bool {
	if word == "" || !h.first[word[0]] {
		return false
	}
	return h.words[word] || h.words[stem(word)] || h.start != "" && strings.HasPrefix(word, h.start)
}

// joins reports whether two chunks written together are one of the words.
func (h *Highlights) joins(a, b *chunk) bool {
	return a.whole != "" && b.whole != "" && h.words[a.whole+b.whole]
}
