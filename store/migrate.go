package store

import (
	"bytes"
	"context"
	"fmt"
	"iter"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/souk-market/souk/internal/market"
)

// migration brings data from one schema version to the next. It is made of edits of raw
// keys, and reads them in the form of the version that it begins with: never through
// today's tables and types, which go on changing. It may be cut off at any point and is
// then asked again for all its edits: those that were made must not be asked for again,
// or do nothing the second time.
type migration struct {
	what  string // it does, for the log
	edits func(from pebble.Reader) iter.Seq2[keyEdit, error]
}

// keyEdit sets a key, or with a nil value deletes it. Its slices are valid until the next.
type keyEdit struct{ key, value []byte }

// migrations are all migrations; number i leads from version i+1 to i+2.
var migrations = []migration{
	{"delete indexes that nobody reads", deleteKinds(
		kindOf{tableOps, 1},          // by age
		kindOf{tableOrders, 1},       // by checkout
		kindOf{tableOrders, 2},       // by seller
		kindOf{tableEntitlements, 2}, // by checkout
	)},
}

// migrate brings an opened database to SchemaVersion. The directory's version is raised
// first, so that an older binary refuses it from then on; then the migrations that the
// data lacks run in their order, as commits like any other, which replicas and followers
// follow. The last of them carries the data's new version. A crash at any point leaves a
// database that the next Open goes on with.
func (db *DB) migrate(dir string) error {
	at, err := storedDataVersion(db.engine, dir, db.last)
	if err != nil {
		return err
	}
	if at < SchemaVersion {
		if err := db.disk.refuse(); err != nil { // before the binary of that version is locked out
			return migrationError(dir, SchemaVersion, err)
		}
	}
	if err := db.raiseDirectory(dir, SchemaVersion); err != nil {
		return err
	}
	for ; at < SchemaVersion; at++ {
		if err := db.runMigration(migrations[at-1], at+1); err != nil {
			return migrationError(dir, at+1, err)
		}
	}
	return nil
}

func migrationError(dir string, to uint32, err error) error {
	if market.Is(err, market.Unavailable) {
		return market.Errorf(market.Unavailable, "The data in %s can't be brought to schema version %d while the disk is nearly full. "+
			"Free some space and start again; nothing is lost.", dir, to).Because(err)
	}
	return fmt.Errorf("store: bringing the data in %s to schema version %d: %w", dir, to, err)
}

// editBatch collects edits up to the limits of a transaction, with room for the version.
type editBatch struct {
	edits []keyEdit
	bytes int
}

func (b *editBatch) fits(e keyEdit) bool {
	const version = 16 // bytes, more than its key and value
	return len(b.edits) < MaxWrites-1 && b.bytes+len(e.key)+len(e.value) <= MaxBytes-version
}

func (b *editBatch) add(e keyEdit) {
	b.edits = append(b.edits, keyEdit{bytes.Clone(e.key), bytes.Clone(e.value)})
	b.bytes += len(e.key) + len(e.value)
}

// progressEvery is how often a migration that takes long says how far it is.
const progressEvery = 5 * time.Second

func (db *DB) runMigration(m migration, to uint32) error {
	log := db.opts.Logger.With("version", to, "what", m.what)
	log.Info("the data is brought to a newer schema version")
	var b editBatch
	began, said, keys := time.Now(), time.Now(), 0
	for e, err := range m.edits(db.engine) {
		if err != nil {
			return err
		}
		if !b.fits(e) {
			if err := db.commitEdits(b.edits); err != nil {
				return err
			}
			b = editBatch{}
			if time.Since(said) >= progressEvery {
				said = time.Now()
				log.Info("the data is still being brought to a newer schema version", "keys", keys)
			}
		}
		b.add(e)
		keys++
	}
	b.add(keyEdit{keyDataVersion, versionBytes(to)})
	if err := db.commitEdits(b.edits); err != nil {
		return err
	}
	log.Info("the data has a newer schema version", "keys", keys, "took", time.Since(began))
	return nil
}

// commitEdits makes one commit of edits, durable when it returns.
func (db *DB) commitEdits(edits []keyEdit) error {
	_, err := db.updateOnce(context.Background(), "", Op{Class: UserData}, func(tx *Tx) error {
		for _, e := range edits {
			if err := tx.write(e.key, e.value, e.value == nil); err != nil {
				return err
			}
		}
		return nil
	})
	return err
}

// kindOf is a kind of keys of a table.
type kindOf struct {
	table tableID
	kind  byte
}

// deleteKinds deletes all keys of some kinds, of all tenants. The kinds are given in the
// order of the keys.
func deleteKinds(kinds ...kindOf) func(from pebble.Reader) iter.Seq2[keyEdit, error] {
	return func(from pebble.Reader) iter.Seq2[keyEdit, error] {
		return func(yield func(keyEdit, error) bool) {
			it, err := from.NewIter(&pebble.IterOptions{LowerBound: []byte{spaceTenant}, UpperBound: []byte{spaceTenant + 1}})
			if err != nil {
				yield(keyEdit{}, fmt.Errorf("store: reading: %w", err))
				return
			}
			defer it.Close()
			for ok := it.First(); ok; {
				next, found := nextOfKinds(it.Key(), kinds)
				if found && !yield(keyEdit{key: it.Key()}, nil) {
					return
				}
				if next != nil {
					ok = it.SeekGE(next)
				} else {
					ok = it.Next()
				}
			}
			if err := it.Error(); err != nil {
				yield(keyEdit{}, fmt.Errorf("store: reading: %w", err))
			}
		}
	}
}

// nextOfKinds reports whether a key is of one of the kinds, and where to look on if that
// isn't at the next key.
func nextOfKinds(k Key, kinds []kindOf) (next []byte, found bool) {
	tenant, _, _, _, ok := k.parse()
	if !ok {
		return nil, false
	}
	for _, want := range kinds {
		prefix := append(tenantPrefix(tenant), byte(want.table), want.kind)
		if bytes.HasPrefix(k, prefix) {
			return nil, true
		}
		if bytes.Compare(k, prefix) < 0 {
			return prefix, false
		}
	}
	return successor(tenantPrefix(tenant)), false
}
