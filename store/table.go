package store

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"iter"
	"time"

	"github.com/cockroachdb/pebble/v2"
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

// All yields the records after a key ("" for all) in key order.
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

// Unique is an index with at most one record per name.
type Unique[P ~string, K ~string, R any] struct {
	table *Table[K, R]
	n     byte
	what  string
	name  func(*R) P // "" leaves the record out of the index
}

func unique[P, K ~string, R any](t *Table[K, R], n byte, what string, name func(*R) P) *Unique[P, K, R] {
	ix := &Unique[P, K, R]{t, n, what, name}
	t.indexes = append(t.indexes, ix)
	return ix
}

func (ix *Unique[P, K, R]) number() byte      { return ix.n }
func (ix *Unique[P, K, R]) isUnique() bool    { return true }
func (ix *Unique[P, K, R]) keepsCounts() bool { return false }
func (ix *Unique[P, K, R]) label() string     { return ix.what }
func (ix *Unique[P, K, R]) entry(to tuple, r *R) (tuple, bool) {
	name := ix.name(r)
	return to.text(string(name)), name != ""
}
func (ix *Unique[P, K, R]) counted(tuple, *R) (tuple, bool) { return nil, false }

// Load returns the record with the name, or NotFound.
func (ix *Unique[P, K, R]) Load(tx Reader, name P) (R, error) {
	r := tx.self()
	id, err := r.value(r.table(ix.table.id, ix.n).text(string(name)))
	if err != nil {
		var none R
		return none, err
	}
	if id == nil || name == "" {
		var none R
		return none, market.Errorf(market.NotFound, "There is no such %s.", ix.table.noun)
	}
	return ix.table.Load(tx, K(id))
}

// Index orders the records with a common prefix P; a record is in it once or not at all.
type Index[P any, K ~string, R any] struct {
	table  *Table[K, R]
	n      byte
	what   string
	prefix func(tuple, P) tuple // appends a prefix to a key
	of     func(*R) (prefix P, at place, ok bool)
	counts bool
}

// All is the prefix of an index over a whole table.
type All struct{}

func all(t tuple, _ All) tuple { return t }

func text[S ~string](t tuple, s S) tuple { return t.text(string(s)) }

// place is a record's place among those with its prefix: a number, or nothing, which
// leaves them in the order of their keys.
type place struct {
	n       uint64
	ordered bool
}

var byKey place

func largestFirst(n int64) place     { return place{^uint64(n), true} } // n must not be negative
func oldestFirst(at time.Time) place { return place{uint64(millis(at)), true} }
func newestFirst(at time.Time) place { return largestFirst(millis(at)) }
func millis(at time.Time) int64      { return max(at.UnixMilli(), 0) } // earlier times sort as 1970

// ordered declares an index: of gives a record's prefix and its place in the order.
func ordered[P any, K ~string, R any](t *Table[K, R], n byte, what string, prefix func(tuple, P) tuple,
	of func(*R) (P, place, bool)) *Index[P, K, R] {
	ix := &Index[P, K, R]{table: t, n: n, what: what, prefix: prefix, of: of}
	t.indexes = append(t.indexes, ix)
	return ix
}

// withCounts makes the index keep the number of records of each prefix.
func (ix *Index[P, K, R]) withCounts() *Index[P, K, R] {
	ix.counts = true
	return ix
}

func (ix *Index[P, K, R]) number() byte      { return ix.n }
func (ix *Index[P, K, R]) isUnique() bool    { return false }
func (ix *Index[P, K, R]) keepsCounts() bool { return ix.counts }
func (ix *Index[P, K, R]) label() string     { return ix.what }
func (ix *Index[P, K, R]) entry(to tuple, r *R) (tuple, bool) {
	p, at, ok := ix.of(r)
	if !ok {
		return to, false
	}
	if to = ix.prefix(to, p); at.ordered {
		to = to.uint(at.n)
	}
	return to, true
}
func (ix *Index[P, K, R]) counted(to tuple, r *R) (tuple, bool) {
	p, _, ok := ix.of(r)
	if !ok || !ix.counts {
		return to, false
	}
	return ix.prefix(to, p), true
}

// Cursor is a place in an index, opaque and safe in a URL; "" is the start.
type Cursor string

// cursorAt is the cursor of a place: the end of its index key, and a checksum by which a
// mistyped or made-up one is known.
func cursorAt(place []byte) Cursor {
	b := append(make([]byte, 0, 128), place...)
	b = binary.BigEndian.AppendUint32(b, crc32.ChecksumIEEE(place))
	return Cursor(base64.RawURLEncoding.AppendEncode(make([]byte, 0, 192), b))
}

