package search

import (
	"encoding/binary"
	"errors"
	"hash/fnv"
	"unicode/utf8"

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

// newDocument makes a published agent's document. Its words are found when Bleve analyzes
// it, on one of several goroutines.
func newDocument(tenant market.TenantID, a *market.Agent) index.Document {
	f := fieldsOf(tenant)
	found := &foundWords{agent: *a}
	d := document.NewDocument(docID(tenant, a.ID))
	d.AddField(&wordField{name: f.name, found: found, of: func(w *words) *wordSet { return &w.name }})
	d.AddField(&wordField{name: f.text, found: found, of: func(w *words) *wordSet { return &w.text }})
	d.AddField(&wordField{name: f.stem, found: found, of: func(w *words) *wordSet { return &w.stem }})
	d.AddField(document.NewTextFieldCustom(storedField, nil, factsOf(a).encode(), index.StoreField, nil))
	return d
}

// foundWords are the words of a document, found once for all its fields.
type foundWords struct {
	agent market.Agent
	words *words
}

// wordField is an indexed field of words, of which only matters which there are. Bleve
// analyzes the fields of a document on one goroutine.
type wordField struct {
	name  string
	found *foundWords
	of    func(*words) *wordSet
}

func (f *wordField) Analyze() {
	if f.found.words == nil {
		f.found.words = wordsOf(&f.found.agent)
	}
}

func (f *wordField) AnalyzedTokenFrequencies() index.TokenFrequencies {
	return f.of(f.found.words).freqs
}
func (f *wordField) AnalyzedLength() int { return len(f.of(f.found.words).words) }

func (f *wordField) Name() string { return f.name }
func (f *wordField) Options() index.FieldIndexingOptions {
	return index.IndexField | index.SkipFreqNorm
}
func (f *wordField) EncodedFieldType() byte    { return 't' }
func (f *wordField) ArrayPositions() []uint64  { return nil }
func (f *wordField) Value() []byte             { return nil }
func (f *wordField) NumPlainTextBytes() uint64 { return 0 } // for statistics that nobody reads,
func (f *wordField) Size() int                 { return 0 } // as this

// facts are what ranking, sorting and facets need of an agent besides its words.
type facts struct {
	category   market.Category
	popularity int64
	updated    int64 // Unix seconds
	nameWords  uint8 // number of words in the name, at least 1
	nameKey    uint64
	tailKey    uint64 // of what follows the last slash of the name
}

func factsOf(a *market.Agent) facts {
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
