package search

import (
	"cmp"
	"slices"
	"strconv"

	"github.com/RoaringBitmap/roaring/v2"
	"github.com/souk-market/souk/internal/market"
)

// missed is a set of filters that a profile doesn't pass.
type missed uint8

const (
	missedCategory missed = 1 << iota
	missedPrice
	missedType
	missedRuntime
	missedRating
	missedVerified
	missedWithout
	unknown // not looked at yet
)

// tally finds which matches pass a query's filters, and counts what facets show, segment
// after segment. A row counts for a facet if it passes all filters, or misses none but the
// facet's own. Tags and seller aren't counted: what misses them is no match (narrowed).
type tally struct {
	filters *Filters
	facets  bool
	total   int // rows that pass
	matched int // rows that match the text, before filters
	tree    *shelfTree
	bands   uint8 // bit i: PriceBands[i] is wanted, or all are
	types   uint8
	without uint8 // bit i: market.Permissions[i] is not to be used

	categories map[market.Category]int
	runtimes   map[string]int
	byBand     [4]int
	byType     [2]int
	byStars    [6]int
	byUse      [5]int // rows that don't use a permission
	verified   int
}

func newTally(q *Query, tree *shelfTree) *tally {
	t := &tally{filters: &q.Filters, facets: q.Facets, tree: tree, categories: map[market.Category]int{}, runtimes: map[string]int{}}
	t.bands = bitsOf(q.Filters.Price, PriceBands)
	t.types = bitsOf(q.Filters.Types, Types)
	if len(q.Filters.Without) > 0 {
		t.without = bitsOf(q.Filters.Without, market.Permissions)
	}
	return t
}

// bitsOf has a bit for each of all that is chosen; all bits if nothing is.
func bitsOf[V comparable](chosen, all []V) (set uint8) {
	if len(chosen) == 0 {
		return 1<<len(all) - 1
	}
	for i, v := range all {
		if slices.Contains(chosen, v) {
			set |= 1 << i
		}
	}
	return set
}

// idle reports whether every match passes and nothing is to be counted.
func (t *tally) idle() bool {
	f := t.filters
	return !t.facets && len(f.Categories)+len(f.Price)+len(f.Types)+len(f.Runtimes)+len(f.Without) == 0 && f.MinRating == 0 && !f.Verified
}

// narrowed leaves of a segment's matches those with a tag and of the seller asked for.
func (t *tally) narrowed(seg *segmentView, matches *roaring.Bitmap) *roaring.Bitmap {
	if len(t.filters.Tags) > 0 {
		rows := roaring.New()
		for _, tag := range t.filters.Tags {
			if i, ok := slices.BinarySearch(seg.tags.values, tag); ok {
				rows.AddMany(seg.tags.of(i))
			}
		}
		matches = roaring.And(matches, rows)
	}
	if t.filters.Seller != "" {
		rows := roaring.New()
		for i, s := range seg.sellers.values {
			if s.id == t.filters.Seller {
				rows.AddMany(seg.sellers.of(i))
			}
		}
		matches = roaring.And(matches, rows)
	}
	return matches
}

// pass counts a segment's rows and returns those that pass, in their place.
func (t *tally) pass(seg *segmentView, rows []uint32, sc *scratch) []uint32 {
	if t.idle() {
		t.total += len(rows)
		return rows
	}
	state := sc.profilesOf(len(seg.profiles))
	want := t.wanted(seg.columns)
	passing := rows[:0]
	for _, row := range rows {
		p := &state[seg.profile[row]]
		if p.missed&unknown != 0 {
			p.missed = t.missedBy(&seg.profiles[seg.profile[row]], want)
		}
		p.count++
		if p.missed == 0 {
			passing = append(passing, row)
		}
	}
	t.total += len(passing)
	if t.facets {
		t.addAll(seg.columns, state)
	}
	return passing
}

// profileState is what is known of a profile while a segment is counted.
type profileState struct {
	count  int32
	missed missed
}

// wanted are a segment's categories and runtimes that are asked for; nil for all.
type wanted struct{ categories, runtimes []bool }

