package replica

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/souk-market/souk/internal/market"
)

const (
	// collectAfterStart is how long a process runs before it deletes anything, so that one
	// that is restarted over and over doesn't list the replica each time.
	collectAfterStart = 10 * time.Minute
	// collectLeast and collectMost bound the time between two collections, an eighth of
	// Retention.Fine: what is kept too long adds that much to level 0, and at a file a
	// second a collection lists 90 pages, 2 % of the requests that wrote them.
	collectLeast, collectMost = time.Hour, 6 * time.Hour
	// retryRefused is when a deletion is tried again that the storage has refused: an
	// object lock lasts days.
	retryRefused = day
)

// collectEvery is the time between two collections.
func (p Retention) collectEvery() time.Duration {
	return min(max(p.withDefaults().Fine/8, collectLeast), collectMost)
}

// Collection says what one run of retention did.
type Collection struct {
	At       time.Time `json:"at"`
	Files    int       `json:"files"` // change files and snapshots deleted
	Segments int       `json:"segments"`
	Blobs    int       `json:"blobs"`
	Bytes    int64     `json:"bytes"`
	// Refused counts the deletions that are refused for now, and tried again after a day:
	// the objects are locked, or this server isn't permitted to delete.
	Refused int `json:"refused"`
	// Held says why segments and blobs were not looked at, "" when they were or weren't due.
	Held string `json:"held,omitempty"`
	// Error says why the run was broken off, "" when it wasn't; it is tried again.
	Error string `json:"error,omitempty"`
}

// collector deletes from a replica what its policy no longer asks for.
type collector struct {
	turn chan struct{} // holds one token: whoever has it may collect, and owns what follows
	*catalog
	refused map[fileRef]time.Time // when a deletion was refused
	unnamed map[fileRef]time.Time // segments and blobs that no footer named, since when
	swept   time.Time

	mu     sync.Mutex // guards the rest
	named  map[objectName]bool
	last   *Inventory // as the last collection that succeeded left it
	listed time.Time  // when that was
	done   Collection // the last attempt
}

func newCollector(client *Client, spool string) *collector {
	c := &collector{
		turn: make(chan struct{}, 1), catalog: newCatalog(client, spool), refused: map[fileRef]time.Time{},
		unnamed: map[fileRef]time.Time{}, named: map[objectName]bool{},
	}
	c.turn <- struct{}{}
	return c
}

// collectEventually deletes from time to time what the policy no longer asks for, as long
// as something new is being shipped: an idle replica is asked nothing.
func (r *Replicator) collectEventually(ctx context.Context) {
	timer := time.NewTimer(collectAfterStart)
	defer timer.Stop()
	for at := r.Position(); ; {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		for r.Position() == at {
			r.mu.Lock()
			moved := r.moved
			r.mu.Unlock()
			if r.Position() != at {
				break
			}
			select {
			case <-ctx.Done():
				return
			case <-moved:
			}
		}
		pos := r.Position()
		_, err := r.Collect(ctx)
		switch {
		case err == nil:
			at = pos
			timer.Reset(r.opts.Retention.collectEvery())
		case ctx.Err() != nil || errors.Is(err, ErrFenced):
			return
		default:
			timer.Reset(collectAfterStart + rand.N(collectAfterStart))
			r.opts.Logger.Warn("deleting old files failed; trying again", "err", err)
		}
	}
}

// errStale: a listing lacks what is known to be there.
var errStale = errors.New("replica: the listing is out of date")

// Collect deletes what the policy no longer asks for: change files and snapshots first,
// then segments and blobs that nothing which is left names. Run does it from time to time.
//
// Only the owner of the newest generation deletes, and before each thousand files it
// looks whether it still is. Errors: ErrFenced, and those of the transport; what has been
// deleted by then was not needed, and the next run goes on.
func (r *Replicator) Collect(ctx context.Context) (Collection, error) {
	c := r.collector
	select {
	case <-c.turn:
	case <-ctx.Done():
		return Collection{}, fmt.Errorf("replica: waiting for another collection: %w", ctx.Err())
	}
	defer func() { c.turn <- struct{}{} }()
	done := Collection{At: r.opts.Clock().UTC()}
	inv, err := r.collect(ctx, &done)
	if err != nil {
		done.Error = Words(err)
	} else if done.Files+done.Segments+done.Blobs+done.Refused > 0 {
		r.opts.Logger.Info("deleted what is no longer kept", "files", done.Files, "segments", done.Segments,
			"blobs", done.Blobs, "bytes", done.Bytes, "refused", done.Refused)
	}
	done.Refused = len(c.refused) // with those that it was too soon to try again
	c.mu.Lock()
	defer c.mu.Unlock()
	c.done = done
	if err == nil {
		c.last, c.listed = inv, done.At
	}
	return done, err
}

