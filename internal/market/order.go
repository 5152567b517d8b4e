package market

import "time"

// OrderState follows one seller's part of a checkout.
//
//	pending_payment → payment_processing → paid → fulfilling → fulfilled → closed (refund window over)
//	pending_payment → expired | canceled
//	paid → on_hold (fraud review) → paid | refunded
//	paid | fulfilled → partially_refunded → refunded
//
// Besides these: payment_processing → pending_payment when the card is declined;
// pending_payment → paid where nothing is to be paid or the money needs no processing;
// paid → fulfilled where granting takes no time; paid | fulfilled → refunded for all
// lines at once; expired | canceled → paid for late money, which is honored (see
// CheckoutState). A refund that the bank returns leads back: RefundReturned.
type OrderState string

const (
	OrderPendingPayment    OrderState = "pending_payment"
	OrderPaymentProcessing OrderState = "payment_processing"
	OrderPaid              OrderState = "paid"
	OrderOnHold            OrderState = "on_hold"
	OrderFulfilling        OrderState = "fulfilling"
	OrderFulfilled         OrderState = "fulfilled"
	OrderClosed            OrderState = "closed"
	OrderPartiallyRefunded OrderState = "partially_refunded"
	OrderRefunded          OrderState = "refunded"
	OrderExpired           OrderState = "expired"
	OrderCanceled          OrderState = "canceled"
)

var orderMoves = moves[OrderState]{
	OrderPendingPayment:    {OrderPaymentProcessing, OrderPaid, OrderExpired, OrderCanceled},
	OrderPaymentProcessing: {OrderPaid, OrderPendingPayment},
	OrderPaid:              {OrderFulfilling, OrderFulfilled, OrderOnHold, OrderPartiallyRefunded, OrderRefunded},
	OrderOnHold:            {OrderPaid, OrderRefunded},
	OrderFulfilling:        {OrderFulfilled},
	OrderFulfilled:         {OrderClosed, OrderPartiallyRefunded, OrderRefunded},
	OrderPartiallyRefunded: {OrderRefunded},
	OrderExpired:           {OrderPaid},
	OrderCanceled:          {OrderPaid},
}

// To returns the state after a move, or Conflict.
func (s OrderState) To(next OrderState) (OrderState, error) { return orderMoves.to("order", s, next) }

var orderRefundReturned = moves[OrderState]{
	OrderRefunded:          {OrderPartiallyRefunded, OrderFulfilled, OrderPaid},
	OrderPartiallyRefunded: {OrderFulfilled, OrderPaid},
}

// RefundReturned is the move back when a refund that had succeeded fails after all
// (RefundState.ReturnedByBank): what it had taken is the buyer's again.
func (s OrderState) RefundReturned(next OrderState) (OrderState, error) {
	return orderRefundReturned.to("order", s, next)
}

// Paid reports whether the buyer's money for the order has arrived (nothing, for a free
// one), whatever went back since.
func (s OrderState) Paid() bool {
	switch s {
	case OrderPaid, OrderOnHold, OrderFulfilling, OrderFulfilled, OrderClosed, OrderPartiallyRefunded, OrderRefunded:
		return true
	}
	return false
}

// orderACP are the states in the words of the Agentic Commerce Protocol, where a refund
// is an adjustment of an order and no state of it.
var orderACP = map[OrderState]string{
	OrderPendingPayment: "created", OrderPaymentProcessing: "created", OrderPaid: "confirmed", OrderOnHold: "manual_review",
	OrderFulfilling: "processing", OrderFulfilled: "completed", OrderClosed: "completed", OrderPartiallyRefunded: "completed",
	OrderRefunded: "completed", OrderExpired: "canceled", OrderCanceled: "canceled",
}

// ACP is the state's name in the Agentic Commerce Protocol.
func (s OrderState) ACP() string { return orderACP[s] }

// Order is one seller's part of a checkout. Lines are stored inside it: they are few,
// and read and written with it.
type Order struct {
	ID       OrderID      `cbor:"id"`
	Checkout CheckoutID   `cbor:"checkout"`
	Seller   SellerID     `cbor:"seller"`
	Email    string       `cbor:"email"`
	State    OrderState   `cbor:"state"`
	Dispute  OrderDispute `cbor:"dispute,omitempty"` // laid over the state: DisputeOf
	Lines    []Line       `cbor:"lines"`
	Total    Money        `cbor:"total"` // never changes; what goes back is refunds
	Created  time.Time    `cbor:"created"`
	Paid     time.Time    `cbor:"paid,omitzero"`
}

