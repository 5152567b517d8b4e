package replica

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"hash/fnv"
	"io"
	"os"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/sstable"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/fxamacker/cbor/v2"
	"github.com/superfly/ltx"

	"github.com/souk-market/souk/internal/market"
	"github.com/souk-market/souk/store"
)

// The end of a file: the footer's length and CRC-32C, big-endian, then the magic.
const (
	fileMagic   = "SOUKCHG1"
	trailerSize = 4 + 4 + len(fileMagic)

	// formatVersion is the footer's version. Fields are added to it, never renamed; a
	// file with a higher version is refused.
	formatVersion = 1

	// tableTarget is the raw size at which a sorted table is finished and the next one
	// begun, so that a restore needs little memory and disk beside the database.
	tableTarget = 64 << 20

	// maxFooter bounds what a damaged length can make a reader allocate. A footer has
	// some 120 bytes per table of 64 MiB.
	maxFooter = 16 << 20
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// footer describes a file. Everything in front of it is covered: the header is a
// function of the footer, the tables follow one another without gaps and carry a CRC each.
type footer struct {
	Version    int    `cbor:"v"`
	Generation uint32 `cbor:"gen"`
	TXID       uint64 `cbor:"txid"`               // the file's number in its generation; of a merged file its last
	MinTXID    uint64 `cbor:"min,omitempty"`      // first number of a merged file; 0 is TXID
	Snapshot   bool   `cbor:"snapshot,omitempty"` // holds everything up to TXID, for level 9
	// Full: the file holds everything there is at LSNMax, and its first table deletes
	// what was before. Such a file bridges a change log that had been cut.
	Full bool `cbor:"full,omitempty"`

	LSNMin    store.LSN   `cbor:"lsnMin"` // first commit in the file; LSNMax+1 when it holds none
	LSNMax    store.LSN   `cbor:"lsnMax"`
	PrevChain store.Chain `cbor:"prev"`  // at LSNMin-1: the chain of the file before
	Chain     store.Chain `cbor:"chain"` // at LSNMax

	Node      market.NodeID `cbor:"node"`
	Time      int64         `cbor:"time"` // when the file was cut, Unix milliseconds, rising from file to file
	Committed int64         `cbor:"at"`   // when LSNMax was committed, Unix milliseconds
	Schema    uint32        `cbor:"schema"`

	Seal *seal `cbor:"sealedBy,omitempty"` // set in a tombstone, which holds no tables

	Tables []table `cbor:"tables,omitempty"`

	// Blobs are the SHA-256 sums of the blobs whose records the file sets, sorted, each
	// once; of a snapshot, of all that its records name and of all that files since the
	// snapshot before have set. A merged file has the union of its inputs'.
	Blobs [][sha256.Size]byte `cbor:"blobs,omitempty"`
	// Segments hold a snapshot's tables, in key order. A snapshot has either these or
	// Tables, which one of format 1 has.
	Segments []segment `cbor:"segments,omitempty"`
}

// seal names who ended a generation and where history goes on.
type seal struct {
	Node       market.NodeID `cbor:"node"`
	Generation uint32        `cbor:"gen"`
}

// table is one sorted table inside a file.
type table struct {
	Offset int64  `cbor:"off"` // bytes from the start of the file
	Size   int64  `cbor:"len"`
	CRC    uint32 `cbor:"crc32c"`
	First  []byte `cbor:"first"` // smallest and largest key
	Last   []byte `cbor:"last"`
	Keys   int64  `cbor:"n"` // sets and deletes
}

// time is when the file was cut. It is what a restore to a point in time goes by, and
// nothing else: no decision about who may write looks at it.
func (f *footer) time() time.Time { return time.UnixMilli(f.Time).UTC() }

// position is where a follower stands after the file.
func (f *footer) position() Position {
	return Position{Generation: f.Generation, TXID: ltx.TXID(f.TXID), LSN: f.LSNMax, Chain: f.Chain, Time: f.time()}
}

// minTXID is the first number in the file's name. A snapshot stands for all files from
// the first on, which is how litestream names snapshots, too.
func (f *footer) minTXID() ltx.TXID {
	switch {
	case f.Snapshot:
		return 1
	case f.MinTXID != 0:
		return ltx.TXID(f.MinTXID)
	}
	return ltx.TXID(f.TXID)
}

// header is the LTX header that makes litestream's clients carry the file. They read
// its magic and timestamp only; the rest is filled in so that LTX tools can name the file.
func (f *footer) header() []byte {
	return ltxHeader(f.minTXID(), ltx.TXID(f.TXID), f.Time, f.Node)
}

// ltxHeader encodes an LTX header. It says that there are no LTX checksums: the pages
// that they would be over don't exist. NodeID, a number in LTX, is the FNV-1a hash of ours.
func ltxHeader(minTXID, maxTXID ltx.TXID, unixMilli int64, node market.NodeID) []byte {
	id := fnv.New64a()
	io.WriteString(id, string(node))
	h := ltx.Header{
		Version: ltx.Version, Flags: ltx.HeaderFlagNoChecksum, PageSize: 4096,
		MinTXID: minTXID, MaxTXID: maxTXID, Timestamp: unixMilli, NodeID: id.Sum64(),
	}
	b, err := h.MarshalBinary()
	if err != nil {
		panic(fmt.Sprintf("replica: encoding an LTX header: %v", err)) // it never fails for a fixed-size header
	}
	return b
}

// fileWriter writes a change file into a spool file. The header is written last, when
// the footer is known. Use: set and deleteAll in key order, finish, send the file, discard.
//
// The spool is a file and not memory, since a snapshot is as large as the database; and
// it isn't a pipe into the upload, since an upload that has to be tried again must be
// able to go back.
type fileWriter struct {
	f     *os.File
	off   int64 // end of the last finished table
	opts  sstable.WriterOptions
	sst   *sstable.Writer // of the table that is being written; nil between tables
	sink  *tableSink      // where sst writes
	cur   table           // what is known of it so far
	raw   int64           // bytes of keys and values in it
	parts []table         // finished
}

// newFileWriter makes a spool file in dir, which is made too ("" is the system's
// temporary directory).
func newFileWriter(dir string) (*fileWriter, error) {
	if dir != "" {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return nil, fmt.Errorf("replica: making the spool folder: %w", err)
		}
	}
	f, err := os.CreateTemp(dir, "souk-replica-*")
	if err != nil {
		return nil, fmt.Errorf("replica: making a spool file: %w", err)
	}
	os.Remove(f.Name()) // it lives on while it is open, and a crash leaves nothing behind
	return &fileWriter{f: f, off: ltx.HeaderSize, opts: store.SSTOptions()}, nil
}

