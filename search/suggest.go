package search

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/souk-market/souk/internal/market"
)

const (
	MaxSuggestions = 8 // for Limit 0, and the most

	minNearStart = 4   // characters from which a beginning is corrected
	maxOfKind    = 2   // suggested categories, tags and sellers, each
	maxLooked    = 200 // tags and sellers with a beginning that are looked at
	headStart    = 8   // times the popularity that a name counts with that itself begins so
)

// SuggestQuery asks what a text that is still being typed may become.
type SuggestQuery struct {
	Tenant market.TenantID
	Text   string
	Limit  int // 0 to MaxSuggestions
}

// SuggestionKind is what a suggestion leads to.
type SuggestionKind string

const (
	SuggestAgent    SuggestionKind = "agent"
	SuggestCategory SuggestionKind = "category"
	SuggestTag      SuggestionKind = "tag"
	SuggestSeller   SuggestionKind = "seller"
	SuggestQueryFor SuggestionKind = "query" // a search for Text
)

// Suggestion is one thing that a text may become.
type Suggestion struct {
	Kind  SuggestionKind
	Text  string         // the name or title to show
	Slug  string         // of its page; empty for a query
	Agent market.AgentID // of an agent; its record is to be loaded as with Results
}

// Suggest returns what a beginning may become: up to two categories, then agents, tags and
// sellers, of each kind the most popular first. Its last word may be unfinished, and one
// character of it wrong from the second on when nothing has it as it stands and it has
// four. A text without letters and digits has no suggestions. Errors are Search's.
func (ix *Index) Suggest(ctx context.Context, q SuggestQuery) (list []Suggestion, err error) {
	if q.Limit < 0 || q.Limit > MaxSuggestions {
		return nil, market.FieldErrorf("limit", "The limit is a number from 1 to %d.", MaxSuggestions)
	}
	if q.Limit == 0 {
		q.Limit = MaxSuggestions
	}
	text := cut(market.CleanText(strings.ToValidUTF8(cut(q.Text, 4*maxStartKey), " ")), maxStartKey)
	v, release, err := ix.acquire()
	if err != nil {
		return nil, err
	}
	defer release()
	err = guard(func() error {
		s := suggester{view: v, tenant: q.Tenant, tree: ix.shelvesOf(q.Tenant), text: text, key: cut(keyOf(text), maxStartKey)}
		if s.key != "" {
			list = s.suggest(q.Limit)
		}
		return ctx.Err()
	})
	if errors.Is(err, errBroken) {
		ix.report(err)
		return nil, market.Errorf(market.Unavailable, "The search index is being repaired and will be back in a moment.").Because(err)
	}
	return list, err
}

// suggester answers one SuggestQuery.
type suggester struct {
	view   *view
	tenant market.TenantID
	tree   *shelfTree
	text   string
	key    string
}

func (s *suggester) suggest(limit int) []Suggestion {
	categories := s.categories()
	others := append(s.tags(), s.sellers()...)
	others = others[:min(len(others), max(0, limit/2-len(categories)))]
	list := append(categories, s.agents(limit-min(limit/2, len(categories)+len(others)))...)
	list = append(list, others...)
	return list[:min(len(list), limit)]
}

// ranked is a suggestion with what it is ordered by.
type ranked struct {
	seg   *segmentView
	row   uint32
	score int64
}

// best are the first of the agents offered.
type best struct {
	n    int
	list []ranked
}

// compare orders by score, popularity and ID.
func (r ranked) compare(o ranked) int {
	return cmp.Or(cmp.Compare(o.score, r.score), cmp.Compare(o.seg.popularity[o.row], r.seg.popularity[r.row]),
		cmp.Compare(r.seg.ids[r.row], o.seg.ids[o.row]))
}

// least is the score that an agent must have; those with just that are to be compared.
func (b *best) least() int64 {
	if len(b.list) < b.n {
		return 0
	}
	return b.list[len(b.list)-1].score
}

