package replica

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/benbjohnson/litestream"
	"github.com/google/go-cmp/cmp"
	"github.com/superfly/ltx"

	"github.com/souk-market/souk/store"
)

// tapped counts the requests of a client and lets some fail.
type tapped struct {
	transport
	calls, reads atomic.Int64                  // all; of files
	fail         func(write bool) (bool, bool) // before and after the request; nil is never
}

func (w *tapped) ltx(ctx context.Context, under string) (litestream.ReplicaClient, error) {
	w.calls.Add(1)
	lc, err := w.transport.ltx(ctx, under)
	return &tappedFiles{lc, w}, err
}

func (w *tapped) create(ctx context.Context, key string, body io.ReadSeeker, at time.Time) error {
	w.calls.Add(1)
	return w.try(true, func() error { return w.transport.create(ctx, key, body, at) })
}

func (w *tapped) read(ctx context.Context, key string) (b []byte, err error) {
	w.calls.Add(1)
	err = w.try(false, func() error {
		b, err = w.transport.read(ctx, key)
		return err
	})
	return b, err
}

func (w *tapped) try(write bool, request func() error) error {
	var before, after bool
	if w.fail != nil {
		before, after = w.fail(write)
	}
	if before {
		return errors.New("no route to host")
	}
	if err := request(); err != nil {
		return err
	}
	if after {
		return errors.New("connection reset")
	}
	return nil
}

type tappedFiles struct {
	litestream.ReplicaClient
	w *tapped
}

func (f *tappedFiles) WriteLTXFile(ctx context.Context, level int, lo, hi ltx.TXID, r io.Reader) (info *ltx.FileInfo, err error) {
	err = f.w.try(true, func() error {
		info, err = f.ReplicaClient.WriteLTXFile(ctx, level, lo, hi, r)
		return err
	})
	return info, err
}

func (f *tappedFiles) OpenLTXFile(ctx context.Context, level int, lo, hi ltx.TXID, off, size int64) (r io.ReadCloser, err error) {
	f.w.reads.Add(1)
	err = f.w.try(false, func() error {
		r, err = f.ReplicaClient.OpenLTXFile(ctx, level, lo, hi, off, size)
		return err
	})
	return r, err
}

// levels is what the replica has of each level in a generation, by number.
func levelsOf(t *testing.T, c *Client, g uint32) (all [levelHour + 1][]*ltx.FileInfo) {
	t.Helper()
	for level := range all {
		files, err := c.list(ctx, generationPath(g), level)
		if err != nil {
			t.Fatal(err)
		}
		all[level] = files
	}
	return all
}

// stateBy applies the files of a level, and after them those of the levels below, as far
// as they go on from one another.
func stateBy(t *testing.T, c *Client, g uint32, level int) state {
	t.Helper()
	all := levelsOf(t, c, g)
	s, next := state{}, ltx.TXID(1)
	for ; level >= 0; level-- {
		for _, f := range byNumber(all[level]) {
			if f.MinTXID != next {
				continue
			}
			ref := fileRef{g, level, f.MinTXID, f.MaxTXID, f.Size}
			cf, err := c.fetch(ctx, ref, filepath.Join(t.TempDir(), "file"))
			if err != nil {
				t.Fatal(err)
			}
			if err := errors.Join(c.expect(ref, &cf.footer), cf.verify(ctx)); err != nil {
				t.Fatal(err)
			}
			s = s.apply(t, cf)
			cf.close()
			next = f.MaxTXID + 1
		}
	}
	return s
}

// contents is what a node's database replicates.
func (n *node) contents() state {
	n.t.Helper()
	snap, err := n.db.Snapshot(ctx)
	if err != nil {
		n.t.Fatal(err)
	}
	defer snap.Close()
	s := state{}
	for kv, err := range snap.All() {
		if err != nil {
			n.t.Fatal(err)
		}
		s[string(kv.Key)] = string(kv.Value)
	}
	return s
}

// sameOnAllLevels verifies that every level says the same as the database.
func (n *node) sameOnAllLevels(c *Client, g uint32) {
	n.t.Helper()
	want := n.contents()
	for level := range levelHour + 1 {
		if diff := cmp.Diff(want, stateBy(n.t, c, g, level)); diff != "" {
			n.t.Errorf("from level %d down the replica differs (-database +replica):\n%s", level, diff)
		}
	}
}

