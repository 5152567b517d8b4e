package market

import "time"

// Drill is one rehearsed restore, and what it showed. A running one that is no longer
// being run was cut off, as by a crash.
type Drill struct {
	ID      DrillID    `cbor:"id"`
	State   DrillState `cbor:"state"`
	Reason  string     `cbor:"reason,omitempty"`  // of a failed one, for the operator
	Planned bool       `cbor:"planned,omitempty"` // begun by the schedule, not by a person
	Source  string     `cbor:"source"`            // the replica's URL, without credentials
	Started time.Time  `cbor:"started"`
	Ended   time.Time  `cbor:"ended,omitzero"`

	// Where in its history the replica was restored.
	Generation uint32    `cbor:"generation,omitempty"`
	TXID       uint64    `cbor:"txid,omitempty"`
	LSN        uint64    `cbor:"lsn,omitempty"`
	CutAt      time.Time `cbor:"cut_at,omitzero"` // when the last file applied was cut

	// RPO is what a loss of the machine would have cost at the start: how long a commit
	// made then took to be in the replica, or how old the newest file was where the
	// replica isn't one that the server ships to.
	RPO time.Duration `cbor:"rpo,omitempty"`
	// RTO is the time from the first request to the end of the check.
	RTO time.Duration `cbor:"rto,omitempty"`

	Files     int   `cbor:"files,omitempty"` // change files and snapshots read
	Bytes     int64 `cbor:"bytes,omitempty"` // of those
	Blobs     int   `cbor:"blobs,omitempty"`
	BlobBytes int64 `cbor:"blob_bytes,omitempty"`
	Keys      int   `cbor:"keys,omitempty"` // read by the check

	// Compared says with what the restored data was found equal: DrillWhole, DrillPart
	// or DrillNothing.
	Compared DrillComparison `cbor:"compared,omitempty"`
	Digest   string          `cbor:"digest,omitempty"` // SHA-256 in hexadecimal of what was compared
}

// Took is how long the drill ran, 0 while it runs.
func (d *Drill) Took() time.Duration {
	if d.Ended.IsZero() {
		return 0
	}
	return d.Ended.Sub(d.Started)
}

// DrillComparison is how much of a restored database could be compared with the live one.
type DrillComparison string

const (
	DrillWhole   DrillComparison = "whole" // every key and value, at the same commit
	DrillPart    DrillComparison = "part"  // all that hasn't changed since the replica's last commit
	DrillNothing DrillComparison = ""      // the change log doesn't reach back that far, or there is no live one
)