func (b *best) add(r ranked) {
	for i, o := range b.list {
		if o.seg == r.seg && o.row == r.row {
			if o.score >= r.score {
				return
			}
			b.list = slices.Delete(b.list, i, i+1)
			break
		}
	}
	at, _ := slices.BinarySearchFunc(b.list, r, ranked.compare)
	if b.list = slices.Insert(b.list, at, r); len(b.list) > b.n {
		b.list = b.list[:b.n]
	}
}

func (s *suggester) agents(n int) (list []Suggestion) {
	b := best{n: n}
	for i := range s.view.segs {
		s.starting(&s.view.segs[i], &b)
	}
	if words := s.words(); len(b.list) < n && len(words) > 1 {
		for i := range s.view.segs {
			s.withAll(&s.view.segs[i], words, &b)
		}
	}
	if len(b.list) == 0 && utf8.RuneCountInString(s.key) >= minNearStart {
		for i := range s.view.segs {
			seg := &s.view.segs[i]
			seg.starts().near(s.key, func(p place) { s.offer(seg, p.name, int(p.at), &b) })
		}
	}
	for _, r := range b.list {
		list = append(list, Suggestion{
			Kind: SuggestAgent, Text: strings.Clone(r.seg.names[r.row]), Slug: strings.Clone(r.seg.slug(r.row)),
			Agent: market.AgentID(strings.Clone(string(r.seg.ids[r.row]))),
		})
	}
	return list
}

func (s *suggester) words() (words []string) {
	for _, c := range chunksOf(s.text) {
		words = append(words, fold(s.text[c.start:c.end]))
	}
	return words[:min(len(words), MaxWords)]
}

// starting offers the agents that have the text at the beginning of a word of their name,
// with what follows. Of many it goes through the most popular until no other can be better.
func (s *suggester) starting(seg *segmentView, b *best) {
	w := seg.starts()
	from, to := w.with(s.key)
	if to-from <= len(seg.ids)/50+64 {
		for _, p := range w.places[from:to] {
			s.offer(seg, p.name, int(p.at), b)
		}
		return
	}
	for _, row := range seg.ordered(ByPopularity).rows {
		if b.least() >= headStart*(seg.popularity[row]+1) { // equals come later, in this order too
			break
		}
		if at := w.word(row, s.key); at >= 0 {
			s.offer(seg, row, at, b)
		}
	}
	for _, p := range w.places[from:to] { // whole names are first
		if p.at != 0 || w.after(p) != s.key {
			break
		}
		s.offer(seg, p.name, 0, b)
	}
}

// withAll offers the agents whose name has words with all the beginnings.
func (s *suggester) withAll(seg *segmentView, words []string, b *best) {
	w := seg.starts()
	from, to := w.with(words[0])
	for _, word := range words[1:] {
		if f, t := w.with(word); t-f < to-from {
			from, to = f, t
		}
	}
	for _, p := range w.places[from:to] {
		if seg.popularity[p.name]+1 >= b.least() && !slices.ContainsFunc(words, func(word string) bool { return w.word(p.name, word) < 0 }) {
			s.offer(seg, p.name, 1, b)
		}
	}
}

// offer takes an agent with a word as asked for at a byte of its key, if it is live.
func (s *suggester) offer(seg *segmentView, row uint32, at int, b *best) {
	score := min(seg.popularity[row], 1<<50) + 1
	if at == 0 {
		score *= headStart
		if seg.starts().key(row) == s.key {
			score += 1 << 60
		}
	}
	if score < b.least() {
		return
	}
	if live := seg.live[s.tenant]; live != nil && live.Contains(row) {
		b.add(ranked{seg, row, score})
	}
}

// starts finds agents by the words of their names; made when it is first needed.
func (c *columns) starts() *wordStarts {
	c.nameStarts.once.Do(func() {
		c.nameStarts.of = newWordStarts(len(c.names), func(i int) string { return c.names[i] })
	})
	return c.nameStarts.of
}

