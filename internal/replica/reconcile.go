package replica

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"time"

	"github.com/superfly/ltx"

	"github.com/souk-market/souk/internal/market"
	"github.com/souk-market/souk/store"
)

// Open compares the replica with the database and decides how to go on:
//
//	replica                           directory                            then
//	empty                             any                                  it opens generation 1
//	newest generation is this node's  has the replica's last commit        it goes on with the next file
//	                                  lacks it                             ErrReplicaAhead
//	                                  has another commit of that LSN       ErrDiverged
//	newest generation is another's    once owned an older one              ErrFenced
//	and not sealed                    restored from it, TakeOver           it seals that one and opens the next
//	                                  restored from it                     ErrOccupied
//	and sealed                        restored from it                     it opens the next
//	                                  lacks what came after the restore    ErrBehind
//	                                  anything else                        ErrForeign
//
// A directory that was restored to an earlier moment on purpose (store.Origin.Past) may
// leave commits behind: they stay in the sealed generation.
//
// Nothing is guessed: each refusal says where both stand and what to do. Other errors
// mean that the replica can't be reached, written or read; Open may be called again.
func (r *Replicator) Open(ctx context.Context) error {
	can, err := r.client.Probe(ctx)
	if err != nil {
		return err
	}
	if !can.CreateIfAbsent {
		r.opts.Logger.Warn("this storage can't create an object only where none is, so nothing keeps a second server from overwriting " +
			"this one's files: never run two on this replica; taking over from it is refused")
	}
	all, err := r.client.generations(ctx)
	if err != nil {
		return err
	}
	pos, snapshot, err := r.reconcile(ctx, all)
	if err != nil {
		return err
	}
	r.mu.Lock()
	r.pos, r.snapshot, r.opened, r.can = pos, snapshot, true, can
	r.retention.Advance(pos.LSN)
	r.mu.Unlock()
	r.opts.Logger.Info("replicating", "position", pos.String())
	return nil
}

// final reports whether trying Open or Sync again is of no use before somebody has acted.
func final(err error) bool {
	for _, reason := range []error{ErrFenced, ErrForeign, ErrReplicaAhead, ErrDiverged, ErrCorrupt, ErrOccupied, ErrBehind, ErrKey} {
		if errors.Is(err, reason) {
			return true
		}
	}
	return market.Is(err, market.Invalid) || market.Is(err, market.Conflict)
}

// openEventually calls Open until it succeeds, ctx ends, or it is refused for good.
func (r *Replicator) openEventually(ctx context.Context) error {
	for wait := firstBackoff; ; wait = min(2*wait, lastBackoff) {
		err := r.Open(ctx)
		if err == nil || final(err) || ctx.Err() != nil {
			return err
		}
		r.outcome(err)
		r.opts.Logger.Warn("the replica can't be opened; trying again", "err", err)
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(wait + rand.N(wait/2)):
		}
	}
}

func (r *Replicator) reconcile(ctx context.Context, all []Manifest) (Position, snapshotMark, error) {
	if len(all) == 0 {
		m := Manifest{Generation: 1, Node: r.node, CreatedAt: r.opts.Clock().UTC()}
		if err := r.client.createManifest(ctx, m); err != nil {
			return Position{}, snapshotMark{}, err
		}
		return Position{Generation: 1}, snapshotMark{time: m.CreatedAt}, nil
	}
	newest := all[len(all)-1]
	if newest.Node == r.node {
		return r.resume(ctx, newest)
	}
	if err := r.replacedBy(ctx, all); err != nil {
		return Position{}, snapshotMark{}, err
	}
	return r.succeed(ctx, all)
}

