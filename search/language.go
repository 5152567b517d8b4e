package search

import (
	"math/bits"
	"strings"
	"unicode"

	"github.com/blevesearch/snowballstem"
	stemDutch "github.com/blevesearch/snowballstem/dutch"
	stemEnglish "github.com/blevesearch/snowballstem/english"
	stemFrench "github.com/blevesearch/snowballstem/french"
	stemGerman "github.com/blevesearch/snowballstem/german"
	stemItalian "github.com/blevesearch/snowballstem/italian"
	stemPortuguese "github.com/blevesearch/snowballstem/portuguese"
	stemRussian "github.com/blevesearch/snowballstem/russian"
	stemSpanish "github.com/blevesearch/snowballstem/spanish"
)

// language has the stems of its words. Stems of two languages are two terms ("de/such"),
// so that a word of one isn't taken for a form of another's.
type language struct {
	code   string // before its stems; English ones have none
	common map[string]bool
	stems  func(*snowballstem.Env) bool
}

// english is the language of names, and of texts in which no other is recognized.
var english = &language{"", setOf("the and of to for with from is are that this your you by on in it as an or be"), stemEnglish.Stem}

// others are the further languages, with common words that tell them: folded, and none
// that is as common in technical English.
var others = []*language{
	{"de/", setOf("der die das und ist fur mit von den dem ein eine einer eines zum zur im auf nicht auch sich wird werden sie uber aus bei oder ihre als wie"), stemGerman.Stem},
	{"fr/", setOf("le la les des et une un du est pour dans avec sur par que qui vos votre vous aux ces son ses ou plus sans cette leur"), stemFrench.Stem},
	{"es/", setOf("el la los las y una un del es para con por que en su sus como al mas tu desde sin este esta o entre"), stemSpanish.Stem},
	{"it/", setOf("il lo la gli le di che e un una per con del della dei delle nel nella sono si da tuo tua come piu anche"), stemItalian.Stem},
	{"pt/", setOf("o os as um uma do da dos das para com por que em no na nos nas seu sua como mais e ao voce sem"), stemPortuguese.Stem},
	{"nl/", setOf("de het een en van voor met op zijn dat die niet ook naar door uit bij aan je uw worden wordt als om te"), stemDutch.Stem},
	{"ru/", nil, stemRussian.Stem},
}

var russian = others[len(others)-1]

// common has a bit for each language in which a word is common: bit 0 is English, then
// others.
var common = func() map[string]uint8 {
	all := map[string]uint8{}
	for i, l := range append([]*language{english}, others...) {
		for word := range l.common {
			all[word] |= 1 << i
		}
	}
	return all
}()

// languageOf recognizes the language of a text: Russian by its letters, others when they
// have at least two of its words, and more than any other language has. The chunks are its
// own.
func languageOf(text string, chunks []chunk) *language {
	var counts [8]int
	for _, c := range chunks {
		for set := common[c.whole]; set != 0; set &= set - 1 {
			counts[bits.TrailingZeros8(set)]++
		}
	}
	if !plainASCII(text) && strings.ContainsFunc(text, func(r rune) bool { return unicode.Is(unicode.Cyrillic, r) }) {
		return russian
	}
	best, most := english, max(1, counts[0])
	for i, l := range others {
		if n := counts[i+1]; n > most {
			best, most = l, n
		}
	}
	return best
}

// stem returns the term for the stem of a word: the word itself when that is its stem,
// when it has a digit, or when it has fewer than four bytes.
func (l *language) stem(word string) string {
	if st := l.bare(word); st != word {
		return l.code + st
	}
	return word
}

// bare is the stem without the language.
func (l *language) bare(word string) string {
	if len(word) < 4 {
		return word
	}
	for _, r := range word {
		if r < 'a' || r > 'z' && !unicode.Is(unicode.Cyrillic, r) {
			return word
		}
	}
	env := snowballstem.NewEnv(word)
	l.stems(env)
	return env.Current()
}
