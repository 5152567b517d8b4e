package replica

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/superfly/ltx"

	"github.com/souk-market/souk/store"
)

// snapshotMark is the newest snapshot of the generation.
type snapshotMark struct {
	txid ltx.TXID
	time time.Time // of the snapshot; of the generation's beginning when there is none
}

// Snapshot ships what is durable, and then everything there is as one file of level 9,
// from which a restore can start instead of from the first file of all. Changes go on
// being shipped meanwhile.
func (r *Replicator) Snapshot(ctx context.Context) error {
	snap, pos, err := r.syncPinned(ctx)
	if err != nil {
		return err
	}
	defer snap.Close()
	if pos.TXID == 0 || pos.LSN != snap.LSN() {
		return nil // nothing has been shipped in this generation yet
	}
	w, err := newFileWriter(r.opts.SpoolDir)
	if err != nil {
		return err
	}
	defer w.discard()
	if err := fillAll(ctx, w, snap, false); err != nil {
		return err
	}
	f := &footer{
		Generation: pos.Generation, TXID: uint64(pos.TXID), Snapshot: true,
		LSNMin: 1, LSNMax: pos.LSN, Chain: pos.Chain,
		Node: r.node, Schema: store.SchemaVersion, Time: pos.Time.UnixMilli(), Committed: snap.Time().UnixMilli(),
	}
	body, err := w.finish(f)
	if err != nil {
		return err
	}
	size, err := sizeOf(body)
	if err != nil {
		return err
	}
	if err := r.client.put(ctx, generationPath(pos.Generation), levelSnapshot, 1, pos.TXID, body, size); err != nil {
		return err
	}
	r.opts.Logger.Info("took a snapshot", "txid", pos.TXID, "bytes", size)
	r.mu.Lock()
	r.snapshot = snapshotMark{pos.TXID, r.opts.Clock()}
	r.mu.Unlock()
	return nil
}

// takeSnapshots takes one whenever the last is SnapshotEvery old and there is something new.
func (r *Replicator) takeSnapshots(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for retry := time.Duration(0); ; {
		r.mu.Lock()
		last, pos, moved := r.snapshot, r.pos, r.moved
		r.mu.Unlock()
		due := r.opts.SnapshotEvery - r.opts.Clock().Sub(last.time)
		timer.Reset(max(due, retry, 0))
		select {
		case <-ctx.Done():
			return
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
