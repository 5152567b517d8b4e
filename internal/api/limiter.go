package api

import (
	"net/netip"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// limiter bounds how often each client address may do something. It remembers at most
// maxClients addresses, about 1.5 MB: when half of them are young, the older half is
// forgotten, which gives those clients their burst back and nothing more.
type limiter struct {
	limit rate.Limit
	burst int

	mu         sync.Mutex // guards the maps
	young, old map[netip.Addr]*rate.Limiter
}

const maxClients = 10_000

func newLimiter(limit rate.Limit, burst int) *limiter {
	return &limiter{limit: limit, burst: burst, young: map[netip.Addr]*rate.Limiter{}}
}

// allow takes one from a client's allowance. When there is none left, it returns how long
// until there is.
func (l *limiter) allow(remote string, now time.Time) (wait time.Duration, ok bool) {
	r := l.of(client(remote)).ReserveN(now, 1)
	if wait = r.DelayFrom(now); wait == 0 {
		return 0, true
	}
	r.CancelAt(now)
	return wait, false
}

func (l *limiter) of(c netip.Addr) *rate.Limiter {
	l.mu.Lock()
	defer l.mu.Unlock()
	if lim, ok := l.young[c]; ok {
		return lim
	}
	lim, ok := l.old[c]
	if !ok {
		lim = rate.NewLimiter(l.limit, l.burst)
	}
	if len(l.young) == maxClients/2 {
		l.young, l.old = map[netip.Addr]*rate.Limiter{}, l.young
	}
	l.young[c] = lim
	return lim
}

// client is who counts as one client: an IPv4 address or an IPv6 /64, of which a single
// customer has all addresses. What has no address (a Unix socket) is one client.
func client(remote string) netip.Addr {
	ap, err := netip.ParseAddrPort(remote)
	if err != nil {
		return netip.Addr{}
	}
	addr := ap.Addr().Unmap().WithZone("")
	if addr.Is6() {
		p, _ := addr.Prefix(64) // fails for lengths out of range only
		addr = p.Addr()
	}
	return addr
}
