package replica

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"path/filepath"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/souk-market/souk/internal/market"
	"github.com/souk-market/souk/store"
	"github.com/souk-market/souk/store/storetest"
)

// bubble runs a test with a running replicator in virtual time. tick lets time pass.
func bubble(t *testing.T, test func(n *node, c *Client, r *Replicator, tick func(time.Duration), stop func() error)) {
	bubbleWith(t, Options{}, test)
}

// bubbleWith is bubble with other options.
func bubbleWith(t *testing.T, o Options, test func(n *node, c *Client, r *Replicator, tick func(time.Duration), stop func() error)) {
	bubbleOn(t, "file://"+t.TempDir(), nil, o, test)
}

// bubbleOn is bubble with other options, on a replica with a key.
func bubbleOn(t *testing.T, url string, key *Key, o Options, test func(n *node, c *Client, r *Replicator, tick func(time.Duration), stop func() error)) {
	c, err := OpenClient(url, ClientOptions{Key: key})
	if err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		db, err := store.Open(store.Options{Dir: "store", FS: vfs.NewMem(), Fatal: func(err error) { t.Error(err) }})
		if err != nil {
			t.Fatal(err)
		}
		n := &node{t: t, db: db}
		defer n.close()
		r := New(db, nil, c, o)
		run, cancel := context.WithCancel(ctx)
		done := make(chan error, 1)
		go func() { done <- r.Run(run) }()
		stopped := false
		stop := func() error {
			stopped = true
			cancel()
			return <-done
		}
		defer func() {
			if !stopped {
				if err := stop(); err != nil {
					t.Error(err)
				}
			}
		}()
		test(n, c, r, func(d time.Duration) {
			time.Sleep(d)
			synctest.Wait()
		}, stop)
	})
}

// touch makes a commit of a class.
func (n *node) touch(class store.Class, name string) store.LSN {
	n.t.Helper()
	s := market.Seller{ID: market.SellerID("sel_" + name), Slug: name, Name: name}
	return n.update(class, func(tx *store.Tx) error { return store.Sellers.Put(tx, &s) })
}

func TestCommitsAreShippedByClass(t *testing.T) {
	bubble(t, func(n *node, _ *Client, r *Replicator, tick func(time.Duration), stop func() error) {
		expect := func(when string, files, lsn int) {
			t.Helper()
			if pos := r.Position(); int(pos.TXID) != files || int(pos.LSN) != lsn {
				t.Errorf("%s: the replica stands at %v, want file %d, commit %d", when, pos, files, lsn)
			}
		}
		tick(time.Minute)
		expect("idle", 0, 0)

		n.touch(store.Transaction, "a")
		tick(40 * time.Millisecond)
		expect("40 ms after a transaction", 0, 0)
		tick(20 * time.Millisecond)
		expect("60 ms after a transaction", 1, 1)

		for i := range 10 {
			n.touch(store.Transaction, fmt.Sprintf("burst-%d", i))
			tick(80 * time.Millisecond)
		}
		expect("within a second", 1, 1)
		tick(250 * time.Millisecond)
		expect("after a second", 2, 11)

		n.touch(store.UserData, "b")
		tick(29 * time.Second)
		expect("29 s after user data", 2, 11)
		tick(2 * time.Second)
		expect("31 s after user data", 3, 12)

		n.touch(store.Ephemeral, "c")
		tick(time.Hour)
		expect("an hour after an ephemeral commit", 3, 12)
		if commits, age := r.Lag(); commits != 1 || age != 0 {
			t.Errorf("the lag is %d commits, %s; want 1 that doesn't matter", commits, age)
		}
		n.touch(store.Transaction, "d")
		tick(time.Second)
		expect("with the next transaction", 4, 14)

		n.touch(store.UserData, "e")
		if err := stop(); err != nil {
			t.Error(err)
		}
		expect("after stopping", 5, 15)
	})
}

func TestWaitShipsAtOnce(t *testing.T) {
	bubble(t, func(n *node, _ *Client, r *Replicator, tick func(time.Duration), _ func() error) {
		tick(time.Second)
		lsn := n.touch(store.Ephemeral, "a")
		began := time.Now()
		if err := r.Wait(ctx, lsn); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(began); took > 0 {
			t.Errorf("waiting took %s of delay", took)
		}
		short, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		if err := r.Wait(short, lsn+1); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("waiting for a commit that never comes: %v", err)
		}
	})
}

// unreachable fails every call that writes while it is down.
type unreachable struct {
	transport
	down  atomic.Bool
	calls atomic.Int64
}

func (u *unreachable) create(ctx context.Context, key string, body io.ReadSeeker, at time.Time) error {
	u.calls.Add(1)
	if u.down.Load() {
		return errors.New("no route to host")
	}
	return u.transport.create(ctx, key, body, at)
}