// resume goes on with this node's own generation.
func (r *Replicator) resume(ctx context.Context, m Manifest) (Position, snapshotMark, error) {
	last, files, err := r.client.lastChange(ctx, m.Generation)
	if err != nil {
		return Position{}, snapshotMark{}, err
	}
	var pos Position
	switch {
	case last == nil:
		if pos, err = r.client.start(ctx, m); err != nil {
			return Position{}, snapshotMark{}, err
		}
	case last.Seal != nil:
		common, err := r.shared(ctx, m)
		if err != nil {
			return Position{}, snapshotMark{}, err
		}
		return Position{}, snapshotMark{}, r.replaced(ctx, last.Seal.Node, last.Seal.Generation, common)
	default:
		pos = last.position()
	}
	if err := r.compare(ctx, m, pos); err != nil {
		return Position{}, snapshotMark{}, err
	}
	mark, err := r.lastSnapshot(ctx, m, files)
	return pos, mark, err
}

// footerAt reads the footer of the change file or, where that is gone, of a merged file
// or snapshot that ends at a number. The error is fs.ErrNotExist when none does.
func (c *Client) footerAt(ctx context.Context, g uint32, n ltx.TXID) (*footer, error) {
	f, err := c.footerOf(ctx, changeRef(g, n))
	for _, level := range []int{1, 2, 3, levelSnapshot} {
		if !errors.Is(err, fs.ErrNotExist) {
			return f, err
		}
		files, failed := c.list(ctx, generationPath(g), level)
		if failed != nil {
			return nil, failed
		}
		for _, info := range files {
			if info.MaxTXID == n {
				f, err = c.footerOf(ctx, fileRef{g, level, info.MinTXID, n, info.Size})
			}
		}
	}
	return f, err
}

// compare tells whether the directory holds the commit that the replica ends with.
func (r *Replicator) compare(ctx context.Context, m Manifest, pos Position) error {
	local := r.db.DurableLSN()
	if pos.LSN > local {
		return market.Errorf(market.Conflict, "The replica %s is ahead of this data directory: it holds commits up to %d, the directory up to %d. "+
			"The directory was rolled back (an old disk image?). Move it aside and run souk restore; or give this server a replica at an empty path.",
			r.client, pos.LSN, local).Because(ErrReplicaAhead)
	}
	chain, err := r.db.ChainAt(pos.LSN)
	if errors.Is(err, store.ErrLogCut) {
		return nil // everything is shipped whole then, and brings the replica to what is here
	}
	if err != nil {
		return fmt.Errorf("replica: comparing with the change log: %w", err)
	}
	if chain != pos.Chain {
		common, err := r.shared(ctx, m)
		if err != nil {
			return err
		}
		return market.Errorf(market.Conflict, "The replica %s and this data directory hold different histories: commit %d is %.8s there and %.8s here. "+
			"One of them was rolled back and went on.%s Keep both: start this server with a replica at an empty path, and restore the other to compare.",
			r.client, pos.LSN, pos.Chain, chain, r.divergence(ctx, common)).Because(ErrDiverged)
	}
	return nil
}

// lastSnapshot finds the generation's newest snapshot. When a change file after it is
// missing, the next snapshot is due at once: it makes the replica whole again.
func (r *Replicator) lastSnapshot(ctx context.Context, m Manifest, files []*ltx.FileInfo) (snapshotMark, error) {
	snapshots, err := r.client.list(ctx, generationPath(m.Generation), levelSnapshot)
	if err != nil {
		return snapshotMark{}, err
	}
	mark := markOf(&footer{Time: m.CreatedAt.UnixMilli()}, files)
	if len(snapshots) > 0 {
		last := snapshots[len(snapshots)-1]
		ref := fileRef{m.Generation, levelSnapshot, last.MinTXID, last.MaxTXID, last.Size}
		f, err := r.client.footerOf(ctx, ref)
		if err != nil && !errors.Is(err, ErrCorrupt) {
			return snapshotMark{}, err
		}
		if err != nil {
			r.opts.Logger.Error("the newest snapshot is damaged; taking another", "err", err)
			return snapshotMark{}, nil
		}
		mark = markOf(f, files)
	}
	if gap := firstGap(files, mark.txid+1); gap != 0 {
		r.opts.Logger.Error("a change file is missing in the replica; taking a snapshot",
			"file", r.client.nameOf(changeRef(m.Generation, gap)))
		mark.time = time.Time{}
	}
	return mark, nil
}

