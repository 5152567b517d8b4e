package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/souk-market/souk/internal/market"
)

// Head is the commit that a restored directory stands at.
type Head struct {
	LSN    LSN
	Chain  Chain
	Time   time.Time // of the commit
	Origin Origin
}

// Restore fills an empty directory from sorted tables.
type Restore struct {
	engine *pebble.DB
	lock   *pebble.Lock
	opts   Options
	end    context.CancelFunc // of reads from where tables are attached
}

// NewRestore opens an empty directory for Ingest. Nothing but Finish makes it a
// database that Open accepts as one with a history.
func NewRestore(dir string) (*Restore, error) { return newRestore(Options{Dir: dir}) }

// Ingest takes in sorted tables, made with SSTOptions, on the same file system. Tables
// of one call must not overlap; what a later call brings lies over what came before.
func (r *Restore) Ingest(ctx context.Context, paths ...string) error {
	if err := r.engine.Ingest(ctx, paths); err != nil {
		return fmt.Errorf("store: ingesting %d tables: %w", len(paths), err)
	}
	return nil
}

// Finish writes where the history stands and closes the directory. It is a new node
// from now on, fenced until somebody has compared it with the outside. Conflict for data
// that a newer binary has written.
func (r *Restore) Finish(h Head) error {
	err := r.finish(h)
	return errors.Join(err, r.Close())
}

func (r *Restore) finish(h Head) error {
	b := r.engine.NewBatch()
	defer b.Close()
	now := time.Now().UTC()
	// The directory is of the version of its data, whoever restores it: what that lacks
	// is done by the first Open, and until then an older binary may have it.
	version, err := storedDataVersion(r.engine, r.opts.Dir, h.LSN)
	if err != nil {
		return err
	}
	if err := setMeta(b, Node{ID: market.NewNodeID(now), Created: now, Origin: &h.Origin, Fenced: true}, version); err != nil {
		return err
	}
	// Open asks for the data's version: it must not have to read an attached table for it.
	if h.LSN > 0 && version > 1 && r.opts.Remote != nil {
		if err := b.Set(keyDataVersion, versionBytes(version), nil); err != nil {
			return fmt.Errorf("store: writing the schema version: %w", err)
		}
	}
	if h.LSN > 0 {
		entry := appendLogEntry(nil, Ephemeral, h.Time, h.Chain, nil)
		if err := b.Set(logKey(h.LSN), entry, nil); err != nil {
			return fmt.Errorf("store: writing the change log: %w", err)
		}
	}
	if err := b.Commit(pebble.Sync); err != nil {
		return fmt.Errorf("store: finishing the restore: %w", err)
	}
	if err := r.engine.Flush(); err != nil {
		return fmt.Errorf("store: finishing the restore: %w", err)
	}
	return nil
}

// Close gives up the directory; after Finish it does nothing.
func (r *Restore) Close() error {
	if r.engine == nil {
		return nil
	}
	r.end()
	err := errors.Join(r.engine.Close(), r.lock.Close())
	r.engine = nil
	if err != nil {
		return fmt.Errorf("store: closing: %w", err)
	}
	return nil
}