// lastOf is the highest number among files.
func lastOf(files []*ltx.FileInfo) (n ltx.TXID) {
	for _, f := range files {
		n = max(n, f.MaxTXID)
	}
	return n
}

// counts is how many files each level has.
func counts(all [levelHour + 1][]*ltx.FileInfo) (n [levelHour + 1]int) {
	for level, files := range all {
		n[level] = len(files)
	}
	return n
}

func TestLevels(t *testing.T) {
	spool := t.TempDir()
	bubbleWith(t, Options{SnapshotEvery: 1000 * time.Hour, SpoolDir: spool}, func(n *node, c *Client, r *Replicator, tick func(time.Duration), _ func() error) {
		tick(0)
		wire := &tapped{transport: c.at}
		c.at = wire
		// The bubble's clock begins at midnight.
		for i := range 2 * 360 {
			if i == 54 && wire.reads.Load() > 0 { // from the tenth minute on retention reads
				t.Errorf("%d files were read from the replica, though there are copies", wire.reads.Load())
			}
			n.touch(store.Transaction, fmt.Sprint("s", i%50))
			if i%7 == 0 {
				n.remove(fmt.Sprint("s", (i+20)%50))
			}
			tick(10 * time.Second)
		}
		tick(time.Minute)
		all := levelsOf(t, c, 1)
		if got, want := counts(all), [...]int{720, 240, 24, 2}; got != want {
			t.Errorf("after two hours the levels have %v files, want %v", got, want)
		}
		for level, files := range all {
			next := ltx.TXID(1)
			for _, f := range files {
				if f.MinTXID != next {
					t.Errorf("level %d has files from %d to %d after %d", level, f.MinTXID, f.MaxTXID, next-1)
				}
				next = f.MaxTXID + 1
			}
			if next != 721 {
				t.Errorf("level %d ends with file %d", level, next-1)
			}
		}
		n.sameOnAllLevels(c, 1)
		if left, _ := filepath.Glob(filepath.Join(spool, "*", "*")); len(left) > 0 {
			t.Errorf("%d copies are left when all is merged: %v", len(left), left)
		}
		tick(5 * time.Hour) // retention looks once more
		before := wire.calls.Load()
		tick(20 * time.Hour)
		if got := wire.calls.Load() - before; got != 0 {
			t.Errorf("%d requests were made while nothing happened", got)
		}
	})
}

