package jobs_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/souk-market/souk/internal/jobs"
	"github.com/souk-market/souk/internal/market"
	"github.com/souk-market/souk/store"
	"github.com/souk-market/souk/store/storetest"
)

// bench is a job queue on a clock that runs as fast as nobody works: all of this happens
// in a bubble of synctest, on a real store that misbehaves within its contract.
type bench struct {
	*testing.T
	db  *store.DB
	log output
}

// output is a log that may be read while it is written.
type output struct {
	mu   sync.Mutex
	text strings.Builder
}

func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(b)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

func test(t *testing.T, fn func(b *bench)) {
	synctest.Test(t, func(t *testing.T) { fn(&bench{T: t, db: storetest.Open(t)}) })
}

// run starts a runner and returns what stops it and waits for it.
func (b *bench) run(handlers map[string]jobs.Handler) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	r := jobs.New(b.db, market.MainTenant, handlers, slog.New(slog.NewTextHandler(&b.log, nil)))
	go func() { done <- r.Run(ctx) }()
	return func() {
		b.Helper()
		cancel()
		if err := <-done; err != nil {
			b.Errorf("the runner ended with %v", err)
		}
	}
}

func (b *bench) update(fn func(tx *store.Tx) error) {
	b.Helper()
	if _, err := b.db.Update(context.Background(), market.MainTenant, store.Op{}, fn); err != nil {
		b.Fatal(err)
	}
}

func (b *bench) enqueue(kind string, payload any) {
	b.Helper()
	b.update(func(tx *store.Tx) error { return store.Enqueue(tx, kind, payload) })
}

func (b *bench) want(queued, running, dead int) {
	b.Helper()
	err := b.db.View(context.Background(), market.MainTenant, func(tx *store.ReadTx) error {
		got, err := store.JobCounts(tx)
		if got[store.JobQueued] != queued || got[store.JobRunning] != running || got[store.JobDead] != dead {
			b.Errorf("the counts are %v, want %d queued, %d running, %d dead", got, queued, running, dead)
		}
		return err
	})
	if err != nil {
		b.Error(err)
	}
}

func (b *bench) dead() (jobs []store.Job) {
	b.Helper()
	err := b.db.View(context.Background(), market.MainTenant, func(tx *store.ReadTx) (err error) {
		jobs, err = store.DeadJobs(tx, 100)
		return err
	})
	if err != nil {
		b.Fatal(err)
	}
	return jobs
}

// record notes what was run, from any goroutine.
type record struct {
	mu   sync.Mutex
	runs []run
}

type run struct {
	payload string
	at      time.Time
	attempt int
}

func (r *record) note(j *store.Job) {
	r.mu.Lock()
	defer r.mu.Unlock()
	var payload string
	if err := j.Decode(&payload); err != nil {
		panic(err)
	}
	r.runs = append(r.runs, run{payload, time.Now(), j.Attempts})
}

func (r *record) all() []run {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.runs)
}

func (r *record) handler(err error) jobs.Handler {
	return jobs.Handler{Run: func(_ context.Context, j *store.Job) error { r.note(j); return err }}
}

func TestJobsRunOnceTheyAreCommitted(t *testing.T) {
	test(t, func(b *bench) {
		var done record
		b.enqueue("mail", "before the start")
		defer b.run(map[string]jobs.Handler{"mail": done.handler(nil)})()
		start := time.Now()
		for i := range 20 {
			b.enqueue("mail", fmt.Sprint(i))
		}
		boom := errors.New("boom")
		_, err := b.db.Update(context.Background(), market.MainTenant, store.Op{}, func(tx *store.Tx) error {
			return errors.Join(store.Enqueue(tx, "mail", "of a failed transaction"), boom)
		})
		if !errors.Is(err, boom) {
			b.Error(err)
		}
		b.enqueue("nobody's", "stays")
		time.Sleep(time.Second)
		seen := map[string]int{}
		for _, r := range done.all() {
			seen[r.payload]++
			// Not at the next look: a commit wakes the runner.
			if late := r.at.Sub(start); late > 500*time.Millisecond {
				b.Errorf("%s ran after %v", r.payload, late)
			}
		}
		if len(seen) != 21 || len(done.all()) != 21 || seen["of a failed transaction"] > 0 {
			b.Errorf("%d runs of %d jobs: %v", len(done.all()), len(seen), seen)
		}
		b.want(1, 0, 0)
	})
}