func TestOutage(t *testing.T) {
	bubble(t, func(n *node, c *Client, r *Replicator, tick func(time.Duration), stop func() error) {
		tick(time.Second)
		wire := &unreachable{transport: c.at}
		c.at = wire
		wire.down.Store(true)
		for i := range 4 * 60 {
			n.touch(store.Transaction, fmt.Sprintf("s%d", i%7))
			tick(time.Minute)
		}
		commits, age := r.Lag()
		if commits != 240 || age < 239*time.Minute || r.Err() == nil {
			t.Errorf("after four hours the lag is %d commits, %s, and the error %v", commits, age, r.Err())
		}
		if calls := wire.calls.Load(); calls < 240 || calls > 1000 {
			t.Errorf("%d attempts were made in four hours, want one every half minute", calls)
		}
		wire.down.Store(false)
		tick(time.Minute)
		if pos := r.Position(); pos.LSN != 240 || pos.TXID != 1 || r.Err() != nil {
			t.Errorf("a minute after the outage the replica stands at %v, with error %v", pos, r.Err())
		}
		wire.down.Store(true)
		n.touch(store.Transaction, "last")
		if err := stop(); err != nil { // what is left is shipped at the next start
			t.Error(err)
		}
		wire.down.Store(false)
	})
}

func TestSnapshotEveryDay(t *testing.T) {
	bubble(t, func(n *node, c *Client, r *Replicator, tick func(time.Duration), _ func() error) {
		count := func() int {
			files, err := c.list(ctx, generationPath(1), levelSnapshot)
			if err != nil {
				t.Fatal(err)
			}
			return len(files)
		}
		n.touch(store.Transaction, "a")
		tick(23 * time.Hour)
		if count() != 0 {
			t.Error("a snapshot was taken before a day had passed")
		}
		tick(2 * time.Hour)
		if count() != 1 {
			t.Error("no snapshot was taken after a day")
		}
		tick(10 * 24 * time.Hour)
		if count() != 1 {
			t.Error("an idle node took a snapshot")
		}
		n.touch(store.Transaction, "b")
		tick(time.Minute)
		if count() != 2 {
			t.Error("no snapshot was taken with the first change after idle days")
		}
	})
}

// unreliable fails some creations before and some after they are done.
type unreliable struct {
	transport
	rng *rand.Rand
}

func (u *unreliable) create(ctx context.Context, key string, body io.ReadSeeker, at time.Time) error {
	switch u.rng.IntN(4) {
	case 0:
		return errors.New("no route to host")
	case 1:
		if err := u.transport.create(ctx, key, body, at); err != nil {
			return err
		}
		return errors.New("connection reset")
	}
	return u.transport.create(ctx, key, body, at)
}

// TestCrashes replicates a database that loses power at random over a line that fails
// at random: what was shipped is what was committed, at every file.
func TestCrashes(t *testing.T) {
	seeds := 8
	if testing.Short() {
		seeds = 3
	}
	for seed := range seeds {
		t.Run(fmt.Sprint("seed-", seed), func(t *testing.T) { testCrashes(t, rand.New(rand.NewPCG(uint64(seed), 0))) })
	}
}

func testCrashes(t *testing.T, rng *rand.Rand) {
	p := &place{t: t, root: t.TempDir()}
	p.url = "file://" + p.root
	p.c = p.client()
	disk := storetest.NewDisk()
	var n *node
	var r *Replicator
	restart := func() {
		n = &node{t: t, db: disk.Open(t, time.Now)}
		c := p.client()
		c.at = &unreliable{c.at, rng}
		r = New(n.db, nil, c, Options{SpoolDir: t.TempDir()})
		for r.Open(ctx) != nil {
		}
	}
	restart()
	shipped := map[uint64][32]byte{}
	sync := func() {
		pos, err := r.Sync(ctx)
		if errors.Is(err, ErrFenced) {
			t.Fatal(err)
		}
		if err == nil && pos.TXID > 0 && pos.LSN == n.db.LastLSN() {
			shipped[uint64(pos.TXID)] = n.digest()
		}
	}
	for range 60 {
		switch rng.IntN(10) {
		case 0:
			old := n
			disk = disk.Crash(rng.IntN(101), rng)
			restart()
			old.db.Close()
		case 1:
			_ = r.Snapshot(ctx)
		case 2, 3, 4:
			sync()
		case 5:
			n.remove(fmt.Sprint("s", rng.IntN(12)))
		default:
			n.touch(store.Class(rng.IntN(3)), fmt.Sprint("s", rng.IntN(12)))
		}
	}
	for r.Position().LSN < n.db.LastLSN() {
		sync()
	}
	if got, _ := p.restore(Target{}); got.digest() != n.digest() {
		t.Error("the restored data differ")
	}
	for txid, want := range shipped {
		if rng.IntN(3) == 0 {
			if got, _ := p.restore(Target{TXID: txid}); got.digest() != want {
				t.Errorf("the restore to file %d differs", txid)
			}
		}
	}
	n.close()
}

func FuzzChangeFile(f *testing.F) {
	tail, err := encodeTombstone(&footer{Generation: 1, TXID: 2, Node: "nod_1", Seal: &seal{Node: "nod_2", Generation: 2}}, nil)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(tail)
	f.Fuzz(func(t *testing.T, b []byte) {
		cf, err := openChangeFile("fuzzed", readerAt(b), int64(len(b)))
		if err != nil {
			return
		}
		for i := range cf.Tables {
			_ = cf.read(i, func(_, _ []byte, _ bool) error { return nil })
			_ = cf.extract(i, filepath.Join(t.TempDir(), fmt.Sprint(i)), func(_, _ []byte, _ bool) error { return nil })
		}
	})
}

type readerAt []byte

func (r readerAt) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 || off > int64(len(r)) {
		return 0, io.ErrUnexpectedEOF
	}
	n := copy(p, r[off:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}
