package search

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// asked is what a text says, before any index is looked at. Every text says something:
// what can't be read as syntax is read as words.
type asked struct {
	words   []askedWord
	phrases [][]chunk // of two words or more, besides their words
	without [][]chunk // what isn't to match: all words of one, or side by side when quoted
	seller  []string  // values of fields that are filters
	tags    []string
	shelves []string // categories
	plain   bool     // words are all there is
}

// askedWord is a chunk of the text and how it is to match.
type askedWord struct {
	chunk
	named bool // in the name
	exact bool // as itself only: it was quoted
	start bool // a beginning: a star follows
}

// token is a part of a query up to white space, or a quoted one.
type token struct {
	text       string
	start      int // in the query
	field      string
	not, quote bool
}

// parse reads a query's text.
//
//	word        matches
//	"two words" match side by side
//	-word       doesn't match; -"two words" neither
//	lang*       matches as a beginning
//	name:word   matches in the name; seller:, tag: and category: filter
func parse(text string) asked {
	a := asked{plain: true}
	for at := 0; at < len(text); {
		var t token
		t, at = nextToken(text, at)
		a.add(t)
	}
	return a
}

// nextToken reads the token at a place and returns the place after it.
func nextToken(text string, at int) (t token, next int) {
	for at < len(text) && text[at] == ' ' {
		at++
	}
	if rest := text[at:]; len(rest) > 1 && rest[0] == '-' && rest[1] != ' ' && rest[1] != '-' {
		t.not = true
		at++
	}
	if field, _, ok := strings.Cut(text[at:], ":"); ok && isField(field) && at+len(field)+1 < len(text) && text[at+len(field)+1] != ' ' {
		t.field = strings.ToLower(field)
		at += len(field) + 1
	}
	if inside, length, ok := quoted(text[at:]); ok {
		_, w := utf8.DecodeRuneInString(text[at:])
		t.quote, t.text, t.start = true, inside, at+w
		return t, at + length
	}
	end := at
	for end < len(text) && text[end] != ' ' {
		if _, _, ok := quoted(text[end:]); ok && end > at {
			break
		}
		end++
	}
	t.text, t.start = text[at:end], at
	return t, end
}

func isField(s string) bool {
	return slices.Contains([]string{"name", "seller", "tag", "category"}, strings.ToLower(s))
}

// quoted returns what stands in quotes at the beginning of a text, and the length of both.
// Quotes without an end, or with nothing between, are none.
func quoted(text string) (inside string, length int, ok bool) {
	for _, q := range [][2]string{{`"`, `"`}, {"“", "”"}, {"„", "“"}, {"«", "»"}, {"「", "」"}} {
		rest, found := strings.CutPrefix(text, q[0])
		if !found {
			continue
		}
		inside, _, found = strings.Cut(rest, q[1])
		if found && inside != "" {
			return inside, len(q[0]) + len(inside) + len(q[1]), true
		}
	}
	return "", 0, false
}

func (a *asked) add(t token) {
	if t.not || t.quote || t.field != "" {
		a.plain = false
	}
	switch {
	case t.field == "seller" && !t.not:
		a.seller = append(a.seller, t.text)
		return
	case t.field == "tag" && !t.not:
		a.tags = append(a.tags, t.text)
		return
	case t.field == "category" && !t.not:
		a.shelves = append(a.shelves, t.text)
		return
	}
	chunks := chunksOf(t.text)
	for i := range chunks {
		chunks[i].start += t.start
		chunks[i].end += t.start
	}
	if t.not {
		a.leaveOut(chunks)
		return
	}
	for _, c := range chunks {
		a.words = append(a.words, askedWord{chunk: c, named: t.field == "name", exact: t.quote})
	}
	if t.quote && len(chunks) > 1 {
		a.phrases = append(a.phrases, chunks)
	}
	if n := len(chunks); n > 0 && !t.quote && strings.HasSuffix(strings.TrimRightFunc(t.text, isClosing), "*") {
		a.words[len(a.words)-1].start = true
	}
}

func isClosing(r rune) bool { return r != '*' && unicode.In(r, unicode.Pe, unicode.Pf, unicode.Po) }

func (a *asked) leaveOut(chunks []chunk) {
	if len(chunks) > 0 {
		a.without = append(a.without, chunks)
	}
}
