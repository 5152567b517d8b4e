package replica

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"path"
	"time"

	"github.com/souk-market/souk/internal/market"
)

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
	h.log.Debug("asked the old server to hold back", "generation", g)
}

// courtesy is what a Replicator remembers of askings to hold back, and of its clock; it
// belongs to the holder of the shipping token.
type courtesy struct {
	looked   time.Time
	met      uint64 // the nonce of the asking that was met last
	toldSkew bool   // that the clock is wrong
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
