package replica

import (
	"context"
	"fmt"
	"slices"
	"sort"
	"time"

	"github.com/superfly/ltx"

	"github.com/souk-market/souk/internal/market"
)

// plan is the files of a restore in order: maybe a snapshot, then change files, across
// generations.
type plan struct {
	files []fileRef
	bytes int64 // as listed
}

// planFor lists what a restore to the target needs. Snapshots in avoid are passed over.
// Errors: NotFound when the replica has nothing for the target, ErrGap when a file is missing.
func (c *Client) planFor(ctx context.Context, t Target, avoid map[fileRef]bool) (*plan, error) {
	if t.TXID != 0 && !t.Time.IsZero() {
		return nil, market.Errorf(market.Invalid, "Restore either to a file or to a time, not both.")
	}
	all, err := c.generations(ctx)
	if err != nil {
		return nil, err
	}
	if len(all) == 0 {
		return nil, market.Errorf(market.NotFound, "There is no replica at %s. Check the address; a replica has a folder named gen.", c)
	}
	g := t.Generation
	if g == 0 {
		g = uint32(len(all))
	}
	if int(g) > len(all) {
		return nil, market.Errorf(market.NotFound, "The replica %s has no generation %d; its newest is %d.", c, g, len(all))
	}
	p := &plan{}
	for _, s := range history(all, g, ltx.TXID(t.TXID)) {
		done, err := c.planSpan(ctx, p, s, t.Time, avoid)
		if err != nil || done {
			return p.checked(c, t, err)
		}
	}
	return p.checked(c, t, nil)
}

// checked finishes a plan: an empty one is an error that says why it is empty.
func (p *plan) checked(c *Client, t Target, err error) (*plan, error) {
	if err == nil && len(p.files) == 0 {
		if !t.Time.IsZero() {
			return nil, market.Errorf(market.NotFound, "The replica %s has nothing from before %s.", c, t.Time.Format(time.RFC3339))
		}
		return nil, market.Errorf(market.NotFound, "The replica %s is empty: nothing has been shipped to it yet.", c)
	}
	for _, f := range p.files {
		p.bytes += f.size
	}
	return p, err
}

// planSpan puts a generation's files before those planned so far; done is true when
// they begin with a snapshot, before which nothing is needed.
func (c *Client) planSpan(ctx context.Context, p *plan, s span, until time.Time, avoid map[fileRef]bool) (done bool, err error) {
	under := generationPath(s.Generation)
	changes, err := c.list(ctx, under, levelChanges)
	if err != nil {
		return false, err
	}
	snapshots, err := c.list(ctx, under, levelSnapshot)
	if err != nil {
		return false, err
	}
	// A span that ends at a fork has its end from the child's manifest, so that a missing
	// last file is noticed, too. In the newest generation, what was shipped last is the end.
	upTo := s.upTo
	if upTo == 0 {
		upTo = newestOf(changes, snapshots)
	}
	if !until.IsZero() {
		if upTo, err = c.lastBefore(ctx, s.Generation, changes, upTo, until); err != nil {
			return false, err
		}
	}
	var files []fileRef
	next := ltx.TXID(1)
	for _, f := range slices.Backward(snapshots) {
		ref := fileRef{s.Generation, levelSnapshot, f.MinTXID, f.MaxTXID, f.Size}
		if f.MaxTXID <= upTo && !avoid[ref] {
			files, next, done = append(files, ref), f.MaxTXID+1, true
			break
		}
	}
	for _, f := range changes {
		if f.MinTXID < next || f.MinTXID > upTo {
			continue
		}
		if f.MinTXID != next {
			break
		}
		files = append(files, fileRef{s.Generation, levelChanges, f.MinTXID, f.MaxTXID, f.Size})
		next++
	}
	if next <= upTo {
		return false, c.gap(s.Generation, next, upTo)
	}
	p.files = append(files, p.files...)
	return done, nil
}

// gap is the error for a missing file. It says how far a restore can go without it.
func (c *Client) gap(g uint32, missing, upTo ltx.TXID) error {
	name := c.nameOf(changeRef(g, missing))
	rest := "Nothing can be restored without it."
	if missing > 1 {
		rest = fmt.Sprintf("A restore up to file %d is possible (--txid %d).", missing-1, missing-1)
	}
	return market.Errorf(market.NotFound, "The replica lacks the file %s, which is needed to restore up to file %d. %s", name, upTo, rest).
		Because(fmt.Errorf("%w: %s", ErrGap, name))
}

// newestOf returns the highest number among files, 0 for none.
func newestOf(lists ...[]*ltx.FileInfo) (n ltx.TXID) {
	for _, files := range lists {
		for _, f := range files {
			n = max(n, f.MaxTXID)
		}
	}
	return n
}

// lastBefore finds the last change file cut at or before a time, by its number, 0 for
// none. Times rise from file to file, so that a few footers tell.
func (c *Client) lastBefore(ctx context.Context, g uint32, changes []*ltx.FileInfo, upTo ltx.TXID, until time.Time) (ltx.TXID, error) {
	changes = changes[:sort.Search(len(changes), func(i int) bool { return changes[i].MinTXID > upTo })]
	var failed error
	n := sort.Search(len(changes), func(i int) bool {
		if failed != nil {
			return true
		}
		ref := changeRef(g, changes[i].MinTXID)
		ref.size = changes[i].Size
		f, err := c.footerOf(ctx, ref)
		if err != nil {
			failed = err
			return true
		}
		return f.time().After(until)
	})
	if failed != nil || n == 0 {
		return 0, failed
	}
	return changes[n-1].MinTXID, nil
}
