package replica

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync/atomic"

	"filippo.io/age"
	"github.com/fxamacker/cbor/v2"
	"github.com/superfly/ltx"

	"github.com/souk-market/souk/internal/market"
)

// An encrypted change file, snapshot or tombstone:
//
//	LTX header            as in a plain file
//	age file              the tables, then the secret part: CBOR, type secretPart, and its
//	                      length in 4 bytes, big-endian
//	MAC                   HMAC-SHA-256 of the public part, 32 bytes
//	public part           the footer without what the secret part has, then as in a plain
//	                      file: length, CRC-32C, magic
//
// The public part has the MAC of the secret part, and that has the SHA-256 of each table,
// so the MAC stands for every byte of the file but those that age adds, which it
// authenticates itself. A server that can only write reads the public parts: it finds out
// where the replica stands, and verifies the links, without seeing a record.
//
// Blobs and segments are an LTX header and an age file.

// Link is one link of a replica's chain: an HMAC-SHA-256, zero in a replica without a key.
type Link [32]byte

// secretPart is what of a footer tells of the records.
type secretPart struct {
	Tables   []table    `cbor:"tables,omitempty"`
	Blobs    [][32]byte `cbor:"blobs,omitempty"`
	Segments []segment  `cbor:"segments,omitempty"`
}

// encrypted reports whether a footer is that of an encrypted file.
func (f *footer) encrypted() bool { return f.Inner != Link{} }

// linksItself reports whether the file's MAC is its link: that of level 0.
func (f *footer) linksItself() bool { return !f.Snapshot && f.MinTXID == 0 }

// split encodes the two parts of a footer and computes the public part's MAC.
func (f *footer) split(k *Key) (public, secret []byte, mac Link, err error) {
	if secret, err = cbor.Marshal(secretPart{f.Tables, f.Blobs, f.Segments}); err != nil {
		return nil, nil, Link{}, fmt.Errorf("replica: encoding a footer: %w", err)
	}
	p := *f
	p.Tables, p.Blobs, p.Segments = nil, nil, nil
	p.Inner = k.sum("secret part", secret)
	p.BlobNames, p.SegmentNames = f.names(k)
	if p.linksItself() {
		p.Link = Link{}
	}
	if public, err = cbor.Marshal(p); err != nil {
		return nil, nil, Link{}, fmt.Errorf("replica: encoding a footer: %w", err)
	}
	return public, secret, k.sum("file", public), nil
}

// link sets the Link of a level-0 file, whose footer is complete; others have theirs from
// the files that they are made of. k is nil in a replica without a key.
func (f *footer) link(k *Key) error {
	if k == nil {
		return nil
	}
	if !f.linksItself() {
		if f.Link == (Link{}) {
			return errors.New("replica: a file of a replica with a key has no link")
		}
		return nil
	}
	_, _, mac, err := f.split(k)
	f.Link = mac
	return err
}

// names are the names of the blobs and segments that the file needs, sorted. k may be nil.
func (f *footer) names(k *Key) (blobs, segments []objectName) {
	if f.encrypted() && f.Blobs == nil && f.Segments == nil {
		return f.BlobNames, f.SegmentNames
	}
	for _, sum := range f.Blobs {
		blobs = append(blobs, k.contentName(sum))
	}
	for _, s := range f.Segments {
		segments = append(segments, k.contentName(s.Sum))
	}
	for _, list := range [][]objectName{blobs, segments} {
		slices.SortFunc(list, func(a, b objectName) int { return bytes.Compare(a[:], b[:]) })
	}
	return slices.Compact(blobs), slices.Compact(segments)
}

// seal writes the encrypted form of a plain file, which finish has made, to dst.
func (k *Key) seal(dst io.Writer, f *footer, plain io.ReaderAt) error {
	public, secret, mac, err := f.split(k)
	if err != nil {
		return err
	}
	if f.linksItself() && mac != f.Link {
		return errors.New("replica: a file's footer has changed since it was linked")
	}
	end := int64(ltx.HeaderSize)
	for _, t := range f.Tables {
		end = t.Offset + t.Size
	}
	if _, err := dst.Write(f.header()); err != nil {
		return fmt.Errorf("replica: sealing a file: %w", err)
	}
	err = k.encrypt(dst, io.MultiReader(
		io.NewSectionReader(plain, ltx.HeaderSize, end-ltx.HeaderSize),
		bytes.NewReader(binary.BigEndian.AppendUint32(secret, uint32(len(secret))))))
	if err == nil {
		_, err = dst.Write(append(mac[:], withTrailer(public)...))
	}
	if err != nil {
		return fmt.Errorf("replica: sealing a file: %w", err)
	}
	f.MAC = mac
	return nil
}

// encrypt writes an age file with what src has.
func (k *Key) encrypt(dst io.Writer, src io.Reader) error {
	w, err := age.Encrypt(dst, k.recipient)
	if err != nil {
		return err
	}
	if _, err := io.Copy(w, src); err != nil {
		return err
	}
	return w.Close()
}

