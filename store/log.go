package store

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"iter"
	"time"

	"github.com/cockroachdb/pebble/v2"
)

// LSN is the number of a commit: 1, 2, 3, … without holes. It survives a restore.
type LSN uint64

// Chain is a hash over the whole history up to a commit: the first 16 bytes of
// SHA-256(previous chain ‖ LSN ‖ class ‖ time ‖ the commit's writes). Two directories
// with the same LSN and chain hold the same data.
type Chain [16]byte

func (c Chain) String() string { return hex.EncodeToString(c[:]) }

// Class says how urgently a commit must leave the machine.
type Class uint8

const (
	Transaction Class = iota // money, accounts, listings: a replica cuts a file at once
	UserData                 // may wait half a minute
	Ephemeral                // sessions, leases: never makes a file of its own
)

func (c Class) String() string {
	switch c {
	case Transaction:
		return "transaction"
	case UserData:
		return "user data"
	}
	return "ephemeral"
}

// ErrLogCut says that the change log doesn't have the LSN asked for: it has been cut, or
// the directory was restored to an earlier moment. A follower that gets it starts over
// from the records.
var ErrLogCut = errors.New("store: the change log no longer reaches back that far")

// Change is one durable commit as followers see it: which keys, not which values. The
// values are read when they are needed, and may be newer.
//
// On a standby one change may stand for a run of commits, those of a replica's file: it
// has the number, time and chain of the last of them, and the keys of all.
type Change struct {
	First LSN // LSN itself, or the first of the run of commits that ends with it
	LSN   LSN
	Time  time.Time
	Class Class
	Chain Chain
	Keys  []Key // sorted, each once
	More  bool  // the next change is already there: a batch may go on

	unlisted bool // any key may have changed; Feed answers ErrLogCut
}

const (
	logVersion  = 1
	spanVersion = 2 // of entries of a run of commits (span.go)
)

// appendLogEntry encodes a change-log entry: version, class, Unix milliseconds, chain,
// number of keys, and each key as the length it shares with the one before, the length
// of the rest, and the rest.
func appendLogEntry(b []byte, class Class, at time.Time, chain Chain, keys [][]byte) []byte {
	b = append(b, logVersion, byte(class))
	b = binary.AppendVarint(b, at.UnixMilli())
	b = append(b, chain[:]...)
	b = binary.AppendUvarint(b, uint64(len(keys)))
	var prev []byte
	for _, k := range keys {
		b = appendLogKey(b, prev, k)
		prev = k
	}
	return b
}

func appendLogKey(b, prev, k []byte) []byte {
	shared := sharedPrefix(prev, k)
	b = binary.AppendUvarint(b, uint64(shared))
	b = binary.AppendUvarint(b, uint64(len(k)-shared))
	return append(b, k[shared:]...)
}

func sharedPrefix(a, b []byte) int {
	n := 0
	for n < len(a) && n < len(b) && a[n] == b[n] {
		n++
	}
	return n
}

func parseLogEntry(lsn LSN, b []byte) (c Change, err error) {
	bad := func() (Change, error) {
		return Change{}, fmt.Errorf("store: change log entry %d is damaged", lsn)
	}
	if len(b) < 3 || b[0] != logVersion && b[0] != spanVersion {
		return bad()
	}
	isSpan := b[0] == spanVersion
	c.First, c.LSN, c.Class = lsn, lsn, Class(b[1])
	b = b[2:]
	ms, w := binary.Varint(b)
	if w <= 0 || len(b) < w+len(c.Chain) {
		return bad()
	}
	c.Time = time.UnixMilli(ms).UTC()
	b = b[w:]
	b = b[copy(c.Chain[:], b):]
	if isSpan {
		if b, err = c.parseSpan(b); err != nil {
			return bad()
		}
	}
	n, w := binary.Uvarint(b)
	if w <= 0 || n > uint64(len(b)) {
		return bad()
	}
	b = b[w:]
	if c.Keys, b = parseLogKeys(b, int(n)); len(b) != 0 || len(c.Keys) != int(n) {
		return bad()
	}
	return c, nil
}

