package replica

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/souk-market/souk/internal/market"
	"github.com/souk-market/souk/store"
)

// Restore makes a data directory from replicas: dir/store and dir/blobs. dir must be
// absent or empty. Everything is built in dir.restoring, verified, synced, and renamed
// at the end, so dir appears whole or not at all. What a restore that was interrupted or
// failed has verified there is used again. The new directory is a node of its own,
// fenced until the operator has looked at it. The caller runs the store's Check on it.
//
// Several replicas of one marketplace may be given. The one that holds most up to the
// target is restored, the first of equal ones; where an object of it is damaged or
// missing, coarser or finer files stand in, then the other replicas, then an older
// snapshot, and the Report names it. Numbers of files are each replica's own, so replicas
// are joined by LSN; see restore_join.go for what shows that they hold one history.
//
// Errors: NotFound when there is nothing for the target or a file is missing (ErrGap,
// named), ErrCorrupt (a *CorruptError that names the file), both with how far a restore
// is possible; ErrForeign or ErrDiverged when the replicas hold different histories;
// Conflict when dir isn't empty or is being restored by somebody else.
func Restore(ctx context.Context, from []*Client, dir string, t Target, o RestoreOptions) (rep Report, err error) {
	r := newRestoration(t, o)
	dir, err = vacantDir(dir)
	if err != nil {
		return Report{}, err
	}
	if err := r.look(ctx, from); err != nil {
		return Report{}, err
	}
	if r.place, err = openWorkplace(dir + ".restoring"); err != nil {
		return Report{}, err
	}
	err = r.build(ctx)
	if err == nil {
		err = r.place.moveTo(dir, r.report.Attached)
	}
	if err != nil {
		return Report{}, errors.Join(err, r.place.leave(r.meter.verified() > 0))
	}
	if len(from) == 1 { // whose end needed no look before
		r.report.Sources[0].LSN = r.report.LSN
	}
	r.report.Duration = time.Since(r.began)
	return r.report, nil
}

// restoration is one call of Restore.
type restoration struct {
	opts    RestoreOptions
	target  Target
	began   time.Time
	sources []*source // that can be used, as given
	main    *source   // of them, the one that is restored
	place   *workplace
	meter   meter
	report  Report

	tried    map[start]bool
	builtTo  store.LSN  // the last commit that an attempt got to
	listed   store.LSN  // the last commit to which the main source lists all files, where some are missing
	obstacle error      // what ended the first attempt
	pending  []Healing  // objects that couldn't be used, until something stands in
	shared   sync.Mutex // guards the report while blobs and segments are fetched
}

func newRestoration(t Target, o RestoreOptions) *restoration {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Clock == nil {
		o.Clock = time.Now
	}
	return &restoration{tried: map[start]bool{}, opts: o, target: t, began: time.Now(), meter: meter{show: o.Progress}}
}

// check refuses a target that says two things.
func (t Target) check() error {
	said := 0
	for _, is := range []bool{t.TXID != 0, t.LSN != 0, !t.Time.IsZero()} {
		if is {
			said++
		}
	}
	if said > 1 {
		return market.Errorf(market.Invalid, "Restore to a file, a commit or a time, not to several of them.")
	}
	return nil
}

// look lists all sources, decides which of them is restored and up to where, and
// verifies that they hold one history.
func (r *restoration) look(ctx context.Context, from []*Client) error {
	if err := r.target.check(); err != nil {
		return err
	}
	if len(from) == 0 {
		return market.Errorf(market.Invalid, "A restore needs a replica. Write --from URL.")
	}
	if err := r.load(ctx, from); err != nil {
		return err
	}
	for _, s := range r.sources {
		if r.main == nil || r.main.lsn() < s.lsn() || r.main.lsn() == s.lsn() && r.main.doubt != nil && s.doubt == nil {
			r.main = s
		}
	}
	if r.main.goal == 0 {
		return errors.Join(r.main.doubt, r.main.nothingFor(r.target))
	}
	if r.main.doubt != nil {
		return r.upTo(r.main.doubt, r.main.lsn())
	}
	if len(r.sources) > 1 && r.main.goalAt == nil {
		if err := r.aimByFirst(ctx); err != nil {
			return err
		}
	}
	return r.relateAll(ctx)
}

// load lists the sources at once and finds where each ends. One that can't be read is
// done without, unless it is the only one, or the first and the target is by its numbers.
func (r *restoration) load(ctx context.Context, from []*Client) error {
	all := make([]*source, len(from))
	errs := make([]error, len(from))
	r.report.Sources = make([]SourceReport, len(from))
	var group errgroup.Group
	for i, c := range from {
		all[i] = newSource(c, &r.report.Sources[i])
		t := r.target
		if i > 0 {
			t.Generation, t.TXID = 0, 0
		}
		group.Go(func() error {
			errs[i] = all[i].load(ctx, t)
			if errs[i] == nil && !(i > 0 && r.target.TXID != 0) {
				errs[i] = all[i].aim(ctx, t, len(from) == 1)
			}
			return nil
		})
	}
	group.Wait()
	for i, s := range all {
		if err := errs[i]; err != nil {
			if len(from) == 1 || ctx.Err() != nil || i == 0 && (r.target.TXID != 0 || r.target.Generation != 0) {
				return err
			}
			s.report.Err = market.Message(err)
			r.opts.Logger.Error("a replica can't be read; restoring without it", "replica", s.client.String(), "err", err)
			continue
		}
		s.report.LSN = s.lsn()
		r.sources = append(r.sources, s)
	}
	if len(r.sources) == 0 {
		return errs[0]
	}
	return nil
}

// aimByFirst finds the commit that a file number of the first source stands for, and
// where the others are by then.
func (r *restoration) aimByFirst(ctx context.Context) error {
	s := r.main
	end, f, err := s.lastEnd(ctx, s.goal, func(*footer) bool { return false })
	if err != nil {
		return err
	}
	if end == nil || end.hi != s.goal {
		return s.obstacle(s.goal)
	}
	s.goalAt, s.report.LSN = f, f.LSNMax
	for _, other := range r.sources {
		if other == s {
			continue
		}
		if err := other.aim(ctx, Target{LSN: f.LSNMax}, false); err != nil {
			return err
		}
		other.report.LSN = other.lsn()
	}
	return nil
}

// upTo adds to an error that ends a restore how far one is possible.
func (r *restoration) upTo(err error, lsn store.LSN) error {
	hint := "Nothing can be restored without it."
	if lsn != 0 {
		hint = fmt.Sprintf("A restore up to commit %d is possible (--lsn %d).", lsn, lsn)
	}
	var told *market.Error
	if errors.As(err, &told) {
		return market.Errorf(told.Kind, "%s %s", told.Message, hint).Because(told.Err)
	}
	return fmt.Errorf("%w. %s", err, hint)
}

// spoiled notes an object that can't be used, until something stands in for it.
func (r *restoration) spoiled(name string, err error) {
	reason := "it is missing"
	var bad *CorruptError
	if errors.As(err, &bad) {
		reason = bad.Reason
	}
	r.opts.Logger.Error("an object of the replica can't be used", "object", name, "err", err)
	r.pending = append(r.pending, Healing{Name: name, Reason: reason})
}

// healed names what stood in for the objects that couldn't be used.
func (r *restoration) healed(by string) {
	for _, h := range r.pending {
		h.By = by
		r.report.Healed = append(r.report.Healed, h)
	}
	r.pending = nil
}
