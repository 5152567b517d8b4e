package order

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/souk-market/souk/internal/market"
	"github.com/souk-market/souk/payments"
	"github.com/souk-market/souk/store"
)

// HandleEvent takes in an authentic event of the provider. It returns nil once the
// event's effect, or the reason why it has none, is on disk; the provider is told to
// come again only for an error.
func (s *Shop) HandleEvent(ctx context.Context, ev payments.Event) error {
	id := s.Provider.Name() + ":" + ev.ID
	if ev.Type == payments.EventPaymentFailed && !ev.Session.Paid {
		ev.Session.Status = payments.SessionExpired // complete, and nothing will come of it
	}
	op := store.Op{ID: "event/" + id, Class: store.Transaction}
	var setAside string
	_, err := s.Store.Update(ctx, s.Tenant, op, func(tx *store.Tx) error {
		setAside = ""
		rec := &market.ProviderEvent{ID: id, Type: string(ev.Type), Received: tx.Now()}
		if seen, err := store.Events.Has(tx, id); err != nil || seen {
			return err
		}
		if ev.Type != payments.EventOther {
			p, why, err := s.match(tx, &ev.Session)
			if err != nil {
				return err
			}
			if setAside, rec.Quarantine = why, why; why == "" {
				rec.Payment = p.ID
				if err := s.settle(tx, p, &ev.Session); err != nil {
					return err
				}
			}
		}
		return store.Events.Insert(tx, rec)
	})
	if err == nil && setAside != "" { // it isn't for an event seen before: then nothing has run
		s.Logger.Warn("an event was set aside: it fits no payment", "event", id, "why", setAside)
	}
	return err
}

// SetAside records an authentic event that this instance must not act on (another mode,
// another API version), for the operator to see.
func (s *Shop) SetAside(ctx context.Context, ev payments.Event, why string) error {
	id := s.Provider.Name() + ":" + ev.ID
	_, err := s.Store.Update(ctx, s.Tenant, store.Op{ID: "event/" + id, Class: store.Transaction}, func(tx *store.Tx) error {
		if seen, err := store.Events.Has(tx, id); err != nil || seen {
			return err
		}
		return store.Events.Insert(tx, &market.ProviderEvent{ID: id, Type: string(ev.Type), Quarantine: why, Received: tx.Now()})
	})
	return err
}

// match finds the payment that a session is for and compares the two. why is the reason
// when they don't belong together; then p is not to be touched.
func (s *Shop) match(tx *store.Tx, session *payments.Session) (p *market.Payment, why string, err error) {
	found, err := store.PaymentOf.Load(tx, session.Reference)
	switch {
	case market.Is(err, market.NotFound):
		return nil, fmt.Sprintf("no checkout %q", session.Reference), nil
	case err != nil:
		return nil, "", err
	case found.Provider != s.Provider.Name():
		return nil, "payment of provider " + found.Provider, nil
	case found.Session != "" && found.Session != session.ID:
		return nil, fmt.Sprintf("session %s instead of %s", session.ID, found.Session), nil
	case found.Amount != session.Amount:
		return nil, fmt.Sprintf("amount %s instead of %s", session.Amount, found.Amount), nil
	case found.Live != session.Live:
		return nil, "test and live mode mixed", nil
	}
	return &found, "", nil
}

// settle is what happens when the provider's state of a session is known: the one place
// where a payment becomes captured or comes to nothing. It is idempotent, and never
// moves a payment backwards because of old news.
func (s *Shop) settle(tx *store.Tx, p *market.Payment, session *payments.Session) error {
	if p.State == market.PaymentCaptured {
		return nil
	}
	ch, err := store.Checkouts.Load(tx, p.Checkout)
	if err != nil {
		return err
	}
	p.Session = session.ID
	switch {
	case session.Paid:
		return s.capture(tx, &ch, p, session)
	case session.Status == payments.SessionExpired && p.State.Open():
		return s.release(tx, &ch, p)
	}
	return nil
}

// capture records the money and gives the buyer what it bought.
func (s *Shop) capture(tx *store.Tx, ch *market.Checkout, p *market.Payment, session *payments.Session) (err error) {
	if p.State, err = p.State.To(market.PaymentCaptured); err != nil {
		return err
	}
	p.Ref, p.URL, p.Captured = session.PaymentRef, "", tx.Now()
	if err := store.Payments.Put(tx, p); err != nil {
		return err
	}
	return s.fulfil(tx, ch, tx.Now())
}

