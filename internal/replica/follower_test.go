package replica

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/souk-market/souk/internal/blob"
	"github.com/souk-market/souk/store"
)

// TestFollower runs every scenario of a standby on every kind of replica.
func TestFollower(t *testing.T) {
	onEveryReplica(t, []scenario{
		{"a standby has what the replica has, blobs included", testFollow},
		{"a standby goes on after a restart at any moment", testFollowRestart},
		{"a standby follows the next primary", testFollowPrimary},
		{"a standby catches up when files have been merged away", testFollowFar},
		{"a promoted standby has everything that was shipped", testPromote},
		{"of two standbys that are promoted at once one wins", testPromoteRace},
		{"a standby refuses a history that isn't its own", testFollowStray},
		{"a restored directory is promoted without having followed", testPromoteRestored},
	})
}

// standby restores a directory and opens it for following.
func (p *place) standby() (*node, *Follower) {
	p.t.Helper()
	dir := filepath.Join(p.t.TempDir(), "standby")
	if _, err := Restore(ctx, []*Client{p.client()}, dir, Target{}, RestoreOptions{}); err != nil {
		p.t.Fatal(err)
	}
	n := &node{t: p.t, dir: dir}
	n.openStandby()
	p.t.Cleanup(n.close)
	return n, p.follow(n)
}

func (n *node) openStandby() {
	n.t.Helper()
	var err error
	n.db, err = store.Open(store.Options{Dir: filepath.Join(n.dir, "store"), Standby: true, Fatal: func(err error) { n.t.Errorf("the store stopped: %v", err) }})
	if err != nil {
		n.t.Fatal(err)
	}
	if n.blobs, err = blob.Open(filepath.Join(n.dir, "blobs")); err != nil {
		n.t.Fatal(err)
	}
}

func (p *place) follow(n *node) *Follower {
	p.t.Helper()
	f, err := Follow(n.db, n.blobs, p.client(), FollowerOptions{SpoolDir: p.t.TempDir()})
	if err != nil {
		p.t.Fatal(err)
	}
	return f
}

// drain takes in everything that is in the replica.
func drain(t *testing.T, f *Follower) {
	t.Helper()
	for {
		news, err := f.work(ctx, f.step)
		if err != nil {
			t.Fatal(err)
		}
		if !news {
			return
		}
	}
}

// equal compares a node with a standby.
func (n *node) equal(standby *node) {
	n.t.Helper()
	if n.db.LastLSN() != standby.db.LastLSN() || n.digest() != standby.digest() {
		n.t.Errorf("the standby at commit %d differs from the primary at %d", standby.db.LastLSN(), n.db.LastLSN())
	}
}

func testFollow(t *testing.T, p *place) {
	n := openNode(t, t.TempDir())
	r := n.replicate(p.client())
	n.sell("one")
	mustSync(t, r)
	standby, f := p.standby()
	drain(t, f)
	sum := n.upload("a file of an agent")
	n.remove("one")
	for i := range 5 {
		n.sell(fmt.Sprint("s", i))
		mustSync(t, r)
	}
	drain(t, f)
	n.equal(standby)
	if commits, _ := f.Lag(); commits != 0 || f.Err() != nil || f.Position().TXID != r.Position().TXID {
		t.Errorf("the standby stands at %v, %d commits behind, with error %v", f.Position(), commits, f.Err())
	}
	have, err := standby.blobs.Open(ctx, sum)
	if err != nil {
		t.Fatal(err)
	}
	defer have.Close()
	if b, _ := io.ReadAll(have); string(b) != "a file of an agent" {
		t.Errorf("the standby's blob is %q", b)
	}
}

func testFollowRestart(t *testing.T, p *place) {
	n := openNode(t, t.TempDir())
	r := n.replicate(p.client())
	n.sell("zero")
	mustSync(t, r)
	standby, f := p.standby()
	for i := range 4 {
		n.sell(fmt.Sprint("a", i), fmt.Sprint("b", i))
		mustSync(t, r)
		was := *standby.db.Node().Origin
		drain(t, f)
		if i%2 == 0 { // it stopped between the records and the note of where it stands
			if err := standby.db.SetOrigin(was); err != nil {
				t.Fatal(err)
			}
		}
		standby.close()
		standby.openStandby()
		f = p.follow(standby)
	}
	n.sell("last")
	mustSync(t, r)
	drain(t, f)
	n.equal(standby)
}

func testFollowPrimary(t *testing.T, p *place) {
	n := openNode(t, t.TempDir())
	r := n.replicate(p.client())
	n.sell("one")
	mustSync(t, r)
	standby, f := p.standby()
	for g := range 3 {
		heir, _ := p.restore(Target{})
		drain(t, f) // the tombstone may come before the next manifest, or with it
		hr := heir.takeOver(p.client())
		heir.sell(fmt.Sprint("of generation ", g+2))
		mustSync(t, hr)
		drain(t, f)
		heir.equal(standby)
		if got := f.Position(); got.Generation != uint32(g+2) {
			t.Errorf("the standby stands at %v, want generation %d", got, g+2)
		}
	}
}

