package replica

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"

	"github.com/superfly/ltx"

	"github.com/souk-market/souk/internal/blob"
	"github.com/souk-market/souk/store"
)

// noteBlobs adds the blobs whose records are among keys.
func noteBlobs(sums map[blob.Sum]bool, keys ...store.Key) error {
	for rec := range store.Blobs.ChangedIn(keys) {
		sum, err := blob.ParseSum(rec.ID)
		if err != nil {
			return fmt.Errorf("replica: the blob record %s: %w", rec.ID, err)
		}
		sums[sum] = true
	}
	return nil
}

// sortedSums are the sums as a footer lists them.
func sortedSums(sums map[blob.Sum]bool) [][sha256.Size]byte {
	list := make([][sha256.Size]byte, 0, len(sums))
	for sum := range sums {
		list = append(list, sum)
	}
	slices.SortFunc(list, func(a, b [sha256.Size]byte) int { return bytes.Compare(a[:], b[:]) })
	return list
}

// blobsSince adds what the files from the snapshot base (nil is the beginning) to the
// snapshot f have named. The change log tells; where it has been cut, the files do, and
// where those can't be read, every blob of this machine is taken to be named.
func (r *Replicator) blobsSince(ctx context.Context, base, f *footer, snap *store.Snapshot, sums map[blob.Sum]bool) error {
	var after store.LSN
	if base != nil {
		after = base.LSNMax
	}
	err := loggedBlobs(snap, after, sums)
	if errors.Is(err, store.ErrLogCut) {
		err = r.filedBlobs(ctx, base, f, sums)
	}
	if err == nil && base != nil && base.Generation == f.Generation && base.TXID == f.TXID { // this one replaces it
		err = base.addBlobs(sums)
	}
	if err == nil || ctx.Err() != nil || r.blobs == nil {
		return err
	}
	r.opts.Logger.Warn("what files have named since the last snapshot can't be read; the snapshot keeps every file of this server", "err", err)
	for ref, err := range r.blobs.All() {
		if err != nil {
			return fmt.Errorf("replica: listing the blobs: %w", err)
		}
		sums[ref.Sum] = true
	}
	return nil
}

// addBlobs adds the blobs that a file names. errNoKey when only their names in the replica
// could be read.
func (f *footer) addBlobs(sums map[blob.Sum]bool) error {
	if len(f.Blobs) < len(f.BlobNames) {
		return fmt.Errorf("replica: reading which files file %d of generation %d names: %w", f.TXID, f.Generation, errNoKey)
	}
	for _, sum := range f.Blobs {
		sums[sum] = true
	}
	return nil
}

// commitsAtOnce bounds the keys that are in memory while the change log is read.
const commitsAtOnce = 1000

// loggedBlobs adds the blobs that commits after an LSN have named or let go of.
func loggedBlobs(snap *store.Snapshot, after store.LSN, sums map[blob.Sum]bool) error {
	for after < snap.LSN() {
		changes, err := snap.Changes(after, commitsAtOnce)
		if err != nil {
			return fmt.Errorf("replica: reading the changes: %w", err)
		}
		if err := noteBlobs(sums, changes.Keys...); err != nil {
			return err
		}
		after = changes.Max
	}
	return nil
}

// filedBlobs adds the blobs that the files between two snapshots name, of the coarsest
// levels that there are.
func (r *Replicator) filedBlobs(ctx context.Context, base, f *footer, sums map[blob.Sum]bool) error {
	all, err := r.client.generations(ctx)
	if err != nil {
		return err
	}
	for _, s := range history(all, f.Generation, ltx.TXID(f.TXID)) {
		from := ltx.TXID(1)
		if base != nil && base.Generation == s.Generation {
			from = ltx.TXID(base.TXID) + 1
		}
		files, err := r.client.coarsest(ctx, s.Generation, from, s.upTo)
		if err != nil {
			return err
		}
		for _, ref := range files {
			file, err := r.client.footerOf(ctx, ref)
			if err != nil {
				return err
			}
			if err := file.addBlobs(sums); err != nil {
				return err
			}
		}
		if from > 1 || base != nil && base.Generation == s.Generation {
			return nil
		}
	}
	return nil
}

// coarsest lists the fewest files that hold the changes from one number to another, as far
// as there are any: a hole is passed over.
func (c *Client) coarsest(ctx context.Context, g uint32, from, upTo ltx.TXID) ([]fileRef, error) {
	var all []fileRef
	for level := levelHour; level >= levelChanges; level-- {
		files, err := c.list(ctx, generationPath(g), level)
		if err != nil {
			return nil, err
		}
		for _, f := range files {
			if f.MaxTXID >= from && f.MaxTXID <= upTo {
				all = append(all, fileRef{g, level, f.MinTXID, f.MaxTXID, f.Size})
			}
		}
	}
	slices.SortStableFunc(all, func(a, b fileRef) int { return cmp.Or(cmp.Compare(a.min, b.min), cmp.Compare(b.max, a.max)) })
	var chain []fileRef
	for _, ref := range all {
		if ref.max >= from {
			chain = append(chain, ref)
			from = ref.max + 1
		}
	}
	return chain, nil
}
