package replica

import (
	"errors"
	"slices"

	"github.com/souk-market/souk/internal/market"
)

// reasons are the errors that say of another one what a program can do about it. They
// tell a person nothing that the other's message doesn't.
var reasons = []error{ErrFenced, ErrForeign, ErrReplicaAhead, ErrDiverged, ErrCorrupt, ErrGap, ErrOccupied, ErrBehind, ErrKey, ErrExists}

// Words is an error as an operator reads it: its message, and the cause where that adds
// something.
func Words(err error) string {
	var e *market.Error
	if errors.As(err, &e) && (e.Err == nil || slices.Contains(reasons, e.Err)) {
		return e.Message
	}
	return err.Error()
}

// LevelName is what a level of change files is called in front of people: how far apart
// the moments are that it can be restored to. Level 0 is "seconds".
func LevelName(level int) string { return levelNames[level] }
