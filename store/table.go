package store

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"iter"

	"github.com/souk-market/souk/internal/market"
)

// Table keeps records R under keys K together with their secondary indexes: writing a
// record writes its index entries and counts in the same transaction, so neither can be
// forgotten. Tables are declared in doc.go.
type Table[K ~string, R any] struct {
	id      tableID
	name    string // plural, for messages and inspection
	noun    string // singular, in sentences for people
	key     func(*R) K
	indexes []indexWriter[R]
}

// indexWriter is what a table needs of an index of any type.
type indexWriter[R any] interface {
	number() byte
	// entry appends the index parts of a record to a key; ok is false when it isn't indexed.
	entry(to tuple, r *R) (key tuple, ok bool)
	isUnique() bool
	keepsCounts() bool
	// counted appends the prefix under which a record is counted to a key; ok is false
	// when it isn't, or the index keeps no counts.
	counted(to tuple, r *R) (key tuple, ok bool)
	label() string
}

func newTable[K ~string, R any](id tableID, name, noun string, key func(*R) K) *Table[K, R] {
	t := &Table[K, R]{id: id, name: name, noun: noun, key: key}
	if tableByID(id) != nil {
		panic(fmt.Sprintf("store: two tables have the number %d", id))
	}
	tables = append(tables, t)
	return t
}

func (t *Table[K, R]) recordKey(r *reader, id K) []byte {
	return r.table(t.id, recordKeys).text(string(id))
}

// Load returns a record, or NotFound.
func (t *Table[K, R]) Load(tx Reader, id K) (R, error) {
	var rec R
	found, err := tx.self().load(t.recordKey(tx.self(), id), &rec)
	if err != nil {
		return rec, err
	}
	if !found {
		return rec, t.missing()
	}
	return rec, nil
}

func (t *Table[K, R]) missing() error {
	return market.Errorf(market.NotFound, "There is no such %s.", t.noun)
}

// Has reports whether there is a record with the key.
func (t *Table[K, R]) Has(tx Reader, id K) (bool, error) {
	return tx.self().has(t.recordKey(tx.self(), id))
}

// Insert writes a record where none is; Conflict when there is one, or when another
// record has its place in a unique index. After a Conflict nothing has been written,
// and fn may try something else. It is the store's PutNew.
func (t *Table[K, R]) Insert(tx *Tx, rec *R) error {
	key, v, err := t.encode(tx, rec)
	if err != nil {
		return err
	}
	taken, err := tx.taken(key)
	if err != nil {
		return err
	}
	if taken {
		return market.Errorf(market.Conflict, "There is already a %s %s.", t.noun, t.key(rec))
	}
	return t.insert(tx, key, v, rec)
}

func (t *Table[K, R]) insert(tx *Tx, key, v []byte, rec *R) error {
	if err := t.refuseTaken(tx, nil, rec); err != nil {
		return err
	}
	if err := tx.put(key, v); err != nil {
		return err
	}
	for _, ix := range t.indexes {
		if err := t.addEntry(tx, ix, rec); err != nil {
			return err
		}
	}
	return nil
}

// Put writes a record, new or in the place of the one with its key. Conflict as with
// Insert, when another record has its place in a unique index.
func (t *Table[K, R]) Put(tx *Tx, rec *R) error {
	key, v, err := t.encode(tx, rec)
	if err != nil {
		return err
	}
	var old R
	found, err := tx.loadNew(key, &old)
	if err != nil {
		return err
	}
	if !found {
		return t.insert(tx, key, v, rec)
	}
	if err := t.refuseTaken(tx, &old, rec); err != nil {
		return err
	}
	if err := tx.put(key, v); err != nil {
		return err
	}
	return t.replaceEntries(tx, &old, rec)
}

// encode returns the key and the stored form of a record.
func (t *Table[K, R]) encode(tx *Tx, rec *R) (key, v []byte, err error) {
	id := t.key(rec)
	if id == "" {
		return nil, nil, fmt.Errorf("store: this %s has no key: %+v", t.noun, *rec)
	}
	v, err = encodeTo(&tx.own.values, rec)
	return t.recordKey(&tx.reader, id), v, err
}