// TestLevelsCatchUp stops a server for hours in the middle of its windows, and loses its
// copies or damages them: the next start merges what is left.
func TestLevelsCatchUp(t *testing.T) {
	for name, spoil := range map[string]func(path string) error{
		"copies kept":      func(string) error { return nil },
		"copies lost":      os.Remove,
		"copies cut short": func(path string) error { return os.Truncate(path, 150) },
		"copies damaged": func(path string) error {
			b, err := os.ReadFile(path)
			b[ltx.HeaderSize+5] ^= 4
			return errors.Join(err, os.WriteFile(path, b, 0o600))
		},
	} {
		t.Run(name, func(t *testing.T) {
			o := Options{SnapshotEvery: 1000 * time.Hour, SpoolDir: t.TempDir()}
			bubbleWith(t, o, func(n *node, c *Client, r *Replicator, tick func(time.Duration), stop func() error) {
				tick(time.Second)
				for i := range 100 {
					n.touch(store.Transaction, fmt.Sprint("s", i%9))
					tick(7 * time.Second)
				}
				if err := stop(); err != nil {
					t.Fatal(err)
				}
				left, _ := filepath.Glob(filepath.Join(o.SpoolDir, "*", "*"))
				if len(left) == 0 {
					t.Error("no copies were kept")
				}
				for _, path := range left {
					if err := spoil(path); err != nil {
						t.Fatal(err)
					}
				}
				tick(5 * time.Hour)
				run, cancel := context.WithCancel(ctx)
				done := make(chan error, 1)
				go func() { done <- New(n.db, nil, c, o).Run(run) }()
				tick(time.Second)
				if got, want := counts(levelsOf(t, c, 1)), [...]int{100, 24, 3, 1}; got != want {
					t.Errorf("a second after the restart the levels have %v files, want %v", got, want)
				}
				n.sameOnAllLevels(c, 1)
				cancel()
				if err := <-done; err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// TestCopiesAreBounded: they never have more bytes than they may, and what has no copy
// is fetched.
func TestCopiesAreBounded(t *testing.T) {
	o := Options{SnapshotEvery: 1000 * time.Hour, SpoolDir: t.TempDir(), SpoolLimit: 12 << 10}
	bubbleWith(t, o, func(n *node, c *Client, r *Replicator, tick func(time.Duration), _ func() error) {
		most := int64(0)
		for i := range 200 {
			n.touch(store.Transaction, fmt.Sprint("s", i%9))
			tick(3 * time.Second)
			sum := int64(0)
			left, _ := filepath.Glob(filepath.Join(o.SpoolDir, "*", "*"))
			for _, path := range left {
				if info, err := os.Stat(path); err == nil {
					sum += info.Size()
				}
			}
			most = max(most, sum)
		}
		if most > o.SpoolLimit || most < o.SpoolLimit/2 {
			t.Errorf("the copies had up to %d bytes, want at most %d", most, o.SpoolLimit)
		}
		tick(2 * time.Hour)
		n.sameOnAllLevels(c, 1)
	})
}

// TestLevelsSurviveFailures merges over a line that fails at random, with restarts and
// clocks that are set back: at the end every level says what the database says.
func TestLevelsSurviveFailures(t *testing.T) {
	seeds := uint64(4)
	if testing.Short() {
		seeds = 1
	}
	for seed := range seeds {
		t.Run(fmt.Sprint("seed-", seed), func(t *testing.T) {
			rng := rand.New(rand.NewPCG(seed, 9))
			var skew atomic.Int64 // milliseconds
			o := Options{SnapshotEvery: 7 * time.Hour, SpoolDir: t.TempDir(), Clock: func() time.Time {
				return time.Now().Add(time.Duration(skew.Load()) * time.Millisecond)
			}}
			bubbleWith(t, o, func(n *node, c *Client, r *Replicator, tick func(time.Duration), stop func() error) {
				tick(time.Second)
				wire := &tapped{transport: c.at}
				c.at = wire
				var failing atomic.Bool
				random := newLockedRand(seed)
				wire.fail = func(bool) (bool, bool) {
					return failing.Load() && random.IntN(5) == 0, failing.Load() && random.IntN(8) == 0
				}
				failing.Store(true)
				for range 500 {
					switch rng.IntN(40) {
					case 0:
						failing.Store(false)
						if err := stop(); err != nil {
							t.Fatal(err)
						}
						failing.Store(true)
						stop = n.run(c, o)
					case 1:
						skew.Add(rng.Int64N(20_000) - 12_000)
					case 2:
						tick(time.Duration(rng.IntN(40)) * time.Minute)
					case 3:
						n.remove(fmt.Sprint("s", rng.IntN(30)))
					default:
						n.touch(store.Class(rng.IntN(3)), fmt.Sprint("s", rng.IntN(30)))
					}
					tick(time.Duration(rng.IntN(9_000)) * time.Millisecond)
				}
				failing.Store(false)
				tick(3 * time.Hour)
				n.touch(store.Transaction, "last")
				tick(3 * time.Hour)
				n.sameOnAllLevels(c, 1)
				all := levelsOf(t, c, 1)
				if last, want := lastOf(all[levelHour]), lastOf(all[0]); last != want {
					t.Errorf("the last level reaches to file %d, level 0 to %d", last, want)
				}
				if err := stop(); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// run runs another replicator of the node; stop ends it.
func (n *node) run(c *Client, o Options) (stop func() error) {
	run, cancel := context.WithCancel(ctx)
	done := make(chan error, 1)
	go func() { done <- New(n.db, n.blobs, c, o).Run(run) }()
	return func() error {
		cancel()
		return <-done
	}
}

// lockedRand is a random number generator for several goroutines.
type lockedRand struct {
	c chan *rand.Rand
}

func newLockedRand(seed uint64) *lockedRand {
	r := &lockedRand{make(chan *rand.Rand, 1)}
	r.c <- rand.New(rand.NewPCG(seed, 3))
	return r
}

func (r *lockedRand) IntN(n int) int {
	rng := <-r.c
	defer func() { r.c <- rng }()
	return rng.IntN(n)
}

// TestLevelsOfAServerThatOnlyWrites merges what is encrypted from copies, with a key that
// can't read; where the copies are gone, files stay as they are and later ones are merged.
func TestLevelsOfAServerThatOnlyWrites(t *testing.T) {
	recovery := NewRecoveryKey()
	server, err := ParseKey(recovery.ServerKey())
	if err != nil {
		t.Fatal(err)
	}
	url := "file://" + t.TempDir()
	reader, err := OpenClient(url, ClientOptions{Key: recovery})
	if err != nil {
		t.Fatal(err)
	}
	o := Options{SnapshotEvery: 30 * time.Minute, SpoolDir: t.TempDir()}
	bubbleOn(t, url, server, o, func(n *node, c *Client, r *Replicator, tick func(time.Duration), stop func() error) {
		for i := range 60 {
			n.touch(store.Transaction, fmt.Sprint("s", i%9))
			tick(10 * time.Second)
		}
		if err := stop(); err != nil {
			t.Fatal(err)
		}
		if got, want := counts(levelsOf(t, reader, 1)), [...]int{60, 19, 1, 0}; got != want {
			t.Errorf("the levels have %v files, want %v", got, want)
		}
		n.sameOnAllLevels(reader, 1)
		copies, _ := filepath.Glob(filepath.Join(o.SpoolDir, "*", "*"))
		for _, path := range copies {
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
		}
		tick(time.Hour)
		stop = n.run(c, o)
		tick(time.Second)
		for i := range 60 {
			n.touch(store.Transaction, fmt.Sprint("s", i%7))
			tick(10 * time.Second)
		}
		tick(2 * time.Hour)
		n.sameOnAllLevels(reader, 1)
		all := levelsOf(t, reader, 1)
		if last := lastOf(all[levelHour]); last != 120 {
			t.Errorf("the last level ends with file %d, want 120", last)
		}
		if err := stop(); err != nil {
			t.Error(err)
		}
		snapshots, err := reader.list(ctx, generationPath(1), levelSnapshot)
		if err != nil || len(snapshots) < 2 {
			t.Fatalf("there are %d snapshots (%v)", len(snapshots), err)
		}
		if n := segmentsIn(t, reader); n != 1 {
			t.Errorf("%d snapshots of the same records have %d segments", len(snapshots), n)
		}
	})
}

// mergeAll merges everything that waits, as if two hours had passed.
func mergeAll(t *testing.T, r *Replicator) {
	t.Helper()
	clock := r.opts.Clock
	defer func() { r.opts.Clock = clock }()
	r.opts.Clock = func() time.Time { return clock().Add(2 * time.Hour) }
	loaded := false
	if err := r.mergeDue(ctx, &loaded); err != nil {
		t.Fatal(err)
	}
}

// TestMergedFilesStayInTheirGeneration: each generation is merged by its owner, from its
// first file on, and a restore through both needs no file of level 0.
func TestMergedFilesStayInTheirGeneration(t *testing.T) {
	root := t.TempDir()
	p := &place{t: t, url: "file://" + root, root: root}
	p.c = p.client()
	n := openNode(t, t.TempDir())
	r := n.replicate(p.client())
	for i := range 5 {
		n.sell(fmt.Sprint("old-", i))
		mustSync(t, r)
	}
	mergeAll(t, r)
	heir, _ := p.restore(Target{})
	n.close()
	heirR := New(heir.db, heir.blobs, p.client(), Options{TakeOver: true})
	if err := heirR.Open(ctx); err != nil {
		t.Fatal(err)
	}
	for i := range 4 {
		heir.sell(fmt.Sprint("new-", i))
		heir.remove(fmt.Sprint("old-", i))
		mustSync(t, heirR)
	}
	mergeAll(t, heirR)
	for g, want := range map[uint32]ltx.TXID{1: 5, 2: 4} {
		for level, files := range levelsOf(t, p.c, g) {
			if level == levelChanges {
				continue
			}
			if len(files) == 0 || files[0].MinTXID != 1 || lastOf(files) != want {
				t.Errorf("level %d of generation %d goes from %v to %d, want 1 to %d", level, g, files, lastOf(files), want)
			}
		}
		for n := range want {
			if err := os.Remove(p.file(g, levelChanges, n+1, n+1)); err != nil {
				t.Fatal(err)
			}
		}
	}
	got, rep := p.restore(Target{})
	if got.digest() != heir.digest() || rep.LSN != heir.db.LastLSN() {
		t.Errorf("the data restored from merged files differ; %+v", rep)
	}
}

// TestHugeFilesAreNotMerged: they would be sent again for each level. Those around them are.
func TestHugeFilesAreNotMerged(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	c := &compactor{}
	for i, size := range []int64{1, 1, maxInput + 1, 1, maxInput + 1} {
		ref := changeRef(1, ltx.TXID(i+1))
		ref.size = size
		c.waiting[0] = append(c.waiting[0], levelFile{ref, now.Add(time.Duration(i) * time.Second)})
	}
	var got []int
	for group := c.due(0, now.Add(time.Hour)); len(group) > 0; group = c.due(0, now.Add(time.Hour)) {
		got = append(got, len(group))
		c.waiting[0] = c.waiting[0][len(group):]
	}
	if fmt.Sprint(got) != "[2 1 1 1]" {
		t.Errorf("files are merged in groups of %v, want the huge ones alone", got)
	}
}

// TestUnmerged finds what an earlier process has left, whatever it has left.
func TestUnmerged(t *testing.T) {
	for _, tt := range []struct {
		name   string
		listed [levelHour + 1]string // first-last of each file
		want   string
	}{
		{"nothing", [...]string{"", "", "", ""}, "[] [] []"},
		{"level 0 only", [...]string{"1-1 2-2", "", "", ""}, "[1-1 2-2] [] []"},
		{"a part of each", [...]string{"1-1 2-2 3-3 4-4 5-5 6-6", "1-2 3-3 4-5", "1-2 3-3", "1-2"}, "[6-6] [4-5] [3-3]"},
		{"all merged", [...]string{"1-1 2-2", "1-2", "1-2", "1-2"}, "[] [] []"},
		{"a level that was written twice", [...]string{"1-1 2-2 3-3", "1-1 1-2", "", ""}, "[3-3] [1-2] []"},
		{"a hole in a level", [...]string{"1-1 2-2 3-3 4-4 5-5", "1-2 4-5", "", ""}, "[3-3] [1-2 4-5] []"},
		{"a hole in a level that the next has filled", [...]string{"1-1 2-2 3-3", "1-1 3-3", "1-3", ""}, "[] [] [1-3]"},
		{"the beginning deleted", [...]string{"7-7 8-8", "5-6 7-7", "5-6", ""}, "[8-8] [7-7] [5-6]"},
		{"a hole in level 0", [...]string{"1-1 4-4", "", "", ""}, "[1-1 4-4] [] []"},
		{"everything deleted but the last", [...]string{"9-9", "", "", "1-4"}, "[9-9] [] []"},
	} {
		var listed [levelHour + 1][]*ltx.FileInfo
		for level, names := range tt.listed {
			var lo, hi ltx.TXID
			for len(names) > 0 {
				fmt.Sscanf(names, "%d-%d", &lo, &hi)
				listed[level] = append(listed[level], &ltx.FileInfo{Level: level, MinTXID: lo, MaxTXID: hi})
				names = names[min(len(names), 4):]
			}
		}
		var got [levelHour][]string
		for level, files := range unmerged(listed) {
			for _, f := range files {
				got[level] = append(got[level], fmt.Sprintf("%d-%d", f.MinTXID, f.MaxTXID))
			}
		}
		if s := fmt.Sprint(got[0], got[1], got[2]); s != tt.want {
			t.Errorf("%s: %s wait, want %s", tt.name, s, tt.want)
		}
	}
}
