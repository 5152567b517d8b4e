package media

import (
	"bytes"
	"compress/zlib"
	"context"
	"encoding/binary"
	"hash/crc32"
	"image"
	"image/color"
	"image/gif"
	"image/jpeg"
	"image/png"
	"io"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/deepteams/webp"
	"github.com/souk-market/souk/internal/market"
)

// painted is a picture with smooth and sharp parts; alpha makes its right half fade.
func painted(w, h int, alpha bool) *image.NRGBA {
	m := image.NewNRGBA(image.Rect(0, 0, w, h))
	for y := range h {
		for x := range w {
			a := uint8(255)
			if alpha && x > w/2 {
				a = uint8(255 - 255*x/w)
			}
			wave := math.Sin(float64(x)/19)*math.Cos(float64(y)/23)*60 + 128
			m.SetNRGBA(x, y, color.NRGBA{uint8(wave), uint8(255 * x / w), uint8(255 * y / h), a})
		}
	}
	return m
}

func encoded(t testing.TB, encode func(io.Writer) error) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := encode(&b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func asPNG(t testing.TB, m image.Image) []byte {
	return encoded(t, func(w io.Writer) error { return png.Encode(w, m) })
}

func asJPEG(t testing.TB, m image.Image) []byte {
	return encoded(t, func(w io.Writer) error { return jpeg.Encode(w, m, nil) })
}

func asWebP(t testing.TB, m image.Image, lossless bool) []byte {
	o := webp.DefaultOptions()
	o.Lossless = lossless
	return encoded(t, func(w io.Writer) error { return webp.Encode(w, m, o) })
}

func ingest(content []byte) (Master, error) {
	return Ingest(context.Background(), bytes.NewReader(content), "")
}

func TestIngestTakes(t *testing.T) {
	opaque, faded := painted(90, 60, false), painted(90, 60, true)
	gray, deep := image.NewGray(opaque.Rect), image.NewNRGBA64(opaque.Rect)
	for y := range 60 {
		for x := range 90 {
			gray.Set(x, y, opaque.At(x, y))
			deep.Set(x, y, faded.At(x, y))
		}
	}
	animation := encoded(t, func(w io.Writer) error {
		frames := &gif.GIF{}
		for range 2 {
			p := image.NewPaletted(opaque.Rect, []color.Color{color.Black, color.White})
			frames.Image, frames.Delay = append(frames.Image, p), append(frames.Delay, 1)
		}
		return gif.EncodeAll(w, frames)
	})
	for _, c := range []struct {
		name    string
		content []byte
		want    string
	}{
		{"PNG", asPNG(t, gray), "image/png"},
		{"PNG with transparency", asPNG(t, faded), "image/png"},
		{"PNG with 16 bits a channel", asPNG(t, deep), "image/png"},
		{"JPEG", asJPEG(t, opaque), "image/jpeg"},
		{"gray JPEG", asJPEG(t, gray), "image/jpeg"},
		{"GIF with two frames", animation, "image/png"},
		{"WebP", asWebP(t, opaque, false), "image/jpeg"},
		{"WebP with transparency", asWebP(t, faded, false), "image/png"},
		{"WebP without loss", asWebP(t, faded, true), "image/png"},
	} {
		t.Run(c.name, func(t *testing.T) {
			m, err := ingest(c.content)
			if err != nil {
				t.Fatal(err)
			}
			if m.Type != c.want || m.Width != 90 || m.Height != 60 || m.Size != int64(len(m.Content)) {
				t.Errorf("got %+v, want %s of 90 × 60", m.Image, c.want)
			}
			again, err := ingest(m.Content)
			if err != nil || again.SHA256 != m.SHA256 {
				t.Errorf("the master comes in again as %+v, %v; it is %+v", again.Image, err, m.Image)
			}
		})
	}
}

// pngOf is a PNG that says it has w × h pixels and has none of them.
func pngOf(w, h uint32, depth, kind byte) []byte {
	var b bytes.Buffer
	b.WriteString("\x89PNG\r\n\x1a\n")
	chunk := func(name string, body []byte) {
		binary.Write(&b, binary.BigEndian, uint32(len(body)))
		named := append([]byte(name), body...)
		b.Write(named)
		binary.Write(&b, binary.BigEndian, crc32.ChecksumIEEE(named))
	}
	ihdr := binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(nil, w), h)
	chunk("IHDR", append(ihdr, depth, kind, 0, 0, 0))
	var z bytes.Buffer
	zw := zlib.NewWriter(&z)
	zw.Write(make([]byte, 100_000))
	zw.Close()
	chunk("IDAT", z.Bytes())
	chunk("IEND", nil)
	return b.Bytes()
}

