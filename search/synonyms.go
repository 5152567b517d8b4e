package search

import (
	"bufio"
	_ "embed"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/souk-market/souk/internal/market"
)

// Limits of synonyms: groups, texts of a group, words of a text.
const (
	maxGroups      = 10_000
	maxGroup       = 16
	maxSynonym     = 6
	useSynonyms    = 8 // of a place in a query
	maxSynonymLine = 1 << 10
)

// Synonyms are texts that a search takes for each other. The zero value has none.
type Synonyms struct {
	from map[string][]synonym // by the first word of what stands for others
}

// synonym is a text, in words, and those that it finds too.
type synonym struct {
	words []string
	also  [][]string
}

//go:embed synonyms.txt
var defaultSynonyms string

// DefaultSynonyms are those of synonyms.txt in this package.
func DefaultSynonyms() *Synonyms {
	s, err := ReadSynonyms(strings.NewReader(defaultSynonyms))
	if err != nil {
		panic(err) // a test reads them
	}
	return s
}

// ReadSynonyms reads synonyms, a group to a line:
//
//	# a comment
//	rag, retrieval augmented generation
//	k8s => kubernetes
//
// Texts between commas are found by each other; what stands before an arrow finds what
// stands after it, and not the other way. Case, accents and hyphens don't matter. Errors
// are Invalid and name the line.
func ReadSynonyms(r io.Reader) (*Synonyms, error) {
	s := &Synonyms{from: map[string][]synonym{}}
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, maxSynonymLine)
	n, groups := 0, 0
	for lines.Scan() {
		n++
		line, _, _ := strings.Cut(lines.Text(), "#")
		if strings.TrimSpace(line) == "" {
			continue
		}
		if groups++; groups > maxGroups {
			return nil, market.Errorf(market.Invalid, "There can be %d groups of synonyms at most. Line %d is beyond.", maxGroups, n)
		}
		if err := s.add(line); err != nil {
			return nil, market.Errorf(market.Invalid, "Line %d of the synonyms can't be used: %v", n, err)
		}
	}
	if lines.Err() != nil {
		return nil, market.Errorf(market.Invalid, "Line %d of the synonyms has more than %d bytes.", n+1, maxSynonymLine).Because(lines.Err())
	}
	return s, nil
}

func (s *Synonyms) add(line string) error {
	left, right, oneWay := strings.Cut(line, "=>")
	from, err := synonymTexts(left)
	if err != nil {
		return err
	}
	to := from
	if oneWay {
		if to, err = synonymTexts(right); err != nil {
			return err
		}
	} else if len(from) < 2 {
		return fmt.Errorf("%q stands alone; a comma separates what is to be taken for each other", strings.TrimSpace(line))
	}
	for _, words := range from {
		others := slices.DeleteFunc(slices.Clone(to), func(t []string) bool { return slices.Equal(t, words) })
		s.from[words[0]] = append(s.from[words[0]], synonym{words, others})
	}
	return nil
}

func synonymTexts(list string) (texts [][]string, err error) {
	for text := range strings.SplitSeq(list, ",") {
		var words []string
		for _, c := range chunksOf(text) {
			if c.whole != "" {
				words = append(words, c.whole)
			} else {
				words = append(words, everyOther(c.parts)...)
			}
		}
		if len(words) == 0 || len(words) > maxSynonym {
			return nil, fmt.Errorf("%q has no word, or more than %d", strings.TrimSpace(text), maxSynonym)
		}
		if texts = append(texts, words); len(texts) > maxGroup {
			return nil, fmt.Errorf("it has more than %d texts", maxGroup)
		}
	}
	return texts, nil
}

// addSynonyms lets the terms from the i-th on match what they are synonyms of.
func (s *searcher) addSynonyms(terms []*term, i int) error {
	used := 0
	for _, syn := range s.synonyms.from[terms[i].word] {
		if !begins(terms[i:], syn.words) {
			continue
		}
		for _, other := range syn.also {
			if used++; used > useSynonyms {
				return nil
			}
			rows, err := s.allOf(other)
			if err != nil {
				return err
			}
			for _, t := range terms[i : i+len(syn.words)] {
				t.add(rows, s.rank.Synonym/float64(len(syn.words)), 0)
			}
		}
	}
	return nil
}

// begins reports whether words are the first of terms, as they stand in the query.
func begins(terms []*term, words []string) bool {
	if len(terms) < len(words) {
		return false
	}
	for i, w := range words {
		if t := terms[i]; t.word != w || t.exact || t.inName || t.place != terms[0].place+i {
			return false
		}
	}
	return true
}

// allOf returns the documents that have all words, stop words aside.
func (s *searcher) allOf(words []string) (rows rowSet, err error) {
	for _, w := range words {
		if stopWords[w] && len(words) > 1 {
			continue
		}
		more, err := s.textRows(w)
		if err != nil {
			return nil, err
		}
		rows = intersect(rows, more)
	}
	return rows, nil
}
