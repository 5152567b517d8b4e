package store

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/souk-market/souk/internal/market"
)

// queue is a database with a job queue, on a clock that the test sets.
type queue struct {
	*testing.T
	db *DB
	clock
}

func newQueue(t *testing.T) *queue {
	q := &queue{T: t, clock: *newClock()}
	q.db = openTest(t, Options{Clock: q.Now, Faults: NewFaults(3)})
	return q
}

func (q *queue) do(fn func(tx *Tx) error) {
	q.Helper()
	update(q.T, q.db, Op{}, fn)
}

func (q *queue) enqueue(kind string, due time.Time, payload string) {
	q.Helper()
	q.do(func(tx *Tx) error { return EnqueueAt(tx, due, kind, payload) })
}

// claim takes up to n jobs of a kind for a minute.
func (q *queue) claim(kind string, n int) (jobs []Job) {
	q.Helper()
	q.do(func(tx *Tx) (err error) {
		jobs, err = ClaimJobs(tx, []Claim{{Kind: kind, Max: n, Lease: time.Minute}})
		return err
	})
	return jobs
}

func (q *queue) claimOne(kind string) *Job {
	q.Helper()
	jobs := q.claim(kind, 1)
	if len(jobs) != 1 {
		q.Fatalf("%d jobs of kind %s claimed, want 1", len(jobs), kind)
	}
	return &jobs[0]
}

func (q *queue) fail(j *Job, cause string, maxAttempts int) {
	q.Helper()
	q.do(func(tx *Tx) error { return FailJob(tx, j, cause, maxAttempts) })
}

func (q *queue) wantCounts(queued, running, dead int) {
	q.Helper()
	q.view(func(tx *ReadTx) error {
		got, err := JobCounts(tx)
		if err != nil || got[JobQueued] != queued || got[JobRunning] != running || got[JobDead] != dead {
			q.Errorf("the counts are %v (%v), want %d queued, %d running, %d dead", got, err, queued, running, dead)
		}
		return nil
	})
}

func (q *queue) view(fn func(tx *ReadTx) error) {
	q.Helper()
	if err := q.db.View(q.Context(), tenant, fn); err != nil {
		q.Fatal(err)
	}
}

func (q *queue) wantNext(want time.Time, kinds ...string) {
	q.Helper()
	q.view(func(tx *ReadTx) error {
		got, ok, err := NextJob(tx, kinds...)
		if err != nil || ok != !want.IsZero() || !got.Equal(want) {
			q.Errorf("the next of %v is due %v (%t, %v), want %v", kinds, got, ok, err, want)
		}
		return nil
	})
}

func TestJobsAreClaimedWhenDueTheLongestDueFirst(t *testing.T) {
	q := newQueue(t)
	start := q.now
	for i, due := range []time.Duration{3, 1, 2, 60, -5} {
		q.enqueue("mail", start.Add(due*time.Second), fmt.Sprint(i))
	}
	q.enqueue("other", start.Add(-time.Hour), "x")
	q.wantNext(start.Add(-5*time.Second), "mail")
	q.wantNext(start.Add(-time.Hour), "mail", "other")
	q.wantNext(time.Time{}, "unknown")
	q.wantNext(time.Time{})
	q.now = start.Add(3 * time.Second)
	var got []string
	for _, n := range []int{2, 10} {
		for _, j := range q.claim("mail", n) {
			var payload string
			if err := j.Decode(&payload); err != nil {
				t.Fatal(err)
			}
			got = append(got, payload)
			if j.State != JobRunning || j.Attempts != 1 || j.Lease != 1 || !j.Due.Equal(q.now.Add(time.Minute)) {
				t.Errorf("claimed: %+v", j)
			}
		}
	}
	if want := []string{"4", "1", "2", "0"}; !slices.Equal(got, want) {
		t.Errorf("claimed in the order %v, want %v", got, want)
	}
	q.wantCounts(2, 4, 0)
	q.wantNext(start.Add(time.Minute), "mail")
	if jobs := q.claim("mail", 0); len(jobs) != 0 {
		t.Errorf("a claim of none got %d", len(jobs))
	}
}

