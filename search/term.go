package search

import (
	"cmp"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/RoaringBitmap/roaring/v2"
	"github.com/souk-market/souk/internal/market"
)

const (
	fewForStart = 20    // documents under which the last word also matches as a beginning
	fewForNear  = 3     // documents under which a word is taken for a misspelt one
	minStart    = 2     // characters from which a word is taken for a beginning
	readStart   = 4_000 // words with it that are looked at
	useStart    = 48    // and that are searched for
	rarer       = 20    // times that a word which has matches must be rarer than its correction
	minNear     = 4     // characters from which one edit is allowed
	minNear2    = 8     // and two
	maxNear     = 24    // bytes of the longest word that is corrected
	readNear    = 256
	countNear   = 48 // nearly equal words whose documents are counted
	useNear     = 6  // and that are searched for
)

// term is one word of a query and what it matches.
type term struct {
	word    string
	spans   []span // where it stands in the text
	fixed   bool   // part of a word that was split; not to be corrected
	near    string // the word taken instead
	sources []source
	rows    rowSet // all rows that match
	n       int    // and their number
}

// span is a range of bytes in a text.
type span struct{ start, end int }

// shown is the word as a person is told it was understood.
func (t *term) shown() string {
	if t.near != "" {
		return t.near
	}
	return t.word
}

// understand makes terms of a text and finds what each matches.
func (s *searcher) understand(text string) ([]*term, error) {
	terms, err := s.termsOf(text)
	if err != nil {
		return nil, err
	}
	for i, t := range terms {
		if err := s.ctx.Err(); err != nil {
			return nil, err
		}
		if err := s.resolve(terms, i); err != nil {
			return nil, err
		}
		if t.n < fewForStart && i == len(terms)-1 {
			if err := s.widenToStart(t); err != nil {
				return nil, err
			}
		}
		if t.n < fewForNear && !t.fixed {
			if err := s.widenToNear(t); err != nil {
				return nil, err
			}
		}
	}
	return terms, nil
}

// termsOf splits a text into terms: stop words go unless there is nothing else, and a
// repeated word counts once.
func (s *searcher) termsOf(text string) ([]*term, error) {
	var all []*term
	for _, c := range chunksOf(text) {
		words, fixed, err := s.split(c)
		if err != nil {
			return nil, err
		}
		for _, w := range words {
			all = append(all, &term{word: w, fixed: fixed, spans: []span{{c.start, c.end}}})
		}
	}
	terms := make([]*term, 0, len(all))
	for _, t := range all {
		if i := slices.IndexFunc(terms, func(o *term) bool { return o.word == t.word }); i >= 0 {
			terms[i].spans = append(terms[i].spans, t.spans...)
			continue
		}
		terms = append(terms, t)
	}
	isStop := func(t *term) bool { return stopWords[t.word] }
	if !slices.ContainsFunc(terms, func(t *term) bool { return !isStop(t) }) {
		isStop = func(*term) bool { return false }
	}
	terms = slices.DeleteFunc(terms, isStop)
	if len(terms) > MaxWords {
		return nil, market.FieldErrorf("q", "A search can have up to %d words. Please leave out those that matter least.", MaxWords)
	}
	return terms, nil
}

// split decides what to look for where a chunk has parts: itself if any document has
// it, so that "OpenAI" finds what "openai" does; else its parts if all are known; else
// itself again, to be corrected.
func (s *searcher) split(c chunk) (words []string, fixed bool, err error) {
	if c.whole == "" {
		return everyOther(c.parts), true, nil
	}
	if len(c.parts) == 1 {
		return []string{c.whole}, false, nil
	}
	known, err := s.known(c.whole)
	if err != nil || known {
		return []string{c.whole}, false, err
	}
	for _, p := range c.parts {
		if known, err := s.known(p); err != nil || !known {
			return []string{c.whole}, false, err
		}
	}
	return c.parts, true, nil
}

// everyOther returns the pairs 1, 3, 5, … and the last: enough to have every character.
func everyOther(pairs []string) []string {
	var out []string
	for i := 0; i < len(pairs); i += 2 {
		out = append(out, pairs[i])
	}
	if len(pairs) > 1 && len(pairs)%2 == 0 {
		out = append(out, pairs[len(pairs)-1])
	}
	return out
}

func (s *searcher) known(word string) (bool, error) {
	for _, field := range []string{s.fields.text, s.fields.name} {
		rows, err := s.rowsOf(field, word)
		if err != nil || rows.count() > 0 {
			return true, err
		}
	}
	return false, nil
}

// resolve finds what a term matches as it is: as itself, by its stem, and written
// together with the word before or after it.
func (s *searcher) resolve(terms []*term, i int) error {
	t := terms[i]
	err := s.addWord(t, t.word, 1)
	if err == nil {
		err = s.addStem(t, t.word, 1)
	}
	if err == nil && i > 0 {
		err = s.addWord(t, terms[i-1].word+t.word, 1)
	}
	if err == nil && i+1 < len(terms) {
		err = s.addWord(t, t.word+terms[i+1].word, 1)
	}
	return err
}

func (s *searcher) addWord(t *term, word string, factor float32) error {
	if err := s.addSource(t, s.fields.name, word, weightName*factor, true); err != nil {
		return err
	}
	if err := s.addSource(t, s.fields.body, word, weightBody*factor, false); err != nil {
		return err
	}
	return s.addSource(t, s.fields.text, word, weightText*factor, false)
}

