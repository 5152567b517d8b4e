package media

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"image"
	"image/jpeg"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/souk-market/souk/internal/market"
	xwebp "golang.org/x/image/webp"
)

// shown opens a cache of a few masters, with room for bytes.
func shown(t testing.TB, dir string, room int64, masters ...Master) *Variants {
	t.Helper()
	v, err := Open(Options{
		Dir: dir, Bytes: room, Logger: slog.New(slog.DiscardHandler),
		Master: func(_ context.Context, sha256 string) (io.ReadCloser, error) {
			for _, m := range masters {
				if m.SHA256 == sha256 {
					return io.NopCloser(bytes.NewReader(m.Content)), nil
				}
			}
			return nil, market.Errorf(market.NotFound, "There is no such master.")
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func mastered(t testing.TB, m image.Image) Master {
	t.Helper()
	made, err := ingest(asPNG(t, m))
	if err != nil {
		t.Fatal(err)
	}
	return made
}

func read(t testing.TB, v *Variants, m Master, width int, format market.ImageFormat) []byte {
	t.Helper()
	got, err := v.Variant(context.Background(), m.Image, width, format)
	if err != nil {
		t.Fatal(err)
	}
	defer got.Close()
	content, err := io.ReadAll(got)
	if err != nil || got.Type != format.Type() {
		t.Fatalf("%s, %v", got.Type, err)
	}
	return content
}

func TestVariant(t *testing.T) {
	for name, m := range map[string]Master{"opaque": mastered(t, painted(700, 350, false)), "faded": mastered(t, painted(700, 350, true))} {
		t.Run(name, func(t *testing.T) {
			v := shown(t, t.TempDir(), 0, m)
			for _, width := range m.Widths() {
				asWebP, asJPEG := read(t, v, m, width, market.WebP), read(t, v, m, width, market.JPEG)
				w, err := xwebp.Decode(bytes.NewReader(asWebP))
				if err != nil || w.Bounds().Dx() != width || w.Bounds().Dy() != width/2 {
					t.Errorf("WebP of %d: %v", width, err)
				}
				j, err := jpeg.Decode(bytes.NewReader(asJPEG))
				if err != nil || j.Bounds().Dx() != width || j.Bounds().Dy() != width/2 {
					t.Errorf("JPEG of %d: %v", width, err)
				}
				if again := read(t, v, m, width, market.WebP); !bytes.Equal(again, asWebP) {
					t.Errorf("%d: the disk has other bytes", width)
				}
			}
			if s := v.Stats(); s.Made != 8 || s.Hits != 4 || s.Files != 8 {
				t.Errorf("%+v", s)
			}
		})
	}
}

func TestVariantOfAnotherSize(t *testing.T) {
	m := mastered(t, painted(700, 350, false))
	v := shown(t, t.TempDir(), 0, m)
	for _, c := range []struct {
		width  int
		format market.ImageFormat
	}{{0, "webp"}, {-320, "webp"}, {321, "webp"}, {960, "webp"}, {320, "avif"}, {320, ""}} {
		if _, err := v.Variant(context.Background(), m.Image, c.width, c.format); !market.Is(err, market.NotFound) {
			t.Errorf("%d %q: %v, want NotFound", c.width, c.format, err)
		}
	}
	if s := v.Stats(); s.Files != 0 || s.Made != 0 {
		t.Errorf("they left %+v", s)
	}
}

func TestVariantIsMadeOnceForAll(t *testing.T) {
	m := mastered(t, painted(700, 350, false))
	v := shown(t, t.TempDir(), 0, m)
	var all sync.WaitGroup
	for range 40 {
		all.Go(func() { read(t, v, m, 640, market.WebP) })
	}
	all.Wait()
	if s := v.Stats(); s.Made != 1 {
		t.Errorf("made %d times", s.Made)
	}
}

func TestVariantWithoutPatience(t *testing.T) {
	m := mastered(t, painted(700, 350, false))
	v := shown(t, t.TempDir(), 0, m)
	v.workers <- struct{}{} // another variant takes long
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := v.Variant(ctx, m.Image, 640, market.WebP); !errors.Is(err, context.Canceled) {
		t.Errorf("who has left: %v", err)
	}
	v.waiting.Store(maxWaiting)
	if _, err := v.Variant(context.Background(), m.Image, 320, market.WebP); !market.Is(err, market.Unavailable) {
		t.Errorf("one too many: %v", err)
	}
	<-v.workers
}

// TestVariantsOfWhoHasLeftCount has strangers ask for variants and leave.
func TestVariantsOfWhoHasLeftCount(t *testing.T) {
	m := mastered(t, painted(700, 350, false))
	v := shown(t, t.TempDir(), 0, m)
	synctest.Test(t, func(t *testing.T) {
		v.workers = make(chan struct{}, 1)
		v.workers <- struct{}{} // another variant takes long
		ctx, leave := context.WithCancel(context.Background())
		leave()
		for n := range maxWaiting {
			img := m.Image
			img.SHA256 = fmt.Sprint(n)
			if _, err := v.Variant(ctx, img, 320, market.WebP); !errors.Is(err, context.Canceled) {
				t.Errorf("who has left: %v", err)
			}
		}
		synctest.Wait()
		if _, err := v.Variant(context.Background(), m.Image, 320, market.WebP); !market.Is(err, market.Unavailable) {
			t.Errorf("one more: %v", err)
		}
		<-v.workers
		synctest.Wait()
		read(t, v, m, 320, market.WebP)
	})
}

func TestVariantOfAPanicIsAnError(t *testing.T) {
	m := mastered(t, painted(700, 350, false))
	v := shown(t, t.TempDir(), 0, m)
	v.Master = func(context.Context, string) (io.ReadCloser, error) { panic("a decoder") }
	for n := range int64(2) {
		if _, err := v.Variant(context.Background(), m.Image, 320, market.WebP); err == nil || v.Stats().Failed != n+1 {
			t.Errorf("%v, %+v", err, v.Stats())
		}
	}
}

// TestADamagedVariantIsMadeAgain damages a file on disk while it is kept, and before a start.
func TestADamagedVariantIsMadeAgain(t *testing.T) {
	m := mastered(t, painted(700, 350, false))
	for name, damage := range map[string]func([]byte) []byte{
		"cut short":        func(b []byte) []byte { return b[:len(b)/2] },
		"nothing left":     func(b []byte) []byte { return nil },
		"three bytes left": func(b []byte) []byte { return b[:3] },
		"without its sum":  func(b []byte) []byte { return b[:len(b)-sumSize] },
		"a bit turned": func(b []byte) []byte {
			b[len(b)/2] ^= 4
			return b
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			v := shown(t, dir, 0, m)
			want := read(t, v, m, 320, market.JPEG)
			path := filepath.Join(dir, m.SHA256+"-320.jpg")
			kept, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, damage(kept), 0o600); err != nil {
				t.Fatal(err)
			}
			if name != "a bit turned" {
				if got := read(t, v, m, 320, market.JPEG); !bytes.Equal(got, want) || v.Stats().Made != 2 {
					t.Errorf("%d bytes, %+v", len(got), v.Stats())
				}
				kept, _ = os.ReadFile(path)
				os.WriteFile(path, damage(kept), 0o600)
			}
			v = shown(t, dir, 0, m)
			for range 2 {
				if got := read(t, v, m, 320, market.JPEG); !bytes.Equal(got, want) || v.Stats().Made != 1 {
					t.Errorf("after a start %d bytes, %+v", len(got), v.Stats())
				}
			}
			if s := v.Stats(); s.Files != 1 || s.Bytes != int64(len(want)+sumSize) {
				t.Errorf("%+v", s)
			}
		})
	}
}

// TestCacheIsDerived deletes it and crashes it.
func TestCacheIsDerived(t *testing.T) {
	m := mastered(t, painted(700, 350, false))
	dir := filepath.Join(t.TempDir(), "cache")
	v := shown(t, dir, 0, m)
	want := read(t, v, m, 320, market.JPEG)
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	if got := read(t, v, m, 320, market.JPEG); !bytes.Equal(got, want) {
		t.Error("it is another one after the folder was deleted")
	}
	if err := os.WriteFile(filepath.Join(dir, tmpStart+"half"), want, 0o600); err != nil {
		t.Fatal(err)
	}
	v = shown(t, dir, 0) // after a crash, without masters
	if got := read(t, v, m, 320, market.JPEG); !bytes.Equal(got, want) {
		t.Error("it is another one after a start")
	}
	if left, _ := filepath.Glob(filepath.Join(dir, tmpStart+"*")); left != nil {
		t.Errorf("left over: %v", left)
	}
}

func TestCacheForgetsWhatWasAskedForLongestAgo(t *testing.T) {
	dir := t.TempDir()
	d, err := openDisk(dir, 30)
	if err != nil {
		t.Fatal(err)
	}
	put := func(name string) {
		t.Helper()
		if err := d.put(name, make([]byte, 10-sumSize)); err != nil {
			t.Fatal(err)
		}
	}
	put("a")
	put("b")
	put("c")
	f, err := d.open("a")
	if err != nil {
		t.Fatal(err)
	}
	f.Close()
	put("d")
	entries, _ := os.ReadDir(dir)
	if got := fmt.Sprint(entries); !strings.Contains(got, "a") || strings.Contains(got, " b") || len(entries) != 3 || d.bytes != 30 {
		t.Errorf("kept %s, %d bytes", got, d.bytes)
	}
	if d, err = openDisk(dir, 20); err != nil || d.bytes != 20 {
		t.Errorf("opened with less room it has %d bytes, %v", d.bytes, err)
	}
}

func TestWebPThatIsNotThePictureIsNotShown(t *testing.T) {
	m, other := painted(64, 64, false), painted(64, 64, false)
	if err := alike(m, other); err != nil {
		t.Error(err)
	}
	for y := 16; y < 32; y++ {
		for x := range 16 {
			other.Pix[other.PixOffset(x, y)+1] ^= 0x80 // a block in another color
		}
	}
	if err := alike(m, other); !errors.Is(err, errUnlike) {
		t.Errorf("a block in another color: %v", err)
	}
}
