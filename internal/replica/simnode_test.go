package replica

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/souk-market/souk/internal/market"
	"github.com/souk-market/souk/store"
	"github.com/souk-market/souk/store/storetest"
)

// simNode is a machine: a disk, a clock, and what runs on it.
type simNode struct {
	sim   *sim
	name  string
	disk  *storetest.Disk
	rng   *rand.Rand
	skew  atomic.Int64 // nanoseconds
	lossy int
	life  *simLife // nil while the machine is off
}

// simLife is what runs on a machine from a start to a stop or a power cut.
type simLife struct {
	link       *simLink
	db         *store.DB
	replicator *Replicator // of a primary
	follower   *Follower   // of a standby
	cancel     context.CancelFunc
	running    sync.WaitGroup
	closeShop  context.CancelFunc // of a primary: ends its orders
	selling    sync.WaitGroup
	dead       chan struct{} // closed by a power cut
}

func (n *simNode) clock() time.Time { return time.Now().Add(time.Duration(n.skew.Load())) }

func (n *simNode) open(standby bool) (*simLife, error) {
	l := &simLife{link: n.sim.link(n.rng.Uint64()), dead: make(chan struct{})}
	l.link.lossy = n.lossy
	var err error
	l.db, err = n.disk.Try(n.sim.t, store.Options{Standby: standby, Clock: n.clock, Fatal: func(err error) { n.sim.violated("%s: the store stopped: %v", n.name, err) }})
	return l, err
}

// begin starts what runs in a life until it is stopped.
func (n *simNode) begin(l *simLife, run ...func(ctx context.Context)) {
	ctx, cancel := context.WithCancel(context.Background())
	l.cancel = cancel
	n.life = l
	for _, fn := range run {
		l.running.Go(func() { fn(ctx) })
	}
}

// startPrimary opens the directory as a server's.
func (n *simNode) startPrimary() {
	l, err := n.open(false)
	if err != nil {
		n.sim.violated("%s: %v", n.name, err)
		return
	}
	o := Options{
		Clock: n.clock, SpoolDir: filepath.Join(n.sim.dir, "spool-"+n.name),
		OnLeaseLost: l.db.SetReadOnly, OnLeaseBack: func() { l.db.SetReadOnly(nil) },
	}
	if n.rng.IntN(2) == 0 {
		o.LeaseTTL = 30 * time.Second
	}
	l.replicator = New(l.db, nil, n.sim.client(l.link), o)
	if n.rng.IntN(2) == 0 { // holding back is courtesy, and this one has none
		l.replicator.courtesy.looked = time.Now().Add(1000 * time.Hour)
	}
	n.sim.logf("%s: primary at commit %d", n.name, l.db.LastLSN())
	n.begin(l, func(ctx context.Context) {
		if err := l.replicator.Run(ctx); err != nil {
			n.sim.logf("%s: stopped replicating: %v", n.name, err)
			l.db.SetReadOnly(err)
			if errors.Is(err, ErrReplicaAhead) || errors.Is(err, ErrCorrupt) || errors.Is(err, ErrDiverged) {
				n.sim.violated("%s: %v", n.name, err)
			}
		}
	})
	shop, closeShop := context.WithCancel(context.Background())
	l.closeShop = closeShop
	for range 2 {
		l.selling.Go(func() { n.sell(shop, l) })
	}
}

// sell takes orders; most are synchronous: acknowledged when they are in the replica.
func (n *simNode) sell(ctx context.Context, l *simLife) {
	rng := rand.New(rand.NewPCG(uint64(n.clock().UnixNano()), 2))
	for n.nextBuyer(ctx, rng) {
		id := n.sim.nextOrder(n.name)
		res, err := l.db.Update(ctx, market.MainTenant, store.Op{}, func(tx *store.Tx) error {
			return store.Events.Insert(tx, &market.ProviderEvent{ID: id})
		})
		if err != nil || rng.IntN(4) == 0 {
			continue
		}
		wait, cancel := context.WithTimeout(ctx, 15*time.Second)
		err = l.replicator.Wait(wait, res.LSN)
		cancel()
		n.sim.answer(id, res.LSN, err == nil && l.db.ReadOnly() == nil && !l.link.isDead())
	}
}

// nextBuyer waits for one: a few seconds, or hardly at all in a rush.
func (n *simNode) nextBuyer(ctx context.Context, rng *rand.Rand) bool {
	const look = 250 * time.Millisecond
	for wait := time.Duration(rng.IntN(12000)) * time.Millisecond; wait > look; wait -= look {
		if n.sim.rush.Load() {
			return pause(ctx, time.Duration(rng.IntN(100))*time.Millisecond)
		}
		if !pause(ctx, look) {
			return false
		}
	}
	return pause(ctx, look)
}

