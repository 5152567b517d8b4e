package store

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/souk-market/souk/internal/market"
)

// gate keeps the engine open while somebody uses it: Pebble panics when it is used
// after its Close.
type gate struct {
	closing chan struct{} // closed by the first shut

	mu     sync.Mutex
	users  int
	closed bool
	empty  chan struct{} // closed when the last user leaves a closed gate
}

func newGate() gate {
	return gate{closing: make(chan struct{}), empty: make(chan struct{})}
}

var errStopping = market.Errorf(market.Unavailable, "The marketplace is stopping. Please try again in a moment.")

// enter lets a user in, or answers Unavailable once the gate is shut. Who was let in
// calls leave.
func (g *gate) enter() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return errStopping
	}
	g.users++
	return nil
}

func (g *gate) leave() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.users--; g.users == 0 && g.closed {
		close(g.empty)
	}
}

// shut lets nobody in any more and waits until all have left. It reports false when
// the gate was shut before.
func (g *gate) shut() bool {
	g.mu.Lock()
	if g.closed {
		g.mu.Unlock()
		return false
	}
	g.closed = true
	close(g.closing)
	if g.users == 0 {
		close(g.empty)
	}
	g.mu.Unlock()
	<-g.empty
	return true
}

// stay keeps the database open for something long, until leave is called. The context it
// returns ends when the database shall be closed, too; its cause is then Unavailable.
func (db *DB) stay(ctx context.Context) (_ context.Context, leave func(), err error) {
	if err := db.gate.enter(); err != nil {
		return nil, nil, err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	go func() {
		select {
		case <-db.gate.closing:
			cancel(errStopping)
		case <-ctx.Done():
		}
	}()
	return ctx, func() { cancel(nil); db.gate.leave() }, nil
}

// stuckAfter is how long a writer waits while one and the same transaction goes on.
const stuckAfter = 2 * MaxTime

// turn waits for the writer's turn, which the caller gives back with yield. A function
// that calls Update inside of Update waits for itself, and one that hangs holds up
// everybody: then the wait ends with Unavailable instead of never.
func (db *DB) turn(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("store: waiting for the writer's turn: %w", err)
	}
	select {
	case <-db.writer:
		db.turns.Add(1)
		return nil
	default:
	}
	stuck, _ := db.timers.Get().(*time.Timer)
	if stuck == nil {
		stuck = time.NewTimer(stuckAfter)
	}
	defer db.timers.Put(stuck)
	defer stuck.Stop()
	for {
		before := db.turns.Load()
		stuck.Reset(stuckAfter)
		select {
		case <-db.writer:
			db.turns.Add(1)
			return nil
		case <-ctx.Done():
			return fmt.Errorf("store: waiting for the writer's turn: %w", ctx.Err())
		case <-stuck.C:
		}
		if db.turns.Load() == before {
			return market.Errorf(market.Unavailable, "The marketplace is busy. Please try again in a moment.").
				Because(fmt.Errorf("store: one transaction has held up all others for %v: it waits for something, perhaps for an Update inside of it", stuckAfter))
		}
	}
}

func (db *DB) yield() { db.writer <- struct{}{} }
