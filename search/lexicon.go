package search

import (
	"cmp"
	"fmt"
	"index/suffixarray"
	"maps"
	"math"
	"math/bits"
	"slices"
	"strings"
	"sync"
	"unicode/utf8"

	segment "github.com/blevesearch/scorch_segment_api/v2"
	"github.com/souk-market/souk/internal/market"
)

const (
	maxKey     = 64    // bytes of a name's key that are kept; the rest is cut off
	maxInside  = 2_000 // places that are looked at where a text stands in names
	maxStarts  = 4_000 // words and names with a beginning that are looked at
	maxScanned = 4_000 // words whose distance from another is computed
)

// lexicon is what is kept in memory of a tenant's words and names in one segment, to find
// those that begin with, are spelled nearly like, or hold a text: about 0.4 kB a listing.
// Segments never change, so neither does it; it has the words of deleted documents too.
type lexicon struct {
	words   []string // sorted
	docs    []uint32 // that have the word
	letters []uint32 // see lettersOf
	edits   *edits

	keys     []string // of names (nameKeys), sorted
	rows     []uint32 // of each
	at       []uint32 // by row: its longest key
	keyEdits *edits
	inside   *suffixarray.Index // of all keys, each with a line feed before it
	starts   []uint32           // of each key there

	languages []language // of which there are stems
}

// lexicons are made when they are first needed, or before by warm.
type lexicons struct {
	mu sync.Mutex // guards of, and is held while one is made
	of map[market.TenantID]*lexicon
}

// lexicon returns the tenant's, made from the segment if it isn't there yet: in about
// 5 µs a listing.
func (s *segmentView) lexicon(tenant market.TenantID) (*lexicon, error) {
	l := &s.columns.lexicons
	l.mu.Lock()
	defer l.mu.Unlock()
	if lex := l.of[tenant]; lex != nil {
		return lex, nil
	}
	lex, err := readLexicon(s.seg, fieldsOf(tenant))
	if err != nil {
		return nil, err
	}
	if l.of == nil {
		l.of = map[market.TenantID]*lexicon{}
	}
	l.of[tenant] = lex
	return lex, nil
}

// warm makes what searches need of the present view, so that none has to. Damage is
// reported as theirs is.
func (ix *Index) warm() {
	v, release, err := ix.acquire()
	if err != nil {
		return
	}
	defer release()
	if err := guard(v.warm); err != nil {
		ix.report(err)
	}
}

func readLexicon(seg segment.Segment, f fieldNames) (*lexicon, error) {
	lex := &lexicon{}
	err := eachTerm(seg, f.text, func(word string, n int, _ segment.TermDictionary) error {
		lex.words = append(lex.words, word)
		lex.docs = append(lex.docs, uint32(n))
		lex.letters = append(lex.letters, lettersOf(word))
		return nil
	})
	if err == nil {
		err = lex.readKeys(seg, f.key)
	}
	if err == nil {
		err = lex.readLanguages(seg, f.stem)
	}
	if err != nil {
		return nil, fmt.Errorf("search: reading words and names: %w", err)
	}
	lex.edits = newEdits(len(lex.words), func(i int) string { return lex.words[i] }, maxNear)
	lex.keyEdits = newEdits(len(lex.keys), func(i int) string { return lex.keys[i] }, maxKey)
	var all strings.Builder
	for _, key := range lex.keys {
		all.WriteByte('\n')
		lex.starts = append(lex.starts, uint32(all.Len()))
		all.WriteString(key)
	}
	lex.inside = suffixarray.New([]byte(all.String()))
	return lex, nil
}

func (lex *lexicon) readKeys(seg segment.Segment, field string) error {
	lex.at = make([]uint32, seg.Count())
	for row := range lex.at {
		lex.at[row] = math.MaxUint32
	}
	var list segment.PostingsList
	return eachTerm(seg, field, func(key string, _ int, dict segment.TermDictionary) (err error) {
		if strings.Contains(key, ":") {
			return nil // fieldTerm
		}
		if list, err = dict.PostingsList([]byte(key), nil, list); err != nil {
			return err
		}
		for it := list.Iterator(false, false, false, nil); ; {
			p, err := it.Next()
			if err != nil || p == nil {
				return err
			}
			row := uint32(p.Number())
			if at := lex.at[row]; int(at) >= len(lex.keys) || len(lex.keys[at]) <= len(key) {
				lex.at[row] = uint32(len(lex.keys))
			}
			lex.keys = append(lex.keys, key)
			lex.rows = append(lex.rows, row)
		}
	})
}

