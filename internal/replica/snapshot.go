package replica

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/superfly/ltx"
	"golang.org/x/sync/errgroup"

	"github.com/souk-market/souk/internal/blob"
	"github.com/souk-market/souk/store"
)

// snapshotMark is the newest snapshot of the generation.
type snapshotMark struct {
	txid ltx.TXID
	time time.Time // of the snapshot; of the generation's beginning when there is none
	size int64     // bytes of its tables; 0 when there is none
	tail int64     // bytes of the change files after it, as far as known
}

// markOf is the mark of a snapshot with the change files that come after it.
func markOf(f *footer, changes []*ltx.FileInfo) snapshotMark {
	m := snapshotMark{txid: ltx.TXID(f.TXID), time: f.time()}
	for _, s := range f.Segments {
		m.size += s.Size
	}
	for _, t := range f.Tables {
		m.size += t.Size
	}
	for _, c := range changes {
		if c.MinTXID > m.txid {
			m.tail += c.Size
		}
	}
	return m
}

const (
	// segmentStreams is how many segments are sent at once. Each is in memory meanwhile.
	segmentStreams = 4
	// segmentTrust is how long a segment that no snapshot names is counted on to stay. It
	// is less than retention's grace, which it has from when it was sent.
	segmentTrust = 12 * time.Hour
)

// Snapshot ships what is durable, and then everything there is as a file of level 9, from
// which a restore can start instead of from the first file of all. The file lists
// segments; those that the replica has are not sent again. Changes go on being shipped
// meanwhile. Memory holds some segments and the list, whatever the size of the database.
func (r *Replicator) Snapshot(ctx context.Context) error {
	select {
	case <-r.snapshotting:
	case <-ctx.Done():
		return fmt.Errorf("replica: waiting for another snapshot: %w", ctx.Err())
	}
	defer func() { r.snapshotting <- struct{}{} }()
	snap, pos, err := r.syncPinned(ctx)
	if err != nil {
		return err
	}
	defer snap.Close()
	if pos.TXID == 0 || pos.LSN != snap.LSN() {
		return nil // nothing has been shipped in this generation yet
	}
	before := r.lastMark().tail
	base, err := r.baseSnapshot(ctx, pos)
	if err != nil {
		return err
	}
	f := &footer{
		Generation: pos.Generation, TXID: uint64(pos.TXID), Snapshot: true,
		LSNMin: 1, LSNMax: pos.LSN, Chain: pos.Chain, Link: pos.Link,
		Node: r.node, Schema: store.SchemaVersion, Time: pos.Time.UnixMilli(), Committed: snap.Time().UnixMilli(),
	}
	sent, err := r.fillSegments(ctx, f, snap, base)
	if err != nil {
		return err
	}
	size, err := r.putSnapshot(ctx, f)
	if err != nil {
		return err
	}
	r.opts.Logger.Info("took a snapshot", "txid", pos.TXID, "segments", len(f.Segments), "sent", sent, "bytes", size)
	r.newest, r.sentSegments = f, map[objectName]time.Time{}
	mark := markOf(f, nil)
	mark.time = r.opts.Clock()
	r.mu.Lock()
	mark.tail = r.snapshot.tail - before // what has been shipped meanwhile
	r.snapshot = mark
	r.mu.Unlock()
	return nil
}

// lastMark is the newest snapshot of the generation.
func (r *Replicator) lastMark() snapshotMark {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.snapshot
}

// putSnapshot writes the file that lists the segments, and returns its size.
func (r *Replicator) putSnapshot(ctx context.Context, f *footer) (int64, error) {
	body, err := encodeTombstone(f, r.client.key)
	if err != nil {
		return 0, err
	}
	size := int64(len(body))
	return size, r.client.putFile(ctx, levelSnapshot, f, bytes.NewReader(body), size)
}

// baseSnapshot is the newest snapshot of this history, of this generation or an older
// one, nil when there is none that can be read. Retention keeps it, and so what it names.
func (r *Replicator) baseSnapshot(ctx context.Context, pos Position) (*footer, error) {
	if r.newest != nil {
		return r.newest, nil
	}
	all, err := r.client.generations(ctx)
	if err != nil {
		return nil, err
	}
	for _, s := range history(all, pos.Generation, pos.TXID) {
		files, err := r.client.list(ctx, generationPath(s.Generation), levelSnapshot)
		if err != nil {
			return nil, err
		}
		for _, file := range slices.Backward(files) {
			if file.MaxTXID > s.upTo {
				continue
			}
			f, err := r.client.footerOf(ctx, fileRef{s.Generation, levelSnapshot, file.MinTXID, file.MaxTXID, file.Size})
			if errors.Is(err, ErrCorrupt) || errors.Is(err, fs.ErrNotExist) {
				r.opts.Logger.Warn("a snapshot can't be gone on from", "err", err)
				continue
			}
			return f, err
		}
	}
	return nil, nil
}

