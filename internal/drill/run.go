package drill

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/souk-market/souk/internal/market"
)

const (
	// settle is how long after the start the first drill waits, so that a server that
	// has been down over the moment opens first.
	settle = 5 * time.Minute
	// longestNap bounds how late a drill is after the clock has been set.
	longestNap = time.Hour
)

// Run drills each source when it is due, one after the other, until ctx ends. It removes
// first what a kill has left of a drill. Without a schedule or sources that it can read it
// does just that.
func (r *Runner) Run(ctx context.Context) error {
	r.clearUp(ctx)
	sources := r.readable()
	for wait := settle; r.Schedule != nil && len(sources) > 0; {
		if !sleep(ctx, wait) {
			return nil
		}
		wait = longestNap
		for _, s := range sources {
			wait = min(wait, r.drillWhenDue(ctx, s))
		}
	}
	<-ctx.Done()
	return nil
}

// readable are the sources that can be restored here. A server that has the server key
// of a replica can't, and its operator drills elsewhere.
func (r *Runner) readable() (all []Source) {
	for _, s := range r.Sources {
		if s.Client.CanRead() {
			all = append(all, s)
		} else if r.Schedule != nil {
			r.log().Warn("this server has only the server key of a replica, and can't drill it; run souk drill --from on a machine with the recovery key",
				"replica", s.Client.String())
		}
	}
	return all
}

// clearUp removes what a kill has left, unless a drill is running.
func (r *Runner) clearUp(ctx context.Context) {
	if !r.busy.TryLock() {
		return
	}
	defer r.busy.Unlock()
	if err := r.clean(ctx); err != nil && ctx.Err() == nil {
		r.log().Error("clearing up after an earlier drill", "err", err)
	}
}

// drillWhenDue drills a source if it is due, and returns when to look again.
func (r *Runner) drillWhenDue(ctx context.Context, s Source) time.Duration {
	at, err := r.Next(ctx, s)
	if wait := at.Sub(r.now()); err == nil && wait > 0 || ctx.Err() != nil {
		return wait
	}
	if err == nil {
		_, err = r.logged(ctx, s)
	}
	if err != nil && ctx.Err() == nil && !errors.Is(err, ErrRunning) {
		r.log().Error("a restore drill can't be run", "replica", s.Client.String(), "err", err)
	}
	return settle
}

// logged is a planned drill.
func (r *Runner) logged(ctx context.Context, s Source) (market.Drill, error) {
	r.log().Info("a restore drill begins", "replica", s.Client.String())
	d, err := r.Do(ctx, Request{Source: s, Planned: true})
	switch {
	case err != nil:
	case d.State == market.DrillPassed:
		r.log().Info("the restore drill passed", "replica", d.Source, "commit", d.LSN, "rpo", d.RPO, "rto", d.RTO, "bytes", d.Bytes+d.BlobBytes)
	default:
		r.log().Error("the restore drill failed", "replica", d.Source, "reason", d.Reason)
	}
	return d, err
}

// Next returns when the next planned drill of a source is due; the zero time when there
// is no schedule.
func (r *Runner) Next(ctx context.Context, s Source) (time.Time, error) {
	if r.Schedule == nil || r.DB == nil {
		return time.Time{}, nil
	}
	past, err := r.History(ctx, 0)
	if err != nil {
		return time.Time{}, err
	}
	name := s.Client.String()
	past = slices.DeleteFunc(past, func(d market.Drill) bool { return d.Source != name })
	return r.Schedule.due(past, r.DB.Node().Created), nil
}

// sleep waits, and reports whether ctx is still going.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