// Line is a thing sold, as it was when it was sold: name, offer, price, commission rule and
// terms are frozen here, and later changes of the listing don't touch it.
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

	OfferName string   `cbor:"offername,omitempty"` // where the agent had several offers
	Includes  []string `cbor:"includes,omitempty"`  // what the offer gave besides
	Terms     Terms    `cbor:"terms,omitzero"`      // SoldUnder
}

// LineState follows a thing sold.
//
//	ordered → granted → partially_revoked → revoked → refunded
//	granted → revoked;  partially_revoked → refunded (of that part)
//
// Besides these, ordered → refunded: of an order that was on hold nothing was granted.
type LineState string

const (
	LineOrdered          LineState = "ordered"
	LineGranted          LineState = "granted"
	LinePartiallyRevoked LineState = "partially_revoked"
	LineRevoked          LineState = "revoked"
	LineRefunded         LineState = "refunded"
)

var lineMoves = moves[LineState]{
	LineOrdered:          {LineGranted, LineRefunded},
	LineGranted:          {LinePartiallyRevoked, LineRevoked},
	LinePartiallyRevoked: {LineRevoked, LineRefunded},
	LineRevoked:          {LineRefunded},
}

// To returns the state after a move, or Conflict.
func (s LineState) To(next LineState) (LineState, error) { return lineMoves.to("line", s, next) }

var lineReinstated = moves[LineState]{
	LinePartiallyRevoked: {LineGranted},
	LineRevoked:          {LineGranted},
	LineRefunded:         {LineGranted},
}

// Reinstate gives back what was taken, for a reason: a refund that failed, a dispute won.
func (s LineState) Reinstate(reason string) (LineState, error) {
	return lineReinstated.toFor(reason, "line", s, LineGranted)
}

// Quantity counts a line's units, as ACP does: how many were ordered, how many of them
// the buyer still wants and pays for, and how many were granted.
type Quantity struct{ Ordered, Current, Fulfilled int64 }

// Valid reports whether 0 ≤ Fulfilled ≤ Ordered and 0 ≤ Current ≤ Ordered. Fulfilled is
// above Current where something was granted and refunded since.
func (q Quantity) Valid() bool {
	return q.Ordered > 0 && q.Current >= 0 && q.Current <= q.Ordered && q.Fulfilled >= 0 && q.Fulfilled <= q.Ordered
}

// GroupState is what the buyer sees of all orders of a checkout.
type GroupState string

const (
	GroupPending            GroupState = "pending"
	GroupPaid               GroupState = "paid"
	GroupPartiallyFulfilled GroupState = "partially_fulfilled"
	GroupFulfilled          GroupState = "fulfilled"
	GroupPartiallyRefunded  GroupState = "partially_refunded"
	GroupRefunded           GroupState = "refunded"
	GroupDisputed           GroupState = "disputed"
	GroupCanceled           GroupState = "canceled"
)

// GroupOf computes the state of a group from its orders, of which those that expired or
// were canceled don't count. It is the first that fits: canceled when none counts,
// pending when one isn't paid (or is in a state that this binary doesn't know),
// disputed when one is, refunded when all are, partially_refunded when one is in part or
// whole, fulfilled when all are, partially_fulfilled when one is, and paid.
func GroupOf(orders []Order) GroupState {
	var counted, paid, disputed, refunded, touched, fulfilled int
	for _, o := range orders {
		if o.State == OrderExpired || o.State == OrderCanceled {
			continue
		}
		counted++
		paid += count(o.State.Paid())
		disputed += count(o.Dispute == OrderDisputeOpen)
		refunded += count(o.State == OrderRefunded)
		touched += count(o.State == OrderRefunded || o.State == OrderPartiallyRefunded)
		fulfilled += count(o.State == OrderFulfilled || o.State == OrderClosed)
	}
	switch {
	case counted == 0:
		return GroupCanceled
	case paid < counted:
		return GroupPending
	case disputed > 0:
		return GroupDisputed
	case refunded == counted:
		return GroupRefunded
	case touched > 0:
		return GroupPartiallyRefunded
	case fulfilled == counted:
		return GroupFulfilled
	case fulfilled > 0:
		return GroupPartiallyFulfilled
	}
	return GroupPaid
}

func count(yes bool) int {
	if yes {
		return 1
	}
	return 0
}
