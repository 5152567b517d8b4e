package store

import (
	"testing"
	"time"
)

// TestDeepPayload: what has been written can be read, however its values are nested.
func TestDeepPayload(t *testing.T) {
	db := openTest(t, Options{})
	for _, depth := range []int{10, 40, 40_000} {
		var payload any = "core"
		for range depth {
			payload = []any{payload}
		}
		update(t, db, Op{}, func(tx *Tx) error { return Enqueue(tx, "work", payload) })
		var job Job
		update(t, db, Op{}, func(tx *Tx) error {
			claimed, err := ClaimJobs(tx, []Claim{{Kind: "work", Max: 1, Lease: time.Hour}})
			if err != nil || len(claimed) != 1 {
				t.Fatalf("depth %d: %d jobs claimed, %v", depth, len(claimed), err)
			}
			job = claimed[0]
			var got any
			return job.Decode(&got)
		})
		for row, err := range db.Inspect(t.Context(), InspectQuery{Table: "jobs"}) {
			if err != nil || len(row.Record) < depth {
				t.Errorf("depth %d: inspected: %.80s, %v", depth, row.Record, err)
			}
		}
		update(t, db, Op{}, func(tx *Tx) error { return FinishJob(tx, &job) })
	}
}
