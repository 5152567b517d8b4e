package account

import (
	"fmt"
	"testing"
	"time"
	"unsafe"
)

var noon = time.Unix(1_790_000_000, 0)

func TestThrottlePaces(t *testing.T) {
	for k, p := range paces {
		th := newThrottle()
		c := []charge{th.charge(kind(k), "key")}
		for i := range p.burst {
			if wait := th.take(noon, c); wait > 0 {
				t.Fatalf("kind %d: attempt %d must wait %v", k, i+1, wait)
			}
		}
		if wait := th.take(noon, c); wait != p.interval {
			t.Errorf("kind %d: attempt %d must wait %v, want %v", k, p.burst+1, wait, p.interval)
		}
		if wait := th.take(noon.Add(p.interval), c); wait > 0 {
			t.Errorf("kind %d: one interval later it must wait %v", k, wait)
		}
		if wait := th.take(noon.Add(p.interval), c); wait <= 0 {
			t.Errorf("kind %d: an interval brought back more than one attempt", k)
		}
		later := noon.Add(time.Duration(p.burst+1) * p.interval)
		for i := range p.burst {
			if wait := th.take(later, c); wait > 0 {
				t.Errorf("kind %d: after a pause, attempt %d must wait %v", k, i+1, wait)
			}
		}
	}
}

func TestThrottleTakesFromAllOrNone(t *testing.T) {
	th := newThrottle()
	empty, full := th.charge(perAddressNetwork, "empty"), th.charge(perNetwork, "full")
	for range paces[perAddressNetwork].burst {
		th.take(noon, []charge{empty})
	}
	for range 100 {
		th.take(noon, []charge{full, empty})
	}
	if wait := th.take(noon, []charge{full}); wait > 0 {
		t.Errorf("refused attempts were charged: wait %v", wait)
	}
}

func TestThrottleGivesBack(t *testing.T) {
	th := newThrottle()
	c := []charge{th.charge(perAddressNetwork, "key")}
	for range 100 {
		if wait := th.take(noon, c); wait > 0 {
			t.Fatalf("wait %v", wait)
		}
		th.giveBack(c)
	}
}

func TestThrottleHasAFixedSizeAndForgetsNothing(t *testing.T) {
	th := newThrottle()
	if size := unsafe.Sizeof(*th); size > 1<<20+64 {
		t.Errorf("the throttle has %d bytes", size)
	}
	victim := []charge{th.charge(perAddress, "victim@example.com")}
	for range paces[perAddress].burst {
		th.take(noon, victim)
	}
	for i := range 200_000 { // a flood of made-up addresses
		th.take(noon, []charge{th.charge(perAddress, fmt.Sprint(i))})
	}
	if wait := th.take(noon, victim); wait <= 0 {
		t.Error("a flood made the throttle forget")
	}
}

func TestNetworks(t *testing.T) {
	for remote, want := range map[string]string{
		"192.0.2.7:1":                   "192.0.2.7",
		"192.0.2.7:2":                   "192.0.2.7",
		"[::ffff:192.0.2.7]:1":          "192.0.2.7",
		"[2001:db8:1:2:3:4:5:6]:1":      "2001:db8:1:2::",
		"[2001:db8:1:2:ffff::1%eth0]:1": "2001:db8:1:2::",
		"@":                             "",
		"":                              "",
	} {
		if got := networkOf(remote); got != want {
			t.Errorf("%q is network %q, want %q", remote, got, want)
		}
	}
}
