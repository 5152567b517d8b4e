package store

import (
	"math/rand/v2"
	"strings"
	"time"

	"github.com/fxamacker/cbor/v2"
	"github.com/souk-market/souk/internal/market"
)

// JobState follows a job. A job that is done is deleted.
//
//	queued → running → (done)
//	running → running (its lease ran out and it was claimed again)
//	running → queued (failed or released) | dead (failed for the last time)
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

// Limits of a job, so that a record with the note of its failure always fits.
const (
	MaxPayload = 48 << 10 // bytes, encoded
	maxLastErr = 2 << 10  // bytes; the rest of a longer message is dropped
)

// Enqueue adds a job of a kind with a payload, due now.
func Enqueue(tx *Tx, kind string, payload any) error {
	return EnqueueAt(tx, tx.Now(), kind, payload)
}

// EnqueueAt adds a job that is not run before due. TooLarge over MaxPayload.
func EnqueueAt(tx *Tx, due time.Time, kind string, payload any) error {
	b, err := encode(payload)
	if err != nil {
		return err
	}
	if len(b) > MaxPayload {
		return market.Errorf(market.TooLarge, "The payload of a %s job has %d bytes, over the limit of %d.", kind, len(b), MaxPayload)
	}
	return jobs.Insert(tx, &Job{ID: market.NewJobID(tx.Now()), Kind: kind, Payload: b, State: JobQueued, Due: due, Created: tx.Now()})
}

// Claim asks for up to Max due jobs of a kind, each for the length of Lease.
type Claim struct {
	Kind  string
	Max   int
	Lease time.Duration
	NoAck bool // the jobs act on no money: claiming them doesn't wait as RequireAck says
}

// maxClaim bounds the jobs of one claim: each writes seven keys.
const maxClaim = 100

// ClaimJobs takes due jobs, the longest due first within a kind. A job whose lease has
// run out is taken again; that attempt has failed, and counts.
func ClaimJobs(tx *Tx, claims []Claim) ([]Job, error) {
	var claimed []Job
	for _, c := range claims {
		due, err := dueOf(tx, c.Kind, min(c.Max, maxClaim-len(claimed)))
		if err != nil {
			return nil, err
		}
		for _, j := range due {
			j.State, j.Due = JobRunning, tx.Now().Add(c.Lease)
			j.Attempts++
			j.Lease++
			if err := jobs.Put(tx, &j); err != nil {
				return nil, err
			}
			claimed = append(claimed, j)
			tx.own.acts = tx.own.acts || !c.NoAck
		}
	}
	return claimed, nil
}

// dueOf returns up to n jobs of a kind that are due.
func dueOf(tx *Tx, kind string, n int) ([]Job, error) {
	var due []Job
	if n <= 0 {
		return nil, nil
	}
	for row, err := range dueJobs.Scan(tx, kind, "") {
		if err != nil {
			return nil, err
		}
		if row.Record.Due.After(tx.Now()) {
			break
		}
		if due = append(due, row.Record); len(due) == n {
			break
		}
	}
	return due, nil
}

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
	now.LastErr = strings.ToValidUTF8(cause[:min(len(cause), maxLastErr)], "")
	now.State, now.Due = JobQueued, tx.Now().Add(Backoff(now.Attempts))
	if now.Attempts >= maxAttempts {
		now.State = JobDead
	}
	return jobs.Put(tx, &now)
}

// ReleaseJob puts a job back that was broken off for no fault of its own: it is due at
// once, and the attempt doesn't count.
func ReleaseJob(tx *Tx, j *Job) error { return PostponeJob(tx, j, 0) }

// PostponeJob is ReleaseJob for a job that is not to be run again before some time is over.
func PostponeJob(tx *Tx, j *Job, by time.Duration) error {
	now, err := heldJob(tx, j)
	if err != nil {
		return err
	}
	now.State, now.Due = JobQueued, tx.Now().Add(by)
	now.Attempts--
	return jobs.Put(tx, &now)
}

func heldJob(tx *Tx, j *Job) (Job, error) {
	now, err := jobs.Load(tx, j.ID)
	if market.Is(err, market.NotFound) || err == nil && (now.State != JobRunning || now.Lease != j.Lease) {
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

// NextJob returns when the next job of the given kinds is due, a running one at the end
// of its lease; false when there is none.
func NextJob(tx Reader, kinds ...string) (due time.Time, ok bool, err error) {
	for _, kind := range kinds {
		for row, err := range dueJobs.Scan(tx, kind, "") {
			if err != nil {
				return time.Time{}, false, err
			}
			if !ok || row.Record.Due.Before(due) {
				due, ok = row.Record.Due, true
			}
			break
		}
	}
	return due, ok, nil
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
