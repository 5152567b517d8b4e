package edge

import "sync/atomic"

// admission bounds the requests at work. It never queues: a queue would only make the
// refusal slower.
type admission struct {
	pages     int64 // bound for ordinary requests
	essential int64 // bound for essential ones, which count the ordinary ones too
	working   atomic.Int64
	downloads atomic.Int64
	refused   atomic.Int64 // since the last line in the log
	loggedAt  atomic.Int64 // Unix seconds of that line
}

func newAdmission(pages int) *admission {
	return &admission{pages: int64(pages), essential: int64(float64(pages) * (1 + essentialShare))}
}

// enter takes a slot and returns the counter to give it back to, nil when there is no
// slot left.
func (a *admission) enter(path string, r *rule) *atomic.Int64 {
	slots, bound := &a.working, a.pages
	switch {
	case isDownload(path):
		slots, bound = &a.downloads, maxDownloads
	case r.essential:
		bound = a.essential
	}
	if slots.Add(1) > bound {
		slots.Add(-1)
		return nil
	}
	return slots
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
