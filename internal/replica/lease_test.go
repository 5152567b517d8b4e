package replica

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/souk-market/souk/store"
	"github.com/souk-market/souk/store/storetest"
)

// twoNodes runs a test in virtual time with nodes at one bucket in memory.
func twoNodes(t *testing.T, test func(s *sim)) {
	s := &sim{
		t: t, rng: rand.New(rand.NewPCG(1, 9)), dir: t.TempDir(), acked: map[string]store.LSN{},
		bucket: &simBucket{objects: map[string]simObject{}},
	}
	synctest.Test(t, func(t *testing.T) {
		for i := range s.nodes {
			s.nodes[i] = &simNode{sim: s, name: string(rune('A' + i)), disk: storetest.NewDisk(), rng: rand.New(rand.NewPCG(1, uint64(i)))}
		}
		defer s.late.Wait()
		for _, n := range s.nodes {
			defer n.stop()
		}
		test(s)
	})
	for _, v := range s.violations {
		t.Error(v)
	}
}

// serve opens a primary's directory and its replica, without selling.
func (n *simNode) serve(o Options) *simLife {
	l, err := n.open(false)
	if err != nil {
		n.sim.t.Fatal(err)
	}
	o.Clock, o.SpoolDir = n.clock, filepath.Join(n.sim.dir, "spool-"+n.name)
	l.replicator = New(l.db, nil, n.sim.client(l.link), o)
	return l
}

// order makes a commit.
func (l *simLife) order(t *testing.T, name string) {
	t.Helper()
	(&node{t: t, db: l.db}).touch(store.Transaction, name)
}

// TestSealFastPrimary: a primary that ships as fast as it can is sealed in time, by a
// standby whose line is several times slower.
func TestSealFastPrimary(t *testing.T) {
	twoNodes(t, func(s *sim) {
		a, b := s.nodes[0], s.nodes[1]
		l := a.serve(Options{})
		if err := l.replicator.Open(ctx); err != nil {
			t.Fatal(err)
		}
		var files atomic.Int64
		var fenced error
		a.begin(l, func(ctx context.Context) {
			for i := 0; fenced == nil && ctx.Err() == nil; i++ {
				l.order(t, fmt.Sprint("s", i%5))
				pos, err := l.replicator.Sync(ctx)
				if fenced = err; err == nil {
					files.Store(int64(pos.TXID))
				}
			}
		})
		time.Sleep(time.Minute)
		b.restore()
		b.disturb(func(l *simLink) { l.slow = 150 * time.Millisecond })
		time.Sleep(time.Minute) // it follows
		before := files.Load()
		began := time.Now()
		pos, err := b.life.follower.Promote(ctx)
		if err != nil {
			t.Fatal(err)
		}
		took := time.Since(began)
		t.Logf("sealed %d files a second in %s, after %d more files", before/120, took, files.Load()-before)
		if before < 3000 || took > sealTimeout {
			t.Errorf("sealing took %s of a primary with %d files in two minutes", took, before)
		}
		l.running.Wait()
		if !errors.Is(fenced, ErrFenced) || pos.LSN != b.life.db.LastLSN() || int64(pos.LSN) < files.Load() {
			t.Errorf("the old primary ended with %v after %d files, the new one starts at %v", fenced, files.Load(), pos)
		}
	})
}

// TestHoldingBackIsCourtesy: a primary that was asked to hold back, by one that then didn't
// seal, goes on.
func TestHoldingBackIsCourtesy(t *testing.T) {
	twoNodes(t, func(s *sim) {
		l := s.nodes[0].serve(Options{})
		if err := l.replicator.Open(ctx); err != nil {
			t.Fatal(err)
		}
		s.nodes[0].begin(l)
		h := heir{s.client(s.link(1)), "nod_other", time.Now, slog.New(slog.DiscardHandler)}
		h.askToHoldBack(ctx, 1)
		began := time.Now()
		for i := range 300 {
			l.order(t, fmt.Sprint("s", i%5))
			if _, err := l.replicator.Sync(ctx); err != nil {
				t.Fatal(err)
			}
		}
		if took := time.Since(began); took < handoverPause || took > 2*handoverPause+30*time.Second {
			t.Errorf("300 files took %s, want one pause of %s among them", took, handoverPause)
		}
	})
}

