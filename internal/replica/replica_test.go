package replica

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/superfly/ltx"

	"github.com/souk-market/souk/internal/blob"
	"github.com/souk-market/souk/internal/market"
	"github.com/souk-market/souk/internal/testenv"
	"github.com/souk-market/souk/store"
	"github.com/souk-market/souk/store/storetest"
)

var ctx = context.Background()

// node is a data directory, opened.
type node struct {
	t     *testing.T
	dir   string
	db    *store.DB
	blobs *blob.Store
}

func openNode(t *testing.T, dir string) *node {
	t.Helper()
	n := &node{t: t, dir: dir}
	n.open()
	t.Cleanup(n.close)
	return n
}

func (n *node) open() {
	n.t.Helper()
	var err error
	n.db, err = store.Open(store.Options{Dir: filepath.Join(n.dir, "store"), Fatal: func(err error) { n.t.Errorf("the store stopped: %v", err) }})
	if err != nil {
		n.t.Fatal(err)
	}
	if n.blobs, err = blob.Open(filepath.Join(n.dir, "blobs")); err != nil {
		n.t.Fatal(err)
	}
}

// close checks the database and closes it; a second time it does nothing.
func (n *node) close() {
	if n.db == nil {
		return
	}
	storetest.Check(n.t, n.db)
	if err := n.db.Close(); err != nil {
		n.t.Error(err)
	}
	n.db = nil
}

func (n *node) reopen() {
	n.t.Helper()
	n.close()
	n.open()
}

func (n *node) update(class store.Class, fn func(tx *store.Tx) error) store.LSN {
	n.t.Helper()
	res, err := n.db.Update(ctx, market.MainTenant, store.Op{Class: class}, fn)
	if err != nil {
		n.t.Fatal(err)
	}
	return res.LSN
}

// sell makes a commit for each seller.
func (n *node) sell(names ...string) (last store.LSN) {
	n.t.Helper()
	for _, name := range names {
		s := market.Seller{ID: market.SellerID("sel_" + name), Slug: name, Name: name, Created: time.Unix(1, 0).UTC()}
		last = n.update(store.Transaction, func(tx *store.Tx) error { return store.Sellers.Put(tx, &s) })
	}
	return last
}

func (n *node) remove(name string) {
	n.t.Helper()
	n.update(store.Transaction, func(tx *store.Tx) error { return store.Sellers.Delete(tx, market.SellerID("sel_"+name)) })
}

// upload puts a blob and names it in a record.
func (n *node) upload(content string) blob.Sum {
	n.t.Helper()
	ref, err := n.blobs.Put(ctx, strings.NewReader(content), 1<<20)
	if err != nil {
		n.t.Fatal(err)
	}
	rec := market.Blob{SHA256: ref.Sum.String(), Size: ref.Size}
	n.update(store.Transaction, func(tx *store.Tx) error { return store.Blobs.Put(tx, &rec) })
	return ref.Sum
}

func (n *node) digest() [32]byte {
	n.t.Helper()
	snap, err := n.db.Snapshot(ctx)
	if err != nil {
		n.t.Fatal(err)
	}
	defer snap.Close()
	sum, err := snap.Digest(ctx)
	if err != nil {
		n.t.Fatal(err)
	}
	return sum
}

// replicate opens a replicator, which must succeed.
func (n *node) replicate(c *Client) *Replicator {
	n.t.Helper()
	r := New(n.db, n.blobs, c, Options{SpoolDir: n.t.TempDir()})
	if err := r.Open(ctx); err != nil {
		n.t.Fatal(err)
	}
	return r
}

func mustSync(t *testing.T, r *Replicator) Position {
	t.Helper()
	pos, err := r.Sync(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return pos
}

// place is an empty replica.
type place struct {
	t    *testing.T
	url  string
	root string // where its objects are on disk, as files
	key  *Key   // nil when it isn't encrypted
	c    *Client
}

func (p *place) client() *Client {
	p.t.Helper()
	c, err := OpenClient(p.url, ClientOptions{Key: p.key})
	if err != nil {
		p.t.Fatal(err)
	}
	return c
}

func (p *place) file(g uint32, level int, minTXID, maxTXID ltx.TXID) string {
	return filepath.Join(p.root, p.c.at.ltxKey(generationPath(g), level, minTXID, maxTXID))
}

// objects counts the objects of the replica.
func (p *place) objects() (n int) {
	filepath.WalkDir(p.root, func(_ string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			n++
		}
		return nil
	})
	return n
}

// restore restores into a new directory, which must succeed, and opens it.
func (p *place) restore(target Target) (*node, Report) {
	p.t.Helper()
	dir := filepath.Join(p.t.TempDir(), "restored")
	rep, err := Restore(ctx, []*Client{p.client()}, dir, target, RestoreOptions{})
	if err != nil {
		p.t.Fatal(err)
	}
	return openNode(p.t, dir), rep
}

