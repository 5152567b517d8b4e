package store

import (
	"encoding/binary"
	"fmt"

	"github.com/cockroachdb/pebble/v2"
	"github.com/souk-market/souk/internal/market"
)

// SchemaVersion is the version of keys and records that this binary writes. It moves
// forward only; an older binary refuses newer data.
//
// It is kept twice. The directory's version says which binary may open this directory;
// it isn't replicated. The data's version says in which form the data is; it is part of
// the data, so that it is in the change log, the chain, the digest and every replica. It
// is written with the first commit, and by each migration. Data without it is of version
// 1, which knew of no such key.
//
// Adding a field, a table or an index that starts empty needs no new version. Anything
// else does: record the samples of the version that ends (go test ./store -run
// TestRecordSamples -record N), raise SchemaVersion, and add a migration (migrate.go).
const SchemaVersion = 2

// standbyVersion is the version of a directory that has been a standby's: its change log
// may have entries of several commits (span.go), which binaries that know only version 2
// can't read. The data in it is of its own version, which is never this one: after
// schema version 2 comes 4, with migrations[1] doing nothing.
const standbyVersion = 3

// keyDataVersion holds the data's version, four bytes. It is a key of the tenant without
// a name, which checkTenant refuses to everybody.
var keyDataVersion = []byte{spaceTenant, 0, 'v'}

// dataVersion is what keyDataVersion holds in data of this binary. The first commit of a
// new database carries it.
func dataVersion() []byte { return versionBytes(SchemaVersion) }

func versionBytes(v uint32) []byte { return binary.BigEndian.AppendUint32(nil, v) }

// readMeta reads the directory's version and node, and writes them into a new database.
func (db *DB) readMeta(dir string) error {
	v, err := db.engineValue(keySchema)
	if err != nil {
		return err
	}
	if v == nil {
		return db.initialize(dir)
	}
	if db.version, err = knownVersion(v, dir, max(SchemaVersion, standbyVersion)); err != nil {
		return err
	}
	v, err = db.engineValue(keyNode)
	if err != nil {
		return err
	}
	return decode(v, &db.node)
}

// knownVersion reads a version, and refuses one beyond the newest that this binary knows.
func knownVersion(v []byte, dir string, newest uint32) (uint32, error) {
	if len(v) != 4 || binary.BigEndian.Uint32(v) == 0 {
		return 0, market.Errorf(market.Internal, "The database in %s is damaged. Keep the directory aside and run souk restore from the replica.", dir).
			Because(fmt.Errorf("store: the schema version is damaged (%x)", v))
	}
	got := binary.BigEndian.Uint32(v)
	if got > newest {
		return 0, market.Errorf(market.Conflict, "The data in %s has schema version %d, and this souk knows version %d. Use a newer souk for it.",
			dir, got, newest)
	}
	return got, nil
}

// storedDataVersion reads the version of the data, whose last commit is last. A database
// without commits has none yet: its first commit will carry this binary's.
func storedDataVersion(from pebble.Reader, dir string, last LSN) (uint32, error) {
	r := reader{from: from}
	v, err := r.value(keyDataVersion)
	switch {
	case err != nil:
		return 0, err
	case v != nil:
		return knownVersion(v, dir, SchemaVersion)
	case last > 0:
		return 1, nil
	}
	return SchemaVersion, nil
}

// raiseDirectory makes the directory's version at least to.
func (db *DB) raiseDirectory(dir string, to uint32) error {
	if db.version >= to {
		return nil
	}
	db.opts.Logger.Info("older versions of souk can't open the data directory any more", "dir", dir, "version", to)
	was := db.version
	db.version = to
	err := db.writeMeta(db.node)
	if err != nil {
		db.version = was
	}
	return err
}

// initialize makes a database of an empty directory. One that holds keys but no schema
// version is a restore that was never finished.
func (db *DB) initialize(dir string) error {
	it, err := db.engine.NewIter(nil)
	if err != nil {
		return fmt.Errorf("store: reading %s: %w", dir, err)
	}
	empty := !it.First()
	if err := it.Close(); err != nil {
		return fmt.Errorf("store: reading %s: %w", dir, err)
	}
	if !empty {
		return market.Errorf(market.Conflict, "The data in %s is from a restore that was not finished. Restore again into a new directory.", dir)
	}
	db.version = SchemaVersion
	return db.writeMeta(Node{ID: market.NewNodeID(db.opts.Clock()), Created: db.opts.Clock().UTC()})
}

// writeMeta writes the directory's version and node. Its caller holds nodeMu or is Open.
func (db *DB) writeMeta(n Node) error {
	b := db.engine.NewBatch()
	defer b.Close()
	if err := setMeta(b, n, db.version); err != nil {
		return err
	}
	if err := b.Commit(pebble.Sync); err != nil {
		return fmt.Errorf("store: writing the node record: %w", err)
	}
	db.node = n
	return nil
}

func setMeta(b *pebble.Batch, n Node, version uint32) error {
	v, err := encode(n)
	if err != nil {
		return err
	}
	if err := b.Set(keySchema, versionBytes(version), nil); err != nil {
		return fmt.Errorf("store: writing the schema version: %w", err)
	}
	if err := b.Set(keyNode, v, nil); err != nil {
		return fmt.Errorf("store: writing the node record: %w", err)
	}
	return nil
}
