package replica

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/souk-market/souk/internal/market"
	"github.com/souk-market/souk/store"
)

// TestFailover runs every scenario of two servers at one replica.
func TestFailover(t *testing.T) {
	onEveryReplica(t, []scenario{
		{"a restored node takes over and the old one is fenced", testTakeOver},
		{"of two nodes that take over at once one owns the next generation", testTakeOverRace},
		{"the refusal names who goes on, not who sealed", testSealedByAnother},
		{"a directory that was rolled back is refused", testRolledBack},
		{"a directory that went another way is refused", testDiverged},
		{"another marketplace's replica is refused", testForeign},
		{"two servers on copies of one directory don't mix", testCopiedDirectory},
		{"a restored directory waits until it is told to take over", testOccupied},
		{"a directory restored twice goes on once", testRestoredTwice},
		{"commits that only a replaced directory has are listed", testDivergence},
		{"a restored server takes over the other replicas of its past", testSecondReplica},
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

// testSealedByAnother: whose tombstone ends a generation doesn't decide who goes on.
func testSealedByAnother(t *testing.T, p *place) {
	old := openNode(t, t.TempDir())
	r := old.replicate(p.client())
	old.sell("before")
	pos := mustSync(t, r)
	h := heir{p.client(), "nod_loser", time.Now, slog.New(slog.DiscardHandler)}
	if err := h.writeTombstone(ctx, pos, 2); err != nil {
		t.Fatal(err)
	}
	winner, _ := p.restore(Target{})
	winner.takeOver(p.client())
	refused := func(how string, err error) {
		t.Helper()
		if !errors.Is(err, ErrFenced) || !strings.Contains(err.Error(), string(winner.db.Node().ID)) || strings.Contains(err.Error(), "nod_loser") {
			t.Errorf("%s: %v, want ErrFenced that names %s", how, err, winner.db.Node().ID)
		}
	}
	refused("starting again", New(old.db, old.blobs, p.client(), Options{}).Open(ctx))
	old.sell("too late")
	_, err := r.Sync(ctx)
	refused("writing", err)
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

// testOccupied: the refusal names the owner, when it wrote last, and its lease.
func testOccupied(t *testing.T, p *place) {
	old := openNode(t, t.TempDir())
	oldR := old.replicate(p.client())
	old.sell("one")
	pos := mustSync(t, oldR)
	heir, _ := p.restore(Target{})
	before := p.objects()
	refused := func(hint string) {
		t.Helper()
		err := New(heir.db, heir.blobs, p.client(), Options{}).Open(ctx)
		for _, want := range []string{string(old.db.Node().ID), pos.Time.Format(time.RFC3339), "--takeover", hint} {
			if !errors.Is(err, ErrOccupied) || !strings.Contains(err.Error(), want) {
				t.Errorf("starting beside another server: %v, want ErrOccupied that says %q", err, want)
			}
		}
	}
	refused("no lease")
	if p.objects() != before {
		t.Error("the refusal wrote something")
	}
	lease := Lease{Node: old.db.Node().ID, Generation: 1, Renewed: pos.Time, Expires: pos.Time.Add(time.Minute)}
	if err := p.c.writeLease(ctx, lease); err != nil {
		t.Fatal(err)
	}
	refused("runs until " + lease.Expires.Format(time.RFC3339))
	lease.Released = true
	if err := p.c.writeLease(ctx, lease); err != nil {
		t.Fatal(err)
	}
	refused("stopped in order")
	old.sell("two") // nothing has happened to it
	mustSync(t, oldR)
}

// testRestoredTwice: the second of two restores of one moment may not undo the first.
func testRestoredTwice(t *testing.T, p *place) {
	old := openNode(t, t.TempDir())
	r := old.replicate(p.client())
	old.sell("one")
	mustSync(t, r)
	first, _ := p.restore(Target{})
	second, _ := p.restore(Target{})
	fr := first.takeOver(p.client())
	first.sell("two")
	mustSync(t, fr)
	for _, takeOver := range []bool{false, true} {
		want := ErrOccupied
		if takeOver {
			want = ErrBehind
		}
		if err := New(second.db, second.blobs, p.client(), Options{TakeOver: takeOver}).Open(ctx); !errors.Is(err, want) {
			t.Errorf("starting the second restore (take over: %t): %v, want %v", takeOver, err, want)
		}
	}
	first.sell("three")
	mustSync(t, fr) // it wasn't sealed
	if got, _ := p.restore(Target{}); got.digest() != first.digest() {
		t.Error("the restored data differ")
	}
}

// testDivergence: the report has each commit after the last shared one, by line, and
// shows nothing that isn't for every eye.
func testDivergence(t *testing.T, p *place) {
	old := openNode(t, t.TempDir())
	oldR := New(old.db, old.blobs, p.client(), Options{SpoolDir: t.TempDir(), DataDir: old.dir, OnFenced: func(reason error) {
		old.sell("at the last moment")
		old.db.SetReadOnly(reason)
	}})
	if err := oldR.Open(ctx); err != nil {
		t.Fatal(err)
	}
	old.sell("one")
	mustSync(t, oldR)
	heir, _ := p.restore(Target{})
	heir.takeOver(p.client())
	old.sell("two")
	old.update(store.UserData, func(tx *store.Tx) error {
		return errors.Join(store.Accounts.Insert(tx, &market.Account{ID: "acc_1", Email: "ada@example.test"}),
			store.Sessions.Insert(tx, &market.Session{ID: "opens", Account: "acc_1", Expires: time.Unix(9, 0)}))
	})
	_, err := oldR.Sync(ctx)
	expect := func(err error, commits int) {
		t.Helper()
		path := filepath.Join(old.dir, "diverged-2.jsonl")
		if !errors.Is(err, ErrFenced) || !strings.Contains(err.Error(), path) {
			t.Errorf("the replaced server says %v, want ErrFenced that names %s", err, path)
		}
		b, readErr := os.ReadFile(path)
		if readErr != nil {
			t.Fatal(readErr)
		}
		lines := strings.Split(strings.TrimSpace(string(b)), "\n")
		if len(lines) != commits {
			t.Fatalf("the report has %d lines, want %d:\n%s", len(lines), commits, b)
		}
		for i, line := range lines {
			var d divergent
			if err := json.Unmarshal([]byte(line), &d); err != nil || d.LSN != store.LSN(i+2) || d.Time.IsZero() || len(d.Keys) == 0 {
				t.Errorf("line %d is %s (%v)", i+1, line, err)
			}
		}
		if !strings.Contains(lines[0], "sel_two") || !strings.Contains(lines[1], "user data") || strings.Contains(string(b), "opens") {
			t.Errorf("the report is\n%s", b)
		}
	}
	expect(err, 3)
	old.reopen()
	old.sell("three") // before the refusal at the next start
	expect(New(old.db, old.blobs, p.client(), Options{DataDir: old.dir}).Open(ctx), 4)
}

// TestDivergenceInWords: of one commit and of several.
func TestDivergenceInWords(t *testing.T) {
	n := openNode(t, t.TempDir())
	n.sell("one")
	n.sell("two")
	c, err := OpenClient("file://"+t.TempDir(), ClientOptions{})
	if err != nil {
		t.Fatal(err)
	}
	r := New(n.db, n.blobs, c, Options{DataDir: n.dir})
	last := n.db.LastLSN()
	for common, want := range map[store.LSN]string{
		last:     "has everything",
		last - 1: fmt.Sprintf("One commit (%d) can only be here, and is listed in ", last),
		last - 2: fmt.Sprintf("2 commits (%d to %d) can only be here, and are listed in ", last-1, last),
	} {
		if got := r.divergence(ctx, common); !strings.Contains(got, want) {
			t.Errorf("after commit %d of %d: %q, want %q", common, last, got, want)
		}
	}
}

// testSecondReplica: files of two replicas end at different commits; a directory restored
// from one goes on in the other, which lacks some or has more.
func testSecondReplica(t *testing.T, p *place) {
	other := *p
	if strings.HasPrefix(p.url, "file:") {
		other.url += "-other"
	} else {
		other.url = strings.Replace(p.url, "?", "-other?", 1)
	}
	old := openNode(t, t.TempDir())
	r, or := old.replicate(p.client()), old.replicate(other.client())
	old.sell("one")
	mustSync(t, r)
	old.sell("two")
	mustSync(t, or)
	old.sell("three")
	mustSync(t, r) // the first replica is ahead now, and has no file that ends with commit 2

	behind, _ := other.restore(Target{})
	if err := New(behind.db, behind.blobs, p.client(), Options{TakeOver: true}).Open(ctx); !errors.Is(err, ErrBehind) {
		t.Errorf("going on in a replica that has more: %v, want ErrBehind", err)
	}
	heir, _ := p.restore(Target{})
	heir.takeOver(p.client())
	hr := heir.takeOver(other.client())
	heir.sell("four")
	mustSync(t, hr)
	got, rep := other.restore(Target{})
	if got.digest() != heir.digest() || rep.Generation != 2 {
		t.Errorf("the restore from the other replica is of generation %d, or differs", rep.Generation)
	}
	stranger := openNode(t, t.TempDir())
	stranger.sell("x")
	if err := New(stranger.db, stranger.blobs, other.client(), Options{TakeOver: true}).Open(ctx); !errors.Is(err, ErrForeign) {
		t.Errorf("taking over another marketplace's replica: %v, want ErrForeign", err)
	}
}
