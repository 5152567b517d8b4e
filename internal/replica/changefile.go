package replica

import (
	"bufio"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"hash"
	"hash/crc32"
	"hash/fnv"
	"io"
	"os"
	"time"

	"github.com/cockroachdb/pebble/v2/sstable"
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
	//
	// 2 adds merged files, snapshots of segments, and encryption.
	formatVersion = 2

	// tableTarget is the raw size at which a sorted table is finished and the next one
	// begun, so that a restore needs little memory and disk beside the database.
	tableTarget = 64 << 20

	// maxFooter bounds what a damaged length can make a reader allocate. A footer has
	// some 120 bytes per table of 64 MiB; that of a snapshot some 200 per segment of 1 MiB
	// and 32 per blob.
	maxFooter = 64 << 20
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

	// The links that make a chain of a replica's files, which only holders of its key can
	// lengthen. Link is that of the file: the MAC of a level-0 file; a merged file or
	// snapshot has that of the last level-0 file in it. PrevLink is the Link of the file
	// before: of a merged file that before its first, of a snapshot zero. All are zero in
	// a replica without a key.
	PrevLink Link `cbor:"prevLink,omitzero"`
	Link     Link `cbor:"link,omitzero"`
	MAC      Link `cbor:"-"` // of the public part as it is stored; zero until the file is sealed or opened

	// An encrypted file has a public part that lacks Tables, Blobs, Segments and, at
	// level 0, Link, and has these instead.
	Inner        Link         `cbor:"inner,omitzero"` // MAC of the secret part; also set when that has been read
	BlobNames    []objectName `cbor:"blobNames,omitempty"`
	SegmentNames []objectName `cbor:"segmentNames,omitempty"`
}

// seal names who ended a generation and where history goes on.
type seal struct {
	Node       market.NodeID `cbor:"node"`
	Generation uint32        `cbor:"gen"`
}

// table is one sorted table inside a file.
type table struct {
	Offset int64             `cbor:"off"` // bytes from the start of the file
	Size   int64             `cbor:"len"`
	CRC    uint32            `cbor:"crc32c"`
	Sum    [sha256.Size]byte `cbor:"sum,omitzero"` // SHA-256, in encrypted files only, whose footers are authenticated
	First  []byte            `cbor:"first"`        // smallest and largest key
	Last   []byte            `cbor:"last"`
	Keys   int64             `cbor:"n"` // sets and deletes
}

// time is when the file was cut. It is what a restore to a point in time goes by, and
// nothing else: no decision about who may write looks at it.
func (f *footer) time() time.Time { return time.UnixMilli(f.Time).UTC() }

// position is where a follower stands after the file.
func (f *footer) position() Position {
	return Position{Generation: f.Generation, TXID: ltx.TXID(f.TXID), LSN: f.LSNMax, Chain: f.Chain, Link: f.Link, Time: f.time()}
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
	key   *Key // of the replica that the file is for; nil when it isn't encrypted
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
// temporary directory). key is that of the replica, nil when it has none.
func newFileWriter(dir string, key *Key) (*fileWriter, error) {
	f, err := spoolFile(dir)
	if err != nil {
		return nil, err
	}
	return &fileWriter{key: key, f: f, off: ltx.HeaderSize, opts: store.SSTOptions()}, nil
}

// spoolFile makes a nameless file in dir: it lives while it is open, and a crash leaves
// nothing behind.
func spoolFile(dir string) (*os.File, error) {
	if dir != "" {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return nil, fmt.Errorf("replica: making the spool folder: %w", err)
		}
	}
	f, err := os.CreateTemp(dir, "souk-replica-*")
	if err != nil {
		return nil, fmt.Errorf("replica: making a spool file: %w", err)
	}
	os.Remove(f.Name())
	return f, nil
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
	if w.key != nil {
		w.sink.sum = sha256.New()
	}
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
	if w.sink.sum != nil {
		w.sink.sum.Sum(w.cur.Sum[:0])
	}
	w.off += w.cur.Size
	w.parts = append(w.parts, w.cur)
	return nil
}

// finish writes footer, trailer and header, and returns the file, rewound, in its plain
// form: sending it to an encrypted replica seals it. It is gone after discard. A file of
// level 0 gets its Link; that of others is the caller's to set.
func (w *fileWriter) finish(f *footer) (*os.File, error) {
	if err := w.endTable(); err != nil {
		return nil, err
	}
	f.Version, f.Tables = formatVersion, w.parts
	if err := f.link(w.key); err != nil {
		return nil, err
	}
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
	return withTrailer(body), nil
}

func withTrailer(body []byte) []byte {
	crc := crc32.Checksum(body, castagnoli)
	b := binary.BigEndian.AppendUint32(body, uint32(len(body)))
	b = binary.BigEndian.AppendUint32(b, crc)
	return append(b, fileMagic...)
}

// encodeTombstone is a whole file without tables, in its plain form, with its Link. key
// is as newFileWriter's.
func encodeTombstone(f *footer, key *Key) ([]byte, error) {
	f.Version = formatVersion
	if err := f.link(key); err != nil {
		return nil, err
	}
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
	sum hash.Hash // nil when nobody asks for it
}

func (s *tableSink) Write(p []byte) error {
	s.n += int64(len(p))
	s.crc = crc32.Update(s.crc, castagnoli, p)
	if s.sum != nil {
		s.sum.Write(p)
	}
	_, err := s.w.Write(p)
	return err
}

// Finish hands the table to the spool file, which needs no fsync: after a crash the
// file is cut anew from the change log.
func (s *tableSink) Finish() error { return s.w.Flush() }
func (s *tableSink) Abort()        {}
