package search

import (
	"cmp"
	"slices"
	"unicode/utf8"

	"github.com/RoaringBitmap/roaring/v2"
)

// meaning is what a text was understood as.
type meaning struct {
	terms []*term
	must  []rowSet // of phrases and fields
	not   []rowSet
	key   string // of the text, if it may be a name: it has words only
	begin []span // in each segment's keys, those that begin with it

	text      string // as it was searched for
	corrected bool
	instead   string // a text spelled nearly so that finds more
	nothing   bool   // nothing can be searched for: "?!"
}

// understand makes terms of a text and finds what each matches.
func (s *searcher) understand(text string) (*meaning, error) {
	if err := s.findLanguages(); err != nil {
		return nil, err
	}
	a := parse(text)
	terms, err := s.termsOf(a.words)
	if err != nil {
		return nil, err
	}
	m := &meaning{terms: terms, text: text}
	for i := range terms {
		if err := s.ctx.Err(); err != nil {
			return nil, err
		}
		if err := s.resolve(terms, i); err != nil {
			return nil, err
		}
	}
	if err := s.restrict(m, a); err != nil {
		return nil, err
	}
	m.nothing = len(terms) == 0 && len(m.must) == 0 && len(m.not) == 0
	if len(terms) == 0 {
		return m, nil
	}
	if a.plain {
		m.key = cut(keyOf(text), maxKey)
	}
	if err := s.widen(m); err != nil {
		return nil, err
	}
	return m, s.guess(m)
}

// findLanguages finds out which languages the tenant's listings are in: stems of others
// needn't be looked up.
func (s *searcher) findLanguages() error {
	for i := range s.view.segs {
		list, err := s.view.segs[i].languages(s.tenant)
		if err != nil {
			return err
		}
		for _, l := range list {
			if !slices.Contains(s.languages, l) {
				s.languages = append(s.languages, l)
			}
		}
	}
	return nil
}

// restrict finds what phrases, fields and what is to be left out stand for.
func (s *searcher) restrict(m *meaning, a asked) error {
	for _, p := range a.phrases {
		rows, err := s.phrase(p)
		if err != nil {
			return err
		}
		m.must = append(m.must, rows)
	}
	for field, values := range map[string][]string{"seller": a.seller, "tag": a.tags, "category": a.shelves} {
		for _, v := range values {
			m.must = append(m.must, s.rowsWith(field, v))
		}
	}
	for _, p := range a.without {
		rows, err := s.phrase(p)
		if err != nil {
			return err
		}
		m.not = append(m.not, rows)
	}
	return nil
}

// phrase returns the documents that have the words of a phrase, stop words aside, and
// each next to the one before.
func (s *searcher) phrase(chunks []chunk) (rows rowSet, err error) {
	and := func(more rowSet, failed error) {
		if err = cmp.Or(err, failed); err == nil {
			rows = intersect(rows, more)
		}
	}
	n := 0
	for _, c := range chunks {
		words := c.parts
		if c.whole != "" {
			words = []string{c.whole}
		}
		for _, w := range words {
			if n++; n > MaxWords {
				break
			}
			if !stopWords[w] || len(chunks) == 1 {
				and(s.textRows(w))
			}
		}
	}
	n = 0
	eachPair(wholes(chunks), func(h uint64) {
		if n++; n <= MaxWords {
			and(s.pairRows(h))
		}
	})
	return rows, err
}

// widen lets terms match as beginnings and inside of names, and adds the names that begin
// with the whole text.
func (s *searcher) widen(m *meaning) error {
	for i, t := range m.terms {
		last := i == len(m.terms)-1
		if t.start || last && !t.exact && t.n < fewForStart {
			if err := s.widenToStart(t); err != nil {
				return err
			}
		}
		if !t.exact && (t.n < fewForStart || len(m.terms) == 1) {
			if err := s.widenToInside(t); err != nil {
				return err
			}
		}
	}
	return s.widenToNames(m)
}

// widenToNames finds the names that begin with the text's key. They match, unless there
// are so many that the words find them all the same.
func (s *searcher) widenToNames(m *meaning) error {
	if m.key == "" {
		return nil
	}
	n := 0
	for i := range s.view.segs {
		names, err := s.names(i)
		if err != nil {
			return err
		}
		from, to := beginning(names.keys, m.key)
		m.begin = append(m.begin, span{from, to})
		n += to - from
	}
	if utf8.RuneCountInString(m.key) < minStart || n == 0 || n > maxNames {
		return nil
	}
	rows, err := s.rowsWhere(func(names *nameList, yield func(uint32)) { names.startingKeys(m.key, &s.work, yield) })
	if err != nil {
		return err
	}
	for _, t := range m.terms {
		t.add(rows, s.rank.Name*s.rank.Start, inName)
	}
	return nil
}

