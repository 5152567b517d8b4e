package store

import (
	"iter"
	"time"

	"github.com/souk-market/souk/internal/market"
)

// What the operator and the runner ask of the queue as a whole: which jobs there are,
// which kinds wait for somebody, which of the dead shall try again, and what a clock that
// was set back has done to them.

// Jobs yields the jobs in a state, or ("") in any, of a kind, or ("") of any, in the order
// of their IDs, which is that of their making.
func Jobs(tx Reader, state JobState, kind string) iter.Seq2[Job, error] {
	return func(yield func(Job, error) bool) {
		for j, err := range jobsIn(tx, state) {
			if err == nil && kind != "" && j.Kind != kind {
				continue
			}
			if !yield(j, err) {
				return
			}
		}
	}
}

func jobsIn(tx Reader, state JobState) iter.Seq2[Job, error] {
	if state == "" {
		return jobs.All(tx, "")
	}
	return func(yield func(Job, error) bool) {
		for row, err := range jobsInState.Scan(tx, state, "") {
			if !yield(row.Record, err) {
				return
			}
		}
	}
}

// LoadJob returns a job, or NotFound: then it is done, or never was.
func LoadJob(tx Reader, id market.JobID) (Job, error) { return jobs.Load(tx, id) }

// RetryDeadJobs puts dead jobs after a cursor back into the queue, of one kind or ("") of
// all, as many as fit in one transaction. It returns how many these were and the cursor to
// go on after, "" at the end. Going on never meets a job twice, also if it dies again.
func RetryDeadJobs(tx *Tx, kind string, after Cursor) (n int, next Cursor, err error) {
	var dead []market.JobID
	for row, err := range jobsInState.Scan(tx, JobDead, after) {
		if err != nil {
			return 0, "", err
		}
		if kind == "" || row.Record.Kind == kind {
			dead = append(dead, row.Record.ID)
		}
		if len(dead) == maxClaim {
			next = row.Cursor
			break
		}
	}
	for _, id := range dead {
		if err := RetryJob(tx, id); err != nil {
			return 0, "", err
		}
	}
	return len(dead), next, nil
}

// WaitingKinds lists the kinds of which there are jobs that aren't dead, at the cost of
// one seek for each.
func WaitingKinds(tx Reader) ([]string, error) {
	r := tx.self()
	index := r.table(dueJobs.table.id, dueJobs.n)
	var kinds []string
	for from := []byte(index); ; {
		kind := ""
		for k, v := range r.scan(from, successor(index)) {
			if v.err != nil {
				return nil, v.err
			}
			kind, _, _ = cutText(k[len(index):])
			break
		}
		if kind == "" {
			return kinds, nil
		}
		kinds = append(kinds, kind)
		from = successor(dueJobs.prefix(r.table(dueJobs.table.id, dueJobs.n), kind))
	}
}

// maxAdvance bounds the jobs that one AdvanceJobs looks at.
const maxAdvance = 100

// AdvanceJobs undoes what a clock that was set back does to jobs of a kind, which would
// else wait until it has caught up, for years after it was wrong by years. It brings
// forward those that are due later than they can be by the clock now; leases of the kind
// have a length of lease. It looks at some jobs after a cursor and returns the cursor to
// go on after, "" at the end.
func AdvanceJobs(tx *Tx, kind string, lease time.Duration, after Cursor) (next Cursor, err error) {
	var late []Job
	n := 0
	for row, err := range dueJobs.Scan(tx, kind, after) {
		if err != nil {
			return "", err
		}
		if latest := row.Record.latestDue(tx.Now(), lease); row.Record.Due.After(latest) {
			row.Record.Due = latest
			late = append(late, row.Record)
		}
		if n++; n == maxAdvance {
			next = row.Cursor
			break
		}
	}
	for i := range late {
		if err := jobs.Put(tx, &late[i]); err != nil {
			return "", err
		}
	}
	return next, nil
}

// latestDue is the latest that a job can be due when the clock has always run forward.
func (j *Job) latestDue(now time.Time, lease time.Duration) time.Time {
	switch {
	case j.State == JobRunning:
		return now.Add(lease)
	case j.Attempts > 0: // it failed; twice any back-off is longer than every other
		return now.Add(2 * Backoff(j.Attempts))
	case j.Lease > 0: // released, or retried by the operator: at once
		return now
	case j.Created.After(now):
		return now.Add(j.Due.Sub(j.Created))
	}
	return j.Due // scheduled for a date
}
