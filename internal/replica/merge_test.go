package replica

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/souk-market/souk/internal/blob"
	"github.com/souk-market/souk/store"
)

// changeFiles is random change files that follow one another.
type changeFiles struct {
	t     *testing.T
	rng   *rand.Rand
	files []*changeFile
}

// cut adds a file with random sets and deletions of few keys, in one table or several. One
// in twelve is full, one in six names blobs.
func (h *changeFiles) cut() {
	h.t.Helper()
	w, err := newFileWriter("", nil)
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(w.discard)
	f := &footer{Generation: 3, TXID: uint64(len(h.files)) + 1, LSNMin: 1, Node: "nod_1", Schema: store.SchemaVersion, Time: int64(len(h.files)) * 1000}
	if n := len(h.files); n > 0 {
		f.LSNMin, f.PrevChain = h.files[n-1].LSNMax+1, h.files[n-1].Chain
	}
	f.LSNMax = f.LSNMin + store.LSN(h.rng.IntN(4))
	f.Chain[0], f.Chain[1] = byte(f.TXID), byte(f.TXID>>8)
	f.Full = h.rng.IntN(12) == 0
	if f.Full {
		if err := w.deleteAll(replicatedFrom, replicatedTo); err != nil {
			h.t.Fatal(err)
		}
	}
	for k := range 60 {
		if h.rng.IntN(5) > 0 {
			continue
		}
		key := fmt.Appendf([]byte{1}, "key-%02d", k)
		if err := w.set(key, fmt.Appendf(nil, "%d of file %d", k, f.TXID), !f.Full && h.rng.IntN(3) == 0); err != nil {
			h.t.Fatal(err)
		}
		if h.rng.IntN(10) == 0 {
			if err := w.endTable(); err != nil {
				h.t.Fatal(err)
			}
		}
	}
	if h.rng.IntN(6) == 0 {
		f.Blobs = sortedSums(map[blob.Sum]bool{blob.SumOf([]byte{byte(h.rng.IntN(9))}): true, blob.SumOf([]byte{byte(f.TXID)}): true})
	}
	h.files = append(h.files, h.finish(w, f))
}

// finish reads a file as it would be read from a replica.
func (h *changeFiles) finish(w *fileWriter, f *footer) *changeFile {
	h.t.Helper()
	body, err := w.finish(f)
	if err != nil {
		h.t.Fatal(err)
	}
	size, err := sizeOf(body)
	if err != nil {
		h.t.Fatal(err)
	}
	cf, err := openChangeFile(fmt.Sprintf("%d-%d", f.minTXID(), f.TXID), body, size)
	if err != nil {
		h.t.Fatal(err)
	}
	return cf
}

func (h *changeFiles) merge(files []*changeFile) *changeFile {
	h.t.Helper()
	w, err := newFileWriter("", nil)
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(w.discard)
	f, err := merge(ctx, w, files)
	if err != nil {
		h.t.Fatal(err)
	}
	return h.finish(w, f)
}

// state is what applying files gives.
type state map[string]string

func (s state) apply(t *testing.T, files ...*changeFile) state {
	t.Helper()
	s = maps.Clone(s)
	for _, f := range files {
		if f.Full {
			clear(s)
		}
		err := f.each(func(key, value []byte, deleted bool) error {
			if deleted {
				delete(s, string(key))
			} else {
				s[string(key)] = string(value)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return s
}

// TestMergedFilesEqualTheirInputs: whatever of a random history is merged, and merged
// again, gives what the files of level 0 give one by one, from every state they can meet.
func TestMergedFilesEqualTheirInputs(t *testing.T) {
	for seed := range uint64(60) {
		h := &changeFiles{t: t, rng: rand.New(rand.NewPCG(seed, 1))}
		for range 2 + h.rng.IntN(30) {
			h.cut()
		}
		start := state{}.apply(t, h.files[:h.rng.IntN(3)%len(h.files)]...)
		start["\x01key-99"] = "there before" // a full file takes it away, others leave it
		mixed := slices.Clone(h.files)
		for range 1 + h.rng.IntN(6) {
			from := h.rng.IntN(len(mixed))
			to := from + 1 + h.rng.IntN(len(mixed)-from)
			mixed = slices.Replace(mixed, from, to, h.merge(mixed[from:to]))
		}
		want, got := start.apply(t, h.files...), start.apply(t, mixed...)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("seed %d: the mix of %d files differs (-files +mix):\n%s", seed, len(mixed), diff)
		}
		whole := h.merge(mixed)
		if diff := cmp.Diff(want, start.apply(t, whole)); diff != "" {
			t.Fatalf("seed %d: one file of all differs:\n%s", seed, diff)
		}
		h.compareFooter(&whole.footer)
	}
}

// compareFooter verifies what a merged file of the whole history says of itself.
func (h *changeFiles) compareFooter(got *footer) {
	h.t.Helper()
	first, last := h.files[0], h.files[len(h.files)-1]
	sums := map[blob.Sum]bool{}
	full := false
	for _, f := range h.files {
		full = full || f.Full
		for _, sum := range f.Blobs {
			sums[sum] = true
		}
	}
	want := &footer{
		Version: formatVersion, Generation: 3, TXID: last.TXID, MinTXID: 1, Full: full,
		LSNMin: first.LSNMin, LSNMax: last.LSNMax, PrevChain: first.PrevChain, Chain: last.Chain,
		Node: "nod_1", Schema: store.SchemaVersion, Time: last.Time, Tables: got.Tables, Blobs: got.Blobs,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		h.t.Errorf("the footer differs (-want +got):\n%s", diff)
	}
	if !slices.Equal(sortedSums(sums), got.Blobs) {
		h.t.Errorf("the merged file names %d blobs, its inputs %d", len(got.Blobs), len(sums))
	}
}

// TestMergingTwiceGivesTheSameBytes: so a merge that is repeated after a crash is no change.
func TestMergingTwiceGivesTheSameBytes(t *testing.T) {
	h := &changeFiles{t: t, rng: rand.New(rand.NewPCG(7, 7))}
	for range 20 {
		h.cut()
	}
	var all [2][]byte
	for i := range all {
		cf := h.merge(h.files)
		last := cf.Tables[len(cf.Tables)-1]
		all[i] = make([]byte, last.Offset+last.Size)
		if _, err := cf.r.ReadAt(all[i], 0); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(all[0], all[1]) {
		t.Error("merging the same files twice gives different bytes")
	}
}

// TestMergeRefuses what doesn't follow one another, by name.
func TestMergeRefuses(t *testing.T) {
	h := &changeFiles{t: t, rng: rand.New(rand.NewPCG(1, 2))}
	for range 6 {
		h.cut()
	}
	elsewhere := *h.files[3]
	elsewhere.Generation = 4
	tombstone := *h.files[3]
	tombstone.Seal = &seal{Node: "nod_2", Generation: 4}
	forked := *h.files[3]
	forked.PrevChain[5] ^= 1
	for name, files := range map[string][]*changeFile{
		"a hole":             {h.files[0], h.files[2]},
		"a file twice":       {h.files[0], h.files[0]},
		"another order":      {h.files[1], h.files[0]},
		"another generation": {&elsewhere, h.files[4]},
		"a tombstone":        {h.files[2], &tombstone},
		"another history":    {h.files[2], &forked},
	} {
		w, err := newFileWriter("", nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := merge(ctx, w, files); !errors.Is(err, ErrCorrupt) {
			t.Errorf("merging %s: %v, want ErrCorrupt", name, err)
		}
		w.discard()
	}
}
