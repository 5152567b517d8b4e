package market

// PayeeState follows a seller's payout account at the payment provider.
//
//	not_started → pending → active ↔ restricted (to be fixed by a date) → rejected
//	active → disabled (by the operator)
//
// Besides these, pending → restricted: the provider may ask for more before it agrees.
type PayeeState string

const (
	PayeeNotStarted PayeeState = "not_started"
	PayeePending    PayeeState = "pending"
	PayeeActive     PayeeState = "active"
	PayeeRestricted PayeeState = "restricted"
	PayeeRejected   PayeeState = "rejected"
	PayeeDisabled   PayeeState = "disabled"
)

var payeeMoves = moves[PayeeState]{
	PayeeNotStarted: {PayeePending},
	PayeePending:    {PayeeActive, PayeeRestricted},
	PayeeActive:     {PayeeRestricted, PayeeDisabled},
	PayeeRestricted: {PayeeActive, PayeeRejected},
}

// To returns the state after a move, or Conflict.
func (s PayeeState) To(next PayeeState) (PayeeState, error) {
	return payeeMoves.to("payout account", s, next)
}

// Bucket is where a seller's money stands, per currency. Money moves between buckets as
// a state does, an amount at a time.
//
//	pending (until available) → available → in_payout → paid_out
//	in_payout → available (the payout failed or was canceled)
//	pending | available ↔ held (for a reason);  pending | available → reserved → available
//	available → negative (new sales pay a debt)
//
// A refund above what a seller has makes negative, and the operator's write-off ends it;
// both move money that isn't the seller's. Only Returned leads out of paid_out.
type Bucket string

const (
	BucketPending   Bucket = "pending"
	BucketAvailable Bucket = "available"
	BucketInPayout  Bucket = "in_payout"
	BucketPaidOut   Bucket = "paid_out"
	BucketReserved  Bucket = "reserved" // a rolling part, against refunds to come
	BucketHeld      Bucket = "held"
	BucketNegative  Bucket = "negative"
)

var bucketMoves = moves[Bucket]{
	BucketPending:   {BucketAvailable, BucketReserved, BucketHeld},
	BucketAvailable: {BucketInPayout, BucketReserved, BucketHeld, BucketNegative},
	BucketInPayout:  {BucketPaidOut, BucketAvailable},
	BucketReserved:  {BucketAvailable},
	BucketHeld:      {BucketPending, BucketAvailable},
}

// To returns the bucket after a move, or Conflict.
func (b Bucket) To(next Bucket) (Bucket, error) { return bucketMoves.to("money", b, next) }

// Returned is the move of money whose payout the seller's bank sends back.
func (b Bucket) Returned() (Bucket, error) {
	return moves[Bucket]{BucketPaidOut: {BucketAvailable}}.to("money", b, BucketAvailable)
}

// PayoutState follows money to a seller. A payout's ID names its transfers at the
// provider; after a restore unknown ones are looked up there and never sent again.
//
//	scheduled ↔ held;  scheduled | held → canceled
//	scheduled → processing → in_transit → paid
//	processing | in_transit → failed
//	paid → returned (by the seller's bank; the payout account becomes restricted)
type PayoutState string

const (
	PayoutScheduled  PayoutState = "scheduled"
	PayoutHeld       PayoutState = "held"
	PayoutProcessing PayoutState = "processing"
	PayoutInTransit  PayoutState = "in_transit"
	PayoutPaid       PayoutState = "paid"
	PayoutFailed     PayoutState = "failed"
	PayoutCanceled   PayoutState = "canceled"
	PayoutReturned   PayoutState = "returned"
)

var payoutMoves = moves[PayoutState]{
	PayoutScheduled:  {PayoutHeld, PayoutProcessing, PayoutCanceled},
	PayoutHeld:       {PayoutScheduled, PayoutCanceled},
	PayoutProcessing: {PayoutInTransit, PayoutFailed},
	PayoutInTransit:  {PayoutPaid, PayoutFailed},
	PayoutPaid:       {PayoutReturned},
}

// To returns the state after a move, or Conflict.
func (s PayoutState) To(next PayoutState) (PayoutState, error) {
	return payoutMoves.to("payout", s, next)
}

// Bucket is where the money of a payout stands: on its way, paid out, or the seller's to
// be paid again.
func (s PayoutState) Bucket() Bucket {
	switch s {
	case PayoutScheduled, PayoutHeld, PayoutProcessing, PayoutInTransit:
		return BucketInPayout
	case PayoutPaid:
		return BucketPaidOut
	case PayoutFailed, PayoutCanceled, PayoutReturned:
		return BucketAvailable
	}
	return ""
}
