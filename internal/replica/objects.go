package replica

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"

	"filippo.io/age"
	"github.com/superfly/ltx"

	"github.com/souk-market/souk/internal/blob"
)

// objectName is the name of a blob or segment, made of its content by Key.contentName.
type objectName [16]byte

// txids is the pair of numbers that carries the name.
func (n objectName) txids() (minTXID, maxTXID ltx.TXID) {
	return ltx.TXID(binary.BigEndian.Uint64(n[:8])), ltx.TXID(binary.BigEndian.Uint64(n[8:]))
}

// objectNameOf is the name that a listed file has.
func objectNameOf(f *ltx.FileInfo) (n objectName) {
	binary.BigEndian.PutUint64(n[:8], uint64(f.MinTXID))
	binary.BigEndian.PutUint64(n[8:], uint64(f.MaxTXID))
	return n
}

// contentName is the name of a blob or segment with a SHA-256 in this replica.
func (c *Client) contentName(sum blob.Sum) objectName { return c.key.contentName(sum) }

// whereContent names a blob or segment for people.
func (c *Client) whereContent(level int, sum blob.Sum) string {
	lo, hi := c.contentName(sum).txids()
	return c.where("", level, lo, hi)
}

// putContent writes a blob or segment, encrypted when the replica is. Doing it again
// changes nothing but, where it is encrypted, the bytes that are there. at, Unix
// milliseconds, becomes the object's timestamp.
func (c *Client) putContent(ctx context.Context, level int, sum blob.Sum, at int64, body io.ReaderAt, size int64) error {
	lo, hi := c.contentName(sum).txids()
	head := ltxHeader(lo, hi, at, "")
	if c.key == nil {
		framed := io.NewSectionReader(headed{head, body}, 0, int64(len(head))+size)
		return c.put(ctx, "", level, lo, hi, framed, framed.Size())
	}
	sealed, err := c.sealedContent(head, io.NewSectionReader(body, 0, size))
	if err != nil {
		return err
	}
	return c.put(ctx, "", level, lo, hi, sealed, int64(len(head))+size)
}

// hasContent reports whether the replica has a blob or segment. Reading the header is
// enough where objects appear whole or not at all.
func (c *Client) hasContent(ctx context.Context, level int, sum blob.Sum) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	lo, hi := c.contentName(sum).txids()
	r, err := c.open(ctx, "", level, lo, hi, 0, ltx.HeaderSize)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return true, r.Close()
}

// openContent reads a blob or segment from its beginning, decrypted; the caller verifies
// its SHA-256. The error is fs.ErrNotExist when there is none. ctx covers reading it too.
func (c *Client) openContent(ctx context.Context, level int, sum blob.Sum) (io.ReadCloser, error) {
	lo, hi := c.contentName(sum).txids()
	r, err := c.open(ctx, "", level, lo, hi, ltx.HeaderSize, 0)
	if err != nil || c.key == nil {
		return r, err
	}
	if !c.key.CanRead() {
		return nil, errors.Join(cantRead(c), r.Close())
	}
	plain, err := c.key.decrypt(c.whereContent(level, sum), r)
	if err != nil {
		return nil, errors.Join(err, r.Close())
	}
	return &bodyReader{plain, r}, nil
}

// bodyReader reads one thing and closes another.
type bodyReader struct {
	io.Reader
	io.Closer
}

// sealedContent is a header with the encrypted form of body behind it. It can be read once.
func (c *Client) sealedContent(head []byte, body io.Reader) (io.Reader, error) {
	sealed, err := age.EncryptReader(body, c.key.recipient)
	if err != nil {
		return nil, fmt.Errorf("replica: sealing: %w", err)
	}
	return io.MultiReader(bytes.NewReader(head), sealed), nil
}

// headed is a header with a body behind it, read as one. It can be read from any place,
// so that the SDK can send parts in parallel and again.
type headed struct {
	head []byte
	body io.ReaderAt
}

func (h headed) ReadAt(p []byte, off int64) (n int, err error) {
	return readAfter(h.head, h.body, p, off)
}
