package main

import (
	"context"
	"io"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/souk-market/souk/internal/control"
	"github.com/souk-market/souk/internal/market"
	"github.com/souk-market/souk/store"
	"github.com/souk-market/souk/store/storetest"
)

// TestLedgerThatIsOnDisk: what somebody is told of the ledger is not taken back by a power
// cut, so the command ends well when it is on disk.
func TestLedgerThatIsOnDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk := storetest.NewDisk()
		db := disk.Open(t, nil)
		h := &house{db: db, cfg: Config{Name: "Souk"}}
		hold, reached := make(chan bool), make(chan bool)
		disk.BeforeWrite(1, func() { close(reached); <-hold })
		var writing sync.WaitGroup
		writing.Go(func() {
			_, err := db.Update(t.Context(), market.MainTenant, store.Op{}, func(tx *store.Tx) error {
				return store.Post(tx, &market.Posting{ID: market.NewPostingID(tx.Now()), Cause: "test:1", At: tx.Now(), Entries: []market.Entry{
					{Account: market.ProviderAccount("sandbox"), Amount: market.Money{Amount: 900, Currency: "USD"}},
					{Account: market.CommissionAccount, Amount: market.Money{Amount: -900, Currency: "USD"}},
				}})
			})
			if err != nil {
				t.Error(err)
			}
		})
		<-reached
		synctest.Wait()
		all := []task{&ledgerExportTask{Format: "csv"}, &ledgerExportTask{Format: "beancount"}, &ledgerBalancesTask{}}
		for _, k := range all {
			var out strings.Builder
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			if err := k.run(ctx, h, &control.Console{Out: &out}); err == nil && strings.Contains(out.String(), "9.00") {
				t.Errorf("%s tells what isn't on disk: %q", k.name(), out.String())
			}
			cancel()
		}
		close(hold)
		writing.Wait()
		for _, k := range all {
			if err := k.run(t.Context(), h, &control.Console{Out: io.Discard}); err != nil {
				t.Errorf("%s: %v", k.name(), err)
			}
		}
		storetest.Check(t, db)
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
}