// firstGap returns the first number from next on that files (sorted) skip, 0 for none.
func firstGap(files []*ltx.FileInfo, next ltx.TXID) ltx.TXID {
	for _, f := range files {
		if f.MinTXID < next {
			continue
		}
		if f.MinTXID != next {
			return next
		}
		next++
	}
	return 0
}

// succeed goes on from a replica whose newest generation is another node's.
func (r *Replicator) succeed(ctx context.Context, all []Manifest) (Position, snapshotMark, error) {
	newest := all[len(all)-1]
	fork, err := r.fork(ctx, all)
	if err != nil {
		return Position{}, snapshotMark{}, err
	}
	end, err := r.client.endOf(ctx, newest)
	if err == nil && end.sealed == nil && !r.opts.TakeOver {
		err = r.client.occupied(ctx, newest, end)
	}
	if err == nil {
		err = r.client.canFence(ctx)
	}
	if err == nil {
		err = r.leavesNothing(fork, end)
	}
	h := heir{r.client, r.node, r.opts.Clock, r.opts.Logger}
	if err == nil && end.sealed == nil {
		if end, err = h.seal(ctx, newest); err == nil {
			err = r.leavesNothing(fork, end) // what its owner has written meanwhile
		}
	}
	if err != nil {
		return Position{}, snapshotMark{}, err
	}
	m, err := h.open(ctx, newest.Generation+1, fork)
	if err != nil {
		return Position{}, snapshotMark{}, err
	}
	pos, err := r.client.start(ctx, m)
	return pos, snapshotMark{time: m.CreatedAt}, err
}

// fork finds the point of the replica's history that this directory was restored from,
// or ErrForeign. When it was restored from another replica of the same server, whose
// files are cut elsewhere, it is a point of no generation: the next one begins with
// everything.
func (r *Replicator) fork(ctx context.Context, all []Manifest) (Position, error) {
	origin, newest := r.db.Node().Origin, all[len(all)-1]
	foreign := market.Errorf(market.Conflict, "The replica %s belongs to another server (node %s), and this data directory was not restored from it. "+
		"Start with a replica at an empty path, or run souk restore into a new directory to go on from this one.", r.client, newest.Node).Because(ErrForeign)
	if origin == nil {
		return Position{}, foreign
	}
	if g := origin.Generation; g > 0 && int(g) <= len(all) {
		f, err := r.client.footerAt(ctx, g, ltx.TXID(origin.TXID))
		if err == nil && f.LSNMax == origin.LSN && f.Chain == origin.Chain {
			return f.ending().Position, nil
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return Position{}, err
		}
	}
	if origin.Node == "" || newest.Node != origin.Node {
		return Position{}, foreign
	}
	end, err := r.client.endOf(ctx, newest)
	if err != nil {
		return Position{}, err
	}
	if end.LSN == origin.LSN && end.Chain == origin.Chain {
		return end.Position, nil
	}
	return Position{LSN: origin.LSN, Chain: origin.Chain}, nil
}

// leavesNothing refuses to go on from a point behind which the replica has commits,
// unless the directory was restored to an earlier moment on purpose. They would be
// missing in the newest history, though some may have been promised to be safe.
func (r *Replicator) leavesNothing(from Position, end ending) error {
	switch {
	case from.LSN == end.LSN && from.Chain == end.Chain:
		return nil
	case from.Generation == 0 && from.LSN > end.LSN: // this replica was behind the one that was restored
		return nil
	case r.db.Node().Origin.Past:
		r.opts.Logger.Warn("the replica has commits after the moment of the restore; they stay in the sealed generation",
			"generation", end.Generation, "restored", uint64(from.LSN), "last", uint64(end.LSN))
		return nil
	}
	return market.Errorf(market.Conflict, "The replica %s goes on to commit %d, and this data directory was restored up to commit %d and lacks the rest. "+
		"Run souk promote with this directory, which catches up first, or souk restore into a new one. "+
		"To go on from an earlier moment on purpose, restore to it by name (--at).", r.client, end.LSN, from.LSN).Because(ErrBehind)
}
