package replica

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestFailover runs every scenario of two servers at one replica.
func TestFailover(t *testing.T) {
	onEveryReplica(t, []scenario{
		{"a restored node takes over and the old one is fenced", testTakeOver},
		{"of two nodes that take over at once one owns the next generation", testTakeOverRace},
		{"a directory that was rolled back is refused", testRolledBack},
		{"a directory that went another way is refused", testDiverged},
		{"another marketplace's replica is refused", testForeign},
		{"two servers on copies of one directory don't mix", testCopiedDirectory},
	})
}

// takeOver opens a replicator that may end another's generation, which must succeed.
func (n *node) takeOver(c *Client) *Replicator {
	n.t.Helper()
	r := New(n.db, n.blobs, c, Options{TakeOver: true, SpoolDir: n.t.TempDir()})
	if err := r.Open(ctx); err != nil {
		n.t.Fatal(err)
	}
	return r
}

// copyDir copies a closed data directory.
func copyDir(t *testing.T, dir string) string {
	t.Helper()
	to := filepath.Join(t.TempDir(), "copy")
	if err := os.CopyFS(to, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	return to
}

func testTakeOver(t *testing.T, p *place) {
	old := openNode(t, t.TempDir())
	oldR := old.replicate(p.client())
	old.sell("before")
	mustSync(t, oldR)

	heir, _ := p.restore(Target{})
	heirR := heir.takeOver(p.client())
	if pos := heirR.Position(); pos.Generation != 2 || pos.TXID != 0 || pos.LSN != 1 {
		t.Errorf("the heir stands at %v, want the start of generation 2", pos)
	}
	heir.sell("after")
	mustSync(t, heirR)

	old.sell("too late")
	if _, err := oldR.Sync(ctx); !errors.Is(err, ErrFenced) || !strings.Contains(err.Error(), string(heir.db.Node().ID)) {
		t.Errorf("the old node's write: %v, want ErrFenced that names the heir", err)
	}
	if _, err := oldR.Sync(ctx); !errors.Is(err, ErrFenced) {
		t.Errorf("the old node's second write: %v, want ErrFenced", err)
	}
	if err := oldR.Wait(ctx, old.db.LastLSN()); !errors.Is(err, ErrFenced) {
		t.Errorf("waiting on the old node: %v, want ErrFenced", err)
	}
	old.reopen()
	if err := New(old.db, old.blobs, p.client(), Options{}).Open(ctx); !errors.Is(err, ErrFenced) {
		t.Errorf("the old node's restart: %v, want ErrFenced", err)
	}

	got, rep := p.restore(Target{})
	if got.digest() != heir.digest() || rep.Generation != 2 {
		t.Errorf("the restore is of generation %d and differs from the heir", rep.Generation)
	}
	heir.reopen()
	if pos := heir.replicate(p.client()).Position(); pos.Generation != 2 || pos.TXID != 1 {
		t.Errorf("after a restart the heir stands at %v, want generation 2, file 1", pos)
	}
}

func testTakeOverRace(t *testing.T, p *place) {
	old := openNode(t, t.TempDir())
	r := old.replicate(p.client())
	old.sell("before")
	mustSync(t, r)
	a, _ := p.restore(Target{})
	b, _ := p.restore(Target{})
	results := make(chan error, 2)
	for _, n := range []*node{a, b} {
		go func() { results <- New(n.db, n.blobs, p.client(), Options{TakeOver: true}).Open(ctx) }()
	}
	errA, errB := <-results, <-results
	all, err := p.c.generations(ctx)
	if err != nil {
		t.Fatal(err)
	}
	// Either both went for generation 2 and one lost, or one came later and sealed it.
	switch {
	case errA == nil && errB == nil && len(all) == 3:
	case (errA == nil) != (errB == nil) && errors.Is(errors.Join(errA, errB), ErrFenced) && len(all) == 2:
	default:
		t.Errorf("the two answer %v and %v, and there are %d generations", errA, errB, len(all))
	}
}

func testRolledBack(t *testing.T, p *place) {
	n := openNode(t, t.TempDir())
	r := n.replicate(p.client())
	n.sell("one")
	mustSync(t, r)
	n.close()
	image := openNode(t, copyDir(t, n.dir))
	n.open()
	r = n.replicate(p.client())
	n.sell("two")
	mustSync(t, r)

	before := p.objects()
	err := New(image.db, image.blobs, p.client(), Options{}).Open(ctx)
	if !errors.Is(err, ErrReplicaAhead) || !strings.Contains(err.Error(), "up to 2") || !strings.Contains(err.Error(), "up to 1") {
		t.Errorf("opening with an older image: %v, want ErrReplicaAhead that names both positions", err)
	}
	if p.objects() != before {
		t.Error("the refusal wrote something")
	}
}

func testDiverged(t *testing.T, p *place) {
	n := openNode(t, t.TempDir())
	n.sell("one")
	n.close()
	image := openNode(t, copyDir(t, n.dir))
	n.open()
	r := n.replicate(p.client())
	n.sell("two")
	mustSync(t, r)

	image.sell("another two", "three")
	if err := New(image.db, image.blobs, p.client(), Options{}).Open(ctx); !errors.Is(err, ErrDiverged) {
		t.Errorf("opening with another history: %v, want ErrDiverged", err)
	}
	if got, _ := p.restore(Target{}); got.digest() != n.digest() {
		t.Error("the restored data differ")
	}
}

func testForeign(t *testing.T, p *place) {
	n := openNode(t, t.TempDir())
	n.sell("ours")
	mustSync(t, n.replicate(p.client()))
	other := openNode(t, t.TempDir())
	other.sell("theirs")
	if err := New(other.db, other.blobs, p.client(), Options{}).Open(ctx); !errors.Is(err, ErrForeign) {
		t.Errorf("opening another marketplace's replica: %v, want ErrForeign", err)
	}
}

func testCopiedDirectory(t *testing.T, p *place) {
	n := openNode(t, t.TempDir())
	n.sell("one")
	mustSync(t, n.replicate(p.client()))
	n.close()
	twin := openNode(t, copyDir(t, n.dir))
	n.open()
	r, twinR := n.replicate(p.client()), twin.replicate(p.client())
	n.sell("mine")
	mustSync(t, r)
	twin.sell("yours")
	if _, err := twinR.Sync(ctx); !errors.Is(err, ErrFenced) {
		t.Errorf("the second server's write: %v, want ErrFenced", err)
	}
	if got, _ := p.restore(Target{}); got.digest() != n.digest() {
		t.Error("the restored data differ")
	}
}