// addStem adds the documents that have another form of a word, and not the word. The
// field of stems has those that differ from their words.
func (s *searcher) addStem(t *term, word string, factor float32) error {
	st := stem(word)
	forms, err := s.rowsOf(s.fields.stem, st)
	if err != nil {
		return err
	}
	itself, err := s.rowsOf(s.fields.text, word)
	if err != nil {
		return err
	}
	if st != word {
		plain, err := s.rowsOf(s.fields.text, st)
		if err != nil {
			return err
		}
		forms = union(forms, plain)
	}
	t.add(source{minus(forms, itself), weightStem * factor, false})
	return nil
}

func (s *searcher) addSource(t *term, field, word string, weight float32, named bool) error {
	rows, err := s.rowsOf(field, word)
	if err != nil {
		return err
	}
	t.add(source{rows, weight, named})
	return nil
}

func (t *term) add(src source) {
	t.rows = union(t.rows, src.rows)
	if src.rows.count() > 0 {
		t.sources = append(t.sources, src)
		t.n = t.rows.count()
	}
}

func union(a, b rowSet) rowSet {
	switch {
	case a == nil:
		return b
	case b == nil:
		return a
	}
	both := make(rowSet, len(a))
	for i := range a {
		switch {
		case a[i].IsEmpty():
			both[i] = b[i]
		case b[i].IsEmpty():
			both[i] = a[i]
		default:
			both[i] = roaring.Or(a[i], b[i])
		}
	}
	return both
}

func minus(a, b rowSet) rowSet {
	rest := make(rowSet, len(a))
	for i := range a {
		rest[i] = a[i]
		if !a[i].IsEmpty() && !b[i].IsEmpty() {
			rest[i] = roaring.AndNot(a[i], b[i])
		}
	}
	return rest
}

// widenToStart lets a term match as the beginning of the words that most documents have.
func (s *searcher) widenToStart(t *term) error {
	if utf8.RuneCountInString(t.word) < minStart {
		return nil
	}
	words, err := s.startingWith(t.word)
	if err != nil {
		return err
	}
	var named, text rowSet
	for _, w := range words {
		rows, err := s.rowsOf(s.fields.text, w)
		if err != nil {
			return err
		}
		text = union(text, rows)
		if rows, err = s.rowsOf(s.fields.name, w); err != nil {
			return err
		}
		named = union(named, rows)
	}
	t.add(source{named, weightName * startFactor, true})
	t.add(source{text, weightText * startFactor, false})
	return nil
}

// startingWith reads from the tenant's dictionary which words go on from a beginning.
func (s *searcher) startingWith(start string) ([]string, error) {
	dict, err := s.view.snap.FieldDictPrefix(s.fields.text, []byte(start))
	if err != nil {
		return nil, err
	}
	defer dict.Close()
	type word struct {
		text string
		n    uint64 // documents, deleted ones among them
	}
	var words []word
	for range readStart {
		e, err := dict.Next()
		if err != nil {
			return nil, err
		}
		if e == nil {
			break
		}
		if e.Term != start {
			words = append(words, word{e.Term, e.Count})
		}
	}
	slices.SortStableFunc(words, func(a, b word) int { return cmp.Compare(b.n, a.n) })
	list := make([]string, min(len(words), useStart))
	for i := range list {
		list[i] = words[i].text
	}
	return list, nil
}

// widenToNear lets a term match as the words it may have been meant for.
func (s *searcher) widenToNear(t *term) error {
	near, err := s.nearWords(t.word, max(1, rarer*t.n))
	if err != nil || len(near) == 0 {
		return err
	}
	for _, w := range near {
		if err := s.addWord(t, w.word, nearFactor); err != nil {
			return err
		}
		if err := s.addStem(t, w.word, nearFactor); err != nil {
			return err
		}
	}
	t.near = near[0].word
	return nil
}

// nearWord is a word of the index that is spelled nearly like another.
type nearWord struct {
	word     string
	distance uint8
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

func (s *searcher) within(word string, edits int, atLeast int) ([]nearWord, error) {
	near, err := s.readWithin(word, edits)
	if err != nil {
		return nil, err
	}
	slices.SortFunc(near, func(a, b nearWord) int {
		return cmp.Or(cmp.Compare(a.distance, b.distance), compareBool(b.start, a.start), strings.Compare(a.word, b.word))
	})
	near = near[:min(len(near), countNear)]
	for i := range near {
		rows, err := s.rowsOf(s.fields.text, near[i].word)
		if err != nil {
			return nil, err
		}
		near[i].n = rows.count()
	}
	near = slices.DeleteFunc(near, func(w nearWord) bool { return w.n < atLeast })
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

// readWithin reads the words within a number of edits from the tenant's dictionary. Digits
// must be the same: gpt4 is no misspelt gpt5. Two edits must leave the first byte alone: it is seldom wrong, and the search is ten times
// as fast.
func (s *searcher) readWithin(word string, edits int) ([]nearWord, error) {
	prefix := ""
	if edits > 1 {
		prefix = word[:1]
	}
	dict, automaton, err := s.view.snap.FieldDictFuzzyAutomaton(s.fields.text, word, edits, prefix)
	if err != nil {
		return nil, err
	}
	defer dict.Close()
	digits := digitsOf(word)
	var near []nearWord
	for range readNear {
		e, err := dict.Next()
		if err != nil {
			return nil, err
		}
		if e == nil {
			break
		}
		if ok, d := automaton.MatchAndDistance(e.Term); ok && e.Term != word && digitsOf(e.Term) == digits {
			near = append(near, nearWord{word: e.Term, distance: d, start: e.Term[0] == word[0]})
		}
	}
	return near, nil
}

func digitsOf(word string) string {
	return strings.Map(func(r rune) rune {
		if r < '0' || r > '9' {
			return -1
		}
		return r
	}, word)
}

// understood is the text with the words that were taken for others replaced.
func understood(text string, terms []*term) (string, bool) {
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
