package replica

import (
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/superfly/ltx"

	"github.com/souk-market/souk/internal/market"
	"github.com/souk-market/souk/store"
)

func testRoundTrip(t *testing.T, p *place) {
	n := openNode(t, t.TempDir())
	r := n.replicate(p.client())
	sum := n.upload("#!/bin/sh\necho an agent\n")
	for i := range 20 {
		n.sell(fmt.Sprintf("seller-%d", i))
		if i%3 == 0 {
			mustSync(t, r)
		}
	}
	n.remove("seller-4")
	n.sell("seller-5") // written again
	pos := mustSync(t, r)

	got, rep := p.restore(Target{})
	if got.digest() != n.digest() {
		t.Error("the restored data differ")
	}
	if rep.LSN != n.db.LastLSN() || rep.TXID != uint64(pos.TXID) || rep.Chain != pos.Chain || rep.Blobs != 1 {
		t.Errorf("the report says %+v, the replica stands at %v", rep, pos)
	}
	f, err := got.blobs.Open(ctx, sum)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if b, _ := io.ReadAll(f); string(b) != "#!/bin/sh\necho an agent\n" {
		t.Errorf("the restored blob is %q", b)
	}
	who := got.db.Node()
	if who.ID == n.db.Node().ID || who.Origin == nil || who.Origin.LSN != rep.LSN || !who.Fenced {
		t.Errorf("the restored node is %+v with origin %+v", who, who.Origin)
	}
}

func testTarget(t *testing.T, p *place) {
	n := openNode(t, t.TempDir())
	r := n.replicate(p.client())
	n.sell("one")
	mustSync(t, r)
	empty := t.TempDir()
	if _, err := Restore(ctx, []*Client{p.client()}, empty, Target{}, RestoreOptions{}); err != nil {
		t.Fatal(err)
	}
	if got := openNode(t, empty); got.digest() != n.digest() {
		t.Error("the restored data differ")
	}
	if _, err := Restore(ctx, []*Client{p.client()}, empty, Target{}, RestoreOptions{}); !market.Is(err, market.Conflict) {
		t.Errorf("restoring into a directory with a marketplace: %v", err)
	}
	if err := os.Remove(p.file(1, levelChanges, 1, 1)); err != nil {
		t.Fatal(err)
	}
	n.sell("two")
	mustSync(t, r)
	p.refuse(Target{}, ErrGap, "Nothing can be restored without it")
}

func testPointInTime(t *testing.T, p *place) {
	n := openNode(t, t.TempDir())
	r := n.replicate(p.client())
	var want [][32]byte
	var at []Position
	for i := range 6 {
		n.sell(fmt.Sprintf("seller-%d", i), fmt.Sprintf("other-%d", i))
		if i == 3 {
			n.remove("seller-1")
			if err := r.Snapshot(ctx); err != nil {
				t.Fatal(err)
			}
		}
		at = append(at, mustSync(t, r))
		want = append(want, n.digest())
	}
	for i, pos := range at {
		got, _ := p.restore(Target{TXID: uint64(pos.TXID)})
		if got.digest() != want[i] {
			t.Errorf("the restore to file %d differs", pos.TXID)
		}
		got, rep := p.restore(Target{Time: pos.Time})
		if got.digest() != want[i] || !rep.Time.Equal(pos.Time) {
			t.Errorf("the restore to %s differs", pos.Time)
		}
	}
	if _, err := Restore(ctx, []*Client{p.client()}, filepath.Join(t.TempDir(), "x"), Target{Time: at[0].Time.Add(-time.Millisecond)}, RestoreOptions{}); !market.Is(err, market.NotFound) {
		t.Errorf("restoring to before the first file: %v", err)
	}
	p.refuse(Target{TXID: uint64(at[5].TXID) + 1}, ErrGap, p.c.nameOf(changeRef(1, at[5].TXID+1)))
}