// TestIdleServerLearnsThatItIsReplaced by its lease.
func TestIdleServerLearnsThatItIsReplaced(t *testing.T) {
	twoNodes(t, func(s *sim) {
		a, b := s.nodes[0], s.nodes[1]
		a.skew.Store(int64(5 * time.Hour)) // clocks play no part
		l := a.serve(Options{LeaseTTL: 30 * time.Second})
		var ended error
		var at time.Time
		a.begin(l, func(ctx context.Context) {
			ended = l.replicator.Run(ctx)
			at = time.Now()
		})
		l.order(t, "one")
		time.Sleep(time.Minute)
		b.restore()
		time.Sleep(10 * time.Minute)
		if _, err := b.life.follower.Promote(ctx); err != nil {
			t.Fatal(err)
		}
		sealed := time.Now()
		l.running.Wait()
		if !errors.Is(ended, ErrFenced) || !strings.Contains(ended.Error(), string(b.life.db.Node().ID)) || at.Sub(sealed) > 12*time.Second {
			t.Errorf("the idle server learned after %s: %v", at.Sub(sealed), ended)
		}
	})
}

// TestLease: it is renewed, lost when it can't be for its time, taken back, and released.
func TestLease(t *testing.T) {
	twoNodes(t, func(s *sim) {
		n := s.nodes[0]
		var mu sync.Mutex
		var events []string
		began := time.Now()
		note := func(what string) {
			mu.Lock()
			defer mu.Unlock()
			events = append(events, fmt.Sprintf("%s at %d", what, int(time.Since(began).Seconds())))
		}
		l := n.serve(Options{
			LeaseTTL:    30 * time.Second,
			OnLeaseLost: func(error) { note("lost") }, OnLeaseBack: func() { note("back") },
		})
		n.begin(l, func(ctx context.Context) {
			if err := l.replicator.Run(ctx); err != nil {
				t.Error(err)
			}
		})
		happened := func() []string {
			mu.Lock()
			defer mu.Unlock()
			return slices.Clone(events)
		}
		client := s.client(s.link(2))
		lease := func() Lease {
			got, err := client.Lease(ctx)
			if err != nil {
				t.Fatal(err)
			}
			return got
		}
		time.Sleep(95 * time.Second)
		if got := lease(); got.Node != l.db.Node().ID || got.Generation != 1 || time.Until(got.Expires) < 18*time.Second || got.Released {
			t.Errorf("the lease is %+v at %s", got, time.Now())
		}
		n.disturb(func(l *simLink) { l.cut = true })
		n.skew.Store(int64(-3 * time.Hour))
		time.Sleep(25 * time.Second) // the last renewal was at 90 s at the latest
		n.disturb(func(l *simLink) { l.cut = false })
		time.Sleep(15 * time.Second)
		if got := happened(); len(got) != 0 {
			t.Errorf("a line that was cut for less than the time of the lease: %v", got)
		}
		n.disturb(func(l *simLink) { l.cut = true })
		time.Sleep(time.Minute)
		n.disturb(func(l *simLink) { l.cut = false })
		time.Sleep(15 * time.Second)
		if got := happened(); len(got) != 2 || !strings.HasPrefix(got[0], "lost") || !strings.HasPrefix(got[1], "back") {
			t.Errorf("a line that was cut for a minute: %v", got)
		}
		n.stop()
		if got := lease(); !got.Released || got.Expires.After(n.clock()) {
			t.Errorf("after stopping the lease is %+v", got)
		}
	})
}

// TestNoLeaseNoRequests: without a lease an idle server asks nothing.
func TestNoLeaseNoRequests(t *testing.T) {
	twoNodes(t, func(s *sim) {
		n := s.nodes[0]
		l := n.serve(Options{})
		client := l.replicator.client
		n.begin(l, func(ctx context.Context) { _ = l.replicator.Run(ctx) })
		l.order(t, "one")
		time.Sleep(60 * time.Hour) // merging, the snapshot and retention are over
		before := client.Requests()
		time.Sleep(24 * time.Hour)
		if got := client.Requests(); got != before {
			t.Errorf("an idle server made requests: %+v, before %+v", got, before)
		}
	})
}
