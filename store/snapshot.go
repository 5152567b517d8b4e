package store

import (
	"bytes"
	"context"
	"crypto/sha256"
	"iter"
	"slices"
	"time"

	"github.com/cockroachdb/pebble/v2"
)

// Snapshot is everything replicated, pinned at one durable commit, for followers that
// copy raw keys and values. Close it.
type Snapshot struct {
	snap   *pebble.Snapshot
	recent *recent
	lsn    LSN
	chain  Chain
	time   time.Time
}

// Snapshot pins the last commit and waits until it is durable.
func (db *DB) Snapshot(ctx context.Context) (*Snapshot, error) {
	if err := db.gate.enter(); err != nil {
		return nil, err
	}
	defer db.gate.leave()
	if err := db.turn(ctx); err != nil {
		return nil, err
	}
	s := &Snapshot{snap: db.engine.NewSnapshot(), recent: &db.recent, lsn: db.last, chain: db.lastChain, time: db.lastTime}
	db.yield()
	if err := db.waitDurable(ctx, s.lsn); err != nil {
		s.snap.Close()
		return nil, err
	}
	return s, nil
}

// LSN is the commit that the snapshot is pinned at.
func (s *Snapshot) LSN() LSN { return s.lsn }

// Chain is the chain hash at LSN.
func (s *Snapshot) Chain() Chain { return s.chain }

// Time is when LSN was committed.
func (s *Snapshot) Time() time.Time { return s.time }

// Close lets go of the snapshot.
func (s *Snapshot) Close() error { return s.snap.Close() }

// ChangeSet is a run of commits folded together: each changed key once.
type ChangeSet struct {
	Min, Max LSN   // of the commits
	Class    Class // the most urgent of them
	Chain    Chain // at Max
	Time     time.Time
	Keys     []Key // sorted
}

// Changes folds the commits after an LSN up to the snapshot's, at most maxCommits of
// them, or a few more where a standby has replayed several together. Values are read with Value: they are those of the snapshot, so a ChangeSet that
// stops before the snapshot's LSN carries newer values of keys that change again later,
// which is harmless to whoever applies all ChangeSets in order. ErrLogCut as in Feed.
func (s *Snapshot) Changes(after LSN, maxCommits int) (*ChangeSet, error) {
	upTo := min(s.lsn, after+LSN(maxCommits))
	cs := &ChangeSet{Min: after + 1, Max: after, Class: Ephemeral}
	for c, err := range readLog(s.snap, after, s.lsn) {
		if err != nil {
			return nil, err
		}
		cs.Max, cs.Chain, cs.Time = c.LSN, c.Chain, c.Time
		cs.Class = min(cs.Class, c.Class)
		cs.Keys = append(cs.Keys, c.Keys...)
		if cs.Max >= upTo {
			break
		}
	}
	slices.SortFunc(cs.Keys, func(a, b Key) int { return bytes.Compare(a, b) })
	cs.Keys = slices.CompactFunc(cs.Keys, func(a, b Key) bool { return bytes.Equal(a, b) })
	return cs, nil
}

// Value returns what a key holds; ok is false when the key has been deleted.
func (s *Snapshot) Value(k Key) (v []byte, ok bool, err error) {
	r := reader{from: s.snap}
	v, err = r.value(k)
	return v, v != nil, err
}

// Values yields what each of keys holds, in their order: a nil value for a key that has
// been deleted. The slices are valid until the next step. Keys in ascending order cost
// half of as many calls of Value.
func (s *Snapshot) Values(keys []Key) iter.Seq2[KeyValue, error] {
	return func(yield func(KeyValue, error) bool) {
		p := points{from: s.snap}
		defer p.close()
		for _, k := range keys {
			if kv, err := p.keyValue(k); !yield(kv, err) || err != nil {
				return
			}
		}
	}
}

// keyValue reads a key; the value is nil when nothing is there, and valid until the next
// read.
func (p *points) keyValue(k Key) (KeyValue, error) {
	kv := KeyValue{Key: k}
	_, err := p.read(k, func(v []byte) error {
		kv.Value = v[:len(v):len(v)]
		if v == nil { // an entry of an index may have no value
			kv.Value = []byte{}
		}
		return nil
	})
	return kv, err
}

// KeyValue is a replicated key with its value.
type KeyValue struct {
	Key   Key
	Value []byte
}

// All yields every replicated key in order, with a value that isn't nil. The slices are
// valid until the next step.
func (s *Snapshot) All() iter.Seq2[KeyValue, error] {
	r := reader{from: s.snap}
	return func(yield func(KeyValue, error) bool) {
		for k, v := range r.scan([]byte{spaceTenant}, []byte{spaceTenant + 1}) {
			if v.bytes == nil { // as keyValue
				v.bytes = []byte{}
			}
			if !yield(KeyValue{k, v.bytes}, v.err) {
				return
			}
		}
	}
}

// Digest is the SHA-256 over all replicated keys and values with their lengths: equal
// for two directories exactly when they hold the same data.
func (s *Snapshot) Digest(ctx context.Context) (sum [32]byte, err error) {
	h := sha256.New()
	n := 0
	for kv, err := range s.All() {
		if err != nil {
			return sum, err
		}
		if n++; n%4096 == 0 && ctx.Err() != nil {
			return sum, ctx.Err()
		}
		h.Write(tuple(nil).uint(uint64(len(kv.Key))).uint(uint64(len(kv.Value))))
		h.Write(kv.Key)
		h.Write(kv.Value)
	}
	return [32]byte(h.Sum(nil)), nil
}
