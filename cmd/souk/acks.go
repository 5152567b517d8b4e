package main

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/souk-market/souk/internal/market"
	"github.com/souk-market/souk/internal/replica"
	"github.com/souk-market/souk/store"
)

// acks makes what moves money wait until one replica has it.
type acks struct {
	config SyncConfig
	log    *slog.Logger
	// wait are Replicator.Wait of each replica.
	wait []func(ctx context.Context, lsn store.LSN) error

	mu     sync.Mutex // guards what follows
	broken error      // why nobody acknowledges; nil while somebody does
	lsn    store.LSN  // the last commit that wasn't acknowledged in time

	wake   chan struct{} // has room for one: broken has been set
	passed atomic.Uint64 // confirmed without an acknowledgement
}

func newAcks(c SyncConfig, replicas []*shipper, log *slog.Logger) *acks {
	a := &acks{config: c, log: log, wake: make(chan struct{}, 1)}
	for _, s := range replicas {
		a.wait = append(a.wait, s.Wait)
	}
	return a
}

// require returns when commit lsn may be confirmed. An error says that it isn't confirmed
// yet: it is stored, and may be shipped later.
func (a *acks) require(ctx context.Context, lsn store.LSN) error {
	if a.config.Continue && a.err() != nil {
		a.passed.Add(1)
		return nil
	}
	limited, cancel := context.WithTimeout(ctx, a.config.Timeout)
	defer cancel()
	err := a.first(limited, lsn)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, replica.ErrFenced):
		return err
	case ctx.Err() != nil:
		return ctx.Err()
	}
	a.fail(err, lsn)
	if a.config.Continue {
		a.passed.Add(1)
		return nil
	}
	return err
}

// first waits until one replica has a commit. That one of them has been taken over by
// another server is the answer of all: what the others take would not be in its history.
func (a *acks) first(ctx context.Context, lsn store.LSN) error {
	var waiting sync.WaitGroup
	defer waiting.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	answers := make(chan error, len(a.wait))
	for _, wait := range a.wait {
		waiting.Go(func() { answers <- wait(ctx, lsn) })
	}
	var errs []error
	for range a.wait {
		err := <-answers
		if err == nil || errors.Is(err, replica.ErrFenced) {
			return err
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// refuse returns why nothing that moves money may begin, nil when it may.
func (a *acks) refuse() error {
	err := a.err()
	if err == nil || a.config.Continue {
		return nil
	}
	return market.Errorf(market.Unavailable, "Buying is paused, because no safe copy of the marketplace can be reached. "+
		"Nothing was charged. Please try again in a minute.").Because(err)
}

// err is why no replica acknowledges, nil while one does.
func (a *acks) err() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.broken
}

func (a *acks) fail(err error, lsn store.LSN) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.lsn = max(a.lsn, lsn)
	if a.broken != nil {
		return
	}
	a.broken = err
	select {
	case a.wake <- struct{}{}:
	default:
	}
	if a.config.Continue {
		a.log.Error("no replica has acknowledged a purchase in time: purchases are confirmed without it until one does", "limit", a.config.Timeout, "err", err)
	} else {
		a.log.Error("no replica has acknowledged a purchase in time: purchases are refused until one does", "limit", a.config.Timeout, "err", err)
	}
}

// run waits, whenever acknowledgements fail, for the replica that has what was not
// acknowledged. alarm tells the operator.
func (a *acks) run(ctx context.Context, alarm func(err error)) error {
	for {
		select {
		case <-a.wake:
		case <-ctx.Done():
			return nil
		}
		alarm(a.err())
		since := time.Now()
		for a.err() != nil && ctx.Err() == nil {
			a.mu.Lock()
			lsn := a.lsn
			a.mu.Unlock()
			if err := a.first(ctx, lsn); err != nil { // fenced, or the end
				<-ctx.Done()
				return nil
			}
			a.recover(lsn, since)
		}
	}
}

// recover ends the alarm when a replica has all that wasn't acknowledged.
func (a *acks) recover(lsn store.LSN, since time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.lsn > lsn {
		return
	}
	a.broken = nil
	a.log.Info("a replica acknowledges purchases again", "after", time.Since(since).Round(time.Second), "confirmed_without", a.passed.Load())
}