func TestIngestRefuses(t *testing.T) {
	progressive := []byte("\xff\xd8\xff\xc2\x00\x11\x08\x1b\x58\x1b\x58\x03\x01\x11\x00\x02\x11\x00\x03\x11\x00")
	whole := asPNG(t, painted(50, 50, false))
	for _, c := range []struct {
		name    string
		content []byte
		want    string
	}{
		{"nothing", nil, "empty"},
		{"a script in disguise", []byte(`<?xml version="1.0"?><svg onload="alert(1)"/>`), "SVG pictures aren't taken"},
		{"a page", []byte("<html>"), "no picture in a format"},
		{"50,000 × 50,000", pngOf(50_000, 50_000, 8, 2), "A side may have 20000"},
		{"more pixels than are taken", pngOf(8000, 6400, 8, 2), "million pixels"},
		{"16 bits a channel of many pixels", pngOf(7000, 7000, 16, 6), "takes 374 MiB"},
		{"a progressive JPEG of many pixels", progressive, "progressive"},
		{"one side of nothing", pngOf(0, 7, 8, 2), "damaged"},
		{"a PNG cut short", whole[:len(whole)/2], "damaged"},
		{"too many bytes", append(bytes.Clone(whole), make([]byte, MaxUpload)...), "larger than 10 MiB"},
		{"a WebP whose canvas is smaller than its picture", largerThanItsCanvas(t), "damaged"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := ingest(c.content)
			if !market.Is(err, market.Invalid) || !strings.Contains(market.Message(err), c.want) {
				t.Errorf("got %v, want a refusal with %q", err, c.want)
			}
		})
	}
}

// TestHeadersCountWhatDecodersTake has pictures whose decoders take more than their first
// bytes suggest.
func TestHeadersCountWhatDecodersTake(t *testing.T) {
	frame := func(sampling, names string) []byte {
		content := []byte("\xff\xd8\xff\xc0\x00\x11\x08\x00\x64\x00\x64\x03")
		for i := range 3 {
			content = append(content, names[i], sampling[i], 0)
		}
		return content
	}
	transparent := pngOf(100, 100, 8, 0)
	transparent = append(transparent[:33:33], append([]byte("\x00\x00\x00\x02tRNS\x00\x07\x00\x00\x00\x00"), transparent[33:]...)...)
	adobe := "Adobe\x00\x64\x00\x00\x00\x00\x00"
	for _, c := range []struct {
		name    string
		content []byte
		want    float64 // bytes a pixel
	}{
		{"gray PNG", pngOf(100, 100, 8, 0), 1},
		{"gray PNG with a transparent shade", transparent, 4},
		{"WebP", asWebP(t, painted(64, 64, false), false), 3},
		{"WebP with transparency", asWebP(t, painted(64, 64, true), false), 8},
		{"GIF", asGIF(t), 2},
		{"JPEG", frame("\x11\x11\x11", "\x01\x02\x03"), 3},
		{"JPEG with the usual subsampling", frame("\x22\x11\x11", "\x01\x02\x03"), 1.5},
		{"JPEG of red, green and blue", frame("\x11\x11\x11", "RGB"), 7},
		{"JPEG of what Adobe doesn't say", append(frame("\x11\x11\x11", "\x01\x02\x03"), "Adobe Photoshop, "+adobe...), 7},
	} {
		t.Run(c.name, func(t *testing.T) {
			h, err := readHeader(c.content, "")
			if err != nil || h.perPixel != c.want {
				t.Errorf("%v bytes a pixel, %v; want %v", h.perPixel, err, c.want)
			}
		})
	}
}

