package store

import (
	"time"

	"github.com/souk-market/souk/internal/market"
)

// PruneOps forgets operations done before a time, at most n of them, the oldest first,
// and reports how many it forgot.
func PruneOps(tx *Tx, before time.Time, n int) (int, error) {
	pruned := 0
	for row, err := range oldOps.Scan(tx, All{}, "") {
		if err != nil {
			return pruned, err
		}
		if pruned == n || !row.Record.At.Before(before) {
			break
		}
		if err := ops.Delete(tx, row.Record.ID); err != nil {
			return pruned, err
		}
		pruned++
	}
	return pruned, nil
}

// operation returns the record of an operation done, or NotFound.
func (tx *Tx) operation(id string) (opRecord, error) {
	var done opRecord
	found, err := tx.loadNew(ops.recordKey(&tx.reader, id), &done)
	if err == nil && !found {
		err = errNotDone
	}
	return done, err
}

var errNotDone = market.Errorf(market.NotFound, "This operation hasn't been done.")

// keepOperation writes the record of an operation that operation has not found.
func (tx *Tx) keepOperation(done opRecord) error {
	key, v, err := ops.encode(tx, &done)
	if err != nil {
		return err
	}
	return ops.insert(tx, key, v, &done)
}