// release gives up a checkout that nobody paid.
func (s *Shop) release(tx *store.Tx, ch *market.Checkout, p *market.Payment) (err error) {
	if p.State, err = p.State.To(market.PaymentCanceled); err != nil {
		return err
	}
	p.URL = ""
	if err := store.Payments.Put(tx, p); err != nil {
		return err
	}
	if ch.State, err = ch.State.To(market.CheckoutExpired); err != nil {
		return err
	}
	if err := store.Checkouts.Put(tx, ch); err != nil {
		return err
	}
	orders, err := ordersOf(tx, ch)
	if err != nil {
		return err
	}
	for i := range orders {
		if orders[i].State, err = orders[i].State.To(market.OrderExpired); err != nil {
			return err
		}
		if err := store.Orders.Put(tx, &orders[i]); err != nil {
			return err
		}
	}
	return nil
}

// fulfil makes a checkout's orders paid: postings, entitlements, licences, and the
// receipt's mail job.
func (s *Shop) fulfil(tx *store.Tx, ch *market.Checkout, now time.Time) (err error) {
	if ch.State, err = ch.State.To(market.CheckoutCompleted); err != nil {
		return err
	}
	if err := store.Checkouts.Put(tx, ch); err != nil {
		return err
	}
	orders, err := ordersOf(tx, ch)
	if err != nil {
		return err
	}
	for i := range orders {
		if err := s.fulfilOrder(tx, &orders[i], now); err != nil {
			return err
		}
	}
	if ch.Cart != "" {
		if err := emptyCart(tx, ch.Cart, orders); err != nil {
			return err
		}
	}
	return store.Enqueue(tx, ReceiptMail, ReceiptJob{ch.ID})
}

func (s *Shop) fulfilOrder(tx *store.Tx, o *market.Order, now time.Time) (err error) {
	if o.State, err = o.State.To(market.OrderPaid); err != nil {
		return err
	}
	posting, ok, err := market.SalePosting(o, s.Provider.Name(), now)
	if err != nil {
		return err
	}
	if ok {
		if err := store.Post(tx, &posting); err != nil {
			return err
		}
	}
	for i := range o.Lines {
		if err := grant(tx, o, &o.Lines[i], now); err != nil {
			return err
		}
	}
	// What is granted here is delivered by having it: nothing is left to do by hand.
	if o.State, err = o.State.To(market.OrderFulfilled); err != nil {
		return err
	}
	o.Paid = now
	return store.Orders.Put(tx, o)
}

// grant gives what a line bought.
func grant(tx *store.Tx, o *market.Order, l *market.Line, now time.Time) error {
	e := market.Entitlement{
		ID: market.NewEntitlementID(now), Order: o.ID, Line: l.ID, Checkout: o.Checkout, Agent: l.Agent,
		Email: o.Email, State: market.EntitlementActive, Granted: now,
	}
	if l.License {
		key := market.NewLicenseKey()
		lic := market.License{
			ID: market.NewLicenseID(now), Entitlement: e.ID, Agent: l.Agent, Key: key,
			KeyHash: market.HashLicenseKey(key), State: market.LicenseActive, Issued: now,
		}
		e.License = lic.ID
		if err := store.Licenses.Insert(tx, &lic); err != nil {
			return err
		}
	}
	return store.Entitlements.Insert(tx, &e)
}

// emptyCart takes what has been bought out of the cart; what was added since stays.
func emptyCart(tx *store.Tx, id market.CartID, orders []market.Order) error {
	c, err := loadCart(tx, id)
	if err != nil || c.Updated.IsZero() {
		return err
	}
	bought := map[market.AgentID]bool{}
	for _, o := range orders {
		for _, l := range o.Lines {
			bought[l.Agent] = true
		}
	}
	kept := c.Lines[:0]
	for _, l := range c.Lines {
		if !bought[l.Agent] {
			kept = append(kept, l)
		}
	}
	if c.Lines = kept; len(kept) == 0 {
		return store.Carts.Delete(tx, id)
	}
	return store.Carts.Put(tx, &c)
}

