package store

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"fmt"
	"iter"
	"maps"
	"slices"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/batchrepr"
)

// Writes yields every key that the commits after an LSN up to the snapshot's have changed,
// in order, each once with what it holds at the snapshot: a nil value when it has been
// deleted. The slices are valid until the next step. What KeepWrites has in memory is taken
// from there, the rest from log and database. ErrLogCut as in Feed.
func (s *Snapshot) Writes(after LSN) (iter.Seq2[KeyValue, error], error) {
	parts, first := s.recent.between(after, s.lsn)
	kept, err := foldRecent(parts, first, s.lsn)
	if err != nil {
		return nil, err
	}
	var older []Key // changed before, and maybe again
	if first > after+1 {
		cs, err := s.Changes(after, int(first-after-1))
		if err != nil {
			return nil, err
		}
		older = kept.without(cs.Keys)
	}
	return func(yield func(KeyValue, error) bool) {
		p := points{from: s.snap}
		defer p.close()
		rest := older
		for newer := range kept.all() {
			for ; len(rest) > 0 && bytes.Compare(rest[0], newer.Key) < 0; rest = rest[1:] {
				if kv, err := p.keyValue(rest[0]); !yield(kv, err) || err != nil {
					return
				}
			}
			if !yield(newer, nil) {
				return
			}
		}
		for _, k := range rest {
			if kv, err := p.keyValue(k); !yield(kv, err) || err != nil {
				return
			}
		}
	}, nil
}

// folded are writes of recent commits, the newest of each key, in the order of keys.
type folded struct {
	parts  [][]byte
	writes []recentWrite
}

// recentWrite is where a write lies. Later writes lie further on.
type recentWrite struct {
	at   uint64 // number of the part, and offset there in the low 32 bits
	word uint64 // of the key, while writes are sorted
}

// foldRecent folds the commits from first to last that are in parts. What it costs are
// visits to memory that no cache has, so it sorts each space of keys by the first 8 bytes
// in which keys there differ, which most often tells all of them apart.
func foldRecent(parts [][]byte, first, last LSN) (*folded, error) {
	f := &folded{parts: parts}
	spaces := map[string]*recentSpace{}
	for i, p := range parts {
		for at := 0; at < len(p); {
			lsn := LSN(binary.BigEndian.Uint64(p[at:]))
			end := at + recentHead + int(binary.BigEndian.Uint32(p[at+8:]))
			if first <= lsn && lsn <= last {
				if err := f.add(spaces, i, at+recentHead, end); err != nil {
					return nil, fmt.Errorf("store: reading the writes of commit %d: %w", lsn, err)
				}
			}
			at = end
		}
	}
	f.join(spaces)
	return f, nil
}

// recentSpace are the writes of a space of keys, in the order in which they were made.
type recentSpace struct {
	writes []recentWrite
	key    []byte // of the first
	same   int    // bytes with which all keys begin
}

// add takes a commit's writes, which lie in [at, end) of a part.
func (f *folded) add(spaces map[string]*recentSpace, part, at, end int) error {
	for r := batchrepr.Reader(f.parts[part][at:end]); len(r) > 0; {
		w := recentWrite{at: uint64(part)<<32 | uint64(end-len(r))}
		_, key, _, ok, err := r.Next()
		if !ok {
			return err
		}
		name := key[:Key(key).space()]
		s := spaces[string(name)]
		if s == nil {
			s = &recentSpace{key: key, same: len(key)}
			spaces[string(name)] = s
		}
		s.writes = append(s.writes, w)
		if s.same > len(key) || !bytes.Equal(key[:s.same], s.key[:s.same]) {
			s.same = sharedPrefix(key[:min(s.same, len(key))], s.key)
		}
	}
	return nil
}

// join sorts the writes of all spaces, and drops all but the newest of each key.
func (f *folded) join(spaces map[string]*recentSpace) {
	size := 0
	for _, s := range spaces {
		size += len(s.writes)
	}
	f.writes = make([]recentWrite, 0, size)
	for _, name := range slices.Sorted(maps.Keys(spaces)) {
		s := spaces[name]
		f.writes = append(f.writes, f.sort(s.writes, s.same)...)
	}
}

// write returns a write's key and value, which is nil for a deletion.
func (f *folded) write(w recentWrite) KeyValue {
	r := batchrepr.Reader(f.parts[w.at>>32][uint32(w.at):])
	kind, key, value, _, _ := r.Next() // add has read it before
	if kind == pebble.InternalKeyKindDelete {
		return KeyValue{Key: key}
	}
	return KeyValue{key, value[:len(value):len(value)]}
}

func (f *folded) key(w recentWrite) []byte { return f.write(w).Key }

// fewWrites are sorted by comparing keys.
const fewWrites = 12

// sort sorts writes by key and returns the newest of each. The keys are the same up to
// depth, or have ended.
func (f *folded) sort(writes []recentWrite, depth int) []recentWrite {
	longest := 0
	if len(writes) > fewWrites {
		for i := range writes {
			key := f.key(writes[i])
			longest = max(longest, len(key))
			writes[i].word = wordAt(key, depth)
		}
	}
	if longest <= depth { // few, or all the same but for zeros at the end
		slices.SortFunc(writes, f.compare)
		return slices.CompactFunc(writes, func(a, b recentWrite) bool { return bytes.Equal(f.key(a), f.key(b)) })
	}
	slices.SortFunc(writes, func(a, b recentWrite) int {
		if a.word != b.word {
			return cmp.Compare(a.word, b.word)
		}
		return cmp.Compare(b.at, a.at)
	})
	sorted := writes[:0]
	for start := 0; start < len(writes); {
		end := start + 1
		for end < len(writes) && writes[end].word == writes[start].word {
			end++
		}
		if end == start+1 {
			sorted = append(sorted, writes[start])
		} else {
			sorted = append(sorted, f.sort(writes[start:end], depth+8)...)
		}
		start = end
	}
	return sorted
}

func (f *folded) compare(a, b recentWrite) int {
	if c := bytes.Compare(f.key(a), f.key(b)); c != 0 {
		return c
	}
	return cmp.Compare(b.at, a.at)
}

// wordAt returns 8 bytes of a key as a number, with zeros behind its end.
func wordAt(key []byte, depth int) uint64 {
	if depth+8 <= len(key) {
		return binary.BigEndian.Uint64(key[depth:])
	}
	var b [8]byte
	if depth < len(key) {
		copy(b[:], key[depth:])
	}
	return binary.BigEndian.Uint64(b[:])
}

// all yields the writes in order. It looks a few ahead: none of them is in a cache, and
// the machine fetches several at once.
func (f *folded) all() iter.Seq[KeyValue] {
	return func(yield func(KeyValue) bool) {
		var ahead [16]KeyValue
		for writes := range slices.Chunk(f.writes, len(ahead)) {
			for i, w := range writes {
				ahead[i] = f.write(w)
			}
			for _, kv := range ahead[:len(writes)] {
				if !yield(kv) {
					return
				}
			}
		}
	}
}

// without returns those of sorted keys that aren't among the writes.
func (f *folded) without(keys []Key) []Key {
	i := 0
	return slices.DeleteFunc(keys, func(k Key) bool {
		for i < len(f.writes) && bytes.Compare(f.key(f.writes[i]), k) < 0 {
			i++
		}
		return i < len(f.writes) && bytes.Equal(f.key(f.writes[i]), k)
	})
}
