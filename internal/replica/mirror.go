package replica

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"

	"github.com/superfly/ltx"
	"golang.org/x/sync/errgroup"

	"github.com/souk-market/souk/internal/blob"
	"github.com/souk-market/souk/internal/market"
	"github.com/souk-market/souk/store"
)

// blobStreams is how many blobs are copied at once, to or from the replica.
const blobStreams = 16

// blobName is the pair of numbers that names a blob in the replica: the first 128 bits
// of its SHA-256. The full hash is verified on the way back.
func blobName(sum blob.Sum) (minTXID, maxTXID ltx.TXID) {
	return ltx.TXID(binary.BigEndian.Uint64(sum[:8])), ltx.TXID(binary.BigEndian.Uint64(sum[8:16]))
}

// mirror copies blobs to the replica, unless they are there; many says that listing what
// is there costs less than asking for each. It comes before the change file whose records
// name them, so that a replica never names a blob it lacks.
func (r *Replicator) mirror(ctx context.Context, named map[blob.Sum]bool, many bool) error {
	if len(named) == 0 {
		return nil
	}
	if r.blobs == nil {
		return errors.New("replica: a record names a blob, and there is no blob store")
	}
	if many {
		if err := r.listMirrored(ctx, named); err != nil {
			return err
		}
	}
	// The first failure stops the rest; what has been copied until then is remembered.
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(blobStreams)
	done := make(chan blob.Sum, len(named))
	for sum := range named {
		if !r.mirrored[sum] {
			group.Go(func() error {
				if err := r.mirrorBlob(ctx, sum); err != nil {
					return err
				}
				done <- sum
				return nil
			})
		}
	}
	err := group.Wait()
	close(done)
	for sum := range done {
		r.mirrored[sum] = true // a next attempt needn't ask again
	}
	return err
}

// namedBlobs are the blobs whose records are among keys and still there at the snapshot;
// keys nil means all of the snapshot.
func namedBlobs(snap *store.Snapshot, keys []store.Key) (map[blob.Sum]bool, error) {
	sums := map[blob.Sum]bool{}
	if keys == nil {
		for kv, err := range snap.All() {
			if err != nil {
				return nil, fmt.Errorf("replica: reading the database: %w", err)
			}
			if err := noteBlobs(sums, kv.Key); err != nil {
				return nil, err
			}
		}
		return sums, nil
	}
	for i := range keys {
		for range store.Blobs.ChangedIn(keys[i : i+1]) {
			if _, ok, err := snap.Value(keys[i]); err != nil {
				return nil, fmt.Errorf("replica: reading a blob record: %w", err)
			} else if ok {
				if err := noteBlobs(sums, keys[i]); err != nil {
					return nil, err
				}
			}
		}
	}
	return sums, nil
}

// listMirrored marks those of many blobs that the replica has, by listing instead of
// asking for each.
func (r *Replicator) listMirrored(ctx context.Context, sums map[blob.Sum]bool) error {
	files, err := r.client.list(ctx, "", levelBlobs)
	if err != nil {
		return err
	}
	type name struct{ min, max ltx.TXID }
	there := make(map[name]bool, len(files))
	for _, f := range files {
		there[name{f.MinTXID, f.MaxTXID}] = true
	}
	for sum := range sums {
		lo, hi := blobName(sum)
		if there[name{lo, hi}] {
			r.mirrored[sum] = true
		}
	}
	return nil
}

// mirrorBlob copies one blob, unless it is there. A blob that this machine has lost is
// reported and passed over: holding back the purchases behind it would lose those too.
func (r *Replicator) mirrorBlob(ctx context.Context, sum blob.Sum) error {
	has, err := r.client.hasBlob(ctx, sum)
	if has || err != nil {
		return err
	}
	f, err := r.blobs.Open(ctx, sum)
	if market.Is(err, market.NotFound) {
		r.opts.Logger.Error("a file that a record names is missing here and in the replica", "sha256", sum.String())
		return nil
	}
	if err != nil {
		return fmt.Errorf("replica: mirroring a blob: %w", err)
	}
	defer f.Close()
	lo, hi := blobName(sum)
	head := ltxHeader(lo, hi, 0, "") // a function of the name alone
	body := io.NewSectionReader(headed{head, f}, 0, int64(len(head))+f.Size())
	return r.client.put(ctx, "", levelBlobs, lo, hi, body, body.Size())
}

// hasBlob reports whether the replica has a blob. Reading the header is enough: blobs
// appear whole or not at all, on S3 as in a directory.
func (c *Client) hasBlob(ctx context.Context, sum blob.Sum) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	lo, hi := blobName(sum)
	r, err := c.open(ctx, "", levelBlobs, lo, hi, 0, ltx.HeaderSize)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return true, r.Close()
}

// fetchBlob copies a blob from the replica into a blob store, and verifies it. The
// error is fs.ErrNotExist when the replica lacks it. The size isn't known beforehand,
// so the time limit is on each pause of the line, not on the whole.
func (c *Client) fetchBlob(ctx context.Context, into *blob.Store, sum blob.Sum) (size int64, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	lo, hi := blobName(sum)
	r, err := c.open(ctx, "", levelBlobs, lo, hi, ltx.HeaderSize, 0)
	if err != nil {
		return 0, err
	}
	defer r.Close()
	body := newImpatientReader(r, cancel)
	defer body.stop()
	ref, err := into.Put(ctx, body, maxBlob)
	if err != nil {
		return 0, fmt.Errorf("replica: fetching %s: %w", c.where("", levelBlobs, lo, hi), err)
	}
	if ref.Sum != sum {
		return 0, &CorruptError{Name: c.where("", levelBlobs, lo, hi), Reason: fmt.Sprintf("it should hold the file with SHA-256 %s", sum)}
	}
	return ref.Size, nil
}

// maxBlob is beyond any file that the marketplace takes.
const maxBlob = 1 << 40

// headed is a header with a file behind it, read as one. It can be read from any place,
// so that the SDK can send parts in parallel and again.
type headed struct {
	head []byte
	file io.ReaderAt
}

func (h headed) ReadAt(p []byte, off int64) (n int, err error) {
	if off < int64(len(h.head)) {
		n = copy(p, h.head[off:])
		if n == len(p) {
			return n, nil
		}
		off = int64(len(h.head))
	}
	m, err := h.file.ReadAt(p[n:], off-int64(len(h.head)))
	return n + m, err
}