// look asks the provider about an open payment and settles what it says. It is for
// whoever has reason to believe that there is news: the buyer's return, a reconcile.
func (s *Shop) look(ctx context.Context, p *market.Payment) error {
	session, err := s.Provider.Session(ctx, p.Session)
	if market.Is(err, market.NotFound) {
		session = payments.Session{ID: p.Session, Status: payments.SessionExpired, Reference: p.Checkout, Amount: p.Amount, Live: p.Live}
		s.Logger.Warn("the provider doesn't know a session; its checkout is given up", "payment", p.ID)
	} else if err != nil {
		return err
	}
	_, err = s.Store.Update(ctx, s.Tenant, store.Op{Class: store.Transaction}, func(tx *store.Tx) error {
		now, why, err := s.match(tx, &session)
		if err != nil {
			return err
		}
		if why != "" {
			return market.Errorf(market.Conflict, "The provider's session %s isn't that of payment %s: %s.", session.ID, p.ID, why)
		}
		return s.settle(tx, now, &session)
	})
	return err
}

// reconcileAfter is how old a payment is before the reconcile job asks about it: the
// webhook and the return page come first.
const reconcileAfter = time.Minute

// Reconcile asks the provider about open payments, so that an order completes even when
// no webhook arrives and the buyer doesn't come back; gives up checkouts that ran out
// without a session; and forgets old carts. It is meant to run every minute.
func (s *Shop) Reconcile(ctx context.Context) error {
	open, err := s.openPayments(ctx, reconcileAfter)
	if err != nil {
		return err
	}
	var errs []error
	for i := range open {
		errs = append(errs, s.reconcile(ctx, &open[i]))
	}
	return errors.Join(append(errs, s.pruneCarts(ctx), s.pruneOps(ctx))...)
}

// ReconcileAll asks about every open payment whatever its age: after a restore.
func (s *Shop) ReconcileAll(ctx context.Context) error {
	open, err := s.openPayments(ctx, 0)
	if err != nil {
		return err
	}
	var errs []error
	for i := range open {
		errs = append(errs, s.reconcile(ctx, &open[i]))
	}
	return errors.Join(errs...)
}

func (s *Shop) openPayments(ctx context.Context, age time.Duration) (open []market.Payment, err error) {
	err = s.Store.View(ctx, s.Tenant, func(tx *store.ReadTx) error {
		for row, err := range store.OpenPayments.Scan(tx, store.All{}, "") {
			if err != nil {
				return err
			}
			if row.Record.Created.After(tx.Now().Add(-age)) {
				break
			}
			open = append(open, row.Record)
		}
		return nil
	})
	return open, err
}

func (s *Shop) reconcile(ctx context.Context, p *market.Payment) error {
	if p.Provider != s.Provider.Name() || p.Live != s.Provider.Live() {
		return nil // another provider's, from before the configuration changed
	}
	if p.Session != "" {
		if err := s.look(ctx, p); err != nil {
			return fmt.Errorf("order: reconciling %s: %w", p.ID, err)
		}
		return nil
	}
	_, err := s.Store.Update(ctx, s.Tenant, store.Op{Class: store.Transaction}, func(tx *store.Tx) error {
		now, err := store.Payments.Load(tx, p.ID)
		if err != nil || now.Session != "" || !now.State.Open() {
			return err
		}
		ch, err := store.Checkouts.Load(tx, now.Checkout)
		if err != nil || tx.Now().Before(ch.Expires) {
			return err
		}
		return s.release(tx, &ch, &now) // the buyer never got an address to pay at
	})
	return err
}

// Of the operations, so many are looked at in one transaction, and in one run at most.
const (
	opsAtOnce = store.MaxWrites
	opsPerRun = 20 * opsAtOnce
)

// pruneOps forgets operations that nobody repeats any more. It goes on where the run
// before ended, so that in time it comes by all of them.
func (s *Shop) pruneOps(ctx context.Context) error {
	s.pruneMu.Lock()
	defer s.pruneMu.Unlock()
	for range opsPerRun / opsAtOnce {
		var next string
		_, err := s.Store.Update(ctx, s.Tenant, store.Op{Class: store.Ephemeral}, func(tx *store.Tx) (err error) {
			_, next, err = store.PruneOps(tx, tx.Now().Add(-store.OpKept), s.prunedTo, opsAtOnce)
			return err
		})
		if err != nil {
			return err
		}
		if s.prunedTo = next; next == "" {
			return nil
		}
	}
	return nil
}