func (r *Replicator) collect(ctx context.Context, done *Collection) (*Inventory, error) {
	if !r.isOpen() {
		return nil, errors.New("replica: Collect before Open")
	}
	if err := r.mayDelete(ctx); err != nil {
		return nil, err
	}
	sweep := done.At.Sub(r.collector.swept) >= sweepEvery
	if sweep {
		if err := r.beginSweep(ctx); err != nil { // from here on what is shipped is noted
			return nil, err
		}
	}
	inv, err := r.takeInventory(ctx, sweep)
	if err != nil {
		return nil, err
	}
	report := func(ref fileRef, err error) {
		r.opts.Logger.Error("a snapshot can't be used", "snapshot", r.client.nameOf(ref), "err", err)
	}
	if err := r.collector.readSnapshots(ctx, inv, report); err != nil {
		return nil, err
	}
	expired := r.collector.allowed(r.opts.Retention.Expired(inv, done.At), done.At)
	gone, err := r.delete(ctx, expired, done)
	done.Files += len(gone)
	inv.drop(gone)
	for _, ref := range gone {
		delete(r.collector.read, ref)
	}
	if err == nil && sweep {
		err = r.sweep(ctx, inv, done)
	}
	return inv, err
}

// mayDelete reports whether this node owns the newest generation still. A node that has
// been replaced and doesn't know it deletes nothing that its successor may rest on.
func (r *Replicator) mayDelete(ctx context.Context) error {
	if err := r.fencedError(); err != nil {
		return err
	}
	next, err := r.client.manifest(ctx, r.Position().Generation+1)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	}
	return fencedBy(r.client, next.Node, next.Generation, "")
}

// longPause is after how long the last file is looked for before the next is created: half
// of the least that files are kept for.
const longPause = minFine / 2

// stillNewest finds out whether somebody else has gone on with this generation while this
// node stood still: a copy of a running machine, say. Creating the next file where there is
// none tells that only as long as retention has left its namesake in place.
func (r *Replicator) stillNewest(ctx context.Context) error {
	pos := r.Position()
	if pos.TXID == 0 || r.opts.Clock().Sub(pos.Time) < longPause {
		return nil
	}
	_, err := r.client.footerOf(ctx, changeRef(pos.Generation, pos.TXID))
	if !errors.Is(err, fs.ErrNotExist) {
		return nil // it is there; what else may be wrong shows elsewhere
	}
	g, err := r.client.listGeneration(ctx, Manifest{Generation: pos.Generation})
	if err != nil {
		return err
	}
	if tip := g.tip(); tip > uint64(pos.TXID) {
		return market.Errorf(market.Conflict, "The replica %s has gone on to file %d, and this server shipped file %d last, %s ago. Two servers run on copies "+
			"of one data directory: stop one of them, and restore it from the replica if it is needed.",
			r.client, tip, pos.TXID, r.opts.Clock().Sub(pos.Time).Round(time.Second)).Because(ErrFenced)
	}
	return nil
}

// takeInventory lists the replica, blobs only when asked to, and refuses a listing that
// lacks what this node has shipped.
func (r *Replicator) takeInventory(ctx context.Context, blobs bool) (*Inventory, error) {
	pos := r.Position()
	manifests, err := r.client.generations(ctx)
	if err != nil {
		return nil, err
	}
	if len(manifests) != int(pos.Generation) {
		return nil, fmt.Errorf("%w: it has %d generations, and this is number %d", errStale, len(manifests), pos.Generation)
	}
	inv := &Inventory{}
	for _, m := range manifests {
		g, err := r.client.listGeneration(ctx, m)
		if err != nil {
			return nil, err
		}
		inv.Generations = append(inv.Generations, g)
	}
	changes := inv.Generations[pos.Generation-1].Levels[levelChanges]
	if pos.TXID > 0 && (len(changes) == 0 || changes[len(changes)-1].Max < uint64(pos.TXID)) {
		return nil, fmt.Errorf("%w: it ends before file %d, which has been shipped", errStale, pos.TXID)
	}
	if inv.Segments, err = r.client.listObjects(ctx, "", levelSegments); err != nil || !blobs {
		return inv, err
	}
	inv.Blobs, err = r.client.listObjects(ctx, "", levelBlobs)
	return inv, err
}

// allowed leaves out what the storage has refused to delete lately.
func (c *collector) allowed(refs []fileRef, now time.Time) []fileRef {
	for ref, at := range c.refused {
		if now.Sub(at) >= retryRefused {
			delete(c.refused, ref)
		}
	}
	return slices.DeleteFunc(refs, func(ref fileRef) bool {
		_, locked := c.refused[ref]
		return locked
	})
}

// delete deletes files and counts them, a page at a time, and returns those that are gone.
func (r *Replicator) delete(ctx context.Context, refs []fileRef, done *Collection) (gone []fileRef, err error) {
	for page := range slices.Chunk(refs, pageSize) {
		if err := r.mayDelete(ctx); err != nil {
			return gone, err
		}
		refused, err := r.client.delete(ctx, page)
		if err != nil {
			return gone, err
		}
		locked := map[fileRef]bool{}
		for _, ref := range refused {
			locked[ref] = true
			r.collector.refused[ref] = done.At
		}
		done.Refused += len(refused)
		for _, ref := range page {
			if !locked[ref] {
				gone = append(gone, ref)
				done.Bytes += ref.size
			}
		}
	}
	return gone, nil
}
