// Package jobs runs what transactions want done outside: it claims due jobs of the
// store's queue and hands them to their kind's handler.
//
// It promises that a job runs at least once after its transaction is durable, that a
// failure is tried again with back-off and kept among the dead after the last attempt,
// and that no kind takes more than its share. A handler's effect must be idempotent: a
// crash after the effect and before the note of it repeats the job.
package jobs

import (
	"context"
	"fmt"
	"log/slog"
	"runtime/debug"
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
}

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
}

// New returns a Runner; handlers are by kind of job.
func New(db *store.DB, tenant market.TenantID, handlers map[string]Handler, log *slog.Logger) *Runner {
	r := &Runner{db: db, tenant: tenant, handlers: map[string]Handler{}, log: log, busy: map[string]int{}, wake: make(chan struct{}, 1)}
	for kind, h := range handlers {
		r.handlers[kind] = h.withDefaults()
	}
	return r
}

// Run works until ctx ends, then waits for the jobs under way. Their context ends with
// ctx, so they fail soon and are tried again after the next start.
func (r *Runner) Run(ctx context.Context) error {
	defer r.wg.Wait()
	r.wg.Go(func() { r.listen(ctx) })
	for ctx.Err() == nil {
		wait, err := r.claim(ctx)
		if err != nil && ctx.Err() == nil {
			r.log.Error("claiming jobs", "err", err)
		}
		select {
		case <-r.wake:
		case <-time.After(wait):
		case <-ctx.Done():
		}
	}
	return nil
}

// listen wakes the runner when a commit touched the queue.
func (r *Runner) listen(ctx context.Context) {
	for c, err := range r.db.Feed(ctx, r.db.DurableLSN()) {
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

// maxWait bounds the pause between two looks at the queue.
const maxWait = 10 * time.Second

// claim starts what is due and returns how long there is nothing to do.
func (r *Runner) claim(ctx context.Context) (time.Duration, error) {
	free, lease := r.free()
	if len(free) == 0 {
		return maxWait, nil
	}
	var claimed []store.Job
	wait := maxWait
	due := false
	err := r.db.View(ctx, r.tenant, func(tx *store.ReadTx) error {
		at, ok, err := store.NextJob(tx)
		if ok {
			wait = min(max(at.Sub(tx.Now()), 0), maxWait)
			due = wait == 0
		}
		return err
	})
	if err != nil || !due {
		return wait, err
	}
	_, err = r.db.Update(ctx, r.tenant, store.Op{Class: store.Ephemeral}, func(tx *store.Tx) (err error) {
		claimed, err = store.ClaimJobs(tx, free, lease)
		return err
	})
	if err != nil {
		return time.Second, err
	}
	for i := range claimed {
		r.start(ctx, &claimed[i])
	}
	if len(claimed) == 0 {
		return maxWait, nil // due jobs of kinds that are busy or have no handler here
	}
	return 0, nil
}

// free returns how many jobs of each kind may start, and the longest lease among them.
func (r *Runner) free() (free map[string]int, lease time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	free = map[string]int{}
	for kind, h := range r.handlers {
		if n := h.Concurrency - r.busy[kind]; n > 0 {
			free[kind] = n
			lease = max(lease, h.Lease)
		}
	}
	return free, lease
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
	ctx, cancel := context.WithTimeout(ctx, h.Lease)
	defer cancel()
	return h.Run(ctx, j)
}

// finish notes the result, also while stopping.
func (r *Runner) finish(ctx context.Context, j *store.Job, failure error) {
	_, err := r.db.Update(context.WithoutCancel(ctx), r.tenant, store.Op{Class: store.Ephemeral}, func(tx *store.Tx) error {
		if failure == nil {
			return store.FinishJob(tx, j)
		}
		return store.FailJob(tx, j, failure.Error(), r.handlers[j.Kind].MaxAttempts)
	})
	switch {
	case err != nil:
		r.log.Error("noting a job's result", "job", j.ID, "kind", j.Kind, "err", err)
	case failure != nil:
		r.log.Warn("a job failed", "job", j.ID, "kind", j.Kind, "attempt", j.Attempts, "err", failure)
	}
}
