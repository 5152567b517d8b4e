package search

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	index "github.com/blevesearch/bleve_index_api"
	"github.com/souk-market/souk/internal/market"
	"github.com/souk-market/souk/store"
	"github.com/souk-market/souk/store/storetest"
)

// history changes a store at random: agents are listed, renamed, withdrawn, deleted.
type history struct {
	t      testing.TB
	db     *store.DB
	rng    *rand.Rand
	agents []market.Agent
	names  int
}

func (h *history) step() store.LSN {
	switch n := h.rng.IntN(10); {
	case n < 4 || len(h.agents) == 0:
		h.names++
		h.agents = append(h.agents, newAgent(fmt.Sprintf("tool-%d", h.names), "Does things", "other"))
		return put(h.t, h.db, h.agents[len(h.agents)-1])
	case n < 7:
		h.names++
		a := &h.agents[h.rng.IntN(len(h.agents))]
		a.Name = fmt.Sprintf("tool-%d", h.names)
		return put(h.t, h.db, *a)
	case n < 8:
		a := &h.agents[h.rng.IntN(len(h.agents))]
		a.State = []market.ListingState{market.ListingPublished, market.ListingPaused}[h.rng.IntN(2)]
		return put(h.t, h.db, *a)
	case n < 9:
		return putSeller(h.t, h.db, store.Ephemeral)
	}
	i := h.rng.IntN(len(h.agents))
	id := h.agents[i].ID
	h.agents = slices.Delete(h.agents, i, i+1)
	res, err := h.db.Update(context.Background(), tenant, store.Op{}, func(tx *store.Tx) error {
		return store.Agents.Delete(tx, id)
	})
	if err != nil {
		h.t.Fatal(err)
	}
	return res.LSN
}

// found fails the test unless each agent is found by its present name alone.
func (h *history) found(ix *running) {
	h.t.Helper()
	ix.same()
	byName := map[string]market.Agent{}
	for _, a := range h.agents {
		byName[a.Name] = a
	}
	for n := range h.names {
		name := fmt.Sprintf("tool-%d", n+1)
		a, listed := byName[name]
		got := ix.find(Query{Text: fmt.Sprintf("tool%d", n+1)})
		first := len(got.IDs) > 0 && got.IDs[0] == a.ID && !got.Corrected
		if want := listed && a.Visible(); first != want {
			h.t.Fatalf("%s: found %t, want %t", name, first, want)
		}
	}
}

// An index whose directory is copied while it is written is what a crash leaves, or
// worse: files that were copied at different moments. Whatever it is, the index that
// starts on it has every document once, in its present state.
func TestCrashLosesAndRepeatsNothing(t *testing.T) {
	db := storetest.Open(t)
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	h := &history{t: t, db: db, rng: rand.New(rand.NewPCG(seed, 0))}
	dir := t.TempDir()
	ix := start(t, Options{Dir: dir, DB: db})
	resumed := 0
	for range 12 {
		var copying sync.WaitGroup
		crashed := t.TempDir()
		copying.Go(func() { copyDir(t, dir, crashed) })
		for range 30 {
			ix.wait(h.step())
		}
		copying.Wait()
		after, err := Open(Options{Dir: crashed, DB: db})
		if err != nil {
			t.Fatal(err)
		}
		if after.Ready() {
			resumed++
		}
		if err := after.Close(); err != nil {
			t.Fatal(err)
		}
		again := start(t, Options{Dir: crashed, DB: db})
		h.found(again)
		again.stop()
	}
	h.found(ix)
	t.Logf("%d of 12 copies were gone on with", resumed)
}

// copyDir copies files as they come; those that vanish meanwhile are left out.
func copyDir(t *testing.T, from, to string) {
	err := filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		name := filepath.Join(to, path[len(from):])
		if d.IsDir() {
			return os.MkdirAll(name, 0o700)
		}
		b, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		return os.WriteFile(name, b, 0o600)
	})
	if err != nil {
		t.Error(err)
	}
}

// Without the cursor's last write, the changes since are followed again.
func TestResumesWithoutClose(t *testing.T) {
	db := storetest.Open(t)
	h := &history{t: t, db: db, rng: rand.New(rand.NewPCG(1, 2))}
	dir := t.TempDir()
	for range 5 {
		ix := start(t, Options{Dir: dir, DB: db})
		for range 20 {
			ix.wait(h.step())
		}
		h.found(ix)
		ix.cancel()
		ix.cancel = nil
		if err := <-ix.done; err != nil {
			t.Fatal(err)
		}
		if ix.gen.number != 1 {
			t.Errorf("generation %d: built anew", ix.gen.number)
		}
		ix.show(nil, 0)
		if err := ix.gen.close(); err != nil { // nothing is written any more, as in a crash
			t.Fatal(err)
		}
	}
	h.found(start(t, Options{Dir: dir, DB: db}))
}

