package replica

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/souk-market/souk/internal/blob"
	"github.com/souk-market/souk/internal/market"
	"github.com/souk-market/souk/store"
)

// flushTimeout bounds the last shipment when a Replicator stops.
const flushTimeout = 10 * time.Second

// Back-off after a failed shipment: doubled from the first to the last, with up to half
// of it more at random, so that several servers don't come back in step.
const (
	firstBackoff = 200 * time.Millisecond
	lastBackoff  = 30 * time.Second
)

// Replicator ships the durable commits of one database to one replica. There is one for
// each replica, with files and numbers of its own.
type Replicator struct {
	db     *store.DB
	blobs  *blob.Store
	client *Client
	opts   Options
	node   market.NodeID

	shipping chan struct{} // holds one token: whoever has it may write change files
	// Owned by the holder of the token.
	mirrored map[blob.Sum]bool // blobs known to be in the replica, since the last file
	courtesy courtesy

	levels       *compactor
	collector    *collector
	snapshotting chan struct{} // holds one token: whoever has it may take a snapshot
	// newest and sentSegments are owned by the holder of that token.
	newest       *footer                  // of the newest snapshot; nil until this process has taken one
	sentSegments map[objectName]time.Time // by name, since that snapshot; nil until the replica was asked

	mu        sync.Mutex // guards everything below; held for moments, never during a call
	opened    bool
	pos       Position      // of the last file shipped
	moved     chan struct{} // closed and renewed when pos moves, or fenced is set
	fenced    error         // not nil: never write again
	failure   error         // of the last attempt; nil after a success
	lastCut   time.Time     // machine's clock
	pending   [store.Ephemeral]backlog
	asked     bool          // somebody waits: ship without delay
	wake      chan struct{} // has room for one: the loop looks again
	retention *store.Retention
	snapshot  snapshotMark
	health    health
	can       Capabilities // of the storage, once opened
}

// backlog is what of one class has been committed and not shipped.
type backlog struct {
	last   store.LSN // newest; 0 is none
	since  time.Time // when the oldest was noticed
	oldest time.Time // when it was committed
}

// New makes a Replicator; from now on the change log is kept for it. blobs may be nil
// when no record names a blob. Then call Run, after Open or without.
func New(db *store.DB, blobs *blob.Store, client *Client, o Options) *Replicator {
	r := &Replicator{
		db: db, blobs: blobs, client: client, opts: o.withDefaults(), node: db.Node().ID,
		shipping: make(chan struct{}, 1), snapshotting: make(chan struct{}, 1), mirrored: map[blob.Sum]bool{},
		moved: make(chan struct{}), wake: make(chan struct{}, 1),
		retention: db.Retain("replica "+client.String(), 0), // Open says from where
	}
	r.opts.Logger = r.opts.Logger.With("replica", client.String())
	r.levels = &compactor{copies: openCopies(r.opts.SpoolDir, client.String(), r.opts.SpoolLimit, r.opts.Logger)}
	r.collector = newCollector(client, r.opts.SpoolDir)
	r.shipping <- struct{}{}
	r.snapshotting <- struct{}{}
	return r
}

// Position is the last point known to be in the replica.
func (r *Replicator) Position() Position {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.pos
}

// Lag is what a loss of this machine would lose now: how many durable commits the
// replica lacks, and how long ago the oldest of them that matters (class Transaction or
// UserData) was made, 0 when there is none.
func (r *Replicator) Lag() (commits uint64, age time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if durable := r.db.DurableLSN(); durable > r.pos.LSN {
		commits = uint64(durable - r.pos.LSN)
	}
	for _, b := range r.pending {
		if b.last != 0 {
			age = max(age, r.opts.Clock().Sub(b.oldest))
		}
	}
	return commits, age
}

// Err is why the last attempt to ship failed, nil when it succeeded. An error that
// wraps ErrFenced is final.
func (r *Replicator) Err() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.fenced != nil {
		return r.fenced
	}
	return r.failure
}

// Run ships commits as they become durable until ctx ends, then ships what is left
// within 10 s, and returns nil. It opens the replica if Open hasn't. It tries again
// after errors, and returns early only when it is refused as Open says, or fenced: an
// error that a person has to act on, while the marketplace can go on selling.
func (r *Replicator) Run(ctx context.Context) error {
	stopLease := r.startLease(ctx)
	defer stopLease()
	if !r.isOpen() {
		if err := r.openEventually(ctx); err != nil {
			if ctx.Err() != nil {
				r.opts.Logger.Warn("stopped before the replica was opened; the next start ships what it lacks", "err", err)
				return nil
			}
			return r.outcome(err)
		}
	}
	filling := r.retention.KeepWrites()
	defer r.retention.DropWrites()
	inner, stop := context.WithCancel(ctx)
	var followers sync.WaitGroup
	followers.Go(func() { r.hurry(inner, filling) })
	for _, follow := range r.followers() {
		followers.Go(func() { follow(inner) })
	}
	err := r.loop(inner)
	stop()
	followers.Wait()
	if err != nil {
		return err
	}
	return r.flush(context.WithoutCancel(ctx))
}

