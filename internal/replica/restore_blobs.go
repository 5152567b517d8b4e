package replica

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"

	"golang.org/x/sync/errgroup"

	"github.com/souk-market/souk/internal/blob"
	"github.com/souk-market/souk/internal/market"
)

// fetchBlobs downloads and verifies the blobs that the restored records name. Those that
// an interrupted restore has left are read and used again.
func (b *builder) fetchBlobs(ctx context.Context) error {
	refs, err := blobRefs(b.target.Blobs(), &b.meter)
	if err != nil || len(refs) == 0 {
		return err
	}
	into, err := blob.Open(b.place.path(blobsDir))
	if err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(blobStreams)
	for _, ref := range refs {
		group.Go(func() error {
			from, err := b.fetchBlob(ctx, into, ref)
			b.shared.Lock()
			defer b.shared.Unlock()
			return b.countBlob(ref, from, err)
		})
	}
	return group.Wait()
}

// blobRefs lists the blobs that records name, each once (several tenants may name one),
// and expects their bytes.
func blobRefs(records iter.Seq2[market.Blob, error], m *meter) ([]blob.Ref, error) {
	var refs []blob.Ref
	seen := map[blob.Sum]bool{}
	for rec, err := range records {
		if err != nil {
			return nil, err
		}
		sum, err := blob.ParseSum(rec.SHA256)
		if err != nil {
			return nil, fmt.Errorf("replica: the blob record %s: %w", rec.SHA256, err)
		}
		if !seen[sum] {
			seen[sum] = true
			refs = append(refs, blob.Ref{Sum: sum, Size: rec.Size})
			m.expect(rec.Size)
		}
	}
	return refs, nil
}

// fetchBlob gets a blob from the first source that has it whole, nil for the workplace.
func (b *builder) fetchBlob(ctx context.Context, into *blob.Store, ref blob.Ref) (*source, error) {
	if into.Verify(ctx, ref.Sum) == nil {
		return nil, nil
	}
	var first error
	for i, s := range b.inOrder() {
		err := persist(ctx, func() error {
			_, err := s.client.fetchBlob(ctx, into, ref.Sum)
			return err
		})
		if err == nil && i > 0 {
			b.healObject(b.main.client.whereContent(levelBlobs, ref.Sum), first, s)
		}
		if err == nil || ctx.Err() != nil {
			return s, err
		}
		first = errors.Join(first, err)
	}
	return nil, first
}

// healObject names a blob or segment that another source had.
func (b *builder) healObject(name string, err error, by *source) {
	reason := "it is missing"
	var bad *CorruptError
	if errors.As(err, &bad) {
		reason = bad.Reason
	} else if !errors.Is(err, fs.ErrNotExist) {
		reason = market.Message(err)
	}
	b.opts.Logger.Error("an object of the replica can't be used", "object", name, "err", err)
	b.shared.Lock()
	defer b.shared.Unlock()
	b.report.Healed = append(b.report.Healed, Healing{Name: name, Reason: reason, By: by.client.String()})
}

// countBlob puts the outcome of one blob into the report, or returns it as the error
// that ends the restore.
func (b *builder) countBlob(ref blob.Ref, from *source, err error) error {
	missing := errors.Is(err, fs.ErrNotExist)
	switch {
	case err == nil:
		b.report.Blobs++
		b.report.BlobBytes += ref.Size
		b.meter.keep(ref.Size)
		if from == nil {
			b.report.Reused += ref.Size
		} else {
			from.report.Blobs++
			from.report.Bytes += ref.Size
		}
	case b.opts.AllowMissingBlobs && (missing || errors.Is(err, ErrCorrupt)):
		b.opts.Logger.Error("a file can't be restored", "sha256", ref.Sum.String(), "err", err)
		b.report.MissingBlobs = append(b.report.MissingBlobs, ref.Sum.String())
	case errors.Is(err, ErrCorrupt):
		return withoutBlobs(err)
	case missing:
		return withoutBlobs(&CorruptError{Name: b.main.client.whereContent(levelBlobs, ref.Sum),
			Reason: fmt.Sprintf("the file with SHA-256 %s, which the records name, is missing", ref.Sum)})
	default:
		return err
	}
	b.meter.advance(ref.Size)
	return nil
}

// withoutBlobs adds to the error of a lost blob how to restore the rest.
func withoutBlobs(err error) error {
	return fmt.Errorf("%w. Everything else can be restored (--allow-missing-files)", err)
}
