package store

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/souk-market/souk/internal/market"
)

// list returns the payloads of the chosen jobs.
func (q *queue) list(state JobState, kind string) (payloads []string) {
	q.Helper()
	q.view(func(tx *ReadTx) error {
		var last market.JobID
		for j, err := range Jobs(tx, state, kind) {
			var payload string
			if err == nil {
				err = j.Decode(&payload)
			}
			if err != nil {
				return err
			}
			if j.ID <= last || kind != "" && j.Kind != kind || state != "" && j.State != state {
				q.Errorf("after %s, %s jobs of kind %q: %+v", last, state, kind, j)
			}
			last = j.ID
			payloads = append(payloads, payload)
		}
		return nil
	})
	return payloads
}

func TestJobsAreListed(t *testing.T) {
	q := newQueue(t)
	for i, kind := range []string{"mail", "hook", "mail", "hook", "mail"} {
		q.enqueue(kind, q.now, fmt.Sprint(i))
		q.now = q.now.Add(time.Millisecond)
	}
	q.fail(q.claimOne("hook"), "no", 1)
	j := q.claimOne("mail")
	for _, c := range []struct {
		state JobState
		kind  string
		want  []string
	}{
		{"", "", []string{"0", "1", "2", "3", "4"}}, {"", "hook", []string{"1", "3"}}, {JobQueued, "", []string{"2", "3", "4"}},
		{JobQueued, "mail", []string{"2", "4"}}, {JobRunning, "", []string{"0"}}, {JobDead, "", []string{"1"}}, {JobDead, "mail", nil}, {"", "none", nil},
	} {
		if got := q.list(c.state, c.kind); !slices.Equal(got, c.want) {
			t.Errorf("%s jobs of kind %q: %v, want %v", c.state, c.kind, got, c.want)
		}
	}
	q.view(func(tx *ReadTx) error {
		if got, err := LoadJob(tx, j.ID); err != nil || got.State != JobRunning {
			t.Errorf("loaded %+v (%v)", got, err)
		}
		if _, err := LoadJob(tx, "job_none"); !market.Is(err, market.NotFound) {
			t.Errorf("no job: %v", err)
		}
		return nil
	})
}

func TestWaitingKinds(t *testing.T) {
	q := newQueue(t)
	want := func(kinds ...string) {
		t.Helper()
		q.view(func(tx *ReadTx) error {
			if got, err := WaitingKinds(tx); err != nil || !slices.Equal(got, kinds) {
				t.Errorf("%v wait (%v), want %v", got, err, kinds)
			}
			return nil
		})
	}
	want()
	for _, kind := range []string{"c", "bb", "bb", "a", "ba", "dead"} {
		q.enqueue(kind, q.now.Add(time.Hour), "x")
	}
	want("a", "c", "ba", "bb", "dead") // shorter ones first, as in the index
	q.now = q.now.Add(time.Hour)
	q.fail(q.claimOne("dead"), "no", 1)
	done := q.claimOne("a")
	q.do(func(tx *Tx) error { return FinishJob(tx, done) })
	q.claimOne("c") // runs
	want("c", "ba", "bb")
}

func TestRetryOfAllTheDead(t *testing.T) {
	q := newQueue(t)
	bury := func(kind string, n int) {
		for i := range n {
			q.enqueue(kind, q.now, fmt.Sprint(i))
		}
		for left := n; left > 0; {
			jobs := q.claim(kind, 50)
			for i := range jobs {
				q.fail(&jobs[i], "no", 1)
			}
			left -= len(jobs)
		}
	}
	bury("mail", 120)
	bury("hook", 3)
	var total int
	var after Cursor
	for round := 0; round == 0 || after != ""; round++ {
		var n int
		var next Cursor
		q.do(func(tx *Tx) (err error) {
			n, next, err = RetryDeadJobs(tx, "mail", after)
			return err
		})
		total, after = total+n, next
		if round == 0 { // what dies again isn't retried again
			q.fail(q.claimOne("mail"), "no", 1)
		}
		if round > 5 {
			t.Fatal("it doesn't end")
		}
	}
	if total != 120 {
		t.Errorf("%d retried, want 120", total)
	}
	q.wantCounts(119, 0, 4)
	q.do(func(tx *Tx) error {
		n, next, err := RetryDeadJobs(tx, "", "")
		if n != 4 || next != "" {
			t.Errorf("of all kinds %d, then after %q; want 4 and the end", n, next)
		}
		return err
	})
	q.wantCounts(123, 0, 0)
}

