package replica

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/souk-market/souk/internal/blob"
	"github.com/souk-market/souk/internal/market"
	"github.com/souk-market/souk/store"
)

// cutIntoSegments is the segments of keys and values in order.
func cutIntoSegments(t *testing.T, keys []string, values map[string]string) (all []segment) {
	t.Helper()
	w := newSegmentWriter(func(s segment, table []byte) error {
		if s.Sum != blob.SumOf(table) || s.Size != int64(len(table)) {
			t.Error("a segment's sum or size isn't that of its table")
		}
		all = append(all, s)
		return nil
	})
	for _, k := range keys {
		if err := w.set([]byte(k), []byte(values[k])); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.end(); err != nil {
		t.Fatal(err)
	}
	return all
}

// TestSegmentsOfUnchangedRanges: however few keys of a large database change, about as few
// segments do, and the same content has the same segments.
func TestSegmentsOfUnchangedRanges(t *testing.T) {
	rng := rand.New(rand.NewPCG(4, 4))
	values := map[string]string{}
	for i := range 40_000 {
		values[fmt.Sprintf("\x01key-%06d", 10*i)] = strings.Repeat("v", rng.IntN(2000))
	}
	cut := func() ([]segment, map[[32]byte]bool) {
		keys := make([]string, 0, len(values))
		for k := range values {
			keys = append(keys, k)
		}
		slices.Sort(keys)
		all := cutIntoSegments(t, keys, values)
		sums := map[[32]byte]bool{}
		count, last := int64(0), ""
		for _, s := range all {
			sums[s.Sum] = true
			count += s.Keys
			if string(s.First) <= last || string(s.Last) < string(s.First) {
				t.Errorf("a segment from %q to %q comes after %q", s.First, s.Last, last)
			}
			last = string(s.Last)
		}
		if count != int64(len(keys)) {
			t.Errorf("the segments have %d keys of %d", count, len(keys))
		}
		return all, sums
	}
	all, before := cut()
	if n := len(all); n < 20 || n > 60 {
		t.Errorf("40 MB make %d segments", n)
	}
	for _, changes := range []int{0, 1, 2, 3, 5} {
		for range changes {
			k := fmt.Sprintf("\x01key-%06d", rng.IntN(400_000))
			if _, there := values[k]; there && rng.IntN(2) == 0 {
				delete(values, k)
			} else {
				values[k] = fmt.Sprint("changed ", rng.IntN(1_000_000))
			}
		}
		_, after := cut()
		fresh := 0
		for sum := range after {
			if !before[sum] {
				fresh++
			}
		}
		if fresh > 3*changes {
			t.Errorf("%d changed keys make %d new segments", changes, fresh)
		}
		before = after
	}
}

// stock writes sellers by number, as many as fit into each transaction.
func (n *node) stock(from, to int) {
	n.t.Helper()
	for first := from; first < to; first += 400 {
		n.update(store.Transaction, func(tx *store.Tx) error {
			for i := first; i < min(first+400, to); i++ {
				name := fmt.Sprintf("seller-%08d", i)
				s := market.Seller{ID: market.SellerID("sel_" + name), Slug: name, Name: strings.Repeat(name, 20)}
				if err := store.Sellers.Put(tx, &s); err != nil {
					return err
				}
			}
			return nil
		})
	}
}

// segmentsIn counts the segments in a replica.
func segmentsIn(t *testing.T, c *Client) int {
	t.Helper()
	files, err := c.list(ctx, "", levelSegments)
	if err != nil {
		t.Fatal(err)
	}
	return len(files)
}

// TestSnapshotSendsWhatIsNew: of a database of 100,000 records in which one in a hundred
// is new, the next snapshot sends a few segments, also by another process and by a node
// that was restored from the replica.
func TestSnapshotSendsWhatIsNew(t *testing.T) {
	records := 100_000
	if testing.Short() {
		records = 20_000
	}
	p := &place{t: t, url: "file://" + t.TempDir()}
	p.c = p.client()
	n := openNode(t, t.TempDir())
	r := n.replicate(p.client())
	n.stock(0, records)
	sent := func(r *Replicator) int {
		t.Helper()
		before := segmentsIn(t, p.c)
		if err := r.Snapshot(ctx); err != nil {
			t.Fatal(err)
		}
		return segmentsIn(t, p.c) - before
	}
	whole := sent(r)
	if whole < records/5000 {
		t.Errorf("%d records make %d segments", records, whole)
	}
	n.stock(records, records+records/100)
	if fresh := sent(r); fresh == 0 || fresh > 4 {
		t.Errorf("with one record in a hundred new, %d of %d segments were sent", fresh, whole)
	}
	n.reopen()
	r = n.replicate(p.client())
	if fresh := sent(r); fresh != 0 {
		t.Errorf("after a restart %d segments were sent again", fresh)
	}
	heir, rep := p.restore(Target{})
	if heir.digest() != n.digest() || rep.Files != 1 {
		t.Errorf("the restored data differ, from %d files", rep.Files)
	}
	n.close()
	heirR := New(heir.db, heir.blobs, p.client(), Options{TakeOver: true})
	if err := heirR.Open(ctx); err != nil {
		t.Fatal(err)
	}
	heir.sell("zzz")
	if fresh := sent(heirR); fresh == 0 || fresh > 4 {
		t.Errorf("the restored node sent %d of %d segments", fresh, whole)
	}
	again, _ := p.restore(Target{})
	if again.digest() != heir.digest() {
		t.Error("the data restored from the shared segments differ")
	}
}

// TestSnapshotOverAFailingLine: a snapshot that was cut short goes on where it stopped,
// and none ever names a segment that isn't there.
func TestSnapshotOverAFailingLine(t *testing.T) {
	p := &place{t: t, url: "file://" + t.TempDir()}
	p.c = p.client()
	n := openNode(t, t.TempDir())
	n.stock(0, 20_000)
	c := p.client()
	r := n.replicate(c)
	mustSync(t, r)
	wire := &tapped{transport: c.at}
	c.at = wire
	rng := newLockedRand(5)
	wire.fail = func(write bool) (bool, bool) { return write && rng.IntN(3) == 0, write && rng.IntN(6) == 0 }
	attempts, most := 0, 0
	for err := errors.New("not yet"); err != nil; attempts++ {
		err = r.Snapshot(ctx)
		there := segmentsIn(t, p.c)
		if there < most {
			t.Errorf("%d segments are there after %d", there, most)
		}
		most = there
		if attempts > 100 {
			t.Fatal(err)
		}
	}
	if attempts < 2 {
		t.Error("no attempt failed")
	}
	if got, rep := p.restore(Target{}); got.digest() != n.digest() || rep.Files != 1 {
		t.Errorf("the restored data differ, from %d files", rep.Files)
	}
}

// TestSnapshotWhenTheTailGrows: a snapshot is due before its day when the files after the
// last have half its bytes.
func TestSnapshotWhenTheTailGrows(t *testing.T) {
	o := Options{SnapshotTail: 40 << 10}
	bubbleWith(t, o, func(n *node, c *Client, r *Replicator, tick func(time.Duration), _ func() error) {
		var at []int
		for i := range 400 {
			n.touch(store.Transaction, fmt.Sprint("s", i))
			tick(2 * time.Second)
			files, err := c.list(ctx, generationPath(1), levelSnapshot)
			if err != nil {
				t.Fatal(err)
			}
			if len(files) > len(at) {
				at = append(at, i)
			}
		}
		if len(at) < 3 || at[0] < 10 {
			t.Errorf("snapshots were taken after commits %v", at)
		}
		for i := 2; i < len(at); i++ { // a file here has at least 1 KiB
			if gap := at[i] - at[i-1]; gap < 10 || gap > 60 {
				t.Errorf("snapshots were taken after commits %v, want one after 40 KiB of files each", at)
			}
		}
	})
}

// named is the blobs that the newest snapshot of a generation lists.
func named(t *testing.T, c *Client, g uint32) map[blob.Sum]bool {
	t.Helper()
	files, err := c.list(ctx, generationPath(g), levelSnapshot)
	if err != nil || len(files) == 0 {
		t.Fatalf("no snapshot: %v", err)
	}
	last := files[len(files)-1]
	f, err := c.footerOf(ctx, fileRef{g, levelSnapshot, last.MinTXID, last.MaxTXID, last.Size})
	if err != nil {
		t.Fatal(err)
	}
	sums := map[blob.Sum]bool{}
	for _, sum := range f.Blobs {
		sums[sum] = true
	}
	return sums
}

// TestSnapshotNamesBlobs: a snapshot lists the blobs that its records name and those that
// a restore to a moment since the snapshot before it needs, whoever takes it.
func TestSnapshotNamesBlobs(t *testing.T) {
	p := &place{t: t, url: "file://" + t.TempDir()}
	c := p.client()
	n := openNode(t, t.TempDir())
	r := n.replicate(p.client())
	forget := func(n *node, sum blob.Sum) {
		n.update(store.Transaction, func(tx *store.Tx) error { return store.Blobs.Delete(tx, sum.String()) })
	}
	passing := func(n *node, r *Replicator, content string) blob.Sum {
		sum := n.upload(content)
		mustSync(t, r)
		forget(n, sum)
		mustSync(t, r)
		return sum
	}
	expect := func(when string, g uint32, want ...blob.Sum) {
		t.Helper()
		got := named(t, c, g)
		for _, sum := range want {
			if !got[sum] {
				t.Errorf("%s: the snapshot lacks a blob", when)
			}
		}
		if len(got) != len(want) {
			t.Errorf("%s: the snapshot names %d blobs, want %d", when, len(got), len(want))
		}
	}
	snapshot := func(r *Replicator) {
		t.Helper()
		if err := r.Snapshot(ctx); err != nil {
			t.Fatal(err)
		}
	}
	kept, first := n.upload("kept"), passing(n, r, "first")
	snapshot(r)
	expect("the first", 1, kept, first)

	second := passing(n, r, "second")
	n.reopen()
	r = n.replicate(p.client())
	snapshot(r)
	expect("after a restart", 1, kept, second)

	// A restored node has no change log from before: the files tell.
	third := passing(n, r, "third")
	heir, _ := p.restore(Target{})
	n.close()
	heirR := New(heir.db, heir.blobs, p.client(), Options{TakeOver: true})
	if err := heirR.Open(ctx); err != nil {
		t.Fatal(err)
	}
	fourth := passing(heir, heirR, "fourth")
	snapshot(heirR)
	expect("after a restore", 2, kept, third, fourth)
	fifth := passing(heir, heirR, "fifth")
	forget(heir, kept)
	snapshot(heirR)
	expect("after its record was deleted", 2, kept, fifth)
	snapshot(heirR)
	expect("a second one of the same moment", 2, kept, fifth)
}
