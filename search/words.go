package search

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

const (
	maxWord  = 48 // bytes of a word that are indexed and compared; the rest is cut off
	maxParts = 6  // parts of a word; one that falls into more (a hash) is kept whole
	maxJoin  = 4  // words of a compound that are also indexed written together
)

// chunk is a run of letters and digits in a text, folded. Chunks that only a hyphen,
// underscore, dot, slash, colon or plus parts make a compound.
type chunk struct {
	whole      string   // "gpt4all", "mcpserver"; empty for scripts without spaces
	parts      []string // "gpt", "4", "all"; at least one
	start, end int      // bytes in the text
	compound   bool     // glued to the chunk before
}

// runeClass is what a split of a word may depend on.
type runeClass uint8

const (
	separator runeClass = iota
	lower               // letters without case too
	upper
	digit
	mark // belongs to the character before
	dense
)

func classOf(r rune) runeClass {
	switch {
	case r < utf8.RuneSelf:
		return classOfASCII(byte(r))
	case unicode.In(r, unicode.Han, unicode.Hiragana, unicode.Katakana, unicode.Hangul, unicode.Thai, unicode.Lao, unicode.Khmer, unicode.Myanmar):
		return dense
	case unicode.IsUpper(r) || unicode.IsTitle(r):
		return upper
	case unicode.IsLetter(r):
		return lower
	case unicode.IsMark(r):
		return mark
	case unicode.IsDigit(r):
		return digit
	}
	return separator
}

func classOfASCII(c byte) runeClass {
	switch {
	case 'a' <= c && c <= 'z':
		return lower
	case 'A' <= c && c <= 'Z':
		return upper
	case '0' <= c && c <= '9':
		return digit
	}
	return separator
}

// chunksOf splits a text at everything that is neither letter nor digit, and each chunk
// into parts where case or kind changes: "MCPServer" is MCP and Server, "gpt4all" is gpt,
// 4 and all, and a run of Chinese, Japanese, Korean, Thai, Lao, Khmer or Burmese is its
// overlapping pairs.
func chunksOf(text string) []chunk {
	if text == "" {
		return nil
	}
	var c chunker
	return c.split(text)
}

// chunker splits one text after the other. The chunks of one are lost with the next.
type chunker struct {
	chunks []chunk
	parts  []string // of all chunks that have but one
}

func (sp *chunker) split(text string) []chunk {
	if sp.chunks == nil {
		n := min(len(text)/5+2, 1_000)
		sp.chunks, sp.parts = make([]chunk, 0, n), make([]string, 0, n)
	}
	chunks := sp.chunks[:0]
	sp.parts = sp.parts[:0]
	end := -1 // of the last chunk
	for i := 0; i < len(text); {
		r, w := utf8.DecodeRuneInString(text[i:])
		if classOf(r) == separator {
			i += w
			continue
		}
		start := i
		i += chunkLength(text[i:])
		if c, ok := newChunk(text[start:i], &sp.parts); ok {
			c.start, c.end = start, i
			c.compound = end >= 0 && start == end+1 && strings.IndexByte("-_./:+", text[end]) >= 0
			chunks = append(chunks, c)
			end = i
		}
	}
	sp.chunks = chunks
	return chunks
}

func chunkLength(text string) int {
	dense0 := false
	for i, r := range text {
		class := classOf(r)
		if i == 0 {
			dense0 = class == dense
		}
		if class == separator || class != mark && (class == dense) != dense0 {
			return i
		}
	}
	return len(text)
}

// newChunk makes a chunk, whose parts it adds to those of the text when there is but one.
func newChunk(raw string, parts *[]string) (c chunk, ok bool) {
	only := func(whole string) []string {
		*parts = append(*parts, whole)
		n := len(*parts)
		return (*parts)[n-1 : n : n]
	}
	if isPlain(raw) {
		return chunk{whole: raw, parts: only(raw)}, true
	}
	c.whole = fold(raw)
	if c.whole == "" {
		return c, false
	}
	if r, _ := utf8.DecodeRuneInString(raw); classOf(r) == dense {
		c.parts = pairs(c.whole)
		c.whole = ""
		return c, true
	}
	for _, part := range splitCase(raw) {
		if f := fold(part); f != "" {
			c.parts = append(c.parts, f)
		}
	}
	if len(c.parts) < 2 || len(c.parts) > maxParts {
		c.parts = only(c.whole)
	}
	return c, true
}

