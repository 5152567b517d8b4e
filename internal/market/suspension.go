package market

// Suspension is why a seller or a listing is suspended, which says how far it goes.
type Suspension string

const (
	SuspensionPayout  Suspension = "payout_problem" // a lapse of identity checks
	SuspensionQuality Suspension = "quality"
	SuspensionFraud   Suspension = "suspected_fraud"
	SuspensionMalware Suspension = "confirmed_malware"
	SuspensionLeft    Suspension = "seller_left"
)

// SuspensionPolicy is what becomes of everything that a suspended seller has to do with.
// It is data, so that an operator may change it and a preview can show it.
type SuspensionPolicy struct {
	Sales    SuspendSales
	Renewals SuspendRenewals
	Access   SuspendAccess
	Keys     SuspendKeys
	Payouts  SuspendPayouts
	Search   SuspendSearch
}

// SuspendSales is what becomes of new sales.
type SuspendSales string

// SuspendRenewals is what becomes of running subscriptions.
type SuspendRenewals string

// SuspendAccess is what becomes of the downloads of those who have bought.
type SuspendAccess string

// SuspendKeys is what becomes of license keys and API access.
type SuspendKeys string

// SuspendPayouts is what becomes of the seller's money.
type SuspendPayouts string

// SuspendSearch is what becomes of the listings in search and on their pages.
type SuspendSearch string

const (
	SalesKept  SuspendSales = "keep"
	SalesHeld  SuspendSales = "hold" // what they earn goes to BucketHeld
	SalesEnded SuspendSales = "stop"

	RenewalsKept     SuspendRenewals = "keep"
	RenewalsPaused   SuspendRenewals = "pause"
	RenewalsRefunded SuspendRenewals = "cancel_and_refund" // what is left of the period
	RenewalsLast     SuspendRenewals = "cancel_at_period_end"

	AccessKept    SuspendAccess = "keep"
	AccessPinned  SuspendAccess = "keep_last_version"
	AccessBlocked SuspendAccess = "block_and_warn" // owners are told

	KeysKept    SuspendKeys = "keep"
	KeysOffline SuspendKeys = "keep_offline" // those that need no server
	KeysRevoked SuspendKeys = "revoke_with_notice"

	PayoutsKept    SuspendPayouts = "keep"
	PayoutsHeld    SuspendPayouts = "hold"
	PayoutsRefunds SuspendPayouts = "hold_for_refunds"
	PayoutsFinal   SuspendPayouts = "final_after_disputes" // one last, once no dispute can come

	SearchKept      SuspendSearch = "keep"
	SearchHidden    SuspendSearch = "hide"
	SearchRemoved   SuspendSearch = "remove"
	SearchTombstone SuspendSearch = "tombstone" // removed, and the page says so
)

// suspensionMatrix is PRODUCT.md B.5's, with its defaults.
var suspensionMatrix = map[Suspension]SuspensionPolicy{
	SuspensionPayout:  {SalesHeld, RenewalsKept, AccessKept, KeysKept, PayoutsHeld, SearchKept},
	SuspensionQuality: {SalesEnded, RenewalsKept, AccessKept, KeysKept, PayoutsKept, SearchHidden},
	SuspensionFraud:   {SalesEnded, RenewalsPaused, AccessKept, KeysKept, PayoutsHeld, SearchHidden},
	SuspensionMalware: {SalesEnded, RenewalsRefunded, AccessBlocked, KeysRevoked, PayoutsRefunds, SearchTombstone},
	SuspensionLeft:    {SalesEnded, RenewalsLast, AccessPinned, KeysOffline, PayoutsFinal, SearchRemoved},
}

// DefaultPolicy is what a suspension does unless the operator chose otherwise; Invalid
// for a reason that isn't one.
func (s Suspension) DefaultPolicy() (SuspensionPolicy, error) {
	p, ok := suspensionMatrix[s]
	if !ok {
		return SuspensionPolicy{}, FieldErrorf("scope", "%q is no reason to suspend: choose one of the list.", string(s))
	}
	return p, nil
}
