package replica

import "crypto/sha256"

// segment is one sorted table of a snapshot, kept as an object of its own that is named
// by its content: snapshots that have a range of keys in common share it.
type segment struct {
	Sum   [sha256.Size]byte `cbor:"sum"` // of the table's bytes
	Size  int64             `cbor:"len"` // of the table in bytes
	First []byte            `cbor:"first"`
	Last  []byte            `cbor:"last"`
	Keys  int64             `cbor:"n"`
}