// fillSegments cuts everything in the snapshot into segments, sends those that the
// replica lacks, and lists them in the footer together with the blobs that have been
// named since the snapshot before. It returns how many were sent.
func (r *Replicator) fillSegments(ctx context.Context, f *footer, snap *store.Snapshot, base *footer) (sent int, err error) {
	known, err := r.knownSegments(ctx, base)
	if err != nil {
		return 0, err
	}
	sums := map[blob.Sum]bool{}
	if err := r.blobsSince(ctx, base, f, snap, sums); err != nil {
		return 0, err
	}
	var mu sync.Mutex // guards r.sentSegments
	sending, sendCtx := errgroup.WithContext(ctx)
	sending.SetLimit(segmentStreams)
	w := newSegmentWriter(func(s segment, table []byte) error {
		f.Segments = append(f.Segments, s)
		name := r.client.contentName(s.Sum)
		if known[name] {
			return nil
		}
		sent++
		sending.Go(func() error {
			now := r.opts.Clock()
			if err := r.client.putSegment(sendCtx, s, table, now.UnixMilli()); err != nil {
				return err
			}
			mu.Lock()
			defer mu.Unlock()
			r.sentSegments[name] = now
			return nil
		})
		return sendCtx.Err()
	})
	defer w.discard()
	err = cutSegments(sendCtx, w, snap, sums)
	if sendErr := sending.Wait(); sendErr != nil {
		err = sendErr // of which err is a consequence
	}
	f.Blobs = sortedSums(sums)
	return sent, err
}

// cutSegments writes every key of the snapshot, and notes the blobs that are named.
func cutSegments(ctx context.Context, w *segmentWriter, snap *store.Snapshot, sums map[blob.Sum]bool) error {
	n := 0
	for kv, err := range snap.All() {
		if err != nil {
			return fmt.Errorf("replica: reading the database: %w", err)
		}
		if n++; n%1024 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		if err := noteBlobs(sums, kv.Key); err != nil {
			return err
		}
		if err := w.set(kv.Key, kv.Value); err != nil {
			return err
		}
	}
	return w.end()
}

// knownSegments are the names of those that needn't be sent: what the snapshot before
// names, and what has been sent lately. Others may be there and about to be deleted.
func (r *Replicator) knownSegments(ctx context.Context, base *footer) (map[objectName]bool, error) {
	if r.sentSegments == nil { // the first snapshot of this process: an earlier one may have been cut short
		files, err := r.client.list(ctx, "", levelSegments)
		if err != nil {
			return nil, err
		}
		r.sentSegments = map[objectName]time.Time{}
		for _, f := range files {
			r.sentSegments[objectNameOf(f)] = f.CreatedAt
		}
	}
	known := map[objectName]bool{}
	for name, at := range r.sentSegments {
		if r.opts.Clock().Sub(at) < segmentTrust {
			known[name] = true
		}
	}
	if base != nil {
		_, segments := base.names(r.client.key)
		for _, name := range segments {
			known[name] = true
		}
	}
	return known, nil
}

// snapshotIn is how long the next snapshot may wait: until the last is SnapshotEvery old,
// and not at all when a restore would spend more on the change files after it than on it.
func (r *Replicator) snapshotIn(last snapshotMark) time.Duration {
	if last.tail >= r.opts.SnapshotTail && float64(last.tail) > r.opts.SnapshotShare*float64(last.size) {
		return 0
	}
	return r.opts.SnapshotEvery - r.opts.Clock().Sub(last.time)
}

// takeSnapshots takes one whenever one is due and there is something new.
func (r *Replicator) takeSnapshots(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for retry := time.Duration(0); ; {
		r.mu.Lock()
		last, pos, moved := r.snapshot, r.pos, r.moved
		r.mu.Unlock()
		timer.Reset(max(r.snapshotIn(last), retry, 0))
		select {
		case <-ctx.Done():
			return
		case <-moved: // the tail has grown
			if retry == 0 {
				continue
			}
			select {
			case <-ctx.Done():
				return
			case <-timer.C:
			}
		case <-timer.C:
		}
		if pos.TXID == last.txid { // nothing new: an idle replica costs nothing
			select {
			case <-ctx.Done():
				return
			case <-moved:
				continue
			}
		}
		retry = 0
		if err := r.Snapshot(ctx); err != nil && ctx.Err() == nil {
			if errors.Is(err, ErrFenced) {
				return
			}
			retry = lastBackoff + rand.N(lastBackoff)
			r.opts.Logger.Warn("taking a snapshot failed; trying again", "err", err)
		}
	}
}
