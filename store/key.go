package store

import (
	"encoding/binary"
	"iter"

	"github.com/souk-market/souk/internal/market"
)

// Key spaces: the first byte of every key.
const (
	spaceEngine byte = 0x00 // this data directory's own affairs, never replicated
	spaceTenant byte = 0x01 // everything a tenant owns
)

// Keys of the engine space.
var (
	keySchema = []byte{spaceEngine, 'v'}
	keyNode   = []byte{spaceEngine, 'n'}
	logPrefix = []byte{spaceEngine, 'l'}
	logEnd    = []byte{spaceEngine, 'l' + 1}
)

func logKey(lsn LSN) []byte {
	return binary.BigEndian.AppendUint64(append(make([]byte, 0, 10), logPrefix...), uint64(lsn))
}

// tableID is the byte after the tenant. Numbers are never used again for another table.
type tableID byte

// Kinds of keys of a table: the byte after the table. Secondary indexes have 1 to 0x7f,
// the counts of index n have countOf|n.
const (
	recordKeys byte = 0x00
	countOf    byte = 0x80
)

// tuple builds the parts of a key. Texts are prefixed with their length as a uvarint,
// so that no part can run into the next; those up to 127 bytes sort by length, then
// bytewise, which for IDs of one kind (all of one length) is their order in time.
// Numbers are eight bytes, big-endian.
type tuple []byte

func (t tuple) text(s string) tuple {
	return append(binary.AppendUvarint(t, uint64(len(s))), s...)
}

func (t tuple) uint(n uint64) tuple { return binary.BigEndian.AppendUint64(t, n) }

func tenantPrefix(tenant market.TenantID) tuple {
	return append(make(tuple, 0, 64), spaceTenant).text(string(tenant))
}

// successor is the first key after all keys that begin with prefix. No prefix of ours
// is all 0xff.
func successor(prefix []byte) []byte {
	end := append([]byte(nil), prefix...)
	for i := len(end) - 1; i >= 0; i-- {
		if end[i]++; end[i] != 0 {
			return end[:i+1]
		}
	}
	panic("store: a prefix of 0xff has no successor")
}

// Key is a changed key as the change log has it. Its parts are read with Table.ChangedIn.
type Key []byte

// parse takes a key of the tenant space apart: tenant, table, kind and the rest.
func (k Key) parse() (tenant market.TenantID, table tableID, kind byte, rest []byte, ok bool) {
	if len(k) < 1 || k[0] != spaceTenant {
		return "", 0, 0, nil, false
	}
	name, rest, ok := cutText(k[1:])
	if !ok || len(rest) < 2 {
		return "", 0, 0, nil, false
	}
	return market.TenantID(name), tableID(rest[0]), rest[1], rest[2:], true
}

// space is how many bytes of k name its space: tenant, table and kind, or all of a key
// that lacks these. Spaces sort as their keys do.
func (k Key) space() int {
	if len(k) < 2 || k[0] != spaceTenant || k[1] > maxTenant || len(k) < 4+int(k[1]) {
		return len(k)
	}
	return 4 + int(k[1])
}

// within reports whether k, if parse can take it apart, is of that table and kind.
func (k Key) within(table tableID, kind byte) bool {
	if len(k) < 2 || k[1] > maxTenant {
		return false
	}
	rest := k[2:]
	at := int(k[1])
	return at+1 < len(rest) && tableID(rest[at]) == table && rest[at+1] == kind
}

// String prints a key for people, as Inspect does: what isn't for every eye is masked,
// since errors and logs have keys in them.
func (k Key) String() string { return k.print(false) }

func cutText(b []byte) (text string, rest []byte, ok bool) {
	n, w := binary.Uvarint(b)
	if w <= 0 || n > uint64(len(b)-w) {
		return "", nil, false
	}
	return string(b[w : w+int(n)]), b[w+int(n):], true
}

// RecordKey names a record across tenants.
type RecordKey[K ~string] struct {
	Tenant market.TenantID
	ID     K
}

// ChangedIn yields the records of the table that keys name, whether written or deleted.
func (t *Table[K, R]) ChangedIn(keys []Key) iter.Seq[RecordKey[K]] {
	return func(yield func(RecordKey[K]) bool) {
		for _, k := range keys {
			if !k.within(t.id, recordKeys) { // most aren't, and parse costs memory
				continue
			}
			tenant, _, _, rest, ok := k.parse()
			if !ok {
				continue
			}
			if id, _, ok := cutText(rest); ok && !yield(RecordKey[K]{tenant, K(id)}) {
				return
			}
		}
	}
}

func tupleUint(b []byte) uint64 {
	if len(b) != 8 {
		return 0
	}
	return binary.BigEndian.Uint64(b)
}
