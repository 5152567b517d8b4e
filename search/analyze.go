package search

import (
	"hash/maphash"
	"strings"

	index "github.com/blevesearch/bleve_index_api"
	"github.com/souk-market/souk/internal/market"
)

// fieldNames are the names of a tenant's fields.
type fieldNames struct{ name, text, stem, body, pair, fact string }

func fieldsOf(tenant market.TenantID) fieldNames {
	at := "@" + string(tenant)
	return fieldNames{"name" + at, "text" + at, "stem" + at, "body" + at, "pair" + at, factField + at}
}

// factField is, before the tenant, the name of the field that has what agents have in
// common.
const factField = "fact"

// words are what an agent is found by: the terms of each field.
type words struct {
	name, text, stem, body, pair, fact wordSet

	nameWords int // parts of the name
}

// wordSet has the terms of a field, each once.
type wordSet struct {
	freqs index.TokenFrequencies
	seen  *termSet
}

func (s *wordSet) add(word string) {
	if word == "" {
		return
	}
	if s.freqs == nil {
		s.freqs = index.TokenFrequencies{}
	}
	n := len(s.freqs)
	if s.freqs[word] = again; len(s.freqs) > n && s.seen.add(word) {
		s.freqs[word] = first
	}
}

func (s *wordSet) has(word string) bool { return s.freqs[word] != nil }

// What Bleve keeps of a term in a document: that it is there, and where it is the first of
// a batch that it is there once. Bleve keeps no list for a term with one document if it is
// there once (zapx, use1HitEncoding): a fifth of an index; but a byte a document with it.
var first, again = onceThere(), &index.TokenFreq{}

func onceThere() *index.TokenFreq {
	f := &index.TokenFreq{}
	f.SetFrequency(1)
	return f
}

// termSet has the terms of a batch's documents in a field, and a few others: it has a bit
// for each of 2^20 hashes. The zero value and nil are empty; nil stays so.
type termSet struct {
	seed maphash.Seed
	bits []uint64
}

// add reports whether a term wasn't there.
func (s *termSet) add(term string) bool {
	if s == nil {
		return true
	}
	if s.bits == nil {
		s.seed, s.bits = maphash.MakeSeed(), make([]uint64, 1<<20/64)
	}
	h := maphash.String(s.seed, term)
	at, bit := h>>6&(1<<14-1), uint64(1)<<(h&63)
	isNew := s.bits[at]&bit == 0
	s.bits[at] |= bit
	return isNew
}

// analyst finds the words of listings. The zero value is ready; it is for one goroutine at
// a time.
type analyst struct {
	batch *[6]batchField     // nil outside of batches
	stems map[stemmed]string // of words met before
	chunker
}

// batchField is what the documents of a batch have in a field.
type batchField struct {
	seen termSet
	maps []index.TokenFrequencies // of batches before too
	used int                      // of maps
}

// take returns an empty map.
func (f *batchField) take() index.TokenFrequencies {
	if f.used == len(f.maps) {
		f.maps = append(f.maps, index.TokenFrequencies{})
	}
	f.used++
	return f.maps[f.used-1]
}

type stemmed struct{ language, word string }

// maxStems is the number of words whose stems are remembered: some 10 MB.
const maxStems = 100_000

// newBatch begins a batch, of which no term has been met. The documents of the batch
// before, which Bleve has no use for after it, lose their words.
func (an *analyst) newBatch() {
	if an.batch == nil {
		an.batch = new([6]batchField)
	}
	for i := range an.batch {
		f := &an.batch[i]
		clear(f.seen.bits)
		for _, m := range f.maps[:f.used] {
			clear(m)
		}
		f.used = 0
	}
}

func (an *analyst) stem(in *language, word string) string {
	key := stemmed{in.code, word}
	st, ok := an.stems[key]
	if !ok {
		if len(an.stems) >= maxStems || an.stems == nil {
			an.stems = map[stemmed]string{}
		}
		st = in.stem(word)
		an.stems[key] = st
	}
	return st
}

func (an *analyst) wordsOf(l *listing) *words {
	a := &l.Agent
	w := &words{}
	if an.batch != nil {
		for i, set := range [6]*wordSet{&w.name, &w.text, &w.stem, &w.body, &w.pair, &w.fact} {
			set.seen, set.freqs = &an.batch[i].seen, an.batch[i].take()
		}
	}
	chunks := an.split(a.Name)
	w.addName(chunks)
	an.addText(w, a.Name, chunks, english)
	chunks = an.split(a.Summary)
	an.addText(w, a.Summary, chunks, languageOf(a.Summary, chunks))
	an.addText(w, a.Source, an.split(a.Source), english)
	for _, tag := range a.Tags {
		an.addText(w, string(tag), an.split(string(tag)), english)
	}
	if a.Category != "other" {
		an.addText(w, string(a.Category), an.split(string(a.Category)), english)
	}
	an.addBody(w, l)
	w.addFacts(l)
	return w
}

