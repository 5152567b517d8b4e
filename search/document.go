package search

import (
	"encoding/binary"
	"errors"
	"hash/fnv"
	"unicode/utf8"

	"github.com/blevesearch/bleve/v2/analysis"
	"github.com/blevesearch/bleve/v2/document"
	index "github.com/blevesearch/bleve_index_api"
	"github.com/souk-market/souk/internal/market"
)

// formatVersion is the version of what documents look like: raising it has every index
// built anew. It is raised with any change of words.go or of this file that a document
// can show.
const formatVersion = 1

// fieldNames are the names of a tenant's fields.
type fieldNames struct{ name, text, stem string }

func fieldsOf(tenant market.TenantID) fieldNames {
	at := "@" + string(tenant)
	return fieldNames{"name" + at, "text" + at, "stem" + at}
}

// storedField holds an agent's facts; it is not indexed.
const storedField = "facts"

// docID names a document. Tenant IDs have no slash.
func docID(tenant market.TenantID, id market.AgentID) string {
	return string(tenant) + "/" + string(id)
}

// wordSet collects the words of a field, each once, in order.
type wordSet struct {
	words []string
	has   map[string]bool
}

func (s *wordSet) add(word string) {
	if word == "" || s.has[word] {
		return
	}
	if s.has == nil {
		s.has = map[string]bool{}
	}
	s.has[word] = true
	s.words = append(s.words, word)
}

// words are what an agent is found by.
type words struct{ name, text, stem wordSet }

func wordsOf(a *market.Agent) *words {
	var w words
	w.addName(a.Name)
	w.addText(a.Name)
	w.addText(a.Summary)
	w.addText(a.Source)
	if a.Category != "other" {
		w.addText(string(a.Category))
	}
	for _, word := range w.text.words {
		if st := stem(word); st != word {
			w.stem.add(st)
		}
	}
	return &w
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

// newDocument makes a published agent's document.
func newDocument(tenant market.TenantID, a *market.Agent) index.Document {
	w := wordsOf(a)
	f := fieldsOf(tenant)
	d := document.NewDocument(docID(tenant, a.ID))
	d.AddField(wordField(f.name, w.name.words))
	d.AddField(wordField(f.text, w.text.words))
	d.AddField(wordField(f.stem, w.stem.words))
	d.AddField(document.NewTextFieldCustom(storedField, nil, factsOf(a, w).encode(), index.StoreField, nil))
	return d
}

func wordField(name string, words []string) document.Field {
	return document.NewTextFieldCustom(name, nil, nil, index.IndexField|index.SkipFreqNorm, tokens(words))
}

// tokens is an analyzer whose words are known beforehand: those of a document are found
// once for all its fields.
type tokens []string

func (t tokens) Analyze([]byte) analysis.TokenStream {
	stream := make(analysis.TokenStream, len(t))
	backing := make([]analysis.Token, len(t))
	for i, word := range t {
		backing[i] = analysis.Token{Term: []byte(word), Position: i + 1}
		stream[i] = &backing[i]
	}
	return stream
}

// facts are what ranking, sorting and facets need of an agent besides its words.
type facts struct {
	category   market.Category
	popularity int64
	updated    int64 // Unix seconds
	nameWords  uint8 // number of words in the name, at least 1
	nameKey    uint64
	tailKey    uint64 // of what follows the last slash of the name
}

func factsOf(a *market.Agent, w *words) facts {
	n := 0
	for _, c := range chunksOf(a.Name) {
		n += len(c.parts)
	}
	whole, tail := nameKeys(a.Name)
	return facts{
		category:   a.Category,
		popularity: max(a.Popularity, 0),
		updated:    a.Updated.Unix(),
		nameWords:  uint8(min(max(n, 1), 255)),
		nameKey:    hashOf(whole),
		tailKey:    hashOf(tail),
	}
}

func hashOf(key string) uint64 {
	h := fnv.New64a()
	h.Write([]byte(key))
	return h.Sum64()
}

// encode writes numbers as varints, keys as eight bytes and the category last.
func (f facts) encode() []byte {
	b := make([]byte, 0, 48)
	b = binary.AppendVarint(b, f.popularity)
	b = binary.AppendVarint(b, f.updated)
	b = append(b, f.nameWords)
	b = binary.BigEndian.AppendUint64(b, f.nameKey)
	b = binary.BigEndian.AppendUint64(b, f.tailKey)
	return append(b, f.category...)
}

var errFacts = errors.New("search: a document's facts can't be read")

func decodeFacts(b []byte) (f facts, err error) {
	var n int
	if f.popularity, n = binary.Varint(b); n <= 0 {
		return f, errFacts
	}
	b = b[n:]
	if f.updated, n = binary.Varint(b); n <= 0 || len(b) < n+17 {
		return f, errFacts
	}
	b = b[n:]
	f.nameWords = b[0]
	f.nameKey = binary.BigEndian.Uint64(b[1:])
	f.tailKey = binary.BigEndian.Uint64(b[9:])
	f.category = market.Category(b[17:])
	if f.nameWords == 0 || !utf8.ValidString(string(f.category)) {
		return f, errFacts
	}
	return f, nil
}