// testSizes writes the same keys in files of all sizes, which a restore handles differently.
func testSizes(t *testing.T, p *place) {
	n := openNode(t, t.TempDir())
	r := n.replicate(p.client())
	rng := rand.New(rand.NewPCG(3, 4))
	noise := func(size int) string {
		b := make([]byte, size)
		for i := range b {
			b[i] = byte(33 + rng.IntN(90))
		}
		return string(b)
	}
	for i := range 12 {
		size := []int{10, 3_000, 60_000}[i%3]
		n.update(store.Transaction, func(tx *store.Tx) error {
			for k := range 25 {
				name := fmt.Sprint("s", k)
				s := market.Seller{ID: market.SellerID("sel_" + name), Slug: name, Name: noise(size)}
				if err := store.Sellers.Put(tx, &s); err != nil {
					return err
				}
			}
			return store.Sellers.Delete(tx, market.SellerID(fmt.Sprint("sel_s", i)))
		})
		mustSync(t, r)
	}
	got, rep := p.restore(Target{})
	if got.digest() != n.digest() {
		t.Error("the restored data differ")
	}
	if rep.Files != 12 || rep.Bytes < 4<<20 {
		t.Errorf("%d files of %d bytes were applied, want 12 of 4 MiB at least", rep.Files, rep.Bytes)
	}
}

func testSnapshot(t *testing.T, p *place) {
	n := openNode(t, t.TempDir())
	r := n.replicate(p.client())
	n.sell("one")
	mustSync(t, r)
	n.sell("two")
	if err := r.Snapshot(ctx); err != nil {
		t.Fatal(err)
	}
	n.sell("three")
	mustSync(t, r)
	got, rep := p.restore(Target{})
	if got.digest() != n.digest() || rep.Files != 2 {
		t.Errorf("the restore took %d files, want the snapshot and one more", rep.Files)
	}
	// The files before the snapshot are needed only for times before it.
	if err := os.Remove(p.file(1, levelChanges, 1, 1)); err != nil {
		t.Fatal(err)
	}
	if got, _ := p.restore(Target{}); got.digest() != n.digest() {
		t.Error("the restored data differ")
	}
	n.reopen()
	if r = n.replicate(p.client()); r.Position().TXID != 3 {
		t.Errorf("after a restart the replica stands at %v, want file 3", r.Position())
	}
}

func testDamagedSnapshot(t *testing.T, p *place) {
	n := openNode(t, t.TempDir())
	r := n.replicate(p.client())
	n.sell("one")
	if err := r.Snapshot(ctx); err != nil {
		t.Fatal(err)
	}
	name := p.file(1, levelSnapshot, 1, 1)
	flip(t, name, 200)
	got, rep := p.restore(Target{})
	if got.digest() != n.digest() {
		t.Error("the restored data differ")
	}
	if len(rep.Healed) != 1 || !strings.Contains(rep.Healed[0].Name, filepath.Base(name)) {
		t.Errorf("the report names %v as damaged, want %s", rep.Healed, name)
	}
}

func testForkInThePast(t *testing.T, p *place) {
	old := openNode(t, t.TempDir())
	r := old.replicate(p.client())
	old.sell("kept")
	mustSync(t, r)
	kept := old.digest()
	old.sell("mistake")
	last := mustSync(t, r)

	heir, _ := p.restore(Target{TXID: 1})
	heirR := heir.takeOver(p.client())
	if heir.digest() != kept {
		t.Error("the restore to file 1 differs")
	}
	got, _ := p.restore(Target{}) // generation 2 has no files yet
	if got.digest() != kept {
		t.Error("the restore of the new generation differs")
	}
	heir.sell("instead")
	mustSync(t, heirR)
	if got, _ := p.restore(Target{}); got.digest() != heir.digest() {
		t.Error("the restore of the new generation differs from the heir")
	}
	if got, rep := p.restore(Target{Generation: 1}); got.digest() != old.digest() || rep.TXID != uint64(last.TXID) {
		t.Error("the abandoned generation can't be restored any more")
	}
}

func testGenerations(t *testing.T, p *place) {
	n := openNode(t, t.TempDir())
	r := n.replicate(p.client())
	var first Position
	for g := range 4 {
		n.sell(fmt.Sprintf("seller-%d", g))
		n.upload(fmt.Sprintf("file %d", g))
		pos := mustSync(t, r)
		if g == 0 {
			first = pos
		}
		next, rep := p.restore(Target{})
		if next.digest() != n.digest() || int(rep.Generation) != g+1 {
			t.Fatalf("the restore from generation %d differs", g+1)
		}
		n.close()
		n = next
		r = n.takeOver(p.client())
	}
	got, rep := p.restore(Target{Time: first.Time})
	if got.db.LastLSN() != 2 || rep.Generation != 1 {
		t.Errorf("the restore to a time in generation 1 ends at commit %d of generation %d", got.db.LastLSN(), rep.Generation)
	}
}

