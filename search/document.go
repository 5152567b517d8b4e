package search

import (
	"github.com/blevesearch/bleve/v2/document"
	index "github.com/blevesearch/bleve_index_api"
	"github.com/souk-market/souk/internal/market"
)

// formatVersion is the version of what documents look like: raising it has every index
// built anew. It is raised with any change of words.go or of this file that a document
// can show.
const formatVersion = 5

// storedField holds an agent's facts; it is not indexed.
const storedField = "facts"

// newDocument makes a published agent's document. Its words are found when Bleve analyzes
// it, on one of several goroutines.
func newDocument(tenant market.TenantID, l *listing) index.Document {
	f := fieldsOf(tenant)
	found := &foundWords{listing: l}
	d := document.NewDocument(docID(tenant, l.ID))
	for i, name := range f.all() {
		d.AddField(&wordField{name: name, found: found, of: func(w *words) *wordSet { return w.all()[i] }})
	}
	facts := factsOf(l)
	d.AddField(document.NewTextFieldCustom(storedField, nil, facts.encode(), index.StoreField, nil))
	return d
}

// foundWords are the words of a document, found once for all its fields.
type foundWords struct {
	listing *listing
	words   *words
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
		f.found.words = wordsOf(f.found.listing)
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