func TestJobWaitsUntilItIsDue(t *testing.T) {
	test(t, func(b *bench) {
		var done record
		defer b.run(map[string]jobs.Handler{"mail": done.handler(nil)})()
		start := time.Now()
		for _, after := range []time.Duration{3 * time.Second, 25 * time.Second, 90 * time.Minute} {
			b.update(func(tx *store.Tx) error { return store.EnqueueAt(tx, start.Add(after), "mail", after.String()) })
		}
		time.Sleep(2 * time.Hour)
		if len(done.all()) != 3 {
			b.Fatalf("ran: %v", done.all())
		}
		for _, r := range done.all() {
			want, err := time.ParseDuration(r.payload)
			if late := r.at.Sub(start) - want; err != nil || late < 0 || late > 50*time.Millisecond {
				b.Errorf("the job due after %v ran %v late", want, late)
			}
		}
	})
}

func TestFailureBacksOffAndDies(t *testing.T) {
	test(t, func(b *bench) {
		var failed record
		h := failed.handler(errors.New("the server said no"))
		h.MaxAttempts = 5
		defer b.run(map[string]jobs.Handler{"mail": h})()
		b.enqueue("mail", "x")
		time.Sleep(time.Hour)
		if len(failed.all()) != 5 {
			b.Fatalf("%d attempts, want 5", len(failed.all()))
		}
		for i, r := range failed.all() {
			if r.attempt != i+1 {
				b.Errorf("attempt %d counts as %d", i+1, r.attempt)
			}
			if i == 0 {
				continue
			}
			pause, least := r.at.Sub(failed.all()[i-1].at), time.Second<<i
			if pause < least || pause > least+least/4+100*time.Millisecond {
				b.Errorf("before attempt %d: %v, want %v and up to a quarter more", i+1, pause, least)
			}
		}
		b.want(0, 0, 1)
		if dead := b.dead(); len(dead) != 1 || dead[0].LastErr != "the server said no" {
			b.Errorf("the dead are %+v", dead)
		}
		b.update(func(tx *store.Tx) error { return store.RetryJob(tx, b.dead()[0].ID) })
		time.Sleep(time.Second)
		if len(failed.all()) != 6 {
			b.Errorf("%d attempts after a retry, want 6", len(failed.all()))
		}
	})
}

func TestPanicFailsOneJobOnly(t *testing.T) {
	test(t, func(b *bench) {
		var done record
		defer b.run(map[string]jobs.Handler{
			"bad":  {MaxAttempts: 1, Run: func(context.Context, *store.Job) error { panic("out of \xff bounds") }},
			"good": done.handler(nil),
		})()
		b.enqueue("bad", "x")
		b.enqueue("good", "y")
		time.Sleep(time.Second)
		b.want(0, 0, 1)
		if dead := b.dead(); len(dead) != 1 || !strings.HasPrefix(dead[0].LastErr, "panic: out of") || len(done.all()) != 1 {
			b.Errorf("the dead are %+v; the others ran %d times", dead, len(done.all()))
		}
	})
}

func TestEachKindHasItsShare(t *testing.T) {
	test(t, func(b *bench) {
		var mu sync.Mutex
		busy, most := 0, 0
		var fast record
		slow := jobs.Handler{Concurrency: 3, Run: func(context.Context, *store.Job) error {
			mu.Lock()
			busy++
			most = max(most, busy)
			mu.Unlock()
			time.Sleep(10 * time.Second)
			mu.Lock()
			busy--
			mu.Unlock()
			return nil
		}}
		start := time.Now()
		for range 9 {
			b.enqueue("slow", "x")
		}
		defer b.run(map[string]jobs.Handler{"slow": slow, "fast": fast.handler(nil)})()
		time.Sleep(time.Second)
		b.want(6, 3, 0)
		// What waits of the busy kind hides neither a job that is due now nor a later one.
		b.enqueue("fast", "now")
		later := time.Now().Add(3 * time.Second)
		b.update(func(tx *store.Tx) error { return store.EnqueueAt(tx, later, "fast", "later") })
		time.Sleep(4 * time.Second)
		if len(fast.all()) != 2 || fast.all()[1].at.Sub(later) > 50*time.Millisecond {
			b.Errorf("the other kind ran %v", fast.all())
		}
		time.Sleep(time.Until(start.Add(31 * time.Second)))
		b.want(0, 0, 0) // three by three, without a pause
		mu.Lock()
		defer mu.Unlock()
		if most != 3 {
			b.Errorf("%d ran at once, want 3", most)
		}
	})
}

