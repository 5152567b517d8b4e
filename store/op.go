package store

import "time"

// PruneOps forgets operations done before a time, at most n of them, the oldest first,
// and reports how many it forgot.
func PruneOps(tx *Tx, before time.Time, n int) (int, error) {
	pruned := 0
	for row, err := range oldOps.Scan(tx, All{}, "") {
		if err != nil {
			return pruned, err
		}
		if pruned == n || !row.Record.At.Before(before) {
			break
		}
		if err := ops.Delete(tx, row.Record.ID); err != nil {
			return pruned, err
		}
		pruned++
	}
	return pruned, nil
}