// parseLogKeys reads n keys, or as many as can be read. They share one array: a follower
// reads many small ones.
func parseLogKeys(b []byte, n int) (keys []Key, rest []byte) {
	keys = make([]Key, 0, n)
	all := make([]byte, 0, sizeOfLogKeys(b, n))
	var prev Key
	for range n {
		shared, tail, rest, ok := cutLogKey(b, len(prev))
		if !ok {
			return keys, b
		}
		start := len(all)
		all = append(append(all, prev[:shared]...), tail...)
		prev = all[start:len(all):len(all)]
		keys, b = append(keys, prev), rest
	}
	return keys, b
}

// sizeOfLogKeys is how many bytes n keys have, those that can be read.
func sizeOfLogKeys(b []byte, n int) (size int) {
	prev := 0
	for range n {
		shared, tail, rest, ok := cutLogKey(b, prev)
		if !ok {
			break
		}
		prev, b = shared+len(tail), rest
		size += prev
	}
	return size
}

// cutLogKey splits off a key: how much it has of the one before, whose length is prev, and
// what follows that.
func cutLogKey(b []byte, prev int) (shared int, tail, rest []byte, ok bool) {
	of, w1 := binary.Uvarint(b)
	if w1 <= 0 || of > uint64(prev) {
		return 0, nil, nil, false
	}
	n, w2 := binary.Uvarint(b[w1:])
	if w2 <= 0 || n > uint64(len(b)-w1-w2) || of+n > MaxKey {
		return 0, nil, nil, false
	}
	b = b[w1+w2:]
	return int(of), b[:n], b[n:], true
}

// nextChain hashes a commit onto the chain. repr is the batch's encoding of the
// commit's writes, without Pebble's header (sequence number and count).
func nextChain(prev Chain, lsn LSN, class Class, at time.Time, repr []byte) (next Chain) {
	var head [16 + 8 + 1 + 8]byte
	copy(head[:], prev[:])
	binary.BigEndian.PutUint64(head[16:], uint64(lsn))
	head[24] = byte(class)
	binary.BigEndian.PutUint64(head[25:], uint64(at.UnixMilli()))
	h := sha256.New()
	h.Write(head[:])
	h.Write(repr)
	copy(next[:], h.Sum(nil))
	return next
}

// Feed yields the durable changes after an LSN in order, and waits for new ones until
// ctx ends (then it yields ctx's error) or the database is closed (Unavailable). It
// fails with ErrLogCut where the log has been cut, and where after lies ahead of the
// last commit.
func (db *DB) Feed(ctx context.Context, after LSN) iter.Seq2[Change, error] {
	return func(yield func(Change, error) bool) {
		if after > db.LastLSN() {
			yield(Change{}, ErrLogCut)
			return
		}
		for {
			changes, err := db.nextChanges(ctx, after)
			for _, c := range changes {
				if !yield(c, nil) {
					return
				}
				after = c.LSN
			}
			if err != nil {
				yield(Change{}, err)
				return
			}
		}
	}
}

// feedKeys is about how many changed keys of a feed are read ahead. No iterator is open
// while the follower works, however long that takes: it would keep old files on the disk.
const feedKeys = 4_096

// nextChanges waits until there are durable changes after an LSN and returns the first
// of them. Changes that come with an error precede it.
func (db *DB) nextChanges(ctx context.Context, after LSN) ([]Change, error) {
	if err := db.waitFeed(ctx, after+1); err != nil {
		return nil, err
	}
	if err := db.gate.enter(); err != nil {
		return nil, err
	}
	defer db.gate.leave()
	var changes []Change
	keys, upTo := 0, db.DurableLSN()
	for c, err := range readLog(db.engine, after, upTo) {
		if err != nil {
			return changes, err
		}
		c.More = c.LSN < upTo
		changes = append(changes, c)
		if keys += 1 + len(c.Keys); keys >= feedKeys {
			break
		}
	}
	return changes, nil
}

