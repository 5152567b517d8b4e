package market

import (
	"slices"
	"time"
)

// Lot is a number of prepaid credits that expire together; never, with the zero time.
type Lot struct {
	Credits int64
	Expires time.Time
}

// expired reports whether the lot's credits can no longer be reserved.
func (l Lot) expired(now time.Time) bool { return !l.Expires.IsZero() && !now.Before(l.Expires) }

// Wallet holds a buyer's free credits, those that expire first in front. Credits that
// are set aside are in a Hold until it is committed or released. So no balance is ever
// negative, and nothing is spent twice. The zero value is empty.
type Wallet struct{ Lots []Lot }

// HoldState follows credits that are set aside: reserved → committed | released.
type HoldState string

const (
	HoldReserved  HoldState = "reserved"
	HoldCommitted HoldState = "committed"
	HoldReleased  HoldState = "released"
)

var holdMoves = moves[HoldState]{HoldReserved: {HoldCommitted, HoldReleased}}

// To returns the state after a move, or Conflict.
func (s HoldState) To(next HoldState) (HoldState, error) { return holdMoves.to("hold", s, next) }

// Hold is credits set aside, with the lots that they came from.
type Hold struct {
	State HoldState
	Parts []Lot
}

// Credits is how many credits the hold has set aside.
func (h *Hold) Credits() int64 { return creditsOf(h.Parts) }

// Balance is how many credits may be reserved now.
func (w *Wallet) Balance(now time.Time) int64 {
	n := int64(0)
	for _, l := range w.Lots {
		if !l.expired(now) {
			n += l.Credits
		}
	}
	return n
}

// Deposit adds credits, one or more; a wallet has 2^53-1 at most.
func (w *Wallet) Deposit(l Lot) error {
	if l.Credits <= 0 || l.Credits > maxAmount-creditsOf(w.Lots) {
		return Errorf(Invalid, "%d credits can't be added: it must be one or more, and a wallet holds %d at most.", l.Credits, int64(maxAmount))
	}
	w.put(l)
	return nil
}

// put adds credits to the lot that expires when they do.
func (w *Wallet) put(l Lot) {
	at, found := slices.BinarySearchFunc(w.Lots, l, firstToExpire)
	if found {
		w.Lots[at].Credits += l.Credits
		return
	}
	w.Lots = slices.Insert(w.Lots, at, l)
}

func firstToExpire(a, b Lot) int {
	switch {
	case a.Expires.IsZero() && b.Expires.IsZero():
		return 0
	case a.Expires.IsZero():
		return 1
	case b.Expires.IsZero():
		return -1
	}
	return a.Expires.Compare(b.Expires)
}

// Reserve sets n credits aside, of those that expire first. It is Conflict, and nothing
// is set aside, when there are fewer.
func (w *Wallet) Reserve(n int64, now time.Time) (Hold, error) {
	if n <= 0 {
		return Hold{}, Errorf(Invalid, "%d credits can't be reserved: it must be one or more.", n)
	}
	if have := w.Balance(now); have < n {
		return Hold{}, Errorf(Conflict, "This needs %d credits and %d are left. Buy more to go on.", n, have)
	}
	h, kept := Hold{State: HoldReserved}, []Lot(nil)
	for _, l := range w.Lots {
		if take := min(l.Credits, n); take > 0 && !l.expired(now) {
			h.Parts = append(h.Parts, Lot{take, l.Expires})
			l.Credits, n = l.Credits-take, n-take
		}
		if l.Credits > 0 {
			kept = append(kept, l)
		}
	}
	w.Lots = kept
	return h, nil
}

// Commit spends used of the hold's credits, those that expire first, and gives back the
// others. Credits that have expired since they were set aside can be spent. It is
// Conflict when the hold is over, and Invalid for more than it has.
func (w *Wallet) Commit(h *Hold, used int64) (err error) {
	if used < 0 || used > h.Credits() {
		return Errorf(Invalid, "%d credits can't be spent of %d that were reserved.", used, h.Credits())
	}
	if h.State, err = h.State.To(HoldCommitted); err != nil {
		return err
	}
	for _, part := range h.Parts {
		spent := min(part.Credits, used)
		used -= spent
		if part.Credits -= spent; part.Credits > 0 {
			w.put(part)
		}
	}
	return nil
}

// Release gives back all of the hold's credits, to expire when they would have. It is
// Conflict when the hold is over.
func (w *Wallet) Release(h *Hold) (err error) {
	if h.State, err = h.State.To(HoldReleased); err != nil {
		return err
	}
	for _, part := range h.Parts {
		w.put(part)
	}
	return nil
}

// Expire drops the lots whose time is over and returns how many credits they had.
func (w *Wallet) Expire(now time.Time) int64 {
	before := creditsOf(w.Lots)
	w.Lots = slices.DeleteFunc(w.Lots, func(l Lot) bool { return l.expired(now) })
	return before - creditsOf(w.Lots)
}

func creditsOf(lots []Lot) int64 {
	n := int64(0)
	for _, l := range lots {
		n += l.Credits
	}
	return n
}
