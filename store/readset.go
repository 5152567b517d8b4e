package store

import (
	"bytes"
	"context"
	"iter"
	"slices"

	"github.com/souk-market/souk/internal/market"
)

// ReadSet is all that a transaction has asked for. What was made of its answers alone
// stays as it is until a commit touches the set.
type ReadSet struct {
	// LSN: the transaction has seen every commit up to it. It may have seen some of those
	// that follow.
	LSN LSN

	// Points are keys read one by one, whether anything was stored there or not. One may
	// come several times.
	Points []Key

	// Ranges are what has been scanned, each up to where the scan stopped.
	Ranges []Range

	// Timed: the transaction was asked for its time, which no commit tells the end of.
	Timed bool

	arena []byte // of the keys
}

// Range is a stretch of keys with a common prefix, from From to To, both included. A nil
// To is the end of all keys with the prefix.
type Range struct {
	Prefix, From, To Key
}

// Contains reports whether a key is in the range.
func (r Range) Contains(k Key) bool {
	return bytes.HasPrefix(k, r.Prefix) && bytes.Compare(k, r.From) >= 0 && (r.To == nil || bytes.Compare(k, r.To) <= 0)
}

// Touches reports whether a write at a key may change what the transaction was told.
func (s *ReadSet) Touches(k Key) bool {
	for _, p := range s.Points {
		if bytes.Equal(p, k) {
			return true
		}
	}
	for _, r := range s.Ranges {
		if r.Contains(k) {
			return true
		}
	}
	return false
}

func (s *ReadSet) point(key []byte) {
	if s != nil {
		s.Points = append(s.Points, s.keep(key))
	}
}

// scanned notes a scan of [lower, upper) that ended with the key last, or with none left.
// upper is the successor of a prefix.
func (s *ReadSet) scanned(lower, upper, last []byte) {
	if s == nil {
		return
	}
	r := Range{Prefix: s.keep(upper), From: s.keep(lower)}
	r.Prefix[len(r.Prefix)-1]--
	if last != nil {
		r.To = s.keep(last)
	}
	s.Ranges = append(s.Ranges, r)
}

// keep copies a key. A full arena is left to the keys that are in it.
func (s *ReadSet) keep(key []byte) Key {
	if cap(s.arena)-len(s.arena) < len(key) {
		s.arena = make([]byte, 0, max(readSetChunk, len(key)))
	}
	start := len(s.arena)
	s.arena = append(s.arena, key...)
	return s.arena[start:len(s.arena):len(s.arena)]
}

const readSetChunk = 1 << 10 // bytes: about twenty-five keys, an agent's page

// Compact returns the set for keeping: each point once, and no memory but what the keys
// take. size is how much that is, in bytes.
func (s *ReadSet) Compact() (c ReadSet, size int64) {
	c = ReadSet{LSN: s.LSN, Timed: s.Timed, Ranges: make([]Range, len(s.Ranges))}
	points := slices.Clone(s.Points)
	slices.SortFunc(points, func(a, b Key) int { return bytes.Compare(a, b) })
	c.Points = slices.Clone(slices.CompactFunc(points, func(a, b Key) bool { return bytes.Equal(a, b) }))
	keys := 0
	for _, p := range c.Points {
		keys += len(p)
	}
	for _, r := range s.Ranges {
		keys += len(r.Prefix) + len(r.From) + len(r.To)
	}
	c.arena = make([]byte, 0, keys)
	for i, p := range c.Points {
		c.Points[i] = c.keep(p)
	}
	for i, r := range s.Ranges {
		c.Ranges[i] = Range{Prefix: c.keep(r.Prefix), From: c.keep(r.From)}
		if r.To != nil {
			c.Ranges[i].To = c.keep(r.To)
		}
	}
	const slice = 24 // bytes of a slice's header
	return c, int64(keys + slice*(len(c.Points)+3*len(c.Ranges)))
}

// ViewReads is View, and returns what fn has read, also when fn returns an error.
func (db *DB) ViewReads(ctx context.Context, tenant market.TenantID, fn func(tx *ReadTx) error) (ReadSet, error) {
	var reads ReadSet
	err := db.view(ctx, tenant, &reads, fn)
	return reads, err
}

// Moment is the last commit that a transaction sees: all up to it, and none after. ok is
// false where that isn't known, because a commit was under way when the transaction began
// or the transaction is one that writes.
func Moment(tx Reader) (lsn LSN, ok bool) { return tx.self().at, tx.self().exact }

// ReadsOf runs fn on a transaction that only reads, and returns what fn has read, also when
// it returns an error. It counts as read by tx too.
func ReadsOf(tx Reader, fn func(tx Reader) error) (ReadSet, error) {
	outer := tx.self()
	part := &ReadTx{*outer}
	reads := &ReadSet{LSN: outer.at}
	part.reads = reads
	err := fn(part)
	outer.money = part.money
	AlsoRead(tx, reads)
	return *reads, err
}

// AlsoRead counts as read by a transaction what another one has read whose result it uses.
func AlsoRead(tx Reader, reads *ReadSet) {
	if s := tx.self().reads; s != nil {
		s.Points = append(s.Points, reads.Points...)
		s.Ranges = append(s.Ranges, reads.Ranges...)
		s.Timed = s.Timed || reads.Timed
	}
}

// Visible yields the changes of (after, upTo] in order, as Feed does, but those too that
// aren't durable yet: View shows them already. It is for what follows the log to forget
// what it has read by View, in memory alone; whoever acts on a commit follows Feed. upTo
// is what LastLSN has returned, so nothing is waited for. ErrLogCut as with Feed.
func (db *DB) Visible(after, upTo LSN) iter.Seq2[Change, error] {
	return func(yield func(Change, error) bool) {
		if err := db.gate.enter(); err != nil {
			yield(Change{}, err)
			return
		}
		defer db.gate.leave()
		for c, err := range readLog(db.engine, after, upTo) {
			if !yield(c, err) || err != nil {
				return
			}
		}
	}
}
