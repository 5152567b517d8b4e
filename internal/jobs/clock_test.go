package jobs_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/souk-market/souk/internal/jobs"
	"github.com/souk-market/souk/store"
	"github.com/souk-market/souk/store/storetest"
)

// skewed is a bench whose database has a clock that can be set.
type skewed struct {
	*bench
	back atomic.Int64 // nanoseconds that the clock is behind
}

func testSkewed(t *testing.T, fn func(b *skewed)) {
	synctest.Test(t, func(t *testing.T) {
		b := &skewed{bench: &bench{T: t}}
		b.db = storetest.OpenWith(t, store.Options{Faults: store.NewFaults(1), Clock: func() time.Time {
			return time.Now().Add(-time.Duration(b.back.Load()))
		}})
		fn(b)
	})
}

const years = 10 * 365 * 24 * time.Hour

func TestClockSetBackStopsNothing(t *testing.T) {
	for name, back := range map[string]time.Duration{"an hour": time.Hour, "ten years": years} {
		t.Run(name, func(t *testing.T) {
			testSkewed(t, func(b *skewed) {
				var failing, quick, slow record
				first := failing.handler(errors.New("no"))
				first.MaxAttempts = 3
				defer b.run(map[string]jobs.Handler{
					"failing": first,
					"quick":   quick.handler(nil),
					"slow": {Run: func(_ context.Context, j *store.Job) error {
						slow.note(j)
						time.Sleep(50 * time.Second)
						return nil
					}},
				})()
				start := time.Now()
				b.enqueue("failing", "x")
				b.enqueue("slow", "x")
				b.update(func(tx *store.Tx) error {
					return store.EnqueueAt(tx, tx.Now().Add(2*time.Hour), "quick", "in two hours")
				})
				time.Sleep(time.Second)
				b.back.Store(int64(back))
				b.enqueue("quick", "at once")
				time.Sleep(time.Minute)
				if len(failing.all()) != 3 {
					t.Errorf("the failing job was tried %d times in a minute", len(failing.all()))
				}
				if len(slow.all()) != 1 {
					t.Errorf("the job under way ran %d times", len(slow.all()))
				}
				b.want(1, 0, 1)
				time.Sleep(3 * time.Hour)
				if runs := quick.all(); len(runs) != 2 || runs[0].payload != "at once" || runs[1].at.Sub(start) < 2*time.Hour || runs[1].at.Sub(start) > 2*time.Hour+time.Minute {
					t.Errorf("the others ran %+v", runs)
				}
			})
		})
	}
}

// TestClockThatWasAheadUntilTheRestart: jobs of the time before, in every state.
func TestClockThatWasAheadUntilTheRestart(t *testing.T) {
	testSkewed(t, func(b *skewed) {
		begun := make(chan bool, 1)
		stop := b.run(map[string]jobs.Handler{"mail": {Run: func(ctx context.Context, _ *store.Job) error {
			begun <- true
			<-ctx.Done()
			return ctx.Err()
		}}})
		b.enqueue("mail", "released")
		<-begun
		stop()
		for range 250 {
			b.enqueue("mail", "waiting")
		}
		b.enqueue("orphan", "claimed by a process that is gone")
		b.update(func(tx *store.Tx) error {
			_, err := store.ClaimJobs(tx, []store.Claim{{Kind: "orphan", Max: 1, Lease: time.Minute}})
			return err
		})
		b.back.Store(int64(years))
		var done record
		h := done.handler(nil)
		h.Concurrency = 50
		defer b.run(map[string]jobs.Handler{"mail": h, "orphan": done.handler(nil)})()
		time.Sleep(10 * time.Second)
		if len(done.all()) != 251 {
			t.Errorf("%d of 251 jobs ran", len(done.all()))
		}
		time.Sleep(2 * time.Minute)
		if runs := done.all(); len(runs) != 252 || runs[251].attempt != 2 {
			t.Errorf("%d of 252 jobs ran, the last %+v", len(runs), runs[len(runs)-1])
		}
		b.want(0, 0, 0)
	})
}

func TestScheduledJobSurvivesRestarts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk := storetest.NewDisk()
		var done record
		due := time.Now().Add(3 * time.Hour)
		for life := range 4 {
			b := &bench{T: t, db: disk.Open(t, time.Now)}
			stop := b.run(map[string]jobs.Handler{"mail": done.handler(nil)})
			if life == 0 {
				b.update(func(tx *store.Tx) error { return store.EnqueueAt(tx, due, "mail", "x") })
			}
			time.Sleep(65 * time.Minute)
			stop()
			if err := b.db.Close(); err != nil {
				t.Fatal(err)
			}
		}
		if runs := done.all(); len(runs) != 1 || runs[0].at.Before(due) || runs[0].at.Sub(due) > 50*time.Millisecond {
			t.Errorf("ran %+v, want once at %v", runs, due)
		}
	})
}
