package store

import (
	"encoding/binary"
	"sync"
)

// recent are the writes of the last commits, for those who copy them out of the database
// soon after: reading them back costs a search of tables for each key. A commit is copied
// once, as its batch has it, by the writer; what lies in a part never changes, so readers
// hold no lock while they work. Nothing is kept while nobody holds it, nor what all holders
// have had, nor more than limit bytes: the oldest goes first. A reader holds what it was
// given until it is done, which may be as much again.
//
// The commits that are kept have no holes, and the last of them is the database's last.
type recent struct {
	limit int // bytes

	mu      sync.Mutex // guards everything below; held for moments
	holders map[string]*recentHolder
	parts   []recentPart
	size    int // bytes of all parts, used or not
}

type recentHolder struct {
	had  LSN
	half chan struct{} // has room for one: half of the limit is used
}

// recentPart holds a run of commits one behind the other: LSN and length of the writes, in
// 8 and 4 bytes, and the writes in Pebble's encoding, sorted by key, each key once.
type recentPart struct {
	first, last LSN
	data        []byte
}

const (
	recentKept  = 16 << 20 // bytes: a second of 6,000 purchases
	recentParts = 64       // of that
	recentHead  = 8 + 4    // bytes before a commit's writes
)

// hold has writes kept from the next commit on, until the holder has followed them.
func (r *recent) hold(name string, after LSN) <-chan struct{} {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.holders == nil {
		r.holders = map[string]*recentHolder{}
	}
	h := &recentHolder{after, make(chan struct{}, 1)}
	r.holders[name] = h
	return h.half
}

// release ends a hold, if there is one.
func (r *recent) release(name string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.holders, name)
	r.trim()
}

// advance says up to where a holder has followed; it does nothing for others.
func (r *recent) advance(name string, lsn LSN) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if h := r.holders[name]; h != nil {
		h.had = lsn
		r.trim()
	}
}

// trim drops what no holder lacks, but for the part that is being filled: there is one
// for many commits. mu is held.
func (r *recent) trim() {
	if len(r.holders) == 0 {
		r.drop(len(r.parts))
		return
	}
	had := LSN(1<<64 - 1)
	for _, h := range r.holders {
		had = min(had, h.had)
	}
	for len(r.parts) > 1 && r.parts[0].last <= had {
		r.drop(1)
	}
}

// drop forgets the first n parts; mu is held.
func (r *recent) drop(n int) {
	for i := range n {
		r.size -= cap(r.parts[i].data)
		r.parts[i] = recentPart{}
	}
	if r.parts = r.parts[n:]; len(r.parts) == 0 {
		r.parts = nil
	}
}

// add keeps a commit, as the writer. writes are Pebble's encoding without its header; they
// are copied.
func (r *recent) add(lsn LSN, writes []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.holders) == 0 {
		return
	}
	need := recentHead + len(writes)
	if n := len(r.parts); need > r.limit || n > 0 && r.parts[n-1].last+1 != lsn {
		r.drop(n)
	}
	if need > r.limit {
		return
	}
	p := r.room(need)
	if p.first == 0 {
		p.first = lsn
	}
	p.last = lsn
	p.data = binary.BigEndian.AppendUint64(p.data, uint64(lsn))
	p.data = binary.BigEndian.AppendUint32(p.data, uint32(len(writes)))
	p.data = append(p.data, writes...)
}

// room returns a part with so many bytes left; mu is held.
func (r *recent) room(need int) *recentPart {
	if n := len(r.parts); n > 0 {
		if p := &r.parts[n-1]; cap(p.data)-len(p.data) >= need {
			return p
		}
	}
	capacity := max(r.limit/recentParts, need)
	for r.size+capacity > r.limit {
		r.drop(1)
	}
	r.parts = append(r.parts, recentPart{data: make([]byte, 0, capacity)})
	r.size += capacity
	if r.size > r.limit/2 {
		r.tellHolders()
	}
	return &r.parts[len(r.parts)-1]
}

// tellHolders tells those who haven't had the oldest part; mu is held.
func (r *recent) tellHolders() {
	for _, h := range r.holders {
		if h.had >= r.parts[0].last {
			continue
		}
		select {
		case h.half <- struct{}{}:
		default:
		}
	}
}

// forget drops all commits, which have no successor: the next isn't known here.
func (r *recent) forget() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.drop(len(r.parts))
}

// between returns the parts with the commits of (after, upTo] that are kept, and the first
// of these, upTo+1 when there is none. The parts may hold others, too.
func (r *recent) between(after, upTo LSN) (parts [][]byte, first LSN) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if n := len(r.parts); n == 0 || r.parts[n-1].last < upTo {
		return nil, upTo + 1
	}
	first = upTo + 1
	for _, p := range r.parts {
		if p.last <= after || p.first > upTo {
			continue
		}
		first = min(first, max(p.first, after+1))
		parts = append(parts, p.data)
	}
	return parts, first
}

// KeepWrites has what commits write from now on kept in memory, at most 16 MiB for all
// holders together, so that Snapshot.Writes finds it there. What all have advanced beyond
// is dropped. The channel tells that half of the memory is used: who advances soon loses
// nothing. DropWrites and Release end it.
func (r *Retention) KeepWrites() <-chan struct{} {
	r.db.retainMu.Lock()
	after := r.db.retained[r.name]
	r.db.retainMu.Unlock()
	return r.db.recent.hold(r.name, after)
}

// DropWrites ends KeepWrites. The log is still kept for the holder.
func (r *Retention) DropWrites() { r.db.recent.release(r.name) }
