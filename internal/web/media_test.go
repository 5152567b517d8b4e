package web_test

import (
	"bytes"
	"context"
	"image"
	"image/color"
	_ "image/jpeg"
	"image/png"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"

	"github.com/souk-market/souk/internal/blob"
	"github.com/souk-market/souk/internal/catalog"
	"github.com/souk-market/souk/internal/market"
	"github.com/souk-market/souk/internal/media"
	"github.com/souk-market/souk/store"
)

// media makes pictures of the masters in the blob store.
func (b *bazaar) media(log *slog.Logger) *media.Variants {
	b.t.Helper()
	v, err := media.Open(media.Options{Dir: b.t.TempDir(), Logger: log, Master: func(ctx context.Context, sha256 string) (io.ReadCloser, error) {
		sum, err := blob.ParseSum(sha256)
		if err != nil {
			return nil, err
		}
		return b.blobs.Open(ctx, sum)
	}})
	if err != nil {
		b.t.Fatal(err)
	}
	return v
}

// hang gives an agent a picture of 700 by 400 pixels.
func (b *bazaar) hang(id market.AgentID) market.Image {
	b.t.Helper()
	img := image.NewRGBA(image.Rect(0, 0, 700, 400))
	for x := range 700 {
		for y := range 400 {
			img.Set(x, y, color.RGBA{uint8(x / 3), uint8(y / 2), 90, 255})
		}
	}
	var upload bytes.Buffer
	if err := png.Encode(&upload, img); err != nil {
		b.t.Fatal(err)
	}
	m, err := media.Ingest(context.Background(), &upload, "image/png")
	if err != nil {
		b.t.Fatal(err)
	}
	if _, err := b.blobs.Put(context.Background(), bytes.NewReader(m.Content), m.Size); err != nil {
		b.t.Fatal(err)
	}
	m.Alt = "A cover"
	b.change(id, func(tx *store.Tx, a *market.Agent) error {
		a.Images = []market.Image{m.Image}
		return catalog.NamePictures(tx, a)
	})
	return m.Image
}

// with asks for a path with headers as name and value.
func (b *bazaar) with(method, path string, headers ...string) answer {
	b.t.Helper()
	r := b.request(method, path, nil)
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	return b.browser().do(r)
}

// TestPictures asks for a picture in all its widths and both formats, whole, in part, and
// as who has it already.
func TestPictures(t *testing.T) {
	b := open(t, false)
	img := b.hang(b.free.ID)
	for _, format := range []market.ImageFormat{market.WebP, market.JPEG} {
		for _, width := range img.Widths() {
			path := img.Path(width, format)
			whole := b.with("GET", path)
			got, kind, err := image.DecodeConfig(strings.NewReader(whole.body))
			if err != nil || whole.StatusCode != http.StatusOK || got.Width != width || "image/"+kind != format.Type() {
				t.Errorf("%s answers %d with %s %d wide: %v", path, whole.StatusCode, kind, got.Width, err)
				continue
			}
			mustDescribe(t, path, whole, format)
			if head := b.with("HEAD", path); head.StatusCode != http.StatusOK || head.body != "" || head.ContentLength != int64(len(whole.body)) {
				t.Errorf("HEAD %s: %d, %d bytes of %d", path, head.StatusCode, len(head.body), head.ContentLength)
			}
			if again := b.with("GET", path, "If-None-Match", whole.Header.Get("ETag")); again.StatusCode != http.StatusNotModified || again.body != "" {
				t.Errorf("%s again: %d", path, again.StatusCode)
			}
			if other := b.with("GET", path, "If-None-Match", `"other"`); other.body != whole.body {
				t.Errorf("%s to who has another: %d", path, other.StatusCode)
			}
			if part := b.with("GET", path, "Range", "bytes=10-19"); part.StatusCode != http.StatusPartialContent || part.body != whole.body[10:20] {
				t.Errorf("a part of %s: %d, %q", path, part.StatusCode, part.body)
			}
			if beyond := b.with("GET", path, "Range", "bytes=99999999-"); beyond.StatusCode != http.StatusRequestedRangeNotSatisfiable {
				t.Errorf("beyond %s: %d", path, beyond.StatusCode)
			}
		}
	}
}

func mustDescribe(t *testing.T, path string, a answer, format market.ImageFormat) {
	t.Helper()
	for name, want := range map[string]string{
		"Content-Type": format.Type(), "X-Content-Type-Options": "nosniff", "Cache-Control": "public, max-age=31536000, immutable", "Content-Encoding": "",
	} {
		if got := a.Header.Get(name); got != want {
			t.Errorf("%s: %s is %q, want %q", path, name, got, want)
		}
	}
	if tag := a.Header.Get("ETag"); !strings.HasPrefix(tag, `"`) {
		t.Errorf("%s has the tag %s", path, tag)
	}
}

// TestPicturesThatAreNot asks for what is no width, format or picture of the marketplace,
// and for the picture of an agent that has left the shelf.
func TestPicturesThatAreNot(t *testing.T) {
	b := open(t, false)
	img := b.hang(b.free.ID)
	sum := img.SHA256
	for _, file := range []string{
		sum + "-321.jpg", sum + "-0320.jpg", sum + "-0.jpg", sum + "--320.jpg", sum + "-960.jpg", sum + "-99999999999999999999.jpg",
		sum + "-320.png", sum + "-320.JPG", sum + "-320", sum + "-320.jpg.jpg", sum + ".jpg", sum, sum[1:] + "-320.jpg",
		strings.Repeat("0", 64) + "-320.jpg", strings.Repeat("x", 64) + "-320.webp", strings.ToUpper(sum) + "-320.jpg", "%2e%2e",
	} {
		if a := b.with("GET", "/media/"+file); a.StatusCode != http.StatusNotFound || a.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s answers %d, %s", file, a.StatusCode, a.Header.Get("Cache-Control"))
		}
	}
	path := img.Path(320, market.JPEG)
	if a := b.with("GET", path); a.StatusCode != http.StatusOK {
		t.Errorf("%s answers %d", path, a.StatusCode)
	}
	b.change(b.free.ID, func(_ *store.Tx, a *market.Agent) error { a.State = market.ListingRemoved; return nil })
	if a := b.with("GET", path); a.StatusCode != http.StatusNotFound {
		t.Errorf("of an agent that was removed %s answers %d", path, a.StatusCode)
	}
}
