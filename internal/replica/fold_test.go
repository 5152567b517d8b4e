package replica

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/souk-market/souk/internal/market"
	"github.com/souk-market/souk/store"
)

// TestDeletionsOfVersion1 restores what a souk of schema version 1 has shipped: a large
// file whose deletions Pebble would pass over.
func TestDeletionsOfVersion1(t *testing.T) {
	p := &place{t: t, url: "file://" + t.TempDir()}
	n := openNode(t, t.TempDir())
	r := n.replicate(p.client())
	rng := rand.New(rand.NewPCG(5, 6))
	noise := func() string {
		b := make([]byte, 20_000)
		for i := range b {
			b[i] = byte(33 + rng.IntN(90))
		}
		return string(b)
	}
	put := func(tx *store.Tx, from, to int) error {
		for i := from; i < to; i++ {
			s := market.Seller{ID: market.SellerID(fmt.Sprintf("sel_%02d", i)), Slug: fmt.Sprint(i), Name: noise()}
			if err := store.Sellers.Put(tx, &s); err != nil {
				return err
			}
		}
		return nil
	}
	n.update(store.Transaction, func(tx *store.Tx) error { return put(tx, 0, 40) })
	mustSync(t, r)
	n.update(store.Transaction, func(tx *store.Tx) error {
		for i := range 10 {
			if err := store.Sellers.Delete(tx, market.SellerID(fmt.Sprintf("sel_%02d", i))); err != nil {
				return err
			}
		}
		return put(tx, 40, 80)
	})
	shipAsVersion1(t, n, r)
	got, rep := p.restore(Target{})
	if got.digest() != n.digest() || rep.Files != 2 {
		t.Errorf("the restored data differ, from %d files", rep.Files)
	}
}

func shipAsVersion1(t *testing.T, n *node, r *Replicator) {
	t.Helper()
	snap, err := n.db.Snapshot(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer snap.Close()
	w, err := newFileWriter("", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer w.discard()
	w.opts.WritingToLowestLevel = true
	f := r.nextFooter(r.Position(), snap)
	f.Schema = 1
	if _, err := r.fill(ctx, w, f, snap); err != nil {
		t.Fatal(err)
	}
	body, err := w.finish(f)
	if err != nil {
		t.Fatal(err)
	}
	size, err := sizeOf(body)
	if err != nil {
		t.Fatal(err)
	}
	if size <= foldUpTo {
		t.Errorf("the file has %d bytes and would be folded anyway", size)
	}
	if err := r.client.createChange(ctx, f, body, size); err != nil {
		t.Fatal(err)
	}
	r.advance(f.position())
}
