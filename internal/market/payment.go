package market

import "time"

// PaymentState follows the money of a checkout.
//
//	created → requires_action ↔ requires_method → processing → authorized → captured
//	processing → captured (nothing to authorize first);  any but captured → failed | canceled
//
// Besides these: created → requires_method where that is asked first; created |
// requires_action → processing where nothing more is asked of the buyer; processing →
// requires_method when a card is declined and another may be tried; and captured from
// everywhere, for the news of it may come before any other, and money that comes after
// failed or canceled is honored (see CheckoutState). What was captured, refunded and
// disputed are sums, not states.
type PaymentState string

const (
	PaymentCreated        PaymentState = "created" // recorded here, not yet known to the provider
	PaymentRequiresAction PaymentState = "requires_action"
	PaymentRequiresMethod PaymentState = "requires_method"
	PaymentProcessing     PaymentState = "processing"
	PaymentAuthorized     PaymentState = "authorized"
	PaymentCaptured       PaymentState = "captured"
	PaymentFailed         PaymentState = "failed"
	PaymentCanceled       PaymentState = "canceled"
)

var paymentMoves = moves[PaymentState]{
	PaymentCreated:        {PaymentRequiresAction, PaymentRequiresMethod, PaymentProcessing, PaymentCaptured, PaymentFailed, PaymentCanceled},
	PaymentRequiresAction: {PaymentRequiresMethod, PaymentProcessing, PaymentCaptured, PaymentFailed, PaymentCanceled},
	PaymentRequiresMethod: {PaymentRequiresAction, PaymentProcessing, PaymentCaptured, PaymentFailed, PaymentCanceled},
	PaymentProcessing:     {PaymentAuthorized, PaymentRequiresMethod, PaymentCaptured, PaymentFailed, PaymentCanceled},
	PaymentAuthorized:     {PaymentCaptured, PaymentFailed, PaymentCanceled},
	PaymentFailed:         {PaymentCaptured},
	PaymentCanceled:       {PaymentCaptured},
}

// To returns the state after a move, or Conflict.
func (s PaymentState) To(next PaymentState) (PaymentState, error) {
	return paymentMoves.to("payment", s, next)
}

// Open reports whether the provider may still change the payment, so that it is worth
// asking.
func (s PaymentState) Open() bool {
	switch s {
	case PaymentCreated, PaymentRequiresAction, PaymentRequiresMethod, PaymentProcessing, PaymentAuthorized:
		return true
	}
	return false
}

// Payment is what a provider is asked to collect for a checkout.
type Payment struct {
	ID       PaymentID    `cbor:"id"`
	Checkout CheckoutID   `cbor:"checkout"`
	State    PaymentState `cbor:"state"`
	Amount   Money        `cbor:"amount"`
	Provider string       `cbor:"provider"`
	Live     bool         `cbor:"live,omitempty"`
	Session  string       `cbor:"session,omitempty"` // the provider's ID
	URL      string       `cbor:"url,omitempty"`     // where the buyer pays
	Ref      string       `cbor:"ref,omitempty"`     // the provider's ID of the money movement
	Created  time.Time    `cbor:"created"`
	Captured time.Time    `cbor:"captured,omitzero"`
}

// ProviderEvent records that a provider's event has been dealt with, or why it was put
// aside for the operator. Its key is provider and event ID.
type ProviderEvent struct {
	ID         string    `cbor:"id"` // "sandbox:evt_…"
	Type       string    `cbor:"type"`
	Payment    PaymentID `cbor:"payment,omitempty"`
	Quarantine string    `cbor:"quarantine,omitempty"` // why it doesn't fit; empty when it did
	Received   time.Time `cbor:"received"`
}

// RefundState follows money back to a buyer.
//
//	requested → approved | declined
//	approved → submitted → pending → succeeded | failed
//	failed → submitted (retry) | manual (paid back by other means)
//
// Besides these, submitted → succeeded | failed where the provider answers at once.
// succeeded → failed has one cause: ReturnedByBank.
type RefundState string

const (
	RefundRequested RefundState = "requested"
	RefundApproved  RefundState = "approved"
	RefundDeclined  RefundState = "declined"
	RefundSubmitted RefundState = "submitted" // the provider was asked; its answer isn't known yet
	RefundPending   RefundState = "pending"
	RefundSucceeded RefundState = "succeeded"
	RefundFailed    RefundState = "failed"
	RefundManual    RefundState = "manual"
)

