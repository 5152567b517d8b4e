package search

import (
	"fmt"
	"sync"

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

	newest map[market.TenantID]int64 // when the listing updated last was: Unix seconds
	rows   int                       // of the largest segment: the size of scratch arrays

	known struct { // made when it is asked for: see wellKnown
		sync.Mutex
		last map[market.TenantID]map[string]renown
	}
}

// segmentView is a segment with its columns.
type segmentView struct {
	*columns
	seg  segment.Segment
	live map[market.TenantID]*roaring.Bitmap // the tenant's rows that aren't deleted

	deletions bool // some rows are deleted, and yet among what words and fields have
}

// newView builds the view of a snapshot, with the columns of known segments where it has
// them. It takes the snapshot over.
func newView(snap *scorch.IndexSnapshot, known map[uint64]*columns) (v *view, all map[uint64]*columns, err error) {
	v = &view{snap: snap, docs: map[market.TenantID]int{}, newest: map[market.TenantID]int64{}}
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
			v.newest[tenant] = max(v.newest[tenant], c.newest[tenant])
			v.docs[tenant] += int(rows.GetCardinality())
		}
		v.segs = append(v.segs, sv)
		v.rows = max(v.rows, len(c.ids))
	}
	return v, all, nil
}

// warm makes what searches and suggestions need of all segments.
func (v *view) warm() error {
	for i := range v.segs {
		seg := &v.segs[i]
		seg.ordered(ByPopularity)
		seg.starts()
		seg.startsOfSellers()
		for tenant := range seg.live {
			if err := seg.warm(tenant); err != nil {
				return err
			}
		}
	}
	return nil
}

var none = roaring.New()

// rowsIn returns the rows that have a word, deleted ones among them. The bitmap may lie in
// the index's file: not to be changed, nor kept beyond the snapshot.
func rowsIn(dict segment.TermDictionary, word string) (*roaring.Bitmap, error) {
	list, err := dict.PostingsList([]byte(word), nil, nil)
	if err != nil {
		return nil, fmt.Errorf("search: looking up a word: %w", err)
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