// set adds a key, which must be greater than the one before. A nil value deletes.
func (w *fileWriter) set(key, value []byte, deleted bool) error {
	if err := w.begin(key); err != nil {
		return err
	}
	var err error
	if deleted {
		err = w.sst.Delete(key)
	} else {
		err = w.sst.Set(key, value)
	}
	if err != nil {
		return fmt.Errorf("replica: writing a table: %w", err)
	}
	w.cur.Keys++
	w.cur.Last = append(w.cur.Last[:0], key...)
	if w.raw += int64(len(key) + len(value)); w.raw >= tableTarget {
		return w.endTable()
	}
	return nil
}

// deleteAll adds a table that deletes every key of [lower, upper). Later tables of the
// same file are not touched by it, since tables are taken in one after the other.
func (w *fileWriter) deleteAll(lower, upper []byte) error {
	if err := w.begin(lower); err != nil {
		return err
	}
	if err := w.sst.DeleteRange(lower, upper); err != nil {
		return fmt.Errorf("replica: writing a table: %w", err)
	}
	w.cur.Last = append([]byte(nil), upper...)
	return w.endTable()
}

// begin starts a table unless one is open. Tables are written with the store's own
// options, so that a restore can ingest them as they are.
func (w *fileWriter) begin(first []byte) error {
	if w.sst != nil {
		return nil
	}
	if _, err := w.f.Seek(w.off, io.SeekStart); err != nil {
		return fmt.Errorf("replica: writing the spool file: %w", err)
	}
	w.sink = &tableSink{w: bufio.NewWriterSize(w.f, 256<<10)}
	w.sst = sstable.NewWriter(w.sink, w.opts)
	w.cur = table{Offset: w.off, First: append([]byte(nil), first...)}
	w.raw = 0
	return nil
}

// endTable finishes the open table, if there is one.
func (w *fileWriter) endTable() error {
	if w.sst == nil {
		return nil
	}
	err := w.sst.Close()
	w.sst = nil
	if err != nil {
		return fmt.Errorf("replica: finishing a table: %w", err)
	}
	w.cur.Size, w.cur.CRC = w.sink.n, w.sink.crc
	w.off += w.cur.Size
	w.parts = append(w.parts, w.cur)
	return nil
}

// finish writes footer, trailer and header, and returns the file, rewound. It is gone
// after discard.
func (w *fileWriter) finish(f *footer) (*os.File, error) {
	if err := w.endTable(); err != nil {
		return nil, err
	}
	f.Version, f.Tables = formatVersion, w.parts
	tail, err := encodeTail(f)
	if err != nil {
		return nil, err
	}
	if _, err := w.f.WriteAt(tail, w.off); err != nil {
		return nil, fmt.Errorf("replica: writing the spool file: %w", err)
	}
	if _, err := w.f.WriteAt(f.header(), 0); err != nil {
		return nil, fmt.Errorf("replica: writing the spool file: %w", err)
	}
	if _, err := w.f.Seek(0, io.SeekStart); err != nil {
		return nil, fmt.Errorf("replica: rewinding the spool file: %w", err)
	}
	return w.f, nil
}

