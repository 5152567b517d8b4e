package storetest

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/souk-market/souk/internal/market"
	"github.com/souk-market/souk/store"
)

// readOnly stops writing while several callers write: what was acknowledged is among the
// commits of that moment, and none is made after it.
func (t *contract) readOnly() {
	db := t.open(t, store.Options{})
	reason := errors.New("another server has taken over")
	const callers = 8
	acked, began := make([]store.LSN, callers), make(chan struct{}, callers)
	var writers sync.WaitGroup
	for w := range callers {
		writers.Go(func() {
			for i := 0; ; i++ {
				op := store.Op{ID: fmt.Sprint(w, "/", i)}
				res, err := db.Update(t.Context(), main, op, func(tx *store.Tx) error { return store.Events.Insert(tx, event(op.ID)) })
				if err != nil {
					if !errors.Is(err, reason) {
						t.Errorf("a writer is stopped by %v", err)
					}
					return
				}
				if acked[w] = res.LSN; i == 0 {
					began <- struct{}{}
				}
			}
		})
	}
	for range callers {
		<-began
	}
	db.SetReadOnly(reason)
	last := db.LastLSN()
	writers.Wait()
	for _, lsn := range acked {
		if lsn > last {
			t.Errorf("commit %d was acknowledged after writing was stopped at %d", lsn, last)
		}
	}
	if got := db.LastLSN(); got != last {
		t.Errorf("commits up to %d were made after writing was stopped at %d", got, last)
	}
	t.view(db, main, func(tx *store.ReadTx) error { _, err := store.Events.Load(tx, "0/0"); return err })
	db.SetReadOnly(nil)
	t.update(db, main, func(tx *store.Tx) error { return store.Events.Insert(tx, event("again")) })
}

// acknowledged: money waits for its acknowledgement each time that it is asked for, and
// what isn't acknowledged is pending, not failed.
func (t *contract) acknowledged() {
	db := t.open(t, store.Options{})
	away := errors.New("the bucket is away")
	var asked []store.LSN
	answer := away
	db.RequireAck(func(_ context.Context, lsn store.LSN) error { asked = append(asked, lsn); return answer })
	pay := func() (store.Result, error) {
		return db.Update(t.Context(), main, store.Op{ID: "settle"}, func(tx *store.Tx) error {
			return store.Post(tx, &market.Posting{ID: market.NewPostingID(tx.Now()), At: tx.Now(), Cause: "test", Entries: []market.Entry{
				{Account: "a", Amount: market.Money{Amount: 1, Currency: "EUR"}}, {Account: "b", Amount: market.Money{Amount: -1, Currency: "EUR"}},
			}})
		})
	}
	for range 2 {
		_, err := pay()
		if !errors.Is(err, store.ErrNotConfirmed) || !errors.Is(err, store.ErrUnknownOutcome) || !errors.Is(err, away) {
			t.Errorf("money that isn't confirmed: %v", err)
		}
		wantKind(t, err, market.Unavailable)
	}
	t.update(db, main, func(tx *store.Tx) error { return store.Agents.Insert(tx, agent("1", "one", 1)) }) // is no money
	answer = nil
	if res, err := pay(); err != nil || !res.Repeated {
		t.Errorf("money that has been confirmed: %+v, %v", res, err)
	}
	for _, lsn := range asked {
		if lsn != asked[0] {
			t.Errorf("the replica was asked for the commits %v", asked)
		}
	}
}
