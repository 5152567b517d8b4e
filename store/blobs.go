package store

import (
	"context"
	"fmt"
	"iter"

	"github.com/cockroachdb/pebble/v2"
	"github.com/souk-market/souk/internal/market"
)

// NamesBlob reports whether any tenant has a record in Blobs for a file. That none has is
// said only of what is on disk: a crash can't bring back a record that had been seen gone.
func (db *DB) NamesBlob(ctx context.Context, sha256 string) (bool, error) {
	if err := db.gate.enter(); err != nil {
		return false, err
	}
	defer db.gate.leave()
	named, err := namesBlob(db.engine, sha256)
	if named || err != nil {
		return named, err
	}
	snap, err := db.Snapshot(ctx)
	if err != nil {
		return false, err
	}
	defer snap.Close()
	return namesBlob(snap.snap, sha256)
}

// Blobs yields the records of blobs of all tenants as far as the restore has got. Two
// tenants may name one blob.
func (r *Restore) Blobs() iter.Seq2[market.Blob, error] { return blobsIn(r.engine) }

// Blobs yields the records of blobs of all tenants, as they are when it begins. Two
// tenants may name one blob.
func (db *DB) Blobs() iter.Seq2[market.Blob, error] {
	return func(yield func(market.Blob, error) bool) {
		if err := db.gate.enter(); err != nil {
			yield(market.Blob{}, err)
			return
		}
		defer db.gate.leave()
		snap := db.engine.NewSnapshot()
		defer snap.Close()
		blobsIn(snap)(yield)
	}
}

func blobsIn(from pebble.Reader) iter.Seq2[market.Blob, error] {
	return func(yield func(market.Blob, error) bool) {
		tenants, err := tenantsIn(from)
		if err != nil {
			yield(market.Blob{}, err)
			return
		}
		for _, t := range tenants {
			tx := &ReadTx{reader{from: from, prefix: tenantPrefix(t), tenant: t}}
			for rec, err := range Blobs.All(tx, "") {
				if !yield(rec, err) || err != nil {
					return
				}
			}
		}
	}
}

func namesBlob(from pebble.Reader, sha256 string) (bool, error) {
	tenants, err := tenantsIn(from)
	if err != nil {
		return false, err
	}
	for _, t := range tenants {
		r := &reader{from: from, prefix: tenantPrefix(t), tenant: t}
		if named, err := r.has(Blobs.recordKey(r, sha256)); named || err != nil {
			return named, err
		}
	}
	return false, nil
}

// tenantsIn lists the tenants that have anything, by a seek for each.
func tenantsIn(from pebble.Reader) (tenants []market.TenantID, err error) {
	nameless := tenantPrefix("") // holds the data's version
	it, err := from.NewIter(&pebble.IterOptions{LowerBound: successor(nameless), UpperBound: []byte{spaceTenant + 1}})
	if err != nil {
		return nil, fmt.Errorf("store: listing tenants: %w", err)
	}
	defer it.Close()
	for ok := it.First(); ok; {
		name, _, isTenant := cutText(it.Key()[1:])
		if !isTenant {
			return nil, fmt.Errorf("store: listing tenants: the key %s names none", Key(it.Key()))
		}
		tenants = append(tenants, market.TenantID(name))
		ok = it.SeekGE(successor(tenantPrefix(market.TenantID(name))))
	}
	if err := it.Error(); err != nil {
		return nil, fmt.Errorf("store: listing tenants: %w", err)
	}
	return tenants, nil
}