func TestFinishedJobIsGone(t *testing.T) {
	q := newQueue(t)
	q.enqueue("mail", q.now, "x")
	j := q.claimOne("mail")
	q.do(func(tx *Tx) error { return FinishJob(tx, j) })
	q.wantCounts(0, 0, 0)
	for name, again := range map[string]func(tx *Tx) error{
		"finish":  func(tx *Tx) error { return FinishJob(tx, j) },
		"fail":    func(tx *Tx) error { return FailJob(tx, j, "late", 3) },
		"release": func(tx *Tx) error { return ReleaseJob(tx, j) },
	} {
		if _, err := q.db.Update(t.Context(), tenant, Op{}, again); !market.Is(err, market.Conflict) {
			t.Errorf("%s after the end: %v, want a conflict", name, err)
		}
	}
}

func TestLateFinishIsRefused(t *testing.T) {
	q := newQueue(t)
	q.enqueue("mail", q.now, "x")
	late := q.claimOne("mail")
	if jobs := q.claim("mail", 1); len(jobs) != 0 {
		t.Errorf("a job under way was claimed again: %+v", jobs)
	}
	q.now = q.now.Add(time.Minute)
	now := q.claimOne("mail") // the lease has run out
	if now.ID != late.ID || now.Attempts != 2 || now.Lease != 2 {
		t.Errorf("taken over: %+v", now)
	}
	for name, finish := range map[string]func(tx *Tx) error{
		"finish":  func(tx *Tx) error { return FinishJob(tx, late) },
		"fail":    func(tx *Tx) error { return FailJob(tx, late, "late", 3) },
		"release": func(tx *Tx) error { return ReleaseJob(tx, late) },
	} {
		if _, err := q.db.Update(t.Context(), tenant, Op{}, finish); !market.Is(err, market.Conflict) {
			t.Errorf("a late %s: %v, want a conflict", name, err)
		}
	}
	q.wantCounts(0, 1, 0)
	q.do(func(tx *Tx) error { return FinishJob(tx, now) })
	q.wantCounts(0, 0, 0)
}

func TestFailedJobComesBackUntilItIsDead(t *testing.T) {
	q := newQueue(t)
	q.enqueue("mail", q.now, "x")
	const attempts = 4
	for n := 1; n <= attempts; n++ {
		j := q.claimOne("mail")
		if j.Attempts != n {
			t.Errorf("attempt %d counts as %d", n, j.Attempts)
		}
		q.fail(j, fmt.Sprint("failure ", n), attempts)
		if n == attempts {
			break
		}
		q.wantCounts(1, 0, 0)
		if jobs := q.claim("mail", 1); len(jobs) != 0 {
			t.Errorf("attempt %d is repeated without a pause", n)
		}
		pause := 2 * time.Second << (n - 1)
		q.now = q.now.Add(pause - time.Millisecond)
		if jobs := q.claim("mail", 1); len(jobs) != 0 {
			t.Errorf("attempt %d is repeated before %v", n, pause)
		}
		q.now = q.now.Add(pause/4 + time.Millisecond)
	}
	q.wantCounts(0, 0, 1)
	q.wantNext(time.Time{}, "mail") // the dead are not due
	q.now = q.now.Add(1000 * time.Hour)
	if jobs := q.claim("mail", 1); len(jobs) != 0 {
		t.Errorf("a dead job was claimed: %+v", jobs)
	}
	var dead []Job
	q.view(func(tx *ReadTx) (err error) { dead, err = DeadJobs(tx, 10); return err })
	if len(dead) != 1 || dead[0].LastErr != "failure 4" || dead[0].Kind != "mail" {
		t.Fatalf("the dead are %+v", dead)
	}
	retry := func(tx *Tx) error { return RetryJob(tx, dead[0].ID) }
	q.do(retry)
	if _, err := q.db.Update(t.Context(), tenant, Op{}, retry); !market.Is(err, market.Conflict) {
		t.Errorf("retrying a job that isn't dead: %v, want a conflict", err)
	}
	if _, err := q.db.Update(t.Context(), tenant, Op{}, func(tx *Tx) error { return RetryJob(tx, "job_none") }); !market.Is(err, market.NotFound) {
		t.Errorf("retrying no job: %v, want not found", err)
	}
	if j := q.claimOne("mail"); j.Attempts != 1 || j.Lease != attempts+1 {
		t.Errorf("retried: %+v", j)
	}
}

