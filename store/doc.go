// Package store keeps everything that Souk knows. It owns transactions, the change log,
// tables and their indexes, the job queue, and the check of the whole database; it
// promises what DESIGN.md lists under "Store: promises"; it leaves to its callers who may
// do what. Pebble is the engine, and no other package but internal/replica sees it.
//
// # Use
//
// Update runs a function alone and commits what it wrote; View runs one on a snapshot;
// Feed yields the commits in order. Both kinds of transaction are bound to a tenant and
// see only its records. Tables (tables.go) read and write records:
//
//	db.Update(ctx, tenant, store.Op{ID: "settle/" + id}, func(tx *store.Tx) error {
//		p, err := store.Payments.Load(tx, id)
//		…
//		return store.Payments.Put(tx, &p)
//	})
//
// # The life of a commit
//
// The writer's token admits one Update at a time. It runs fn on an indexed batch, adds
// the change-log entry with the next LSN and the chain hash, and applies the batch to
// the memtable and the log's buffer. Then it gives up the token and waits for the sync,
// which it shares with all commits of that moment. So readers can see a commit that isn't
// durable yet; nothing that acts on the outside may: followers are fed up to DurableLSN,
// and Update returns after the sync. If a sync fails, the process ends (Options.Fatal),
// because memory and disk may differ from there on.
//
// # Keys
//
// Texts in keys are length-prefixed (uvarint) and numbers are eight bytes, big-endian.
//
//	00 'v'                                   schema version, four bytes
//	00 'n'                                   Node, CBOR
//	00 'l' LSN                               change-log entry (log.go)
//	01 tenant table 00 key                   record, CBOR
//	01 tenant table n parts key              entry of index n: the record's key; a unique
//	                                         index has no key at the end
//	01 tenant table 80|n prefix              number of records under a prefix of index n
//
// The space 00 belongs to the directory and isn't replicated; the space 01 is, whole.
// Table and index numbers are in tables.go; records are in internal/market, except jobs
// and operations, which are the store's own.
//
//	 1 ops           operation ID            1 time
//	 2 jobs          job ID                  1 kind, due time · 2 state*
//	 3 accounts      account ID              1 e-mail address!
//	 4 sellers       seller ID               1 slug! · 2 account
//	 5 agents        agent ID                1 slug! · 2 external ID! · 3 category, popularity* ·
//	                                         4 popularity* · 5 updated · 6 seller*
//	 6 blobs         SHA-256
//	 7 carts         cart ID                 1 updated
//	 8 checkouts     checkout ID             1 receipt! · 2 number! · 3 expiry · 4 buyer*, completed
//	 9 orders        order ID                1 checkout · 2 seller · 3 seller*, paid
//	10 payments      payment ID              1 checkout! · 2 session! · 3 created, while open
//	11 events        provider:event ID
//	12 entitlements  entitlement ID          1 line! · 2 checkout
//	13 licenses      license ID              1 hash of the key!
//	14 postings      posting ID              1 cause!
//	15 balances      account and currency
//	16 sessions      SHA-256 of the token    1 account* · 2 expiry
//
// (! unique, * with counts)
package store
