package market

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

func TestWalletSpendsWhatExpiresFirst(t *testing.T) {
	var w Wallet
	soon, late := at.Add(time.Hour), at.Add(2*time.Hour)
	for _, l := range []Lot{{5, time.Time{}}, {5, late}, {5, soon}, {1, late}} {
		if err := w.Deposit(l); err != nil {
			t.Fatal(err)
		}
	}
	h, err := w.Reserve(7, at)
	if want := []Lot{{5, soon}, {2, late}}; err != nil || !slices.Equal(h.Parts, want) || w.Balance(at) != 9 {
		t.Fatalf("7 credits are %v, %v; want %v", h.Parts, err, want)
	}
	if err := w.Commit(&h, 6); err != nil || h.State != HoldCommitted {
		t.Fatalf("%v, %v", h, err)
	}
	if want := []Lot{{5, late}, {5, time.Time{}}}; !slices.Equal(w.Lots, want) {
		t.Errorf("6 of 7 are spent, and %v is left; want %v", w.Lots, want)
	}
	if err := w.Release(&h); !Is(err, Conflict) || w.Balance(at) != 10 {
		t.Errorf("a hold that is committed is released: %v, %d are left", err, w.Balance(at))
	}
	if got, n := w.Balance(late), w.Expire(late); got != 5 || n != 5 {
		t.Errorf("%d are left, %d are gone; want 5 of each", got, n)
	}
}

func TestWalletRefuses(t *testing.T) {
	w := Wallet{Lots: []Lot{{5, at}, {5, time.Time{}}}}
	for _, n := range []int64{0, -1} {
		if _, err := w.Reserve(n, at); !Is(err, Invalid) {
			t.Errorf("%d credits: %v", n, err)
		}
		if err := w.Deposit(Lot{Credits: n}); !Is(err, Invalid) {
			t.Errorf("%d credits: %v", n, err)
		}
	}
	if err := w.Deposit(Lot{Credits: maxAmount}); !Is(err, Invalid) {
		t.Errorf("more than a wallet holds: %v", err)
	}
	if h, err := w.Reserve(6, at); !Is(err, Conflict) || h.Parts != nil { // five have expired
		t.Errorf("more than there are: %v, %v", h, err)
	}
	h, err := w.Reserve(5, at)
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range []int64{-1, 6} {
		if err := w.Commit(&h, n); !Is(err, Invalid) || h.State != HoldReserved {
			t.Errorf("%d of 5 are spent: %v", n, err)
		}
	}
	if err := w.Commit(&Hold{}, 0); !Is(err, Conflict) {
		t.Errorf("a hold that never was is spent: %v", err)
	}
}

// FuzzWallet runs what the bytes say, and counts along: nothing is ever negative, lost,
// or spent twice.
func FuzzWallet(f *testing.F) {
	f.Add([]byte{0, 10, 2, 1, 5, 0, 2, 0, 3, 1, 7, 0, 3, 0, 0})
	f.Add([]byte{0, 255, 0, 0, 255, 1, 1, 255, 0, 4, 9, 0, 2, 0, 0, 3, 0, 255})
	for seed := range uint64(50) {
		rng, b := rand.New(rand.NewPCG(seed, 7)), make([]byte, 300)
		for i := range b {
			b[i] = byte(rng.Uint32())
		}
		f.Add(b)
	}
	f.Fuzz(walkWallet)
}

func walkWallet(t *testing.T, steps []byte) {
	var w Wallet
	var holds []Hold
	var deposited, committed, expired int64
	now := at
	for ; len(steps) >= 3; steps = steps[3:] {
		what, n, arg := steps[0]%5, int64(steps[1]), steps[2]
		switch what {
		case 0:
			l := Lot{Credits: n}
			if arg%4 > 0 {
				l.Expires = now.Add(time.Duration(arg%4-1) * time.Hour) // an hour ago in effect, too
			}
			if err := w.Deposit(l); err == nil {
				deposited += n
			}
		case 1:
			before := w.Balance(now)
			h, err := w.Reserve(n, now)
			if ok := n > 0 && n <= before; ok != (err == nil) || err == nil && (h.Credits() != n || w.Balance(now) != before-n) {
				t.Fatalf("%d of %d are reserved as %v, %v; %d are left", n, before, h, err, w.Balance(now))
			}
			if err == nil {
				holds = append(holds, h)
			}
		case 2, 3:
			if len(holds) == 0 {
				continue
			}
			committed += endHold(t, &w, &holds[int(arg)%len(holds)], what == 2, n)
		case 4:
			now = now.Add(time.Duration(n%3) * time.Hour)
			if arg%2 == 0 {
				expired += w.Expire(now)
			}
		}
		reserved := int64(0)
		for i := range holds {
			if holds[i].State == HoldReserved {
				reserved += holds[i].Credits()
			}
		}
		if free := creditsOf(w.Lots); free+reserved+committed+expired != deposited || !ordered(w.Lots) {
			t.Fatalf("%d of %d are free, %d reserved, %d spent, %d expired; %v", free, deposited, reserved, committed, expired, w.Lots)
		}
	}
}

// endHold commits or releases a hold and returns how many credits that spent: none when
// the hold was over.
func endHold(t *testing.T, w *Wallet, h *Hold, commit bool, n int64) int64 {
	was, before, err := h.State, creditsOf(w.Lots), error(nil)
	used := int64(0)
	if commit {
		used = n % (h.Credits() + 1)
		err = w.Commit(h, used)
	} else {
		err = w.Release(h)
	}
	back := creditsOf(w.Lots) - before
	if was != HoldReserved {
		if !Is(err, Conflict) || back != 0 {
			t.Fatalf("a hold that is %s ends again: %v, %d come back", was, err, back)
		}
		return 0
	}
	if err != nil || back != h.Credits()-used {
		t.Fatalf("%d of %d are spent: %v, %d come back", used, h.Credits(), err, back)
	}
	return used
}

// ordered reports whether lots have one or more credits each, and expire one after the
// other.
func ordered(lots []Lot) bool {
	for i, l := range lots {
		if l.Credits <= 0 || i > 0 && firstToExpire(lots[i-1], l) >= 0 {
			return false
		}
	}
	return true
}
