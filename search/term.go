package search

import (
	"slices"
	"unicode/utf8"
)

const (
	fewForStart = 20    // documents under which the last word also matches as a beginning, and any inside of names
	fewForNear  = 3     // documents under which a word, or all together, is taken for misspelt
	minStart    = 2     // characters from which a word is taken for a beginning
	minInside   = 3     // and for a part of a name
	useStart    = 48    // words with a beginning that are searched for
	rarer       = 20    // times that a word which has matches must be rarer than its correction
	minNear     = 4     // characters from which one edit is allowed
	minNear2    = 8     // and two
	maxNear     = 24    // bytes of the longest word that is corrected
	countNear   = 48    // nearly equal words whose documents are counted
	useNear     = 6     // and that are searched for
	maxNames    = 1_000 // names beginning with the query that are added to what matches
)

// term is one word of a query and what it matches.
type term struct {
	word    string
	spans   []span // where it stands in the text
	place   int    // among the text's words
	fixed   bool   // part of a word that was split; not to be corrected
	exact   bool   // quoted: matches as itself only
	inName  bool   // matches in names only
	start   bool   // given as a beginning
	near    string // the word taken instead, or besides
	sources []source
	beside  []source // add to the score of what matches, and don't match of themselves
	rows    rowSet   // all rows that match
	sure    rowSet   // of these, those that match without a guess
	n       int      // their number, guesses included
	guessed bool     // some are
}

// source is one way in which a term matches: some rows, and what it adds to their score.
type source struct {
	rows   rowSet
	weight float64
	how    how
}

// how a source matches.
type how uint8

const (
	inName how = 1 << iota // the word is in the name
	guess                  // it was corrected
)

// span is a range of bytes in a text.
type span struct{ start, end int }

func (t *term) add(rows rowSet, weight float64, how how) {
	if rows.count() == 0 {
		return
	}
	t.weigh(rows, weight, how)
	if how&guess != 0 {
		t.rows, t.guessed = union(t.rows, rows), true
	} else if t.sure = union(t.sure, rows); t.guessed {
		t.rows = union(t.rows, rows)
	} else {
		t.rows = t.sure
	}
	t.n = t.rows.count()
}

// weigh adds a source whose rows are also among those of another.
func (t *term) weigh(rows rowSet, weight float64, how how) {
	t.sources = append(t.sources, source{rows, weight, how})
}

// shown is the word as a person is told it was understood.
func (t *term) shown() string {
	if t.near != "" && t.sure.count() == 0 {
		return t.near
	}
	return t.word
}

// termsOf makes terms of a query's words: stop words go unless there is nothing else or
// they were quoted, a repeated word counts once, and what is beyond MaxWords is left out.
func (s *searcher) termsOf(words []askedWord) ([]*term, error) {
	var terms []*term
	stops := 0
	for i, w := range words {
		parts, fixed, err := s.split(w.chunk)
		if err != nil {
			return nil, err
		}
		for _, word := range parts {
			at := span{w.chunk.start, w.chunk.end}
			if i := slices.IndexFunc(terms, func(o *term) bool { return o.word == word }); i >= 0 {
				terms[i].spans = append(terms[i].spans, at)
				continue
			}
			if stopWords[word] {
				stops++
			}
			terms = append(terms, &term{
				word: word, place: i, fixed: fixed || w.chunk.whole == "", spans: []span{at},
				exact: w.exact, inName: w.named, start: w.start,
			})
		}
	}
	if stops < len(terms) {
		terms = slices.DeleteFunc(terms, func(t *term) bool { return stopWords[t.word] && !t.exact && !t.inName })
	}
	return terms[:min(len(terms), MaxWords)], nil
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
	rows, err := s.textRows(word)
	if err != nil || rows.count() > 0 {
		return true, err
	}
	rows, err = s.rowsOf(s.fields.name, word)
	return rows.count() > 0, err
}

// resolve finds what a term matches as it is: as itself, by its stems and synonyms, and
// written together with the word before or after it.
func (s *searcher) resolve(terms []*term, i int) error {
	t := terms[i]
	if err := s.addWord(t, t.word, 1, 0); err != nil || t.exact {
		return err
	}
	if err := s.addStems(t, t.word, 1, 0); err != nil {
		return err
	}
	if i > 0 {
		if err := s.addWord(t, terms[i-1].word+t.word, 1, 0); err != nil {
			return err
		}
	}
	if i+1 < len(terms) {
		if err := s.addWord(t, t.word+terms[i+1].word, 1, 0); err != nil {
			return err
		}
		if err := s.addBeside(t, terms[i+1]); err != nil {
			return err
		}
	}
	return s.addSynonyms(terms, i)
}

func (s *searcher) addWord(t *term, word string, factor float64, how how) error {
	rows, err := s.rowsOf(s.fields.name, word)
	if err != nil {
		return err
	}
	if t.inName {
		t.add(rows, s.rank.Name*factor, how|inName)
		return nil
	}
	if rows.count() > 0 {
		t.weigh(rows, s.rank.Name*factor, how|inName)
	}
	if rows, err = s.textRows(word); err != nil {
		return err
	}
	t.add(rows, s.rank.Text*factor, how)
	rows, err = s.rowsOf(s.fields.body, word)
	t.add(rows, s.rank.Body*factor, how)
	return err
}

// addStems adds the documents that have another form of a word, and not the word. The
// field of stems has those that differ from their words.
func (s *searcher) addStems(t *term, word string, factor float64, how how) error {
	if t.inName {
		return nil
	}
	var forms rowSet
	for _, l := range s.languages {
		st := l.bare(word)
		rows, err := s.rowsOf(s.fields.stem, l.code+st)
		if err != nil {
			return err
		}
		forms = union(forms, rows)
		if st == word {
			continue
		}
		if rows, err = s.textRows(st); err != nil {
			return err
		}
		forms = union(forms, rows)
	}
	itself, err := s.textRows(word)
	t.add(minus(forms, itself), s.rank.Stem*factor, how)
	return err
}

// addBeside lets the documents that have a word and the next one side by side score more.
func (s *searcher) addBeside(t, next *term) error {
	if s.rank.Side == 0 || next.place != t.place+1 || t.fixed || next.fixed {
		return nil
	}
	rows, err := s.pairRows(pairEnd(pairStart(t.word), next.word))
	if rows.count() > 0 {
		t.beside = append(t.beside, source{rows: rows, weight: s.rank.Side})
	}
	return err
}

// widenToStart lets a term match as the beginning of the words that most documents have.
func (s *searcher) widenToStart(t *term) error {
	if n := utf8.RuneCountInString(t.word); n < minStart && len(t.word) == n {
		return nil
	}
	words, err := s.startingWith(t.word)
	if err != nil {
		return err
	}
	var named, text rowSet
	for _, w := range words {
		rows, err := s.rowsOf(s.fields.name, w)
		if err != nil {
			return err
		}
		named = union(named, rows)
		if rows, err = s.textRows(w); err != nil {
			return err
		}
		text = union(text, rows)
	}
	t.add(named, s.rank.Name*s.rank.Start, inName)
	if !t.inName {
		t.add(text, s.rank.Text*s.rank.Start, 0)
	}
	return nil
}

// widenToInside lets a term match inside of names.
func (s *searcher) widenToInside(t *term) error {
	if utf8.RuneCountInString(t.word) < minInside || t.fixed {
		return nil
	}
	rows, err := s.rowsWhere(func(names *nameList, yield func(uint32)) { names.holding(t.word, &s.work, yield) })
	t.add(rows, s.rank.Name*s.rank.Inside, inName)
	return err
}
