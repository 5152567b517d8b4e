package search

import (
	index "github.com/blevesearch/bleve_index_api"
)

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

// words are what an agent is found by.
type words struct{ name, text, stem, body wordSet }

func wordsOf(l *listing) *words {
	a := &l.Agent
	var w words
	w.addName(a.Name)
	w.addText(a.Name)
	w.addText(a.Summary)
	w.addText(a.Source)
	for _, tag := range a.Tags {
		w.addText(string(tag))
	}
	if a.Category != "other" {
		w.addText(string(a.Category))
	}
	for _, word := range w.text.words {
		if st := stem(word); st != word {
			w.stem.add(st)
		}
	}
	w.addBody(l)
	return &w
}

// addBody adds the words, and their stems, of what a listing says beside name and summary:
// facts, seller and description. Those of text are left out.
func (w *words) addBody(l *listing) {
	add := func(text string) {
		eachWord(chunksOf(text), func(word string) {
			if stopWords[word] || w.text.freqs[word] != nil {
				return
			}
			w.body.add(word)
			if st := stem(word); w.text.freqs[st] == nil {
				w.body.add(st)
			}
		})
	}
	f := &l.Facts
	for _, list := range [][]string{f.Models, f.Runtimes, f.Inputs, f.Outputs, f.Keys, {l.seller.Name, l.description}} {
		for _, text := range list {
			add(text)
		}
	}
}

func (w *words) addName(name string) {
	chunks := chunksOf(name)
	eachWord(chunks, w.name.add)
	for i := 1; i < len(chunks); i++ {
		if chunks[i-1].whole != "" && chunks[i].whole != "" {
			w.name.add(joined(chunks[i-1 : i+1]))
		}
	}
}

func (w *words) addText(text string) {
	eachWord(chunksOf(text), func(word string) {
		if !stopWords[word] {
			w.text.add(word)
		}
	})
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
