package account

import (
	"fmt"
	"hash/maphash"
	"net/netip"
	"sync"
	"time"

	"github.com/souk-market/souk/internal/market"
)

// kind is a kind of allowance of failed attempts. The first failures of a person who mistypes are free;
// whoever guesses gets the pace.
//
//   - One network, whatever the addresses: thirty at once, then one in ten seconds.
//   - One address from one network: five at once, then one a minute.
//   - One address from everywhere: a hundred at once, then one in 36 seconds. It is so
//     wide because strangers can use it up: until they stop, the owner gets in from a
//     browser that has signed in before (device.go), which counts for itself.
//   - One such browser: ten at once, then one a minute.
type kind int

const (
	perNetwork kind = iota
	perAddressNetwork
	perAddress
	perDevice
	kinds
)

// pace allows burst attempts at once and then one every interval.
type pace struct {
	burst    int
	interval time.Duration
}

var paces = [kinds]pace{
	perNetwork:        {30, 10 * time.Second},
	perAddressNetwork: {5, time.Minute},
	perAddress:        {100, 36 * time.Second},
	perDevice:         {10, time.Minute},
}

// slots is the size of each kind's table. With at most four hashes at a time, some 100
// attempts a second, an attacker can hold a few thousand slots empty, not most of them.
const slots = 1 << 15

// throttle counts failed attempts in tables of fixed size, 1 MiB in all: the slot of a
// key is chosen by a keyed hash, and keys that meet in a slot share its allowance. So
// nothing is ever forgotten to make room, which a flood of made-up addresses could
// otherwise bring about.
type throttle struct {
	seed maphash.Seed

	mu sync.Mutex // guards due
	// due is the time, in Unix nanoseconds, at which a slot's whole allowance is back
	// (GCRA, the virtual scheduling algorithm of ITU-T I.371).
	due [kinds][slots]int64
}

func newThrottle() *throttle { return &throttle{seed: maphash.MakeSeed()} }

// charge is what one attempt takes from.
type charge struct {
	kind kind
	slot uint32
}

func (t *throttle) charge(k kind, parts ...string) charge {
	var h maphash.Hash
	h.SetSeed(t.seed)
	for _, part := range parts {
		fmt.Fprintf(&h, "%d:%s", len(part), part)
	}
	return charge{k, uint32(h.Sum64() % slots)}
}

// take takes an attempt from each charge, or from none: then wait is how long until all
// have one again.
func (t *throttle) take(now time.Time, charges []charge) (wait time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, c := range charges {
		p := paces[c.kind]
		free := t.due[c.kind][c.slot] - int64(p.burst-1)*int64(p.interval)
		wait = max(wait, time.Duration(free-now.UnixNano()))
	}
	if wait > 0 {
		return wait
	}
	for _, c := range charges {
		due := &t.due[c.kind][c.slot]
		*due = max(*due, now.UnixNano()) + int64(paces[c.kind].interval)
	}
	return 0
}

// giveBack undoes a take: the attempt was right, or never made.
func (t *throttle) giveBack(charges []charge) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, c := range charges {
		t.due[c.kind][c.slot] -= int64(paces[c.kind].interval)
	}
}

// charges are what an attempt takes from. device is the browser's mark when it has
// signed in to this very account before, else empty.
func (t *throttle) charges(key, remote, device string) []charge {
	if device != "" {
		return []charge{t.charge(perDevice, device)}
	}
	network := networkOf(remote)
	return []charge{
		t.charge(perNetwork, network),
		t.charge(perAddressNetwork, key, network),
		t.charge(perAddress, key),
	}
}

// networkOf is who counts as one network: an IPv4 address or an IPv6 /64, of which a
// single customer has all addresses. What has no address (a Unix socket) is one network.
func networkOf(remote string) string {
	ap, err := netip.ParseAddrPort(remote)
	if err != nil {
		return ""
	}
	addr := ap.Addr().Unmap().WithZone("")
	if addr.Is6() {
		p, _ := addr.Prefix(64) // fails for lengths out of range only
		addr = p.Addr()
	}
	return addr.String()
}

// Throttled is the cause of a RateLimited error: when the next attempt is allowed.
type Throttled struct{ Wait time.Duration }

func (t *Throttled) Error() string { return "too many attempts" }

func tooMany(wait time.Duration) error {
	wait = max(wait.Round(time.Second), time.Second)
	text := fmt.Sprintf("%d seconds", int(wait.Seconds()))
	if wait > 100*time.Second {
		text = fmt.Sprintf("%d minutes", int((wait + time.Minute - 1).Minutes()))
	}
	return market.Errorf(market.RateLimited, "There were too many attempts. Please wait %s and try again; nothing is locked.", text).
		Because(&Throttled{wait})
}