// discard lets go of the spool file, whether or not finish was reached.
func (w *fileWriter) discard() {
	if w.sst != nil {
		w.sst.Close()
		w.sst = nil
	}
	w.f.Close()
}

// encodeTail is what stands behind the tables: footer, its length and CRC, magic.
func encodeTail(f *footer) ([]byte, error) {
	body, err := cbor.Marshal(f)
	if err != nil {
		return nil, fmt.Errorf("replica: encoding a footer: %w", err)
	}
	b := binary.BigEndian.AppendUint32(body, uint32(len(body)))
	b = binary.BigEndian.AppendUint32(b, crc32.Checksum(body, castagnoli))
	return append(b, fileMagic...), nil
}

// encodeTombstone is a whole file without tables.
func encodeTombstone(f *footer) ([]byte, error) {
	f.Version = formatVersion
	tail, err := encodeTail(f)
	if err != nil {
		return nil, err
	}
	return append(f.header(), tail...), nil
}

// tableSink is an objstorage.Writable that counts and sums what passes.
type tableSink struct {
	w   *bufio.Writer
	n   int64
	crc uint32
}

func (s *tableSink) Write(p []byte) error {
	s.n += int64(len(p))
	s.crc = crc32.Update(s.crc, castagnoli, p)
	_, err := s.w.Write(p)
	return err
}

// Finish hands the table to the spool file, which needs no fsync: after a crash the
// file is cut anew from the change log.
func (s *tableSink) Finish() error { return s.w.Flush() }
func (s *tableSink) Abort()        {}

// changeFile is a file whose footer, header and layout have been verified. Its tables
// are verified as they are extracted or read.
type changeFile struct {
	name string
	r    io.ReaderAt
	footer
}

// openChangeFile verifies the frame of a file of size bytes: magic, footer CRC, version,
// header, and that the tables fill the space between header and footer. name is for errors.
func openChangeFile(name string, r io.ReaderAt, size int64) (*changeFile, error) {
	bad := func(format string, args ...any) (*changeFile, error) {
		return nil, &CorruptError{Name: name, Reason: fmt.Sprintf(format, args...)}
	}
	if size < int64(ltx.HeaderSize+trailerSize) {
		return bad("it has %d bytes, fewer than an empty file", size)
	}
	var end [trailerSize]byte
	if _, err := r.ReadAt(end[:], size-int64(trailerSize)); err != nil {
		return nil, fmt.Errorf("replica: reading %s: %w", name, err)
	}
	if string(end[8:]) != fileMagic {
		return bad("its end is missing")
	}
	n := int64(binary.BigEndian.Uint32(end[:]))
	start := size - int64(trailerSize) - n
	if n > maxFooter || start < ltx.HeaderSize {
		return bad("its footer's length is wrong")
	}
	body := make([]byte, n)
	if _, err := r.ReadAt(body, start); err != nil {
		return nil, fmt.Errorf("replica: reading %s: %w", name, err)
	}
	if crc32.Checksum(body, castagnoli) != binary.BigEndian.Uint32(end[4:]) {
		return bad("its footer's checksum is wrong")
	}
	cf := &changeFile{name: name, r: r}
	if err := cbor.Unmarshal(body, &cf.footer); err != nil {
		return bad("its footer can't be read: %v", err)
	}
	if cf.Version > formatVersion {
		return nil, market.Errorf(market.Conflict, "The replica file %s has format %d, and this souk knows format %d. Use a newer souk for it.",
			name, cf.Version, formatVersion)
	}
	var head [ltx.HeaderSize]byte
	if _, err := r.ReadAt(head[:], 0); err != nil {
		return nil, fmt.Errorf("replica: reading %s: %w", name, err)
	}
	if !bytes.Equal(head[:], cf.header()) {
		return bad("its header doesn't match its footer")
	}
	off := int64(ltx.HeaderSize)
	for _, t := range cf.Tables {
		if t.Offset != off || t.Size <= 0 || t.Size > start-off {
			return bad("its tables don't follow one another")
		}
		off += t.Size
	}
	if off != start {
		return bad("its tables don't fill it")
	}
	return cf, nil
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
	sum := crc32.New(castagnoli)
	if _, err := io.Copy(io.MultiWriter(f, sum), io.NewSectionReader(cf.r, t.Offset, t.Size)); err != nil {
		return fmt.Errorf("replica: writing a table of %s: %w", cf.name, err)
	}
	if sum.Sum32() != t.CRC {
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
	if _, err := cf.r.ReadAt(b, t.Offset); err != nil {
		return fmt.Errorf("replica: reading a table of %s: %w", cf.name, err)
	}
	if crc32.Checksum(b, castagnoli) != t.CRC {
		return cf.wrongSum(i)
	}
	r, err := sstable.NewMemReader(b, sstable.ReaderOptions{})
	if err != nil {
		return cf.unreadable(err)
	}
	return cf.visitTable(i, r, visit)
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
