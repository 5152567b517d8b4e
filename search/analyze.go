package search

import (
	"strings"

	index "github.com/blevesearch/bleve_index_api"
	"github.com/souk-market/souk/internal/market"
)

// fieldNames are the names of a tenant's fields.
type fieldNames struct{ name, text, stem, body, pair, key string }

func fieldsOf(tenant market.TenantID) fieldNames {
	at := "@" + string(tenant)
	return fieldNames{"name" + at, "text" + at, "stem" + at, "body" + at, "pair" + at, "key" + at}
}

func (f *fieldNames) all() [6]string { return [6]string{f.name, f.text, f.stem, f.body, f.pair, f.key} }

// words are what an agent is found by: the terms of each field.
type words struct{ name, text, stem, body, pair, key wordSet }

func (w *words) all() [6]*wordSet {
	return [6]*wordSet{&w.name, &w.text, &w.stem, &w.body, &w.pair, &w.key}
}

// wordSet collects the words of a field, each once: in order, and in the form that Bleve
// takes.
type wordSet struct {
	words []string
	freqs index.TokenFrequencies
}

func (s *wordSet) add(word string) {
	if word == "" || s.freqs[word] != nil {
		return
	}
	if s.freqs == nil {
		s.freqs = index.TokenFrequencies{}
	}
	s.freqs[word] = &index.TokenFreq{Term: []byte(word)}
	s.words = append(s.words, word)
}

func wordsOf(l *listing) *words {
	a := &l.Agent
	var w words
	w.addName(a.Name)
	w.addText(a.Name, english)
	w.addText(a.Summary, languageOf(a.Summary))
	w.addText(a.Source, english)
	for _, tag := range a.Tags {
		w.addText(string(tag), english)
		w.key.add(fieldTerm("tag", string(tag)))
	}
	w.key.add(fieldTerm("category", string(a.Category)))
	if l.seller.Slug != "" {
		w.key.add(fieldTerm("seller", l.seller.Slug))
		w.key.add(fieldTerm("seller", l.seller.Name))
	}
	if a.Category != "other" {
		w.addText(string(a.Category), english)
	}
	w.addBody(l)
	return &w
}

// addBody adds the words, and their stems, of what a listing says beside name and summary:
// facts, seller and description. Those of text are left out.
func (w *words) addBody(l *listing) {
	add := func(text string, in language) {
		chunks := chunksOf(text)
		eachWord(chunks, func(word string) {
			if stopWords[word] || w.text.freqs[word] != nil {
				return
			}
			w.body.add(word)
			if st := in.stem(word); w.text.freqs[st] == nil {
				w.body.add(st)
			}
		})
		eachPair(chunks, w.pair.add)
	}
	f := &l.Facts
	for _, list := range [][]string{f.Models, f.Runtimes, f.Inputs, f.Outputs, f.Keys, {l.seller.Name}} {
		for _, text := range list {
			add(text, english)
		}
	}
	add(l.description, languageOf(l.description[:min(len(l.description), 2<<10)]))
}

func (w *words) addName(name string) {
	chunks := chunksOf(name)
	eachWord(chunks, w.name.add)
	for i := 1; i < len(chunks); i++ {
		if chunks[i-1].whole != "" && chunks[i].whole != "" {
			w.name.add(joined(chunks[i-1 : i+1]))
		}
	}
	whole, tail := nameKeys(name)
	w.key.add(cut(whole, maxKey))
	w.key.add(cut(tail, maxKey))
}

// addText adds the words of a text in a language, their stems and their pairs.
func (w *words) addText(text string, in language) {
	chunks := chunksOf(text)
	eachWord(chunks, func(word string) {
		if stopWords[word] {
			return
		}
		w.text.add(word)
		if st := in.stem(word); st != word {
			w.stem.add(st)
		}
	})
	for _, c := range chunks {
		if spelled := umlauts(text[c.start:c.end]); spelled != "" {
			w.text.add(spelled)
		}
	}
	eachPair(chunks, w.pair.add)
}

// eachWord calls add with the parts of every chunk, with the whole of it, and with
// compounds of up to maxJoin chunks written together.
func eachWord(chunks []chunk, add func(string)) {
	for i := 0; i < len(chunks); {
		end := i + 1
		for end < len(chunks) && chunks[end].compound {
			end++
		}
		for _, c := range chunks[i:end] {
			for _, p := range c.parts {
				add(p)
			}
			add(c.whole)
		}
		if n := end - i; n > 1 && n <= maxJoin {
			add(joined(chunks[i:end]))
		}
		i = end
	}
}

func joined(chunks []chunk) string {
	s := ""
	for _, c := range chunks {
		s += c.whole
	}
	if len(s) > maxWord {
		return ""
	}
	return s
}

// eachPair calls add with a term for every two words that stand side by side, stop words
// too: the first 16 bits of a hash, so that there are 65,536 terms at most. A text of n
// words is taken for one that has a pair which it hasn't with a chance of n in 65,536.
func eachPair(chunks []chunk, add func(string)) {
	before := ""
	for _, c := range chunks {
		words := c.parts
		if c.whole != "" {
			words = []string{c.whole}
		}
		for _, word := range words {
			if before != "" {
				add(pairOf(before, word))
			}
			before = word
		}
		for i := 1; i < len(c.parts) && c.whole != ""; i++ {
			add(pairOf(c.parts[i-1], c.parts[i]))
		}
	}
}

func pairOf(a, b string) string {
	h := spread(hashOf(a + " " + b))
	return string([]byte{byte(h >> 8), byte(h)})
}

// umlauts spells a German word as people do who have no umlauts ("Schlüssel" is
// schluessel); it is empty for a word without any.
func umlauts(raw string) string {
	if !strings.ContainsAny(raw, "äöüÄÖÜ") {
		return ""
	}
	return fold(umlautSpelling.Replace(raw))
}

var umlautSpelling = strings.NewReplacer("ä", "ae", "ö", "oe", "ü", "ue", "Ä", "ae", "Ö", "oe", "Ü", "ue")