// refuse restores and expects an error of a kind that names something.
func (p *place) refuse(target Target, want error, naming string) {
	p.t.Helper()
	dir := filepath.Join(p.t.TempDir(), "restored")
	_, err := Restore(ctx, []*Client{p.client()}, dir, target, RestoreOptions{})
	if !errors.Is(err, want) || !strings.Contains(err.Error(), naming) {
		p.t.Errorf("restoring: got %v, want %v that names %s", err, want, naming)
	}
	if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
		p.t.Errorf("%s was left behind (%v)", dir, err)
	}
	left, err := os.ReadDir(dir + ".restoring") // what was verified, for the next attempt
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		p.t.Error(err)
	}
	for _, e := range left {
		if e.Name() != blobsDir && e.Name() != segmentsDir && e.Name() != lockFile {
			p.t.Errorf("%s was left behind in %s.restoring", e.Name(), dir)
		}
	}
}

// TestReplica runs every scenario on every kind of replica.
func TestReplica(t *testing.T) {
	onEveryReplica(t, []scenario{
		{"a restore equals the original", testRoundTrip},
		{"a restore to an earlier file or time equals the original at that time", testPointInTime},
		{"large and small files are applied in order", testSizes},
		{"a restarted node goes on where it stopped", testRestart},
		{"a snapshot replaces the files before it", testSnapshot},
		{"a damaged snapshot is done without", testDamagedSnapshot},
		{"a restored node may go back in time", testForkInThePast},
		{"an empty directory is filled and any other is refused", testTarget},
		{"a chain of restores is restored through all generations", testGenerations},
		{"a write whose answer was lost is adopted", testLostAnswer},
		{"a damaged, short or missing file is named", testDamage},
		{"a missing or damaged blob is named", testBlobDamage},
		{"a change log that was cut is bridged", testLogCut},
		{"an idle node ships nothing", testIdle},
		{"what is no longer kept is deleted and the rest restored", testCollect},
		{"different histories are never mixed", testForeignSource},
		{"a replica that is gone is done without", testEmptySource},
		{"what neither of two replicas has whole is restored from both", testJoin},
		{"an interrupted restore goes on where it stopped", testResume},
		{"an attached directory is used at once, and becomes an ordinary one", testAttach},
		{"any moment is restored from two replicas of which one is damaged", testRandomHistory},
	})
}

// scenario is a promise and its test on an empty replica.
type scenario struct {
	promise string
	test    func(t *testing.T, p *place)
}

// kind starts what a kind of replica needs, and returns what makes an empty one.
type kind = func(t *testing.T) func(t *testing.T) *place

// onEveryReplica runs scenarios on every kind of replica that can be fenced.
func onEveryReplica(t *testing.T, scenarios []scenario) {
	runOn(t, map[string]kind{
		"file": func(*testing.T) func(t *testing.T) *place {
			return func(t *testing.T) *place {
				root := filepath.Join(t.TempDir(), "a replica")
				return &place{url: "file://" + strings.ReplaceAll(root, " ", "%20"), root: root}
			}
		},
		"encrypted": func(*testing.T) func(t *testing.T) *place {
			key := NewRecoveryKey()
			return func(t *testing.T) *place {
				root := filepath.Join(t.TempDir(), "replica")
				return &place{url: "file://" + root, root: root, key: key}
			}
		},
		"s3": func(t *testing.T) func(t *testing.T) *place {
			server := testenv.S3(t)
			return func(t *testing.T) *place {
				path := fmt.Sprintf("replica/%x", sha256.Sum256([]byte(t.Name())))[:24]
				return &place{url: server.URL(path), root: filepath.Join(server.Dir, path)}
			}
		},
	}, scenarios)
}

// runOn runs scenarios on some kinds of replica.
func runOn(t *testing.T, kinds map[string]kind, scenarios []scenario) {
	for kind, start := range kinds {
		t.Run(kind, func(t *testing.T) {
			newPlace := start(t)
			for _, s := range scenarios {
				t.Run(strings.ReplaceAll(s.promise, " ", "-"), func(t *testing.T) {
					p := newPlace(t)
					p.t = t
					p.c = p.client()
					s.test(t, p)
				})
			}
		})
	}
}

func testRestart(t *testing.T, p *place) {
	n := openNode(t, t.TempDir())
	r := n.replicate(p.client())
	for i := range 5 {
		n.sell(fmt.Sprintf("shipped-%d", i))
		pos := mustSync(t, r)
		n.sell(fmt.Sprintf("unshipped-%d", i)) // the process dies before it is shipped
		n.reopen()
		r = n.replicate(p.client())
		if got := r.Position(); got != pos {
			t.Fatalf("after restart %d the replica stands at %v, want %v", i, got, pos)
		}
		if commits, _ := r.Lag(); commits != 1 {
			t.Errorf("after restart %d the replica lacks %d commits, want 1", i, commits)
		}
	}
	mustSync(t, r)
	if got, _ := p.restore(Target{}); got.digest() != n.digest() {
		t.Error("the restored data differ")
	}
}

