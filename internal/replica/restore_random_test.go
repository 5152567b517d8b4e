package replica

import (
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/souk-market/souk/internal/blob"
	"github.com/souk-market/souk/internal/market"
	"github.com/souk-market/souk/store"
)

var histories = flag.Uint64("histories", 3, "how many random histories are restored after damage")

// second is another empty replica on the same kind of storage.
func (p *place) second() *place {
	other := &place{t: p.t, url: p.url + "-second", root: p.root + "-second"}
	if path, query, ok := strings.Cut(p.url, "?"); ok {
		other.url = path + "-second?" + query
	}
	other.c = other.client()
	return other
}

// moment is what the database held at a commit.
type moment struct {
	digest [32]byte
	blobs  []blob.Sum
}

// recorded is a history that two replicas follow, each at its own pace.
type recorded struct {
	t       *testing.T
	rng     *rand.Rand
	node    *node
	now     time.Time
	places  [2]*place
	r       [2]*Replicator
	moments map[store.LSN]moment
	healed  int
	ends    [2]map[store.LSN]time.Time // at which a replica has a file's end, and when it was cut
	named   map[blob.Sum]bool
}

func (h *recorded) record() {
	h.moments[h.node.db.LastLSN()] = moment{h.node.digest(), slices.Collect(maps.Keys(h.named))}
}

// step does one of the things that happen to a marketplace and its replicas.
func (h *recorded) step() {
	h.now = h.now.Add(time.Duration(1+h.rng.IntN(40)) * time.Second)
	name := fmt.Sprint("s", h.rng.IntN(12))
	switch n := h.rng.IntN(10); {
	case n < 3:
		h.node.sell(name)
	case n == 3:
		h.node.remove(name)
	case n == 4:
		h.named[h.node.upload(fmt.Sprint("content of ", h.rng.IntN(1000)))] = true
	case n == 5:
		i, loaded := h.rng.IntN(2), false
		if err := h.r[i].mergeDue(ctx, &loaded); err != nil {
			h.t.Fatal(err)
		}
		if h.rng.IntN(2) == 0 {
			if err := h.r[i].Snapshot(ctx); err != nil {
				h.t.Fatal(err)
			}
		}
		h.noteEnd(i)
	default:
		i := h.rng.IntN(2)
		mustSync(h.t, h.r[i])
		h.noteEnd(i)
	}
	h.record()
}

func (h *recorded) noteEnd(i int) {
	if pos := h.r[i].Position(); pos.LSN > 0 {
		h.ends[i][pos.LSN] = pos.Time
	}
}

// bestEnd is the last commit at which a replica has an end that a target allows.
func (h *recorded) bestEnd(i int, t Target) (best store.LSN) {
	for lsn, at := range h.ends[i] {
		if (t.LSN == 0 || lsn <= t.LSN) && (t.Time.IsZero() || !at.After(t.Time)) {
			best = max(best, lsn)
		}
	}
	return best
}

// damage spoils some objects of the first replica, and says which.
func (h *recorded) damage() (names []string) {
	var objects []string
	filepath.WalkDir(h.places[0].root, func(name string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			objects = append(objects, name)
		}
		return nil
	})
	for range 1 + h.rng.IntN(4) {
		name := objects[h.rng.IntN(len(objects))]
		info, err := os.Stat(name)
		if err != nil || info.Size() == 0 {
			continue // it has been removed or emptied before
		}
		names = append(names, name)
		switch h.rng.IntN(3) {
		case 0:
			os.Remove(name)
		case 1:
			os.Truncate(name, h.rng.Int64N(info.Size()))
		default:
			flip(h.t, name, h.rng.Int64N(info.Size()))
		}
	}
	return names
}

var possible = regexp.MustCompile(`--lsn (\d+)`)

// compare restores to a target from both replicas and compares with what was recorded.
// The second replica is whole, so a restore reaches at least what it has. What only the
// first had may be lost, but then the error says so, and how far a restore can go.
func (h *recorded) compare(t Target) {
	h.t.Helper()
	from := []*Client{h.places[0].client(), h.places[1].client()}
	dir := filepath.Join(h.t.TempDir(), "restored")
	rep, err := Restore(ctx, from, dir, t, RestoreOptions{})
	whole := h.bestEnd(1, t)
	if hint := possible.FindStringSubmatch(fmt.Sprint(err)); err != nil && hint != nil {
		n, _ := strconv.ParseUint(hint[1], 10, 64)
		if store.LSN(n) < whole || t.LSN != 0 && store.LSN(n) >= t.LSN {
			h.t.Errorf("%+v: %v, though the second replica has commit %d", t, err, whole)
			return
		}
		h.compare(Target{LSN: store.LSN(n)})
		return
	}
	if err != nil && whole == 0 && (market.Is(err, market.NotFound) || errors.Is(err, ErrCorrupt)) {
		return // nothing had been shipped to it by then
	}
	if err != nil {
		h.t.Errorf("%+v: %v, though the second replica has commit %d", t, err, whole)
		return
	}
	if rep.LSN < whole || t.LSN != 0 && rep.LSN > t.LSN || !t.Time.IsZero() && rep.Time.After(t.Time) {
		h.t.Errorf("%+v: restored commit %d of %s, the second replica has commit %d", t, rep.LSN, rep.Time, whole)
	}
	h.healed += len(rep.Healed)
	got := openNode(h.t, dir)
	want, known := h.moments[rep.LSN]
	if !known || got.digest() != want.digest {
		h.t.Errorf("%+v: commit %d differs", t, rep.LSN)
	}
	for _, sum := range want.blobs {
		if err := got.blobs.Verify(ctx, sum); err != nil {
			h.t.Errorf("%+v: at commit %d: %v", t, rep.LSN, err)
		}
	}
	got.close()
}

// testRandomHistory restores random moments of random histories from two replicas, of
// which one has been damaged.
func testRandomHistory(t *testing.T, p *place) {
	for seed := range *histories {
		h := &recorded{
			t: t, rng: rand.New(rand.NewPCG(seed, 8)), node: openNode(t, t.TempDir()),
			now: time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC), moments: map[store.LSN]moment{}, named: map[blob.Sum]bool{},
		}
		at := &place{t: t, url: strings.Replace(p.url, filepath.Base(p.root), fmt.Sprint("history-", seed), 1), root: filepath.Join(filepath.Dir(p.root), fmt.Sprint("history-", seed))}
		if strings.HasPrefix(p.url, "file:") {
			at.url = "file://" + strings.ReplaceAll(at.root, " ", "%20")
		}
		at.c = at.client()
		h.places = [2]*place{at, at.second()}
		for i, place := range h.places {
			if seed>>i&1 == 1 {
				place.key = NewRecoveryKey()
				place.c = place.client()
			}
			h.ends[i] = map[store.LSN]time.Time{}
			h.r[i] = New(h.node.db, h.node.blobs, place.client(), Options{SpoolDir: t.TempDir(), Clock: func() time.Time { return h.now }})
			if err := h.r[i].Open(ctx); err != nil {
				t.Fatal(err)
			}
		}
		for range 60 {
			h.step()
		}
		last := h.node.db.LastLSN()
		begin := time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC)
		t.Logf("seed %d: damaged %q", seed, h.damage())
		h.compare(Target{})
		for range 4 {
			h.compare(Target{LSN: 1 + store.LSN(h.rng.Uint64N(uint64(last)))})
			h.compare(Target{Time: begin.Add(time.Duration(h.rng.Int64N(int64(h.now.Sub(begin)))))})
		}
		h.node.close()
		t.Logf("%d objects were done without", h.healed)
	}
}
