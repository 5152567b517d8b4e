package search

import (
	"cmp"
	"slices"
	"strings"
)

const (
	maxNearby = 3
	farEdits  = 2 // edits that a proposal may be away from a word that matches nothing
)

// nearby proposes texts for terms that together match nothing: a word that matches
// nothing replaced by the likeliest one two edits away; each word left out; as many words
// as match together, the rarest first. All proposals have results.
func (s *searcher) nearby(m *meaning) ([]string, error) {
	list, err := s.respelled(m)
	if err != nil {
		return nil, err
	}
	list = append(list, s.without(m)...)
	if len(list) == 0 {
		list = append(list, s.together(m)...)
	}
	return list[:min(len(list), maxNearby)], nil
}

func (s *searcher) respelled(m *meaning) ([]string, error) {
	terms := m.terms
	i := slices.IndexFunc(terms, func(t *term) bool { return t.n == 0 })
	if i < 0 || len(terms[i].word) < minNear || len(terms[i].word) > maxNear {
		return nil, nil
	}
	near, err := s.within(terms[i].word, farEdits, 1)
	if err != nil {
		return nil, err
	}
	var list []string
	for _, w := range near {
		t := &term{word: w.word}
		if err := s.addWord(t, w.word, 1, 0); err != nil {
			return nil, err
		}
		others := slices.Clone(terms)
		others[i] = t
		if s.countTogether(m, others) > 0 {
			list = append(list, textOf(others))
		}
		if len(list) == maxNearby-1 {
			break
		}
	}
	return list, nil
}

// without leaves out one word at a time; what finds fewest, the most specific, is first.
func (s *searcher) without(m *meaning) []string {
	terms := m.terms
	if len(terms) < 2 {
		return nil
	}
	type choice struct {
		text string
		n    int
	}
	var choices []choice
	for i := range terms {
		others := slices.Delete(slices.Clone(terms), i, i+1)
		if n := s.countTogether(m, others); n > 0 {
			choices = append(choices, choice{textOf(others), n})
		}
	}
	slices.SortStableFunc(choices, func(a, b choice) int { return cmp.Compare(a.n, b.n) })
	list := make([]string, len(choices))
	for i, c := range choices {
		list[i] = c.text
	}
	return list
}

// together keeps, rarest first, the words that match with those already kept.
func (s *searcher) together(m *meaning) []string {
	terms := m.terms
	byRarity := slices.Clone(terms)
	slices.SortStableFunc(byRarity, func(a, b *term) int { return cmp.Compare(a.n, b.n) })
	var kept []*term
	for _, t := range byRarity {
		if s.countTogether(m, append(slices.Clone(kept), t)) > 0 {
			kept = append(kept, t)
		}
	}
	if len(kept) == 0 {
		return nil
	}
	inOrder := slices.DeleteFunc(slices.Clone(terms), func(t *term) bool { return !slices.Contains(kept, t) })
	return []string{textOf(inOrder)}
}

// countTogether is the number of documents that match all terms.
func (s *searcher) countTogether(m *meaning, terms []*term) int {
	n := 0
	for i := range s.view.segs {
		n += int(s.matches(i, m, terms, (*term).matching).GetCardinality())
	}
	return n
}

func textOf(terms []*term) string {
	words := make([]string, len(terms))
	for i, t := range terms {
		words[i] = t.shown()
	}
	return strings.Join(words, " ")
}
