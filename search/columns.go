package search

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/RoaringBitmap/roaring/v2"
	segment "github.com/blevesearch/scorch_segment_api/v2"
	"github.com/souk-market/souk/internal/market"
)

// columns hold the facts of a segment's documents by row (the document's number in the
// segment): about 250 bytes a document. Segments never change, so neither do columns.
type columns struct {
	ids        []market.AgentID
	names      []string
	slugs      []string // "" where it is market.Slug of the name
	popularity []int64
	updated    []int64
	price      []int64
	rating     []uint16
	nameWords  []uint8
	nameKey    []uint64
	tailKey    []uint64
	profile    []uint32 // index into profiles
	profiles   []numbered
	categories []market.Category
	runtimes   []string
	sellers    postings[sellerFacts]
	tags       postings[market.Tag]
	tenants    map[market.TenantID]*roaring.Bitmap // rows of each
	newest     map[market.TenantID]int64           // the greatest updated of each

	orders       orders
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

// columnReader fills columns.
type columnReader struct {
	*columns
	profileOf, sellerOf, tagOf map[string]uint32
	sellers                    []sellerFacts
	tags                       []market.Tag
	sold, tagged               []pairing
	text                       strings.Builder // IDs, names and slugs of all rows
	ends                       []uint32        // three a row
}

// readColumns reads the stored facts of all documents of a segment: about 1.5 µs each.
func readColumns(seg segment.Segment) (*columns, error) {
	n := int(seg.Count())
	r := &columnReader{
		columns: &columns{
			ids: make([]market.AgentID, n), names: make([]string, n), slugs: make([]string, n),
			popularity: make([]int64, n), updated: make([]int64, n), price: make([]int64, n), rating: make([]uint16, n),
			nameWords: make([]uint8, n), nameKey: make([]uint64, n), tailKey: make([]uint64, n), profile: make([]uint32, n),
			tenants: map[market.TenantID]*roaring.Bitmap{}, newest: map[market.TenantID]int64{},
		},
		profileOf: map[string]uint32{}, sellerOf: map[string]uint32{}, tagOf: map[string]uint32{},
		ends: make([]uint32, 0, 3*n),
	}
	for row := range n {
		if err := r.read(seg, uint32(row)); err != nil {
			return nil, err
		}
	}
	r.finish()
	return r.columns, nil
}

// read reads a document. What Bleve passes to the callback is its own again after it.
func (r *columnReader) read(seg segment.Segment, row uint32) error {
	var id string
	damage := errFacts
	err := seg.VisitStoredFields(uint64(row), func(field string, _ byte, value []byte, _ []uint64) bool {
		switch field {
		case "_id":
			id = string(value)
		case storedField:
			var f facts
			if f, damage = decodeFacts(value); damage == nil {
				damage = r.set(row, id, &f)
			}
		}
		return true
	})
	if err != nil {
		return fmt.Errorf("search: reading document %d: %w", row, err)
	}
	if damage != nil {
		return fmt.Errorf("%w: document %q", errBroken, id)
	}
	return nil
}

// set takes a document's facts over. Bleve passes the ID first.
func (r *columnReader) set(row uint32, id string, f *facts) error {
	tenant, agent, ok := parseDocID(id)
	if !ok {
		return errFacts
	}
	rows := r.tenants[tenant]
	if rows == nil {
		rows = roaring.New()
		r.tenants[tenant] = rows
	}
	rows.Add(row)
	r.newest[market.TenantID(tenant)] = max(r.newest[market.TenantID(tenant)], f.updated)
	r.popularity[row], r.updated[row], r.price[row], r.rating[row] = f.popularity, f.updated, f.price, f.rating
	r.nameWords[row], r.nameKey[row], r.tailKey[row] = f.nameWords, f.nameKey, f.tailKey
	r.text.WriteString(string(agent))
	r.ends = append(r.ends, uint32(r.text.Len()))
	r.text.Write(f.name)
	r.ends = append(r.ends, uint32(r.text.Len()))
	r.text.Write(f.slug)
	r.ends = append(r.ends, uint32(r.text.Len()))
	for _, t := range f.tags {
		n := number(r.tagOf, t, func() { r.tags = append(r.tags, market.Tag(t)) })
		r.tagged = append(r.tagged, pairing{n, row})
	}
	return r.setShared(row, f)
}

// setShared numbers what many documents have alike.
func (r *columnReader) setShared(row uint32, f *facts) error {
	ok := true
	r.profile[row] = number(r.profileOf, f.profile, func() {
		var p profile
		p, ok = decodeProfile(f.profile)
		r.profiles = append(r.profiles, r.numbered(p))
	})
	n := number(r.sellerOf, f.seller, func() {
		s, good := decodeSeller(f.seller)
		ok = ok && good
		r.sellers = append(r.sellers, s)
	})
	r.sold = append(r.sold, pairing{n, row})
	if !ok {
		return errFacts
	}
	return nil
}

func number(of map[string]uint32, text []byte, add func()) uint32 {
	n, ok := of[string(text)]
	if !ok {
		n = uint32(len(of))
		of[string(text)] = n
		add()
	}
	return n
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

func (r *columnReader) finish() {
	text, start := r.text.String(), uint32(0)
	next := func(i int) string {
		s := text[start:r.ends[i]]
		start = r.ends[i]
		return s
	}
	for row := range r.ids {
		r.ids[row] = market.AgentID(next(3 * row))
		r.names[row], r.slugs[row] = next(3*row+1), next(3*row+2)
	}
	r.columns.sellers = newPostings(r.sellers, r.sold, func(a, b sellerFacts) int { return cmp.Compare(a.id, b.id) })
	r.columns.tags = newPostings(r.tags, r.tagged, cmp.Compare[market.Tag])
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
