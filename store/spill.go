package store

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2/objstorage/objstorageprovider"
	"github.com/cockroachdb/pebble/v2/sstable"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// spilled are tables on disk that are taken in together. They don't overlap. When they
// hold everything, each deletes what was stored in its range, the ranges being all of the
// replicated keys: a table's own keys are not touched by its deletion, and readers that
// have begun go on with what there was.
type spilled struct {
	fs    vfs.FS
	dir   string
	limit int // bytes of keys and values that go into a table
	full  bool
	paths []string

	table *sstable.Writer // nil before the first key
	from  []byte          // where its range begins
	size  int             // bytes of its keys and values
}

// spillDir is where tables are written before they are taken in, on the database's file
// system. What is there when the database is opened is of a process that was killed.
const spillDir = "replay"

const spilledTable = 64 << 20 // bytes of keys and values in one

// spillLimits are how many bytes stay in memory, and how many go into a table.
type spillLimits struct{ batch, table int }

func newSpilled(db *DB, full bool) (*spilled, error) {
	s := &spilled{fs: db.engineFS(), limit: db.opts.spill.table, full: full, from: []byte{spaceTenant}}
	s.dir = s.fs.PathJoin(db.disk.dir, spillDir)
	if err := s.fs.MkdirAll(s.dir, 0o700); err != nil {
		return nil, fmt.Errorf("store: making a folder for tables: %w", err)
	}
	return s, nil
}

func (s *spilled) set(key, value []byte, deleted bool) error {
	if s.table != nil && s.size >= s.limit {
		if err := s.end(key); err != nil {
			return err
		}
	}
	if err := s.begin(); err != nil {
		return err
	}
	s.size += len(key) + len(value)
	if !deleted {
		return s.table.Set(key, value)
	}
	if s.full {
		return nil // there is nothing left to delete
	}
	return s.table.Delete(key)
}

// begin opens a table unless one is open.
func (s *spilled) begin() error {
	if s.table != nil {
		return nil
	}
	path := s.fs.PathJoin(s.dir, fmt.Sprintf("%d.sst", len(s.paths)))
	f, err := s.fs.Create(path, vfs.WriteCategoryUnspecified)
	if err != nil {
		return fmt.Errorf("store: writing a table: %w", err)
	}
	s.paths = append(s.paths, path)
	s.table = sstable.NewWriter(objstorageprovider.NewFileWritable(f), SSTOptions())
	return nil
}

// end closes the table, whose range ends before a key.
func (s *spilled) end(next []byte) error {
	var err error
	if s.full {
		err = s.table.DeleteRange(s.from, next)
		s.from = bytes.Clone(next)
	}
	err = errors.Join(err, s.table.Close())
	s.table, s.size = nil, 0
	return err
}

// finish ends the tables, with one more for an entry of the change log.
func (s *spilled) finish(logKey, entry []byte) error {
	if err := s.begin(); err != nil {
		return err
	}
	if err := s.end([]byte{spaceTenant + 1}); err != nil {
		return err
	}
	if err := s.begin(); err != nil {
		return err
	}
	s.full = false
	if err := s.table.Set(logKey, entry); err != nil {
		return err
	}
	return s.end(nil)
}

// discard removes the tables; those that were taken in have another name by now.
func (s *spilled) discard() {
	if s.table != nil {
		s.table.Close()
	}
	s.fs.RemoveAll(s.dir)
}
