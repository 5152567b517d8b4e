package replica

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/souk-market/souk/internal/market"
	"github.com/souk-market/souk/store"
	"github.com/souk-market/souk/store/storetest"
)

var (
	simSeed  = flag.Uint64("sim.seed", 1, "first seed of the two-node simulation")
	simRuns  = flag.Int("sim.runs", 2, "how many seeds the two-node simulation runs")
	simHours = flag.Float64("sim.hours", 0.5, "virtual hours of each run")
	simLog   = flag.Bool("sim.log", false, "print what happens in the simulation")
)

// TestTwoNodes simulates two nodes at one bucket: a primary that takes synchronous orders
// and a standby, with cut and lossy lines, stalls, clocks that are wrong, power cuts and
// failovers. Whatever happens: no order that was acknowledged is missing in the end, no two
// were acknowledged as the same commit, and a restore equals the last primary.
//
// The long run: go test ./internal/replica -run TestTwoNodes -sim.runs 20 -sim.hours 12 -timeout 2h
func TestTwoNodes(t *testing.T) {
	failovers, acked := 0, 0
	for seed := *simSeed; seed < *simSeed+uint64(*simRuns); seed++ {
		t.Run(fmt.Sprint("seed-", seed), func(t *testing.T) {
			s := simulate(t, seed, false)
			for _, v := range s.violations {
				t.Error(v)
			}
			t.Logf("%d orders acknowledged, %d not, %d failovers, %d power cuts, %d generations", len(s.acked), s.unknown, s.failovers, s.cuts, s.generations)
			failovers, acked = failovers+s.failovers, acked+len(s.acked)
		})
	}
	if failovers == 0 || acked == 0 {
		t.Errorf("nothing happened: %d failovers, %d orders", failovers, acked)
	}
}

// TestTwoNodesNeedTheCondition takes the condition out of creating: then the same
// simulation finds that orders are lost, or the replica broken.
func TestTwoNodesNeedTheCondition(t *testing.T) {
	for seed := *simSeed; seed < *simSeed+10; seed++ {
		if s := simulate(t, seed, true); len(s.violations) > 0 {
			t.Logf("seed %d: %s", seed, s.violations[0])
			return
		}
	}
	t.Error("nothing went wrong without the conditional create: the simulation proves nothing")
}

// sim is one run. Its fields are the driver's, except where it says so.
type sim struct {
	t      *testing.T
	rng    *rand.Rand
	bucket *simBucket
	dir    string // for restores and spools
	nodes  [2]*simNode
	late   sync.WaitGroup

	rush atomic.Bool // everybody buys at once

	failovers, cuts, generations int

	mu         sync.Mutex // guards everything below
	orders     int
	unknown    int
	acked      map[string]store.LSN
	violations []string
}

func simulate(t *testing.T, seed uint64, forgetful bool) *sim {
	s := &sim{
		t: t, rng: rand.New(rand.NewPCG(seed, 9)), dir: t.TempDir(), acked: map[string]store.LSN{},
		bucket: &simBucket{forgetful: forgetful, objects: map[string]simObject{}},
	}
	synctest.Test(t, func(*testing.T) {
		for i := range s.nodes {
			s.nodes[i] = &simNode{sim: s, name: string(rune('A' + i)), disk: storetest.NewDisk(), rng: rand.New(rand.NewPCG(seed, uint64(i)))}
		}
		s.run(time.Duration(*simHours * float64(time.Hour)))
		for _, n := range s.nodes {
			n.stop()
		}
		s.late.Wait()
	})
	return s
}

func (s *sim) logf(format string, args ...any) {
	if *simLog {
		s.t.Logf("%s "+format, append([]any{time.Now().Format("15:04:05.000")}, args...)...)
	}
}

// violated notes a broken promise.
func (s *sim) violated(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.violations = append(s.violations, time.Now().Format("15:04:05 ")+fmt.Sprintf(format, args...))
	s.logf("VIOLATION: "+format, args...)
}

func (s *sim) broken() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.violations) > 0
}

// between is a random duration.
func between(rng *rand.Rand, low, high time.Duration) time.Duration {
	return low + time.Duration(rng.Int64N(int64(high-low)))
}

func (s *sim) client(l *simLink) *Client {
	return &Client{name: "sim", at: l, log: slog.New(slog.DiscardHandler)}
}

func (s *sim) link(seed uint64) *simLink {
	return &simLink{bucket: s.bucket, late: &s.late, rng: rand.New(rand.NewPCG(seed, 1))}
}

// run starts a primary and lets things happen.
func (s *sim) run(length time.Duration) {
	end := time.Now().Add(length)
	s.nodes[0].startPrimary()
	pause(ctx, time.Minute)
	s.nodes[1].restore()
	for time.Now().Before(end) && !s.broken() {
		pause(ctx, between(s.rng, time.Second, 90*time.Second))
		s.happen()
	}
	if !s.broken() {
		s.settle()
	}
}