// TestAdvanceJobs: after the clock was set back, a job is due no later than it would have
// been, and one scheduled for a date is left alone.
func TestAdvanceJobs(t *testing.T) {
	const lease = time.Minute
	for name, c := range map[string]struct {
		make   func(q *queue) // the job, before the clock is set back
		atMost time.Duration  // from the new time on
	}{
		"waiting":   {func(q *queue) { q.enqueue("mail", q.now, "x") }, 0},
		"scheduled": {func(q *queue) { q.enqueue("mail", q.now.Add(2*time.Hour), "x") }, 2 * time.Hour},
		"failed": {func(q *queue) {
			q.enqueue("mail", q.now, "x")
			q.fail(q.claimOne("mail"), "no", 10)
		}, 5 * time.Second},
		"running": {func(q *queue) {
			q.enqueue("mail", q.now, "x")
			q.claimOne("mail")
		}, lease},
		"released": {func(q *queue) {
			q.enqueue("mail", q.now, "x")
			q.now = q.now.Add(48 * time.Hour) // it was made before the time that the clock is set to
			j := q.claimOne("mail")
			q.do(func(tx *Tx) error { return ReleaseJob(tx, j) })
		}, 0},
		"retried": {func(q *queue) {
			q.enqueue("mail", q.now, "x")
			q.now = q.now.Add(48 * time.Hour)
			j := q.claimOne("mail")
			q.fail(j, "no", 1)
			q.do(func(tx *Tx) error { return RetryJob(tx, j.ID) })
		}, 0},
	} {
		for _, back := range []time.Duration{0, time.Hour, 10 * 365 * 24 * time.Hour} {
			q := newQueue(t)
			c.make(q)
			q.now = q.now.Add(-back)
			q.do(func(tx *Tx) error {
				next, err := AdvanceJobs(tx, "mail", lease, "")
				if next != "" {
					t.Errorf("%s: one job isn't the end: %q", name, next)
				}
				return err
			})
			q.view(func(tx *ReadTx) error {
				due, ok, err := NextJob(tx, "mail")
				if wait := due.Sub(q.now); err != nil || !ok || wait > c.atMost || wait < c.atMost/5 {
					t.Errorf("%s, the clock set back by %v: due in %v (%t, %v), want in %v at most", name, back, wait, ok, err, c.atMost)
				}
				return nil
			})
		}
	}
}

func TestAdvanceJobsGoesThroughAllOfThem(t *testing.T) {
	q := newQueue(t)
	date := q.now.Add(100 * time.Hour)
	q.enqueue("mail", date, "made before, for a date")
	q.now = q.now.Add(48 * time.Hour)
	for i := range 230 {
		q.enqueue("mail", q.now, fmt.Sprint(i))
	}
	q.enqueue("hook", q.now, "x")
	q.now = q.now.Add(-47 * time.Hour)
	var after Cursor
	rounds := 0
	for ; rounds == 0 || after != ""; rounds++ {
		var next Cursor
		q.do(func(tx *Tx) (err error) {
			next, err = AdvanceJobs(tx, "mail", time.Minute, after)
			return err
		})
		after = next
	}
	if rounds != 3 {
		t.Errorf("%d transactions, want 3", rounds)
	}
	if jobs := q.claim("hook", 1); len(jobs) != 0 {
		t.Errorf("the other kind was brought forward: %v", jobs)
	}
	n := 0
	for jobs := q.claim("mail", 100); len(jobs) > 0; jobs = q.claim("mail", 100) {
		n += len(jobs)
	}
	if n != 230 {
		t.Errorf("%d jobs are due, want 230", n)
	}
	q.view(func(tx *ReadTx) error {
		for j, err := range Jobs(tx, JobQueued, "mail") {
			if err != nil || !j.Due.Equal(date) {
				t.Errorf("left is %+v (%v)", j, err)
			}
		}
		return nil
	})
}
