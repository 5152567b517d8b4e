package search

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"

	segment "github.com/blevesearch/scorch_segment_api/v2"
	"github.com/souk-market/souk/internal/market"
)

// vocabulary is read in about 1 µs a listing.
func (s *segmentView) vocabulary(tenant market.TenantID) (*vocabulary, error) {
	return s.lexicon(tenant).vocabulary.get(func() (*vocabulary, error) {
		f := fieldsOf(tenant)
		v := &vocabulary{}
		err := eachTerm(s.seg, f.name, func(word string, _ segment.TermDictionary) error {
			v.words = append(v.words, word)
			return nil
		})
		if err != nil {
			return nil, err
		}
		named := len(v.words)
		err = eachTerm(s.seg, f.text, func(word string, _ segment.TermDictionary) error {
			if _, known := slices.BinarySearch(v.words[:named], word); !known {
				v.words = append(v.words, word)
			}
			return nil
		})
		slices.Sort(v.words)
		v.letters = make([]uint32, len(v.words))
		for i, word := range v.words {
			v.letters[i] = lettersOf(word)
		}
		return v, err
	})
}

// counts are the numbers of documents by word of the vocabulary.
func (s *segmentView) counts(tenant market.TenantID) ([]uint32, error) {
	v, err := s.vocabulary(tenant)
	if err != nil {
		return nil, err
	}
	return v.docs.get(func() ([]uint32, error) {
		docs := make([]uint32, len(v.words))
		f := fieldsOf(tenant)
		for _, field := range []string{f.name, f.text} { // a document has a word in one of them
			i := 0
			err := eachTerm(s.seg, field, func(word string, dict segment.TermDictionary) error {
				rows, err := rowsIn(dict, word)
				for v.words[i] != word {
					i++
				}
				docs[i] += uint32(rows.GetCardinality())
				return err
			})
			if err != nil {
				return nil, err
			}
		}
		return docs, nil
	})
}

func (v *vocabulary) near() *edits {
	e, _ := v.edits.get(func() (*edits, error) {
		return newEdits(len(v.words), func(i int) string { return v.words[i] }, maxNear), nil
	})
	return e
}

// names are made in about 0.5 µs a listing.
func (s *segmentView) nameList(tenant market.TenantID) (*nameList, error) {
	return s.lexicon(tenant).names.get(func() (*nameList, error) {
		list := s.nameKeys(tenant)
		l := &nameList{at: slices.Repeat([]uint32{math.MaxUint32}, len(s.ids))}
		for _, k := range list {
			if at := l.at[k.row]; int(at) >= len(l.keys) || len(l.keys[at]) <= len(k.key) {
				l.at[k.row] = uint32(len(l.keys))
			}
			l.keys, l.rows = append(l.keys, k.key), append(l.rows, k.row)
			l.text = append(l.text, '\n')
			l.starts = append(l.starts, uint32(len(l.text)))
			l.text = append(l.text, k.key...)
		}
		return l, nil
	})
}

// keyed is a key of a row's name, with its first eight bytes.
type keyed struct {
	head uint64
	key  string
	row  uint32
}

// nameKeys are the keys of all names, sorted.
func (s *segmentView) nameKeys(tenant market.TenantID) []keyed {
	rows := s.tenants[tenant]
	if rows == nil {
		return nil
	}
	list := make([]keyed, 0, rows.GetCardinality())
	for it := rows.Iterator(); it.HasNext(); {
		row := it.Next()
		whole, tail := nameKeys(s.columns.names[row])
		whole, tail = cut(whole, maxKey), cut(tail, maxKey)
		if whole != "" {
			list = append(list, keyed{headOf(whole), whole, row})
		}
		if tail != whole && tail != "" {
			list = append(list, keyed{headOf(tail), tail, row})
		}
	}
	slices.SortFunc(list, func(a, b keyed) int {
		if a.head != b.head {
			return cmp.Compare(a.head, b.head)
		}
		return cmp.Or(strings.Compare(a.key, b.key), cmp.Compare(a.row, b.row))
	})
	return list
}

func (l *nameList) near() *edits {
	e, _ := l.edits.get(func() (*edits, error) {
		return newEdits(len(l.keys), func(i int) string { return l.keys[i] }, maxKey), nil
	})
	return e
}

// languages are found by the beginnings of their stems.
func (s *segmentView) languages(tenant market.TenantID) ([]*language, error) {
	return s.lexicon(tenant).languages.get(func() ([]*language, error) {
		dict, err := s.seg.Dictionary(fieldsOf(tenant).stem)
		if err != nil {
			return nil, err
		}
		list := []*language{english}
		for _, l := range others {
			e, err := dict.AutomatonIterator(nil, []byte(l.code), []byte(l.code+"\xff")).Next()
			if err != nil {
				return nil, err
			}
			if e != nil {
				list = append(list, l)
			}
		}
		return list, nil
	})
}

// uncounted is a dictionary whose terms can be read without their documents.
type uncounted interface {
	AutomatonIteratorOmitCount(a segment.Automaton, from, to []byte) segment.DictionaryIterator
}

// eachTerm calls do with the terms of a field in order.
func eachTerm(seg segment.Segment, field string, do func(term string, dict segment.TermDictionary) error) error {
	dict, err := seg.Dictionary(field)
	if err != nil {
		return fmt.Errorf("search: opening the words of %s: %w", field, err)
	}
	var it segment.DictionaryIterator
	if d, ok := dict.(uncounted); ok {
		it = d.AutomatonIteratorOmitCount(nil, nil, nil)
	} else {
		it = dict.AutomatonIterator(nil, nil, nil)
	}
	for {
		e, err := it.Next()
		if err != nil {
			return fmt.Errorf("search: reading the words of %s: %w", field, err)
		}
		if e == nil {
			return nil
		}
		if err := do(e.Term, dict); err != nil {
			return err
		}
	}
}
