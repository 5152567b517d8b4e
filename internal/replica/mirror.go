package replica

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/sync/errgroup"

	"github.com/souk-market/souk/internal/blob"
	"github.com/souk-market/souk/internal/market"
)

// blobStreams is how many blobs are copied at once, to or from the replica.
const blobStreams = 16

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

// listMirrored marks those of many blobs that the replica has, by listing instead of
// asking for each.
func (r *Replicator) listMirrored(ctx context.Context, sums map[blob.Sum]bool) error {
	files, err := r.client.list(ctx, "", levelBlobs)
	if err != nil {
		return err
	}
	there := make(map[objectName]bool, len(files))
	for _, f := range files {
		there[objectNameOf(f)] = true
	}
	for sum := range sums {
		if there[r.client.contentName(sum)] {
			r.mirrored[sum] = true
		}
	}
	return nil
}

// mirrorBlob copies one blob, unless it is there. A blob that this machine has lost is
// reported and passed over: holding back the purchases behind it would lose those too.
func (r *Replicator) mirrorBlob(ctx context.Context, sum blob.Sum) error {
	has, err := r.client.hasContent(ctx, levelBlobs, sum)
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
	return r.client.putContent(ctx, levelBlobs, sum, r.opts.Clock().UnixMilli(), f, f.Size())
}

// fetchBlob copies a blob from the replica into a blob store, and verifies it. The
// error is fs.ErrNotExist when the replica lacks it. The size isn't known beforehand,
// so the time limit is on each pause of the line, not on the whole.
func (c *Client) fetchBlob(ctx context.Context, into *blob.Store, sum blob.Sum) (size int64, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	r, err := c.openContent(ctx, levelBlobs, sum)
	if err != nil {
		return 0, err
	}
	defer r.Close()
	body := newImpatientReader(r, cancel)
	defer body.stop()
	ref, err := into.Put(ctx, body, maxBlob)
	if err != nil {
		return 0, fmt.Errorf("replica: fetching %s: %w", c.whereContent(levelBlobs, sum), err)
	}
	if ref.Sum != sum {
		return 0, &CorruptError{Name: c.whereContent(levelBlobs, sum), Reason: fmt.Sprintf("it should hold the file with SHA-256 %s", sum)}
	}
	return ref.Size, nil
}

// maxBlob is beyond any file that the marketplace takes.
const maxBlob = 1 << 40