func testDamage(t *testing.T, p *place) {
	n := openNode(t, t.TempDir())
	r := n.replicate(p.client())
	for i := range 4 {
		n.sell(fmt.Sprintf("seller-%d", i))
		mustSync(t, r)
	}
	name := p.file(1, levelChanges, 3, 3)
	shown := filepath.Base(name)
	whole, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	mend := func() {
		if err := os.WriteFile(name, whole, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	rng := rand.New(rand.NewPCG(1, 2))
	for range 12 {
		off := rng.Int64N(int64(len(whole)))
		flip(t, name, off)
		p.refuse(Target{}, ErrCorrupt, shown)
		mend()
	}
	for _, size := range []int64{0, 50, int64(len(whole)) / 2, int64(len(whole)) - 1} {
		if err := os.Truncate(name, size); err != nil {
			t.Fatal(err)
		}
		p.refuse(Target{}, ErrCorrupt, shown)
		mend()
	}
	// A file of this name that isn't this file.
	other, err := os.ReadFile(p.file(1, levelChanges, 2, 2))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, other, 0o600); err != nil {
		t.Fatal(err)
	}
	p.refuse(Target{}, ErrCorrupt, shown)
	p.refuse(Target{}, ErrCorrupt, "--lsn 2")

	if err := os.Remove(name); err != nil {
		t.Fatal(err)
	}
	p.refuse(Target{}, ErrGap, shown)
	p.refuse(Target{}, ErrGap, "--lsn 2")
	if got, rep := p.restore(Target{LSN: 2}); rep.LSN != 2 {
		t.Errorf("the restore up to the gap ends at %d", got.db.LastLSN())
	}

	// The node notices at its next start, and mends the replica with a snapshot.
	n.reopen()
	r = n.replicate(p.client())
	n.sell("five")
	runUntil(t, r, func() bool {
		_, err := os.Stat(p.file(1, levelSnapshot, 1, r.Position().TXID))
		return r.Position().LSN == 5 && err == nil
	})
	if got, _ := p.restore(Target{}); got.digest() != n.digest() {
		t.Error("the restored data differ")
	}
}

func testBlobDamage(t *testing.T, p *place) {
	n := openNode(t, t.TempDir())
	r := n.replicate(p.client())
	good := n.upload("good")
	bad := n.upload("bad")
	mustSync(t, r)
	lo, hi := p.c.contentName(bad).txids()
	name := filepath.Join(p.root, p.c.at.ltxKey("", levelBlobs, lo, hi))
	flip(t, name, ltx.HeaderSize+1)
	p.refuse(Target{}, ErrCorrupt, filepath.Base(name))
	p.refuse(Target{}, ErrCorrupt, "--allow-missing-files")
	if err := os.Remove(name); err != nil {
		t.Fatal(err)
	}
	p.refuse(Target{}, ErrCorrupt, bad.String())
	p.refuse(Target{}, ErrCorrupt, "--allow-missing-files")

	dir := filepath.Join(t.TempDir(), "restored")
	rep, err := Restore(ctx, []*Client{p.client()}, dir, Target{}, RestoreOptions{AllowMissingBlobs: true})
	if err != nil {
		t.Fatal(err)
	}
	if len(rep.MissingBlobs) != 1 || rep.MissingBlobs[0] != bad.String() || rep.Blobs != 1 {
		t.Errorf("the report counts %d blobs and misses %v, want 1 and %s", rep.Blobs, rep.MissingBlobs, bad)
	}
	if err := openNode(t, dir).blobs.Verify(ctx, good); err != nil {
		t.Error(err)
	}
}

// flip changes one bit of a file.
func flip(t *testing.T, name string, off int64) {
	t.Helper()
	f, err := os.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var b [1]byte
	if _, err := f.ReadAt(b[:], off); err != nil {
		t.Fatal(err)
	}
	b[0] ^= 0x10
	if _, err := f.WriteAt(b[:], off); err != nil {
		t.Fatal(err)
	}
}
