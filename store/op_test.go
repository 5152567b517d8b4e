package store

import (
	"fmt"
	"testing"
	"time"
)

// TestOldOperationsAreForgotten walks the operations in parts: what is old goes, what is
// young stays, and no part looks at more than was asked for.
func TestOldOperationsAreForgotten(t *testing.T) {
	at := newClock()
	db := openTest(t, Options{Clock: at.Now})
	for i := range 10 {
		at.now = at.now.Add(time.Hour)
		update(t, db, Op{ID: fmt.Sprint((i * 7) % 10)}, func(*Tx) error { return nil })
	}
	before, after, parts := newClock().now.Add(6*time.Hour), "", 0 // the first five are older
	for more := true; more; more = after != "" {
		update(t, db, Op{}, func(tx *Tx) error {
			n, next, err := PruneOps(tx, before, after, 4)
			if n > 4 {
				t.Errorf("a part of 4 forgot %d", n)
			}
			after = next
			return err
		})
		parts++
	}
	if parts != 3 {
		t.Errorf("10 operations in parts of 4 took %d parts, want 3", parts)
	}
	for i := range 10 {
		res := update(t, db, Op{ID: fmt.Sprint((i * 7) % 10)}, func(*Tx) error { return nil })
		if forgotten := !res.Repeated; forgotten != (i < 5) {
			t.Errorf("operation %d of 10 is forgotten: %t", i, forgotten)
		}
	}
}
