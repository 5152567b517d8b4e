package blob

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// names are what records name, for Collect to ask.
type names struct {
	mu  sync.Mutex
	set map[Sum]bool
}

func naming(refs ...Ref) *names {
	n := &names{set: map[Sum]bool{}}
	for _, ref := range refs {
		n.add(ref.Sum)
	}
	return n
}

func (n *names) add(sum Sum) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.set[sum] = true
}

func (n *names) has(sum Sum) (bool, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.set[sum], nil
}

func has(t testing.TB, s *Store, ref Ref) bool {
	t.Helper()
	there, err := s.Has(context.Background(), ref.Sum)
	if err != nil {
		t.Fatal(err)
	}
	return there
}

func setAge(t testing.TB, s *Store, ref Ref, age time.Duration) {
	t.Helper()
	at := time.Now().Add(-age)
	if err := os.Chtimes(s.path(ref.Sum), at, at); err != nil {
		t.Fatal(err)
	}
}

func collect(t testing.TB, s *Store, now time.Time, n *names) Collected {
	t.Helper()
	c, err := s.Collect(context.Background(), now, n.has)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestCollectRemovesOldGarbageOnly(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	named, namedOld := put(t, s, "named"), put(t, s, "named long ago")
	rotten, short := put(t, s, "about to rot"), put(t, s, "about to be cut")
	young, garbage, empty := put(t, s, "nearly a day old"), put(t, s, "more than a day old"), put(t, s, "")
	if err := os.WriteFile(s.path(rotten.Sum), []byte("about to rut"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(s.path(short.Sum), 3); err != nil {
		t.Fatal(err)
	}
	for _, ref := range []Ref{namedOld, rotten, short, garbage, empty} {
		setAge(t, s, ref, Young+time.Minute)
	}
	setAge(t, s, young, Young-time.Minute)
	s = open(t, dir) // another process, which has put none of them
	got := collect(t, s, time.Now(), naming(named, namedOld, rotten, short))
	if want := (Collected{Kept: 5, Removed: 2, Bytes: garbage.Size}); got != want {
		t.Errorf("collected %+v, want %+v", got, want)
	}
	for _, ref := range []Ref{named, namedOld, rotten, short, young} {
		if !has(t, s, ref) {
			t.Errorf("%s is gone", ref.Sum)
		}
	}
	if has(t, s, garbage) || has(t, s, empty) {
		t.Error("garbage is left")
	}
	if blobs, bytes := s.Removed(); blobs != 2 || bytes != garbage.Size {
		t.Errorf("removed since Open: %d blobs, %d bytes", blobs, bytes)
	}
	if put(t, s, "more than a day old") != garbage || !has(t, s, garbage) {
		t.Error("what was removed can't be put again")
	}
}

// TestCollectKeepsWhatThisProcessHasPut: neither a clock that jumps ahead nor a file time
// that lies takes away what somebody is about to name.
func TestCollectKeepsWhatThisProcessHasPut(t *testing.T) {
	s := open(t, t.TempDir())
	now := time.Now()
	s.clock = func() time.Time { return now }
	ref := put(t, s, "about to be named")
	setAge(t, s, ref, 50*365*24*time.Hour)
	now = now.Add(Young - 1)
	if got := collect(t, s, time.Now().AddDate(10, 0, 0), naming()); got.Removed != 0 || !has(t, s, ref) {
		t.Errorf("within a day: %+v", got)
	}
	now = now.Add(1)
	if got := collect(t, s, time.Now().AddDate(-10, 0, 0), naming()); got.Kept != 0 {
		t.Errorf("a file of fifty years ago, ten years ago: %+v", got)
	}
	put(t, s, "put, and forgotten")
	now = now.Add(Young)
	if got := collect(t, s, time.Now().AddDate(-10, 0, 0), naming()); got.Kept != 1 {
		t.Errorf("a clock that went back makes old: %+v", got)
	}
	if len(s.puts) != 0 {
		t.Errorf("%d old puts are remembered", len(s.puts))
	}
}

// TestPutMakesYoung: content that is there already is as safe as new content, also after
// a restart.
func TestPutMakesYoung(t *testing.T) {
	dir := t.TempDir()
	ref := put(t, open(t, dir), "an old thing")
	for _, restarts := range []bool{false, true} {
		s := open(t, dir)
		setAge(t, s, ref, 100*Young)
		put(t, s, "an old thing")
		if restarts {
			s = open(t, dir)
		}
		if got := collect(t, s, time.Now(), naming()); got.Removed != 0 || !has(t, s, ref) {
			t.Errorf("restarted %t: collected %+v", restarts, got)
		}
	}
}

// TestPutBetweenLookAndRemoval puts garbage again just when a collection has heard that
// nobody names it, whatever the time of day is said to be.
func TestPutBetweenLookAndRemoval(t *testing.T) {
	for _, now := range []time.Time{time.Now(), time.Now().AddDate(10, 0, 0)} {
		s := open(t, t.TempDir())
		ref := put(t, s, "wanted again")
		setAge(t, s, ref, 2*Young)
		clear(s.puts)
		asked := 0
		got, err := s.Collect(context.Background(), now, func(Sum) (bool, error) {
			asked++
			put(t, s, "wanted again")
			return false, nil
		})
		if err != nil || asked != 1 || got.Removed != 0 || !has(t, s, ref) {
			t.Errorf("at %v: asked %d times, collected %+v, %v", now, asked, got, err)
		}
	}
}

// TestPutBesideCollect puts and names old garbage while it is collected: whichever is
// first, what Put has acknowledged is there.
func TestPutBesideCollect(t *testing.T) {
	s := open(t, t.TempDir())
	removed := 0
	for i := range 150 {
		ref := put(t, s, "wanted again")
		setAge(t, s, ref, 2*Young)
		clear(s.puts)
		n := naming()
		var wg sync.WaitGroup
		wg.Go(func() {
			put(t, s, "wanted again")
			n.add(ref.Sum)
		})
		wg.Go(func() { removed += collect(t, s, time.Now(), n).Removed })
		wg.Wait()
		if !has(t, s, ref) {
			t.Fatalf("try %d: put, named and gone", i)
		}
	}
	checkWhole(t, s)
	t.Logf("removed before the second put %d times of 150", removed)
}

func TestCollectReportsForeignFiles(t *testing.T) {
	s := open(t, t.TempDir())
	ref := put(t, s, "garbage")
	setAge(t, s, ref, 2*Young)
	clear(s.puts)
	foreign := filepath.Join(s.dir, shard(ref.Sum[0]), "notes.txt")
	folder := filepath.Join(s.dir, "ff", strings.Repeat("ff", 32))
	if err := errors.Join(os.WriteFile(foreign, []byte("?"), 0o600), os.Chtimes(foreign, time.Unix(0, 0), time.Unix(0, 0)), os.Mkdir(folder, 0o700)); err != nil {
		t.Fatal(err)
	}
	got, err := s.Collect(context.Background(), time.Now(), naming().has)
	if !errors.Is(err, ErrForeign) || !strings.Contains(err.Error(), foreign) || !strings.Contains(err.Error(), folder) {
		t.Errorf("the error is %v, want one with both names", err)
	}
	if got.Removed != 1 || has(t, s, ref) {
		t.Errorf("collected %+v", got)
	}
	for _, path := range []string{foreign, folder} {
		if _, err := os.Stat(path); err != nil {
			t.Error(err)
		}
	}
}

// TestCollectGoesOnPastTrouble: a folder that can't be read costs its blobs' collection,
// and no one else's.
func TestCollectGoesOnPastTrouble(t *testing.T) {
	s := open(t, t.TempDir())
	for i := range 50 {
		setAge(t, s, put(t, s, fmt.Sprint("garbage ", i)), 2*Young)
	}
	clear(s.puts)
	broken := 0
	for i := range 256 {
		folder := filepath.Join(s.dir, shard(byte(i)))
		if os.Remove(folder) == nil { // those that are empty
			broken++
			if err := os.WriteFile(folder, nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	got, err := s.Collect(context.Background(), time.Now(), naming().has)
	if got.Removed != 50 || err == nil || !strings.Contains(err.Error(), fmt.Sprintf("and %d more", broken-maxTroubles)) {
		t.Errorf("collected %+v, %v", got, err)
	}
}

func TestCollectEnds(t *testing.T) {
	s := open(t, t.TempDir())
	for i := range 20 {
		setAge(t, s, put(t, s, fmt.Sprint("garbage ", i)), 2*Young)
	}
	clear(s.puts)
	closed := errors.New("the store is closed")
	asked := 0
	got, err := s.Collect(context.Background(), time.Now(), func(Sum) (bool, error) {
		if asked++; asked == 5 {
			return false, closed
		}
		return false, nil
	})
	if !errors.Is(err, closed) || got.Removed != 4 || asked != 5 {
		t.Errorf("asked %d times, %+v, %v", asked, got, err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	got, err = s.Collect(ctx, time.Now(), func(Sum) (bool, error) {
		cancel()
		return false, nil
	})
	if !errors.Is(err, context.Canceled) || got.Removed != 1 {
		t.Errorf("canceled: %+v, %v", got, err)
	}
	if n := len(all(t, s)); n != 15 {
		t.Errorf("%d blobs are left, want 15", n)
	}
}