func TestAttemptEndsWithItsLease(t *testing.T) {
	test(t, func(b *bench) {
		ended := make(chan time.Duration, 1)
		defer b.run(map[string]jobs.Handler{"slow": {Lease: 20 * time.Second, MaxAttempts: 1, Concurrency: 2, Run: func(ctx context.Context, _ *store.Job) error {
			start := time.Now()
			<-ctx.Done()
			ended <- time.Since(start)
			time.Sleep(5 * time.Second) // tidying up
			return ctx.Err()
		}}})()
		b.enqueue("slow", "x")
		time.Sleep(time.Minute)
		if got := <-ended; got != 20*time.Second {
			b.Errorf("the attempt ended after %v, want 20s", got)
		}
		// The claim was held long enough for the note of it.
		b.want(0, 0, 1)
		if dead := b.dead(); len(dead) != 1 || dead[0].Attempts != 1 || !strings.Contains(dead[0].LastErr, "deadline") {
			b.Errorf("the dead are %+v", dead)
		}
	})
}

// TestLostLeaseIsNotFinished: a handler that doesn't care for its context is overtaken.
// The job runs again, and the late answer is dropped.
func TestLostLeaseIsNotFinished(t *testing.T) {
	test(t, func(b *bench) {
		var runs record
		defer b.run(map[string]jobs.Handler{"stuck": {Lease: 10 * time.Second, Concurrency: 2, Run: func(_ context.Context, j *store.Job) error {
			runs.note(j)
			if j.Attempts == 1 {
				time.Sleep(time.Hour)
				return errors.New("late failure")
			}
			return nil
		}}})()
		b.enqueue("stuck", "x")
		time.Sleep(30 * time.Minute)
		b.want(0, 0, 0) // the second run is done
		time.Sleep(time.Hour)
		b.want(0, 0, 0) // and the first one has changed nothing
		if len(runs.all()) != 2 {
			b.Errorf("ran %v", runs.all())
		}
		if log := b.log.String(); !strings.Contains(log, "taken over by another run") || !strings.Contains(log, "late failure") {
			b.Errorf("the log doesn't tell: %s", log)
		}
	})
}

func TestStoppedJobIsDueAtTheNextStart(t *testing.T) {
	test(t, func(b *bench) {
		begun := make(chan bool, 1)
		stop := b.run(map[string]jobs.Handler{"mail": {Run: func(ctx context.Context, _ *store.Job) error {
			begun <- true
			<-ctx.Done()
			return ctx.Err()
		}}})
		b.enqueue("mail", "x")
		<-begun
		b.want(0, 1, 0)
		stop() // waits for the job under way
		b.want(1, 0, 0)
		var done record
		restarted := time.Now()
		defer b.run(map[string]jobs.Handler{"mail": done.handler(nil)})()
		time.Sleep(time.Second)
		if len(done.all()) != 1 || done.all()[0].attempt != 1 || done.all()[0].at.Sub(restarted) > 50*time.Millisecond {
			b.Errorf("after the next start: %+v", done.all())
		}
		b.want(0, 0, 0)
	})
}

func TestJobThatIsDoneWhileStoppingIsDone(t *testing.T) {
	test(t, func(b *bench) {
		begun := make(chan bool, 1)
		stop := b.run(map[string]jobs.Handler{"mail": {Run: func(ctx context.Context, _ *store.Job) error {
			begun <- true
			<-ctx.Done()
			time.Sleep(time.Second) // the mail has left already
			return nil
		}}})
		b.enqueue("mail", "x")
		<-begun
		stop()
		b.want(0, 0, 0)
	})
}

// TestJobThatKillsTheProcessDies: nobody notes its failures; its claims tell.
func TestJobThatKillsTheProcessDies(t *testing.T) {
	test(t, func(b *bench) {
		b.enqueue("deadly", "x")
		const attempts = 3
		for range attempts { // lives of a process that ends inside the handler
			b.update(func(tx *store.Tx) error {
				claimed, err := store.ClaimJobs(tx, []store.Claim{{Kind: "deadly", Max: 1, Lease: time.Minute}})
				if len(claimed) != 1 {
					b.Errorf("%d claimed", len(claimed))
				}
				return err
			})
			time.Sleep(time.Minute)
		}
		var ran record
		h := ran.handler(nil)
		h.MaxAttempts = attempts
		defer b.run(map[string]jobs.Handler{"deadly": h})()
		time.Sleep(time.Minute)
		b.want(0, 0, 1)
		if len(ran.all()) != 0 {
			b.Errorf("it ran again: %v", ran.all())
		}
		if dead := b.dead(); len(dead) != 1 || !strings.Contains(dead[0].LastErr, "none of 3 attempts") {
			b.Errorf("the dead are %+v", dead)
		}
	})
}