// waitFeed is waitDurable for one who must not keep the database from closing.
func (db *DB) waitFeed(ctx context.Context, lsn LSN) error {
	for ctx.Err() == nil {
		ch, now := db.durability()
		if now >= lsn {
			return db.faults.delayFeed(ctx)
		}
		select {
		case <-ch:
		case <-db.gate.closing:
			return errStopping
		case <-ctx.Done():
		}
	}
	return ctx.Err()
}

// readLog yields the log's entries of (after, upTo], where upTo is the end of one. The
// first may have begun before. A gap is an error.
func readLog(r pebble.Reader, after, upTo LSN) iter.Seq2[Change, error] {
	return func(yield func(Change, error) bool) {
		if after >= upTo {
			return
		}
		it, err := r.NewIter(&pebble.IterOptions{LowerBound: logKey(after + 1), UpperBound: logKey(upTo + 1)})
		if err != nil {
			yield(Change{}, fmt.Errorf("store: reading the change log: %w", err))
			return
		}
		defer it.Close()
		want := after + 1
		for ok := it.First(); ok; ok = it.Next() {
			lsn := LSN(binary.BigEndian.Uint64(it.Key()[len(logPrefix):]))
			c, err := parseLogEntry(lsn, it.Value())
			if err == nil && c.First > want {
				break
			}
			if err == nil && c.unlisted {
				c, err = Change{}, ErrLogCut
			}
			if !yield(c, err) || err != nil {
				return
			}
			want = lsn + 1
		}
		switch err := it.Error(); {
		case err != nil:
			yield(Change{}, fmt.Errorf("store: reading the change log: %w", err))
		case want == after+1:
			yield(Change{}, ErrLogCut)
		case want <= upTo:
			yield(Change{}, fmt.Errorf("store: the change log has a hole at %d", want))
		}
	}
}

// ChainAt returns the chain hash at an LSN, ErrLogCut when the log doesn't have it: it was
// cut, or commits of a standby were replayed together and this is none of their ends.
func (db *DB) ChainAt(lsn LSN) (Chain, error) {
	if lsn == 0 {
		return Chain{}, nil
	}
	if err := db.gate.enter(); err != nil {
		return Chain{}, err
	}
	defer db.gate.leave()
	v, closer, err := db.engine.Get(logKey(lsn))
	if errors.Is(err, pebble.ErrNotFound) {
		return Chain{}, ErrLogCut
	}
	if err != nil {
		return Chain{}, fmt.Errorf("store: reading the change log: %w", err)
	}
	defer closer.Close()
	c, err := parseLogEntry(lsn, v)
	return c.Chain, err
}

// Retention keeps the change log from being cut before its holder has followed it.
type Retention struct {
	db   *DB
	name string
}

// Retain registers a follower that has followed the log up to and including after.
func (db *DB) Retain(name string, after LSN) *Retention {
	r := &Retention{db, name}
	r.Advance(after)
	return r
}

// Advance says that the follower no longer needs the log up to and including lsn.
func (r *Retention) Advance(lsn LSN) {
	r.db.retainMu.Lock()
	defer r.db.retainMu.Unlock()
	r.db.retained[r.name] = lsn
	r.db.recent.advance(r.name, lsn)
}

// Release ends the follower's claim.
func (r *Retention) Release() {
	r.db.retainMu.Lock()
	defer r.db.retainMu.Unlock()
	delete(r.db.retained, r.name)
	r.db.recent.release(r.name)
}

// logKept is how many entries stay in the log whatever the followers say, so that a
// follower that was away for a moment needn't start over.
const logKept = 100_000

// CutLog drops the entries that every registered follower has followed, except the
// last logKept. It is for the running server, when all its followers are registered.
func (db *DB) CutLog() error {
	if err := db.gate.enter(); err != nil {
		return err
	}
	defer db.gate.leave()
	upTo := db.DurableLSN()
	db.retainMu.Lock()
	for _, lsn := range db.retained {
		upTo = min(upTo, lsn)
	}
	db.retainMu.Unlock()
	if upTo <= db.opts.logKept {
		return nil
	}
	if err := db.engine.DeleteRange(logPrefix, logKey(upTo-db.opts.logKept), pebble.NoSync); err != nil {
		return fmt.Errorf("store: cutting the change log: %w", err)
	}
	return nil
}
