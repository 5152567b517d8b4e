package replica

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/cockroachdb/pebble/v2/vfs"
	"golang.org/x/sync/errgroup"
)

const (
	// segmentsAhead is how many segments are downloaded, verified and synced at once.
	// They are about 1 MiB, so that on a long line more of them are under way than on
	// the disk.
	segmentsAhead = 16
	// segmentsIngested is how many are taken in by one call at most. Each call syncs the
	// database's list of files.
	segmentsIngested = 128
)

// applySegments takes in the segments of a snapshot while others are downloaded. They
// don't overlap, so their order doesn't matter. Each stays in the workplace under its
// SHA-256 until the restore is done.
func (b *builder) applySegments(ctx context.Context, s *source, segments []segment) error {
	for _, seg := range segments {
		b.meter.expect(seg.Size)
	}
	group, inner := errgroup.WithContext(ctx)
	ready := make(chan string, segmentsIngested)
	group.Go(func() error { return b.ingestReady(inner, ready) })
	group.Go(func() error {
		defer close(ready)
		return b.fetchSegments(inner, s, segments, ready)
	})
	return errors.Join(group.Wait(), ctx.Err())
}

// fetchSegments gets segments into the workplace, several at once, and says which are
// ready to be taken in.
func (b *builder) fetchSegments(ctx context.Context, s *source, segments []segment, ready chan<- string) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(segmentsAhead)
	for _, seg := range segments {
		if ctx.Err() != nil {
			break // an error of the group's, or the caller's context has ended
		}
		group.Go(func() error {
			path, err := b.segment(ctx, s, seg)
			if err != nil {
				return err
			}
			select {
			case ready <- path:
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		})
	}
	return group.Wait()
}

// ingestReady takes in what is ready, as much as there is at once.
func (b *builder) ingestReady(ctx context.Context, ready <-chan string) error {
	for path := range ready {
		paths := []string{path}
		for more := true; more && len(paths) < segmentsIngested; {
			select {
			case path, ok := <-ready:
				if more = ok; ok {
					paths = append(paths, path)
				}
			default:
				more = false
			}
		}
		if err := b.target.Ingest(ctx, paths...); err != nil {
			return err
		}
	}
	return nil
}

// segment gets a segment into the workplace, from there, from its source, or from another
// one, and returns a link to it that the database may take.
func (b *builder) segment(ctx context.Context, s *source, seg segment) (string, error) {
	name := hex.EncodeToString(seg.Sum[:])
	kept := b.place.path(segmentsDir, name)
	whole, err := verifiedFile(kept, seg)
	if err != nil {
		return "", err
	}
	from := s
	if !whole {
		if from, err = b.fetchSegment(ctx, s, seg, kept); err != nil {
			return "", err
		}
	}
	b.meter.advance(seg.Size)
	b.meter.keep(seg.Size)
	b.countSegment(from, seg.Size, whole)
	link := b.place.path(tmpDir, name+".sst")
	if err := vfs.LinkOrCopy(vfs.Default, kept, link); err != nil {
		return "", fmt.Errorf("replica: linking a segment: %w", err)
	}
	return link, nil
}

// verifiedFile reports whether the segment is at path, whole.
func verifiedFile(path string, seg segment) (bool, error) {
	f, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("replica: reading a segment: %w", err)
	}
	defer f.Close()
	sum := sha256.New()
	if _, err := io.Copy(sum, f); err != nil {
		return false, fmt.Errorf("replica: reading a segment: %w", err)
	}
	return [sha256.Size]byte(sum.Sum(nil)) == seg.Sum, nil
}

// fetchSegment downloads a segment to path from the first source that has it whole.
func (b *builder) fetchSegment(ctx context.Context, s *source, seg segment, path string) (*source, error) {
	fresh := path + ".new"
	var first error
	for _, from := range b.startingWith(s) {
		err := persist(ctx, func() error {
			if err := os.RemoveAll(fresh); err != nil {
				return err
			}
			return from.client.fetchSegment(ctx, seg, fresh)
		})
		if err == nil {
			if first != nil {
				b.healObject(s.client.nameOfSegment(seg), first, from)
			}
			return from, os.Rename(fresh, path)
		}
		if first == nil {
			first = err
		}
		if ctx.Err() != nil || from == s && !unusable(err) {
			return nil, err
		}
	}
	return nil, first
}

// startingWith returns the sources, a certain one first.
func (r *restoration) startingWith(s *source) []*source {
	sources := []*source{s}
	for _, other := range r.inOrder() {
		if other != s {
			sources = append(sources, other)
		}
	}
	return sources
}

func (b *builder) countSegment(from *source, size int64, reused bool) {
	b.shared.Lock()
	defer b.shared.Unlock()
	b.report.Segments++
	b.report.Bytes += size
	if reused {
		b.report.Reused += size
		return
	}
	from.report.Segments++
	from.report.Bytes += size
}
