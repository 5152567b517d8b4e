package search

import (
	"fmt"
	"strings"

	"github.com/RoaringBitmap/roaring/v2"
	"github.com/blevesearch/bleve/v2/index/scorch"
	segment "github.com/blevesearch/scorch_segment_api/v2"
	"github.com/souk-market/souk/internal/market"
)

// view is one state of the index with the columns to it. Whoever uses it holds a
// reference to its snapshot.
type view struct {
	snap *scorch.IndexSnapshot
	segs []segmentView
	docs map[market.TenantID]int // live ones
	rows int                     // of the largest segment: the size of scratch arrays
}

// segmentView is a segment with its columns.
type segmentView struct {
	*columns
	seg  segment.Segment
	live map[market.TenantID]*roaring.Bitmap // the tenant's rows that aren't deleted

	deletions bool // some rows are deleted, and yet among what words and fields have
}

// columns hold the facts of a segment's documents by row (the document's number in the
// segment). Segments never change, so neither do columns.
type columns struct {
	ids        []market.AgentID
	category   []uint16 // index into categories
	categories []market.Category
	popularity []int64
	updated    []int64
	nameWords  []uint8
	nameKey    []uint64
	tailKey    []uint64
	tenants    map[market.TenantID]*roaring.Bitmap // rows of each
}

// newView builds the view of a snapshot, with the columns of known segments where it has
// them. It takes the snapshot over.
func newView(snap *scorch.IndexSnapshot, known map[uint64]*columns) (v *view, all map[uint64]*columns, err error) {
	v = &view{snap: snap, docs: map[market.TenantID]int{}}
	all = map[uint64]*columns{}
	for _, s := range snap.Segments() {
		c := known[s.Id()]
		if c == nil {
			if c, err = readColumns(s.Segment()); err != nil {
				snap.Close()
				return nil, nil, err
			}
		}
		all[s.Id()] = c
		sv := segmentView{columns: c, seg: s.Segment(), live: map[market.TenantID]*roaring.Bitmap{}}
		for tenant, rows := range c.tenants {
			if deleted := s.Deleted(); deleted != nil {
				rows = roaring.AndNot(rows, deleted)
				sv.deletions = true
			}
			sv.live[tenant] = rows
			v.docs[tenant] += int(rows.GetCardinality())
		}
		v.segs = append(v.segs, sv)
		v.rows = max(v.rows, len(c.ids))
	}
	return v, all, nil
}

// readColumns reads the stored facts of all documents of a segment: about 1 µs each.
func readColumns(seg segment.Segment) (*columns, error) {
	n := int(seg.Count())
	c := &columns{
		ids: make([]market.AgentID, n), category: make([]uint16, n), popularity: make([]int64, n),
		updated: make([]int64, n), nameWords: make([]uint8, n), nameKey: make([]uint64, n), tailKey: make([]uint64, n),
		tenants: map[market.TenantID]*roaring.Bitmap{},
	}
	numbers := map[market.Category]uint16{}
	for row := range n {
		var id string
		var f facts
		damage := errFacts
		err := seg.VisitStoredFields(uint64(row), func(field string, _ byte, value []byte, _ []uint64) bool {
			switch field {
			case "_id":
				id = string(value)
			case storedField:
				f, damage = decodeFacts(value) // value is Bleve's own again after this
			}
			return true
		})
		if err != nil {
			return nil, fmt.Errorf("search: reading document %d: %w", row, err)
		}
		tenant, agent, ok := strings.Cut(id, "/")
		if damage != nil || !ok {
			return nil, fmt.Errorf("%w: document %q", errBroken, id)
		}
		c.set(row, market.TenantID(tenant), market.AgentID(agent), f, numbers)
	}
	return c, nil
}

func (c *columns) set(row int, tenant market.TenantID, id market.AgentID, f facts, numbers map[market.Category]uint16) {
	n, ok := numbers[f.category]
	if !ok {
		n = uint16(len(c.categories))
		numbers[f.category] = n
		c.categories = append(c.categories, f.category)
	}
	rows := c.tenants[tenant]
	if rows == nil {
		rows = roaring.New()
		c.tenants[tenant] = rows
	}
	rows.Add(uint32(row))
	c.ids[row], c.category[row], c.popularity[row], c.updated[row] = id, n, f.popularity, f.updated
	c.nameWords[row], c.nameKey[row], c.tailKey[row] = f.nameWords, f.nameKey, f.tailKey
}

var none = roaring.New()

// rows returns the rows that have a word in a field, deleted ones among them. The bitmap
// may lie in the index's file: not to be changed, nor kept beyond the snapshot.
func (s *segmentView) rows(field, word string) (*roaring.Bitmap, error) {
	dict, err := s.seg.Dictionary(field)
	if err != nil {
		return nil, fmt.Errorf("search: opening the words of %s: %w", field, err)
	}
	list, err := dict.PostingsList([]byte(word), nil, nil)
	if err != nil {
		return nil, fmt.Errorf("search: looking up a word in %s: %w", field, err)
	}
	it, ok := list.Iterator(false, false, false, nil).(segment.OptimizablePostingsIterator)
	if !ok {
		return none, nil // Bleve's empty iterator has none of its methods
	}
	if row, only := it.DocNum1Hit(); only {
		return roaring.BitmapOf(uint32(row)), nil
	}
	if rows := it.ActualBitmap(); rows != nil {
		return rows, nil
	}
	return none, nil
}
