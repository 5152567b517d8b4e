package replica

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"os"

	"github.com/superfly/ltx"

	"github.com/souk-market/souk/internal/blob"
	"github.com/souk-market/souk/internal/market"
	"github.com/souk-market/souk/store"
)

// Keys of [replicatedFrom, replicatedTo) are everything that the store replicates
// (store/key.go): a full file deletes them before it brings its own.
var replicatedFrom, replicatedTo = []byte{0x01}, []byte{0x02}

// ship cuts one file with everything between the replica's position and the snapshot,
// and creates it. It is called by the holder of the shipping token.
//
// A file always reaches to the snapshot that its values are read from: only then is a
// restore to its end free of halves of later commits.
func (r *Replicator) ship(ctx context.Context, snap *store.Snapshot) error {
	if err := errors.Join(r.giveWay(ctx), r.stillNewest(ctx)); err != nil {
		return err
	}
	w, err := newFileWriter(r.opts.SpoolDir, r.client.key)
	if err != nil {
		return err
	}
	defer w.discard()
	pos := r.Position()
	f := r.nextFooter(pos, snap)
	named, err := r.fill(ctx, w, f, snap)
	if err != nil {
		return err
	}
	f.Blobs = sortedSums(named)
	r.collector.ships(r.client, named)
	body, err := w.finish(f)
	if err != nil {
		return err
	}
	if err := r.mirror(ctx, named, f.Full); err != nil {
		return err
	}
	size, err := sizeOf(body)
	if err != nil {
		return err
	}
	err = r.client.createChange(ctx, f, body, size)
	if errors.Is(err, ErrExists) {
		return r.adopt(ctx, f)
	}
	if err != nil {
		return err
	}
	r.opts.Logger.Debug("shipped a file", "txid", f.TXID, "commits", f.LSNMax-pos.LSN, "bytes", size, "full", f.Full)
	r.shipped(f, body, size)
	r.tellSkew()
	return nil
}

// nextFooter is the footer of the file that goes on from a position. Its time is that of
// the clock, but always later than the last file's: a clock that was set back must not
// make two points in time out of order.
func (r *Replicator) nextFooter(pos Position, snap *store.Snapshot) *footer {
	return &footer{
		Generation: pos.Generation, TXID: uint64(pos.TXID) + 1,
		LSNMin: pos.LSN + 1, LSNMax: snap.LSN(), PrevChain: pos.Chain, Chain: snap.Chain(), PrevLink: pos.Link,
		Node: r.node, Schema: store.SchemaVersion,
		Time:      max(r.opts.Clock().UnixMilli(), pos.Time.UnixMilli()+1),
		Committed: snap.Time().UnixMilli(),
	}
}

// fill writes the changes since the position, or everything when the change log no
// longer reaches back to it. It returns the blobs whose records are among them.
func (r *Replicator) fill(ctx context.Context, w *fileWriter, f *footer, snap *store.Snapshot) (named map[blob.Sum]bool, err error) {
	named = map[blob.Sum]bool{}
	changes, err := snap.Writes(f.LSNMin - 1)
	if errors.Is(err, store.ErrLogCut) {
		r.opts.Logger.Warn("the change log no longer reaches back to the replica; shipping everything", "position", r.Position().String())
		f.Full = true
		if err := w.deleteAll(replicatedFrom, replicatedTo); err != nil {
			return nil, err
		}
		return named, writeAll(ctx, w, snap.All(), named)
	}
	if err != nil {
		return nil, fmt.Errorf("replica: reading the changes: %w", err)
	}
	return named, writeAll(ctx, w, changes, named)
}

// writeAll writes keys with their values, a nil one for a deletion, and notes the blobs
// whose records are set.
func writeAll(ctx context.Context, w *fileWriter, all iter.Seq2[store.KeyValue, error], named map[blob.Sum]bool) error {
	n := 0
	for kv, err := range all {
		if err != nil {
			return fmt.Errorf("replica: reading the database: %w", err)
		}
		if n++; n%1024 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		if err := w.set(kv.Key, kv.Value, kv.Value == nil); err != nil {
			return err
		}
		if kv.Value == nil {
			continue
		}
		if err := noteBlobs(named, kv.Key); err != nil {
			return err
		}
	}
	return nil
}

// adopt looks at the file that has the number of ours. It is ours when the answer to an
// earlier attempt was lost, maybe with fewer commits; else somebody has taken over.
func (r *Replicator) adopt(ctx context.Context, ours *footer) error {
	there, err := onceThere(ctx, func() (*footer, error) {
		return r.client.footerOf(ctx, changeRef(ours.Generation, ltx.TXID(ours.TXID)))
	})
	if err != nil {
		return err
	}
	if there.Seal != nil {
		return r.replaced(ctx, there.Seal.Node, there.Seal.Generation, there.LSNMax)
	}
	same, err := r.isOurs(there, ours)
	if err != nil {
		return err
	}
	if !same {
		return market.Errorf(market.Conflict, "Another server (node %s) writes to the replica %s as generation %d. Two servers run on copies of one "+
			"data directory: stop one of them, and restore it from the replica if it is needed.", there.Node, r.client, ours.Generation).Because(ErrFenced)
	}
	r.opts.Logger.Info("found our own file in the replica: the answer to an earlier attempt was lost", "txid", there.TXID)
	r.advance(there.position())
	return nil
}

// isOurs reports whether the file that took our number was written by this node from
// this directory: the same node, going on from the same commit, and ending with a commit
// whose chain is the one here.
func (r *Replicator) isOurs(there, ours *footer) (bool, error) {
	if there.Node != r.node || there.PrevChain != ours.PrevChain || there.LSNMin != ours.LSNMin {
		return false, nil
	}
	if there.LSNMax == ours.LSNMax {
		return there.Chain == ours.Chain, nil
	}
	chain, err := r.db.ChainAt(there.LSNMax)
	if errors.Is(err, store.ErrLogCut) { // ahead of the directory, or from before the log was cut
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("replica: comparing with the change log: %w", err)
	}
	return chain == there.Chain, nil
}

func sizeOf(f *os.File) (int64, error) {
	info, err := f.Stat()
	if err != nil {
		return 0, fmt.Errorf("replica: sizing a spool file: %w", err)
	}
	return info.Size(), nil
}
