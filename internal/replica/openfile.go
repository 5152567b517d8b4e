package replica

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"hash/crc32"
	"io"
	"os"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/sstable"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/fxamacker/cbor/v2"
	"github.com/superfly/ltx"

	"github.com/souk-market/souk/internal/market"
)

// changeFile is a file whose footer, header and layout have been verified. Its tables
// are verified as they are extracted or read.
type changeFile struct {
	name string
	r    io.ReaderAt // of the plain form; nil when only the public part could be read
	file *os.File    // behind r, for close; nil when there is none
	footer
}

// openChangeFile verifies the frame of a file of size bytes in its plain form: magic,
// footer CRC, version, header, and that the tables fill the space between header and
// footer. name is for errors.
func openChangeFile(name string, r io.ReaderAt, size int64) (*changeFile, error) {
	cf, start, err := openFrame(name, r, size)
	if err != nil {
		return nil, err
	}
	if cf.encrypted() {
		return nil, market.Errorf(market.Forbidden, "The replica file %s is encrypted. Give the recovery key.", name).Because(ErrKey)
	}
	return cf, cf.checkLayout(start)
}

// openWith is openChangeFile for a file of a replica with a key: it must be encrypted and
// have the key's MAC. A key that can't read gives the public part, and no tables. Without
// a key (nil) it is openChangeFile.
func openWith(k *Key, name string, r io.ReaderAt, size int64) (*changeFile, error) {
	if k == nil {
		return openChangeFile(name, r, size)
	}
	cf, start, err := openFrame(name, r, size)
	if err != nil {
		return nil, err
	}
	if !cf.encrypted() {
		return nil, cf.corrupt("it isn't encrypted, as the replica's files are: somebody without the key has written it")
	}
	sealed := start - ltx.HeaderSize - int64(len(cf.MAC))
	public := make([]byte, size-start-int64(trailerSize)+int64(len(cf.MAC)))
	if sealed < 0 {
		return nil, cf.corrupt("it is too short for an encrypted file")
	}
	if err := readFull(r, public, start-int64(len(cf.MAC))); err != nil {
		return nil, fmt.Errorf("replica: reading %s: %w", name, err)
	}
	cf.MAC = Link(public)
	if k.sum("file", public[len(cf.MAC):]) != cf.MAC {
		return nil, cf.corrupt("it doesn't have the MAC of the replica's key: it was changed, or written with another key")
	}
	if cf.linksItself() {
		cf.Link = cf.MAC
	}
	cf.r = nil
	if k.CanRead() {
		err = cf.openSealed(k, io.NewSectionReader(r, ltx.HeaderSize, sealed))
	}
	return cf, err
}

// openFrame verifies and decodes the footer at the end of a file, which begins at start,
// and compares the header with it.
func openFrame(name string, r io.ReaderAt, size int64) (cf *changeFile, start int64, err error) {
	cf = &changeFile{name: name, r: r}
	bad := func(format string, args ...any) (*changeFile, int64, error) {
		return nil, 0, cf.corrupt(format, args...)
	}
	if size < int64(ltx.HeaderSize+trailerSize) {
		return bad("it has %d bytes, fewer than an empty file", size)
	}
	var end [trailerSize]byte
	if err := readFull(r, end[:], size-int64(trailerSize)); err != nil {
		return nil, 0, fmt.Errorf("replica: reading %s: %w", name, err)
	}
	if string(end[8:]) != fileMagic {
		return bad("its end is missing")
	}
	n := int64(binary.BigEndian.Uint32(end[:]))
	start = size - int64(trailerSize) - n
	if n > maxFooter || start < ltx.HeaderSize {
		return bad("its footer's length is wrong")
	}
	body := make([]byte, n)
	if err := readFull(r, body, start); err != nil {
		return nil, 0, fmt.Errorf("replica: reading %s: %w", name, err)
	}
	if crc32.Checksum(body, castagnoli) != binary.BigEndian.Uint32(end[4:]) {
		return bad("its footer's checksum is wrong")
	}
	if err := cbor.Unmarshal(body, &cf.footer); err != nil {
		return bad("its footer can't be read: %v", err)
	}
	if cf.Version > formatVersion {
		return nil, 0, market.Errorf(market.Conflict, "The replica file %s has format %d, and this souk knows format %d. Use a newer souk for it.",
			name, cf.Version, formatVersion)
	}
	var head [ltx.HeaderSize]byte
	if err := readFull(r, head[:], 0); err != nil {
		return nil, 0, fmt.Errorf("replica: reading %s: %w", name, err)
	}
	if !bytes.Equal(head[:], cf.header()) {
		return bad("its header doesn't match its footer")
	}
	return cf, start, nil
}

// checkLayout verifies that the tables fill the space between the header and end.
func (cf *changeFile) checkLayout(end int64) error {
	off := int64(ltx.HeaderSize)
	for _, t := range cf.Tables {
		if t.Offset != off || t.Size <= 0 || t.Size > end-off {
			return cf.corrupt("its tables don't follow one another")
		}
		off += t.Size
	}
	if off != end {
		return cf.corrupt("its tables don't fill it")
	}
	return nil
}

