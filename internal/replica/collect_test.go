package replica

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/souk-market/souk/internal/blob"
	"github.com/souk-market/souk/internal/market"
	"github.com/souk-market/souk/store"
)

// served runs a replicator for as long as serve takes, in virtual time, with a real
// directory as replica.
func served(t *testing.T, o Options, serve func(n *node, r *Replicator, tick func(time.Duration))) *place {
	t.Helper()
	return servedWith(t, nil, o, serve)
}

// servedWith is served with a key.
func servedWith(t *testing.T, key *Key, o Options, serve func(n *node, r *Replicator, tick func(time.Duration))) *place {
	t.Helper()
	p := &place{t: t, root: filepath.Join(t.TempDir(), "replica"), key: key}
	p.url = "file://" + p.root
	p.c = p.client()
	o.SpoolDir = t.TempDir()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		db, err := store.Open(store.Options{Dir: "store", FS: vfs.NewMem(), Fatal: func(err error) { t.Error(err) }})
		if err != nil {
			t.Fatal(err)
		}
		blobs, err := blob.Open(filepath.Join(dir, "blobs"))
		if err != nil {
			t.Fatal(err)
		}
		n := &node{t: t, db: db, blobs: blobs}
		defer n.close()
		r := New(db, blobs, p.client(), o)
		run, cancel := context.WithCancel(ctx)
		done := make(chan error, 1)
		go func() { done <- r.Run(run) }()
		serve(n, r, func(d time.Duration) {
			time.Sleep(d)
			synctest.Wait()
		})
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return p
}

// forgetBlob removes the record of a blob.
func (n *node) forgetBlob(sum blob.Sum) {
	n.t.Helper()
	n.update(store.Transaction, func(tx *store.Tx) error { return store.Blobs.Delete(tx, sum.String()) })
}

// TestRetentionInService serves for days with a short policy: what is promised can be
// restored and what isn't is gone, records and blobs.
func TestRetentionInService(t *testing.T) {
	recovery := NewRecoveryKey()
	server, err := ParseKey(recovery.ServerKey())
	if err != nil {
		t.Fatal(err)
	}
	t.Run("plain", func(t *testing.T) { retentionInService(t, nil, nil) })
	t.Run("recovery key", func(t *testing.T) { retentionInService(t, recovery, recovery) })
	t.Run("server key", func(t *testing.T) { retentionInService(t, server, recovery) })
}

// retentionInService serves with one key and restores with the other.
func retentionInService(t *testing.T, serving, restoring *Key) {
	type kept struct {
		at     Target
		digest [32]byte
		age    time.Duration
	}
	var points []kept
	var always, dropped, late blob.Sum
	var end time.Time
	policy := Retention{Fine: 3 * time.Hour, Medium: 12 * time.Hour, Daily: 2, Weekly: -1, Monthly: -1, Grace: 2 * time.Hour}
	p := servedWith(t, serving, Options{Retention: policy}, func(n *node, r *Replicator, tick func(time.Duration)) {
		always, dropped = n.upload("an agent that stays"), n.upload("an agent that goes")
		rng := rand.New(rand.NewPCG(1, 1))
		for i := range 3 * 24 * 7 {
			n.touch(store.Transaction, fmt.Sprint("s", rng.IntN(50)))
			switch i {
			case 3 * 12:
				n.forgetBlob(dropped)
			case 3 * 24 * 6:
				late = n.upload("an agent of late")
				tick(time.Second)
				n.forgetBlob(late)
			}
			tick(20*time.Minute - time.Duration(i%2)*time.Second)
			if pos := r.Position(); i > 3*24*7-40 && i%4 == 0 {
				points = append(points, kept{Target{TXID: uint64(pos.TXID)}, n.digest(), 0})
				points[len(points)-1].at.Time = pos.Time
			}
		}
		end = time.Now()
		if c, err := r.Collect(ctx); err != nil || c.Held != "" {
			t.Errorf("collecting: %+v, %v", c, err)
		}
	})
	p.key = restoring
	p.c = p.client()
	fine, all := 0, 0
	for _, k := range points {
		age := end.Sub(k.at.Time)
		k.at.Time = time.Time{}
		if all++; age < policy.Fine {
			fine++
			if got, _ := p.restore(k.at); got.digest() != k.digest {
				t.Errorf("the restore to file %d, %s old, differs", k.at.TXID, age)
			}
		}
	}
	if fine < 2 || all-fine < 2 {
		t.Fatalf("%d of %d points are in the fine part, want some in and some out", fine, all)
	}
	inv, err := p.c.Inventory(ctx)
	if err != nil {
		t.Fatal(err)
	}
	g := inv.Generations[0]
	if n := len(g.Levels[0]); n > 30 {
		t.Errorf("%d files of level 0 are left of one in 20 minutes for 3 hours", n)
	}
	if n := len(g.Snapshots); n < 2 || n > 4 {
		t.Errorf("%d snapshots are left, want those of 2 days and what is needed besides", n)
	}
	names := map[objectName]bool{}
	for _, b := range inv.Blobs {
		names[b.name()] = true
	}
	if !names[p.c.contentName(always)] || !names[p.c.contentName(late)] || names[p.c.contentName(dropped)] {
		t.Errorf("of the blobs there are: one in use %t, one of a kept snapshot or file %t, one that nothing names any more %t",
			names[p.c.contentName(always)], names[p.c.contentName(late)], names[p.c.contentName(dropped)])
	}
	if rep, err := p.c.Verify(ctx, VerifyOptions{Full: true, Retention: policy}); err != nil || len(rep.Findings) > 0 {
		t.Errorf("verifying what is left: %+v, %v", rep, err)
	}
}