// TestCrashAfterTheEffectRepeatsIt: a crash after the effect and before the note of it
// repeats the job, so both runs see the same job.
func TestCrashAfterTheEffectRepeatsIt(t *testing.T) {
	test(t, func(b *bench) {
		b.enqueue("mail", "x")
		var claimed []store.Job
		b.update(func(tx *store.Tx) (err error) {
			claimed, err = store.ClaimJobs(tx, []store.Claim{{Kind: "mail", Max: 1, Lease: time.Minute}})
			return err
		})
		// The effect happened, and the machine is gone.
		var done record
		start := time.Now()
		defer b.run(map[string]jobs.Handler{"mail": done.handler(nil)})()
		time.Sleep(2 * time.Minute)
		if len(done.all()) != 1 || done.all()[0].attempt != 2 || done.all()[0].at.Sub(start) < time.Minute || done.all()[0].at.Sub(start) > time.Minute+time.Second {
			b.Errorf("ran %+v, want once, a minute later", done.all())
		}
		if _, err := b.db.Update(context.Background(), market.MainTenant, store.Op{}, func(tx *store.Tx) error { return store.FinishJob(tx, &claimed[0]) }); !market.Is(err, market.Conflict) {
			b.Errorf("a late finish: %v", err)
		}
	})
}

// TestJobsWaitForTheReplica: while no replica confirms what jobs act on, none runs and none
// loses an attempt; those that act on no money run at once.
func TestJobsWaitForTheReplica(t *testing.T) {
	test(t, func(b *bench) {
		var away atomic.Bool
		away.Store(true)
		b.db.RequireAck(func(context.Context, store.LSN) error {
			if away.Load() {
				return errors.New("the bucket is away")
			}
			return nil
		})
		// Whether it is confirmed or not, it is there.
		_, err := b.db.Update(context.Background(), market.MainTenant, store.Op{}, func(tx *store.Tx) error {
			return errors.Join(store.Orders.Insert(tx, &market.Order{ID: "ord_1", Checkout: "chk_1"}), store.Enqueue(tx, "mail", "x"))
		})
		if !errors.Is(err, store.ErrNotConfirmed) {
			b.Errorf("the order: %v", err)
		}
		var ran record
		h := ran.handler(nil)
		h.MaxAttempts = 3
		var alerts record
		alert := alerts.handler(nil)
		alert.NoAck = true
		defer b.run(map[string]jobs.Handler{"mail": h, "warning": alert})()
		time.Sleep(time.Minute)
		start := time.Now()
		b.enqueue("warning", "the bucket is away")
		time.Sleep(time.Hour)
		b.want(1, 0, 0)
		if all := alerts.all(); len(all) != 1 || all[0].at.Sub(start) > time.Second {
			b.Errorf("the alert ran %+v, want at once", all)
		}
		away.Store(false)
		time.Sleep(time.Hour)
		b.want(0, 0, 0)
		if all := ran.all(); len(all) != 1 || all[0].attempt != 1 {
			b.Errorf("it ran %+v, want once, as the first attempt", all)
		}
		b.update(func(tx *store.Tx) error { return store.Orders.Delete(tx, "ord_1") }) // which no checkout names
	})
}

func TestClosedStoreDoesNotStopTheRunnerFromStopping(t *testing.T) {
	test(t, func(b *bench) {
		stop := b.run(map[string]jobs.Handler{"mail": {Run: func(context.Context, *store.Job) error { return nil }}})
		time.Sleep(time.Second)
		if err := b.db.Close(); err != nil {
			b.Error(err)
		}
		time.Sleep(time.Minute)
		stop()
		if n := strings.Count(b.log.String(), "\n"); n > 10 {
			b.Errorf("a closed store was complained about %d times in a minute", n)
		}
	})
}

func TestKindsThatNobodyDoesAreNamed(t *testing.T) {
	test(t, func(b *bench) {
		var done record
		r := jobs.New(b.db, market.MainTenant, map[string]jobs.Handler{"mail": done.handler(nil)}, slog.New(slog.DiscardHandler))
		b.enqueue("mail", "x")
		b.enqueue("nobodys.first", "x")
		b.enqueue("nobodys.second", "x")
		b.enqueue("nobodys.second", "x")
		if got, err := r.Unhandled(context.Background()); err != nil || !slices.Equal(got, []string{"nobodys.first", "nobodys.second"}) {
			b.Errorf("nobody does %v (%v)", got, err)
		}
		defer b.run(map[string]jobs.Handler{"mail": done.handler(nil)})()
		time.Sleep(time.Hour)
		if n := strings.Count(b.log.String(), "kind=nobodys.second"); n != 1 {
			b.Errorf("named %d times in an hour, want once\n%s", n, b.log.String())
		}
		b.enqueue("nobodys.third", "x")
		time.Sleep(time.Minute)
		if !strings.Contains(b.log.String(), "kind=nobodys.third") {
			b.Errorf("a later one isn't named\n%s", b.log.String())
		}
		b.want(4, 0, 0)
	})
}
