package replica

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/souk-market/souk/internal/blob"
	"github.com/souk-market/souk/internal/market"
	"github.com/souk-market/souk/store"
)

// openAttached opens a directory with what it is attached to.
func openAttached(t *testing.T, dir string, keys map[string]*Key) (*node, *Attachment) {
	t.Helper()
	a, err := OpenAttachment(dir, nil, func(url string) (*Client, error) { return OpenClient(url, ClientOptions{Key: keys[url]}) })
	if err != nil || a == nil {
		t.Fatalf("the directory is attached to %v (%v)", a, err)
	}
	n := &node{t: t, dir: dir}
	n.db, err = store.Open(store.Options{Dir: filepath.Join(dir, "store"), Remote: a, Fatal: func(err error) { t.Errorf("the store stopped: %v", err) }})
	if err != nil {
		t.Fatal(err)
	}
	if n.blobs, err = blob.Open(filepath.Join(dir, "blobs")); err != nil {
		t.Fatal(err)
	}
	n.blobs.SetFetch(a.FetchBlob)
	return n, a
}

// testAttach attaches a directory to two replicas, one of them encrypted, of which the
// first lacks a segment, and uses it: reads, writes, files, another start, another
// generation in the replica.
func testAttach(t *testing.T, p *place) {
	second := p.second()
	second.key = NewRecoveryKey()
	second.c = second.client()
	keys := map[string]*Key{p.c.String(): p.key, second.c.String(): second.key}
	n := openNode(t, t.TempDir())
	sum, later := n.fillTwo(n.replicate(p.client()), n.replicate(second.client()))
	removeSegment(t, p)

	dir := filepath.Join(t.TempDir(), "attached")
	rep, err := Restore(ctx, []*Client{p.client(), second.client()}, dir, Target{}, RestoreOptions{Attach: true})
	if err != nil {
		t.Fatal(err)
	}
	if !rep.Attached || rep.AttachedBytes == 0 || rep.LSN != n.db.LastLSN() || len(rep.Healed) == 0 {
		t.Errorf("the report says %+v", rep)
	}
	useAttached(t, dir, keys, n.digest(), sum)
	got, a := openAttached(t, dir, keys)
	heir := got.takeOver(p.client())
	mustSync(t, heir)
	want := got.digest()
	finishAttached(t, got, a)
	if err := got.db.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(second.root, second.root+"-gone"); err != nil {
		t.Fatal(err)
	}
	if a, err := OpenAttachment(dir, nil, nil); a != nil || err != nil {
		t.Errorf("the finished directory is attached to %v (%v)", a, err)
	}
	got = openNode(t, dir)
	if got.digest() != want {
		t.Error("the downloaded data differ")
	}
	if err := got.blobs.Verify(ctx, later); err != nil {
		t.Error(err)
	}
	if again, _ := p.restore(Target{}); again.digest() != want {
		t.Error("what the attached server shipped differs")
	}
}

// fillTwo gives a node data of several segments and two files, of which both replicas have a
// snapshot, and changes after it. It returns the files.
func (n *node) fillTwo(r, r2 *Replicator) (sum, later blob.Sum) {
	n.t.Helper()
	rng := rand.New(rand.NewPCG(1, 9))
	for i := range 60 {
		name := fmt.Sprint("seller-", i)
		noise := make([]byte, 60_000)
		for i := range noise {
			noise[i] = byte(33 + rng.IntN(90))
		}
		s := market.Seller{ID: market.SellerID("sel_" + name), Slug: name, Name: string(noise)}
		n.update(store.Transaction, func(tx *store.Tx) error { return store.Sellers.Put(tx, &s) })
	}
	sum, later = n.upload("a file"), n.upload("another file")
	for _, r := range []*Replicator{r, r2} {
		if err := r.Snapshot(ctx); err != nil {
			n.t.Fatal(err)
		}
	}
	n.sell("after the snapshot")
	n.remove("seller-3")
	mustSync(n.t, r)
	mustSync(n.t, r2)
	return sum, later
}

// useAttached reads and writes an attached directory, and closes it as a crash would: nothing
// has been finished.
func useAttached(t *testing.T, dir string, keys map[string]*Key, digest [32]byte, sum blob.Sum) {
	t.Helper()
	got, _ := openAttached(t, dir, keys)
	if got.digest() != digest {
		t.Error("the attached data differ")
	}
	f, err := got.blobs.Open(ctx, sum)
	if err != nil {
		t.Fatal(err)
	}
	if b, _ := io.ReadAll(f); string(b) != "a file" {
		t.Errorf("the blob is %q", b)
	}
	f.Close()
	got.sell("while attached")
	if err := got.db.Close(); err != nil {
		t.Fatal(err)
	}
}

// finishAttached downloads what is left, and is stopped at its last step the first time: by a
// directory in the place of the file, where a crash would, before the directory stops being
// attached, so that the next one ends what is left.
func finishAttached(t *testing.T, n *node, a *Attachment) {
	t.Helper()
	var done, total int64
	file := filepath.Join(n.dir, attachedFile)
	if err := errors.Join(os.Rename(file, file+".aside"), os.MkdirAll(filepath.Join(file, "x"), 0o700)); err != nil {
		t.Fatal(err)
	}
	if err := a.Finish(ctx, n.db, n.blobs, func(d, n int64) { done, total = d, n }); err == nil {
		t.Error("Finish didn't notice that it couldn't remove the file")
	}
	if done != total || total == 0 {
		t.Errorf("the progress ended at %d of %d bytes", done, total)
	}
	if _, err := os.Stat(filepath.Join(n.dir, segmentsDir)); !os.IsNotExist(err) {
		t.Errorf("segments are left after the file (%v)", err)
	}
	if err := errors.Join(os.RemoveAll(file), os.Rename(file+".aside", file)); err != nil {
		t.Fatal(err)
	}
	if err := a.Finish(ctx, n.db, n.blobs, func(int64, int64) {}); err != nil {
		t.Fatal(err)
	}
	for _, left := range []string{attachedFile, segmentsDir} {
		if _, err := os.Stat(filepath.Join(n.dir, left)); !os.IsNotExist(err) {
			t.Errorf("%s is still there (%v)", left, err)
		}
	}
}

// removeSegment removes a segment of a replica.
func removeSegment(t *testing.T, p *place) {
	t.Helper()
	files, err := p.c.list(ctx, "", levelSegments)
	if err != nil || len(files) == 0 {
		t.Fatalf("there are %d segments (%v)", len(files), err)
	}
	name := filepath.Join(p.root, p.c.at.ltxKey("", levelSegments, files[0].MinTXID, files[0].MaxTXID))
	if err := os.Remove(name); err != nil {
		t.Fatal(err)
	}
}