// locked refuses to delete.
type locked struct {
	transport
	open  bool
	asked int
}

func (l *locked) remove(ctx context.Context, under string, level int, files []fileRef) ([]fileRef, error) {
	l.asked += len(files)
	if l.open {
		return l.transport.remove(ctx, under, level, files)
	}
	return files, nil
}

// aged is a replica with four days of files, of which the policy wants little.
func aged(t *testing.T, wrap func(c *Client)) (*Replicator, *node, *place, *time.Time) {
	p := &place{t: t, root: filepath.Join(t.TempDir(), "replica")}
	p.url = "file://" + p.root
	p.c = p.client()
	n := openNode(t, t.TempDir())
	now := time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC)
	c := p.client()
	wrap(c)
	r := New(n.db, n.blobs, c, Options{
		SpoolDir: t.TempDir(), Clock: func() time.Time { return now },
		Retention: Retention{Fine: 2 * time.Hour, Medium: 3 * time.Hour, Daily: 1, Weekly: -1, Monthly: -1, Grace: time.Hour},
	})
	if err := r.Open(ctx); err != nil {
		t.Fatal(err)
	}
	for i := range 48 {
		n.sell(fmt.Sprint("s", i%9))
		now = now.Add(2 * time.Hour)
		mustSync(t, r)
		if i%12 == 11 {
			if err := r.Snapshot(ctx); err != nil {
				t.Fatal(err)
			}
		}
	}
	return r, n, p, &now
}

func TestLockedObjectsAreDeletedLater(t *testing.T) {
	lock := &locked{}
	r, _, p, now := aged(t, func(c *Client) { lock.transport, c.at = c.at, lock })
	before := p.objects()
	got, err := r.Collect(ctx)
	if err != nil || got.Files != 0 || got.Refused == 0 || p.objects() != before {
		t.Fatalf("under a lock: %+v, %v; %d objects of %d are left", got, err, p.objects(), before)
	}
	lock.open = true
	asked := lock.asked
	if got, err = r.Collect(ctx); err != nil || got.Files != 0 || lock.asked != asked || r.Status().Collected.Refused == 0 {
		t.Errorf("at once after a refusal: %+v, %v; it was asked for %d more", got, err, lock.asked-asked)
	}
	*now = now.Add(25 * time.Hour)
	if got, err = r.Collect(ctx); err != nil || got.Files == 0 || got.Refused != 0 {
		t.Errorf("a day later: %+v, %v", got, err)
	}
}

func TestOnlyTheOwnerDeletes(t *testing.T) {
	r, _, p, _ := aged(t, func(*Client) {})
	m := Manifest{Generation: 2, Parent: 1, ForkTXID: 3, Node: "nod_other", CreatedAt: time.Now()}
	if err := p.c.createManifest(ctx, m); err != nil {
		t.Fatal(err)
	}
	before := p.objects()
	if _, err := r.Collect(ctx); !errors.Is(err, ErrFenced) || p.objects() != before {
		t.Errorf("a node that was replaced: %v; %d objects of %d are left", err, p.objects(), before)
	}
}

func TestStaleListingDeletesNothing(t *testing.T) {
	r, _, p, _ := aged(t, func(*Client) {})
	r.mu.Lock()
	r.pos.TXID++ // it has shipped a file that the listing doesn't have
	r.mu.Unlock()
	before := p.objects()
	if _, err := r.Collect(ctx); !errors.Is(err, errStale) || p.objects() != before {
		t.Errorf("a listing without the last file: %v; %d objects of %d are left", err, p.objects(), before)
	}
	if c := r.Status().Collected; c == nil || !strings.Contains(c.Error, "out of date") {
		t.Errorf("the status says of it: %+v", c)
	}
}

