package search

import (
	"context"
	"fmt"

	index "github.com/blevesearch/bleve_index_api"
	"github.com/souk-market/souk/internal/market"
	"github.com/souk-market/souk/store"
)

// sweep indexes anew the agents of a seller whose name, address or standing changed, some
// thousand at a time, with other changes in between. Until it is through, the cursor stays:
// a crash begins it again.
type sweep struct {
	seller store.RecordKey[market.SellerID]
	after  store.Cursor
}

// addSweep begins a seller's sweep, again if one is under way.
func (p *pending) addSweep(seller store.RecordKey[market.SellerID]) {
	for i := range p.sweeps {
		if p.sweeps[i].seller == seller {
			p.sweeps[i].after = ""
			return
		}
	}
	p.sweeps = append(p.sweeps, sweep{seller: seller})
}

// dropSweeps leaves out sellers of whom the index knows what they are now.
func (ix *Index) dropSweeps(ctx context.Context, p *pending) error {
	for i := 0; i < len(p.sweeps); i++ {
		if p.sweeps[i].after != "" {
			continue
		}
		same, err := ix.knows(ctx, p.sweeps[i].seller)
		if err != nil {
			return err
		}
		if same {
			p.sweeps = append(p.sweeps[:i], p.sweeps[i+1:]...)
			i--
		}
	}
	return nil
}

// knows reports whether no document says anything else of a seller than the store.
func (ix *Index) knows(ctx context.Context, key store.RecordKey[market.SellerID]) (bool, error) {
	var now sellerFacts
	err := ix.db.View(ctx, key.Tenant, func(tx *store.ReadTx) error {
		s, err := store.Sellers.Load(tx, key.ID)
		if market.Is(err, market.NotFound) {
			err = nil
		}
		s.ID = key.ID
		now = sellerFactsOf(&s)
		return err
	})
	if err != nil {
		return false, fmt.Errorf("search: reading a seller: %w", err)
	}
	v, release, err := ix.acquire()
	if err != nil {
		return false, nil
	}
	defer release()
	for i := range v.segs {
		for n, s := range v.segs[i].sellers.values {
			if s.id != key.ID || s == now {
				continue
			}
			live := v.segs[i].live[key.Tenant]
			for _, row := range v.segs[i].sellers.of(n) {
				if live != nil && live.Contains(row) {
					return false, nil
				}
			}
		}
	}
	return true, nil
}

// step adds the next agents of the first sweep to a batch of n listings.
func (ix *Index) step(ctx context.Context, p *pending, b *index.Batch, n int) error {
	if len(p.sweeps) == 0 {
		return nil
	}
	sw := &p.sweeps[0]
	through := true
	err := ix.db.View(ctx, sw.seller.Tenant, func(tx *store.ReadTx) error {
		sellers := map[market.SellerID]market.Seller{}
		for row, err := range store.AgentsOfSeller.Scan(tx, sw.seller.ID, sw.after) {
			if err != nil {
				return err
			}
			if n >= batchDocs {
				through = false
				return nil
			}
			sw.after = row.Cursor
			n++
			if !row.Record.Visible() {
				continue
			}
			l, err := readListing(tx, &row.Record, sellers)
			if err != nil {
				return err
			}
			b.Update(ix.analyst.newDocument(sw.seller.Tenant, l))
			n += l.weight() - 1
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("search: reading a seller's agents: %w", err)
	}
	if through {
		p.sweeps = p.sweeps[1:]
	}
	return nil
}