func asGIF(t testing.TB) []byte {
	return encoded(t, func(w io.Writer) error { return gif.Encode(w, painted(9, 7, false), nil) })
}

// TestIngestSeesTheFrameThatIsDecoded hides a large frame in what is no segment to the
// decoder, behind markers that have no length, and shows a small one after it.
func TestIngestSeesTheFrameThatIsDecoded(t *testing.T) {
	large := "\xff\xc0\x00\x11\x08\xff\xff\xff\xff\x03\x01\x11\x00\x02\x11\x00\x03\x11\x00"
	small := "\xff\xc0\x00\x11\x08\x00\x08\x00\x08\x03\x01\x11\x00\x02\x11\x00\x03\x11\x00"
	for _, marker := range []string{"\x00", "\x01", "\xd0", "\xd7", "\xd8"} {
		content := append([]byte("\xff\xd8\xff"+marker+large), make([]byte, 0xffc0-len(large))...)
		content = append(content, small...)
		if h, err := readHeader(content, ""); err == nil {
			t.Errorf("after %x: taken for %d × %d", marker, h.width, h.height)
		}
	}
}

func largerThanItsCanvas(t *testing.T) []byte {
	content := asWebP(t, painted(64, 64, true), false)
	at := bytes.Index(content, []byte("VP8X"))
	if at < 0 {
		t.Fatal("the encoder makes no canvas")
	}
	content[at+12], content[at+15] = 9, 9 // width and height less one
	return content
}

// photo is a JPEG as a phone makes it: with where it was taken, and lying on its side.
func photo(t testing.TB, orientation byte) []byte {
	m := image.NewNRGBA(image.Rect(0, 0, 64, 32))
	for i := range m.Pix {
		m.Pix[i] = 255
	}
	for y := range 16 { // red at the top left
		for x := range 32 {
			m.SetNRGBA(x, y, color.NRGBA{255, 0, 0, 255})
		}
	}
	plain := asJPEG(t, m)
	tiff := "MM\x00*\x00\x00\x00\x08\x00\x02" + "\x01\x12\x00\x03\x00\x00\x00\x01\x00" + string(orientation) + "\x00\x00" +
		"\x88\x25\x00\x04\x00\x00\x00\x01\x00\x00\x00\x26\x00\x00\x00\x00GPS 52.5200 N 13.4050 E"
	body := "Exif\x00\x00" + tiff
	exif := append([]byte{0xff, 0xe1, 0, byte(len(body) + 2)}, body...)
	return append(append(bytes.Clone(plain[:2]), exif...), plain[2:]...)
}

func TestIngestLeavesThePlaceOfAPhotoOut(t *testing.T) {
	for _, content := range [][]byte{photo(t, 1), append(photo(t, 1), "GPS after the end"...)} {
		m, err := ingest(content)
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(m.Content, []byte("GPS")) || bytes.Contains(m.Content, []byte("Exif")) {
			t.Error("the master tells where the photo was taken")
		}
	}
}

func TestIngestTurnsPhotosUpright(t *testing.T) {
	for orientation, want := range map[byte]image.Point{ // where red goes
		1: {8, 8}, 2: {56, 8}, 3: {56, 24}, 4: {8, 24}, 5: {8, 8}, 6: {24, 8}, 7: {24, 56}, 8: {8, 56},
	} {
		m, err := ingest(photo(t, orientation))
		if err != nil {
			t.Fatal(err)
		}
		if sideways := orientation >= 5; sideways != (m.Height == 64) || sideways != (m.Width == 32) {
			t.Errorf("orientation %d: %d × %d", orientation, m.Width, m.Height)
			continue
		}
		shown, err := jpeg.Decode(bytes.NewReader(m.Content))
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range []image.Point{{8, 8}, {m.Width - 8, 8}, {8, m.Height - 8}, {m.Width - 8, m.Height - 8}} {
			_, g, _, _ := shown.At(p.X, p.Y).RGBA()
			if red := g < 1<<15; red != (p == want) {
				t.Errorf("orientation %d: red at %v is %t", orientation, p, red)
			}
		}
	}
}

