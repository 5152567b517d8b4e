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
// One change file is one PutObject, so at most 5 GiB; a merged file goes up in parts of
// 5 MiB, so at most 48 GiB, unless the URL says partSize. A snapshot's list of segments is
// for databases of 100 GB and some.
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
//	lease.json                             a hint of who lives; see Lease
//	gen/<G>/manifest.json                  whose generation it is, and what it goes on from
//	gen/<G>/handover.json                  an asking to hold back; see Fence
//	gen/<G>/0000/<n>-<n>.ltx               change file n, or the tombstone that ends G
//	gen/<G>/0001/<m>-<n>.ltx               what change files m to n amount to, of one half minute
//	gen/<G>/0002/<m>-<n>.ltx               the same of five minutes
//	gen/<G>/0003/<m>-<n>.ltx               the same of an hour
//	gen/<G>/0009/<1>-<n>.ltx               snapshot: everything up to and including file n
//	0010/<hash>-<hash>.ltx                 segment of snapshots, by its SHA-256 likewise
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
// Format 1 has neither merged files nor segments, and its snapshots are one file with all
// tables; it is read as ever.
//
// # Keys
//
// A replica is begun with a Key or without, and stays so: its manifests say with which.
// With a key, change files, snapshots, segments and blobs are encrypted by age behind their
// LTX headers, and blobs and segments are named by a keyed hash. crypt.go has the layout of
// a file, of which the footer's public part stays readable: numbers, LSNs, times, node and
// sizes are no secret.
//
// age doesn't say who wrote a file, so each carries an HMAC-SHA-256 by the key, over the
// public part, that over the secret part, and so on down to each table's SHA-256. That of a
// change file is its Link, and the next names it: what is forged, changed, left out, put
// in, or from another history of the same key is noticed. What can't be noticed is that the
// newest files are missing, or that the whole replica is an old copy; nothing in the
// replica can tell that.
//
// The recovery key reads and writes. The server key, derived from it, only writes; a server
// that has no more than it ships, restarts, merges what it has copies of, and deletes what
// no public part names, and its thief reads nothing, though he can forge.
//
// # Levels and snapshots
//
// The owner of the newest generation merges each window's files into one of the next
// level: of each key what the newest file has, deletions too, and from the last full file
// on. Applied to the state before its first file, a merged file gives what they give one
// by one, so a restore may take any level for any part of the way. Merged files never
// cross generations. They are made from copies in the spool folder, so that nothing is
// read back, and nothing depends on them: level 0 says the same. A merge that was cut short
// or done twice leaves files that overlap, which a restore tolerates; what is left unmerged
// is found by listing when a process starts. Where nothing is new, nothing is asked.
//
// A snapshot is a file without tables that lists segments, which are sorted tables under
// names made of their content. Where a segment ends depends on a hash of the next key, so
// that a key that is added or taken away moves no bounds but those beside it: a day's
// snapshot sends what is new, and what all retained snapshots hold in common is stored
// once. The footers of snapshots and files list the blobs that they need, for retention; a
// snapshot also those that files since the snapshot before have named, so that the moments
// between can be restored with all their blobs.
//
// # Retention
//
// The owner of the newest generation deletes from time to time what Options.Retention no
// longer asks for; Retention.Expired is the rule. A file goes only for something that the
// listing does show, an old enough snapshot behind it or a coarser file over it, since what
// a listing lacks proves nothing. Then segments and blobs go that nothing names which is
// left: not before they are old, and in the second sweep that finds them so. The newest
// file of level 0 of each generation always stays, since the fence rests on it; and a node
// that stood still for long looks for its own last file before it writes the next, since
// the one that it would meet may have been deleted.
//
// # Fence
//
// A node that takes over seals the newest generation: it creates that generation's next
// change file as a tombstone. Since numbers have no holes and files are never replaced,
// the old owner's next write meets the tombstone. Then it creates the manifest of the next
// generation, and whoever creates that owns it. No clock and no lease takes part. See
// Replicator.Open for all cases.
//
// What was shipped before the tombstone is part of the history that goes on: a Follower
// takes it in before it opens the next generation, and a directory that lacks it is refused
// (ErrBehind), unless it was restored to an earlier moment on purpose.
//
// A primary whose files follow one another without a pause could outrun a tombstone. It
// looks now and then whether it is asked to hold back (handover.json) and does so once.
// That and the lease are hints: a server that ignored them would be slower to replace, or
// slower to notice that it was, and nothing else.
//
// A name of level 0 that became free again could be written by an owner that has stood
// still: so the last change file and the tombstone of each generation are never deleted,
// and an owner that has shipped nothing for long looks whether its last file is still there.
//
// A write whose answer was lost also meets a file: its own. The footer tells by node and
// chain, and the file is adopted.
//
// # Restore
//
// Restore lists the files of all levels of the generations that lead to the target, of
// one replica or several, and goes the way with the fewest files from the newest snapshot
// on. A snapshot's segments are fetched, verified and taken in in parallel; change files
// are downloaded ahead and taken in in order, small ones folded into larger tables. Then
// the blobs that the records name are fetched, the head of the change log is set, and
// dir.restoring is renamed. Segments and blobs that an interrupted restore has verified
// are used again. The restored directory has a node ID of its own and remembers its
// origin, which is what entitles it to seal.
//
// A file that is damaged or missing is named, and passed over: for finer files of the
// same replica, for those of another, for an older snapshot. Replicas are joined by LSN,
// since a file applies to any commit of [LSNMin-1, LSNMax]; restore_join.go says what
// keeps histories apart.
//
// With RestoreOptions.Attach the segments stay where they are; see Attachment.
package replica
