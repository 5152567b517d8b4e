package market

import "slices"

// moves is a state machine's diagram: from each state the states it may move to. What
// is not listed is refused.
type moves[S ~string] map[S][]S

func (m moves[S]) to(what string, from, next S) (S, error) {
	if slices.Contains(m[from], next) {
		return next, nil
	}
	return from, Errorf(Conflict, "This %s is %s and can't become %s.", what, from, next)
}
