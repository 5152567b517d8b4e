package replica

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"testing"

	"github.com/souk-market/souk/internal/testenv"
)

var faultRuns = flag.Int("faults", 1, "how many random histories TestFaults replicates over a line that fails")

// TestFaults replicates random histories to a real S3 server over a line on which
// requests and answers are lost, cut short, refused and late, with restarts amid: each
// file that the replicator believes to be there restores to what was committed then,
// also over that line.
func TestFaults(t *testing.T) {
	server := testenv.S3(t)
	failed := 0
	for seed := range *faultRuns {
		t.Run(fmt.Sprint("seed-", seed), func(t *testing.T) {
			line := testenv.NewFaultyS3(t, server)
			f := &faulty{t: t, line: line, rng: rand.New(rand.NewPCG(uint64(seed), 4)), node: openNode(t, filepath.Join(t.TempDir(), "node")),
				url: line.URL(fmt.Sprint("faults-", seed)), shipped: map[uint64][32]byte{}}
			f.run()
			failed += f.failed
		})
	}
	if failed == 0 {
		t.Error("no call met a fault that retrying didn't hide")
	}
}

// faulty is a node whose line to its replica fails.
type faulty struct {
	t    *testing.T
	line *testenv.FaultyS3
	rng  *rand.Rand
	node *node
	url  string
	r    *Replicator // nil until the replica has been opened

	shipped map[uint64][32]byte // digests by TXID
	failed  int                 // calls that ended with an error
}

func (f *faulty) run() {
	for range 40 {
		f.fail(0.3)
		f.step()
	}
	f.line.Choose(nil)
	f.open()
	f.ship()
	last := f.r.Position()
	f.compare(uint64(last.TXID))
	f.fail(0.05)
	for txid := range f.shipped {
		if f.rng.IntN(len(f.shipped)) < 3 {
			f.compare(txid)
		}
	}
	f.line.Choose(nil)
	f.t.Logf("%d files, %d calls failed", last.TXID, f.failed)
}

// fail makes requests fail from now on, but in no way that lasts: an expired token is
// refused without a second attempt.
func (f *faulty) fail(share float64) {
	f.line.Random(f.rng, share, testenv.Drop, testenv.Forget, testenv.ServerErr, testenv.SlowDown, testenv.Truncate, testenv.Trickle, testenv.Stale)
}

// step does one of the things that happen to a server.
func (f *faulty) step() {
	name := fmt.Sprint("s", f.rng.IntN(20))
	switch n := f.rng.IntN(10); {
	case n < 4:
		f.node.sell(name, fmt.Sprint("t", f.rng.IntN(50)))
	case n == 4:
		f.node.upload(name)
	case n == 5 && f.r != nil:
		f.count(f.r.Snapshot(ctx))
	case n == 6:
		f.r = nil
		f.node.reopen()
	default:
		if f.r == nil {
			f.open()
		}
		f.ship()
	}
}

// open opens the replica, which fails as often as it likes.
func (f *faulty) open() {
	c, err := OpenClient(f.url, ClientOptions{})
	if err != nil {
		f.t.Fatal(err)
	}
	r := New(f.node.db, f.node.blobs, c, Options{SpoolDir: f.t.TempDir()})
	for range 20 {
		if err := r.Open(ctx); err == nil {
			f.r = r
			return
		} else if final(err) {
			f.t.Fatalf("a fault of the line was taken for good: %v", err)
		}
		f.failed++
	}
	f.t.Fatal("the replica wasn't opened in 20 attempts")
}

func (f *faulty) count(err error) {
	if err == nil {
		return
	}
	if final(err) {
		f.t.Fatalf("a fault of the line was taken for good: %v", err)
	}
	f.failed++
}

// ship notes what the files that are believed to be in the replica hold: only the last
// one of a Sync ends at the moment's state.
func (f *faulty) ship() {
	pos, err := f.r.Sync(ctx)
	f.count(err)
	if err == nil && pos.TXID > 0 {
		f.shipped[uint64(pos.TXID)] = f.node.digest()
	}
}

// compare restores up to a file, again as long as the line fails, and compares.
func (f *faulty) compare(txid uint64) {
	f.t.Helper()
	c, err := OpenClient(f.url, ClientOptions{})
	if err != nil {
		f.t.Fatal(err)
	}
	dir := filepath.Join(f.t.TempDir(), "restored")
	for range 20 {
		if _, err = Restore(ctx, []*Client{c}, dir, Target{TXID: txid}, RestoreOptions{}); err == nil {
			break
		}
		f.failed++
	}
	if err != nil {
		f.t.Fatalf("restoring file %d: %v", txid, err)
	}
	n := openNode(f.t, dir)
	if got, want := n.digest(), f.shipped[txid]; got != want {
		f.t.Errorf("file %d restores to %x, want %x", txid, got, want)
	}
	n.close()
}
