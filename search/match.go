package search

import (
	"context"
	"math"
	"math/bits"
	"slices"
	"strings"
	"sync"

	"github.com/RoaringBitmap/roaring/v2"
	"github.com/souk-market/souk/internal/market"
)

// Weights of the ways in which a word can match; the formula is in doc.go.
const (
	weightName  = 1.5
	weightText  = 1.0
	weightBody  = 0.3 // for a word of the description, the facts or the seller's name
	weightStem  = 0.6 // for another form of the word, where the word itself is not
	nearFactor  = 0.7 // of the weights, for a word spelled nearly so
	startFactor = 0.6 // and for one that the query's word is the beginning of
	tailFactor  = 1.3 // for a name whose part after the slash is the query
	popularity0 = 8.0 // log10 of the popularity that counts in full
)

// searcher answers one query on one view.
type searcher struct {
	ctx    context.Context
	view   *view
	tenant market.TenantID
	tree   *shelfTree
	fields fieldNames
	docs   float64
	found  map[lookup]rowSet // what has been looked up
}

// lookup is a word in a field.
type lookup struct{ field, word string }

func newSearcher(ctx context.Context, v *view, tenant market.TenantID) *searcher {
	return &searcher{
		ctx: ctx, view: v, tenant: tenant, fields: fieldsOf(tenant), docs: float64(v.docs[tenant]), found: map[lookup]rowSet{},
	}
}

// source is one way in which a term matches: the rows of one word in one field.
type source struct {
	rows   rowSet
	weight float32
	named  bool // the word is in the name
}

// rowSet has a set of rows for each segment of the view. The sets are not to be changed.
type rowSet []*roaring.Bitmap

func (r rowSet) count() int {
	n := 0
	for _, rows := range r {
		n += int(rows.GetCardinality())
	}
	return n
}

// rowsOf looks a word up in a field. Deleted documents are left out.
func (s *searcher) rowsOf(field, word string) (rowSet, error) {
	if set, ok := s.found[lookup{field, word}]; ok {
		return set, nil
	}
	set := make(rowSet, len(s.view.segs))
	for i := range s.view.segs {
		seg := &s.view.segs[i]
		rows, err := seg.rows(field, word)
		if err != nil {
			return nil, err
		}
		if seg.deletions && !rows.IsEmpty() {
			rows = roaring.And(rows, seg.live[s.tenant])
		}
		set[i] = rows
	}
	s.found[lookup{field, word}] = set
	return set, nil
}

// search answers a checked query.
func (s *searcher) search(q Query) (Results, error) {
	res := Results{Understood: q.Text}
	if s.docs == 0 {
		return res, nil
	}
	terms, err := s.understand(q.Text)
	if err != nil || len(terms) == 0 && q.Text != "" {
		return res, err
	}
	res.Understood, res.Corrected = understood(q.Text, terms)
	r := ranking{searcher: s, query: q, terms: terms, page: newTop(q.Offset, q.Offset+q.Limit), tally: newTally(&q, s.tree)}
	r.asked(q.Text)
	r.asked(res.Understood)
	for i := range s.view.segs {
		if err := s.ctx.Err(); err != nil {
			return res, err
		}
		r.segment(i)
	}
	res.Total = r.tally.total
	res.Highlights = highlightsOf(terms)
	res.IDs = r.ids()
	if q.Facets {
		res.Facets = r.tally.counted()
	}
	if r.tally.matched == 0 && len(terms) > 0 {
		res.Nearby, err = s.nearby(terms)
	}
	return res, err
}

// ranking collects the best matches of a query, segment after segment.
type ranking struct {
	*searcher
	query Query
	terms []*term
	keys  []uint64 // of the names that are the query itself
	page  *top
	tally *tally
}

func (r *ranking) asked(text string) {
	if key := keyOf(text); key != "" && !slices.Contains(r.keys, hashOf(key)) {
		r.keys = append(r.keys, hashOf(key))
	}
}

// matches are the rows that match all terms.
func (s *searcher) matches(segment int, terms []*term) *roaring.Bitmap {
	rows := s.view.segs[segment].live[s.tenant]
	if rows == nil {
		return none
	}
	for i, t := range terms {
		if i == 0 {
			rows = t.rows[segment] // live ones only
			continue
		}
		if rows = roaring.And(rows, t.rows[segment]); rows.IsEmpty() {
			break
		}
	}
	return rows
}

// segment adds the matches of one segment.
func (r *ranking) segment(n int) {
	matches := r.matches(n, r.terms)
	if matches.IsEmpty() {
		return
	}
	sc := scratchPool.Get().(*scratch)
	defer scratchPool.Put(sc)
	seg := &r.view.segs[n]
	rows := sc.list(r.tally.narrowed(seg, matches))
	r.tally.matched += int(matches.GetCardinality())
	rows = r.tally.pass(seg, rows, sc)
	if by, ok := r.order(); ok {
		r.inOrder(seg, seg.ordered(by), rows, sc)
		return
	}
	place := r.score(n, matches, rows, sc)
	for _, row := range rows {
		r.page.offer(place(row))
	}
}