// corrupt is the error that the file is damaged.
func (cf *changeFile) corrupt(format string, args ...any) error {
	return &CorruptError{Name: cf.name, Reason: fmt.Sprintf(format, args...)}
}

// visitor is called for each key of a table in order; the slices are valid during the
// call. A deleted key has no value.
type visitor func(key, value []byte, deleted bool) error

// extract writes table i to path, fsynced, verifies it, and visits it.
func (cf *changeFile) extract(i int, path string, visit visitor) (err error) {
	t := cf.Tables[i]
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	if err != nil {
		return fmt.Errorf("replica: writing a table: %w", err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	sums := newTableSums(t)
	if _, err := io.Copy(io.MultiWriter(f, sums), io.NewSectionReader(cf.r, t.Offset, t.Size)); err != nil {
		return fmt.Errorf("replica: writing a table of %s: %w", cf.name, err)
	}
	if !sums.fit() {
		return cf.wrongSum(i)
	}
	if err := f.Sync(); err != nil {
		return fmt.Errorf("replica: syncing a table: %w", err)
	}
	file, err := vfs.Default.Open(path)
	if err != nil {
		return fmt.Errorf("replica: reading a table of %s: %w", cf.name, err)
	}
	readable, err := sstable.NewSimpleReadable(file)
	if err != nil {
		return errors.Join(fmt.Errorf("replica: reading a table of %s: %w", cf.name, err), file.Close())
	}
	r, err := sstable.NewReader(context.Background(), readable, sstable.ReaderOptions{})
	if err != nil {
		return errors.Join(cf.unreadable(err), readable.Close())
	}
	return cf.visitTable(i, r, visit)
}

// read is extract without a file, for small tables.
func (cf *changeFile) read(i int, visit visitor) error {
	t := cf.Tables[i]
	b := make([]byte, t.Size)
	if err := readFull(cf.r, b, t.Offset); err != nil {
		return fmt.Errorf("replica: reading a table of %s: %w", cf.name, err)
	}
	sums := newTableSums(t)
	if sums.Write(b); !sums.fit() {
		return cf.wrongSum(i)
	}
	r, err := sstable.NewMemReader(b, sstable.ReaderOptions{})
	if err != nil {
		return cf.unreadable(err)
	}
	return cf.visitTable(i, r, visit)
}

// tableSums sums a table's bytes as they pass, to compare them with what the footer says.
type tableSums struct {
	want table
	crc  uint32
	sum  hash.Hash // nil in a file without a key
}

func newTableSums(t table) *tableSums {
	s := &tableSums{want: t}
	if t.Sum != [sha256.Size]byte{} {
		s.sum = sha256.New()
	}
	return s
}

func (s *tableSums) Write(p []byte) (int, error) {
	s.crc = crc32.Update(s.crc, castagnoli, p)
	if s.sum != nil {
		s.sum.Write(p)
	}
	return len(p), nil
}

// fit reports whether the sums are those of the footer.
func (s *tableSums) fit() bool {
	return s.crc == s.want.CRC && (s.sum == nil || [sha256.Size]byte(s.sum.Sum(nil)) == s.want.Sum)
}

// wrongSum: the bytes aren't those that were written. unreadable: they are, or they
// would have failed the checksum, and still are no table.
func (cf *changeFile) wrongSum(i int) error {
	return &CorruptError{Name: cf.name, Reason: fmt.Sprintf("the checksum of its table %d is wrong", i+1)}
}

func (cf *changeFile) unreadable(err error) error {
	return &CorruptError{Name: cf.name, Reason: "a table can't be read", Err: err}
}

// visitTable reads all of table i, whose blocks Pebble verifies on the way, visits its
// keys, and closes it.
func (cf *changeFile) visitTable(i int, r *sstable.Reader, visit visitor) (err error) {
	defer func() { err = errors.Join(err, r.Close()) }()
	it, err := r.NewIter(sstable.NoTransforms, nil, nil, sstable.AssertNoBlobHandles)
	if err != nil {
		return cf.unreadable(err)
	}
	defer func() { err = errors.Join(err, it.Close()) }()
	n := int64(0)
	for kv := it.First(); kv != nil; kv = it.Next() {
		value, _, err := kv.Value(nil)
		if err != nil {
			return cf.unreadable(err)
		}
		if err := visit(kv.K.UserKey, value, kv.Kind() == pebble.InternalKeyKindDelete); err != nil {
			return err
		}
		n++
	}
	if err := it.Error(); err != nil {
		return cf.unreadable(err)
	}
	if n != cf.Tables[i].Keys {
		return &CorruptError{Name: cf.name, Reason: fmt.Sprintf("its table %d has %d keys instead of %d", i+1, n, cf.Tables[i].Keys)}
	}
	return nil
}

// CorruptError names an object of a replica that isn't what was written.
type CorruptError struct {
	Name   string // the object, as the replica calls it
	Reason string
	Err    error
}

// Error names the object and says what is wrong with it.
func (e *CorruptError) Error() string {
	s := fmt.Sprintf("replica: %s is damaged: %s", e.Name, e.Reason)
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

func (e *CorruptError) Unwrap() error { return e.Err }

// Is makes every CorruptError an ErrCorrupt.
func (e *CorruptError) Is(target error) bool { return target == ErrCorrupt }