// openSealed opens the encrypted file whose public part has been read into cf; body is
// where the age file lies.
func (cf *changeFile) openSealed(k *Key, body *io.SectionReader) error {
	plain, size, err := k.decryptAt(cf.name, body)
	if err != nil {
		return err
	}
	if size < 4 {
		return cf.corrupt("its secret part is missing")
	}
	var length [4]byte
	if err := readFull(plain, length[:], size-4); err != nil {
		return err
	}
	n := int64(binary.BigEndian.Uint32(length[:]))
	if n > maxFooter || n > size-4 {
		return cf.corrupt("the length of its secret part is wrong")
	}
	b := make([]byte, n)
	if err := readFull(plain, b, size-4-n); err != nil {
		return err
	}
	if k.sum("secret part", b) != cf.Inner {
		return cf.corrupt("its secret part isn't the one that its public part goes with")
	}
	var s secretPart
	if err := cbor.Unmarshal(b, &s); err != nil {
		return cf.corrupt("its secret part can't be read: %v", err)
	}
	cf.Tables, cf.Blobs, cf.Segments = s.Tables, s.Blobs, s.Segments
	cf.r = &sealedView{cf.footer.header(), plain}
	return cf.checkLayout(ltx.HeaderSize + size - 4 - n)
}

// sealedView reads an encrypted file as if it were the plain one.
type sealedView struct {
	head  []byte
	plain io.ReaderAt
}

func (v *sealedView) ReadAt(p []byte, off int64) (n int, err error) {
	return readAfter(v.head, v.plain, p, off)
}

// readAfter reads from head with body behind it.
func readAfter(head []byte, body io.ReaderAt, p []byte, off int64) (n int, err error) {
	if off < int64(len(head)) {
		n = copy(p, head[off:])
		if n == len(p) {
			return n, nil
		}
		off = int64(len(head))
	}
	m, err := body.ReadAt(p[n:], off-int64(len(head)))
	return n + m, err
}

// readFull fills p; reading less is an error.
func readFull(r io.ReaderAt, p []byte, off int64) error {
	n, err := r.ReadAt(p, off)
	if n == len(p) {
		return nil
	}
	if err == nil || errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return err
}

// decryptAt opens an age file for reading at any place, and returns how many bytes it
// holds. name is for errors; all of them are a *CorruptError, but for those of body.
func (k *Key) decryptAt(name string, body *io.SectionReader) (io.ReaderAt, int64, error) {
	w := &watchedAt{ReaderAt: body}
	r, size, err := age.DecryptReaderAt(w, body.Size(), k.identity)
	if err != nil {
		return nil, 0, w.explain(name, err)
	}
	return &decryptedAt{name, r, w}, size, nil
}

// decrypt reads an age file as a stream; errors are as decryptAt's.
func (k *Key) decrypt(name string, r io.Reader) (io.Reader, error) {
	w := &watched{Reader: r}
	plain, err := age.Decrypt(w, k.identity)
	if err != nil {
		return nil, w.explain(name, err)
	}
	return &decrypted{name, plain, w}, nil
}

// failure is the first error of a source under decryption, which tells a broken line
// from a damaged file.
type failure struct{ err atomic.Pointer[error] }

// note keeps an error of the source. An early end is none: it makes the file a damaged one.
func (f *failure) note(err error) {
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		f.err.CompareAndSwap(nil, &err)
	}
}

// explain returns the source's error, else says that the file is damaged.
func (f *failure) explain(name string, err error) error {
	if source := f.err.Load(); source != nil {
		return *source
	}
	var wrong *age.NoIdentityMatchError
	if errors.As(err, &wrong) {
		return &CorruptError{Name: name, Reason: "it isn't encrypted for the replica's key"}
	}
	return &CorruptError{Name: name, Reason: "it can't be decrypted", Err: err}
}

type watched struct {
	io.Reader
	failure
}

func (w *watched) Read(p []byte) (int, error) {
	n, err := w.Reader.Read(p)
	w.note(err)
	return n, err
}

type watchedAt struct {
	io.ReaderAt
	failure
}

func (w *watchedAt) ReadAt(p []byte, off int64) (int, error) {
	n, err := w.ReaderAt.ReadAt(p, off)
	w.note(err)
	return n, err
}

type decrypted struct {
	name string
	io.Reader
	source *watched
}

func (d *decrypted) Read(p []byte) (int, error) {
	n, err := d.Reader.Read(p)
	if err != nil && err != io.EOF {
		err = d.source.explain(d.name, err)
	}
	return n, err
}

type decryptedAt struct {
	name string
	io.ReaderAt
	source *watchedAt
}

func (d *decryptedAt) ReadAt(p []byte, off int64) (int, error) {
	n, err := d.ReaderAt.ReadAt(p, off)
	if err != nil && err != io.EOF {
		err = d.source.explain(d.name, err)
	}
	return n, err
}

// cantRead is the refusal of a key that only seals.
func cantRead(c *Client) error {
	return market.Errorf(market.Forbidden, "The replica %s is encrypted, and the server key given can't read it. Give the recovery key.", c).Because(ErrKey)
}
