package replica

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/superfly/ltx"

	"github.com/souk-market/souk/internal/market"
	"github.com/souk-market/souk/store"
)

// Open compares the replica with the database and decides how to go on:
//
//	replica                                        directory                        then
//	empty                                          any                              it opens generation 1
//	newest generation is this node's               has the replica's last commit    it goes on with the next file
//	                                               lacks it                         ErrReplicaAhead
//	                                               has another commit of that LSN   ErrDiverged
//	newest generation is another node's            once owned an older one          ErrFenced
//	                                               was restored from this replica   it seals that one and opens the next
//	                                               anything else                    ErrForeign
//
// Nothing is guessed: each refusal says where both stand and what to do. Other errors
// mean that the replica can't be reached, written or read; Open may be called again.
func (r *Replicator) Open(ctx context.Context) error {
	if err := r.client.Probe(ctx); err != nil {
		return err
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
	r.pos, r.snapshot, r.opened = pos, snapshot, true
	r.retention.Advance(pos.LSN)
	r.mu.Unlock()
	r.opts.Logger.Info("replicating", "position", pos.String())
	return nil
}

// final reports whether trying Open or Sync again is of no use before somebody has acted.
func final(err error) bool {
	for _, reason := range []error{ErrFenced, ErrForeign, ErrReplicaAhead, ErrDiverged, ErrCorrupt} {
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
	if slices.ContainsFunc(all, func(m Manifest) bool { return m.Node == r.node }) {
		return Position{}, snapshotMark{}, fencedBy(r.client, newest.Node, newest.Generation)
	}
	return r.promote(ctx, newest)
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
		return Position{}, snapshotMark{}, fencedBy(r.client, last.Seal.Node, last.Seal.Generation)
	default:
		pos = last.position()
	}
	if err := r.compare(pos); err != nil {
		return Position{}, snapshotMark{}, err
	}
	mark, err := r.lastSnapshot(ctx, m, files)
	return pos, mark, err
}

// start is the position at which a generation without files begins.
func (c *Client) start(ctx context.Context, m Manifest) (Position, error) {
	if m.Parent == 0 {
		return Position{Generation: m.Generation}, nil
	}
	fork, err := c.footerAt(ctx, m.Parent, ltx.TXID(m.ForkTXID))
	if err != nil {
		return Position{}, fmt.Errorf("replica: reading where generation %d began: %w", m.Generation, err)
	}
	return Position{Generation: m.Generation, LSN: fork.LSNMax, Chain: fork.Chain, Time: fork.time()}, nil
}

// footerAt reads the footer of the change file or, where that is gone, the snapshot
// that ends at a number.
func (c *Client) footerAt(ctx context.Context, g uint32, n ltx.TXID) (*footer, error) {
	f, err := c.footerOf(ctx, changeRef(g, n))
	if errors.Is(err, fs.ErrNotExist) {
		return c.footerOf(ctx, fileRef{generation: g, level: levelSnapshot, min: 1, max: n})
	}
	return f, err
}

// compare tells whether the directory holds the commit that the replica ends with.
func (r *Replicator) compare(pos Position) error {
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
		return market.Errorf(market.Conflict, "The replica %s and this data directory hold different histories: commit %d is %.8s there and %.8s here. "+
			"One of them was rolled back and went on. Keep both: start this server with a replica at an empty path, and restore the other to compare.",
			r.client, pos.LSN, pos.Chain, chain).Because(ErrDiverged)
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

// promote takes over a replica that this directory was restored from: it ends the
// newest generation with a tombstone, so that its owner can't write any more, and opens
// the next one, which goes on from where the restore ended.
func (r *Replicator) promote(ctx context.Context, newest Manifest) (Position, snapshotMark, error) {
	origin := r.db.Node().Origin
	fork, err := r.fork(ctx, origin, newest)
	if err != nil {
		return Position{}, snapshotMark{}, err
	}
	sealed, err := r.seal(ctx, newest)
	if err != nil {
		return Position{}, snapshotMark{}, err
	}
	if sealed.LSN > fork.LSNMax {
		r.opts.Logger.Warn("the replica has commits after the point of the restore; they stay in the sealed generation",
			"sealed", newest.Generation, "commits", sealed.LSN-fork.LSNMax)
	}
	m := Manifest{
		Generation: newest.Generation + 1, Parent: fork.Generation, ForkTXID: fork.TXID,
		Node: r.node, CreatedAt: r.opts.Clock().UTC(),
	}
	if err := r.client.createManifest(ctx, m); err != nil {
		return Position{}, snapshotMark{}, err
	}
	r.opts.Logger.Info("sealed the old generation and opened a new one", "sealed", newest.Generation, "opened", m.Generation)
	return Position{Generation: m.Generation, LSN: fork.LSNMax, Chain: fork.Chain, Time: fork.time()}, snapshotMark{time: m.CreatedAt}, nil
}

// fork finds the file that the directory was restored up to, or ErrForeign.
func (r *Replicator) fork(ctx context.Context, origin *store.Origin, newest Manifest) (*footer, error) {
	foreign := market.Errorf(market.Conflict, "The replica %s belongs to another server (node %s), and this data directory was not restored from it. "+
		"Start with a replica at an empty path, or run souk restore into a new directory to go on from this one.", r.client, newest.Node).Because(ErrForeign)
	if origin == nil || origin.Generation == 0 || origin.Generation > newest.Generation {
		return nil, foreign
	}
	f, err := r.client.footerAt(ctx, origin.Generation, ltx.TXID(origin.TXID))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, foreign
	}
	if err != nil {
		return nil, err
	}
	if f.LSNMax != origin.LSN || f.Chain != origin.Chain {
		return nil, foreign
	}
	return f, nil
}

// sealAttempts bounds the chase after a primary that goes on writing. It writes one
// file a second; an attempt takes a round trip or two.
const sealAttempts = 1000

// seal creates the generation's next file as a tombstone, and returns where the
// generation ended. It doesn't matter who seals: the next manifest decides who goes on.
func (r *Replicator) seal(ctx context.Context, m Manifest) (Position, error) {
	last, _, err := r.client.lastChange(ctx, m.Generation)
	if err != nil {
		return Position{}, err
	}
	end := Position{Generation: m.Generation}
	if last == nil {
		if end, err = r.client.start(ctx, m); err != nil {
			return Position{}, err
		}
	}
	for range sealAttempts {
		if last != nil {
			if end = last.position(); last.Seal != nil {
				return end, nil
			}
		}
		err := r.writeTombstone(ctx, end, m.Generation+1)
		if !errors.Is(err, ErrExists) {
			return end, err
		}
		last, err = onceThere(ctx, func() (*footer, error) { return r.client.footerOf(ctx, changeRef(m.Generation, end.TXID+1)) })
		if err != nil {
			return Position{}, err
		}
	}
	return Position{}, market.Errorf(market.Unavailable, "The replica %s can't be sealed: its server writes faster than this one can follow. Stop that server.", r.client)
}

func (r *Replicator) writeTombstone(ctx context.Context, end Position, next uint32) error {
	f := &footer{
		Generation: end.Generation, TXID: uint64(end.TXID) + 1,
		LSNMin: end.LSN + 1, LSNMax: end.LSN, PrevChain: end.Chain, Chain: end.Chain,
		Node: r.node, Schema: store.SchemaVersion,
		Time: max(r.opts.Clock().UnixMilli(), end.Time.UnixMilli()+1),
		Seal: &seal{Node: r.node, Generation: next},
	}
	body, err := encodeTombstone(f)
	if err != nil {
		return err
	}
	return r.client.createChange(ctx, f, bytes.NewReader(body), int64(len(body)))
}