func TestBuiltAnew(t *testing.T) {
	tests := []struct {
		name   string
		damage func(t *testing.T, dir string)
	}{
		{"folder deleted", func(t *testing.T, dir string) { remove(t, dir) }},
		{"generation deleted", func(t *testing.T, dir string) { remove(t, generationDir(dir, 1)) }},
		{"root deleted", func(t *testing.T, dir string) { remove(t, filepath.Join(generationDir(dir, 1), "root.bolt")) }},
		{"root overwritten", func(t *testing.T, dir string) {
			write(t, filepath.Join(generationDir(dir, 1), "root.bolt"), []byte("this is no root"))
		}},
		{"root full of noise", func(t *testing.T, dir string) { // reading it panics
			path := filepath.Join(generationDir(dir, 1), "root.bolt")
			b := read(t, path)
			for i := 2 * 4096; i < len(b); i++ {
				b[i] = 0xa5
			}
			write(t, path, b)
		}},
		{"segment of one byte", func(t *testing.T, dir string) { write(t, segmentIn(t, dir), []byte{1}) }},
		{"segment deleted", func(t *testing.T, dir string) { remove(t, segmentIn(t, dir)) }},
		{"segment cut short", func(t *testing.T, dir string) {
			b := read(t, segmentIn(t, dir))
			write(t, segmentIn(t, dir), b[:len(b)/2])
		}},
		{"segment empty", func(t *testing.T, dir string) { write(t, segmentIn(t, dir), nil) }},
		{"one bit flipped", func(t *testing.T, dir string) {
			b := read(t, segmentIn(t, dir))
			b[len(b)/3] ^= 4
			write(t, segmentIn(t, dir), b)
		}},
		{"segment overwritten", func(t *testing.T, dir string) {
			b := read(t, segmentIn(t, dir))
			clear(b)
			write(t, segmentIn(t, dir), b)
		}},
		{"other format", func(t *testing.T, dir string) { setInternal(t, dir, keyFormat, []byte{formatVersion + 1}) }},
		{"other tenants", func(t *testing.T, dir string) { setInternal(t, dir, keyTenants, []byte("ten_x\n")) }},
		{"unfinished", func(t *testing.T, dir string) { setInternal(t, dir, keyCursor, nil) }},
		{"cursor in the future", func(t *testing.T, dir string) {
			setInternal(t, dir, keyCursor, append(binary.BigEndian.AppendUint64(nil, 1_000), make([]byte, 16)...))
		}},
		{"other history", func(t *testing.T, dir string) {
			setInternal(t, dir, keyCursor, append(binary.BigEndian.AppendUint64(nil, 2), make([]byte, 16)...))
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			db := storetest.Open(t)
			dir := filepath.Join(t.TempDir(), "search")
			put(t, db, readAgents(t, "testdata/agents.tsv")...)
			ix := start(t, Options{Dir: dir, DB: db})
			ix.same()
			ix.stop()
			tt.damage(t, dir)

			put(t, db, newAgent("late", "Listed meanwhile", "other"))
			again, err := Open(Options{Dir: dir, DB: db})
			if err != nil {
				t.Fatal(err)
			}
			ready := again.Ready()
			if err := again.Close(); err != nil {
				t.Fatal(err)
			}
			if ready {
				t.Error("the index is taken for good")
			}
			ix = start(t, Options{Dir: dir, DB: db})
			ix.same()
			if got := ix.names(Query{Text: "langchain chroma"}); got[0] != "langchain-chroma" {
				t.Errorf("found %q after the rebuild", got)
			}
			ix.stop()
			if left, err := generationsIn(dir); err != nil || len(left) != 1 {
				t.Errorf("generations %v, want one: %v", left, err)
			}
		})
	}
}

func remove(t *testing.T, path string) {
	t.Helper()
	if err := os.RemoveAll(path); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func write(t *testing.T, path string, b []byte) {
	t.Helper()
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

func segmentIn(t *testing.T, dir string) string {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(generationDir(dir, 1), "*.zap"))
	if err != nil || len(paths) == 0 {
		t.Fatalf("no segments in %s: %v", dir, err)
	}
	return slices.MaxFunc(paths, func(a, b string) int { return len(read(t, a)) - len(read(t, b)) })
}

func setInternal(t *testing.T, dir string, key, value []byte) {
	t.Helper()
	g, err := startGeneration(dir, 1, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	b := index.NewBatch()
	b.SetInternal(key, value)
	if err := g.batch(b); err != nil {
		t.Fatal(err)
	}
	if err := g.flush(context.Background()); err != nil {
		t.Fatal(err)
	}
	if err := g.close(); err != nil {
		t.Fatal(err)
	}
}

// A restored store ends earlier than the index that lies beside it, or went another way
// since.
func TestStoreOfAnotherHistory(t *testing.T) {
	dir := t.TempDir()
	db := storetest.Open(t)
	h := &history{t: t, db: db, rng: rand.New(rand.NewPCG(3, 4))}
	for range 20 {
		h.step()
	}
	ix := start(t, Options{Dir: dir, DB: db})
	ix.same()
	ix.stop()

	other := storetest.Open(t)
	h = &history{t: t, db: other, rng: rand.New(rand.NewPCG(5, 6))}
	for range 40 {
		h.step()
	}
	ix = start(t, Options{Dir: dir, DB: other})
	h.found(ix)
}

// While the index is built anew, searches are answered from the one before, and what is
// written meanwhile isn't lost.
func TestRebuildWhileServing(t *testing.T) {
	db := storetest.Open(t)
	put(t, db, readAgents(t, "testdata/agents.tsv")...)
	ix := start(t, Options{Dir: t.TempDir(), DB: db})
	ix.same()
	stop := make(chan struct{})
	var searching sync.WaitGroup
	for range 3 {
		searching.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				res, err := ix.Search(context.Background(), Query{Tenant: tenant, Text: "playwrigth mcp"})
				if err != nil || res.Total < 10 {
					t.Errorf("a search during the rebuild: %d, %v", res.Total, err)
					return
				}
			}
		})
	}
	for i := range 5 {
		ix.Rebuild()
		for j := range 10 {
			put(t, db, newAgent(fmt.Sprintf("new-%d-%d", i, j), "Added meanwhile", "other"))
		}
		ix.same()
	}
	close(stop)
	searching.Wait()
	ix.same()
}

