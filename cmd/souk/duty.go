package main

import (
	"context"
	"log/slog"
	"sync"

	"github.com/souk-market/souk/internal/market"
	"github.com/souk-market/souk/store"
)

// duty says whether this server may act for the marketplace: write, send mail, ask the
// payment provider. Without duty its pages go on, and the store refuses every write with
// the reason.
type duty struct {
	db  *store.DB
	log *slog.Logger

	mu      sync.Mutex    // guards everything below
	fenced  error         // another server has taken over; for good
	ended   bool          // fenced is the whole reason, and in the log
	away    error         // the lease is lost, until it is back
	changed chan struct{} // closed and renewed when the duty ends or comes back
}

func newDuty(db *store.DB, log *slog.Logger) *duty {
	return &duty{db: db, log: log, changed: make(chan struct{})}
}

// stop ends the duty for good, because another server has taken over; end follows, when
// it is known what only this server has.
func (d *duty) stop(reason error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.fenced == nil {
		d.fenced = reason
		d.apply()
	}
}

// end ends the duty for good: another server has taken over. The first reason stands.
func (d *duty) end(reason error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.ended {
		return
	}
	d.fenced, d.ended = reason, true
	d.apply()
	d.log.Error("another server has taken over: this one writes nothing more, sends no mail, and shows its pages only", "err", reason)
}

// pause ends the duty until resume.
func (d *duty) pause(reason error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.away = reason
	d.apply()
	d.log.Error("nothing is sold while the lease can't be renewed", "err", reason)
}

func (d *duty) resume() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.away = nil
	d.apply()
	d.log.Info("the lease is renewed again", "selling", d.fenced == nil)
}

// apply tells the store and whoever waits; mu is held.
func (d *duty) apply() {
	switch {
	case d.fenced != nil:
		d.db.SetReadOnly(market.Errorf(market.Unavailable,
			"Nothing can be bought or changed here: another server has taken over this marketplace. Please reload the page in a minute.").Because(d.fenced))
	case d.away != nil:
		d.db.SetReadOnly(market.Errorf(market.Unavailable,
			"Buying is paused, because this server can't reach its safe copy. Please try again in a minute.").Because(d.away))
	default:
		d.db.SetReadOnly(nil)
	}
	close(d.changed)
	d.changed = make(chan struct{})
}

// is returns why there is no duty, nil while there is, and what is closed when that changes.
func (d *duty) is() (changed <-chan struct{}, reason error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.fenced != nil {
		return d.changed, d.fenced
	}
	return d.changed, d.away
}

// err is why there is no duty, nil while there is.
func (d *duty) err() error {
	_, reason := d.is()
	return reason
}

// while makes a part that acts only on duty: its context ends with the duty, and it is
// run anew when the duty is back.
func (d *duty) while(p part) part {
	return part{p.name, func(ctx context.Context) error {
		for ctx.Err() == nil {
			changed, reason := d.is()
			if reason == nil {
				if err, off := d.until(ctx, changed, p.run); !off {
					return err
				}
				continue
			}
			select {
			case <-changed:
			case <-ctx.Done():
			}
		}
		return nil
	}}
}

// until runs a part until the duty changes, and reports whether that ended it.
func (d *duty) until(ctx context.Context, changed <-chan struct{}, run func(context.Context) error) (err error, off bool) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var watching sync.WaitGroup
	watching.Go(func() {
		select {
		case <-changed:
			cancel()
		case <-ctx.Done():
		}
	})
	err = run(ctx)
	off = d.err() != nil && ctx.Err() != nil
	cancel()
	watching.Wait()
	return err, off
}
