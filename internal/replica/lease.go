package replica

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"sync"
	"time"

	"github.com/souk-market/souk/internal/market"
)

// Lease says who served a replica's marketplace last, for people and for status. It is a
// hint of liveness: clocks may be wrong and renewals late, so nothing but messages and
// the owner's own callbacks looks at it. Who may write is settled by the files alone.
type Lease struct {
	Node       market.NodeID `json:"node"`
	Generation uint32        `json:"generation"`
	Renewed    time.Time     `json:"renewed"` // by the owner's clock
	Expires    time.Time     `json:"expires"`
	Released   bool          `json:"released,omitempty"` // the owner has stopped in order
}

// leaseKey is an object that is overwritten, and never deleted: a released lease is one
// that has expired.
const leaseKey = "lease.json"

// Lease reads the replica's lease. The error is fs.ErrNotExist when there has never been one.
func (c *Client) Lease(ctx context.Context) (Lease, error) {
	b, err := c.readObject(ctx, leaseKey)
	if err != nil {
		return Lease{}, err
	}
	var l Lease
	if err := json.Unmarshal(b, &l); err != nil {
		return Lease{}, &CorruptError{Name: c.at.where(leaseKey), Reason: "it isn't a lease", Err: err}
	}
	return l, nil
}

// describe is what the lease says of a node, as a part of a sentence.
func (l Lease) describe(node market.NodeID) string {
	switch {
	case l.Node != node:
		return "it keeps no lease"
	case l.Released:
		return "it has stopped in order (lease released at " + l.Renewed.Format(time.RFC3339) + ")"
	}
	return fmt.Sprintf("its lease was renewed at %s and runs until %s", l.Renewed.Format(time.RFC3339), l.Expires.Format(time.RFC3339))
}

func (c *Client) writeLease(ctx context.Context, l Lease) error {
	b, err := json.MarshalIndent(l, "", "  ")
	if err != nil {
		return fmt.Errorf("replica: encoding the lease: %w", err)
	}
	return c.overwriteObject(ctx, leaseKey, append(b, '\n'))
}

// startLease keeps the lease until stop is called, which is after the last shipment.
func (r *Replicator) startLease(ctx context.Context) (stop func()) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	var keeper sync.WaitGroup
	keeper.Go(func() { r.keepLease(ctx) })
	return func() {
		cancel()
		keeper.Wait()
	}
}

// keepLease renews the lease three times in LeaseTTL until ctx ends, and releases it
// then. Each renewal looks first whether the generation has been sealed, so that a server
// that has been replaced learns it though it ships nothing.
func (r *Replicator) keepLease(ctx context.Context) {
	if r.opts.LeaseTTL <= 0 {
		return
	}
	good := time.Now() // when the last renewal that succeeded began, by the monotonic clock
	held, lost := false, false
	for ctx.Err() == nil {
		began := time.Now()
		err := r.renew(ctx, good)
		switch {
		case r.fencedError() != nil:
			return
		case err == nil:
			good, held = began, true
			if lost {
				lost = false
				r.opts.Logger.Info("the lease is renewed again")
				r.opts.OnLeaseBack()
			}
		case !lost && ctx.Err() == nil && time.Since(good) >= r.opts.LeaseTTL:
			lost = true
			r.opts.Logger.Error("the lease is lost: it could not be renewed in time", "ttl", r.opts.LeaseTTL, "err", err)
			r.opts.OnLeaseLost(market.Errorf(market.Unavailable, "The replica %s could not be reached for %s, so another server may have taken over. "+
				"Nothing is written here until it answers.", r.client, r.opts.LeaseTTL).Because(err))
		}
		pause(ctx, r.untilRenewal(began, err))
	}
	if held {
		r.release(context.WithoutCancel(ctx))
	}
}

// untilRenewal is the pause before the next renewal: a third of the TTL after the last
// began, less after a failure.
func (r *Replicator) untilRenewal(began time.Time, err error) time.Duration {
	every := r.opts.LeaseTTL / 3
	if err != nil {
		every /= 4
	}
	return max(time.Until(began.Add(every)), time.Millisecond)
}

// renew verifies that nobody has sealed the generation, and writes the lease. It gives up
// when the lease runs out, so that its loss is noticed in time, and after that within a
// third of the TTL.
func (r *Replicator) renew(ctx context.Context, good time.Time) error {
	if !r.isOpen() {
		return errors.New("replica: it hasn't been opened yet")
	}
	limit := max(time.Until(good.Add(r.opts.LeaseTTL)), r.opts.LeaseTTL/3)
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	pos := r.Position()
	next, err := r.client.footerOf(ctx, changeRef(pos.Generation, pos.TXID+1))
	if err == nil && next.Seal != nil {
		return r.outcome(r.replaced(ctx, next.Seal.Node, next.Seal.Generation, next.LSNMax))
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	now := r.opts.Clock().UTC()
	return r.client.writeLease(ctx, Lease{Node: r.node, Generation: pos.Generation, Renewed: now, Expires: now.Add(r.opts.LeaseTTL)})
}

// release says that this server has stopped in order. Where that fails the lease expires
// by itself.
func (r *Replicator) release(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, flushTimeout)
	defer cancel()
	now := r.opts.Clock().UTC()
	l := Lease{Node: r.node, Generation: r.Position().Generation, Renewed: now, Expires: now, Released: true}
	if err := r.client.writeLease(ctx, l); err != nil {
		r.opts.Logger.Warn("the lease could not be released; it expires by itself", "err", err)
	}
}
