package search

import (
	"cmp"
	"math/rand/v2"
	"slices"
	"strings"
	"unicode"

	"github.com/souk-market/souk/internal/market"
)

// A known item is a listing that somebody looks for and knows something of. The six kinds
// of queries for it, and which listings have one:
//
//	exact  its name as it is written: any
//	words  the words of its name, in lower case, separated by spaces: two words or more
//	joined the same, run together: two words or more
//	prefix the first 60 % of its name's characters, rounded up, at least four: seven
//	       characters or more
//	typo   its name with one edit: a letter left out, another put in, replaced by another
//	       or exchanged with the next; any but the first character of the name: five
//	       letters or more
//	rare   the three words of its summary that the fewest listings have (in name and
//	       summary), in the order of the summary: three words of three characters or
//	       more that at most one listing in a hundred has
//
// Listings are drawn evenly, popular or not, and are counted as found only themselves: a
// listing of the same name, or one that fits as well, in its place is a miss.
var knownKinds = []string{"exact", "words", "joined", "prefix", "typo", "rare"}

// goals are the least mean reciprocal ranks (of the first ten results) by kind.
var goals = map[string]float64{"exact": 0.97, "words": 0.97, "joined": 0.92, "prefix": 0.80, "typo": 0.92, "rare": 0.93}

// known is a query and the listing it is for.
type known struct {
	kind, query string
	item        market.AgentID
	name        string
}

// drawKnown makes n queries of each kind. The same seed and listings give the same.
func drawKnown(agents []market.Agent, seed uint64, n int) []known {
	rng := rand.New(rand.NewPCG(seed, 0x50554b))
	d := drawer{rng: rng, df: frequencies(agents), n: len(agents)}
	var all []known
	for _, kind := range knownKinds {
		for range n {
			for {
				a := &agents[rng.IntN(len(agents))]
				if q, ok := d.query(kind, a); ok {
					all = append(all, known{kind, q, a.ID, a.Name})
					break
				}
			}
		}
	}
	return all
}

type drawer struct {
	rng *rand.Rand
	df  map[string]int
	n   int // listings
}

func (d *drawer) query(kind string, a *market.Agent) (string, bool) {
	runes := []rune(a.Name)
	words := plainWords(a.Name)
	switch kind {
	case "exact":
		return a.Name, true
	case "words":
		return strings.Join(words, " "), len(words) >= 2
	case "joined":
		return strings.Join(words, ""), len(words) >= 2
	case "prefix":
		return string(runes[:max(4, (len(runes)*6+9)/10)]), len(runes) >= 7
	case "typo":
		return d.typo(runes)
	}
	return d.rare(a.Summary)
}

// typo edits one letter.
func (d *drawer) typo(name []rune) (string, bool) {
	var letters []int
	for i, r := range name {
		if i > 0 && unicode.IsLetter(r) {
			letters = append(letters, i)
		}
	}
	if len(letters) < 5 {
		return "", false
	}
	i := letters[d.rng.IntN(len(letters))]
	other := 'a' + rune(d.rng.IntN(26))
	out := slices.Clone(name)
	switch d.rng.IntN(4) {
	case 0:
		out = slices.Delete(out, i, i+1)
	case 1:
		out = slices.Insert(out, i, other)
	case 2:
		out[i] = other
	case 3:
		if i+1 < len(out) {
			out[i], out[i+1] = out[i+1], out[i]
		}
	}
	return string(out), string(out) != string(name)
}

func (d *drawer) rare(summary string) (string, bool) {
	words := slices.DeleteFunc(plainWords(summary), func(w string) bool { return len([]rune(w)) < 3 || d.df[w] > max(d.n/100, 3) })
	var distinct []string
	for _, w := range words {
		if !slices.Contains(distinct, w) {
			distinct = append(distinct, w)
		}
	}
	if len(distinct) < 3 {
		return "", false
	}
	rarest := slices.Clone(distinct)
	slices.SortStableFunc(rarest, func(a, b string) int { return cmp.Compare(d.df[a], d.df[b]) })
	rarest = rarest[:3]
	inOrder := slices.DeleteFunc(distinct, func(w string) bool { return !slices.Contains(rarest, w) })
	return strings.Join(inOrder, " "), true
}

// plainWords splits a text at what is neither letter nor digit. It is not the index's own
// analysis, so that a fault of that one isn't in the queries too.
func plainWords(text string) []string {
	return strings.FieldsFunc(strings.ToLower(text), func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) })
}

func frequencies(agents []market.Agent) map[string]int {
	df := map[string]int{}
	for i := range agents {
		seen := map[string]bool{}
		for _, w := range plainWords(agents[i].Name + " " + agents[i].Summary) {
			if !seen[w] {
				seen[w] = true
				df[w]++
			}
		}
	}
	return df
}

// found sums up reciprocal ranks.
type found struct {
	n   int
	sum float64
}

func (f found) mean() float64 { return f.sum / float64(max(f.n, 1)) }

// rankOf is the place of an item among results, 1 being the first; 0 when it isn't there.
func rankOf(ids []market.AgentID, item market.AgentID) int { return slices.Index(ids, item) + 1 }

// measureKnown asks all queries and returns the mean reciprocal rank at 10 by kind.
// missed is called for those that aren't first.
func (r *running) measureKnown(queries []known, missed func(known, int)) map[string]found {
	r.t.Helper()
	by := map[string]found{}
	for _, k := range queries {
		rank := rankOf(r.find(Query{Text: k.query, Limit: 10}).IDs, k.item)
		f := by[k.kind]
		f.n++
		if rank > 0 {
			f.sum += 1 / float64(rank)
		}
		by[k.kind] = f
		if rank != 1 && missed != nil {
			missed(k, rank)
		}
	}
	return by
}
