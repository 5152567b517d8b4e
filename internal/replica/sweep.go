package replica

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/souk-market/souk/internal/blob"
)

// sweepEvery is the time between two sweeps. A sweep lists the blobs, a request for each
// thousand of them.
const sweepEvery = day

// sweep deletes segments and blobs that nothing names, in this order of doubts: what a
// listing lacks isn't missed, since names are marked over all files that are there, and
// a name must be without a mark in two sweeps, a day apart; what is being sent has no
// mark yet, so it must be older than Grace; and what is there already may be counted on
// by a snapshot or file that is under way, so whoever makes those is kept out meanwhile.
func (r *Replicator) sweep(ctx context.Context, inv *Inventory, done *Collection) error {
	m, err := r.collector.mark(ctx, inv)
	if errors.Is(err, ErrCorrupt) {
		done.Held = "A damaged file doesn't tell what it names, so no segments and blobs are deleted. " + err.Error()
		r.collector.swept = done.At
		return nil
	}
	if err != nil {
		return err
	}
	if err := r.heal(ctx, inv, m); err != nil {
		return err
	}
	now := done.At
	if newest := inv.newest(); newest.Before(now) {
		now = newest
	}
	seen := map[fileRef]bool{}
	segments := r.collector.unneeded(inv.Segments, levelSegments, m.segments, now, r.opts.Retention, seen)
	blobs := r.collector.unneeded(inv.Blobs, levelBlobs, m.blobNames, now, r.opts.Retention, seen)
	for ref := range r.collector.unnamed { // named again, or gone
		if !seen[ref] {
			delete(r.collector.unnamed, ref)
		}
	}
	if err := r.sweepSegments(ctx, inv, r.collector.allowed(segments, now), done); err != nil {
		return err
	}
	if err := r.sweepBlobs(ctx, inv, r.collector.allowed(blobs, now), done); err != nil {
		return err
	}
	r.collector.swept = done.At
	return nil
}

// heal sends again what files name and the replica lacks, if this machine has it. With a
// server key it finds nothing: names in the replica don't tell which files here have them.
func (r *Replicator) heal(ctx context.Context, inv *Inventory, m *marks) error {
	if r.blobs == nil {
		return nil
	}
	there := make(map[objectName]bool, len(inv.Blobs))
	for _, o := range inv.Blobs {
		there[o.name()] = true
	}
	for sum := range m.blobs {
		if there[r.client.contentName(sum)] {
			continue
		}
		f, err := r.blobs.Open(ctx, sum)
		if err != nil {
			continue // deleted here since; a restore that needs it says so, and Verify does
		}
		f.Close()
		r.opts.Logger.Warn("a file that the replica's records name wasn't listed; looking for it", "sha256", sum.String())
		if err := r.mirrorBlob(ctx, sum); err != nil {
			return err
		}
	}
	return nil
}

// unneeded returns the objects that nothing has named for a while, and notes those that
// nothing names now.
func (c *collector) unneeded(all []Object, level int, named map[objectName]bool, now time.Time, p Retention, seen map[fileRef]bool) []fileRef {
	var refs []fileRef
	for _, o := range all {
		ref := contentRef(level, o)
		if named[o.name()] || now.Sub(o.Time) < p.withDefaults().Grace {
			continue
		}
		seen[ref] = true
		since, known := c.unnamed[ref]
		if !known {
			c.unnamed[ref] = now
			continue
		}
		if now.Sub(since) >= collectLeast {
			refs = append(refs, ref)
		}
	}
	return refs
}

// sweepSegments deletes segments while no snapshot is being taken: one that is under way
// counts on segments that it has found. It does without when one is.
func (r *Replicator) sweepSegments(ctx context.Context, inv *Inventory, refs []fileRef, done *Collection) error {
	if len(refs) == 0 {
		return nil
	}
	select {
	case <-r.snapshotting:
	default:
		return nil
	}
	defer func() { r.snapshotting <- struct{}{} }()
	counted := map[objectName]bool{}
	if r.newest != nil { // it may have been taken since the marks
		for _, s := range r.newest.Segments {
			counted[r.client.contentName(s.Sum)] = true
		}
	}
	for name := range r.sentSegments {
		counted[contentRef(levelSegments, Object{Min: uint64(name[0]), Max: uint64(name[1])}).name()] = true
	}
	gone, err := r.delete(ctx, slices.DeleteFunc(refs, func(ref fileRef) bool { return counted[ref.name()] }), done)
	done.Segments += len(gone)
	inv.drop(gone)
	return err
}

// sweepBlobs deletes blobs, a page at a time, while nothing is shipped: a file that is
// under way counts on blobs that it has found. What was shipped since the marks has been
// noted.
func (r *Replicator) sweepBlobs(ctx context.Context, inv *Inventory, refs []fileRef, done *Collection) error {
	for page := range slices.Chunk(refs, pageSize) {
		gone, err := r.sweepPage(ctx, page, done)
		done.Blobs += len(gone)
		inv.drop(gone)
		if err != nil {
			return err
		}
	}
	return nil
}

func (r *Replicator) sweepPage(ctx context.Context, page []fileRef, done *Collection) ([]fileRef, error) {
	select {
	case <-r.shipping:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	defer func() { r.shipping <- struct{}{} }()
	counted := r.collector.noted()
	for sum := range r.mirrored {
		counted[r.client.contentName(sum)] = true
	}
	return r.delete(ctx, slices.DeleteFunc(page, func(ref fileRef) bool { return counted[ref.name()] }), done)
}

// name is the name of a segment or blob.
func (ref fileRef) name() objectName {
	return Object{Min: uint64(ref.min), Max: uint64(ref.max)}.name()
}

// ships notes blobs that a file is about to name; it is called by the holder of the
// shipping token before the file is created.
func (c *collector) ships(client *Client, sums map[blob.Sum]bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for sum := range sums {
		c.named[client.contentName(sum)] = true
	}
}

// beginSweep lets go of what was noted: a file that was shipped by now will be listed.
func (r *Replicator) beginSweep(ctx context.Context) error {
	select {
	case <-r.shipping: // none is noted and not yet shipped
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { r.shipping <- struct{}{} }()
	r.collector.mu.Lock()
	defer r.collector.mu.Unlock()
	clear(r.collector.named)
	return nil
}

// noted are the blobs that files have named since beginSweep.
func (c *collector) noted() map[objectName]bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	counted := make(map[objectName]bool, len(c.named))
	for name := range c.named {
		counted[name] = true
	}
	return counted
}
