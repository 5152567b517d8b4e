package replica

import (
	"context"
	"errors"
	"io"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/objstorage"
	"github.com/cockroachdb/pebble/v2/sstable"
)

// tableIter steps through the keys of one sorted table, holding a block or two in memory.
// Deletions of ranges are not among them.
type tableIter struct {
	key, value []byte // valid until the next step; value is nil of a deleted key
	deleted    bool
	err        error // why Next returned false before the end

	r       *sstable.Reader
	it      sstable.Iterator
	started bool
	closer  io.Closer
}

// openTable opens a table for stepping through it. closer, which may be nil, is closed
// with the iterator, or at once when there is an error.
func openTable(table *io.SectionReader, closer io.Closer) (*tableIter, error) {
	t := &tableIter{closer: closer}
	var err error
	if t.r, err = sstable.NewReader(context.Background(), section{table}, sstable.ReaderOptions{}); err != nil {
		return nil, errors.Join(err, t.Close())
	}
	if t.it, err = t.r.NewIter(sstable.NoTransforms, nil, nil, sstable.AssertNoBlobHandles); err != nil {
		return nil, errors.Join(err, t.Close())
	}
	return t, nil
}

// Next moves to the next key, the first at first.
func (t *tableIter) Next() bool {
	if t.err != nil {
		return false
	}
	step := t.it.Next
	if !t.started {
		step, t.started = t.it.First, true
	}
	kv := step()
	if kv == nil {
		t.err = t.it.Error()
		return false
	}
	t.key, t.deleted = kv.K.UserKey, kv.Kind() == pebble.InternalKeyKindDelete
	t.value, _, t.err = kv.Value(nil)
	return t.err == nil
}

// Close lets go of the table.
func (t *tableIter) Close() error {
	var errs []error
	if t.it != nil {
		errs = append(errs, t.it.Close())
	}
	if t.r != nil {
		errs = append(errs, t.r.Close())
	}
	if t.closer != nil {
		errs = append(errs, t.closer.Close())
	}
	t.it, t.r, t.closer = nil, nil, nil
	return errors.Join(errs...)
}

// section is an objstorage.Readable that is part of a file.
type section struct{ *io.SectionReader }

func (s section) ReadAt(_ context.Context, p []byte, off int64) error {
	_, err := s.SectionReader.ReadAt(p, off)
	return err
}

func (s section) NewReadHandle(objstorage.ReadBeforeSize) objstorage.ReadHandle {
	h := objstorage.MakeNoopReadHandle(s)
	return &h
}

func (section) Close() error { return nil }
