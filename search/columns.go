package search

import (
	"cmp"
	"slices"
	"sync"

	"github.com/RoaringBitmap/roaring/v2"
	"github.com/souk-market/souk/internal/market"
)

// columns hold the facts of a segment's documents by row (the document's number in the
// segment): about 250 bytes a document. Segments never change, so neither do columns.
type columns struct {
	ids         []market.AgentID
	names       []string
	slugs       []string // "" where it is market.Slug of the name
	popularity  []int64
	updated     []int64
	price       []int64
	rating      []uint16
	nameWords   []uint8
	nameKey     []uint64
	tailKey     []uint64
	profile     []uint32 // index into profiles
	profiles    []numbered
	categories  []market.Category
	runtimes    []string
	sellers     postings[sellerFacts]
	sellerNames []string // of each, as a slug
	tags        postings[market.Tag]
	tenants     map[market.TenantID]*roaring.Bitmap // rows of each
	newest      map[market.TenantID]int64           // the greatest updated of each

	orders       orders
	lift         lazy[*lifts]
	lexicons     lexicons
	nameStarts   lazyStarts
	sellerStarts lazyStarts
}

// lazyStarts are made when they are first needed.
type lazyStarts struct {
	once sync.Once
	of   *wordStarts
}

// numbered is a profile whose texts are indexes into the segment's lists.
type numbered struct {
	profile
	category uint32
	runtimes []uint32
}

// postings are the rows of each value of a column, in one array: those of values[i] are
// rows[ends[i-1]:ends[i]].
type postings[V any] struct {
	values []V
	ends   []uint32
	rows   []uint32
}

func (p *postings[V]) of(i int) []uint32 {
	start := uint32(0)
	if i > 0 {
		start = p.ends[i-1]
	}
	return p.rows[start:p.ends[i]]
}

// pairing is a value's number and a row, while a segment is read.
type pairing struct{ value, row uint32 }

// newPostings sorts pairings, which are in the order of rows, by value.
func newPostings[V any](values []V, pairs []pairing, compare func(a, b V) int) postings[V] {
	byValue := make([]uint32, len(values))
	for i := range byValue {
		byValue[i] = uint32(i)
	}
	slices.SortFunc(byValue, func(a, b uint32) int { return compare(values[a], values[b]) })
	p := postings[V]{values: make([]V, len(values)), ends: make([]uint32, len(values)), rows: make([]uint32, len(pairs))}
	next := make([]uint32, len(values)) // by old number: first its count, then its next place
	for _, pair := range pairs {
		next[pair.value]++
	}
	at := uint32(0)
	for i, old := range byValue {
		p.values[i] = values[old]
		n := next[old]
		next[old] = at
		at += n
		p.ends[i] = at
	}
	for _, pair := range pairs {
		p.rows[next[pair.value]] = pair.row
		next[pair.value]++
	}
	return p
}

func (c *columns) numbered(p profile) numbered {
	n := numbered{profile: p}
	n.category = indexIn(&c.categories, market.Category(p.category))
	for _, runtime := range p.runtimes {
		n.runtimes = append(n.runtimes, indexIn(&c.runtimes, runtime))
	}
	return n
}

// indexIn is where a value is in a list, to which it is added if it is new.
func indexIn[V comparable](list *[]V, v V) uint32 {
	i := slices.Index(*list, v)
	if i < 0 {
		i = len(*list)
		*list = append(*list, v)
	}
	return uint32(i)
}

// slug is the address of a row's page.
func (c *columns) slug(row uint32) string {
	if s := c.slugs[row]; s != "" {
		return s
	}
	return market.Slug(c.names[row])
}

// orders are a segment's rows in the orders that results can have: made when they are
// first needed, 8 bytes a row each.
type orders struct {
	once sync.Once
	by   map[Sort]*order
}

// order has the rows of a segment from first to last, and the place of each.
type order struct{ rows, place []uint32 }

// key is what rows are ordered by, the largest first.
func (c *columns) key(by Sort, row uint32) int64 {
	switch by {
	case ByDate:
		return c.updated[row]
	case ByPrice:
		return -c.price[row]
	case ByRating:
		return int64(c.rating[row])
	}
	return c.popularity[row]
}

// ordered is the order of all rows: by key, popularity and ID.
func (c *columns) ordered(by Sort) *order {
	c.orders.once.Do(func() {
		popular := make([]uint32, len(c.ids))
		for i := range popular {
			popular[i] = uint32(i)
		}
		slices.SortFunc(popular, func(a, b uint32) int {
			return cmp.Or(cmp.Compare(c.popularity[b], c.popularity[a]), cmp.Compare(c.ids[a], c.ids[b]))
		})
		c.orders.by = map[Sort]*order{}
		for _, by := range Sorts[1:] {
			rows := slices.Clone(popular)
			if by != ByPopularity {
				slices.SortStableFunc(rows, func(a, b uint32) int { return cmp.Compare(c.key(by, b), c.key(by, a)) })
			}
			c.orders.by[by] = newOrder(rows)
		}
	})
	if o := c.orders.by[by]; o != nil {
		return o
	}
	return c.orders.by[ByPopularity]
}

func newOrder(rows []uint32) *order {
	o := &order{rows, make([]uint32, len(rows))}
	for place, row := range rows {
		o.place[row] = uint32(place)
	}
	return o
}

// first returns the first n of some rows in the order. marked[row] is set for these rows
// alone.
func (o *order) first(n int, some []uint32, marked []bool) []uint32 {
	n = min(n, len(some))
	// Going through all rows takes len(rows)·n/len(some) steps when they are spread evenly.
	if n > 0 && len(o.rows)/len(some)*n < 8*len(some) {
		list := make([]uint32, 0, n)
		for _, row := range o.rows {
			if len(list) == n {
				break
			}
			if marked[row] {
				list = append(list, row)
			}
		}
		return list
	}
	list := slices.Clone(some)
	slices.SortFunc(list, func(a, b uint32) int { return cmp.Compare(o.place[a], o.place[b]) })
	return list[:n]
}