// refuseTaken answers Conflict when another record has rec's place in a unique index.
// old is the record that rec replaces, nil when it is new.
func (t *Table[K, R]) refuseTaken(tx *Tx, old, rec *R) error {
	for _, ix := range t.indexes {
		if !ix.isUnique() {
			continue
		}
		key, ok := t.entryKey(&tx.reader, ix, rec)
		if !ok {
			continue
		}
		if old != nil {
			if was, wasIn := t.entryKey(&tx.reader, ix, old); wasIn && bytes.Equal(was, key) {
				continue
			}
		}
		taken, err := tx.taken(key)
		if err != nil {
			return err
		}
		if taken {
			return market.Errorf(market.Conflict, "There is already a %s with this %s.", t.noun, ix.label())
		}
	}
	return nil
}

// Delete removes a record with its index entries; deleting what isn't there is fine.
func (t *Table[K, R]) Delete(tx *Tx, id K) error {
	var old R
	key := t.recordKey(&tx.reader, id)
	found, err := tx.load(key, &old)
	if err != nil || !found {
		return err
	}
	if err := tx.delete(key); err != nil {
		return err
	}
	for _, ix := range t.indexes {
		if err := t.removeEntry(tx, ix, &old); err != nil {
			return err
		}
	}
	return nil
}

// All yields the records after a key ("" for all) in key order, as they are when it
// begins: what a transaction writes meanwhile isn't met.
func (t *Table[K, R]) All(tx Reader, after K) iter.Seq2[R, error] {
	r := tx.self()
	lower := []byte(r.table(t.id, recordKeys))
	upper := successor(lower)
	if after != "" {
		lower = append(t.recordKey(r, after), 0)
	}
	return func(yield func(R, error) bool) {
		for _, v := range r.scan(lower, upper) {
			var rec R
			if err := v.decode(&rec); !yield(rec, err) || err != nil {
				return
			}
		}
	}
}

func (t *Table[K, R]) replaceEntries(tx *Tx, old, rec *R) error {
	for _, ix := range t.indexes {
		was, wasIn := t.entryKey(&tx.reader, ix, old)
		now, nowIn := t.entryKey(&tx.reader, ix, rec)
		if wasIn == nowIn && bytes.Equal(was, now) { // so the count, whose prefix is part of the entry, is the same too
			continue
		}
		if err := t.removeEntry(tx, ix, old); err != nil {
			return err
		}
		if err := t.addEntry(tx, ix, rec); err != nil {
			return err
		}
	}
	return nil
}

// entryKey is the key of a record's index entry: the parts, and for an index that isn't
// unique the record's key after them. ok is false when the record isn't indexed.
func (t *Table[K, R]) entryKey(r *reader, ix indexWriter[R], rec *R) (key []byte, ok bool) {
	k, ok := ix.entry(r.table(t.id, ix.number()), rec)
	if ok && !ix.isUnique() {
		k = k.text(string(t.key(rec)))
	}
	return k, ok
}

func (t *Table[K, R]) addEntry(tx *Tx, ix indexWriter[R], rec *R) error {
	key, ok := t.entryKey(&tx.reader, ix, rec)
	if !ok {
		return nil
	}
	id := t.key(rec)
	if err := tx.put(key, append(tx.own.take(len(id)), id...)); err != nil {
		return err
	}
	t.addCount(tx, ix, rec, 1)
	return nil
}

func (t *Table[K, R]) removeEntry(tx *Tx, ix indexWriter[R], rec *R) error {
	key, ok := t.entryKey(&tx.reader, ix, rec)
	if !ok {
		return nil
	}
	if err := tx.delete(key); err != nil {
		return err
	}
	t.addCount(tx, ix, rec, -1)
	return nil
}

func (t *Table[K, R]) addCount(tx *Tx, ix indexWriter[R], rec *R, delta int64) {
	if !ix.keepsCounts() {
		return
	}
	if key, ok := ix.counted(tx.table(t.id, countOf|ix.number()), rec); ok {
		tx.addCount(key, delta)
	}
}

func countIn(v []byte) int64 {
	n, _ := binary.Varint(v)
	return n
}
