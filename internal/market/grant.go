package market

import "time"

// EntitlementState follows what a line gives: downloads, API access, a license.
//
//	active ↔ limited (quota used, until it is reset)
//	active | limited ↔ suspended → active
//	active | limited | suspended → revoked | expired
//
// Only Reinstate leads out of revoked.
type EntitlementState string

const (
	EntitlementActive    EntitlementState = "active"
	EntitlementLimited   EntitlementState = "limited"
	EntitlementSuspended EntitlementState = "suspended"
	EntitlementRevoked   EntitlementState = "revoked"
	EntitlementExpired   EntitlementState = "expired"
)

var entitlementMoves = moves[EntitlementState]{
	EntitlementActive:    {EntitlementLimited, EntitlementSuspended, EntitlementRevoked, EntitlementExpired},
	EntitlementLimited:   {EntitlementActive, EntitlementSuspended, EntitlementRevoked, EntitlementExpired},
	EntitlementSuspended: {EntitlementActive, EntitlementRevoked, EntitlementExpired},
}

// To returns the state after a move, or Conflict.
func (s EntitlementState) To(next EntitlementState) (EntitlementState, error) {
	return entitlementMoves.to("entitlement", s, next)
}

// Reinstate gives back what was revoked, for a reason: a refund that failed, a dispute
// won.
func (s EntitlementState) Reinstate(reason string) (EntitlementState, error) {
	return moves[EntitlementState]{EntitlementRevoked: {EntitlementActive}}.toFor(reason, "entitlement", s, EntitlementActive)
}

// Entitlement is what a paid line gives its buyer: the release's file, and a licence
// when the offer says so. There is one per line.
type Entitlement struct {
	ID       EntitlementID    `cbor:"id"`
	Order    OrderID          `cbor:"order"`
	Line     LineID           `cbor:"line"`
	Checkout CheckoutID       `cbor:"checkout"`
	Agent    AgentID          `cbor:"agent"`
	Email    string           `cbor:"email"`
	State    EntitlementState `cbor:"state"`
	License  LicenseID        `cbor:"license,omitempty"`
	Granted  time.Time        `cbor:"granted"`
}

// LicenseState follows a licence key.
//
//	pending → active → expiring → expired → active (renewed);  active → expired
//	active ↔ suspended (dispute open, seller's action, unpaid)
//	active | suspended | expired → revoked (refund, lost dispute, fraud)
//
// Besides these, expiring, which is active with its end near, may become what active may,
// and active when it is renewed; and pending → revoked, for an order may be refunded
// while it is on hold. Only Reinstate leads out of revoked.
type LicenseState string

const (
	LicensePending   LicenseState = "pending"
	LicenseActive    LicenseState = "active"
	LicenseExpiring  LicenseState = "expiring"
	LicenseSuspended LicenseState = "suspended"
	LicenseExpired   LicenseState = "expired"
	LicenseRevoked   LicenseState = "revoked"
)

var licenseMoves = moves[LicenseState]{
	LicensePending:   {LicenseActive, LicenseRevoked},
	LicenseActive:    {LicenseExpiring, LicenseExpired, LicenseSuspended, LicenseRevoked},
	LicenseExpiring:  {LicenseActive, LicenseExpired, LicenseSuspended, LicenseRevoked},
	LicenseSuspended: {LicenseActive, LicenseRevoked},
	LicenseExpired:   {LicenseActive, LicenseRevoked},
}

// To returns the state after a move, or Conflict.
func (s LicenseState) To(next LicenseState) (LicenseState, error) {
	return licenseMoves.to("license", s, next)
}

// Reinstate gives back a revoked license, for a reason.
func (s LicenseState) Reinstate(reason string) (LicenseState, error) {
	return moves[LicenseState]{LicenseRevoked: {LicenseActive}}.toFor(reason, "license", s, LicenseActive)
}

// ActivationState follows a license in use on one machine.
//
//	active → stale (no heartbeat) → released
//	active → blocked
//
// Besides these, active → released: its owner gives the seat back.
type ActivationState string

const (
	ActivationActive   ActivationState = "active"
	ActivationStale    ActivationState = "stale"
	ActivationReleased ActivationState = "released"
	ActivationBlocked  ActivationState = "blocked"
)

var activationMoves = moves[ActivationState]{
	ActivationActive: {ActivationStale, ActivationReleased, ActivationBlocked},
	ActivationStale:  {ActivationReleased},
}

// To returns the state after a move, or Conflict.
func (s ActivationState) To(next ActivationState) (ActivationState, error) {
	return activationMoves.to("activation", s, next)
}
