package blob

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/iotest"

	"github.com/souk-market/souk/internal/market"
)

func open(t testing.TB, dir string) *Store {
	t.Helper()
	s, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func put(t testing.TB, s *Store, content string) Ref {
	t.Helper()
	ref, err := s.Put(context.Background(), strings.NewReader(content), int64(len(content)))
	if err != nil {
		t.Fatal(err)
	}
	return ref
}

func all(t testing.TB, s *Store) []Ref {
	t.Helper()
	var refs []Ref
	for ref, err := range s.All() {
		if err != nil {
			t.Fatal(err)
		}
		refs = append(refs, ref)
	}
	return refs
}

func temporaries(t testing.TB, s *Store) int {
	t.Helper()
	entries, err := os.ReadDir(s.tmp)
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}

// checkWhole verifies every blob and that nothing half written is left.
func checkWhole(t testing.TB, s *Store) {
	t.Helper()
	for _, ref := range all(t, s) {
		if err := s.Verify(context.Background(), ref.Sum); err != nil {
			t.Error(err)
		}
	}
	if n := temporaries(t, s); n != 0 {
		t.Errorf("%d temporaries are left", n)
	}
}

func TestPutAndOpen(t *testing.T) {
	ctx := context.Background()
	s := open(t, filepath.Join(t.TempDir(), "data", "blobs"))
	for _, content := range []string{"", "hello", strings.Repeat("souk", 1<<18)} {
		ref := put(t, s, content)
		if want := SumOf([]byte(content)); ref.Sum != want || ref.Size != int64(len(content)) {
			t.Fatalf("Put returned %v, want %s and %d bytes", ref, want, len(content))
		}
		f, err := s.Open(ctx, ref.Sum)
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(f)
		f.Close()
		if err != nil || string(got) != content || f.Size() != ref.Size || f.Ref() != ref {
			t.Fatalf("read %d bytes, size %d, %v, want %d", len(got), f.Size(), err, len(content))
		}
		if has, err := s.Has(ctx, ref.Sum); !has || err != nil {
			t.Errorf("Has = %v, %v", has, err)
		}
	}
	checkWhole(t, s)
}

func TestPermissions(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "blobs")
	s := open(t, dir)
	ref := put(t, s, "secret release")
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		want := os.FileMode(0o600)
		if d.IsDir() {
			want = 0o700
		}
		if got := info.Mode().Perm(); got != want {
			t.Errorf("%s has mode %o, want %o", path, got, want)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if has, _ := s.Has(context.Background(), ref.Sum); !has {
		t.Error("the blob is gone")
	}
}

func TestPutLimit(t *testing.T) {
	for _, c := range []struct {
		size, limit int
		ok          bool
	}{
		{0, 0, true}, {1, 0, false}, {1, -5, false}, {10, 10, true}, {11, 10, false},
		{3 * copySize, 3*copySize - 1, false}, {3 * copySize, 3 * copySize, true},
	} {
		s := open(t, t.TempDir())
		_, err := s.Put(context.Background(), strings.NewReader(strings.Repeat("x", c.size)), int64(c.limit))
		if c.ok != (err == nil) || (!c.ok && !market.Is(err, market.TooLarge)) {
			t.Errorf("%d bytes with limit %d: %v", c.size, c.limit, err)
		}
		if n := len(all(t, s)); (n == 1) != c.ok {
			t.Errorf("%d bytes with limit %d: %d blobs kept", c.size, c.limit, n)
		}
		checkWhole(t, s)
	}
	s := open(t, t.TempDir())
	if _, err := s.Put(context.Background(), strings.NewReader("all"), 1<<63-1); err != nil {
		t.Errorf("the largest limit: %v", err)
	}
}

func TestPutKeepsNothingOfAFailedRead(t *testing.T) {
	s := open(t, t.TempDir())
	broken := errors.New("connection lost")
	r := io.MultiReader(strings.NewReader("half of it"), iotest.ErrReader(broken))
	if _, err := s.Put(context.Background(), r, 1<<20); !errors.Is(err, broken) {
		t.Errorf("got %v, want the reader's error", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := s.Put(ctx, strings.NewReader("late"), 1<<20); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want the context's error", err)
	}
	if n := len(all(t, s)); n != 0 {
		t.Errorf("%d blobs kept, want none", n)
	}
	checkWhole(t, s)
}

func TestPutDoesNotRewrite(t *testing.T) {
	s := open(t, t.TempDir())
	ref := put(t, s, "the same")
	before, err := os.Stat(s.path(ref.Sum))
	if err != nil {
		t.Fatal(err)
	}
	put(t, s, "the same")
	after, err := os.Stat(s.path(ref.Sum))
	if err != nil {
		t.Fatal(err)
	}
	if !os.SameFile(before, after) {
		t.Error("the file was replaced")
	}
	checkWhole(t, s)
}

func TestPutRepairsADamagedBlob(t *testing.T) {
	s := open(t, t.TempDir())
	for _, damaged := range []string{"con", "", "contend", "contents"} {
		ref := put(t, s, "content")
		if err := os.WriteFile(s.path(ref.Sum), []byte(damaged), 0o600); err != nil {
			t.Fatal(err)
		}
		put(t, s, "content")
		checkWhole(t, s)
	}
}

func TestConcurrentPutsOfTheSameContent(t *testing.T) {
	s := open(t, t.TempDir())
	var wg sync.WaitGroup
	for i := range 16 {
		wg.Go(func() {
			content := []byte("shared content " + fmt.Sprint(i%2))
			if _, err := s.Put(context.Background(), bytes.NewReader(content), 100); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if n := len(all(t, s)); n != 2 {
		t.Errorf("%d blobs, want 2", n)
	}
	checkWhole(t, s)
}

func TestAllIsSortedAndNamesForeignFiles(t *testing.T) {
	s := open(t, t.TempDir())
	for i := range 40 {
		put(t, s, fmt.Sprint("number ", i))
	}
	refs := all(t, s)
	if len(refs) != 40 {
		t.Fatalf("%d blobs, want 40", len(refs))
	}
	if !slices.IsSortedFunc(refs, func(a, b Ref) int { return bytes.Compare(a.Sum[:], b.Sum[:]) }) {
		t.Error("not in the order of the sums")
	}
	misplaced := filepath.Join(s.dir, shard(refs[0].Sum[0]+1), refs[0].Sum.String())
	foreign := filepath.Join(s.dir, "00", "notes.txt")
	for _, path := range []string{misplaced, foreign} {
		if err := os.WriteFile(path, []byte("?"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var errs []string
	good := 0
	for _, err := range s.All() {
		if err != nil {
			errs = append(errs, err.Error())
		} else {
			good++
		}
	}
	if text := strings.Join(errs, "\n"); good != 40 || len(errs) != 2 ||
		!strings.Contains(text, misplaced) || !strings.Contains(text, foreign) {
		t.Errorf("%d blobs and errors:\n%s", good, text)
	}
	for range s.All() {
		break
	}
}

func TestMissing(t *testing.T) {
	ctx := context.Background()
	s := open(t, t.TempDir())
	sum := SumOf([]byte("never put"))
	if _, err := s.Open(ctx, sum); !market.Is(err, market.NotFound) {
		t.Errorf("Open: %v, want NotFound", err)
	}
	if err := s.Verify(ctx, sum); !market.Is(err, market.NotFound) {
		t.Errorf("Verify: %v, want NotFound", err)
	}
	if has, err := s.Has(ctx, sum); has || err != nil {
		t.Errorf("Has = %v, %v", has, err)
	}
}

func TestVerifyNamesADamagedFile(t *testing.T) {
	s := open(t, t.TempDir())
	put(t, s, "sound")
	ref := put(t, s, "about to rot")
	path := s.path(ref.Sum)
	if err := os.WriteFile(path, []byte("about to rut"), 0o600); err != nil {
		t.Fatal(err)
	}
	err := s.Verify(context.Background(), ref.Sum)
	if !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), path) {
		t.Errorf("got %v, want ErrDamaged with %s", err, path)
	}
	if market.Is(err, market.NotFound) {
		t.Error("damage is reported as absence")
	}
}

func TestParseSumIsStrict(t *testing.T) {
	good := SumOf([]byte("x")).String()
	sum, err := ParseSum(good)
	if err != nil || sum.String() != good {
		t.Fatalf("ParseSum(%q) = %s, %v", good, sum, err)
	}
	for _, bad := range []string{
		"", "ab", good[:63], good + "0", strings.ToUpper(good), " " + good[1:], good[:63] + "\n", good[:63] + "g",
		"../../../../../../../../../../../../../../../../etc/passwd\x00\x00\x00\x00\x00",
		strings.Repeat("../", 21) + "x", "0x" + good[2:], strings.Repeat("é", 32),
	} {
		if _, err := ParseSum(bad); !market.Is(err, market.Invalid) {
			t.Errorf("ParseSum(%q): %v, want Invalid", bad, err)
		}
	}
}

func FuzzParseSum(f *testing.F) {
	f.Add(SumOf(nil).String())
	f.Add("../../etc/passwd")
	f.Fuzz(func(t *testing.T, s string) {
		sum, err := ParseSum(s)
		if err == nil && (sum.String() != s || filepath.Base(s) != s || len(s) != 64) {
			t.Errorf("%q passed as %s", s, sum)
		}
	})
}

func TestOpenRemovesLeftovers(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	kept := put(t, s, "acknowledged")
	for i := range 3 {
		path := filepath.Join(s.tmp, fmt.Sprint(tmpStart, i))
		if err := os.WriteFile(path, []byte("half"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s = open(t, dir)
	checkWhole(t, s)
	if refs := all(t, s); len(refs) != 1 || refs[0] != kept {
		t.Errorf("blobs after reopening: %v, want %v", refs, kept)
	}
}

func TestDiskRefusal(t *testing.T) {
	s := open(t, t.TempDir())
	if err := os.RemoveAll(s.tmp); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Put(context.Background(), strings.NewReader("x"), 1); !market.Is(err, market.Unavailable) {
		t.Errorf("Put: %v, want Unavailable", err)
	}
}
