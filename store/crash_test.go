package store_test

import (
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/souk-market/souk/store"
	"github.com/souk-market/souk/store/storetest"
)

var (
	histories = flag.Int("histories", 200, "random histories in TestHistories")
	firstSeed = flag.Uint64("seed", 0, "seed of the first history in TestHistories")
)

// TestHistories runs random histories of transactions over three tenants, some of them by
// several callers at once, with faults, flushes, compactions, cuts of the log and jumps of
// the clock, on the store and on plain maps. Before some write of the file system, any
// one, the power is cut. What is found then is the history up to some commit, no earlier
// than the last acknowledged one, and the whole of it: every record, index entry, count,
// job, result of an operation and posting, byte for byte, with the log that led there.
func TestHistories(t *testing.T) {
	sum, problems := runHistories(*firstSeed, *histories, nil)
	t.Logf("%s", sum)
	for seed, found := range problems {
		t.Errorf("history %d: run it alone with -histories=1 -seed=%[1]d", seed)
		for _, p := range found {
			t.Errorf("history %d: %s", seed, p)
		}
	}
	for what, n := range map[string]int{
		"power cuts": sum.cuts, "power cuts while opening": sum.whileOpening, "power cuts while working": sum.whileWorking, "power cuts while closing": sum.whileClosing,
		"acknowledged transactions": sum.acknowledged, "records": sum.records, "commits": sum.commits, "digests": sum.digests,
		"conflicts": sum.conflicts, "repeated operations": sum.repeated, "dropped transactions": sum.dropped,
		"rounds of several callers": sum.rounds,
	} {
		if n == 0 && *histories >= 200 {
			t.Errorf("no %s were met", what)
		}
	}
}

// TestHistoriesFindAMissingSync is the test of that test: on a disk that reports the
// write-ahead log as synced and doesn't sync it, the histories find losses.
func TestHistoriesFindAMissingSync(t *testing.T) {
	const n = 20
	sum, _ := runHistories(0, n, storetest.WithoutSync)
	t.Logf("losses in %d histories: %s", sum.losses, sum)
	if sum.losses < n/4 {
		t.Errorf("only %d of %d histories found that nothing was synced: they are blind", sum.losses, n)
	}
}

// historyStats counts what was done and compared.
type historyStats struct {
	histories, cuts, whileOpening, whileWorking, whileClosing int
	acknowledged, commits, digests, records                   int // compared after a power cut
	conflicts, repeated, dropped, rounds, beyondTheAcks       int
	losses                                                    int // histories that ended because something acknowledged wasn't there
}

func (s *historyStats) add(o *historyStats) {
	s.histories++
	s.cuts += o.cuts
	s.whileOpening += o.whileOpening
	s.whileWorking += o.whileWorking
	s.whileClosing += o.whileClosing
	s.acknowledged += o.acknowledged
	s.commits += o.commits
	s.digests += o.digests
	s.records += o.records
	s.conflicts += o.conflicts
	s.repeated += o.repeated
	s.dropped += o.dropped
	s.rounds += o.rounds
	s.beyondTheAcks += o.beyondTheAcks
	s.losses += o.losses
}

func (s *historyStats) String() string {
	return fmt.Sprintf("%d histories with %d power cuts (%d while opening, %d while working, %d while closing); "+
		"%d transactions acknowledged (%d conflicts, %d repeated, %d dropped, %d rounds of several callers); compared after the cuts: "+
		"%d LSNs of the change log, %d digests, %d records; %d times more was there than acknowledged",
		s.histories, s.cuts, s.whileOpening, s.whileWorking, s.whileClosing, s.acknowledged, s.conflicts, s.repeated, s.dropped, s.rounds,
		s.commits, s.digests, s.records, s.beyondTheAcks)
}