func (c *columns) startsOfSellers() *wordStarts {
	c.sellerStarts.once.Do(func() {
		c.sellerStarts.of = newWordStarts(len(c.sellers.values), func(i int) string { return c.sellers.values[i].name })
	})
	return c.sellerStarts.of
}

// counted is a suggestion of a category, a tag or a seller with its number of agents.
type counted struct {
	Suggestion
	n int
}

// most returns the suggestions with the most agents; those of one slug are one.
func most(all []counted) (list []Suggestion) {
	slices.SortFunc(all, func(a, b counted) int { return cmp.Or(strings.Compare(a.Slug, b.Slug), cmp.Compare(b.n, a.n)) })
	all = slices.CompactFunc(all, func(a, b counted) bool { return a.Slug == b.Slug })
	slices.SortStableFunc(all, func(a, b counted) int { return cmp.Compare(b.n, a.n) })
	for _, c := range all[:min(len(all), maxOfKind)] {
		list = append(list, c.Suggestion)
	}
	return list
}

func (s *suggester) categories() []Suggestion {
	var all []counted
	for i := range s.view.segs {
		for n, c := range s.view.segs[i].categories {
			for _, c := range []market.Category{c, s.tree.parent(c)} {
				title := cmp.Or(s.tree.title(c), strings.ReplaceAll(string(c), "-", " "))
				if c == "" || !s.begins(title) {
					continue
				}
				if rows := s.inCategory(&s.view.segs[i], uint32(n)); rows > 0 {
					all = append(all, counted{Suggestion{Kind: SuggestCategory, Text: title, Slug: string(c)}, rows})
				}
			}
		}
	}
	return most(all)
}

// begins reports whether a word of a title begins with the text.
func (s *suggester) begins(title string) bool {
	key, begins := startsOf(title)
	w := wordStarts{text: key, ends: []uint32{uint32(len(key))}, begins: []uint64{begins}}
	return w.word(0, s.key) >= 0
}

// inCategory counts a category's live rows, of a sample of the segment where it is large,
// but always up to the first.
func (s *suggester) inCategory(seg *segmentView, category uint32) (n int) {
	live := seg.live[s.tenant]
	for row, p := range seg.profile {
		if row > 2_000 && n > 0 {
			break
		}
		if seg.profiles[p].category == category && live != nil && live.Contains(uint32(row)) {
			n++
		}
	}
	return n
}

func (s *suggester) tags() []Suggestion {
	var all []counted
	start := market.Tag(market.Slug(s.text))
	for i := range s.view.segs {
		tags := &s.view.segs[i].tags
		from, _ := slices.BinarySearch(tags.values, start)
		for n := from; n < min(len(tags.values), from+maxLooked) && start != "" && strings.HasPrefix(string(tags.values[n]), string(start)); n++ {
			if s.anyLive(&s.view.segs[i], tags.of(n)) {
				t := string(tags.values[n])
				all = append(all, counted{Suggestion{Kind: SuggestTag, Text: t, Slug: t}, len(tags.of(n))})
			}
		}
	}
	return most(all)
}

func (s *suggester) sellers() []Suggestion {
	var all []counted
	for i := range s.view.segs {
		seg := &s.view.segs[i]
		w := seg.startsOfSellers()
		from, to := w.with(s.key)
		for _, p := range w.places[from:min(to, from+maxLooked)] {
			seller := &seg.sellers.values[p.name]
			if rows := seg.sellers.of(int(p.name)); seller.slug != "" && s.anyLive(seg, rows) {
				all = append(all, counted{Suggestion{Kind: SuggestSeller, Text: seller.name, Slug: seller.slug}, len(rows)})
			}
		}
	}
	return most(all)
}

func (s *suggester) anyLive(seg *segmentView, rows []uint32) bool {
	live := seg.live[s.tenant]
	return live != nil && slices.ContainsFunc(rows, live.Contains)
}