// guess adds what is spelled nearly like the text where it matches few listings, none of
// which is named so. These come after what matches as it stands.
func (s *searcher) guess(m *meaning) error {
	sure := s.count(m, (*term).surely)
	if sure >= fewForNear || sure > 0 && s.named(m.key) {
		return nil
	}
	name, err := s.nearNames(m)
	if err != nil {
		return err
	}
	for _, t := range m.terms {
		if n := t.sure.count(); n < fewForNear && !t.fixed && !t.exact {
			if err := s.widenToNear(t, rarer*n); err != nil {
				return err
			}
		}
	}
	if err := s.guessMore(m); err != nil {
		return err
	}
	if s.count(m, (*term).matching) == 0 {
		return nil
	}
	text, changed := corrected(m.text, m.terms)
	if name != "" && (!changed || len(m.terms) > 1) {
		text = respelt(m.text, name)
	}
	switch {
	case text == m.text:
	case sure == 0:
		m.text, m.corrected = text, true
	default:
		m.instead = text
	}
	return nil
}

// guessMore corrects words that do match listings, the rarest first, when together they
// match none.
func (s *searcher) guessMore(m *meaning) error {
	byRarity := slices.Clone(m.terms)
	slices.SortStableFunc(byRarity, func(a, b *term) int { return cmp.Compare(a.n, b.n) })
	for _, t := range byRarity {
		if s.count(m, (*term).matching) > 0 {
			return nil
		}
		if t.near != "" || t.n == 0 || t.fixed || t.exact {
			continue
		}
		before := *t
		if err := s.widenToNear(t, 1); err != nil {
			return err
		}
		if t.near != "" && s.count(m, (*term).matching) == 0 {
			*t = before
		}
	}
	return nil
}

// nearNames adds the listings whose whole name is one edit from the text, and returns the
// key of the most popular one's.
func (s *searcher) nearNames(m *meaning) (key string, err error) {
	if utf8.RuneCountInString(m.key) <= minNear {
		return "", nil
	}
	digits := digitsOf(m.key)
	best := int64(-1)
	rows := make(rowSet, len(s.view.segs))
	for i := range s.view.segs {
		seg := &s.view.segs[i]
		names, err := s.names(i)
		if err != nil {
			return "", err
		}
		rows[i] = roaring.New()
		names.nearKeys(m.key, &s.work, func(n uint32) {
			row := names.rows[n]
			if digitsOf(names.keys[n]) != digits || !s.isLive(i, row) {
				return
			}
			rows[i].Add(row)
			if p := seg.popularity[row]; p > best || p == best && names.keys[n] < key {
				best, key = p, names.keys[n]
			}
		})
	}
	for _, t := range m.terms {
		t.add(rows, s.rank.Name*s.rank.Near, inName|guess)
	}
	return key, nil
}

// named reports whether a listing's name has a key.
func (s *searcher) named(key string) bool {
	if key == "" {
		return false
	}
	for i := range s.view.segs {
		names, err := s.names(i)
		if err != nil {
			return false
		}
		for n, _ := slices.BinarySearch(names.keys, key); n < len(names.keys) && names.keys[n] == key; n++ {
			if s.isLive(i, names.rows[n]) {
				return true
			}
		}
	}
	return false
}

func (t *term) surely() rowSet   { return t.sure }
func (t *term) matching() rowSet { return t.rows }

// count is the number of documents that match all terms in a way.
func (s *searcher) count(m *meaning, of func(*term) rowSet) (n int) {
	for i := range s.view.segs {
		n += int(s.matches(i, m, m.terms, of).GetCardinality())
	}
	return n
}

// matches are the rows of a segment that match all terms, and what else the text says.
func (s *searcher) matches(segment int, m *meaning, terms []*term, of func(*term) rowSet) *roaring.Bitmap {
	rows := s.view.segs[segment].live[s.tenant]
	if rows == nil {
		return none
	}
	and := func(set rowSet) {
		switch {
		case set == nil:
			rows = none
		case rows == s.view.segs[segment].live[s.tenant]:
			rows = set[segment] // live ones only
		case !rows.IsEmpty():
			rows = roaring.And(rows, set[segment])
		}
	}
	for _, t := range terms {
		and(of(t))
	}
	for _, set := range m.must {
		and(set)
	}
	for _, set := range m.not {
		if set != nil && !rows.IsEmpty() {
			rows = roaring.AndNot(rows, set[segment])
		}
	}
	return rows
}

// wholes are chunks without the parts of words.
func wholes(chunks []chunk) []chunk {
	list := slices.Clone(chunks)
	for i := range list {
		if list[i].whole != "" {
			list[i].parts = nil
		}
	}
	return list
}

// pairRows are the rows that have a pair (eachPair).
func (s *searcher) pairRows(hash uint64) (rowSet, error) {
	short, err := s.rowsOf(s.fields.pair, pairOf(hash))
	if err != nil {
		return nil, err
	}
	long, err := s.rowsOf(s.fields.pair, longPairOf(hash))
	return union(short, long), err
}