func testFollowFar(t *testing.T, p *place) {
	n := openNode(t, t.TempDir())
	r := n.replicate(p.client())
	n.sell("one")
	mustSync(t, r)
	standby, f := p.standby()
	drain(t, f)
	for i := range 6 {
		n.sell(fmt.Sprint("s", i))
		n.upload(fmt.Sprint("file ", i))
		n.remove("one")
		n.sell("one")
		mustSync(t, r)
	}
	n.remove("s3")
	if err := r.Snapshot(ctx); err != nil {
		t.Fatal(err)
	}
	n.sell("after")
	last := mustSync(t, r)
	for txid := f.Position().TXID + 1; txid < last.TXID; txid++ {
		if err := os.Remove(p.file(1, levelChanges, txid, txid)); err != nil {
			t.Fatal(err)
		}
	}
	standby.close()
	standby.openStandby()
	f = p.follow(standby)
	drain(t, f)
	n.equal(standby)
	if f.Position().TXID != last.TXID {
		t.Errorf("the standby stands at %v, want %v", f.Position(), last)
	}
}

func testPromote(t *testing.T, p *place) {
	old := openNode(t, t.TempDir())
	r := old.replicate(p.client())
	old.sell("one")
	mustSync(t, r)
	standby, f := p.standby()
	old.sell("two")
	mustSync(t, r) // not followed yet
	for range 2 {  // a repetition changes nothing
		pos, err := f.Promote(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if pos.Generation != 2 || pos.LSN != 2 {
			t.Errorf("promoted to %v, want the start of generation 2 at commit 2", pos)
		}
		if err := f.Run(ctx); err != nil {
			t.Error(err)
		}
		f = p.follow(standby)
	}
	old.equal(standby)
	standby.reopen()
	sr := standby.replicate(p.client())
	standby.sell("three")
	mustSync(t, sr)
	old.sell("too late")
	if _, err := r.Sync(ctx); !errors.Is(err, ErrFenced) {
		t.Errorf("the old primary's write: %v, want ErrFenced", err)
	}
	if got, _ := p.restore(Target{}); got.digest() != standby.digest() {
		t.Error("the restored data differ")
	}
}

func testPromoteRace(t *testing.T, p *place) {
	old := openNode(t, t.TempDir())
	r := old.replicate(p.client())
	old.sell("one")
	mustSync(t, r)
	a, fa := p.standby()
	b, fb := p.standby()
	results := make(chan error, 2)
	for _, f := range []*Follower{fa, fb} {
		go func() {
			_, err := f.Promote(ctx)
			results <- err
		}()
	}
	first, second := <-results, <-results
	if (first == nil) == (second == nil) || !errors.Is(errors.Join(first, second), ErrFenced) {
		t.Fatalf("the two answer %v and %v, want one that wins and one that is fenced", first, second)
	}
	winner, loser, lf := a, b, fb
	if fb.isPromoted() {
		winner, loser, lf = b, a, fa
	}
	winner.reopen()
	wr := winner.replicate(p.client())
	winner.sell("two")
	mustSync(t, wr)
	drain(t, lf)
	winner.equal(loser)
}

func testFollowStray(t *testing.T, p *place) {
	n := openNode(t, t.TempDir())
	r := n.replicate(p.client())
	n.sell("one")
	mustSync(t, r)
	standby, f := p.standby()
	started := openNode(t, copyDir(t, standby.dir)) // as a server of its own
	n.sell("two", "three")
	mustSync(t, r)
	started.sell("mine")
	started.close()
	started.openStandby()
	if _, err := p.follow(started).Promote(ctx); !errors.Is(err, ErrDiverged) {
		t.Errorf("promoting a directory with commits of its own: %v, want ErrDiverged", err)
	}
	drain(t, f)
	past, _ := p.restore(Target{TXID: 1})
	pr := past.takeOver(p.client())
	past.sell("instead")
	mustSync(t, pr)
	if err := f.Run(ctx); !errors.Is(err, ErrDiverged) {
		t.Errorf("following a history from before: %v, want ErrDiverged", err)
	}
}

func testPromoteRestored(t *testing.T, p *place) {
	old := openNode(t, t.TempDir())
	r := old.replicate(p.client())
	old.sell("one")
	mustSync(t, r)
	heir, _ := p.restore(Target{})
	old.sell("two")
	mustSync(t, r)
	err := New(heir.db, heir.blobs, p.client(), Options{TakeOver: true}).Open(ctx)
	if !errors.Is(err, ErrBehind) {
		t.Errorf("taking over with a directory that lacks a commit: %v, want ErrBehind", err)
	}
	mustSync(t, r) // nothing was sealed
	heir.close()
	heir.openStandby()
	if _, err := p.follow(heir).Promote(ctx); err != nil {
		t.Fatal(err)
	}
	heir.reopen()
	hr := heir.replicate(p.client())
	old.equal(heir)
	if hr.Position().Generation != 2 {
		t.Errorf("the heir stands at %v, want generation 2", hr.Position())
	}
}