// followers are what Run runs beside the shipping, from when the replica is open until
// its context ends. Each returns then, or earlier when there is nothing left for it to
// do; it tries again after errors by itself, and makes no request while nothing happens.
func (r *Replicator) followers() []func(context.Context) {
	return []func(context.Context){
		r.watch,
		r.takeSnapshots,
		r.compact,
		r.collectEventually,
	}
}

// isOpen reports whether Open has succeeded, before which there is no position to go on from.
func (r *Replicator) isOpen() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.opened
}

// flush ships what is left. What it can't ship stays in the change log for the next start.
func (r *Replicator) flush(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, flushTimeout)
	defer cancel()
	_, err := r.Sync(ctx)
	if err == nil || errors.Is(err, ErrFenced) {
		return err
	}
	commits, _ := r.Lag()
	r.opts.Logger.Error("stopped before the replica had everything; the next start ships the rest", "commits", commits, "err", err)
	return nil
}

// loop ships whenever something is due. After a failure it waits for the back-off, which
// nothing cuts short: an unreachable replica is asked once in half a minute, however
// much is being sold.
func (r *Replicator) loop(ctx context.Context) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	backoff := time.Duration(0)
	for {
		wait, any := r.untilDue(time.Now())
		if wait = max(wait, backoff); any || backoff > 0 {
			timer.Reset(wait)
		} else {
			timer.Stop()
		}
		select {
		case <-ctx.Done():
			return nil
		case <-r.wake: // something became due sooner; a back-off is not cut short
			if backoff == 0 {
				continue
			}
			select {
			case <-ctx.Done():
				return nil
			case <-timer.C:
			}
		case <-timer.C:
		}
		_, err := r.Sync(ctx)
		switch {
		case errors.Is(err, ErrFenced):
			return err
		case ctx.Err() != nil:
			return nil
		case err == nil && backoff > 0:
			r.opts.Logger.Info("the replica takes changes again", "position", r.Position().String())
			backoff = 0
		case err != nil:
			if backoff == 0 {
				r.opts.Logger.Warn("shipping changes failed; trying again until it works", "err", err)
			}
			next := min(max(2*backoff, firstBackoff), lastBackoff)
			backoff = next + rand.N(next/2)
		}
	}
}

// untilDue is how long the next shipment may wait; any is false when nothing asks for
// one. Each class has its delay from the oldest commit that waits; whatever is due, the
// last file must be Interval old. So the first commit after a pause goes almost at once,
// together with what the same checkout commits next, and a busy shop makes one file an
// Interval.
func (r *Replicator) untilDue(now time.Time) (wait time.Duration, any bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.asked {
		return 0, true
	}
	var due time.Time
	delays := [...]time.Duration{store.Transaction: r.opts.Interval / 20, store.UserData: r.opts.UserDataDelay}
	for class, b := range r.pending {
		if b.last == 0 {
			continue
		}
		if at := b.since.Add(delays[class]); due.IsZero() || at.Before(due) {
			due = at
		}
	}
	if due.IsZero() {
		return 0, false
	}
	if at := r.lastCut.Add(r.opts.Interval); due.Before(at) {
		due = at
	}
	return due.Sub(now), true
}

// watch notes which classes of commits wait to be shipped. Once one of the most urgent
// class waits, it looks away until that is shipped: the others that came meanwhile went
// with it, or are met then.
func (r *Replicator) watch(ctx context.Context) {
	after := r.Position().LSN
	for ctx.Err() == nil {
		for c, err := range r.db.Feed(ctx, after) {
			if errors.Is(err, store.ErrLogCut) {
				// Everything is shipped whole then; the feed goes on from there.
				r.note(store.Change{Class: store.Transaction, LSN: r.db.DurableLSN(), Time: r.opts.Clock()})
				if r.Wait(ctx, r.db.DurableLSN()) != nil {
					return
				}
				after = r.Position().LSN
				break
			}
			if err != nil {
				if ctx.Err() == nil {
					r.opts.Logger.Error("following the change log failed", "err", err)
					r.outcome(err)
				}
				return
			}
			r.note(c)
			after = c.LSN
			if c.Class != store.Transaction {
				continue
			}
			if r.Shipped(ctx, c.LSN) != nil { // fenced, or at the end
				return
			}
			if at := r.Position().LSN; at > after {
				after = at
				break
			}
		}
	}
}