var refundMoves = moves[RefundState]{
	RefundRequested: {RefundApproved, RefundDeclined},
	RefundApproved:  {RefundSubmitted},
	RefundSubmitted: {RefundPending, RefundSucceeded, RefundFailed},
	RefundPending:   {RefundSucceeded, RefundFailed},
	RefundFailed:    {RefundSubmitted, RefundManual},
}

// To returns the state after a move, or Conflict.
func (s RefundState) To(next RefundState) (RefundState, error) {
	return refundMoves.to("refund", s, next)
}

// ReturnedByBank is the move of a refund that had succeeded and that the buyer's bank
// sends back, as for a closed account.
func (s RefundState) ReturnedByBank() (RefundState, error) {
	return moves[RefundState]{RefundSucceeded: {RefundFailed}}.to("refund", s, RefundFailed)
}

// Counts reports whether the refund's amount is no longer there to be refunded. Besides
// pending and succeeded ones (PRODUCT.md B.5) that is a submitted one, which may already
// have become either (C.13), and a manual one, which was paid.
func (s RefundState) Counts() bool {
	return s == RefundSubmitted || s == RefundPending || s == RefundSucceeded || s == RefundManual
}

// RefundPart is one refund's share of what may be refunded.
type RefundPart struct {
	State  RefundState
	Amount Money
}

// Refundable is what is left to refund of an amount: never less than nothing. It is
// Invalid when the refunds that count are more than the amount, or in another currency.
func Refundable(captured Money, refunds ...RefundPart) (Money, error) {
	left, err := captured, error(nil)
	for _, r := range refunds {
		if !r.State.Counts() {
			continue
		}
		if left, err = left.Add(r.Amount.Neg()); err != nil {
			return Money{}, err
		}
	}
	if left.Amount < 0 {
		return Money{}, Errorf(Invalid, "%s more than the %s that were paid are refunded", left.Neg(), captured)
	}
	return left, nil
}

// DisputeState follows a payment that the buyer's bank contests.
//
//	early_warning → prevented (refunded in time) | needs_response
//	needs_response → under_review → won | lost
//	needs_response → lost (deadline over, or accepted)
//
// won ↔ lost has one cause: Overturned.
type DisputeState string

const (
	DisputeEarlyWarning  DisputeState = "early_warning"
	DisputePrevented     DisputeState = "prevented"
	DisputeNeedsResponse DisputeState = "needs_response"
	DisputeUnderReview   DisputeState = "under_review"
	DisputeWon           DisputeState = "won"
	DisputeLost          DisputeState = "lost"
)

var disputeMoves = moves[DisputeState]{
	DisputeEarlyWarning:  {DisputePrevented, DisputeNeedsResponse},
	DisputeNeedsResponse: {DisputeUnderReview, DisputeLost},
	DisputeUnderReview:   {DisputeWon, DisputeLost},
}

// To returns the state after a move, or Conflict.
func (s DisputeState) To(next DisputeState) (DisputeState, error) {
	return disputeMoves.to("dispute", s, next)
}

// Overturned is the move when the bank or the card network changes its verdict.
func (s DisputeState) Overturned() (DisputeState, error) {
	switch s {
	case DisputeWon:
		return DisputeLost, nil
	case DisputeLost:
		return DisputeWon, nil
	}
	return s, Errorf(Conflict, "This dispute is %s and has no verdict to be overturned.", s)
}

// TakesMoney reports whether the disputed amount is with the buyer's bank: it leaves
// when the dispute is opened and returns when it is won. A fee usually doesn't return.
func (s DisputeState) TakesMoney() bool {
	return s == DisputeNeedsResponse || s == DisputeUnderReview || s == DisputeLost
}

// OrderDispute is what an order shows of its disputes, beside its state.
type OrderDispute string

const (
	OrderDisputeNone OrderDispute = ""
	OrderDisputeOpen OrderDispute = "open"
	OrderDisputeWon  OrderDispute = "won"
	OrderDisputeLost OrderDispute = "lost"
)

// DisputeOf computes an order's flag from its disputes: open when one is, else lost when
// one is, else won when one is. Warnings are none yet, and prevented ones never were.
func DisputeOf(disputes ...DisputeState) OrderDispute {
	flag := OrderDisputeNone
	for _, d := range disputes {
		switch {
		case d == DisputeNeedsResponse || d == DisputeUnderReview:
			return OrderDisputeOpen
		case d == DisputeLost:
			flag = OrderDisputeLost
		case d == DisputeWon && flag == OrderDisputeNone:
			flag = OrderDisputeWon
		}
	}
	return flag
}
