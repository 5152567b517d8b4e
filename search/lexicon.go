package search

import (
	"bytes"
	"cmp"
	"index/suffixarray"
	"maps"
	"math/bits"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"unicode/utf8"

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
// Each part is made when it is first needed, or before by warm.
type lexicon struct {
	vocabulary lazy[*vocabulary]
	names      lazy[*nameList]
	languages  lazy[[]*language] // of which there are stems
}

// lazy is a value that is made once. The zero value is ready.
type lazy[V any] struct {
	mu   sync.Mutex // held while it is made
	made bool
	v    V
}

// get returns the value. What failed is tried again.
func (l *lazy[V]) get(make func() (V, error)) (v V, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.made {
		if v, err = make(); err != nil {
			return v, err
		}
		l.v, l.made = v, true
	}
	return l.v, nil
}

// vocabulary has the words of names and texts.
type vocabulary struct {
	words   []string // sorted
	letters []uint32 // see lettersOf
	docs    lazy[[]uint32]
	edits   lazy[*edits]
}

// nameList has the keys of names (nameKeys).
type nameList struct {
	keys   []string // sorted
	rows   []uint32 // of each
	at     []uint32 // by row: its longest key
	text   []byte   // all keys, each with a line feed before it
	starts []uint32 // of each key there
	edits  lazy[*edits]
	inside atomic.Pointer[suffixarray.Index] // of text; nil until warm has made it
}

// lexicons are by tenant.
type lexicons struct {
	mu sync.Mutex // guards of
	of map[market.TenantID]*lexicon
}

func (s *segmentView) lexicon(tenant market.TenantID) *lexicon {
	l := &s.columns.lexicons
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.of == nil {
		l.of = map[market.TenantID]*lexicon{}
	}
	if l.of[tenant] == nil {
		l.of[tenant] = &lexicon{}
	}
	return l.of[tenant]
}

// StayCold is for a process that builds the index and doesn't search: what searches need is
// not made ahead, which saves 0.4 kB of memory a listing. It has to be called before Run.
func (ix *Index) StayCold() { ix.cold = true }

// warm makes what searches need of the present view, so that none has to. Damage is
// reported as theirs is.
func (ix *Index) warm() {
	if ix.cold {
		return
	}
	v, release, err := ix.acquire()
	if err != nil {
		return
	}
	defer release()
	if err := guard(v.warm); err != nil {
		ix.report(err)
	}
}

// warm makes all parts of a tenant's lexicon.
func (s *segmentView) warm(tenant market.TenantID) error {
	names, err := s.nameList(tenant)
	if err != nil {
		return err
	}
	if names.inside.Load() == nil {
		names.inside.Store(suffixarray.New(names.text))
	}
	names.near()
	v, err := s.vocabulary(tenant)
	if err != nil {
		return err
	}
	v.near()
	_, err = s.counts(tenant)
	return err
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
func (v *vocabulary) nearly(word string, most int, set map[string]int, w *work) {
	v.near().near(word, func(i uint32) {
		other := v.words[i]
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
	from, to := beginning(v.words, word[:first])
	letters, scanned := lettersOf(word), 0
	for i := from; i < to && scanned < maxScanned; i++ {
		other := v.words[i]
		differ := bits.OnesCount32(letters ^ v.letters[i])
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
func (l *nameList) nearKeys(key string, w *work, yield func(n uint32)) {
	last := -1
	l.near().near(key, func(i uint32) {
		if int(i) == last || l.keys[i] == key {
			return
		}
		last = int(i)
		w.compared++
		if distance(key, l.keys[i], 1) == 1 {
			yield(i)
		}
	})
}

// startingKeys calls yield with the rows whose name's key begins with a key, at most
// maxStarts.
func (l *nameList) startingKeys(key string, w *work, yield func(row uint32)) {
	from, to := beginning(l.keys, key)
	to = min(to, from+maxStarts)
	w.read += to - from
	for _, row := range l.rows[from:to] {
		yield(row)
	}
}

// holding calls yield with the rows whose name's key has a text somewhere but at its
// beginning, at most maxInside.
func (l *nameList) holding(text string, w *work, yield func(row uint32)) {
	places := l.places(text)
	w.read += len(places)
	for _, at := range places {
		i, start := slices.BinarySearch(l.starts, uint32(at))
		if !start {
			yield(l.rows[i-1])
		}
	}
}

// places are those of a text in the text of all keys, at most maxInside.
func (l *nameList) places(text string) (places []int) {
	if inside := l.inside.Load(); inside != nil {
		return inside.Lookup([]byte(text), maxInside)
	}
	for at := 0; len(places) < maxInside; {
		i := bytes.Index(l.text[at:], []byte(text))
		if i < 0 {
			break
		}
		places = append(places, at+i)
		at += i + 1
	}
	return places
}

// startingWith returns words that go on from a beginning: those that most documents have,
// useStart at most.
func (s *searcher) startingWith(start string) ([]string, error) {
	counts := map[string]uint32{}
	for i := range s.view.segs {
		v, err := s.view.segs[i].vocabulary(s.tenant)
		if err != nil {
			return nil, err
		}
		docs, err := s.view.segs[i].counts(s.tenant)
		if err != nil {
			return nil, err
		}
		from, to := beginning(v.words, start)
		for n := from; n < min(to, from+maxStarts); n++ {
			counts[v.words[n]] += docs[n]
		}
		s.work.read += min(to-from, maxStarts)
	}
	delete(counts, start)
	words := slices.SortedFunc(maps.Keys(counts), func(a, b string) int {
		return cmp.Or(cmp.Compare(counts[b], counts[a]), cmp.Compare(a, b))
	})
	return words[:min(len(words), useStart)], nil
}