// TestBlobsThatAreNamedAgain sweeps while a file ships that names an old blob again.
func TestBlobsThatAreNamedAgain(t *testing.T) {
	r, n, p, now := aged(t, func(*Client) {})
	orphan := n.upload("an old file")
	mustSync(t, r)
	n.forgetBlob(orphan)
	lo, hi := p.c.contentName(orphan).txids()
	ref := fileRef{level: levelBlobs, min: lo, max: hi, size: r.sizeOf(fileRef{level: levelBlobs, min: lo, max: hi})}
	for i := 0; r.collector.unnamed[ref].IsZero(); i++ { // its files and snapshots come of age
		if has, err := p.c.hasContent(ctx, levelBlobs, orphan); err != nil || !has || i == 10 {
			t.Fatalf("after %d days the blob is there %t, and not among those that nothing names (%v)", i, has, err)
		}
		*now = now.Add(30 * time.Hour)
		n.sell("later")
		mustSync(t, r)
		if err := r.Snapshot(ctx); err != nil {
			t.Fatal(err)
		}
		if _, err := r.Collect(ctx); err != nil {
			t.Fatal(err)
		}
	}
	// A commit names it again just before the sweep that would delete it.
	rec := market.Blob{SHA256: orphan.String(), Size: 11}
	n.update(store.Transaction, func(tx *store.Tx) error { return store.Blobs.Put(tx, &rec) })
	mustSync(t, r)
	done := Collection{}
	if err := r.sweepBlobs(ctx, &Inventory{}, []fileRef{ref}, &done); err != nil || done.Blobs != 0 {
		t.Fatalf("sweeping: %+v, %v", done, err)
	}
	if has, err := p.c.hasContent(ctx, levelBlobs, orphan); err != nil || !has {
		t.Errorf("the blob that is named again was deleted (%v)", err)
	}
}

// sizeOf is the size of a blob as listed.
func (r *Replicator) sizeOf(ref fileRef) int64 {
	all, err := r.client.listObjects(ctx, "", ref.level)
	i := slices.IndexFunc(all, func(o Object) bool { return contentRef(ref.level, o).name() == ref.name() })
	if err != nil || i < 0 {
		return -1
	}
	return all[i].Bytes
}

func TestMissingBlobsAreSentAgain(t *testing.T) {
	r, n, p, _ := aged(t, func(*Client) {})
	sum := n.upload("a file")
	mustSync(t, r)
	lo, hi := p.c.contentName(sum).txids()
	if _, err := p.c.delete(ctx, []fileRef{{level: levelBlobs, min: lo, max: hi}}); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Collect(ctx); err != nil {
		t.Fatal(err)
	}
	if has, err := p.c.hasContent(ctx, levelBlobs, sum); err != nil || !has {
		t.Errorf("the blob wasn't sent again (%v)", err)
	}
}

// TestCopyOfARunningMachine goes on, after retention has deleted what it would collide
// with, from a state of days ago.
func TestCopyOfARunningMachine(t *testing.T) {
	r, n, _, now := aged(t, func(*Client) {})
	old := r.Position()
	for range 20 {
		n.sell("more")
		*now = now.Add(2 * time.Hour)
		mustSync(t, r)
		if err := r.Snapshot(ctx); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := r.Collect(ctx); err != nil || got.Files == 0 {
		t.Fatalf("%+v, %v", got, err)
	}
	r.mu.Lock()
	r.pos = old
	r.mu.Unlock()
	if _, err := r.Sync(ctx); !errors.Is(err, ErrFenced) {
		t.Errorf("going on from file %d: %v, want a refusal", old.TXID, err)
	}
}

// testCollect ages a replica by a clock that comes from behind, since an S3 server lists
// files with its own time.
func testCollect(t *testing.T, p *place) {
	n := openNode(t, t.TempDir())
	now := time.Now().Add(-9 * day)
	policy := Retention{Fine: 2 * time.Hour, Medium: 2 * time.Hour, Daily: 3, Weekly: -1, Monthly: -1}
	r := New(n.db, n.blobs, p.client(), Options{SpoolDir: t.TempDir(), Clock: func() time.Time { return now }, Retention: policy})
	if err := r.Open(ctx); err != nil {
		t.Fatal(err)
	}
	digests := map[uint64][32]byte{}
	for i := range 36 {
		n.upload(fmt.Sprint("file ", i))
		now = now.Add(6 * time.Hour)
		pos := mustSync(t, r)
		if i%4 == 3 {
			if err := r.Snapshot(ctx); err != nil {
				t.Fatal(err)
			}
			digests[uint64(pos.TXID)] = n.digest()
		}
	}
	got, err := r.Collect(ctx)
	if err != nil || got.Files < 30 || got.Refused != 0 {
		t.Fatalf("collecting: %+v, %v", got, err)
	}
	inv, err := p.c.Inventory(ctx)
	if err != nil {
		t.Fatal(err)
	}
	kept := inv.Generations[0].Snapshots
	if len(kept) != 3 {
		t.Errorf("%d snapshots are left, want those of 3 days", len(kept))
	}
	for _, s := range kept {
		if restored, _ := p.restore(Target{TXID: s.Max}); restored.digest() != digests[s.Max] {
			t.Errorf("the restore of the snapshot at file %d differs", s.Max)
		}
	}
	if rep, err := p.c.Verify(ctx, VerifyOptions{Full: true, Retention: policy}); err != nil || len(rep.Findings) > 0 {
		t.Errorf("verifying what is left: %+v, %v", rep, err)
	}
	n.sell("afterwards")
	mustSync(t, r)
	if restored, _ := p.restore(Target{}); restored.digest() != n.digest() {
		t.Error("the restore of everything differs")
	}
}
