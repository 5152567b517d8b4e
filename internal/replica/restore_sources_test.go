package replica

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/souk-market/souk/internal/market"
	"github.com/souk-market/souk/store"
)

// testForeignSource: histories that differ are never mixed, and the refusal names both.
func testForeignSource(t *testing.T, p *place) {
	second := p.second()
	n := openNode(t, t.TempDir())
	n.sell("one")
	mustSync(t, n.replicate(p.client()))
	refused := func(want error, replicas ...*place) {
		t.Helper()
		from := []*Client{replicas[0].client(), replicas[1].client()}
		_, err := Restore(ctx, from, filepath.Join(t.TempDir(), "restored"), Target{}, RestoreOptions{})
		if !errors.Is(err, want) || !market.Is(err, market.Conflict) || !strings.Contains(err.Error(), from[0].String()) || !strings.Contains(err.Error(), from[1].String()) {
			t.Errorf("restoring from two histories: %v, want %v that names both", err, want)
		}
	}
	other := openNode(t, t.TempDir())
	other.sell("one", "two")
	mustSync(t, other.replicate(second.client()))
	refused(ErrForeign, p, second)
	refused(ErrForeign, second, p)

	// A copy of the directory goes another way: one node, two histories.
	n.close()
	twin := openNode(t, copyDir(t, n.dir))
	n.open()
	third := &place{t: t, url: strings.Replace(second.url, "-second", "-third", 1), root: p.root + "-third"}
	third.c = third.client()
	r3 := twin.replicate(third.client())
	mustSync(t, r3)
	twin.sell("theirs")
	mustSync(t, r3)
	n.sell("ours")
	mustSync(t, n.replicate(p.client()))
	refused(ErrDiverged, p, third)
}

// testEmptySource: a source that can't be read is done without, and the report says so.
func testEmptySource(t *testing.T, p *place) {
	n := openNode(t, t.TempDir())
	n.sell("one")
	mustSync(t, n.replicate(p.client()))
	rep, err := Restore(ctx, []*Client{p.second().client(), p.client()}, filepath.Join(t.TempDir(), "restored"), Target{}, RestoreOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if rep.LSN != n.db.LastLSN() || rep.Sources[0].Err == "" || rep.Sources[1].Files != 1 {
		t.Errorf("the report says %+v", rep)
	}
}

// testJoin restores what neither replica has whole: each lacks files that the other has.
func testJoin(t *testing.T, p *place) {
	second := p.second()
	n := openNode(t, t.TempDir())
	r, r2 := n.replicate(p.client()), n.replicate(second.client())
	for i := range 12 {
		n.sell(fmt.Sprint("a", i))
		mustSync(t, r)
		n.sell(fmt.Sprint("b", i))
		if i%2 == 1 { // the two have an end in common now and then
			mustSync(t, r)
		}
		mustSync(t, r2)
	}
	for _, lost := range []string{p.file(1, levelChanges, 4, 4), p.file(1, levelChanges, 12, 12), second.file(1, levelChanges, 7, 7)} {
		if err := os.Remove(lost); err != nil {
			t.Fatal(err)
		}
	}
	flip(t, second.file(1, levelChanges, 10, 10), 150)
	rep, err := Restore(ctx, []*Client{p.client(), second.client()}, filepath.Join(t.TempDir(), "restored"), Target{}, RestoreOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if rep.LSN != n.db.LastLSN() || rep.Sources[0].Files == 0 || rep.Sources[1].Files == 0 {
		t.Errorf("the report says %+v", rep)
	}
	dir := filepath.Join(t.TempDir(), "again")
	if _, err := Restore(ctx, []*Client{second.client(), p.client()}, dir, Target{}, RestoreOptions{}); err != nil {
		t.Fatal(err)
	}
	if openNode(t, dir).digest() != n.digest() {
		t.Error("the restored data differ")
	}
}

// testResume interrupts a restore, and runs it again: what was verified isn't fetched
// again, what was spoiled since is, and nobody else may work there meanwhile.
func testResume(t *testing.T, p *place) {
	n := openNode(t, t.TempDir())
	r := n.replicate(p.client())
	rng := rand.New(rand.NewPCG(6, 1))
	for i := range 200 {
		noise := make([]byte, 60_000)
		for i := range noise {
			noise[i] = byte(33 + rng.IntN(90))
		}
		s := market.Seller{ID: market.SellerID(fmt.Sprint("sel_", i)), Slug: fmt.Sprint(i), Name: string(noise)}
		n.update(store.Transaction, func(tx *store.Tx) error { return store.Sellers.Put(tx, &s) })
	}
	n.upload("a file")
	if err := r.Snapshot(ctx); err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "restored")
	run, stop := context.WithCancel(ctx)
	defer stop()
	var other error
	_, err := Restore(run, []*Client{p.client()}, dir, Target{}, RestoreOptions{Progress: func(done, total int64) {
		if done > total/2 && other == nil {
			_, other = Restore(ctx, []*Client{p.client()}, dir, Target{}, RestoreOptions{})
			stop()
		}
	}})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("the interrupted restore: %v", err)
	}
	if !market.Is(other, market.Conflict) {
		t.Errorf("a second restore at the same place: %v, want Conflict", other)
	}
	kept, err := filepath.Glob(dir + ".restoring/" + segmentsDir + "/*")
	if err != nil || len(kept) == 0 {
		t.Fatalf("nothing was kept (%v)", err)
	}
	flip(t, kept[0], 1000)
	var done, total int64
	rep, err := Restore(ctx, []*Client{p.client()}, dir, Target{}, RestoreOptions{Progress: func(d, n int64) { done, total = d, n }})
	if err != nil {
		t.Fatal(err)
	}
	if rep.Reused == 0 || done != total || total < rep.Bytes+rep.BlobBytes-rep.Reused {
		t.Errorf("the second restore ended at %d of %d bytes: %+v", done, total, rep)
	}
	if openNode(t, dir).digest() != n.digest() {
		t.Error("the restored data differ")
	}
}

