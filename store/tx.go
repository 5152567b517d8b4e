package store

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/souk-market/souk/internal/market"
)

// Limits of a transaction, the same on any engine (SCALE.md 2.1). What is larger goes
// into the blob store, or in several transactions.
const (
	MaxKey    = 1 << 10         // bytes
	MaxValue  = 64 << 10        // bytes
	MaxWrites = 1_000           // of keys, index entries and the operation's ID included; a key written again counts again
	MaxBytes  = 4 << 20         // keys and values of a transaction
	MaxTime   = 2 * time.Second // that fn may run
)

// Reader reads records of one tenant: a Tx or a ReadTx.
type Reader interface {
	self() *reader
	// Now is the transaction's time.
	Now() time.Time
}

type reader struct {
	from   pebble.Reader
	own    *writes  // of a Tx, over what is in from; nil otherwise
	reads  *ReadSet // notes what is read; nil where nobody asks
	points *points  // for those who read many single keys; nil for one by one
	prefix tuple    // of the tenant
	tenant market.TenantID
	now    time.Time
	at     LSN  // of a ReadTx: it sees every commit up to it,
	exact  bool // and none after
	money  bool // it has asked for something of moneyTables
}

func (r *reader) self() *reader { return r }

// Now is the time of the transaction, the same throughout.
func (r *reader) Now() time.Time {
	if r.reads != nil {
		r.reads.Timed = true
	}
	return r.now
}

// Tenant is whose records the transaction sees.
func (r *reader) Tenant() market.TenantID { return r.tenant }

// table begins a key of a table.
func (r *reader) table(id tableID, kind byte) tuple {
	r.money = r.money || moneyTables[id]
	var t tuple
	if r.own != nil {
		t = r.own.take(keySpace)
	} else {
		t = make(tuple, 0, len(r.prefix)+48)
	}
	return append(append(t, r.prefix...), byte(id), kind)
}

// read calls use with what is stored at a key, and reports whether anything is. The
// value is valid inside use only.
func (r *reader) read(key []byte, use func(v []byte) error) (found bool, err error) {
	r.reads.point(key)
	if r.own != nil {
		if w := r.own.find(key); w != nil {
			if w.deleted {
				return false, nil
			}
			return true, use(w.value)
		}
	}
	if r.points != nil {
		return r.points.read(key, use)
	}
	v, closer, err := r.from.Get(key)
	if errors.Is(err, pebble.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("store: reading %s: %w", Key(key), err)
	}
	defer closer.Close()
	return true, use(v)
}

// hasDeleted reports whether the transaction has deleted a key.
func (r *reader) hasDeleted(key []byte) bool {
	if r.own == nil {
		return false
	}
	w := r.own.find(key)
	return w != nil && w.deleted
}

// has reports whether anything is stored at a key.
func (r *reader) has(key []byte) (bool, error) {
	return r.read(key, func([]byte) error { return nil })
}

// value returns what is stored at a key, nil when nothing is.
func (r *reader) value(key []byte) (value []byte, err error) {
	_, err = r.read(key, func(v []byte) error {
		value = append([]byte{}, v...)
		return nil
	})
	return value, err
}

// load decodes what is stored at a key into record; false when nothing is.
func (r *reader) load(key []byte, record any) (bool, error) {
	return r.read(key, func(v []byte) error { return decode(v, record) })
}

// ReadTx is a consistent view of a tenant's records at one moment. It is valid inside
// View's function only.
type ReadTx struct{ reader }

// Tx is a transaction: it reads its own writes. It is valid inside Update's function only.
type Tx struct {
	reader
	frontier frontier
	bytes    int
	result   []byte
	failed   error // of the first write that couldn't be made; the transaction can't be committed
}

// SetResult sets the small value that Update returns, and returns again to whoever
// repeats the operation.
func (tx *Tx) SetResult(b []byte) { tx.result = b }

// put writes a value. Key and value must not change until the transaction ends. After an
// error the transaction can't be committed any more, even by a function that ignores it:
// half of a record's entries may be missing.
func (tx *Tx) put(key, value []byte) error { return tx.write(key, value, false) }

// delete is to a key what put is to a value.
func (tx *Tx) delete(key []byte) error { return tx.write(key, nil, true) }

func (tx *Tx) write(key, value []byte, deleted bool) error {
	if err := tx.count(key, value); err != nil {
		return tx.fail(err)
	}
	tx.own.add(key, value, deleted)
	if at := len(tx.prefix); at < len(key) && moneyTables[key[at]] {
		tx.own.money = true
	}
	return nil
}

// addCount adds to a count, which is written once a transaction.
func (tx *Tx) addCount(key []byte, delta int64) {
	for i := range tx.own.counts {
		if c := &tx.own.counts[i]; bytes.Equal(c.key, key) {
			c.delta += delta
			return
		}
	}
	tx.own.counts = append(tx.own.counts, countChange{key, delta})
}

// settleCounts writes the counts that a transaction has changed. It comes before every
// reading of counts and before the commit.
func settleCounts(r Reader) error {
	tx, ok := r.(*Tx)
	if !ok {
		return nil
	}
	for _, c := range tx.own.counts {
		if err := tx.writeCount(c); err != nil {
			return tx.fail(err) // those before it would be added again
		}
	}
	tx.own.counts = tx.own.counts[:0]
	return nil
}

// writeCount adds to a stored count. A count of 0 isn't stored.
func (tx *Tx) writeCount(c countChange) error {
	if c.delta == 0 {
		return nil
	}
	n := c.delta
	if _, err := tx.read(c.key, func(v []byte) error { n += countIn(v); return nil }); err != nil {
		return err
	}
	if n == 0 {
		return tx.delete(c.key)
	}
	return tx.put(c.key, binary.AppendVarint(tx.own.take(binary.MaxVarintLen64), n))
}

func (tx *Tx) fail(err error) error {
	if tx.failed == nil {
		tx.failed = err
	}
	return err
}

func (tx *Tx) count(key, value []byte) error {
	tx.bytes += len(key) + len(value)
	switch {
	case len(key) > MaxKey:
		return market.Errorf(market.TooLarge, "A key of %d bytes is over the limit of %d.", len(key), MaxKey)
	case len(value) > MaxValue:
		return market.Errorf(market.TooLarge, "A record of %d bytes is over the limit of %d.", len(value), MaxValue)
	case len(tx.own.entries) >= MaxWrites:
		return market.Errorf(market.TooLarge, "One transaction can't write more than %d keys.", MaxWrites)
	case tx.bytes > MaxBytes:
		return market.Errorf(market.TooLarge, "One transaction can't write more than %d bytes.", MaxBytes)
	}
	return nil
}
