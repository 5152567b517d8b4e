package market

import (
	"slices"
	"strings"
)

// moves is a state machine's diagram: from each state the states it may move to. What
// is not listed is refused. A move that is legal for one cause alone is not in it, but a
// method named for the cause. testdata/states.txt lists every arrow of every machine.
//
// Who made a move, why, when and under which operation ID is not the machine's matter:
// the change log and the operation of the transaction have that.
type moves[S ~string] map[S][]S

func (m moves[S]) to(what string, from, next S) (S, error) {
	if slices.Contains(m[from], next) {
		return next, nil
	}
	return from, Errorf(Conflict, "This %s is %s and can't become %s.", what, from, next)
}

// toFor is a move that needs a reason: Invalid without one.
func (m moves[S]) toFor(reason, what string, from, next S) (S, error) {
	if strings.TrimSpace(reason) == "" {
		return from, FieldErrorf("reason", "Say why: the reason is kept, and shown to whom it concerns.")
	}
	return m.to(what, from, next)
}
