package search

import (
	"math"
	"math/bits"
	"slices"

	"github.com/RoaringBitmap/roaring/v2"
)

// scorer ranks the matches of one segment.
type scorer struct {
	*ranking
	seg    *segmentView
	sums   *scratch
	lifts  *lifts
	covers [256]float64 // what a row is multiplied by whose name of so many words has all terms
	names  *nameList    // nil where names that begin with the query don't count
	begin  span         // of names' keys: those that do
	newest int64
}

// best offers the best of a segment's matches that all pass. Of one word, those that have
// it in their name come first, and the others only if that leaves them a place.
func (r *ranking) best(n int, matches *roaring.Bitmap, sc *scratch) {
	if len(r.terms) == 1 {
		named := roaring.And(r.inNames(n), matches)
		r.rankAll(n, named, sc.list(named), sc)
		if r.mostWithoutName(n) < r.page.least() {
			return
		}
		matches = roaring.AndNot(matches, named)
	}
	r.rankAll(n, matches, sc.list(matches), sc)
}

// inNames are the rows of a segment that have a term in their name, and those whose name
// is the query.
func (r *ranking) inNames(n int) *roaring.Bitmap {
	all := roaring.New()
	for _, t := range r.terms {
		for _, src := range t.sources {
			if src.how&inName != 0 {
				all.Or(src.rows[n])
			}
		}
	}
	if names, err := r.names(n); err == nil && n < len(r.begin) {
		for at := r.begin[n].start; at < r.begin[n].end && names.keys[at] == r.key; at++ {
			all.Add(names.rows[at])
		}
	}
	return all
}

// mostWithoutName is a score that no row of a segment exceeds which isn't among inNames.
func (r *ranking) mostWithoutName(n int) float64 {
	sum := 0.0
	for _, t := range r.terms {
		for _, src := range t.sources {
			if src.how&inName == 0 {
				sum += max(0, r.idf(t)*src.weight)
			}
		}
		for _, src := range t.beside {
			sum += max(0, r.idf(t)*src.weight)
		}
	}
	return sum * float64(r.view.segs[n].lifts(r.rules).most) * r.rank.mostOfName() * slack
}

// rankAll offers those rows of a segment to the page that may be on it, going by an upper
// bound of their scores: of 100,000 matches some hundred.
func (r *ranking) rankAll(n int, matches *roaring.Bitmap, rows []uint32, sc *scratch) {
	r.addWeights(n, matches, rows, sc)
	s := r.scorer(n, sc)
	least := r.page.least()
	for _, row := range rows {
		if s.below(row, least) && !s.isNamed(row) {
			continue
		}
		r.page.offer(s.hit(row))
		least = r.page.least()
	}
}

func (r *ranking) scorer(n int, sc *scratch) *scorer {
	seg := &r.view.segs[n]
	s := &scorer{ranking: r, seg: seg, sums: sc, lifts: seg.lifts(r.rules), newest: r.view.newest[r.tenant]}
	for words := range s.covers {
		s.covers[words] = 1 + r.rank.Covers*min(1, float64(len(r.terms))/float64(words))
	}
	if names, err := r.names(n); err == nil && n < len(r.begin) {
		s.names, s.begin = names, r.begin[n]
	}
	return s
}

// hit is a row with its place in the order.
func (s *scorer) hit(row uint32) hit {
	h := hit{seg: s.seg, row: row, score: float64(s.sums.scores[row]) * s.factor(row) * s.beginning(row)}
	switch {
	case s.isNamed(row):
		h.tier = tierName
	case bits.OnesCount16(s.sums.sure[row]) == len(s.terms):
		h.tier = tierSure
	case s.guessed != 0 && s.seg.nameKey[row] == s.guessed:
		h.tier = tierGuessedName
	}
	return h
}

// isNamed reports whether the query is a row's name.
func (s *scorer) isNamed(row uint32) bool { return s.name != 0 && s.seg.nameKey[row] == s.name }

// factor is what the sum of a row's weights is multiplied by, but for beginning.
func (s *scorer) factor(row uint32) float64 {
	days := (s.newest - s.seg.updated[row]) / 86_400
	f := float64(s.fresh[min(max(days, 0), maxDays)]) * s.rank.liked(float64(s.seg.rating[row])/1_000)
	if p := s.seg.popularity[row]; p > 0 {
		f *= s.rank.fame(p)
	}
	return f * s.cover(row) * s.tail(row)
}

// tail is the factor of a name that ends with the query.
func (s *scorer) tail(row uint32) float64 {
	if s.name != 0 && (s.seg.tailKey[row] == s.name || s.seg.tailKey[row] == s.guessed) {
		return 1 + s.rank.Tail
	}
	return 1
}

func (s *scorer) cover(row uint32) float64 {
	if bits.OnesCount16(s.sums.named[row]) == len(s.terms) {
		return s.covers[s.seg.nameWords[row]]
	}
	return 1
}

// beginning is the factor of a name that begins with the query.
func (s *scorer) beginning(row uint32) float64 {
	if !s.begins(row) {
		return 1
	}
	return 1 + s.rank.Begins*(float64(len(s.key))/float64(len(s.names.keys[s.names.at[row]])))
}

func (s *scorer) begins(row uint32) bool {
	if s.names == nil {
		return false
	}
	at := int(s.names.at[row])
	return at >= s.begin.start && at < s.begin.end
}

// slack is for what rounding may add to a score.
const slack = 1 + 1e-6

// below reports whether a row's score is below another, going by upper bounds of it.
func (s *scorer) below(row uint32, least float64) bool {
	bound := max(0, float64(s.sums.scores[row])) * float64(s.lifts.of[row]) * max(1, s.cover(row)) * slack
	return bound*s.rank.mostOfName() < least || bound*max(1, s.beginning(row))*max(1, s.tail(row)) < least
}

// mostOfName is the largest factor for how a name begins and ends.
func (r *Ranking) mostOfName() float64 { return max(1, 1+r.Begins) * max(1, 1+r.Tail) }

// lifts are the factors of popularity and rating by row, that of freshness at its largest:
// 4 bytes a row.
type lifts struct {
	of   []float32
	most float32
}

// lifts are made when they are first needed.
func (s *segmentView) lifts(by rules) *lifts {
	l, _ := s.columns.lift.get(func() (*lifts, error) {
		freshest := float64(slices.Max(by.fresh))
		l := &lifts{of: make([]float32, len(s.ids))}
		for row := range l.of {
			lift := by.rank.fame(s.popularity[row]) * by.rank.liked(float64(s.rating[row])/1_000) * freshest
			l.of[row] = math.Nextafter32(float32(max(lift, 0)), math.MaxFloat32)
			l.most = max(l.most, l.of[row])
		}
		return l, nil
	})
	return l
}