func TestIngestShrinks(t *testing.T) {
	for _, c := range []struct{ w, h, wantW, wantH int }{
		{3000, 30, 2400, 24}, {30, 6000, 24, 4800}, {2400, 20, 2400, 20},
	} {
		m, err := ingest(asPNG(t, painted(c.w, c.h, true)))
		if err != nil || m.Width != c.wantW || m.Height != c.wantH {
			t.Errorf("%d × %d becomes %d × %d, %v", c.w, c.h, m.Width, m.Height, err)
		}
	}
}

// TestMastersComeInAgain has a picture that can't be packed into the bytes of an upload, in
// its own dimensions: an export's pictures are imported as all others are.
func TestMastersComeInAgain(t *testing.T) {
	noise := image.NewNRGBA(image.Rect(0, 0, 2400, 1200))
	rng := rand.New(rand.NewPCG(1, 1))
	for i := 0; i < len(noise.Pix); i += 8 {
		binary.LittleEndian.PutUint64(noise.Pix[i:], rng.Uint64())
	}
	m, err := encodeMaster(noise, false)
	if err != nil || m.Width != 1800 || m.Height != 900 || len(m.Content) > MaxUpload {
		t.Fatalf("%d bytes of %d × %d, %v", len(m.Content), m.Width, m.Height, err)
	}
	if again, err := ingest(m.Content); err != nil || again.SHA256 != m.SHA256 {
		t.Errorf("it comes in again as %+v, %v", again.Image, err)
	}
}

// TestShrinkKeepsTheMean holds shrinking to its definition: light is neither lost nor
// moved, and what is transparent has no color.
func TestShrinkKeepsTheMean(t *testing.T) {
	m := painted(301, 97, false)
	for _, c := range []struct{ w, h int }{{301, 97}, {300, 96}, {151, 49}, {100, 97}, {301, 32}, {7, 3}, {1, 1}} {
		small := shrink(m, c.w, c.h)
		want, got := mean(m), mean(small)
		for i := range want {
			if math.Abs(want[i]-got[i]) > 1 {
				t.Errorf("to %d × %d: the mean is %.1f, was %.1f", c.w, c.h, got, want)
				break
			}
		}
	}
	half := image.NewNRGBA(image.Rect(0, 0, 2, 1))
	copy(half.Pix, []byte{200, 100, 50, 255, 0, 255, 0, 0})
	if got := shrink(half, 1, 1).NRGBAAt(0, 0); got != (color.NRGBA{200, 100, 50, 128}) {
		t.Errorf("a pixel beside a transparent one becomes %v", got)
	}
}

func mean(m *image.NRGBA) (sums [4]float64) {
	for i, v := range m.Pix {
		sums[i%4] += float64(v) / float64(len(m.Pix)/4)
	}
	return sums
}

func FuzzIngest(f *testing.F) {
	for _, content := range [][]byte{
		photo(f, 6), asPNG(f, painted(9, 7, true)), asJPEG(f, painted(9, 7, false)), asWebP(f, painted(9, 7, true), false),
		asWebP(f, painted(9, 7, true), true), []byte("GIF89a"), pngOf(3, 3, 16, 6), []byte("<svg>"),
	} {
		f.Add(content)
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		m, err := ingest(content)
		if err != nil {
			if !market.Is(err, market.Invalid) {
				t.Fatalf("refused as %v", err)
			}
			return
		}
		if m.Width < 1 || m.Width > maxWidth || m.Height < 1 || m.Height > maxHeight {
			t.Fatalf("%d × %d", m.Width, m.Height)
		}
		if again, err := ingest(m.Content); err != nil || again.SHA256 != m.SHA256 {
			t.Fatalf("the master comes in again as %+v, %v", again.Image, err)
		}
	})
}
