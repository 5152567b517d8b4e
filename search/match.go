package search

import (
	"context"
	"fmt"
	"math"
	"strings"
	"sync"

	"github.com/RoaringBitmap/roaring/v2"
	segment "github.com/blevesearch/scorch_segment_api/v2"
	"github.com/souk-market/souk/internal/market"
)

// searcher answers one query on one view.
type searcher struct {
	ctx    context.Context
	view   *view
	tree   *shelfTree
	tenant market.TenantID
	rules
	fields    fieldNames
	languages []*language
	docs      float64
	found     map[lookup]rowSet // what has been looked up
	dicts     map[string][]segment.TermDictionary
	work      work
}

// rules are what an operator can set.
type rules struct {
	rank     *Ranking
	fresh    []float32 // of rank
	synonyms *Synonyms
}

// lookup is a word in a field.
type lookup struct{ field, word string }

// work counts what a search does, so that a test can bound it.
type work struct {
	lookups  int // of words in a field, all segments together
	compared int // words and names whose distance was computed
	read     int // words and names gone through
}

func newSearcher(ctx context.Context, v *view, tenant market.TenantID, by rules) *searcher {
	return &searcher{
		ctx: ctx, view: v, tenant: tenant, rules: by, fields: fieldsOf(tenant),
		docs: float64(v.docs[tenant]), found: map[lookup]rowSet{}, dicts: map[string][]segment.TermDictionary{},
	}
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
	s.work.lookups++
	dicts, err := s.dictsOf(field)
	if err != nil {
		return nil, err
	}
	set := make(rowSet, len(s.view.segs))
	for i := range s.view.segs {
		seg := &s.view.segs[i]
		rows, err := rowsIn(dicts[i], word)
		if err != nil {
			return nil, err
		}
		if seg.deletions && !rows.IsEmpty() {
			rows = roaring.And(rows, s.liveIn(i))
		}
		set[i] = rows
	}
	s.found[lookup{field, word}] = set
	return set, nil
}

func (s *searcher) dictsOf(field string) ([]segment.TermDictionary, error) {
	if dicts := s.dicts[field]; dicts != nil {
		return dicts, nil
	}
	dicts := make([]segment.TermDictionary, len(s.view.segs))
	for i := range s.view.segs {
		dict, err := s.view.segs[i].seg.Dictionary(field)
		if err != nil {
			return nil, fmt.Errorf("search: opening the words of %s: %w", field, err)
		}
		dicts[i] = dict
	}
	s.dicts[field] = dicts
	return dicts, nil
}

// textRows are the rows that have a word in their name or in their text, which leaves out
// what is in the name.
func (s *searcher) textRows(word string) (rowSet, error) {
	const field = "" // of both
	if set, ok := s.found[lookup{field, word}]; ok {
		return set, nil
	}
	named, err := s.rowsOf(s.fields.name, word)
	if err != nil {
		return nil, err
	}
	text, err := s.rowsOf(s.fields.text, word)
	if err != nil {
		return nil, err
	}
	set := union(named, text)
	s.found[lookup{field, word}] = set
	return set, nil
}

// rowsWhere collects the live rows that each segment's names yield.
func (s *searcher) rowsWhere(each func(names *nameList, yield func(row uint32))) (rowSet, error) {
	set := make(rowSet, len(s.view.segs))
	for i := range s.view.segs {
		names, err := s.names(i)
		if err != nil {
			return nil, err
		}
		rows := roaring.New()
		each(names, rows.Add)
		if s.view.segs[i].deletions {
			rows.And(s.liveIn(i))
		}
		set[i] = rows
	}
	return set, nil
}

func (s *searcher) names(i int) (*nameList, error) { return s.view.segs[i].nameList(s.tenant) }

func (s *searcher) isLive(i int, row uint32) bool { return s.liveIn(i).Contains(row) }

// liveIn are the tenant's rows in a segment that aren't deleted.
func (s *searcher) liveIn(i int) *roaring.Bitmap {
	if live := s.view.segs[i].live[s.tenant]; live != nil {
		return live
	}
	return none
}

func union(a, b rowSet) rowSet {
	switch {
	case a == nil:
		return b
	case b == nil:
		return a
	}
	both := make(rowSet, len(a))
	for i := range a {
		switch {
		case a[i].IsEmpty():
			both[i] = b[i]
		case b[i].IsEmpty():
			both[i] = a[i]
		default:
			both[i] = roaring.Or(a[i], b[i])
		}
	}
	return both
}

// intersect takes nil for all rows.
func intersect(a, b rowSet) rowSet {
	switch {
	case a == nil:
		return b
	case b == nil:
		return a
	}
	both := make(rowSet, len(a))
	for i := range a {
		both[i] = roaring.And(a[i], b[i])
	}
	return both
}

func minus(a, b rowSet) rowSet {
	rest := make(rowSet, len(a))
	for i := range a {
		rest[i] = a[i]
		if !a[i].IsEmpty() && !b[i].IsEmpty() {
			rest[i] = roaring.AndNot(a[i], b[i])
		}
	}
	return rest
}