func (t *tally) wanted(c *columns) (w wanted) {
	if len(t.filters.Categories) > 0 {
		w.categories = make([]bool, len(c.categories))
		for i, category := range c.categories {
			w.categories[i] = slices.Contains(t.filters.Categories, category) || slices.Contains(t.filters.Categories, t.tree.parent(category))
		}
	}
	if len(t.filters.Runtimes) > 0 {
		w.runtimes = make([]bool, len(c.runtimes))
		for i, runtime := range c.runtimes {
			w.runtimes[i] = slices.Contains(t.filters.Runtimes, runtime)
		}
	}
	return w
}

func (t *tally) missedBy(p *numbered, want wanted) (m missed) {
	if want.categories != nil && !want.categories[p.category] {
		m |= missedCategory
	}
	if t.bands&(1<<p.band) == 0 {
		m |= missedPrice
	}
	if t.types&p.types == 0 {
		m |= missedType
	}
	if want.runtimes != nil && !slices.ContainsFunc(p.runtimes, func(r uint32) bool { return want.runtimes[r] }) {
		m |= missedRuntime
	}
	if int(p.stars) < t.filters.MinRating {
		m |= missedRating
	}
	if t.filters.Verified && !p.verified {
		m |= missedVerified
	}
	if t.without != 0 && (!p.declared || p.uses&t.without != 0) {
		m |= missedWithout
	}
	return m
}

// addAll adds the profiles that were met to the facets.
func (t *tally) addAll(c *columns, state []profileState) {
	categories, runtimes := make([]int, len(c.categories)), make([]int, len(c.runtimes))
	for i, s := range state {
		if s.count == 0 {
			continue
		}
		p, n := &c.profiles[i], int(s.count)
		if s.missed&^missedCategory == 0 {
			categories[p.category] += n
		}
		if s.missed&^missedRuntime == 0 {
			for _, r := range p.runtimes {
				runtimes[r] += n
			}
		}
		t.add(p, n, s.missed)
	}
	for i, n := range categories {
		t.categories[c.categories[i]] += n
	}
	for i, n := range runtimes {
		t.runtimes[c.runtimes[i]] += n
	}
}

func (t *tally) add(p *numbered, n int, m missed) {
	if m&^missedPrice == 0 {
		t.byBand[p.band] += n
	}
	if m&^missedRating == 0 {
		t.byStars[p.stars] += n
	}
	if m&^missedVerified == 0 && p.verified {
		t.verified += n
	}
	if m&^missedType == 0 {
		for i := range Types {
			if p.types&(1<<i) != 0 {
				t.byType[i] += n
			}
		}
	}
	if m == 0 && p.declared {
		for i := range market.Permissions {
			if p.uses&(1<<i) == 0 {
				t.byUse[i] += n
			}
		}
	}
}

// counted makes the facets. Categories and runtimes have the largest first.
func (t *tally) counted() []Facet {
	for c, n := range t.parents() {
		t.categories[c] += n
	}
	return []Facet{
		{FacetCategory, largestFirst(t.categories)},
		{FacetPrice, inOrder(PriceBands, t.byBand[:])},
		{FacetType, inOrder(Types, t.byType[:])},
		{FacetRuntime, largestFirst(t.runtimes)},
		{FacetWithout, inOrder(market.Permissions, t.byUse[:])},
		{FacetRating, t.ratings()},
		{FacetVerified, inOrder([]string{"yes"}, []int{t.verified})},
	}
}

// parents counts what the sub-categories of each category have.
func (t *tally) parents() map[market.Category]int {
	sums := map[market.Category]int{}
	for c, n := range t.categories {
		if parent := t.tree.parent(c); parent != "" {
			sums[parent] += n
		}
	}
	return sums
}

func (t *tally) ratings() (choices []Choice) {
	sum := 0
	for stars := 5; stars > 0; stars-- {
		if sum += t.byStars[stars]; sum > 0 {
			choices = append(choices, Choice{strconv.Itoa(stars), sum})
		}
	}
	return choices
}

func inOrder[V ~string](values []V, counts []int) (choices []Choice) {
	for i, v := range values {
		if counts[i] > 0 {
			choices = append(choices, Choice{string(v), counts[i]})
		}
	}
	return choices
}

func largestFirst[V ~string](counts map[V]int) (choices []Choice) {
	for v, n := range counts {
		if n > 0 {
			choices = append(choices, Choice{string(v), n})
		}
	}
	slices.SortFunc(choices, func(a, b Choice) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Value, b.Value))
	})
	return choices
}