// note counts a commit as waiting, unless it is shipped or asks for no shipment.
func (r *Replicator) note(c store.Change) {
	if c.Class >= store.Ephemeral {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if c.LSN <= r.pos.LSN {
		return
	}
	b := &r.pending[c.Class]
	if b.last == 0 {
		b.since, b.oldest = time.Now(), c.Time
		r.signal()
	}
	b.last = c.LSN
}

// hurry asks for a file whenever half of what the store keeps in memory is used: what it
// no longer has costs several times as much to ship.
func (r *Replicator) hurry(ctx context.Context, filling <-chan struct{}) {
	for {
		select {
		case <-filling:
		case <-ctx.Done():
			return
		}
		r.mu.Lock()
		r.asked = true
		r.signal()
		r.mu.Unlock()
	}
}

// signal makes the loop look again; mu is held.
func (r *Replicator) signal() {
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// Wait returns when the replica has commit lsn, which Run then ships without delay: for
// commits that must survive the loss of this machine before they are acknowledged.
// Errors: ErrFenced, or ctx's when it ends first; the commit may still get there.
func (r *Replicator) Wait(ctx context.Context, lsn store.LSN) error {
	for {
		r.mu.Lock()
		pos, fenced, moved := r.pos, r.fenced, r.moved
		if pos.LSN < lsn && fenced == nil && !r.asked {
			r.asked = true
			r.signal()
		}
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

// Sync ships every commit that is durable now, of whatever class, and returns where the
// replica stands then.
func (r *Replicator) Sync(ctx context.Context) (Position, error) {
	snap, pos, err := r.syncPinned(ctx)
	if err != nil {
		return r.Position(), err
	}
	return pos, snap.Close()
}

// syncPinned is Sync that returns the snapshot that the replica equals at that position.
func (r *Replicator) syncPinned(ctx context.Context) (*store.Snapshot, Position, error) {
	if !r.isOpen() {
		return nil, Position{}, errors.New("replica: Sync before Open")
	}
	select {
	case <-r.shipping:
	case <-ctx.Done():
		return nil, Position{}, fmt.Errorf("replica: waiting for another shipment: %w", ctx.Err())
	}
	defer func() { r.shipping <- struct{}{} }()
	snap, err := r.db.Snapshot(ctx)
	if err != nil {
		return nil, Position{}, r.outcome(fmt.Errorf("replica: pinning the database: %w", err))
	}
	for err = r.fencedError(); err == nil && r.Position().LSN < snap.LSN(); { // an adopted file may end before the snapshot
		err = r.ship(ctx, snap)
	}
	if err != nil {
		snap.Close()
		return nil, Position{}, r.outcome(err)
	}
	r.outcome(nil)
	return snap, r.Position(), nil
}

// fencedError is why nothing may be written any more, nil while it may.
func (r *Replicator) fencedError() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.fenced
}

// outcome notes how an attempt to ship ended, and returns it.
func (r *Replicator) outcome(err error) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.failure = err
	r.health.note(err, r.opts.Clock())
	switch {
	case err == nil:
		r.asked = false
	case errors.Is(err, ErrFenced) && r.fenced == nil:
		r.fenced = err
		r.asked = true // so that the loop ends though nothing is due
		r.signal()
		close(r.moved) // whoever waits learns of it
		r.moved = make(chan struct{})
	}
	return err
}

// advance moves to a file that is in the replica; it is called by the holder of the
// shipping token. From here on the change log may be cut up to the file's last commit.
func (r *Replicator) advance(p Position) { r.advanceBy(p, 0) }

// advanceBy is advance for a file whose size in bytes is known.
func (r *Replicator) advanceBy(p Position, size int64) {
	clear(r.mirrored)
	r.levels.note(p, size)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.pos = p
	r.snapshot.tail += size
	r.lastCut = time.Now()
	r.asked = false
	for class := range r.pending {
		b := &r.pending[class]
		if b.last <= p.LSN {
			*b = backlog{}
		} else if b.last != 0 {
			b.since, b.oldest = r.lastCut, p.Time // the rest came after the file was cut
		}
	}
	r.retention.Advance(p.LSN)
	close(r.moved)
	r.moved = make(chan struct{})
}
