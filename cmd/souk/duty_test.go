package main

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"testing/synctest"

	"github.com/souk-market/souk/internal/market"
	"github.com/souk-market/souk/store"
	"github.com/souk-market/souk/store/storetest"
)

// TestDuty: without duty nothing is written and what acts for the marketplace is stopped;
// it goes on when a lease is back, and never once another server has taken over.
func TestDuty(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db := storetest.Open(t)
		d := newDuty(db, slog.New(slog.DiscardHandler))
		acting, begun := false, 0
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() {
			ended <- d.while(part{"jobs", func(ctx context.Context) error {
				acting = true
				begun++
				<-ctx.Done()
				acting = false
				return nil
			}}).run(ctx)
		}()
		write := func() error {
			_, err := db.Update(t.Context(), market.MainTenant, store.Op{}, func(tx *store.Tx) error {
				return store.Enqueue(tx, market.AlertJob, market.Alert{Subject: "test"})
			})
			return err
		}
		want := func(when string, on bool, times int) {
			t.Helper()
			synctest.Wait()
			if err := write(); acting != on || begun != times || (err == nil) != on || (d.err() == nil) != on {
				t.Errorf("%s: acting %t, begun %d times, writing: %v, duty: %v", when, acting, begun, err, d.err())
			}
		}
		want("at first", true, 1)
		d.pause(errors.New("no answer"))
		want("without the lease", false, 1)
		if err := write(); !market.Is(err, market.Unavailable) {
			t.Errorf("a buyer is told %v", err)
		}
		d.resume()
		want("with it", true, 2)
		d.stop(errors.New("taken over"))
		want("taken over", false, 2)
		d.end(errors.New("taken over, with a list"))
		want("taken over, with a list", false, 2)
		if err := d.err(); err.Error() != "taken over, with a list" {
			t.Errorf("the reason is %v", err)
		}
		d.resume()
		want("with the lease of a server that was taken over", false, 2)
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("stopped with %v", err)
		}
	})
}
