package search

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"
)

// widenToNear lets a term match as the words it may have been meant for, which at least
// atLeast documents have.
func (s *searcher) widenToNear(t *term, atLeast int) error {
	near, err := s.nearWords(t.word, atLeast)
	if err != nil || len(near) == 0 {
		return err
	}
	for _, w := range near {
		if err := s.addWord(t, w.word, s.rank.Near, guess); err != nil {
			return err
		}
		if err := s.addStems(t, w.word, s.rank.Near, guess); err != nil {
			return err
		}
	}
	t.near = near[0].word
	return nil
}

// nearWord is a word of the index that is spelled nearly like another.
type nearWord struct {
	word     string
	distance int
	start    bool // has the same first byte
	n        int  // documents
}

// nearWords returns the words within the allowed distance of a word that have at least
// atLeast documents: the nearest only, and of these the likeliest first.
func (s *searcher) nearWords(word string, atLeast int) ([]nearWord, error) {
	n := utf8.RuneCountInString(word)
	if n < minNear || len(word) > maxNear {
		return nil, nil
	}
	near, err := s.within(word, 1, atLeast)
	if err == nil && len(near) == 0 && n >= minNear2 {
		near, err = s.within(word, 2, atLeast)
	}
	return near, err
}

// within reads the words within a number of edits from the tenant's lexicons. Digits must
// be the same: gpt4 is no misspelt gpt5.
func (s *searcher) within(word string, most, atLeast int) ([]nearWord, error) {
	set := map[string]int{}
	for i := range s.view.segs {
		v, err := s.view.segs[i].vocabulary(s.tenant)
		if err != nil {
			return nil, err
		}
		v.nearly(word, most, set, &s.work)
	}
	digits := digitsOf(word)
	var near []nearWord
	for w, d := range maps.All(set) {
		if digitsOf(w) == digits {
			near = append(near, nearWord{word: w, distance: d, start: w[0] == word[0]})
		}
	}
	slices.SortFunc(near, func(a, b nearWord) int {
		return cmp.Or(cmp.Compare(a.distance, b.distance), compareBool(b.start, a.start), strings.Compare(a.word, b.word))
	})
	return s.likeliest(near[:min(len(near), countNear)], atLeast)
}

// likeliest counts documents and keeps the nearest words that have enough.
func (s *searcher) likeliest(near []nearWord, atLeast int) ([]nearWord, error) {
	for i := range near {
		rows, err := s.textRows(near[i].word)
		if err != nil {
			return nil, err
		}
		near[i].n = rows.count()
	}
	near = slices.DeleteFunc(near, func(w nearWord) bool { return w.n < max(atLeast, 1) })
	if len(near) == 0 {
		return nil, nil
	}
	least := near[0].distance
	near = slices.DeleteFunc(near, func(w nearWord) bool { return w.distance > least })
	slices.SortStableFunc(near, func(a, b nearWord) int {
		return cmp.Or(compareBool(b.start, a.start), cmp.Compare(b.n, a.n))
	})
	return near[:min(len(near), useNear)], nil
}

func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	}
	return 1
}

func digitsOf(word string) string {
	if strings.IndexFunc(word, isDigit) < 0 {
		return ""
	}
	return strings.Map(func(r rune) rune {
		if !isDigit(r) {
			return -1
		}
		return r
	}, word)
}

func isDigit(r rune) bool { return '0' <= r && r <= '9' }

// corrected is a text with the words that matched nothing replaced by those taken for
// them.
func corrected(text string, terms []*term) (string, bool) {
	type edit struct {
		span
		word string
	}
	var edits []edit
	for _, t := range terms {
		if t.near == "" {
			continue
		}
		for _, sp := range t.spans {
			edits = append(edits, edit{sp, t.near})
		}
	}
	slices.SortFunc(edits, func(a, b edit) int { return cmp.Compare(b.start, a.start) })
	for _, e := range edits {
		text = text[:e.start] + e.word + text[e.end:]
	}
	return text, len(edits) > 0
}

// respelt applies to a text the one edit that makes its key another: "iss-mc-server" and
// "issmcpserver" make "iss-mcp-server".
func respelt(text, key string) string {
	from := []rune(keyOf(text))
	to := []rune(key)
	same := 0
	for same < len(from) && same < len(to) && from[same] == to[same] {
		same++
	}
	end := 0
	for end < len(from)-same && end < len(to)-same && from[len(from)-1-end] == to[len(to)-1-end] {
		end++
	}
	starts, ends := placesOf(text)
	if len(starts) != len(from) {
		return key
	}
	last := len(from) - end // the first of the characters that are the same again
	insert := string(to[same : len(to)-end])
	switch {
	case same < last:
		return text[:starts[same]] + insert + text[ends[last-1]:]
	case same == 0:
		return insert + text
	}
	return text[:ends[same-1]] + insert + text[ends[same-1]:]
}

// placesOf returns where each character of a text's key begins and ends in the text.
func placesOf(text string) (starts, ends []int) {
	for _, c := range chunksOf(text) {
		for i, r := range text[c.start:c.end] {
			starts = append(starts, c.start+i)
			ends = append(ends, c.start+i+utf8.RuneLen(r))
		}
	}
	return starts, ends
}
