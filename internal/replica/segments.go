package replica

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"

	"github.com/cockroachdb/pebble/v2/sstable"

	"github.com/souk-market/souk/store"
)

// segment is one sorted table of a snapshot, kept as an object of its own that is named
// by its content: snapshots that have a range of keys in common share it. Tables have
// sets only.
type segment struct {
	Sum   [sha256.Size]byte `cbor:"sum"` // of the table's bytes
	Size  int64             `cbor:"len"` // of the table in bytes
	First []byte            `cbor:"first"`
	Last  []byte            `cbor:"last"`
	Keys  int64             `cbor:"n"`
}

// Sizes of a segment in bytes of keys and values, which are about three times those of
// the object. A record that changes sends its segment again, so they are small; a snapshot
// of 100 GB still has fewer than 100,000, which its footer can list.
const (
	segmentMin  = 256 << 10
	segmentMean = 1 << 20 // on top of the minimum
	segmentMax  = 4 << 20
)

// segmentWriter cuts keys that come in order into segments and hands each to emit, which
// owns the table's bytes.
//
// Where one ends depends on the next key and on where it began, not on what lies before:
// so two snapshots that differ in a few keys have the same bounds, and the same bytes,
// a segment or two after each difference.
type segmentWriter struct {
	emit func(s segment, table []byte) error

	opts sstable.WriterOptions
	sst  *sstable.Writer // of the segment that is being written; nil between segments
	buf  *bytes.Buffer   // where sst writes
	cur  segment
	raw  int // bytes of keys and values in it
}

func newSegmentWriter(emit func(s segment, table []byte) error) *segmentWriter {
	return &segmentWriter{emit: emit, opts: store.SSTOptions()}
}

// set adds a key, which must be greater than the one before.
func (w *segmentWriter) set(key, value []byte) error {
	size := len(key) + len(value)
	if w.raw+size > segmentMax || w.raw >= segmentMin && beginsSegment(key, size) {
		if err := w.end(); err != nil {
			return err
		}
	}
	if w.sst == nil {
		w.buf = &bytes.Buffer{}
		w.sst = sstable.NewWriter(memorySink{w.buf}, w.opts)
		w.cur, w.raw = segment{First: bytes.Clone(key)}, 0
	}
	if err := w.sst.Set(key, value); err != nil {
		return fmt.Errorf("replica: writing a segment: %w", err)
	}
	w.cur.Last = append(w.cur.Last[:0], key...)
	w.cur.Keys++
	w.raw += size
	return nil
}

// beginsSegment is true for a key by a hash of it, with a chance in proportion to the
// size of the key and its value: once in segmentMean bytes.
func beginsSegment(key []byte, size int) bool {
	h := sha256.Sum256(key)
	return binary.BigEndian.Uint64(h[:]) < math.MaxUint64/segmentMean*uint64(size)
}

// end finishes the open segment, if there is one.
func (w *segmentWriter) end() error {
	if w.sst == nil {
		return nil
	}
	err := w.sst.Close()
	w.sst, w.raw = nil, 0
	if err != nil {
		return fmt.Errorf("replica: finishing a segment: %w", err)
	}
	table := w.buf.Bytes()
	w.cur.Sum, w.cur.Size = sha256.Sum256(table), int64(len(table))
	return w.emit(w.cur, table)
}

// discard lets go of an open segment.
func (w *segmentWriter) discard() {
	if w.sst != nil {
		w.sst.Close()
		w.sst = nil
	}
}

// memorySink is an objstorage.Writable in memory.
type memorySink struct{ b *bytes.Buffer }

func (s memorySink) Write(p []byte) error {
	s.b.Write(p)
	return nil
}
func (s memorySink) Finish() error { return nil }
func (s memorySink) Abort()        {}

// nameOfSegment names a segment for people and in errors.
func (c *Client) nameOfSegment(s segment) string { return c.whereContent(levelSegments, s.Sum) }

// putSegment writes a segment. at, Unix milliseconds, becomes the object's timestamp,
// by which retention knows what has been sent of late.
func (c *Client) putSegment(ctx context.Context, s segment, table []byte, at int64) error {
	return c.putContent(ctx, levelSegments, s.Sum, at, bytes.NewReader(table), s.Size)
}

// openSegment returns a segment's table from its first byte on, unverified. Where the
// replica lacks it, the error is a *CorruptError that is fs.ErrNotExist, too: the snapshot
// that names it can't be used.
func (c *Client) openSegment(ctx context.Context, s segment) (io.ReadCloser, error) {
	r, err := c.openContent(ctx, levelSegments, s.Sum)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, &CorruptError{Name: c.nameOfSegment(s), Reason: "the segment is missing, and a snapshot needs it", Err: fs.ErrNotExist}
	}
	return r, err
}

// fetchSegment downloads a segment's table to path, where nothing may be yet, verifies its
// checksum, and syncs it. It can be ingested as it is. Errors as of openSegment, and a
// *CorruptError when it isn't what was written; then nothing is left at path.
func (c *Client) fetchSegment(ctx context.Context, s segment, path string) (err error) {
	ctx, cancel := context.WithTimeout(ctx, transferTimeout(s.Size))
	defer cancel()
	r, err := c.openSegment(ctx, s)
	if err != nil {
		return err
	}
	defer r.Close()
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	if err != nil {
		return fmt.Errorf("replica: writing a segment: %w", err)
	}
	defer func() {
		if err = errors.Join(err, f.Close()); err != nil {
			os.Remove(path)
		}
	}()
	sum := sha256.New()
	n, err := io.Copy(io.MultiWriter(f, sum), io.LimitReader(r, s.Size+1))
	if err != nil {
		return fmt.Errorf("replica: fetching %s: %w", c.nameOfSegment(s), err)
	}
	if n != s.Size || [sha256.Size]byte(sum.Sum(nil)) != s.Sum {
		return &CorruptError{Name: c.nameOfSegment(s), Reason: fmt.Sprintf("it has %d bytes with another checksum, not the %d that were written", n, s.Size)}
	}
	if err := f.Sync(); err != nil {
		return fmt.Errorf("replica: syncing a segment: %w", err)
	}
	return nil
}

// visitSegment visits the keys of a segment's table at path, in order. name is for errors.
func visitSegment(name, path string, s segment, visit visitor) (err error) {
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("replica: reading a segment: %w", err)
	}
	it, err := openTable(io.NewSectionReader(f, 0, s.Size), f)
	if err != nil {
		return &CorruptError{Name: name, Reason: "its table can't be read", Err: err}
	}
	defer func() { err = errors.Join(err, it.Close()) }()
	n := int64(0)
	for it.Next() {
		if err := visit(it.key, it.value, it.deleted); err != nil {
			return err
		}
		n++
	}
	if it.err != nil || n != s.Keys {
		return &CorruptError{Name: name, Reason: fmt.Sprintf("its table has %d keys that can be read instead of %d", n, s.Keys), Err: it.err}
	}
	return nil
}
