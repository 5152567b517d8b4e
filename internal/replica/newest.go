package replica

import (
	"context"

	"github.com/superfly/ltx"

	"github.com/souk-market/souk/internal/market"
)

// Newest returns where the replica stands: the end of the newest file of the newest
// generation that has one. It reads that file's footer, so that a key that doesn't open
// it is refused (ErrKey). NotFound when nothing has been shipped yet.
func (c *Client) Newest(ctx context.Context) (Position, error) {
	all, err := c.generations(ctx)
	if err != nil {
		return Position{}, err
	}
	for i := len(all) - 1; i >= 0; i-- {
		f, _, err := c.lastChange(ctx, all[i].Generation)
		if err != nil {
			return Position{}, err
		}
		if f != nil {
			return Position{Generation: f.Generation, TXID: ltx.TXID(f.TXID), LSN: f.LSNMax, Chain: f.Chain, Time: f.time()}, nil
		}
	}
	if len(all) == 0 {
		return Position{}, market.Errorf(market.NotFound, "There is no replica at %s. Check the address; a replica has a folder named gen.", c)
	}
	return Position{}, market.Errorf(market.NotFound, "The replica %s is empty: nothing has been shipped to it yet.", c)
}

// CanRead reports whether the client can read what it writes: it has no key, or one that
// opens what it seals.
func (c *Client) CanRead() bool { return c.key == nil || c.key.CanRead() }

// Fingerprint is that of the key which the client encrypts with, "" for none.
func (c *Client) Fingerprint() string {
	if c.key == nil {
		return ""
	}
	return c.key.Fingerprint()
}

// NeedsPerson reports whether an error of shipping asks for somebody to act: trying
// again is of no use.
func NeedsPerson(err error) bool { return final(err) }
