package drill

import (
	"fmt"
	"strings"
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

// ParseSchedule reads a day and a time of 24 hours, as "sunday 04:00" or "Sun 4:00", in
// the time zone loc. Errors: Invalid.
func ParseSchedule(text string, loc *time.Location) (Schedule, error) {
	day, clock, _ := strings.Cut(strings.Join(strings.Fields(text), " "), " ")
	weekday, ok := parseWeekday(day)
	at, err := time.Parse("15:04", clock)
	if !ok || err != nil {
		return Schedule{}, market.Errorf(market.Invalid, "%q is no day and time. Write them like \"sunday 04:00\".", text)
	}
	return Schedule{Weekday: weekday, Hour: at.Hour(), Minute: at.Minute(), Location: loc}, nil
}

// parseWeekday knows the English names and their first three letters.
func parseWeekday(s string) (time.Weekday, bool) {
	for d := time.Sunday; d <= time.Saturday; d++ {
		if name := d.String(); strings.EqualFold(s, name) || strings.EqualFold(s, name[:3]) {
			return d, true
		}
	}
	return 0, false
}

func (s Schedule) String() string {
	return fmt.Sprintf("%s %02d:%02d", strings.ToLower(s.Weekday.String()), s.Hour, s.Minute)
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
