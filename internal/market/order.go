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
//	open → processing → completed;  open → completed (nothing to pay, or paid before we knew)
//	open | processing → expired | canceled
//	processing → open (declined, to be tried again)
//	expired | canceled → completed (late money: the buyer paid, and is served)
//
// "open" includes being ready to pay: a checkout is made with all that it needs.
type CheckoutState string

const (
	CheckoutOpen       CheckoutState = "open"
	CheckoutProcessing CheckoutState = "processing" // a payment session exists at the provider
	CheckoutCompleted  CheckoutState = "completed"
	CheckoutExpired    CheckoutState = "expired"
	CheckoutCanceled   CheckoutState = "canceled"
)

var checkoutMoves = moves[CheckoutState]{
	CheckoutOpen:       {CheckoutProcessing, CheckoutCompleted, CheckoutExpired, CheckoutCanceled},
	CheckoutProcessing: {CheckoutOpen, CheckoutCompleted, CheckoutExpired, CheckoutCanceled},
	CheckoutExpired:    {CheckoutCompleted},
	CheckoutCanceled:   {CheckoutCompleted},
}

// To returns the state after a move, or Conflict.
func (s CheckoutState) To(next CheckoutState) (CheckoutState, error) {
	return checkoutMoves.to("checkout", s, next)
}

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

// OrderState follows one seller's part of a checkout. The states between paid and
// refunded come with refunds.
//
//	pending_payment → paid → fulfilled
//	pending_payment → expired | canceled → paid (late money)
type OrderState string

const (
	OrderPendingPayment OrderState = "pending_payment"
	OrderPaid           OrderState = "paid"
	OrderFulfilled      OrderState = "fulfilled"
	OrderExpired        OrderState = "expired"
	OrderCanceled       OrderState = "canceled"
)

var orderMoves = moves[OrderState]{
	OrderPendingPayment: {OrderPaid, OrderExpired, OrderCanceled},
	OrderPaid:           {OrderFulfilled},
	OrderExpired:        {OrderPaid},
	OrderCanceled:       {OrderPaid},
}

// To returns the state after a move, or Conflict.
func (s OrderState) To(next OrderState) (OrderState, error) { return orderMoves.to("order", s, next) }

// Paid reports whether the buyer's money for the order has arrived (nothing, for a free one).
func (s OrderState) Paid() bool { return s == OrderPaid || s == OrderFulfilled }

// Order is one seller's part of a checkout. Lines are stored inside it: they are few,
// and read and written with it.
type Order struct {
	ID       OrderID    `cbor:"id"`
	Checkout CheckoutID `cbor:"checkout"`
	Seller   SellerID   `cbor:"seller"`
	Email    string     `cbor:"email"`
	State    OrderState `cbor:"state"`
	Lines    []Line     `cbor:"lines"`
	Total    Money      `cbor:"total"`
	Created  time.Time  `cbor:"created"`
	Paid     time.Time  `cbor:"paid,omitzero"`
}

// Line is a thing sold, as it was when it was sold: name, price and commission rule
// are frozen here, and later changes of the listing don't touch it.
type Line struct {
	ID         LineID  `cbor:"id"`
	Agent      AgentID `cbor:"agent"`
	Offer      OfferID `cbor:"offer"`
	Name       string  `cbor:"name"`
	Slug       string  `cbor:"slug"`
	Price      Money   `cbor:"price"`
	Commission Money   `cbor:"commission"`     // the platform's part of Price
	Rule       string  `cbor:"rule,omitempty"` // the rule that made it: "10%"
	License    bool    `cbor:"license,omitempty"`
	Release    Release `cbor:"release"`
}

// PaymentState follows the money of a checkout.
//
//	created → processing → captured;  created → captured (paid before we knew)
//	created | processing → failed | canceled → captured (late money)
type PaymentState string

const (
	PaymentCreated    PaymentState = "created" // recorded here, not yet known to the provider
	PaymentProcessing PaymentState = "processing"
	PaymentCaptured   PaymentState = "captured"
	PaymentFailed     PaymentState = "failed"
	PaymentCanceled   PaymentState = "canceled"
)

var paymentMoves = moves[PaymentState]{
	PaymentCreated:    {PaymentProcessing, PaymentCaptured, PaymentFailed, PaymentCanceled},
	PaymentProcessing: {PaymentCaptured, PaymentFailed, PaymentCanceled},
	PaymentFailed:     {PaymentCaptured},
	PaymentCanceled:   {PaymentCaptured},
}

// To returns the state after a move, or Conflict.
func (s PaymentState) To(next PaymentState) (PaymentState, error) {
	return paymentMoves.to("payment", s, next)
}

// Open reports whether the provider may still change the payment, so that it is worth
// asking.
func (s PaymentState) Open() bool { return s == PaymentCreated || s == PaymentProcessing }

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

// GroupState is what the buyer sees of all orders of a checkout.
type GroupState string

const (
	GroupPending   GroupState = "pending"
	GroupPaid      GroupState = "paid"
	GroupFulfilled GroupState = "fulfilled"
	GroupCanceled  GroupState = "canceled"
)

// GroupOf computes the state of a group from its orders: as far as the least of those
// that are still wanted; canceled when none is.
func GroupOf(orders []Order) GroupState {
	state, wanted := GroupFulfilled, false
	for _, o := range orders {
		switch o.State {
		case OrderExpired, OrderCanceled:
			continue
		case OrderPaid:
			state = GroupPaid
		case OrderFulfilled:
		default:
			return GroupPending
		}
		wanted = true
	}
	if !wanted {
		return GroupCanceled
	}
	return state
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