// search answers a checked query.
func (s *searcher) search(q Query) (Results, error) {
	res := Results{Understood: q.Text}
	if s.docs == 0 {
		return res, nil
	}
	m, err := s.understand(q.Text)
	if err != nil || m.nothing && q.Text != "" {
		return res, err
	}
	res.Understood, res.Corrected, res.DidYouMean = m.text, m.corrected, m.instead
	r := ranking{searcher: s, query: q, meaning: m, page: newTop(q.Offset, q.Offset+q.Limit), tally: newTally(&q, s.tree)}
	if m.key != "" {
		r.name, r.guessed = hashOf(keyOf(q.Text)), hashOf(keyOf(m.text))
	}
	for i := range s.view.segs {
		if err := s.ctx.Err(); err != nil {
			return res, err
		}
		r.segment(i)
	}
	res.Total = r.tally.total
	res.Highlights = highlightsOf(m.terms)
	res.IDs = r.ids()
	if q.Facets {
		res.Facets = r.tally.counted()
	}
	if r.tally.matched == 0 && len(m.terms) > 0 {
		res.Nearby, err = s.nearby(m)
	}
	return res, err
}

// ranking collects the best matches of a query, segment after segment.
type ranking struct {
	*searcher
	*meaning
	query   Query
	name    uint64 // hash of the name that the query is; 0 when it is none
	guessed uint64 // and that it was corrected to
	page    *top
	tally   *tally
}

// segment adds the matches of one segment.
func (r *ranking) segment(n int) {
	matches := r.matches(n, r.meaning, r.terms, (*term).matching)
	if matches.IsEmpty() {
		return
	}
	sc := scratchPool.Get().(*scratch)
	defer scratchPool.Put(sc)
	seg := &r.view.segs[n]
	r.tally.matched += int(matches.GetCardinality())
	matches = r.tally.narrowed(seg, matches)
	by, ordered := r.order()
	if r.tally.idle() && !ordered {
		r.tally.total += int(matches.GetCardinality())
		r.best(n, matches, sc)
		return
	}
	rows := r.tally.pass(seg, sc.list(matches), sc)
	if ordered {
		r.inOrder(seg, seg.ordered(by), rows, sc)
		return
	}
	r.rankAll(n, matches, rows, sc)
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

// addWeights sums up for every row the weights of the ways in which it matches, and marks
// the terms that its name has, and those that it has without a guess.
func (r *ranking) addWeights(n int, matches *roaring.Bitmap, rows []uint32, sc *scratch) {
	sc.reset(rows, r.view.rows)
	for i, t := range r.terms {
		idf := r.idf(t)
		for _, src := range t.sources {
			named, sure := uint16(0), uint16(0)
			if src.how&inName != 0 {
				named = 1 << i
			}
			if src.how&guess == 0 {
				sure = 1 << i
			}
			sc.add(roaring.And(src.rows[n], matches), float32(idf*src.weight), named, sure)
		}
		for _, src := range t.beside {
			sc.add(roaring.And(src.rows[n], matches), float32(idf*src.weight), 0, 0)
		}
	}
}

// idf is a term's rarity.
func (r *ranking) idf(t *term) float64 {
	return math.Log(1 + (r.docs-float64(t.n)+0.5)/(float64(t.n)+0.5))
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
	sure   []uint16 // bit i: it matches term i without a guess
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
		sc.scores, sc.named, sc.sure = make([]float32, size), make([]uint16, size), make([]uint16, size)
	}
	for _, row := range rows {
		sc.scores[row], sc.named[row], sc.sure[row] = 0, 0, 0
	}
}

// add adds to the scores of rows and marks them.
func (sc *scratch) add(rows *roaring.Bitmap, weight float32, named, sure uint16) {
	for it := rows.ManyIterator(); ; {
		k := it.NextMany(sc.buffer[:])
		if k == 0 {
			return
		}
		for _, row := range sc.buffer[:k] {
			sc.scores[row] += weight
			sc.named[row] |= named
			sc.sure[row] |= sure
		}
	}
}

// hit is a row that matches, with its place in the order.
type hit struct {
	seg   *segmentView
	row   uint32
	tier  tier
	score float64
}

// tier is what comes before any score.
type tier uint8

const (
	tierGuess       tier = iota // a word matches only as it was corrected
	tierGuessedName             // and the corrected query is the listing's name
	tierSure                    // all words match
	tierName                    // the query is its name
)

func (h hit) id() market.AgentID { return h.seg.ids[h.row] }

// before reports whether h comes before o. The order is total, so that pages neither
// overlap nor leave gaps, whatever segments the index has.
func (h hit) before(o hit) bool {
	switch {
	case h.tier != o.tier:
		return h.tier > o.tier
	case h.score != o.score && h.tier != tierName && h.tier != tierGuessedName:
		return h.score > o.score
	}
	if a, b := h.seg.popularity[h.row], o.seg.popularity[o.row]; a != b {
		return a > b
	}
	return h.id() < o.id()
}
