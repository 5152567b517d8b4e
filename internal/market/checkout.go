package market

import "time"

// Cart holds a visitor's wishes. It has no prices: they are read when it is shown.
type Cart struct {
	ID      CartID     `cbor:"id"`
	Lines   []CartLine `cbor:"lines"`
	Updated time.Time  `cbor:"updated"`
	// Checkout is the last one that was placed from the cart and had to be paid.
	Checkout CheckoutID `cbor:"checkout,omitempty"`
}

// CartLine is one offer of one agent, at most once in a cart.
type CartLine struct {
	Agent AgentID `cbor:"agent"`
	Offer OfferID `cbor:"offer"`
}

// MaxCartLines bounds a cart, and so the size of a checkout's transactions.
const MaxCartLines = 20

// CheckoutState follows a checkout session.
//
//	open ↔ ready ↔ action_required
//	ready → processing → completed;  processing → ready (declined, to be tried again)
//	open | ready | action_required | processing → expired | canceled
//
// Besides these, a checkout made with all that it needs goes open → processing; one with
// nothing to pay, or paid before the news of it came in turn, goes to completed from
// everywhere. That includes expired and canceled: money that comes late is honored, and
// the buyer served (of PRODUCT.md B.5's two ways with late money, the market's policy).
type CheckoutState string

const (
	CheckoutOpen           CheckoutState = "open" // editable, something missing
	CheckoutReady          CheckoutState = "ready"
	CheckoutActionRequired CheckoutState = "action_required" // a person must go on, as for 3-D Secure
	CheckoutProcessing     CheckoutState = "processing"      // a payment session exists at the provider
	CheckoutCompleted      CheckoutState = "completed"       // the orders are paid
	CheckoutExpired        CheckoutState = "expired"
	CheckoutCanceled       CheckoutState = "canceled"
)

var checkoutMoves = moves[CheckoutState]{
	CheckoutOpen:           {CheckoutReady, CheckoutProcessing, CheckoutCompleted, CheckoutExpired, CheckoutCanceled},
	CheckoutReady:          {CheckoutOpen, CheckoutActionRequired, CheckoutProcessing, CheckoutCompleted, CheckoutExpired, CheckoutCanceled},
	CheckoutActionRequired: {CheckoutReady, CheckoutCompleted, CheckoutExpired, CheckoutCanceled},
	CheckoutProcessing:     {CheckoutReady, CheckoutCompleted, CheckoutExpired, CheckoutCanceled},
	CheckoutExpired:        {CheckoutCompleted},
	CheckoutCanceled:       {CheckoutCompleted},
}

// To returns the state after a move, or Conflict.
func (s CheckoutState) To(next CheckoutState) (CheckoutState, error) {
	return checkoutMoves.to("checkout", s, next)
}

// checkoutDialects are the words of the agentic protocols for the states of a checkout.
var checkoutDialects = map[CheckoutState]struct{ acp, ucp string }{
	CheckoutOpen:           {"not_ready_for_payment", "incomplete"},
	CheckoutReady:          {"ready_for_payment", "ready_for_complete"},
	CheckoutActionRequired: {"authentication_required", "requires_escalation"},
	CheckoutProcessing:     {"in_progress", "complete_in_progress"},
	CheckoutCompleted:      {"completed", "completed"},
	CheckoutExpired:        {"canceled", "canceled"},
	CheckoutCanceled:       {"canceled", "canceled"},
}

// ACP is the state's name in the Agentic Commerce Protocol.
func (s CheckoutState) ACP() string { return checkoutDialects[s].acp }

// UCP is the state's name in the Universal Commerce Protocol.
func (s CheckoutState) UCP() string { return checkoutDialects[s].ucp }

// Checkout freezes a cart: who buys, what, at which prices. It is paid by one payment
// and becomes one order per seller; the buyer's "order" is the group of those, whose
// state is computed (GroupState) and never stored.
type Checkout struct {
	ID      CheckoutID    `cbor:"id"`
	Number  string        `cbor:"number"`  // for people and mails: "S-7K3M-92QX"
	Receipt string        `cbor:"receipt"` // the unguessable name of the receipt page
	Cart    CartID        `cbor:"cart,omitempty"`
	Email   string        `cbor:"email"` // normalized
	State   CheckoutState `cbor:"state"`
	Orders  []OrderID     `cbor:"orders"`
	Payment PaymentID     `cbor:"payment,omitempty"` // none when nothing is to be paid
	Total   Money         `cbor:"total"`
	Terms   string        `cbor:"terms"` // version of the terms agreed to
	Created time.Time     `cbor:"created"`
	Expires time.Time     `cbor:"expires"`
}
