package store

import (
	"encoding/binary"
	"fmt"
	"time"
)

// The log of a standby has one entry for each file of its replica that it has taken in,
// under the number of the file's last commit:
//
//	version 2, class, Unix milliseconds, chain  as in an entry of one commit
//	uvarint                                     commits before the last that it stands for
//	byte                                        1: all its keys follow; 0: any key may have changed
//	number of keys and keys                     as in an entry of one commit
//
// Between two entries nothing is known of the chain, and a change that names no keys is to
// followers as if the log had been cut there.

// maxListed bounds the keys of an entry, in bytes of their encoding. A follower of more
// does better to start over.
const maxListed = 8 << 20

const (
	spanUnlisted = 0
	spanListed   = 1
)

// parseSpan reads what an entry of a run of commits has more than one of a single commit.
func (c *Change) parseSpan(b []byte) (rest []byte, err error) {
	before, w := binary.Uvarint(b)
	if w <= 0 || len(b) == w || before >= uint64(c.LSN) || b[w] > spanListed {
		return nil, fmt.Errorf("store: change log entry %d is damaged", c.LSN)
	}
	c.First = c.LSN - LSN(before)
	c.unlisted = b[w] == spanUnlisted
	return b[w+1:], nil
}

// span collects the keys of an entry of a run of commits. The zero value is empty.
type span struct {
	keys     int
	encoded  []byte // the keys
	last     []byte
	unlisted bool
}

// add takes the next key in order.
func (s *span) add(k []byte) {
	s.keys++
	if !s.unlisted {
		s.encoded = appendLogKey(s.encoded, s.last, k)
		if len(s.encoded) > maxListed {
			s.unlist()
		}
	}
	s.last = append(s.last[:0], k...)
}

// unlist has the entry say that any key may have changed.
func (s *span) unlist() { s.unlisted, s.encoded = true, nil }

// entry encodes the entry of the commits from first to last.
func (s *span) entry(first, last LSN, at time.Time, chain Chain) []byte {
	b := make([]byte, 0, len(s.encoded)+64)
	b = append(b, spanVersion, byte(Transaction))
	b = binary.AppendVarint(b, at.UnixMilli())
	b = append(b, chain[:]...)
	b = binary.AppendUvarint(b, uint64(last-first))
	if s.unlisted {
		return binary.AppendUvarint(append(b, spanUnlisted), 0)
	}
	b = binary.AppendUvarint(append(b, spanListed), uint64(s.keys))
	return append(b, s.encoded...)
}