// order is the order of results that isn't a ranking's.
func (r *ranking) order() (Sort, bool) {
	if r.query.Sort == ByRelevance {
		return ByPopularity, len(r.terms) == 0
	}
	return r.query.Sort, true
}

// inOrder offers the first rows of a segment in an order.
func (r *ranking) inOrder(seg *segmentView, o *order, rows []uint32, sc *scratch) {
	by, _ := r.order()
	marked := sc.mark(rows, r.view.rows)
	for _, row := range o.first(r.page.n, rows, marked) {
		r.page.offer(hit{seg: seg, row: row, score: float64(seg.key(by, row))})
	}
	for _, row := range rows {
		marked[row] = false
	}
}

// score returns the function that ranks a row.
func (r *ranking) score(n int, matches *roaring.Bitmap, rows []uint32, sc *scratch) func(uint32) hit {
	seg := &r.view.segs[n]
	r.addWeights(n, matches, rows, sc)
	return func(row uint32) hit {
		score := float64(sc.scores[row])
		if bits.OnesCount16(sc.named[row]) == len(r.terms) {
			score *= 1 + min(1, float64(len(r.terms))/float64(seg.nameWords[row]))
		}
		if slices.Contains(r.keys, seg.tailKey[row]) {
			score *= tailFactor
		}
		score *= 1 + 0.5*math.Log10(1+float64(seg.popularity[row]))/popularity0
		return hit{seg: seg, row: row, score: score, exact: slices.Contains(r.keys, seg.nameKey[row])}
	}
}

// addWeights sums up for every row the weights of the ways in which it matches, and marks
// the terms that its name has.
func (r *ranking) addWeights(n int, matches *roaring.Bitmap, rows []uint32, sc *scratch) {
	sc.reset(rows, r.view.rows)
	for i, t := range r.terms {
		idf := float32(math.Log(1 + (r.docs-float64(t.n)+0.5)/(float64(t.n)+0.5)))
		for _, src := range t.sources {
			both := src.rows[n]
			if len(r.terms) > 1 {
				both = roaring.And(both, matches)
			}
			add := idf * src.weight
			mark := uint16(0)
			if src.named {
				mark = 1 << i
			}
			for it := both.ManyIterator(); ; {
				k := it.NextMany(sc.buffer[:])
				if k == 0 {
					break
				}
				for _, row := range sc.buffer[:k] {
					sc.scores[row] += add
					sc.named[row] |= mark
				}
			}
		}
	}
}

func (r *ranking) ids() []market.AgentID {
	hits := r.page.page()
	ids := make([]market.AgentID, len(hits))
	for i, h := range hits {
		ids[i] = market.AgentID(strings.Clone(string(h.id()))) // the columns have all IDs in one string
	}
	return ids
}

// scratch is memory that searches use one after the other. Its arrays are by row; only
// the rows that match are set back.
type scratch struct {
	rows   []uint32
	states []profileState
	marked []bool // all false between uses
	scores []float32
	named  []uint16 // bit i: the name has term i
	buffer [256]uint32
}

var scratchPool = sync.Pool{New: func() any { return new(scratch) }}

func (sc *scratch) list(set *roaring.Bitmap) []uint32 {
	n := int(set.GetCardinality())
	if cap(sc.rows) < n {
		sc.rows = make([]uint32, 2*n)
	}
	sc.rows = sc.rows[:n]
	it := set.ManyIterator()
	for at := 0; at < n; {
		k := it.NextMany(sc.rows[at:])
		if k == 0 {
			break
		}
		at += k
	}
	return sc.rows
}

// profilesOf returns the states of n profiles that haven't been looked at.
func (sc *scratch) profilesOf(n int) []profileState {
	if cap(sc.states) < n {
		sc.states = make([]profileState, 2*n)
	}
	sc.states = sc.states[:n]
	for i := range sc.states {
		sc.states[i] = profileState{missed: unknown}
	}
	return sc.states
}

// mark sets rows; who uses it takes them back.
func (sc *scratch) mark(rows []uint32, size int) []bool {
	if len(sc.marked) < size {
		sc.marked = make([]bool, size)
	}
	for _, row := range rows {
		sc.marked[row] = true
	}
	return sc.marked
}

func (sc *scratch) reset(rows []uint32, size int) {
	if len(sc.scores) < size {
		sc.scores, sc.named = make([]float32, size), make([]uint16, size)
	}
	for _, row := range rows {
		sc.scores[row], sc.named[row] = 0, 0
	}
}

// hit is a row that matches, with its place in the order.
type hit struct {
	seg   *segmentView
	row   uint32
	exact bool // the query is its name
	score float64
}

func (h hit) id() market.AgentID { return h.seg.ids[h.row] }

// before reports whether h comes before o. The order is total, so that pages neither
// overlap nor leave gaps, whatever segments the index has.
func (h hit) before(o hit) bool {
	switch {
	case h.exact != o.exact:
		return h.exact
	case h.score != o.score && !(h.exact && o.exact):
		return h.score > o.score
	}
	if a, b := h.seg.popularity[h.row], o.seg.popularity[o.row]; a != b {
		return a > b
	}
	return h.id() < o.id()
}