func TestReleasedJobIsDueAtOnceAndHasNotFailed(t *testing.T) {
	q := newQueue(t)
	q.enqueue("mail", q.now, "x")
	for range 5 {
		j := q.claimOne("mail")
		if j.Attempts != 1 {
			t.Errorf("the attempt counts as %d", j.Attempts)
		}
		q.do(func(tx *Tx) error { return ReleaseJob(tx, j) })
	}
	q.wantCounts(1, 0, 0)
}

func TestKindsOfJobsDontWaitForEachOther(t *testing.T) {
	q := newQueue(t)
	for i := range 150 {
		q.enqueue("slow", q.now.Add(-time.Hour), fmt.Sprint(i))
	}
	q.enqueue("fast", q.now, "x")
	if jobs := q.claim("fast", 5); len(jobs) != 1 {
		t.Errorf("%d jobs of the other kind claimed, want 1", len(jobs))
	}
	// One claim is bounded, whatever is asked for, and its kinds have their own leases.
	var jobs []Job
	q.do(func(tx *Tx) (err error) {
		jobs, err = ClaimJobs(tx, []Claim{{Kind: "slow", Max: 60, Lease: time.Second}, {Kind: "slow", Max: 1000, Lease: time.Hour}})
		return err
	})
	if len(jobs) != maxClaim || !jobs[0].Due.Equal(q.now.Add(time.Second)) || !jobs[60].Due.Equal(q.now.Add(time.Hour)) {
		t.Errorf("%d jobs claimed, until %v and %v", len(jobs), jobs[0].Due, jobs[60].Due)
	}
	q.wantCounts(50, 101, 0)
}

// TestFailureIsAlwaysNoted: whatever a handler's error says, and however full the
// record is already.
func TestFailureIsAlwaysNoted(t *testing.T) {
	q := newQueue(t)
	payload := strings.Repeat("p", MaxPayload-5)
	q.enqueue("mail", q.now, payload)
	for name, cause := range map[string]string{
		"long": strings.Repeat("x", 1<<20), "cut in a character": strings.Repeat("é", maxLastErr), "no text": "\xff\xfe",
	} {
		j := q.claimOne("mail")
		q.fail(j, cause, 100)
		q.now = q.now.Add(24 * time.Hour)
		if got := q.claimOne("mail"); len(got.LastErr) > maxLastErr || len(got.LastErr) < len(cause)/1000 || strings.ToValidUTF8(got.LastErr, "?") != got.LastErr {
			t.Errorf("%s: noted as %d bytes", name, len(got.LastErr))
		} else if err := got.Decode(new(string)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		q.now = q.now.Add(time.Hour)
	}
	_, err := q.db.Update(t.Context(), tenant, Op{}, func(tx *Tx) error { return Enqueue(tx, "mail", payload+"12345") })
	wantSentence(t, err, market.TooLarge, "mail job")
}

func TestJobIsPartOfItsTransaction(t *testing.T) {
	q := newQueue(t)
	boom := errors.New("boom")
	_, err := q.db.Update(t.Context(), tenant, Op{}, func(tx *Tx) error {
		return errors.Join(Enqueue(tx, "mail", "x"), boom)
	})
	if !errors.Is(err, boom) {
		t.Error(err)
	}
	q.wantCounts(0, 0, 0)
	for range 3 {
		update(t, q.db, Op{ID: "settle"}, func(tx *Tx) error { return Enqueue(tx, "mail", "x") })
	}
	q.wantCounts(1, 0, 0)
	for c, err := range q.db.Feed(t.Context(), 0) {
		if err != nil || !JobsChangedIn(c.Keys) {
			t.Errorf("the change %+v (%v) doesn't say that a job changed", c, err)
		}
		break
	}
}

func TestBackoff(t *testing.T) {
	for attempts, want := range map[int]time.Duration{
		-1: 2 * time.Second, 0: 2 * time.Second, 1: 2 * time.Second, 2: 4 * time.Second, 11: 2048 * time.Second,
		12: time.Hour, 21: time.Hour, 1 << 30: time.Hour,
	} {
		for range 50 {
			if got := Backoff(attempts); got < want || got > want+want/4 {
				t.Errorf("after %d attempts: %v, want %v and up to a quarter more", attempts, got, want)
			}
		}
	}
}