// TestLostManifest: a generation whose manifest is gone is named, not passed over, and
// another replica stands in for it.
func TestLostManifest(t *testing.T) {
	root, other := t.TempDir(), t.TempDir()
	client := func(dir string) *Client {
		c, err := OpenClient("file://"+dir, ClientOptions{})
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	n := openNode(t, filepath.Join(t.TempDir(), "old"))
	n.sell("one")
	mustSync(t, n.replicate(client(root)))
	early := n.db.LastLSN()
	dir := filepath.Join(t.TempDir(), "heir")
	if rep, err := Restore(ctx, []*Client{client(root)}, dir, Target{}, RestoreOptions{}); err != nil || rep.Sources[0].LSN != early {
		t.Fatalf("the report says %+v, %v", rep, err)
	}
	heir := openNode(t, dir)
	r := heir.takeOver(client(root))
	second := heir.replicate(client(other))
	mustSync(t, second)
	heir.sell("two")
	mustSync(t, r)
	mustSync(t, second)
	late := heir.db.LastLSN()

	restore := func(target Target, from ...string) (Report, error) {
		var clients []*Client
		for _, dir := range from {
			clients = append(clients, client(dir))
		}
		return Restore(ctx, clients, filepath.Join(t.TempDir(), "x"), target, RestoreOptions{})
	}
	for g := 2; g >= 1; g-- {
		manifest := filepath.Join(root, manifestKey(uint32(g)))
		if err := os.Remove(manifest); err != nil {
			t.Fatal(err)
		}
		if _, err := restore(Target{}, root); !errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), manifest) {
			t.Errorf("without manifest %d the restore says %v", g, err)
		}
		if rep, err := restore(Target{}, root, other); err != nil || rep.LSN != late {
			t.Errorf("without manifest %d and with another replica: commit %d of %d, %v", g, rep.LSN, late, err)
		}
		rep, err := client(root).Verify(ctx, VerifyOptions{})
		if err != nil || len(rep.Findings) != 1 || rep.Findings[0].Name != manifest || rep.Findings[0].Kind != FindingMissing {
			t.Errorf("without manifest %d verify finds %+v, %v", g, rep.Findings, err)
		}
		if g == 2 {
			if rep, err := restore(Target{LSN: early}, root); err != nil || rep.LSN != early {
				t.Errorf("what comes before the lost generation: commit %d of %d, %v", rep.LSN, early, err)
			}
		}
	}
}