// runHistories runs n histories on all processors and returns what was wrong, by seed.
func runHistories(from uint64, n int, lies func(vfs.FS) vfs.FS) (*historyStats, map[uint64][]string) {
	var mu sync.Mutex
	sum, problems := &historyStats{}, map[uint64][]string{}
	var next atomic.Uint64
	var wg sync.WaitGroup
	for range min(n, runtime.GOMAXPROCS(0)) {
		wg.Go(func() {
			for {
				i := next.Add(1) - 1
				if i >= uint64(n) {
					return
				}
				h := newHistory(from+i, lies)
				h.run()
				mu.Lock()
				sum.add(&h.stats)
				if len(h.problems) > 0 {
					problems[h.seed] = h.problems
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	return sum, problems
}

// moment is the database after one commit, as it must be found if that is the last one.
type moment struct {
	lsn   store.LSN
	world world
	raw   map[string]string // replicated keys and values; nil when others committed before it could be looked at
}

type history struct {
	seed     uint64
	rng      *rand.Rand
	disk     *storetest.Disk
	db       *store.DB
	clock    atomic.Int64 // Unix milliseconds
	kept     store.LSN    // entries of the change log that a cut leaves
	payloads int
	markers  int

	past  []moment       // one for each LSN, from the last one that a power cut can't take back
	known []store.Change // of every LSN, from 1 on

	running atomic.Pointer[store.DB] // for who cuts the power
	acked   atomic.Uint64            // the last acknowledged LSN

	stats    historyStats
	problems []string
}

func newHistory(seed uint64, lies func(vfs.FS) vfs.FS) *history {
	h := &history{seed: seed, rng: rand.New(rand.NewPCG(seed, 9)), disk: storetest.NewDisk(), past: []moment{{0, emptyWorld(), map[string]string{}}}}
	h.disk.Lies = lies
	h.kept = store.LSN(callers*each + h.rng.IntN(12)) // what a round needs
	h.clock.Store(time.Date(2026, 2, 3, 4, 5, 6, 0, time.UTC).UnixMilli())
	return h
}

func (h *history) wrong(format string, args ...any) {
	h.problems = append(h.problems, fmt.Sprintf(format, args...))
}

func (h *history) now() *moment { return &h.past[len(h.past)-1] }

// lives is how often a power cut ends one history's database.
const lives = 3

func (h *history) run() {
	for range lives {
		if h.live(); len(h.problems) > 0 {
			return
		}
	}
	if h.open(); len(h.problems) == 0 {
		h.close()
	}
}

// wreck is the disk after a power cut.
type wreck struct {
	disk *storetest.Disk
	// acked is the last LSN that had been acknowledged, or was told to be durable.
	acked store.LSN
}

// live opens the database, works with it until the power is cut and a little longer, and
// goes over to the disk as the power cut has left it.
func (h *history) live() {
	var found atomic.Pointer[wreck]
	keep, chance := []int{0, 50, 100}[h.rng.IntN(3)], rand.New(rand.NewPCG(h.seed, h.rng.Uint64()))
	cut := sync.OnceFunc(func() { found.Store(&wreck{acked: h.durable(), disk: h.disk.Crash(keep, chance)}) })
	h.disk.BeforeWrite(h.someWrite(), cut)
	h.stats.cuts++
	if h.open(); len(h.problems) > 0 {
		return
	}
	if found.Load() != nil {
		h.stats.whileOpening++
	}
	for range 10 {
		if found.Load() != nil {
			break
		}
		if h.step(); len(h.problems) > 0 {
			return
		}
		if found.Load() != nil {
			h.stats.whileWorking++
		}
	}
	if h.rng.IntN(2) == 0 {
		cut() // unless it has been cut
	}
	if found.Load() == nil {
		h.disk.BeforeWrite(1+h.rng.IntN(4), cut) // of the closing
	}
	working := found.Load() == nil
	h.close()
	if found.Load() != nil && working {
		h.stats.whileClosing++
	}
	cut()
	w := found.Load()
	h.disk = w.disk
	h.acked.Store(max(uint64(w.acked), uint64(h.past[0].lsn)))
}

// someWrite is how many writes after the opening begins, which takes about twenty, the
// power is cut.
func (h *history) someWrite() int {
	if h.rng.IntN(4) == 0 {
		return 1 + h.rng.IntN(20)
	}
	return 20 + h.rng.IntN(80)
}

// durable is the LSN up to which the store has promised durability by now.
func (h *history) durable() store.LSN {
	acked := store.LSN(h.acked.Load())
	if db := h.running.Load(); db != nil {
		return max(acked, db.DurableLSN())
	}
	return acked
}

// open opens the database and compares what is found with what must be there.
func (h *history) open() {
	faults := store.NewFaults(h.rng.Uint64())
	faults.FeedDelay = 0 // the feed is read while nothing else happens
	db, err := h.disk.Try(nil, store.KeepLog(h.kept, store.Options{
		Faults: faults, CacheSize: 1 << 20,
		Clock: func() time.Time { return time.UnixMilli(h.clock.Load()) },
		Fatal: func(err error) { panic(fmt.Sprintf("history %d: the store stopped: %v", h.seed, err)) },
	}))
	if err != nil {
		h.wrong("opening after the power cut: %v (%v)", err, errors.Unwrap(err))
		return
	}
	h.db = db
	h.running.Store(db)
	h.recover(store.LSN(h.acked.Load()))
}

func (h *history) close() {
	h.running.Store(nil)
	if err := h.db.Close(); err != nil {
		h.wrong("closing: %v", err)
	}
}

// step does one thing, or several at once.
func (h *history) step() {
	h.clock.Add(int64(h.rng.IntN(4)))
	switch h.rng.IntN(16) {
	case 0:
		h.maintain(h.rng.IntN(3))
	case 1, 2:
		h.round()
	case 3: // set back, set ahead
		h.clock.Add(int64(h.rng.IntN(2*365*24)-365*24) * time.Hour.Milliseconds())
	case 4:
		h.compare(modelTenants[h.rng.IntN(len(modelTenants))])
	default:
		h.transaction()
	}
}

// maintain does what nobody waits for: 0 cuts the log, others flush and compact.
func (h *history) maintain(what int) {
	if what == 0 {
		if err := h.db.CutLog(); err != nil {
			h.wrong("cutting the log: %v", err)
		}
		return
	}
	if err := h.db.Compact(testContext); err != nil {
		h.wrong("compacting: %v", err)
	}
}
