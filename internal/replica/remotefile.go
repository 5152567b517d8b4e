package replica

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/superfly/ltx"
)

// fetch downloads a file and verifies its frame: into memory when it is listed as small,
// else to path. The error is fs.ErrNotExist when there is no such file. The caller closes
// the changeFile, and removes what is at path.
func (c *Client) fetch(ctx context.Context, ref fileRef, path string) (*changeFile, error) {
	ctx, cancel := context.WithTimeout(ctx, transferTimeout(ref.size))
	defer cancel()
	if c.key != nil && !c.key.CanRead() {
		return nil, cantRead(c)
	}
	return c.download(ctx, ref, path)
}

// download is fetch with any key: one that can't read gives the public part only.
func (c *Client) download(ctx context.Context, ref fileRef, path string) (*changeFile, error) {
	r, err := c.open(ctx, ref.under(), ref.level, ref.min, ref.max, 0, 0)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	if ref.size > 0 && ref.size <= smallFile {
		b, err := io.ReadAll(io.LimitReader(r, smallFile+1))
		if err != nil {
			return nil, fmt.Errorf("replica: fetching %s: %w", c.nameOf(ref), err)
		}
		return openWith(c.key, c.nameOf(ref), bytes.NewReader(b), int64(len(b)))
	}
	return spool(c.key, c.nameOf(ref), r, path)
}

// nameOf names a file for people and in errors.
func (c *Client) nameOf(ref fileRef) string {
	return c.where(ref.under(), ref.level, ref.min, ref.max)
}

// fileRef names a change file or snapshot; with level levelSegments or levelBlobs, and
// whatever generation, a segment or blob.
type fileRef struct {
	generation uint32
	level      int
	min, max   ltx.TXID
	size       int64 // as listed
}

// under is the path that the file is in.
func (r fileRef) under() string {
	if r.level == levelSegments || r.level == levelBlobs {
		return ""
	}
	return generationPath(r.generation)
}

// changeRef names a generation's change file n, of unknown size.
func changeRef(g uint32, n ltx.TXID) fileRef {
	return fileRef{generation: g, level: levelChanges, min: n, max: n}
}

// smallFile is the size in bytes up to which a file is fetched whole to read its footer.
const smallFile = 1 << 20

// footerOf reads a file's verified footer. The error is fs.ErrNotExist when there is no
// such file. Of a file that is listed as large only the ends are fetched. Of an encrypted
// file, a key that can't read gives the public part: no Tables, Blobs or Segments.
func (c *Client) footerOf(ctx context.Context, ref fileRef) (*footer, error) {
	var cf *changeFile
	var err error
	if ref.size > smallFile {
		cf, err = openWith(c.key, c.nameOf(ref), &rangeReader{ctx, c, ref}, ref.size)
	} else {
		cf, err = c.peek(ctx, ref)
	}
	if err != nil {
		return nil, err
	}
	if err := c.expect(ref, &cf.footer); err != nil {
		return nil, err
	}
	return &cf.footer, nil
}

// peek fetches a file for its footer only.
func (c *Client) peek(ctx context.Context, ref fileRef) (*changeFile, error) {
	dir, err := os.MkdirTemp("", "souk-replica-*")
	if err != nil {
		return nil, fmt.Errorf("replica: making a spool folder: %w", err)
	}
	defer os.RemoveAll(dir)
	ctx, cancel := context.WithTimeout(ctx, transferTimeout(ref.size))
	defer cancel()
	cf, err := c.download(ctx, ref, filepath.Join(dir, "file"))
	if err != nil {
		return nil, err
	}
	return cf, cf.close()
}

// rangeReader reads parts of a file where it is.
type rangeReader struct {
	ctx context.Context
	c   *Client
	ref fileRef
}

func (r *rangeReader) ReadAt(p []byte, off int64) (int, error) {
	ctx, cancel := context.WithTimeout(r.ctx, transferTimeout(int64(len(p))))
	defer cancel()
	body, err := r.c.open(ctx, r.ref.under(), r.ref.level, r.ref.min, r.ref.max, off, int64(len(p)))
	if err != nil {
		return 0, err
	}
	defer body.Close()
	return io.ReadFull(body, p)
}

// expect verifies that a file is the one that its name says.
func (c *Client) expect(ref fileRef, f *footer) error {
	if f.Generation == ref.generation && f.TXID == uint64(ref.max) && f.minTXID() == ref.min {
		return nil
	}
	return &CorruptError{Name: c.nameOf(ref), Reason: fmt.Sprintf("it is file %d of generation %d", f.TXID, f.Generation)}
}
