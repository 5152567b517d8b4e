package drill

import (
	"context"
	"fmt"
	"time"

	"github.com/souk-market/souk/internal/market"
	"github.com/souk-market/souk/store"
)

// History returns the drills kept, the newest first, at most limit of them; 0 is all.
func (r *Runner) History(ctx context.Context, limit int) (past []market.Drill, err error) {
	if r.DB == nil {
		return nil, nil
	}
	err = r.DB.View(ctx, r.Tenant, func(tx *store.ReadTx) error {
		past = nil
		for row, err := range store.NewestDrills.Scan(tx, store.All{}, "") {
			if err != nil {
				return err
			}
			if past = append(past, row.Record); len(past) == limit {
				break
			}
		}
		return nil
	})
	return past, err
}

// keptDrills is how many records are kept: 19 years of weekly drills of one replica.
const keptDrills = 1000

// keep stores a drill that has ended, with an alert if one is wanted.
func (r *Runner) keep(ctx context.Context, d *market.Drill, alarm bool) error {
	if r.DB == nil {
		return nil
	}
	_, err := r.DB.Update(ctx, r.Tenant, store.Op{Class: store.UserData}, func(tx *store.Tx) error {
		if err := store.Drills.Put(tx, d); err != nil {
			return err
		}
		if err := forget(tx); err != nil || !alarm {
			return err
		}
		return store.Enqueue(tx, market.AlertJob, alertFor(d))
	})
	return err
}

// forget deletes the records beyond those kept, the oldest ones.
func forget(tx *store.Tx) error {
	n := 0
	var old []market.DrillID
	for row, err := range store.NewestDrills.Scan(tx, store.All{}, "") {
		if err != nil {
			return err
		}
		if n++; n > keptDrills {
			old = append(old, row.Record.ID)
		}
	}
	for _, id := range old {
		if err := store.Drills.Delete(tx, id); err != nil {
			return err
		}
	}
	return nil
}

func alertFor(d *market.Drill) market.Alert {
	return market.Alert{
		At:      d.Ended,
		Subject: "A restore drill failed",
		Text: fmt.Sprintf("The drill of the replica %s, begun %s, failed:\n\n%s\n\n"+
			"Until a drill passes, count on this replica for nothing. Look at it with: souk replica status; souk replica verify. "+
			"Then drill again: souk drill. Earlier drills: souk drill --history.",
			d.Source, d.Started.UTC().Format(time.RFC1123), d.Reason),
	}
}