// isPlain reports whether a chunk is its own whole and only part, as most are.
func isPlain(raw string) bool {
	for i := range len(raw) {
		if raw[i] < 'a' || raw[i] > 'z' {
			return false
		}
	}
	return len(raw) <= maxWord
}

// splitCase splits where a lower-case letter meets an upper-case one, before the last of
// several upper-case letters that a lower-case one follows, and between letters and
// digits. A plural s stays with its acronym: "MCPs" is one part.
func splitCase(s string) []string {
	var parts []string
	start := 0
	var before, last runeClass // of the two runes before
	lastAt := 0
	for i, r := range s {
		class := classOf(r)
		if class == mark {
			continue
		}
		cut := -1
		switch {
		case i == 0:
		case (class == digit) != (last == digit):
			cut = i
		case last == lower && class == upper:
			cut = i
		case before == upper && last == upper && class == lower && !pluralAt(s, i):
			cut = lastAt
		}
		if cut > start {
			parts = append(parts, s[start:cut])
			start = cut
		}
		before, last, lastAt = last, class, i
	}
	return append(parts, s[start:])
}

func pluralAt(s string, i int) bool {
	if s[i] != 's' {
		return false
	}
	r, _ := utf8.DecodeRuneInString(s[i+1:])
	return i+1 == len(s) || classOf(r) != lower
}

// pairs are the overlapping pairs of a text's characters, or the text if it is one.
func pairs(s string) []string {
	runes := []rune(s)
	if len(runes) < 3 {
		return []string{s}
	}
	out := make([]string, 0, len(runes)-1)
	for i := range len(runes) - 1 {
		out = append(out, string(runes[i:i+2]))
	}
	return out
}

// fold makes one form of what reads the same: compatibility forms decomposed, marks
// dropped, letters that have no decomposition spelled out, lower case, at most maxWord
// bytes.
func fold(s string) string {
	if !plainASCII(s) {
		s = strings.Map(func(r rune) rune {
			if unicode.Is(unicode.Mn, r) || classOf(r) == separator {
				return -1
			}
			return r
		}, shortI.Replace(norm.NFKD.String(s)))
		s = norm.NFC.String(s)
		return cut(letters.Replace(strings.ToLower(s)), maxWord)
	}
	return cut(strings.ToLower(s), maxWord)
}

// shortI keeps a letter of Cyrillic that isn't another one with a mark.
var shortI = strings.NewReplacer("и\u0306", "й", "И\u0306", "Й")

var letters = strings.NewReplacer("ß", "ss", "æ", "ae", "œ", "oe", "ø", "o", "ł", "l", "đ", "d", "ð", "d", "þ", "th", "ı", "i")

// cut returns the first characters of a text that have at most n bytes together.
func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}

func plainASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// nameKeys are the forms in which a whole name can be asked for: all letters and digits
// together, and the same of what follows the last slash ("@playwright/mcp", "mcp").
func nameKeys(name string) (whole, tail string) {
	whole = keyOf(name)
	tail = whole
	if i := strings.LastIndexByte(name, '/'); i >= 0 {
		if t := keyOf(name[i+1:]); t != "" {
			tail = t
		}
	}
	return whole, tail
}

// keyOf is the folded letters and digits of a text without anything between.
func keyOf(text string) string {
	if plainASCII(text) {
		return asciiKey(text)
	}
	var b strings.Builder
	for _, c := range chunksOf(text) {
		b.WriteString(fold(text[c.start:c.end]))
	}
	return b.String()
}

func asciiKey(text string) string {
	b := make([]byte, 0, 64)
	length := 0 // of the chunk, of which maxWord bytes count
	for i := range len(text) {
		c := text[i]
		switch classOfASCII(c) {
		case separator:
			length = 0
			continue
		case upper:
			c += 'a' - 'A'
		}
		if length++; length <= maxWord {
			b = append(b, c)
		}
	}
	return string(b)
}

// stem returns the English stem of a word.
func stem(word string) string { return english.bare(word) }

// stopWords are left out of text, and of queries that have other words. Of a name they
// are words like any other.
var stopWords = setOf(`a an and are as at be but by can could did do does for from has have how i if in into is it its me my no not
	of on or our so such than that the their then there these they this to was we what when where which who
	will with you your s t`)

func setOf(words string) map[string]bool {
	set := map[string]bool{}
	for w := range strings.FieldsSeq(words) {
		set[w] = true
	}
	return set
}
