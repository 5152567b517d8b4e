package replica

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math/rand/v2"
	"path"
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
			h.client, sealTimeout, m.Node).Because(err)
	}
	return end, err
}

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

// A primary whose files follow one another without a pause looks every handoverEvery
// whether somebody asks it to hold back, and does so once for each asking, at most for
// handoverPause. It is courtesy: nothing rests on it.
const (
	handoverEvery = 10 * time.Second
	handoverPause = 15 * time.Second
)

// handover asks the owner of a generation to hold back its next file for a moment.
type handover struct {
	Node  market.NodeID `json:"node"` // who asks
	Nonce uint64        `json:"nonce"`
}

func handoverKey(g uint32) string { return path.Join(generationPath(g), "handover.json") }

func (h heir) askToHoldBack(ctx context.Context, g uint32) {
	b, err := json.Marshal(handover{h.node, rand.Uint64()})
	if err == nil {
		err = h.client.overwriteObject(ctx, handoverKey(g), b)
	}
	if err != nil {
		h.log.Warn("asking the old server to hold back failed; chasing it", "err", err)
		return
	}
	h.log.Info("the old server still writes; asked it to hold back", "generation", g)
}

// courtesy is what a Replicator remembers of askings to hold back; it belongs to the
// holder of the shipping token.
type courtesy struct {
	looked time.Time
	met    uint64 // the nonce of the asking that was met last
}

// giveWay holds the next file back if somebody asks for it, until a tombstone is there
// or handoverPause is over. Only a crowded sequence of files is worth a look: between
// others there is room for a tombstone.
func (r *Replicator) giveWay(ctx context.Context) error {
	pos, now := r.Position(), time.Now()
	if now.Sub(r.lastShipped()) > r.opts.Interval/2 || now.Sub(r.courtesy.looked) < handoverEvery {
		return nil
	}
	r.courtesy.looked = now
	b, err := r.client.readObject(ctx, handoverKey(pos.Generation))
	var ask handover
	if err != nil || json.Unmarshal(b, &ask) != nil || ask.Nonce == r.courtesy.met {
		return nil
	}
	r.courtesy.met = ask.Nonce
	r.opts.Logger.Warn("another server asks to take over; holding back", "node", ask.Node)
	for time.Since(now) < handoverPause {
		if !pause(ctx, r.opts.Interval/4) {
			return fmt.Errorf("replica: holding back: %w", ctx.Err())
		}
		if _, err := r.client.footerOf(ctx, changeRef(pos.Generation, pos.TXID+1)); !errors.Is(err, fs.ErrNotExist) {
			break
		}
	}
	return nil
}

// lastShipped is when the last file was shipped, by the machine's monotonic clock.
func (r *Replicator) lastShipped() time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.lastCut
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
