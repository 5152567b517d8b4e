package replica

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"time"

	"github.com/souk-market/souk/internal/market"
	"github.com/souk-market/souk/store"
)

// heir takes a replica over: it ends the newest generation with a tombstone, so that its
// owner can't write any more, and opens the next one.
type heir struct {
	client *Client
	node   market.NodeID
	clock  func() time.Time
	log    *slog.Logger
}

// open makes the heir the owner of the next generation, which goes on from a point of an
// older one; from none when from.Generation is 0. ErrFenced when another was first.
func (h heir) open(ctx context.Context, g uint32, from Position) (Manifest, error) {
	m := Manifest{
		Generation: g, Parent: from.Generation, ForkTXID: uint64(from.TXID),
		Node: h.node, CreatedAt: h.clock().UTC(),
	}
	if from.Generation != 0 {
		m.ForkLSN, m.ForkChain = from.LSN, hex.EncodeToString(from.Chain[:])
		if from.Link != (Link{}) {
			m.ForkLink = hex.EncodeToString(from.Link[:])
		}
	}
	if err := h.client.createManifest(ctx, m); err != nil {
		return Manifest{}, err
	}
	h.log.Info("opened a new generation", "generation", g, "from", from.String())
	return m, nil
}

// sealTimeout bounds the chase after a primary that goes on writing.
const sealTimeout = 30 * time.Second

// seal creates the generation's next file as a tombstone, and returns where the
// generation ended. It doesn't matter who seals: the next manifest decides who goes on.
//
// A primary that waits for each file before it cuts the next may be faster than a
// tombstone that follows it. So after two refusals the heir asks it to hold back, which
// it does within handoverEvery. Unavailable when all that takes longer than sealTimeout.
func (h heir) seal(ctx context.Context, m Manifest) (ending, error) {
	outer := ctx
	ctx, cancel := context.WithTimeout(ctx, sealTimeout)
	defer cancel()
	end, err := h.client.endOf(ctx, m)
	for refusals := 0; err == nil && end.sealed == nil; {
		tomb := h.writeTombstone(ctx, end.Position, m.Generation+1)
		switch {
		case tomb == nil:
			end.sealed = &seal{Node: h.node, Generation: m.Generation + 1}
			h.log.Info("sealed a generation", "end", end.String())
		case errors.Is(tomb, ErrExists):
			if refusals++; refusals == 2 {
				h.askToHoldBack(ctx, m.Generation)
			}
			end, err = h.client.endAfter(ctx, m.Generation, end.TXID+1)
		case final(tomb) || !pause(ctx, firstBackoff): // a lost answer is met again as a tombstone
			err = tomb
		}
	}
	if err != nil && ctx.Err() != nil && outer.Err() == nil {
		return ending{}, market.Errorf(market.Unavailable, "The replica %s could not be sealed within %s. If its server (node %s) still runs, stop it, and try again.",
			h.client, sealTimeout, m.Node).Because(errors.Join(errNotSealed, err))
	}
	return end, err
}

// errNotSealed: the old primary was faster for all of sealTimeout, or the storage slower.
var errNotSealed = errors.New("replica: not sealed in time")

// pause waits, and reports whether ctx is still going.
func pause(ctx context.Context, d time.Duration) bool {
	select {
	case <-time.After(d):
		return true
	case <-ctx.Done():
		return false
	}
}

func (h heir) writeTombstone(ctx context.Context, end Position, next uint32) error {
	f := &footer{
		Generation: end.Generation, TXID: uint64(end.TXID) + 1,
		LSNMin: end.LSN + 1, LSNMax: end.LSN, PrevChain: end.Chain, Chain: end.Chain, PrevLink: end.Link,
		Node: h.node, Schema: store.SchemaVersion,
		Time: max(h.clock().UnixMilli(), end.Time.UnixMilli()+1),
		Seal: &seal{Node: h.node, Generation: next},
	}
	body, err := encodeTombstone(f, h.client.key)
	if err != nil {
		return err
	}
	return h.client.createChange(ctx, f, bytes.NewReader(body), int64(len(body)))
}

// canFence refuses a replica in which two servers could overwrite each other's files: there
// no tombstone keeps the old one from going on.
func (c *Client) canFence(ctx context.Context) error {
	can, err := c.Probe(ctx)
	if err == nil && !can.CreateIfAbsent {
		err = market.Errorf(market.Invalid, "The replica %s can't create an object only where none is, so its server can't be kept from writing. "+
			"Nothing can take over there: stop that server, restore into a new directory, and give it a replica at an empty path.", c)
	}
	return err
}