func (c Cursor) place() ([]byte, bool) {
	b, err := base64.RawURLEncoding.DecodeString(string(c))
	if err != nil || len(b) < crc32.Size {
		return nil, false
	}
	place, sum := b[:len(b)-crc32.Size], b[len(b)-crc32.Size:]
	return place, binary.BigEndian.Uint32(sum) == crc32.ChecksumIEEE(place)
}

// Scan yields the records with the prefix in the index's order, after a cursor. Each
// comes with its own cursor: scanning after it goes on with the next, whatever was
// written in between. An unreadable cursor is Invalid.
func (ix *Index[P, K, R]) Scan(tx Reader, p P, after Cursor) iter.Seq2[Row[R], error] {
	r := tx.self()
	return func(yield func(Row[R], error) bool) {
		lower := ix.prefix(r.table(ix.table.id, ix.n), p)
		base := len(lower)
		upper := successor(lower)
		if after != "" {
			place, ok := after.place()
			if !ok {
				yield(Row[R]{}, market.FieldErrorf("cursor", "This cursor can't be read. Take it unchanged from the \"next\" of the page before."))
				return
			}
			lower = append(append(lower, place...), 0)
		}
		records := *r
		if records.points == nil { // as a transaction has them already
			records.points = &points{from: r.from}
			defer records.points.close()
		}
		begin := r.table(ix.table.id, recordKeys)
		for k, v := range r.scan(lower, upper) {
			if v.err != nil {
				yield(Row[R]{}, v.err)
				return
			}
			row := Row[R]{Cursor: cursorAt(k[base:])}
			begin = append(binary.AppendUvarint(begin[:len(r.prefix)+2], uint64(len(v.bytes))), v.bytes...)
			found, err := records.load(begin, &row.Record)
			if err == nil && !found {
				err = ix.table.missing()
			}
			if !yield(row, err) || err != nil {
				return
			}
		}
	}
}

// Row is a record and its place in the index that was scanned.
type Row[R any] struct {
	Record R
	Cursor Cursor
}

// Count returns the number of records with the prefix. The index must keep counts.
func (ix *Index[P, K, R]) Count(tx Reader, p P) (int, error) {
	if !ix.counts {
		panic("store: the index " + ix.what + " keeps no counts")
	}
	if err := settleCounts(tx); err != nil {
		return 0, err
	}
	r := tx.self()
	v, err := r.value(ix.prefix(r.table(ix.table.id, countOf|ix.n), p))
	return int(countIn(v)), err
}

// scanned is a value met by a scan, or the error that ended it. Its bytes are valid
// until the next step.
type scanned struct {
	bytes []byte
	err   error
}

func (s scanned) decode(v any) error {
	if s.err != nil {
		return s.err
	}
	return decode(s.bytes, v)
}

// scan yields keys and values of [lower, upper) in order: those of the moment when it
// begins, a transaction's own writes among them. After an error it ends.
func (r *reader) scan(lower, upper []byte) iter.Seq2[[]byte, scanned] {
	return func(yield func([]byte, scanned) bool) {
		it, err := r.from.NewIter(&pebble.IterOptions{LowerBound: lower, UpperBound: upper})
		if err != nil {
			yield(nil, scanned{err: fmt.Errorf("store: scanning: %w", err)})
			return
		}
		defer it.Close()
		var own []write
		if r.own != nil {
			own = r.own.between(lower, upper)
		}
		for stored := it.First(); stored || len(own) > 0; {
			if len(own) > 0 && (!stored || bytes.Compare(own[0].key, it.Key()) <= 0) {
				w := own[0]
				own = own[1:]
				if stored && bytes.Equal(w.key, it.Key()) {
					stored = it.Next()
				}
				if !w.deleted && !yield(w.key, scanned{bytes: w.value}) {
					return
				}
				continue
			}
			v, err := it.ValueAndErr()
			if err != nil {
				yield(nil, scanned{err: fmt.Errorf("store: scanning: %w", err)})
				return
			}
			if !yield(it.Key(), scanned{bytes: v}) {
				return
			}
			stored = it.Next()
		}
		if err := it.Error(); err != nil {
			yield(nil, scanned{err: fmt.Errorf("store: scanning: %w", err)})
		}
	}
}

// Counts returns the number of records of every prefix of an index that keeps counts
// and whose prefixes are texts.
func Counts[P, K ~string, R any](tx Reader, ix *Index[P, K, R]) (map[P]int, error) {
	if err := settleCounts(tx); err != nil {
		return nil, err
	}
	r := tx.self()
	counts := map[P]int{}
	lower := r.table(ix.table.id, countOf|ix.n)
	for k, v := range r.scan(lower, successor(lower)) {
		if v.err != nil {
			return nil, v.err
		}
		name, _, ok := cutText(k[len(lower):])
		if !ok {
			return nil, fmt.Errorf("store: the count %s has no text for a prefix", Key(k))
		}
		counts[P(name)] = int(countIn(v.bytes))
	}
	return counts, nil
}
