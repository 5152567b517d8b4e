package replica

import (
	"context"
	"fmt"

	"github.com/souk-market/souk/store"
)

// Pin ships every commit that is durable now, and returns the database pinned at the
// commit that the replica then ends with, and that position: for whoever compares the
// two. The caller closes the snapshot, which holds old versions of what changes
// meanwhile. Errors as Sync's.
func (r *Replicator) Pin(ctx context.Context) (*store.Snapshot, Position, error) {
	return r.syncPinned(ctx)
}

// Shipped returns when the replica has commit lsn. Unlike Wait it hurries nothing: it is
// how long a commit is at risk. Errors: ErrFenced, or ctx's when it ends first.
func (r *Replicator) Shipped(ctx context.Context, lsn store.LSN) error {
	for {
		r.mu.Lock()
		pos, fenced, moved := r.pos, r.fenced, r.moved
		r.mu.Unlock()
		switch {
		case pos.LSN >= lsn:
			return nil
		case fenced != nil:
			return fenced
		}
		select {
		case <-moved:
		case <-ctx.Done():
			return fmt.Errorf("replica: waiting for commit %d: %w", lsn, ctx.Err())
		}
	}
}

// Client is where the Replicator ships to.
func (r *Replicator) Client() *Client { return r.client }
