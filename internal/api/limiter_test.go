package api

import (
	"fmt"
	"testing"
	"time"
)

func TestClientsHaveTheirOwnAllowance(t *testing.T) {
	l := newLimiter(1, 2)
	for _, c := range []struct {
		remote string
		ok     bool
		why    string
	}{
		{"192.0.2.1:100", true, "first"},
		{"192.0.2.1:101", true, "another port"},
		{"192.0.2.1:102", false, "the same address"},
		{"192.0.2.2:100", true, "another address"},
		{"[::ffff:192.0.2.1]:1", false, "the same address, mapped"},
		{"[2001:db8::1]:1", true, "IPv6"},
		{"[2001:db8::2]:1", true, "the same /64"},
		{"[2001:db8::ffff:3]:1", false, "the same /64 again"},
		{"[2001:db8:0:1::1]:1", true, "another /64"},
		{"@", true, "no address"},
		{"", true, "no address either"},
		{"@", false, "no address again"},
	} {
		if _, ok := l.allow(c.remote, firstLight); ok != c.ok {
			t.Errorf("%s (%s): %t", c.remote, c.why, ok)
		}
	}
}

func TestAllowanceComesBack(t *testing.T) {
	l := newLimiter(0.5, 1)
	l.allow("192.0.2.1:1", firstLight)
	wait, ok := l.allow("192.0.2.1:1", firstLight)
	if ok || wait != 2*time.Second {
		t.Errorf("got %t, wait %v", ok, wait)
	}
	if _, ok := l.allow("192.0.2.1:1", firstLight.Add(wait)); !ok {
		t.Error("refused after the wait it was given")
	}
}

func TestLimiterForgets(t *testing.T) {
	l := newLimiter(1, 1)
	l.allow("192.0.2.1:1", firstLight)
	for i := range 3 * maxClients {
		l.allow(fmt.Sprintf("10.%d.%d.%d:1", i>>16, i>>8&255, i&255), firstLight)
		if i%1000 == 0 {
			if _, ok := l.allow("192.0.2.1:1", firstLight); ok {
				t.Fatal("a client that keeps asking was forgotten")
			}
		}
		if n := len(l.young) + len(l.old); n > maxClients {
			t.Fatalf("%d clients are remembered", n)
		}
	}
	if _, ok := l.allow("10.0.0.1:1", firstLight); !ok {
		t.Error("one that was long gone is still remembered")
	}
}
