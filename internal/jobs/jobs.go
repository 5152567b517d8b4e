// Package jobs runs what transactions want done outside: it claims due jobs of the
// store's queue and hands them to their kind's handler.
//
// It promises that a job runs at least once after its transaction is durable, that a
// failure is tried again with back-off and kept among the dead after the last attempt,
// and that no kind waits for another. A handler's effect must be idempotent: a crash
// after the effect and before the note of it repeats the job. A crash counts as a
// failed attempt, so that a job which kills the process ends among the dead; being
// stopped in good order doesn't.
//
// A clock that is set back neither stops the queue nor repeats what runs: what waits for a
// moment that now lies too far ahead is brought forward. A job scheduled for a date waits
// for that date. A clock that is set forward by more than a lease makes the jobs under way
// look abandoned, and they may run twice.
package jobs

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"github.com/souk-market/souk/internal/market"
	"github.com/souk-market/souk/store"
)

// Handler does the work of one kind of job.
type Handler struct {
	Run         func(ctx context.Context, j *store.Job) error
	Concurrency int           // jobs of the kind at once; 0 is 1
	MaxAttempts int           // 0 is 20, about ten hours of back-off
	Lease       time.Duration // how long one attempt may take; 0 is a minute
	NoAck       bool          // it acts on no money, and runs also while no replica confirms that
}

// leaseGrace is how much longer than an attempt its claim is held, so that the note of
// the result still fits in.
const leaseGrace = 15 * time.Second

func (h Handler) withDefaults() Handler {
	h.Concurrency = max(h.Concurrency, 1)
	if h.MaxAttempts == 0 {
		h.MaxAttempts = 20
	}
	if h.Lease == 0 {
		h.Lease = time.Minute
	}
	return h
}

// Runner runs a tenant's jobs.
type Runner struct {
	db       *store.DB
	tenant   market.TenantID
	handlers map[string]Handler
	log      *slog.Logger

	mu   sync.Mutex
	busy map[string]int // running jobs by kind
	wake chan struct{}
	wg   sync.WaitGroup

	// Owned by Run.
	clock    time.Time       // when the queue was last looked at
	surveyed time.Time       // when it was last looked through for kinds without a handler
	named    map[string]bool // those kinds, once the log has them
}

// New returns a Runner; handlers are by kind of job.
func New(db *store.DB, tenant market.TenantID, handlers map[string]Handler, log *slog.Logger) *Runner {
	r := &Runner{db: db, tenant: tenant, handlers: map[string]Handler{}, log: log, busy: map[string]int{}, wake: make(chan struct{}, 1), named: map[string]bool{}}
	for kind, h := range handlers {
		r.handlers[kind] = h.withDefaults()
	}
	return r
}

// Run works until ctx ends, then waits for the jobs under way. Their context ends with
// ctx, so they return soon, and are due again at the next start.
func (r *Runner) Run(ctx context.Context) error {
	defer r.wg.Wait()
	from := r.db.DurableLSN() // what is enqueued after the first look is not missed
	r.wg.Go(func() { r.listen(ctx, from) })
	for ctx.Err() == nil {
		wait, err := r.claim(ctx)
		if err != nil && ctx.Err() == nil {
			r.log.Error("claiming jobs", "err", err)
		}
		timer := time.NewTimer(wait)
		select {
		case <-r.wake:
		case <-timer.C:
		case <-ctx.Done():
		}
		timer.Stop()
	}
	return nil
}

// listen wakes the runner when a commit touched the queue. If the feed fails, the
// runner still looks every maxWait.
func (r *Runner) listen(ctx context.Context, from store.LSN) {
	for c, err := range r.db.Feed(ctx, from) {
		if err != nil {
			if ctx.Err() == nil {
				r.log.Error("following the job queue", "err", err)
			}
			return
		}
		if store.JobsChangedIn(c.Keys) {
			r.nudge()
		}
	}
}

