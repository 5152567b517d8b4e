package search

import (
	index "github.com/blevesearch/bleve_index_api"
	"github.com/souk-market/souk/internal/market"
)

// formatVersion is the version of what documents look like: raising it has every index
// built anew. It is raised with any change of words.go or of this file that a document
// can show.
const formatVersion = 6

// storedField holds an agent's facts; it is not indexed.
const storedField = "facts"

// doc is the document of a published agent.
type doc struct {
	id     string
	fields []field
}

// field is a field of a document: stored, or words of which matters only which there are.
type field struct {
	name   string
	words  index.TokenFrequencies
	stored []byte
}

// newDocument makes a published agent's document.
func (an *analyst) newDocument(tenant market.TenantID, l *listing) index.Document {
	w := an.wordsOf(l)
	facts := factsOf(l, w.nameWords)
	f := fieldsOf(tenant)
	d := &doc{id: docID(tenant, l.ID), fields: make([]field, 0, 8)}
	d.fields = append(d.fields, field{name: storedField, stored: facts.encode()})
	d.add(f.name, &w.name)
	d.add(f.text, &w.text)
	d.add(f.stem, &w.stem)
	d.add(f.body, &w.body)
	d.add(f.pair, &w.pair)
	d.add(f.fact, &w.fact)
	return d
}

// add adds a field of words, also if it has none: Bleve merges segments with the same
// fields at half the cost.
func (d *doc) add(name string, words *wordSet) {
	d.fields = append(d.fields, field{name: name, words: words.freqs})
}

func (d *doc) ID() string { return d.id }

// AddIDField adds the field that Bleve finds a document by.
func (d *doc) AddIDField() {
	d.fields = append(d.fields, field{name: "_id", words: index.TokenFrequencies{d.id: first}, stored: []byte(d.id)})
}

func (d *doc) VisitFields(visit index.FieldVisitor) {
	for i := range d.fields {
		visit(&d.fields[i])
	}
}

func (d *doc) VisitComposite(index.CompositeFieldVisitor) {}
func (d *doc) HasComposite() bool                         { return false }
func (d *doc) Indexed() bool                              { return true }
func (d *doc) Size() int                                  { return 0 } // for statistics that nobody reads,
func (d *doc) NumPlainTextBytes() uint64                  { return 0 } // as these
func (d *doc) StoredFieldsBytes() uint64                  { return 0 }

func (f *field) Name() string                                     { return f.name }
func (f *field) Value() []byte                                    { return f.stored }
func (f *field) ArrayPositions() []uint64                         { return nil }
func (f *field) EncodedFieldType() byte                           { return 't' }
func (f *field) Analyze()                                         {}
func (f *field) AnalyzedLength() int                              { return 1 }
func (f *field) AnalyzedTokenFrequencies() index.TokenFrequencies { return f.words }
func (f *field) NumPlainTextBytes() uint64                        { return 0 }

func (f *field) Options() (o index.FieldIndexingOptions) {
	if f.name != storedField {
		o |= index.IndexField | index.SkipFreqNorm
	}
	if f.stored != nil {
		o |= index.StoreField
	}
	return o
}
