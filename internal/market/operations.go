package market

import "time"

// EndpointState follows an address that webhooks are sent to.
//
//	enabled → degraded → disabled (failing for days) → enabled
//	enabled → disabled (it answers 410 Gone)
//
// Besides these, degraded → enabled when it answers again.
type EndpointState string

const (
	EndpointEnabled  EndpointState = "enabled"
	EndpointDegraded EndpointState = "degraded"
	EndpointDisabled EndpointState = "disabled"
)

var endpointMoves = moves[EndpointState]{
	EndpointEnabled:  {EndpointDegraded, EndpointDisabled},
	EndpointDegraded: {EndpointEnabled, EndpointDisabled},
	EndpointDisabled: {EndpointEnabled},
}

// To returns the state after a move, or Conflict.
func (s EndpointState) To(next EndpointState) (EndpointState, error) {
	return endpointMoves.to("webhook endpoint", s, next)
}

// DeliveryState follows one event on its way to one endpoint.
//
//	queued → sending → delivered | retrying
//	retrying → sending | exhausted
//
// Only Replay leads out of delivered and exhausted.
type DeliveryState string

const (
	DeliveryQueued    DeliveryState = "queued"
	DeliverySending   DeliveryState = "sending"
	DeliveryRetrying  DeliveryState = "retrying" // after n attempts
	DeliveryDelivered DeliveryState = "delivered"
	DeliveryExhausted DeliveryState = "exhausted"
)

var deliveryMoves = moves[DeliveryState]{
	DeliveryQueued:   {DeliverySending},
	DeliverySending:  {DeliveryDelivered, DeliveryRetrying},
	DeliveryRetrying: {DeliverySending, DeliveryExhausted},
}

// To returns the state after a move, or Conflict.
func (s DeliveryState) To(next DeliveryState) (DeliveryState, error) {
	return deliveryMoves.to("delivery", s, next)
}

// Replay sends a delivery again, on a person's word. It keeps its ID, so that the
// receiver knows it again.
func (s DeliveryState) Replay() (DeliveryState, error) {
	return moves[DeliveryState]{DeliveryDelivered: {DeliveryQueued}, DeliveryExhausted: {DeliveryQueued}}.to("delivery", s, DeliveryQueued)
}

// ReplicaState is how far a replica is behind.
//
//	healthy ↔ lagging (more than ReplicaLag) → broken → healthy
//
// Besides these, healthy → broken: a replica can break without falling behind first.
type ReplicaState string

const (
	ReplicaHealthy ReplicaState = "healthy"
	ReplicaLagging ReplicaState = "lagging"
	ReplicaBroken  ReplicaState = "broken"
)

// ReplicaLag is how old the oldest unshipped commit of a healthy replica may be.
const ReplicaLag = 60 * time.Second

var replicaMoves = moves[ReplicaState]{
	ReplicaHealthy: {ReplicaLagging, ReplicaBroken},
	ReplicaLagging: {ReplicaHealthy, ReplicaBroken},
	ReplicaBroken:  {ReplicaHealthy},
}

// To returns the state after a move, or Conflict.
func (s ReplicaState) To(next ReplicaState) (ReplicaState, error) {
	return replicaMoves.to("replica", s, next)
}

// DrillState follows a rehearsed restore: running → passed | failed (with a reason).
type DrillState string

const (
	DrillRunning DrillState = "running"
	DrillPassed  DrillState = "passed"
	DrillFailed  DrillState = "failed"
)

var drillMoves = moves[DrillState]{DrillRunning: {DrillPassed, DrillFailed}}

// To returns the state after a move, or Conflict.
func (s DrillState) To(next DrillState) (DrillState, error) {
	return drillMoves.to("restore drill", s, next)
}

// InstanceState is what a running instance does. PRODUCT.md B.5 names the states; the
// arrows follow from B.4 (6), a restore.
//
//	normal ↔ read_only
//	restoring → fenced (no mail, webhooks or payouts) → normal (released by the operator)
//	normal | read_only → fenced (another instance has taken over)
type InstanceState string

const (
	InstanceNormal    InstanceState = "normal"
	InstanceReadOnly  InstanceState = "read_only"
	InstanceFenced    InstanceState = "fenced"
	InstanceRestoring InstanceState = "restoring"
)

var instanceMoves = moves[InstanceState]{
	InstanceNormal:    {InstanceReadOnly, InstanceFenced},
	InstanceReadOnly:  {InstanceNormal, InstanceFenced},
	InstanceRestoring: {InstanceFenced},
	InstanceFenced:    {InstanceNormal},
}

// To returns the state after a move, or Conflict.
func (s InstanceState) To(next InstanceState) (InstanceState, error) {
	return instanceMoves.to("instance", s, next)
}
