package search

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"math"
	"slices"
	"strings"
	"sync"

	"github.com/souk-market/souk/internal/market"
)

const (
	MaxRelated = 24 // agents that can be asked for

	rareWords   = 6   // words of an agent, the rarest, by which others are found
	rareShare   = 20  // a rare word is in one of so many agents at most
	rareAtLeast = 50  // or in so many
	wellKnown   = 128 // agents of a category, the most popular, that others lead to
	relatedTag  = 2.0 // what a shared tag counts for, in units of its rarity; a word is 1
	relatedHere = 1.0 // what the category counts for, and
	relatedSell = 1.0 // the seller
)

// Related returns up to n published agents that have most in common with an agent: tags,
// category, seller, and words that few agents have. Of a category with many agents only the
// wellKnown most popular are returned: what many have tried is better advice, and what the
// pages of many agents show alike is written once. Errors are Search's.
func (ix *Index) Related(ctx context.Context, tenant market.TenantID, a *market.Agent, n int) (ids []market.AgentID, err error) {
	v, release, err := ix.acquire()
	if err != nil {
		return nil, err
	}
	defer release()
	err = guard(func() error {
		r := relation{searcher: newSearcher(ctx, v, tenant, ix.rules), agent: a, best: newTop(0, min(max(n, 0), MaxRelated))}
		if r.docs > 0 && n > 0 {
			ids, err = r.find()
		}
		return err
	})
	if errors.Is(err, errBroken) {
		ix.report(err)
		return nil, market.Errorf(market.Unavailable, "The search index is being repaired and will be back in a moment.").Because(err)
	}
	return ids, err
}

// relation finds what has most in common with an agent.
type relation struct {
	*searcher
	agent *market.Agent
	best  *top
}

// shared is what some agents have in common with the agent.
type shared struct {
	rows   rowSet
	weight float32
}

func (r *relation) find() ([]market.AgentID, error) {
	words, err := r.rare()
	if err != nil {
		return nil, err
	}
	tags := r.tags()
	for i := range r.view.segs {
		if err := r.ctx.Err(); err != nil {
			return nil, err
		}
		r.segment(i, words, tags)
	}
	hits := r.best.page()
	ids := make([]market.AgentID, len(hits))
	for i, h := range hits {
		ids[i] = market.AgentID(strings.Clone(string(h.id())))
	}
	return ids, nil
}

// rare looks up the agent's words and keeps the rarest that others have too.
func (r *relation) rare() ([]shared, error) {
	type rareWord struct {
		rows rowSet
		n    int
	}
	var list []rareWord
	var an analyst
	w := an.wordsOf(&listing{Agent: *r.agent})
	all := slices.AppendSeq(slices.Collect(maps.Keys(w.text.freqs)), maps.Keys(w.name.freqs))
	slices.Sort(all)
	for _, word := range all {
		if stopWords[word] {
			continue
		}
		rows, err := r.textRows(word)
		if err != nil {
			return nil, err
		}
		if n := rows.count(); n > 1 && n <= max(rareAtLeast, int(r.docs)/rareShare) {
			list = append(list, rareWord{rows, n})
		}
	}
	slices.SortStableFunc(list, func(a, b rareWord) int { return cmp.Compare(a.n, b.n) })
	var words []shared
	for _, w := range list[:min(len(list), rareWords)] {
		words = append(words, shared{w.rows, float32(math.Log(r.docs / float64(w.n)))})
	}
	return words, nil
}

var relatedPool = sync.Pool{New: func() any { return new(sums) }}

// sums add up by row. by is all zero between uses.
type sums struct {
	by   []float32
	rows []uint32 // that have a sum
}

func (s *sums) add(row uint32, weight float32) {
	if s.by[row] == 0 {
		s.rows = append(s.rows, row)
	}
	s.by[row] += weight
}

