package edge

import (
	"io"
	"sync/atomic"
)

// admission bounds the requests that are open and, more tightly, those at work. It never
// queues: a queue would only make the refusal slower.
type admission struct {
	bound   int64        // for ordinary requests at work; the other bounds are multiples
	working atomic.Int64 // requests that don't wait for their client
	open    atomic.Int64

	refused  atomic.Int64 // since the last line in the log
	loggedAt atomic.Int64 // Unix seconds of that line
}

// enter takes a place for a request, and reports whether there was one.
func (a *admission) enter(r *rule) bool {
	working := a.bound
	if r.essential {
		working += int64(float64(a.bound) * essentialShare)
	}
	if a.open.Add(1) > working*openFactor {
		a.open.Add(-1)
		return false
	}
	if a.working.Add(1) > working {
		a.leave()
		return false
	}
	return true
}

func (a *admission) leave() {
	a.working.Add(-1)
	a.open.Add(-1)
}

// wait says that a request is going to wait for its client, and resume that it goes on,
// which is not refused.
func (a *admission) wait()   { a.working.Add(-1) }
func (a *admission) resume() { a.working.Add(1) }

// A patientBody is a request's body. Reading it waits for the client, so that clients
// who send a byte at a time keep nobody else out.
type patientBody struct {
	io.ReadCloser
	admission *admission
}

func (b *patientBody) Read(p []byte) (int, error) {
	b.admission.wait()
	defer b.admission.resume()
	return b.ReadCloser.Read(p)
}

// noteRefusal counts a refusal, and returns how many to log now: all since the last
// line, once a second at most, for a log line per refusal would make an overload worse.
func (a *admission) noteRefusal(unix int64) int64 {
	a.refused.Add(1)
	last := a.loggedAt.Load()
	if unix == last || !a.loggedAt.CompareAndSwap(last, unix) {
		return 0
	}
	return a.refused.Swap(0)
}