func (r *Runner) nudge() {
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// maxWait bounds the pause between two looks at the queue, and is the pause after one
// that failed.
const maxWait = 10 * time.Second

// clockSlack is by how much the clock may be set back without notice: that much later a
// job may run.
const clockSlack = time.Second

// survey looks at the queue as a whole: at the start, when the clock has been set back
// since the last look, and for kinds without a handler now and then.
func (r *Runner) survey(ctx context.Context) error {
	now, err := r.now(ctx)
	if err != nil {
		return err
	}
	if r.clock.IsZero() || now.Before(r.clock.Add(-clockSlack)) {
		if err := r.advance(ctx); err != nil {
			return err
		}
	}
	r.clock = now
	if away := now.Sub(r.surveyed); away >= 0 && away < maxWait {
		return nil
	}
	r.surveyed = now
	kinds, err := r.Unhandled(ctx)
	for _, kind := range kinds {
		if !r.named[kind] {
			r.log.Warn("nobody does the jobs of a kind; they stay in the queue", "kind", kind)
			r.named[kind] = true
		}
	}
	return err
}

func (r *Runner) now(ctx context.Context) (now time.Time, err error) {
	err = r.db.View(ctx, r.tenant, func(tx *store.ReadTx) error {
		now = tx.Now()
		return nil
	})
	return now, err
}

// advance lets no job wait until a clock that was set back has caught up.
func (r *Runner) advance(ctx context.Context) error {
	for _, kind := range slices.Sorted(maps.Keys(r.handlers)) {
		lease := r.handlers[kind].Lease + leaseGrace
		for after, more := store.Cursor(""), true; more; more = after != "" {
			var next store.Cursor
			_, err := r.db.Update(ctx, r.tenant, store.Op{Class: store.Ephemeral}, func(tx *store.Tx) (err error) {
				next, err = store.AdvanceJobs(tx, kind, lease, after)
				return err
			})
			if err != nil {
				return err
			}
			after = next
		}
	}
	return nil
}

// Unhandled lists the kinds of which jobs wait and which have no handler.
func (r *Runner) Unhandled(ctx context.Context) (kinds []string, err error) {
	err = r.db.View(ctx, r.tenant, func(tx *store.ReadTx) error {
		waiting, err := store.WaitingKinds(tx)
		kinds = slices.DeleteFunc(waiting, func(kind string) bool {
			_, handled := r.handlers[kind]
			return handled
		})
		return err
	})
	return kinds, err
}

// claim starts what is due and returns how long there is nothing to do.
func (r *Runner) claim(ctx context.Context) (time.Duration, error) {
	if err := r.survey(ctx); err != nil {
		return maxWait, err
	}
	claims := r.free()
	due, ok, err := r.next(ctx, claims)
	if err != nil {
		return maxWait, err
	}
	if !ok {
		return maxWait, nil
	}
	if due > 0 {
		return min(due, maxWait), nil
	}
	for _, kinds := range acksApart(claims) {
		if err := r.take(ctx, kinds); err != nil {
			return maxWait, err
		}
	}
	return 0, nil
}

// acksApart divides claims into those that wait for no replica and, after them, the others.
func acksApart(claims []store.Claim) [2][]store.Claim {
	var parts [2][]store.Claim
	for _, c := range claims {
		part := &parts[1]
		if c.NoAck {
			part = &parts[0]
		}
		*part = append(*part, c)
	}
	return parts
}

// take claims jobs and starts them.
func (r *Runner) take(ctx context.Context, claims []store.Claim) error {
	var claimed []store.Job
	_, err := r.db.Update(ctx, r.tenant, store.Op{Class: store.Ephemeral}, func(tx *store.Tx) (err error) {
		claimed, err = store.ClaimJobs(tx, claims)
		return err
	})
	if errors.Is(err, store.ErrNotConfirmed) { // what they act on may yet be lost
		err = errors.Join(err, r.putBack(ctx, claimed))
	}
	if err != nil {
		return err
	}
	for i := range claimed {
		r.start(ctx, &claimed[i])
	}
	return nil
}

// unconfirmedWait is how long jobs rest whose cause no replica has confirmed.
const unconfirmedWait = 10 * time.Second

// putBack gives up claims for a while, without the loss of an attempt.
func (r *Runner) putBack(ctx context.Context, claimed []store.Job) error {
	_, err := r.db.Update(context.WithoutCancel(ctx), r.tenant, store.Op{Class: store.Ephemeral}, func(tx *store.Tx) error {
		for i := range claimed {
			if err := store.PostponeJob(tx, &claimed[i], unconfirmedWait); err != nil {
				return err
			}
		}
		return nil
	})
	return err
}

// next returns in how long the first job of the claimed kinds is due; false when there
// is none.
func (r *Runner) next(ctx context.Context, claims []store.Claim) (due time.Duration, ok bool, err error) {
	kinds := make([]string, len(claims))
	for i, c := range claims {
		kinds[i] = c.Kind
	}
	err = r.db.View(ctx, r.tenant, func(tx *store.ReadTx) error {
		at, found, err := store.NextJob(tx, kinds...)
		due, ok = at.Sub(tx.Now()), found
		return err
	})
	return due, ok, err
}

// free returns a claim for each kind that has room, in the order of their names.
func (r *Runner) free() []store.Claim {
	r.mu.Lock()
	defer r.mu.Unlock()
	var claims []store.Claim
	for _, kind := range slices.Sorted(maps.Keys(r.handlers)) {
		h := r.handlers[kind]
		if n := h.Concurrency - r.busy[kind]; n > 0 {
			claims = append(claims, store.Claim{Kind: kind, Max: n, Lease: h.Lease + leaseGrace, NoAck: h.NoAck})
		}
	}
	return claims
}

func (r *Runner) start(ctx context.Context, j *store.Job) {
	r.occupy(j.Kind, 1)
	r.wg.Go(func() {
		defer r.nudge()
		defer r.occupy(j.Kind, -1)
		r.finish(ctx, j, r.attempt(ctx, j))
	})
}

func (r *Runner) occupy(kind string, n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.busy[kind] += n
}

// attempt runs the handler; a panic is a failure of this job alone.
func (r *Runner) attempt(ctx context.Context, j *store.Job) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
		}
	}()
	h := r.handlers[j.Kind]
	if j.Attempts > h.MaxAttempts {
		return fmt.Errorf("none of %d attempts came to an end", h.MaxAttempts)
	}
	ctx, cancel := context.WithTimeout(ctx, h.Lease)
	defer cancel()
	return h.Run(ctx, j)
}

// finish notes the result, also while stopping.
func (r *Runner) finish(ctx context.Context, j *store.Job, failure error) {
	stopped := failure != nil && ctx.Err() != nil
	_, err := r.db.Update(context.WithoutCancel(ctx), r.tenant, store.Op{Class: store.Ephemeral}, func(tx *store.Tx) error {
		switch {
		case failure == nil:
			return store.FinishJob(tx, j)
		case stopped:
			return store.ReleaseJob(tx, j)
		}
		return store.FailJob(tx, j, failure.Error(), r.handlers[j.Kind].MaxAttempts)
	})
	switch {
	case err != nil:
		r.log.Error("noting a job's result", "job", j.ID, "kind", j.Kind, "failure", failure, "err", err)
	case stopped:
		r.log.Info("a job was broken off and is due at the next start", "job", j.ID, "kind", j.Kind)
	case failure != nil:
		r.log.Warn("a job failed", "job", j.ID, "kind", j.Kind, "attempt", j.Attempts, "err", failure)
	}
}
