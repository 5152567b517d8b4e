package store

import (
	"testing"
	"time"

	"github.com/souk-market/souk/internal/market"
)

// TestFaultClockJumps sets the clock a year ahead and back again. LSNs and the times of
// commits go on without a step back, an hour's lease isn't kept by who had it before the
// jump ahead, and when the clock is right again every job has been run or is due.
func TestFaultClockJumps(t *testing.T) {
	const year = 365 * 24 * time.Hour
	q := newQueue(t)
	start := q.now
	q.enqueue("work", start, "before")
	held := q.claimOne("work")
	q.now = start.Add(year)
	q.enqueue("work", q.now, "ahead")
	taken := q.claim("work", 10)
	if len(taken) != 2 {
		t.Fatalf("a year later %d jobs were claimed, want the one whose lease ran out and the new one", len(taken))
	}
	_, err := q.db.Update(t.Context(), tenant, Op{}, func(tx *Tx) error { return FinishJob(tx, held) })
	if !market.Is(err, market.Conflict) {
		t.Errorf("finishing a job whose lease ran out: %v, want a conflict", err)
	}
	q.do(func(tx *Tx) error { return ReleaseJob(tx, &taken[1]) })
	q.now = start.Add(-time.Hour) // set back past the start
	q.do(func(tx *Tx) error { return FinishJob(tx, &taken[0]) })
	q.enqueue("work", q.now, "back")
	if got := q.claim("work", 10); len(got) != 1 {
		t.Errorf("set back, %d jobs were claimed, want the one that is due by this clock", len(got))
	}
	q.now = start.Add(year + time.Hour)
	if got := q.claim("work", 10); len(got) != 2 { // the released one, and the one claimed while set back
		t.Errorf("when the time has come again %d jobs were claimed, want 2", len(got))
	}
	wantTimesInOrder(t, q.db)
}

// wantTimesInOrder reads the change log.
func wantTimesInOrder(t *testing.T, db *DB) {
	t.Helper()
	var last Change
	for c, err := range db.Feed(t.Context(), 0) {
		if err != nil {
			t.Fatal(err)
		}
		if c.LSN != last.LSN+1 || c.Time.Before(last.Time) {
			t.Errorf("commit %d of %v follows %d of %v", c.LSN, c.Time, last.LSN, last.Time)
		}
		if last = c; c.LSN == db.LastLSN() {
			return
		}
	}
}

// TestFaultClockSetBackOverARestart: what the last process has called its last commit's
// time is no earlier for the next one.
func TestFaultClockSetBackOverARestart(t *testing.T) {
	disk := newDisk(t)
	at := newClock()
	disk.opts.Clock = at.Now
	db := disk.open()
	putEvent(t, db, "before", "")
	disk.close(db)
	at.now = at.now.Add(-24 * time.Hour)
	db = disk.open()
	putEvent(t, db, "after", "")
	update(t, db, Op{}, func(tx *Tx) error {
		return Sessions.Put(tx, &market.Session{ID: "ses_1", Account: "acc_1", Expires: tx.Now().Add(time.Hour)})
	})
	update(t, db, Op{}, func(tx *Tx) error { return Sessions.Delete(tx, "ses_1") })
	wantTimesInOrder(t, db)
}