// lossy performs creations and then says that they failed.
type lossy struct {
	transport
	lose int // how many answers
}

func (l *lossy) create(ctx context.Context, key string, body io.ReadSeeker, at time.Time) error {
	err := l.transport.create(ctx, key, body, at)
	if err == nil && l.lose > 0 {
		l.lose--
		return errors.New("connection reset")
	}
	return err
}

func testLostAnswer(t *testing.T, p *place) {
	n := openNode(t, t.TempDir())
	c := p.client()
	r := n.replicate(c)
	wire := &lossy{transport: c.at}
	c.at = wire
	for _, name := range []string{"one", "two"} {
		wire.lose = 1
		n.sell(name)
		if _, err := r.Sync(ctx); err == nil {
			t.Fatal("a lost answer went unnoticed")
		}
		n.sell(name + " meanwhile") // the next attempt has more to ship
		mustSync(t, r)
	}
	if pos := r.Position(); pos.TXID != 4 || pos.LSN != 4 {
		t.Errorf("the replica stands at %v, want file 4, commit 4", pos)
	}
	if got, _ := p.restore(Target{}); got.digest() != n.digest() {
		t.Error("the restored data differ")
	}

	// The answer to the creation of a manifest may be lost, too.
	heir, _ := p.restore(Target{})
	c = p.client()
	c.at = &lossy{c.at, 1}
	hr := New(heir.db, heir.blobs, c, Options{TakeOver: true})
	for range 3 {
		if err := hr.Open(ctx); err == nil {
			break
		} else if errors.Is(err, ErrFenced) {
			t.Fatal(err)
		}
	}
	if hr.Position().Generation != 2 {
		t.Errorf("the heir stands at %v, want generation 2", hr.Position())
	}
}

// runUntil runs a replicator until something has happened.
func runUntil(t *testing.T, r *Replicator, happened func() bool) {
	t.Helper()
	run, stop := context.WithTimeout(ctx, 30*time.Second)
	defer stop()
	done := make(chan error, 1)
	go func() { done <- r.Run(run) }()
	for !happened() && run.Err() == nil {
		select {
		case err := <-done:
			t.Fatalf("the replicator stopped: %v", err)
		case <-time.After(time.Millisecond):
		}
	}
	if run.Err() != nil {
		t.Error("waited in vain")
	}
	stop()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// testLogCut starts a replica on a directory whose change log begins late: a restored one.
func testLogCut(t *testing.T, p *place) {
	first := &place{t: t, url: p.url, root: p.root, key: p.key, c: p.c}
	if strings.HasPrefix(p.url, "file:") {
		first.url += "-first"
	} else {
		first.url = strings.Replace(p.url, "?", "-first?", 1)
	}
	n := openNode(t, t.TempDir())
	n.sell("one", "two")
	n.upload("a file")
	mustSync(t, n.replicate(first.client()))
	heir, _ := first.restore(Target{})

	r := heir.replicate(p.client())
	heir.sell("three")
	heir.remove("one")
	mustSync(t, r)
	heir.sell("four")
	mustSync(t, r)
	got, rep := p.restore(Target{})
	if got.digest() != heir.digest() || rep.Blobs != 1 || rep.LSN != heir.db.LastLSN() {
		t.Errorf("the restored data differ; %+v", rep)
	}
}

func testIdle(t *testing.T, p *place) {
	n := openNode(t, t.TempDir())
	n.sell("one")
	r := n.replicate(p.client())
	runUntil(t, r, func() bool { return r.Position().LSN == 1 })
	before := p.objects()
	for range 3 {
		mustSync(t, r)
		if err := r.Snapshot(ctx); err != nil {
			t.Fatal(err)
		}
	}
	n.reopen()
	r = n.replicate(p.client())
	run, stop := context.WithCancel(ctx)
	stop()
	if err := r.Run(run); err != nil {
		t.Error(err)
	}
	if got := p.objects(); got != before+2 { // one snapshot and its one segment
		t.Errorf("%d objects were made, want a snapshot only", got-before)
	}
}

// TestCreatedButNotYetThere: what a create was refused for may be readable a moment later.
func TestCreatedButNotYetThere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		reads := 0
		got, err := onceThere(t.Context(), func() (string, error) {
			if reads++; reads < 3 {
				return "", fmt.Errorf("opening it: %w", fs.ErrNotExist)
			}
			return "there", nil
		})
		if got != "there" || err != nil || reads != 3 {
			t.Errorf("%q, %v after %d reads", got, err, reads)
		}
		if _, err := onceThere(t.Context(), func() (string, error) { return "", fs.ErrNotExist }); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("what never appears: %v", err)
		}
	})
}
