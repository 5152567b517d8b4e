// Package replica keeps a copy of a marketplace in another place, continuously, and
// makes a data directory from such a copy. The place is a bucket or a directory, reached
// through litestream's replica clients.
//
// It promises:
//
//   - What is shipped was durable here first, and each file ends at a commit: no restore
//     ever sees half a transaction.
//   - A commit of class Transaction is shipped within about a second, UserData within
//     half a minute. Nothing is sent while nothing happens. When the replica can't be
//     reached, the change log on disk is the queue, so nothing is held in memory and a
//     restart loses nothing.
//   - At most one node writes to a history. Whoever has been replaced finds out by its
//     next write, which fails, and stops.
//   - What is read back is what was written, verified byte by byte, or an error that
//     names the object.
//
// It leaves to others which commits there are (store), which bytes a blob has
// (internal/blob), who restores when, and the check of the restored data (store.Check).
// So far level 0 and snapshots exist: no merged levels, no retention, no encryption. One
// change file is one PutObject, so at most 5 GiB; a snapshot goes up in parts of 5 MiB,
// so at most 48 GiB, unless the URL says partSize.
//
// # Terms
//
// An LSN is the number of a commit, and survives a restore. A TXID is the number of a
// change file, from 1 without holes within a generation: litestream's own convention, so
// that its tools can list a replica. A generation is one node's unbroken history; the
// Position of a replica is {generation, TXID, LSN, chain}, where the chain is the
// store's hash over all commits up to the LSN.
//
// # Layout
//
//	probe                                  created at the first start; see Client.Probe
//	gen/<G>/manifest.json                  whose generation it is, and what it goes on from
//	gen/<G>/0000/<n>-<n>.ltx               change file n, or the tombstone that ends G
//	gen/<G>/0009/<1>-<n>.ltx               snapshot: everything up to and including file n
//	0011/<hash>-<hash>.ltx                 blob, by the first 128 bits of its SHA-256
//
// <G> has 8 hexadecimal digits, <n> and <hash> 16 each. This is how litestream names
// things in a bucket; in a directory it writes ltx/0, ltx/9 and ltx/17 for the levels.
// Change files and manifests are created, never replaced: PutObject with If-None-Match:
// * on S3, a hard link in a directory. Snapshots and blobs are a function of their names,
// so replacing one changes nothing.
//
// # Files
//
//	LTX header, 100 bytes      numbers and time, so that litestream's clients carry it
//	sorted table …             Pebble's sstables: sets and deletes, each key once
//	footer                     CBOR, type footer: LSNs, chains, node, times, and for each
//	                           table its offset, size, CRC-32C, first and last key
//	length of the footer       4 bytes, big-endian
//	CRC-32C of the footer      4 bytes, big-endian
//	"SOUKCHG1"
//
// The header follows from the footer, the tables fill the space between the two, and
// each has its checksum, so no byte can change unnoticed; the chain that a file goes on
// from must be the chain that the file before it ended with, so none can be missing or
// belong to another history. A file's values are those of one database snapshot at
// its last LSN, not those of each commit: a key that changed often is sent once.
//
// When the change log has been cut beyond the replica's LSN (it was out of reach for
// long), the next file is full: it deletes everything, then brings everything. So the
// sequence of files stays one that can be applied in order, without exceptions.
//
// Blobs have the LTX header and then their bytes. They are copied before the change file
// whose records name them.
//
// # Fence
//
// A node that starts on a directory restored from a replica seals the newest generation:
// it creates that generation's next change file as a tombstone. Since numbers have no
// holes and files are never replaced, the old owner's next write meets the tombstone.
// Then it creates the manifest of the next generation, and whoever creates that owns it.
// No clock and no lease takes part. See Replicator.Open for all cases.
//
// A write whose answer was lost also meets a file: its own. The footer tells by node and
// chain, and the file is adopted.
//
// # Restore
//
// Restore walks from the target generation through its parents to the newest usable
// snapshot or the first file, downloads ahead, verifies, and ingests the tables in
// order into dir.restoring (small ones folded into larger before); then it fetches the blobs that the records name, sets the
// head of the change log, and renames. The restored directory has a node ID of its own
// and remembers its origin, which is what entitles it to seal.
package replica
