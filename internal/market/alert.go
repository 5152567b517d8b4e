package market

import "time"

// AlertJob is the kind of the jobs that tell the operator of a failure. The payload is an
// Alert.
const AlertJob = "alert"

// Alert is something that a person who runs the marketplace has to know. It holds no
// secret: it travels by mail and is logged.
type Alert struct {
	Subject string    `cbor:"subject"` // a line
	Text    string    `cbor:"text"`    // what happened, and what to do
	At      time.Time `cbor:"at"`
}
