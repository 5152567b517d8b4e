package replica

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"

	"github.com/cockroachdb/pebble/v2/sstable"

	"github.com/souk-market/souk/store"
)

// A replica may have a file for every second of a day, mostly tiny. Ingesting each would
// cost several syncs; so small files are folded in memory, later over earlier, into
// tables of some size.
const (
	foldUpTo  = 256 << 10 // bytes of a file that is folded
	foldLimit = 16 << 20  // bytes of keys and values in memory
)

// folding is the sum of small files: what they set, and nil for what they delete.
type folding struct {
	values map[string][]byte
	size   int // bytes of all that was put in
}

// weakDeletions reports whether a file may have deletions that Pebble passes over when
// its tables are taken in as they are: those of schema version 1 were written as if
// nothing lay below them. Snapshots have none.
func (f *footer) weakDeletions() bool { return f.Schema < 2 && !f.Snapshot }

// foldIn takes in a small file, as a whole or not at all: its tables are verified first.
func (b *builder) foldIn(ctx context.Context, cf *changeFile) error {
	for i := range cf.Tables {
		if err := cf.read(i, func(_, _ []byte, _ bool) error { return nil }); err != nil {
			return err
		}
	}
	for i := range cf.Tables {
		if err := cf.read(i, b.fold); err != nil {
			return err
		}
		if b.folded.size >= foldLimit {
			if err := b.flush(ctx); err != nil {
				return err
			}
		}
	}
	return nil
}

// fold takes in one key of a small file; it is a visitor.
func (b *builder) fold(key, value []byte, deleted bool) error {
	if b.folded.values == nil {
		b.folded.values = map[string][]byte{}
	}
	if deleted {
		b.folded.values[string(key)] = nil
	} else {
		b.folded.values[string(key)] = append(make([]byte, 0, len(value)), value...)
	}
	b.folded.size += len(key) + len(value)
	return nil
}

// flush brings what was folded into the database.
func (b *builder) flush(ctx context.Context) error {
	if len(b.folded.values) == 0 {
		return nil
	}
	path := b.place.path("tmp/folded.sst")
	if err := writeTable(path, b.folded.values); err != nil {
		return err
	}
	b.folded = folding{}
	return b.target.Ingest(ctx, path)
}

// writeTable writes a synced table.
func writeTable(path string, values map[string][]byte) (err error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("replica: writing a table: %w", err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	w := sstable.NewWriter(&tableSink{w: bufio.NewWriterSize(f, 256<<10)}, store.SSTOptions())
	for _, k := range slices.Sorted(maps.Keys(values)) {
		if v := values[k]; v != nil {
			err = w.Set([]byte(k), v)
		} else {
			err = w.Delete([]byte(k))
		}
		if err != nil {
			return errors.Join(fmt.Errorf("replica: writing a table: %w", err), w.Close())
		}
	}
	if err := w.Close(); err != nil {
		return fmt.Errorf("replica: writing a table: %w", err)
	}
	if err := f.Sync(); err != nil {
		return fmt.Errorf("replica: syncing a table: %w", err)
	}
	return nil
}
