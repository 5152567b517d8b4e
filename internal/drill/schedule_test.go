package drill

import (
	"testing"
	"time"

	"github.com/souk-market/souk/internal/market"
)

func at(t *testing.T, text string) time.Time {
	t.Helper()
	v, err := time.Parse(time.RFC3339, text)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestScheduleAfter(t *testing.T) {
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Skip("no time zones here")
	}
	sunday := Schedule{Weekday: time.Sunday, Hour: 4}
	skipped := Schedule{Weekday: time.Sunday, Hour: 2, Minute: 30, Location: berlin} // 2026-03-29 has no 02:30
	for _, c := range []struct {
		name     string
		schedule Schedule
		from, to string
	}{
		{"in the week", sunday, "2026-11-23T10:00:00Z", "2026-11-29T04:00:00Z"},
		{"on the day, before", sunday, "2026-11-29T03:59:59Z", "2026-11-29T04:00:00Z"},
		{"at the moment", sunday, "2026-11-29T04:00:00Z", "2026-12-06T04:00:00Z"},
		{"on the day, after", sunday, "2026-11-29T04:00:01Z", "2026-12-06T04:00:00Z"},
		{"over the end of a year", sunday, "2026-12-28T00:00:00Z", "2027-01-03T04:00:00Z"},
		{"another day here than in UTC", Schedule{Weekday: time.Monday, Location: berlin}, "2026-11-22T22:59:00Z", "2026-11-22T23:00:00Z"},
		{"into summer time", skipped, "2026-03-28T12:00:00Z", "2026-03-29T01:30:00Z"},
		{"a week of summer time", skipped, "2026-03-29T01:30:00Z", "2026-04-05T00:30:00Z"},
	} {
		if got := c.schedule.After(at(t, c.from)); !got.Equal(at(t, c.to)) {
			t.Errorf("%s: after %s comes %s, want %s", c.name, c.from, got.UTC(), c.to)
		}
	}
}

// TestScheduleRises: each moment is after the one it is asked for, a week or an hour
// more or less away from the one before, and on its weekday.
func TestScheduleRises(t *testing.T) {
	zone, err := time.LoadLocation("America/New_York")
	if err != nil {
		t.Skip("no time zones here")
	}
	s := Schedule{Weekday: time.Sunday, Hour: 2, Minute: 15, Location: zone}
	last := s.After(at(t, "2025-01-01T00:00:00Z"))
	for range 200 {
		next := s.After(last)
		if gap := next.Sub(last); gap < 7*24*time.Hour-time.Hour || gap > 7*24*time.Hour+time.Hour || next.Weekday() != time.Sunday {
			t.Fatalf("after %s comes %s", last, next)
		}
		last = next
	}
}

func TestDue(t *testing.T) {
	s := Schedule{Weekday: time.Sunday, Hour: 4}
	drill := func(state market.DrillState, started string) market.Drill {
		return market.Drill{State: state, Started: at(t, started)}
	}
	passed, failed, running := market.DrillPassed, market.DrillFailed, market.DrillRunning
	for _, c := range []struct {
		name string
		past []market.Drill // the newest first
		want string
	}{
		{"never drilled", nil, "2026-11-08T04:00:00Z"},
		{"passed on time", []market.Drill{drill(passed, "2026-11-22T04:00:00Z")}, "2026-11-29T04:00:00Z"},
		{"passed by hand in between", []market.Drill{drill(passed, "2026-11-25T10:00:00Z")}, "2026-11-29T04:00:00Z"},
		{"failed after it passed", []market.Drill{drill(failed, "2026-11-29T04:00:00Z"), drill(passed, "2026-11-22T04:00:00Z")}, "2026-11-30T04:00:00Z"},
		{"failed by hand in between", []market.Drill{drill(failed, "2026-11-25T10:00:00Z"), drill(passed, "2026-11-22T04:00:00Z")}, "2026-11-29T04:00:00Z"},
		{"failed twice", []market.Drill{drill(failed, "2026-11-30T04:00:00Z"), drill(failed, "2026-11-29T04:00:00Z")}, "2026-12-01T04:00:00Z"},
		{"passed after it failed", []market.Drill{drill(passed, "2026-11-30T04:00:00Z"), drill(failed, "2026-11-29T04:00:00Z")}, "2026-12-06T04:00:00Z"},
		{"cut off", []market.Drill{drill(running, "2026-11-29T04:00:00Z"), drill(passed, "2026-11-22T04:00:00Z")}, "2026-11-30T04:00:00Z"},
	} {
		if got := s.due(c.past, at(t, "2026-11-02T12:00:00Z")); !got.Equal(at(t, c.want)) {
			t.Errorf("%s: due %s, want %s", c.name, got.UTC(), c.want)
		}
	}
}
