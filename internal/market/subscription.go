package market

import "time"

// SubscriptionState follows a purchase that renews.
//
//	incomplete → active | trialing | incomplete_expired
//	trialing → active | past_due | canceled
//	active ↔ past_due → unpaid → active | canceled
//	active ↔ paused
//
// The flag cancel_at_period_end is set and unset until the period is over; then
// PeriodEnded follows it. Terminate ends a subscription at once.
type SubscriptionState string

const (
	SubscriptionIncomplete        SubscriptionState = "incomplete" // the first payment isn't made
	SubscriptionIncompleteExpired SubscriptionState = "incomplete_expired"
	SubscriptionTrialing          SubscriptionState = "trialing"
	SubscriptionActive            SubscriptionState = "active"
	SubscriptionPastDue           SubscriptionState = "past_due" // a renewal failed and is tried again
	SubscriptionUnpaid            SubscriptionState = "unpaid"   // it isn't tried any more
	SubscriptionPaused            SubscriptionState = "paused"
	SubscriptionCanceled          SubscriptionState = "canceled"
)

var subscriptionMoves = moves[SubscriptionState]{
	SubscriptionIncomplete: {SubscriptionActive, SubscriptionTrialing, SubscriptionIncompleteExpired},
	SubscriptionTrialing:   {SubscriptionActive, SubscriptionPastDue, SubscriptionCanceled},
	SubscriptionActive:     {SubscriptionPastDue, SubscriptionPaused},
	SubscriptionPastDue:    {SubscriptionActive, SubscriptionUnpaid},
	SubscriptionUnpaid:     {SubscriptionActive, SubscriptionCanceled},
	SubscriptionPaused:     {SubscriptionActive},
}

// To returns the state after a move, or Conflict.
func (s SubscriptionState) To(next SubscriptionState) (SubscriptionState, error) {
	return subscriptionMoves.to("subscription", s, next)
}

var subscriptionEnds = moves[SubscriptionState]{
	SubscriptionTrialing: {SubscriptionCanceled},
	SubscriptionActive:   {SubscriptionCanceled},
	SubscriptionPastDue:  {SubscriptionCanceled},
	SubscriptionUnpaid:   {SubscriptionCanceled},
	SubscriptionPaused:   {SubscriptionCanceled},
}

// PeriodEnded is the move at the end of a period that was to be the last; without the
// flag the subscription stays as it is.
func (s SubscriptionState) PeriodEnded(cancelAtPeriodEnd bool) (SubscriptionState, error) {
	if !cancelAtPeriodEnd {
		return s, nil
	}
	return subscriptionEnds.to("subscription", s, SubscriptionCanceled)
}

// Terminate ends a subscription within its period, for a reason: what it gave is gone,
// as for confirmed malware (see SuspensionPolicy).
func (s SubscriptionState) Terminate(reason string) (SubscriptionState, error) {
	return subscriptionEnds.toFor(reason, "subscription", s, SubscriptionCanceled)
}

// Access reports whether a subscriber may use what the subscription gives: while it is
// active or trialing; past due until the end of grace; paused as the seller has set.
func (s SubscriptionState) Access(now, graceEnds time.Time, whilePaused bool) bool {
	switch s {
	case SubscriptionActive, SubscriptionTrialing:
		return true
	case SubscriptionPastDue:
		return now.Before(graceEnds)
	case SubscriptionPaused:
		return whilePaused
	}
	return false
}

// InvoiceState follows one renewal's bill.
//
//	draft → open → paid | void | uncollectible
//	uncollectible → paid
type InvoiceState string

const (
	InvoiceDraft         InvoiceState = "draft"
	InvoiceOpen          InvoiceState = "open"
	InvoicePaid          InvoiceState = "paid"
	InvoiceVoid          InvoiceState = "void"
	InvoiceUncollectible InvoiceState = "uncollectible"
)

var invoiceMoves = moves[InvoiceState]{
	InvoiceDraft:         {InvoiceOpen},
	InvoiceOpen:          {InvoicePaid, InvoiceVoid, InvoiceUncollectible},
	InvoiceUncollectible: {InvoicePaid},
}

// To returns the state after a move, or Conflict.
func (s InvoiceState) To(next InvoiceState) (InvoiceState, error) {
	return invoiceMoves.to("invoice", s, next)
}
