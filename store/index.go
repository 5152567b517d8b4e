package store

import (
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"iter"
	"time"

	"github.com/souk-market/souk/internal/market"
)

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

// withCounts makes the index keep the number of records of each prefix. What a transaction
// adds is summed up and written once, at its end, by the one writer: a count that everybody
// changes costs nobody a wait or a repeat. An engine with several writers keeps a row of
// its own for each of them, and Count adds the rows up.
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
//
// A transaction that writes while it scans goes on through the places of the moment when
// the scan began: a record comes as it is now, and one deleted since is passed over.
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
				if r.hasDeleted(k) {
					continue
				}
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
