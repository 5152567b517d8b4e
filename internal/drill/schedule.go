package drill

import (
	"time"

	"github.com/souk-market/souk/internal/market"
)

// Schedule is the moment of each week at which drills are due. The zero value is Sunday
// at midnight, UTC.
type Schedule struct {
	Weekday      time.Weekday
	Hour, Minute int
	Location     *time.Location // nil is UTC
}

// After returns the first moment of the schedule after t. On a day when the clock skips
// the hour, it is as much later; when the hour comes twice, the first counts.
func (s Schedule) After(t time.Time) time.Time {
	loc := s.Location
	if loc == nil {
		loc = time.UTC
	}
	t = t.In(loc)
	days := (int(s.Weekday) - int(t.Weekday()) + 7) % 7
	for {
		at := time.Date(t.Year(), t.Month(), t.Day()+days, s.Hour, s.Minute, 0, 0, loc)
		if at.After(t) {
			return at
		}
		days += 7
	}
}

// retryAfter is how long after a drill that didn't pass the next is due, when the
// schedule's moment has gone by.
const retryAfter = 24 * time.Hour

// due returns when the next drill of a replica is due, from its drills so far, the newest
// first, and when the directory was made. Each moment of the schedule asks for a drill
// that passes: one that was missed is due at once, and one that failed again after a day.
func (s Schedule) due(past []market.Drill, created time.Time) time.Time {
	last := created
	for _, d := range past {
		if d.State == market.DrillPassed {
			last = d.Started
			break
		}
	}
	at := s.After(last)
	if len(past) > 0 && past[0].State != market.DrillPassed {
		if again := past[0].Started.Add(retryAfter); again.After(at) {
			return again
		}
	}
	return at
}