// occupied is the refusal to go on from a replica that another node writes to: who, since
// when it has been silent, and what its lease says.
func (c *Client) occupied(ctx context.Context, m Manifest, end ending) error {
	lease, err := c.Lease(ctx)
	hint := lease.describe(m.Node)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		hint = "its lease can't be read"
	}
	return market.Errorf(market.Conflict, "The replica %s is written by another server: node %s, generation %d, last file of %s, %s. "+
		"If that server is gone, start this one with --takeover: the other can't write to the replica any more then. If it still runs, stop it first.",
		c, m.Node, m.Generation, end.Time.Format(time.RFC3339), hint).Because(ErrOccupied)
}

// Promote makes a primary of the standby: it catches up, seals the generation that it
// follows, takes in what that one's owner has written until then, and opens the next
// generation. So nothing that was shipped is lost. Then Run ends, and the directory is to
// be opened again without Standby.
//
// It may be repeated, after a failure as after a crash at any moment. Errors: ErrFenced
// when another server has been promoted meanwhile, which is followed then; ErrDiverged;
// Invalid where the replica can't create objects only where none is, on which all this
// rests; Unavailable when the old primary could not be sealed; ctx's.
func (f *Follower) Promote(ctx context.Context) (Position, error) {
	if err := f.client.canFence(ctx); err != nil {
		return Position{}, err
	}
	followed := f.Position().Generation
	h := heir{f.client, f.node, f.opts.Clock, f.opts.Logger}
	h.askToHoldBack(ctx, followed) // so that catching up ends before the chase begins
	var opened Position
	_, err := f.work(ctx, func(ctx context.Context) (bool, error) {
		for {
			pos, err := f.promote(ctx, h, followed)
			if err == nil || final(err) || errors.Is(err, errNotSealed) || !pause(ctx, firstBackoff) {
				opened = pos
				return true, err
			}
			f.opts.Logger.Warn("a step of the promotion failed; trying again", "err", err)
		}
	})
	if err != nil {
		return Position{}, err
	}
	f.opts.Logger.Info("promoted", "position", opened.String())
	return opened, nil
}

// promote is one attempt to end a generation and open the next.
func (f *Follower) promote(ctx context.Context, h heir, followed uint32) (Position, error) {
	all, err := f.client.generations(ctx)
	if err != nil {
		return Position{}, err
	}
	if len(all) == 0 {
		return Position{}, market.Errorf(market.NotFound, "There is no replica at %s any more. Check the address.", f.client)
	}
	newest := all[len(all)-1]
	if newest.Node == f.node { // opened by an earlier attempt
		return f.becomePrimary(ctx, newest)
	}
	if err := f.catchUp(ctx); err != nil {
		return Position{}, err
	}
	if newest.Generation > followed {
		return Position{}, market.Errorf(market.Conflict, "Another server (node %s) has taken over the replica %s meanwhile, and this standby follows it now. "+
			"Promote again to replace that one.", newest.Node, f.client).Because(ErrFenced)
	}
	end, err := h.seal(ctx, newest)
	if err != nil {
		return Position{}, err
	}
	if err := f.catchUp(ctx); err != nil {
		return Position{}, err
	}
	if at := f.Position(); at.Generation != end.Generation || at.TXID != end.TXID || f.db.LastLSN() != end.LSN {
		return Position{}, fmt.Errorf("replica: the standby stands at %s, and the sealed generation ends at %s", at, end)
	}
	m, err := h.open(ctx, newest.Generation+1, f.Position())
	if errors.Is(err, ErrFenced) {
		return Position{}, market.Errorf(market.Conflict, "Another standby of the replica %s was promoted first. This one goes on following; promote it again to replace that one.",
			f.client).Because(err)
	}
	if err != nil {
		return Position{}, err
	}
	return f.becomePrimary(ctx, m)
}

// becomePrimary ends the following: the directory owns a generation now.
func (f *Follower) becomePrimary(ctx context.Context, m Manifest) (Position, error) {
	start, err := f.client.start(ctx, m)
	if err != nil {
		return Position{}, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.promoted = true
	return start, nil
}
