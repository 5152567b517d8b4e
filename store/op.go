package store

import (
	"time"

	"github.com/souk-market/souk/internal/market"
)

// Op says what an Update is.
type Op struct {
	// ID names the operation, so that it takes effect once however often it is asked
	// for: "settle/pay_…". It is kept with the result for OpKept. An Update without ID
	// has an effect each time.
	ID    string
	Class Class
}

// OpKept is how long an operation's ID is remembered. Providers repeat a webhook for
// three days and keep events for thirty.
const OpKept = 30 * 24 * time.Hour

// opRecord is an operation done.
type opRecord struct {
	ID     string    `cbor:"id"`
	LSN    LSN       `cbor:"lsn"`
	At     time.Time `cbor:"at"`
	Result []byte    `cbor:"result,omitempty"`
	Money  bool      `cbor:"money,omitempty"` // see RequireAck
}

// PruneOps looks at up to n operations after the one with the ID after ("" for the
// first), and forgets those done before a time. It reports how many it forgot and where
// to go on: the ID of the last one looked at, "" when there are no more.
func PruneOps(tx *Tx, before time.Time, after string, n int) (forgotten int, next string, err error) {
	looked := 0
	for op, err := range ops.All(tx, after) {
		if err != nil {
			return forgotten, next, err
		}
		if looked == n {
			return forgotten, next, nil
		}
		looked, next = looked+1, op.ID
		if !op.At.Before(before) {
			continue
		}
		if err := ops.Delete(tx, op.ID); err != nil {
			return forgotten, next, err
		}
		forgotten++
	}
	return forgotten, "", nil
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