// Reindex returns when another generation has taken the place of the one before.
func TestReindex(t *testing.T) {
	db := storetest.Open(t)
	agents := readAgents(t, "testdata/agents.tsv")
	ix := start(t, Options{Dir: t.TempDir(), DB: db})
	ix.wait(put(t, db, agents...))
	for range 3 {
		before, err := generationsIn(ix.dir)
		if err != nil {
			t.Fatal(err)
		}
		last, total := 0, 0
		if err := ix.Reindex(context.Background(), func(read, of int) { last, total = read, of }); err != nil {
			t.Fatal(err)
		}
		after, err := generationsIn(ix.dir)
		if err != nil || len(after) != 1 || after[0] != before[0]+1 {
			t.Errorf("generations %v after %v: %v", after, before, err)
		}
		if last != len(agents) || total != len(agents) {
			t.Errorf("showed %d of %d, want %d", last, total, len(agents))
		}
		ix.same()
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := ix.Reindex(ctx, func(int, int) {}); !errors.Is(err, context.Canceled) {
		t.Errorf("%v, want %v", err, context.Canceled)
	}
	ix.same()
}

// A build that a crash interrupted is started over; the index before goes on meanwhile.
func TestUnfinishedRebuild(t *testing.T) {
	db := storetest.Open(t)
	put(t, db, readAgents(t, "testdata/agents.tsv")...)
	ix := start(t, Options{Dir: t.TempDir(), DB: db})
	ix.same()
	ix.stop()
	g, err := newGeneration(ix.dir, 2, ix.tenants, ix.log)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(g.flush(context.Background()), g.close()); err != nil {
		t.Fatal(err)
	}
	ix = start(t, Options{Dir: ix.dir, DB: db})
	ix.same()
	if left, err := generationsIn(ix.dir); err != nil || !slices.Equal(left, []int{1}) {
		t.Errorf("generations %v, want the finished one: %v", left, err)
	}
}

// A build whose background task dies fails: it isn't taken for one with fewer agents.
func TestBuildFailsWithItsTasks(t *testing.T) {
	db := storetest.Open(t)
	put(t, db, readAgents(t, "testdata/agents.tsv")...)
	ix, err := Open(Options{Dir: t.TempDir(), DB: db})
	if err != nil {
		t.Fatal(err)
	}
	g, err := newGeneration(ix.dir, 1, ix.tenants, ix.log)
	if err != nil {
		t.Fatal(err)
	}
	died := errors.New("died")
	g.failed <- died
	if err := ix.fill(context.Background(), g); !errors.Is(err, died) {
		t.Errorf("%v, want %v", err, died)
	}
	if err := errors.Join(g.close(), ix.Close()); err != nil {
		t.Fatal(err)
	}
}

// Damage that only a search meets has the index built anew, and costs no more than that.
func TestDamageWhileServing(t *testing.T) {
	db := storetest.Open(t)
	lsn := put(t, db, readAgents(t, "testdata/agents.tsv")...)
	ix := start(t, Options{Dir: t.TempDir(), DB: db})
	ix.wait(lsn)
	ix.stop()
	ix = start(t, Options{Dir: ix.dir, DB: db})
	ix.wait(lsn)
	if err := os.Truncate(segmentIn(t, ix.dir), 0); err != nil {
		t.Fatal(err)
	}
	_, err := ix.Search(context.Background(), Query{Tenant: tenant, Text: "playwrigth mcp"})
	if !market.Is(err, market.Unavailable) {
		t.Fatalf("%v, want unavailable", err)
	}
	for ended := 0; ended == 0; {
		ix.mu.RLock()
		built := ix.built
		ended = ix.build.attempts
		ix.mu.RUnlock()
		if ended == 0 {
			<-built
		}
	}
	ix.same()
}

func TestDirectoryInUse(t *testing.T) {
	db := storetest.Open(t)
	ix := start(t, Options{Dir: t.TempDir(), DB: db})
	ix.wait(put(t, db, newAgent("a", "b", "c")))
	if _, err := Open(Options{Dir: ix.dir, DB: db}); !market.Is(err, market.Conflict) {
		t.Errorf("%v, want a conflict", err)
	}
}