func (lex *lexicon) readLanguages(seg segment.Segment, field string) error {
	dict, err := seg.Dictionary(field)
	if err != nil {
		return err
	}
	lex.languages = []language{english}
	for _, l := range others {
		e, err := dict.AutomatonIterator(nil, []byte(l.code), []byte(l.code+"\xff")).Next()
		if err != nil {
			return err
		}
		if e != nil {
			lex.languages = append(lex.languages, l)
		}
	}
	return nil
}

// eachTerm calls do with the terms of a field in order and their numbers of documents.
func eachTerm(seg segment.Segment, field string, do func(term string, n int, dict segment.TermDictionary) error) error {
	dict, err := seg.Dictionary(field)
	if err != nil {
		return err
	}
	for it := dict.AutomatonIterator(nil, nil, nil); ; {
		e, err := it.Next()
		if err != nil || e == nil {
			return err
		}
		if err := do(e.Term, int(e.Count), dict); err != nil {
			return err
		}
	}
}

// beginning returns which of a sorted list's elements begin with a text.
func beginning(list []string, start string) (from, to int) {
	from, _ = slices.BinarySearch(list, start)
	to, _ = slices.BinarySearchFunc(list[from:], start, func(s, start string) int {
		if strings.HasPrefix(s, start) {
			return -1
		}
		return cmp.Compare(s, start)
	})
	return from, from + to
}

// lettersOf has a bit for each character of a word, taken modulo 32. Words one edit apart
// differ in two bits at most.
func lettersOf(word string) uint32 {
	set := uint32(0)
	for _, r := range word {
		set |= 1 << (r & 31)
	}
	return set
}

// nearly adds to set the words one or two edits from a word, other than itself, with the
// number of edits. Two edits leave the first character alone, as most do, and are
// computed for at most maxScanned words.
func (lex *lexicon) nearly(word string, most int, set map[string]int, w *work) {
	lex.edits.near(word, func(i uint32) {
		other := lex.words[i]
		if _, known := set[other]; known || other == word {
			return
		}
		w.compared++
		if distance(word, other, 1) == 1 {
			set[other] = 1
		}
	})
	if most < 2 {
		return
	}
	_, first := utf8.DecodeRuneInString(word)
	from, to := beginning(lex.words, word[:first])
	letters, scanned := lettersOf(word), 0
	for i := from; i < to && scanned < maxScanned; i++ {
		other := lex.words[i]
		differ := bits.OnesCount32(letters ^ lex.letters[i])
		if differ > 4 || len(other) > maxNear || len(other)-len(word) > 2*utf8.UTFMax || len(word)-len(other) > 2*utf8.UTFMax {
			continue
		}
		if _, known := set[other]; known || other == word {
			continue
		}
		scanned++
		w.compared++
		if d := distance(word, other, 2); d <= 2 {
			set[other] = d
		}
	}
}

// nearKeys calls yield with the numbers of keys that are one edit from a key.
func (lex *lexicon) nearKeys(key string, w *work, yield func(n uint32)) {
	last := -1
	lex.keyEdits.near(key, func(i uint32) {
		if int(i) == last || lex.keys[i] == key {
			return
		}
		last = int(i)
		w.compared++
		if distance(key, lex.keys[i], 1) == 1 {
			yield(i)
		}
	})
}

// startingKeys calls yield with the rows whose name's key begins with a key, at most
// maxStarts.
func (lex *lexicon) startingKeys(key string, w *work, yield func(row uint32)) {
	from, to := beginning(lex.keys, key)
	to = min(to, from+maxStarts)
	w.read += to - from
	for _, row := range lex.rows[from:to] {
		yield(row)
	}
}

// holding calls yield with the rows whose name's key has a text somewhere but at its
// beginning, at most maxInside.
func (lex *lexicon) holding(text string, w *work, yield func(row uint32)) {
	places := lex.inside.Lookup([]byte(text), maxInside)
	w.read += len(places)
	for _, at := range places {
		i, start := slices.BinarySearch(lex.starts, uint32(at))
		if !start {
			yield(lex.rows[i-1])
		}
	}
}

// startingWith returns words that go on from a beginning: those that most documents have,
// useStart at most.
func (s *searcher) startingWith(start string) ([]string, error) {
	counts := map[string]uint32{}
	for i := range s.view.segs {
		lex, err := s.lexicon(i)
		if err != nil {
			return nil, err
		}
		from, to := beginning(lex.words, start)
		for n := from; n < min(to, from+maxStarts); n++ {
			counts[lex.words[n]] += lex.docs[n]
		}
		s.work.read += min(to-from, maxStarts)
	}
	delete(counts, start)
	words := slices.SortedFunc(maps.Keys(counts), func(a, b string) int {
		return cmp.Or(cmp.Compare(counts[b], counts[a]), cmp.Compare(a, b))
	})
	return words[:min(len(words), useStart)], nil
}