// addBody adds the words, and their stems, of what a listing says beside name and summary:
// facts, seller and description. Those of name and text are left out.
func (an *analyst) addBody(w *words, l *listing) {
	add := func(chunks []chunk, in *language) {
		eachWord(chunks, func(word string) {
			if stopWords[word] || w.text.has(word) || w.name.has(word) {
				return
			}
			w.body.add(word)
			if st := an.stem(in, word); !w.text.has(st) && !w.name.has(st) {
				w.body.add(st)
			}
		})
		eachPair(chunks, func(h uint64) { w.pair.add(longPairOf(h)) })
	}
	f := &l.Facts
	for _, list := range [][]string{f.Models, f.Runtimes, f.Inputs, f.Outputs, f.Keys, {l.seller.Name}} {
		for _, text := range list {
			add(an.split(text), english)
		}
	}
	chunks := an.split(l.description)
	add(chunks, languageOf(l.description[:min(len(l.description), 2<<10)], chunks[:min(len(chunks), 500)]))
}

func (w *words) addName(chunks []chunk) {
	eachWord(chunks, w.name.add)
	for i := range chunks {
		w.nameWords += len(chunks[i].parts)
		if i > 0 && chunks[i-1].whole != "" && chunks[i].whole != "" {
			w.name.add(joined(chunks[i-1 : i+1]))
		}
	}
}

// addText adds the words of a text, in chunks, in a language that aren't in the name, the stems of
// all, and their pairs.
func (an *analyst) addText(w *words, text string, chunks []chunk, in *language) {
	eachWord(chunks, func(word string) {
		if stopWords[word] {
			return
		}
		if !w.name.has(word) {
			w.text.add(word)
		}
		if st := an.stem(in, word); st != word {
			w.stem.add(st)
		}
	})
	if strings.ContainsAny(text, umlautLetters) {
		for _, c := range chunks {
			if spelled := umlauts(text[c.start:c.end]); spelled != "" && !w.name.has(spelled) {
				w.text.add(spelled)
			}
		}
	}
	eachPair(chunks, func(h uint64) { w.pair.add(pairOf(h)) })
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

// eachPair calls add with every two words that stand side by side, or with stop words
// alone between them, and the hash of the stretch so far (pairStart); and with the parts of
// a word. So "state of the art" is one pair, which "state art" hasn't.
func eachPair(chunks []chunk, add func(hash uint64)) {
	started, h := false, uint64(0)
	for i := range chunks {
		c := &chunks[i]
		if c.whole == "" {
			for _, part := range c.parts {
				if started {
					add(pairEnd(h, part))
				}
				started, h = true, pairStart(part)
			}
			continue
		}
		switch {
		case !started && stopWords[c.whole]:
			continue
		case started && stopWords[c.whole]:
			h = pairEnd(h, c.whole)
			continue
		case started:
			add(pairEnd(h, c.whole))
		}
		started, h = true, pairStart(c.whole)
		for j := 1; j < len(c.parts); j++ {
			add(pairEnd(pairStart(c.parts[j-1]), c.parts[j]))
		}
	}
}

// pairStart is the hash of a pair's first word, pairEnd with a further word.
func pairStart(word string) uint64 { return pairEnd(fnvOffset, word) }

func pairEnd(h uint64, word string) uint64 {
	for i := range len(word) {
		h = (h ^ uint64(word[i])) * fnvPrime
	}
	return (h ^ ' ') * fnvPrime
}

// pairBits is the number of bits of a hash that stand for two words side by side. Each
// term costs 23 bytes: so a text of n words is taken for one that has a pair which it
// hasn't with a chance of n in 8,192.
const pairBits = 13

// pairTerms has all terms of pairs, each two bytes.
var pairTerms = func() string {
	var b []byte
	for i := range 1 << pairBits {
		b = append(b, byte(i>>8), byte(i))
	}
	return string(b)
}()

func pairOf(hash uint64) string {
	h := spread(hash) & (1<<pairBits - 1)
	return pairTerms[2*h : 2*h+2]
}

// longPairOf is the term for a pair in a text that may be long: 16 bits of the hash.
func longPairOf(hash uint64) string {
	h := spread(hash)
	return string([]byte{'+', byte(h >> 8), byte(h)})
}

// umlauts spells a German word as people do who have no umlauts ("Schlüssel" is
// schluessel); it is empty for a word without any.
func umlauts(raw string) string {
	if !strings.ContainsAny(raw, umlautLetters) {
		return ""
	}
	return fold(umlautSpelling.Replace(raw))
}

const umlautLetters = "äöüÄÖÜ"

var umlautSpelling = strings.NewReplacer("ä", "ae", "ö", "oe", "ü", "ue", "Ä", "ae", "Ö", "oe", "Ü", "ue")