func (r *relation) segment(n int, words []shared, tags []float32) {
	seg := &r.view.segs[n]
	s := relatedPool.Get().(*sums)
	defer relatedPool.Put(s)
	if len(s.by) < len(seg.ids) {
		s.by = make([]float32, len(seg.ids))
	}
	s.rows = s.rows[:0]
	for _, w := range words {
		for it := w.rows[n].Iterator(); it.HasNext(); {
			s.add(it.Next(), w.weight)
		}
	}
	for i, t := range r.agent.Tags {
		for _, row := range tagged(seg, t) {
			s.add(row, tags[i])
		}
	}
	r.offer(seg, s)
}

// tags are what the agent's tags count for, the rarer the more.
func (r *relation) tags() []float32 {
	weights := make([]float32, len(r.agent.Tags))
	for i, t := range r.agent.Tags {
		n := 0
		for s := range r.view.segs {
			n += len(tagged(&r.view.segs[s], t))
		}
		weights[i] = relatedTag * float32(math.Log(1+r.docs/float64(max(n, 1))))
	}
	return weights
}

// tagged are the rows of a segment's agents with a tag.
func tagged(seg *segmentView, t market.Tag) []uint32 {
	if i, ok := slices.BinarySearch(seg.tags.values, t); ok {
		return seg.tags.of(i)
	}
	return nil
}

// offer offers the agents that have a sum, and sets the sums back.
func (r *relation) offer(seg *segmentView, s *sums) {
	seller, known := r.sellersRows(seg), r.view.wellKnown(r.tenant)
	for _, row := range s.rows {
		score := s.by[row]
		s.by[row] = 0
		category := seg.categoryOf(row)
		if !r.other(seg, row) || seg.renownOf(row).compare(known[category]) > 0 {
			continue
		}
		if category == string(r.agent.Category) {
			score += relatedHere
		}
		if _, same := slices.BinarySearch(seller, row); same {
			score += relatedSell
		}
		r.best.offer(hit{seg: seg, row: row, score: float64(score)})
	}
}

// sellersRows are the rows of the agent's seller, in order.
func (r *relation) sellersRows(seg *segmentView) []uint32 {
	i, ok := slices.BinarySearchFunc(seg.sellers.values, r.agent.Seller, func(s sellerFacts, id market.SellerID) int { return cmp.Compare(s.id, id) })
	if !ok {
		return nil
	}
	return seg.sellers.of(i)
}

func (r *relation) other(seg *segmentView, row uint32) bool {
	live := seg.live[r.tenant]
	return live != nil && live.Contains(row) && seg.ids[row] != r.agent.ID
}

func (c *columns) categoryOf(row uint32) string { return c.profiles[c.profile[row]].profile.category }

// renown is a place in the order of all agents: the most popular first, of equals the
// first ID.
type renown struct {
	popularity int64
	id         market.AgentID
}

func (a renown) compare(b renown) int {
	return cmp.Or(cmp.Compare(b.popularity, a.popularity), cmp.Compare(a.id, b.id))
}

func (c *columns) renownOf(row uint32) renown { return renown{c.popularity[row], c.ids[row]} }

// wellKnown is the last of a tenant's well known agents, by category.
func (v *view) wellKnown(tenant market.TenantID) map[string]renown {
	v.known.Lock()
	defer v.known.Unlock()
	if last, ok := v.known.last[tenant]; ok {
		return last
	}
	all := map[string][]renown{}
	for i := range v.segs {
		if seg := &v.segs[i]; seg.live[tenant] != nil {
			for it := seg.live[tenant].Iterator(); it.HasNext(); {
				row := it.Next()
				all[seg.categoryOf(row)] = append(all[seg.categoryOf(row)], seg.renownOf(row))
			}
		}
	}
	last := make(map[string]renown, len(all))
	for category, list := range all {
		slices.SortFunc(list, renown.compare)
		last[category] = list[min(len(list), wellKnown)-1]
	}
	if v.known.last == nil {
		v.known.last = map[market.TenantID]map[string]renown{}
	}
	v.known.last[tenant] = last
	return last
}
