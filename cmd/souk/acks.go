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

// acks makes what moves money wait until the first listed replica has it. The others don't
// count, however fast they answer: the first one holds every purchase that was confirmed,
// so an operator who has lost the machine knows which replica to go on from. That another
// server has taken over at one of the others ends this one's duty.
type acks struct {
	config SyncConfig
	first  confirmer
	log    *slog.Logger
	looked sync.Once // whether the first can be fenced

	mu     sync.Mutex // guards what follows
	broken error      // why the first doesn't acknowledge; nil while it does
	lsn    store.LSN  // the last commit that wasn't acknowledged in time

	wake   chan struct{} // has room for one: broken has been set
	passed atomic.Uint64 // confirmed without an acknowledgement
}

// confirmer is the replica whose acknowledgement confirms purchases.
type confirmer interface {
	// Wait returns when the replica has a commit.
	Wait(ctx context.Context, lsn store.LSN) error
	// Status is cheap. It has the replica's capabilities once the replica has been opened.
	Status() replica.Status
}

func newAcks(c SyncConfig, first confirmer, log *slog.Logger) *acks {
	return &acks{config: c, first: first, log: log, wake: make(chan struct{}, 1)}
}

// lookAtFence warns, once the replica is known, when nothing keeps a second server from
// writing over what it has acknowledged.
func (a *acks) lookAtFence() {
	can := a.first.Status().Capabilities
	if can == nil || can.CreateIfAbsent {
		return
	}
	a.looked.Do(func() {
		a.log.Warn("the first replica confirms purchases, and its storage can't create an object only where none is: a second server that writes to it " +
			"would overwrite purchases that were confirmed. Never run two servers on it, or list a replica first whose storage can")
	})
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
	err := a.first.Wait(limited, lsn)
	switch {
	case err == nil:
		a.lookAtFence()
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

// refuse returns why nothing that moves money may begin, nil when it may.
func (a *acks) refuse() error {
	err := a.err()
	if err == nil || a.config.Continue {
		return nil
	}
	return market.Errorf(market.Unavailable, "Buying is paused, because the safe copy of the marketplace can't be reached. "+
		"Nothing was charged. Please try again in a minute.").Because(err)
}

// err is why the first replica doesn't acknowledge, nil while it does.
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
		a.log.Error("the first replica has not acknowledged a purchase in time: purchases are confirmed without it until it does", "limit", a.config.Timeout, "err", err)
	} else {
		a.log.Error("the first replica has not acknowledged a purchase in time: purchases are refused until it does", "limit", a.config.Timeout, "err", err)
	}
}

// run waits, whenever acknowledgements fail, until the replica has what was not
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
			if err := a.first.Wait(ctx, lsn); err != nil { // fenced, or the end
				<-ctx.Done()
				return nil
			}
			a.recover(lsn, since)
		}
	}
}

// recover ends the alarm when the replica has all that wasn't acknowledged.
func (a *acks) recover(lsn store.LSN, since time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.lsn > lsn {
		return
	}
	a.broken = nil
	a.log.Info("the first replica acknowledges purchases again", "after", time.Since(since).Round(time.Second), "confirmed_without", a.passed.Load())
}