// happen is one event.
func (s *sim) happen() {
	n := s.nodes[s.rng.IntN(2)]
	other := s.nodes[0]
	if n == other {
		other = s.nodes[1]
	}
	switch s.rng.IntN(9) {
	case 0, 1:
		n.disturb(func(l *simLink) { l.cut = !l.cut })
	case 2:
		until := time.Now().Add(between(s.rng, time.Second, 40*time.Second))
		n.disturb(func(l *simLink) { l.until = until })
	case 3:
		n.lossy = []int{0, 0, 10, 40}[s.rng.IntN(4)]
		n.disturb(func(l *simLink) { l.lossy = n.lossy })
	case 4:
		n.skew.Store(int64(between(s.rng, -8*time.Second, 8*time.Second)))
	case 5:
		if l := n.life; l != nil {
			n.powerCut()
			pause(ctx, between(s.rng, time.Second, time.Minute))
			n.restart(l.follower != nil)
		}
	case 6, 7:
		s.failover(n, other)
	case 8: // the primary is lost for good, and two standbys compete
		if n.life != nil && n.life.replicator != nil && other.life != nil && other.life.follower != nil {
			n.restore()
			var both sync.WaitGroup
			both.Go(n.promote)
			both.Go(other.promote)
			both.Wait()
		}
	}
}

// failover promotes n when it is a standby; a former primary that is no longer wanted
// goes on for a while, and is made a standby then.
func (s *sim) failover(n, other *simNode) {
	if n.life == nil || n.life.follower == nil {
		return
	}
	n.promote()
	pause(ctx, between(s.rng, 0, 2*time.Minute))
	if n.life != nil && n.life.replicator != nil {
		other.restore()
	}
}

func (n *simNode) disturb(change func(l *simLink)) {
	if n.life == nil {
		return
	}
	n.life.link.mu.Lock()
	defer n.life.link.mu.Unlock()
	change(n.life.link)
}

// settle ends all disturbances, lets everything arrive, and compares what the replica
// gives with what was promised.
func (s *sim) settle() {
	for _, n := range s.nodes {
		n.lossy = 0
		n.disturb(func(l *simLink) { l.cut, l.lossy, l.until = false, 0, time.Time{} })
	}
	pause(ctx, 2*time.Minute)
	for _, n := range s.nodes {
		n.stop()
	}
	s.late.Wait()
	pause(ctx, 10*time.Second) // a restore goes by listings, which may be as old as this
	client := s.client(s.link(0))
	all, err := client.generations(context.Background())
	if err != nil {
		s.violated("reading the manifests: %v", err)
		return
	}
	s.generations = len(all)
	dir := filepath.Join(s.dir, "final")
	if _, err := Restore(context.Background(), []*Client{client}, dir, Target{}, RestoreOptions{}); err != nil {
		s.violated("the last restore: %v", err)
		return
	}
	db, err := store.Open(store.Options{Dir: filepath.Join(dir, storeDir)})
	if err != nil {
		s.violated("opening the last restore: %v", err)
		return
	}
	defer db.Close()
	storetest.Check(s.t, db)
	newest := all[len(all)-1]
	end, err := client.endOf(context.Background(), newest)
	if err != nil {
		s.violated("looking for the end: %v", err)
	}
	if end.sealed != nil { // and nobody has opened the next: its owner may have more, which it promised nobody
		newest.Node = ""
	}
	s.compare(db, newest.Node)
}

// compare looks for each acknowledged order, and compares the data with the last owner's,
// if there is one that may still write.
func (s *sim) compare(db *store.DB, owner market.NodeID) {
	var lsns []store.LSN
	err := db.View(context.Background(), market.MainTenant, func(tx *store.ReadTx) error {
		for id, lsn := range s.acked {
			lsns = append(lsns, lsn)
			if _, err := store.Events.Load(tx, id); err != nil {
				s.violated("the acknowledged order %s (commit %d) is lost: %v", id, lsn, err)
			}
		}
		return nil
	})
	if err != nil {
		s.violated("reading the last restore: %v", err)
	}
	slices.Sort(lsns)
	for i := 1; i < len(lsns); i++ {
		if lsns[i] == lsns[i-1] {
			s.violated("two orders were acknowledged as commit %d", lsns[i])
		}
	}
	for _, n := range s.nodes {
		here, err := n.disk.Try(s.t, store.Options{})
		if err != nil {
			s.violated("%s: %v", n.name, err)
			continue
		}
		if here.Node().ID == owner && digestOf(s.t, here) != digestOf(s.t, db) {
			s.violated("the last restore (commit %d) differs from the last primary %s (commit %d)", db.LastLSN(), n.name, here.LastLSN())
		}
		here.Close()
	}
}

func digestOf(t *testing.T, db *store.DB) [32]byte { return (&node{t: t, db: db}).digest() }
