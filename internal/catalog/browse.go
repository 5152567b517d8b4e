package catalog

import (
	"cmp"
	"iter"
	"slices"

	"github.com/souk-market/souk/internal/market"
	"github.com/souk-market/souk/store"
)

// take reads up to limit rows and says whether more follow.
func take(tx store.Reader, rows iter.Seq2[store.Row[market.Agent], error], limit int) (ls []Listing, next store.Cursor, err error) {
	met := sellers{}
	var last store.Cursor
	for row, err := range rows {
		if err != nil {
			return nil, "", err
		}
		if len(ls) == limit {
			return ls, last, nil
		}
		l, err := listing(tx, row.Record, met)
		if err != nil {
			return nil, "", err
		}
		ls, last = append(ls, l), row.Cursor
	}
	return ls, "", nil
}

func categories(tx store.Reader) ([]CategoryCount, error) {
	counts, err := store.Counts(tx, store.AgentsInCategory)
	if err != nil {
		return nil, err
	}
	cc := make([]CategoryCount, 0, len(counts))
	for c, n := range counts {
		cc = append(cc, CategoryCount{c, n})
	}
	slices.SortFunc(cc, func(a, b CategoryCount) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Category, b.Category))
	})
	return cc, nil
}
