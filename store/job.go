package store

import (
	"math/rand/v2"
	"time"

	"github.com/fxamacker/cbor/v2"
	"github.com/souk-market/souk/internal/market"
)

// JobState follows a job. A job that is done is deleted.
//
//	queued → running → (done)
//	running → queued (failed, or its lease ran out) | dead (failed for the last time)
//	dead → queued (retried by the operator)
type JobState string

const (
	JobQueued  JobState = "queued"
	JobRunning JobState = "running"
	JobDead    JobState = "dead"
)

// Job is work that leaves the transaction: it is written in the transaction that wants
// it done, and run at least once, after that transaction is durable.
type Job struct {
	ID       market.JobID    `cbor:"id"`
	Kind     string          `cbor:"kind"`    // "mail.receipt"; decides who runs it
	Payload  cbor.RawMessage `cbor:"payload"` // of the kind's own type
	State    JobState        `cbor:"state"`
	Due      time.Time       `cbor:"due"` // queued: not before; running: end of the lease
	Attempts int             `cbor:"attempts,omitempty"`
	Lease    uint64          `cbor:"lease,omitempty"` // grows with each claim; a late runner's answer doesn't fit
	LastErr  string          `cbor:"error,omitempty"`
	Created  time.Time       `cbor:"created"`
}

// Decode reads the payload into v.
func (j *Job) Decode(v any) error { return decode(j.Payload, v) }

// Enqueue adds a job of a kind with a payload, due now.
func Enqueue(tx *Tx, kind string, payload any) error {
	return EnqueueAt(tx, tx.Now(), kind, payload)
}

// EnqueueAt adds a job that is not run before due.
func EnqueueAt(tx *Tx, due time.Time, kind string, payload any) error {
	b, err := encode(payload)
	if err != nil {
		return err
	}
	return jobs.Insert(tx, &Job{ID: market.NewJobID(tx.Now()), Kind: kind, Payload: b, State: JobQueued, Due: due, Created: tx.Now()})
}

// ClaimJobs takes up to n due jobs of the given kinds for the length of a lease. A
// claim whose lease has run out counts as a failed attempt and is taken again.
func ClaimJobs(tx *Tx, kinds map[string]int, lease time.Duration) ([]Job, error) {
	var claimed []Job
	left := map[string]int{}
	for k, n := range kinds {
		left[k] = n
	}
	for row, err := range dueJobs.Scan(tx, All{}, "") {
		if err != nil {
			return nil, err
		}
		j := row.Record
		if j.Due.After(tx.Now()) || len(claimed) == maxClaim {
			break
		}
		if left[j.Kind] > 0 {
			left[j.Kind]--
			claimed = append(claimed, j)
		}
	}
	for i := range claimed {
		j := &claimed[i]
		j.State, j.Due = JobRunning, tx.Now().Add(lease)
		j.Attempts++
		j.Lease++
		if err := jobs.Put(tx, j); err != nil {
			return nil, err
		}
	}
	return claimed, nil
}

// maxClaim bounds a claim's transaction (a job is four keys).
const maxClaim = 100

// FinishJob deletes a job that is done. Conflict when the claim has been lost meanwhile.
func FinishJob(tx *Tx, j *Job) error {
	if _, err := heldJob(tx, j); err != nil {
		return err
	}
	return jobs.Delete(tx, j.ID)
}

// FailJob puts a job back for its next attempt, or among the dead after maxAttempts.
func FailJob(tx *Tx, j *Job, cause string, maxAttempts int) error {
	now, err := heldJob(tx, j)
	if err != nil {
		return err
	}
	now.LastErr = cause
	now.State, now.Due = JobQueued, tx.Now().Add(Backoff(now.Attempts))
	if now.Attempts >= maxAttempts {
		now.State = JobDead
	}
	return jobs.Put(tx, &now)
}

func heldJob(tx *Tx, j *Job) (Job, error) {
	now, err := jobs.Load(tx, j.ID)
	if err == nil && (now.State != JobRunning || now.Lease != j.Lease) {
		err = market.Errorf(market.Conflict, "Job %s has been taken over by another run.", j.ID)
	}
	return now, err
}

// Backoff is the wait before attempt n+1: 2 s doubling to an hour, with up to a quarter
// of jitter so that what failed together doesn't return together.
func Backoff(attempts int) time.Duration {
	d := min(2*time.Second<<min(max(attempts-1, 0), 20), time.Hour)
	return d + rand.N(d/4+1)
}

// RetryJob puts a dead job back into the queue.
func RetryJob(tx *Tx, id market.JobID) error {
	j, err := jobs.Load(tx, id)
	if err != nil {
		return err
	}
	if j.State != JobDead {
		return market.Errorf(market.Conflict, "Job %s is %s, not dead.", id, j.State)
	}
	j.State, j.Due, j.Attempts = JobQueued, tx.Now(), 0
	return jobs.Put(tx, &j)
}

// DeadJobs returns up to n jobs that have failed for good, oldest first.
func DeadJobs(tx Reader, n int) ([]Job, error) {
	var dead []Job
	for row, err := range jobsInState.Scan(tx, JobDead, "") {
		if err != nil || len(dead) == n {
			return dead, err
		}
		dead = append(dead, row.Record)
	}
	return dead, nil
}

// NextJob returns when the next job is due; false when none waits.
func NextJob(tx Reader) (time.Time, bool, error) {
	for row, err := range dueJobs.Scan(tx, All{}, "") {
		return row.Record.Due, err == nil, err
	}
	return time.Time{}, false, nil
}

// JobCounts returns the number of jobs in each state.
func JobCounts(tx Reader) (map[JobState]int, error) {
	counts := map[JobState]int{}
	for _, s := range []JobState{JobQueued, JobRunning, JobDead} {
		n, err := jobsInState.Count(tx, s)
		if err != nil {
			return nil, err
		}
		counts[s] = n
	}
	return counts, nil
}

// JobsChangedIn reports whether any job is among changed keys.
func JobsChangedIn(keys []Key) bool {
	for range jobs.ChangedIn(keys) {
		return true
	}
	return false
}