func (s *sim) nextOrder(node string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.orders++
	return fmt.Sprintf("order-%06d-%s", s.orders, node)
}

// answer notes what a buyer was told.
func (s *sim) answer(id string, lsn store.LSN, acknowledged bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if acknowledged {
		s.acked[id] = lsn
	} else {
		s.unknown++
	}
}

// startStandby opens the directory as a standby's.
func (n *simNode) startStandby() {
	l, err := n.open(true)
	if err == nil {
		l.follower, err = Follow(l.db, nil, n.sim.client(l.link), FollowerOptions{Clock: n.clock, SpoolDir: n.sim.dir})
	}
	if err != nil {
		n.sim.violated("%s: %v", n.name, err)
		return
	}
	n.sim.logf("%s: standby at commit %d", n.name, l.db.LastLSN())
	n.begin(l, func(ctx context.Context) {
		if err := l.follower.Run(ctx); err != nil {
			n.sim.violated("%s: stopped following: %v", n.name, err)
		}
	})
}

// end ends what runs: first the orders, then what ships them.
func (l *simLife) end() {
	if l.closeShop != nil {
		l.closeShop()
		l.selling.Wait()
	}
	l.cancel()
	l.running.Wait()
}

// stop ends a life in order.
func (n *simNode) stop() {
	if n.life == nil {
		return
	}
	n.life.end()
	if err := n.life.db.Close(); err != nil {
		n.sim.violated("%s: closing: %v", n.name, err)
	}
	n.life = nil
}

// powerCut ends a life at once: what was not synced is left to chance.
func (n *simNode) powerCut() {
	if n.life == nil {
		return
	}
	n.sim.cuts++
	n.sim.logf("%s: power cut", n.name)
	l := n.life
	l.link.mu.Lock()
	l.link.dead = true
	l.link.mu.Unlock()
	n.disk = n.disk.Crash(n.rng.IntN(101), n.rng)
	l.end()
	l.db.Close()
	n.life = nil
}

// restart starts what was running before.
func (n *simNode) restart(standby bool) {
	if standby {
		n.startStandby()
	} else {
		n.startPrimary()
	}
}

// restore wipes the machine and makes a standby of it, as the replica is now.
func (n *simNode) restore() {
	n.stop()
	dir := filepath.Join(n.sim.dir, fmt.Sprintf("restore-%d", n.rng.Uint64()))
	defer os.RemoveAll(dir)
	rep, err := Restore(context.Background(), []*Client{n.sim.client(n.sim.link(n.rng.Uint64()))}, dir, Target{}, RestoreOptions{Clock: n.clock})
	if market.Is(err, market.NotFound) && len(n.sim.acked) == 0 {
		return
	}
	if err != nil {
		n.sim.violated("%s: restoring: %v", n.name, err)
		return
	}
	n.sim.logf("%s: restored generation %d, file %d", n.name, rep.Generation, rep.TXID)
	n.disk = storetest.NewDisk()
	if _, err := vfs.Clone(vfs.Default, n.disk.FS, filepath.Join(dir, storeDir), "store", vfs.CloneSync); err != nil {
		n.sim.t.Error(err)
	}
	n.startStandby()
}

// promote makes a primary of a standby, maybe with a power cut in the middle, after
// which it is done again.
func (n *simNode) promote() {
	n.sim.rush.Store(true) // so that orders come between the steps of a promotion
	calm := time.AfterFunc(5*time.Second, func() { n.sim.rush.Store(false) })
	defer func() {
		calm.Stop()
		n.sim.rush.Store(false)
	}()
	pause(context.Background(), time.Second)
	for attempt := 0; n.life != nil && n.life.follower != nil && attempt < 20; attempt++ {
		limit := time.Minute
		if attempt == 0 && n.rng.IntN(3) == 0 {
			limit = between(n.rng, 0, 2*time.Second)
		}
		ctx, cancel := context.WithTimeout(context.Background(), limit)
		pos, err := n.life.follower.Promote(ctx)
		cancel()
		n.sim.logf("%s: promoting: %v, %v", n.name, pos, err)
		switch {
		case err == nil:
			n.sim.failovers++
			n.stop()
			n.startPrimary()
			return
		case errors.Is(err, ErrFenced):
			return
		case final(err):
			n.sim.violated("%s: promoting: %v", n.name, err)
			return
		}
		if limit < time.Minute {
			n.powerCut()
			n.startStandby()
		}
	}
}
