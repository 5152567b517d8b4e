package store

import (
	"bytes"
	"fmt"

	"github.com/cockroachdb/pebble/v2"
)

// frontier knows, for each space of keys where records are inserted, a key that none
// stored there goes beyond. IDs grow with time, so most new keys do, and then nothing
// has to be read to know that they are free. It belongs to the writer, and may be too
// high (a transaction failed) but never too low.
type frontier map[string][]byte

const maxFrontier = 10_000 // spaces; a transaction that begins with more looks all up anew

// trim forgets everything when there is too much of it. Only between transactions: what
// one has written can't be looked up before it is committed.
func (f frontier) trim() {
	if len(f) > maxFrontier {
		clear(f)
	}
}

// beyond reports whether nothing can be at a key because it lies beyond all others of
// its space, and moves the frontier up to it. Whoever writes a key that is looked up here
// before it is written has to ask here first.
func (tx *Tx) beyond(key []byte) (bool, error) {
	space := key[:min(len(key), len(tx.prefix)+3)] // table, kind and the length of a text
	top, known := tx.frontier[string(space)]
	if !known {
		var err error
		if top, err = tx.highest(space); err != nil {
			return false, err
		}
	}
	further := bytes.Compare(key, top) > 0
	if further {
		top = append(top[:0], key...)
	}
	if further || !known {
		tx.frontier[string(space)] = top
	}
	return further, nil
}

// highest returns the highest stored key with a prefix, or the prefix itself.
func (tx *Tx) highest(prefix []byte) ([]byte, error) {
	it, err := tx.from.NewIter(&pebble.IterOptions{LowerBound: prefix, UpperBound: successor(prefix)})
	if err != nil {
		return nil, fmt.Errorf("store: reading %s: %w", Key(prefix), err)
	}
	defer it.Close()
	top := bytes.Clone(prefix)
	if it.Last() {
		top = append(top[:0], it.Key()...)
	}
	if err := it.Error(); err != nil {
		return nil, fmt.Errorf("store: reading %s: %w", Key(prefix), err)
	}
	return top, nil
}

// taken reports whether anything is stored at a key where something is to be inserted.
func (tx *Tx) taken(key []byte) (bool, error) {
	free, err := tx.beyond(key)
	if free || err != nil {
		return false, err
	}
	return tx.has(key)
}

// loadNew is load for a key that is likely to be new.
func (tx *Tx) loadNew(key []byte, record any) (bool, error) {
	free, err := tx.beyond(key)
	if free || err != nil {
		return false, err
	}
	return tx.load(key, record)
}
