package store

import (
	"bytes"
	"slices"

	"github.com/cockroachdb/pebble/v2"
)

// writes are what a transaction has written so far, the newest of each key found by
// binary search. They become a batch of the engine only when the transaction commits, so
// that reading them back costs no index of the engine's, and a transaction that fails
// leaves nothing there. Keys and values lie in an arena that the next transaction uses
// again: nothing of them may outlive the transaction.
type writes struct {
	entries []write      // in the order in which they were made
	order   []int32      // of the newest entry of each key, by key
	arena   []byte       // used up to its length
	values  bytes.Buffer // of records; what it outgrows stays with those who have parts of it
	counts  []countChange
	money   bool // something of moneyTables is among them
	acts    bool // whoever made them acts on what others have committed
}

// write is a value set at a key, or its deletion.
type write struct {
	key, value []byte
	deleted    bool
}

// countChange is what is still to be added to the count at a key.
type countChange struct {
	key   []byte
	delta int64
}

const (
	arenaChunk = 64 << 10
	arenaKept  = 1 << 20 // bytes; a larger arena isn't kept for the next transaction
	keySpace   = 160     // bytes reserved for a key while it is put together; longer ones move
)

// reset empties the writes for the next transaction.
func (w *writes) reset() {
	clear(w.entries)
	clear(w.counts)
	w.entries, w.order, w.counts = w.entries[:0], w.order[:0], w.counts[:0]
	w.money, w.acts = false, false
	if w.arena = w.arena[:0]; cap(w.arena) > arenaKept {
		w.arena = nil
	}
	if w.values.Reset(); w.values.Cap() > arenaKept {
		w.values = bytes.Buffer{}
	}
}

// take returns n bytes of the arena, of length 0 and capacity n. A full arena is left to
// those who have parts of it, and a new one begun.
func (w *writes) take(n int) []byte {
	if cap(w.arena)-len(w.arena) < n {
		w.arena = make([]byte, 0, max(n, arenaChunk, min(2*cap(w.arena), arenaKept)))
	}
	start := len(w.arena)
	w.arena = w.arena[:start+n]
	return w.arena[start : start : start+n]
}

// add appends a write; key and value must stay as they are until the transaction ends.
func (w *writes) add(key, value []byte, deleted bool) {
	i := int32(len(w.entries))
	w.entries = append(w.entries, write{key, value, deleted})
	at, found := w.search(key)
	if found {
		w.order[at] = i
		return
	}
	w.order = slices.Insert(w.order, at, i)
}

func (w *writes) search(key []byte) (at int, found bool) {
	if n := len(w.order); n > 0 { // keys often come in order
		switch bytes.Compare(w.entries[w.order[n-1]].key, key) {
		case -1:
			return n, false
		case 0:
			return n - 1, true
		}
	}
	return slices.BinarySearchFunc(w.order, key, func(i int32, key []byte) int { return bytes.Compare(w.entries[i].key, key) })
}

// find returns the newest write at a key, nil when there is none.
func (w *writes) find(key []byte) *write {
	if at, found := w.search(key); found {
		return &w.entries[w.order[at]]
	}
	return nil
}

// between returns the writes in [lower, upper) as they are now: what is written while
// they are walked isn't met.
func (w *writes) between(lower, upper []byte) []write {
	from, _ := w.search(lower)
	to, _ := w.search(upper)
	if from == to {
		return nil
	}
	found := make([]write, 0, to-from)
	for _, i := range w.order[from:to] {
		found = append(found, w.entries[i])
	}
	return found
}

// keys returns the keys written, sorted, each once.
func (w *writes) keys() [][]byte {
	keys := make([][]byte, 0, len(w.order))
	for _, i := range w.order {
		keys = append(keys, w.entries[i].key)
	}
	return keys
}

// batch returns the newest writes, sorted by key, with room for one more of extra bytes.
func (w *writes) batch(db *pebble.DB, extra int) (*pebble.Batch, error) {
	const perKey = 12 // kind and two lengths
	size := extra + 2*perKey
	for _, i := range w.order {
		size += len(w.entries[i].key) + len(w.entries[i].value) + perKey
	}
	b := db.NewBatchWithSize(size)
	for _, i := range w.order {
		e := &w.entries[i]
		var err error
		if e.deleted {
			err = b.Delete(e.key, nil)
		} else {
			err = b.Set(e.key, e.value, nil)
		}
		if err != nil {
			b.Close()
			return nil, err
		}
	}
	return b, nil
}
