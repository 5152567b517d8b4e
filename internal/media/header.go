package media

import (
	"bytes"
	"encoding/binary"
	"image"
	"image/color"
	"image/gif"
	"image/png"

	"golang.org/x/image/webp"
)

// header is what the beginning of a file says of its picture.
type header struct {
	decode        func(content []byte) (image.Image, error)
	width, height int
	perPixel      float64 // bytes that its decoder takes
	lossy         bool
	orientation   int // EXIF 2.32, 4.6.4: 1 to 8
}

// readHeader reads the header of a file and refuses what isn't taken.
func readHeader(content []byte, declared string) (h header, err error) {
	switch {
	case bytes.HasPrefix(content, []byte("\x89PNG\r\n\x1a\n")):
		h, err = pngHeader(content)
	case bytes.HasPrefix(content, []byte("\xff\xd8\xff")):
		h, err = jpegHeader(content)
	case bytes.HasPrefix(content, []byte("GIF87a")), bytes.HasPrefix(content, []byte("GIF89a")):
		h, err = gifHeader(content)
	case len(content) >= 12 && string(content[:4]) == "RIFF" && string(content[8:12]) == "WEBP":
		h, err = webpHeader(content)
	case isSVG(content, declared):
		return h, refused("SVG pictures aren't taken, because they can contain scripts; send it as PNG, JPEG or WebP instead.")
	case len(content) == 0:
		return h, refused("This file is empty. Choose a PNG, JPEG, WebP or GIF picture.")
	default:
		return h, refused("This is no picture in a format that is taken. Send PNG, JPEG, WebP or GIF.")
	}
	if err != nil {
		return h, err
	}
	return h, h.check()
}

// check refuses pictures by their dimensions.
func (h header) check() error {
	pixels := float64(h.width) * float64(h.height)
	switch {
	case h.width < 1 || h.height < 1:
		return refused("This picture has no pixels. Save it again and send that.")
	case h.width > maxSide || h.height > maxSide:
		return refused("This picture has %d × %d pixels. A side may have %d; make it smaller.", h.width, h.height, maxSide)
	case pixels > MaxPixels:
		return refused("This picture has %.0f million pixels. It may have %d million; make it smaller.", pixels/1e6, MaxPixels/1_000_000)
	case h.decoded() > maxDecoded:
		return refused("This picture takes %.0f MiB when it is opened, and may take %d. Make it smaller, or save it with 8 bits a channel and without \"progressive\".",
			h.decoded()/(1<<20), maxDecoded>>20)
	}
	return nil
}

// decoded is how many bytes the picture takes when it is opened.
func (h header) decoded() float64 { return float64(h.width) * float64(h.height) * h.perPixel }

func isSVG(content []byte, declared string) bool {
	start := content[:min(len(content), 4096)]
	return declared == "image/svg+xml" || bytes.Contains(bytes.ToLower(start), []byte("<svg"))
}

func broken(format string, err error) error {
	return refused("This %s picture is damaged and can't be opened. Save it again and send that.", format).Because(err)
}

func pngHeader(content []byte) (header, error) {
	c, err := png.DecodeConfig(bytes.NewReader(content))
	if err != nil {
		return header{}, broken("PNG", err)
	}
	h := header{width: c.Width, height: c.Height, perPixel: bytesOf(c.ColorModel), orientation: 1}
	h.decode = func(content []byte) (image.Image, error) { return png.Decode(bytes.NewReader(content)) }
	if bytes.Contains(content, []byte("tRNS")) && (c.ColorModel == color.GrayModel || c.ColorModel == color.Gray16Model) {
		h.perPixel *= 4 // gray with a transparent shade is decoded with four channels
	}
	const interlace = 8 + 8 + 12 // signature, length and type, and IHDR up to it
	if len(content) > interlace && content[interlace] != 0 {
		h.perPixel *= 1.5 // the last pass is half of the picture, and kept beside it
	}
	return h, nil
}

// bytesOf is what a pixel takes in memory.
func bytesOf(m color.Model) float64 {
	switch m {
	case color.GrayModel:
		return 1
	case color.Gray16Model:
		return 2
	case color.RGBA64Model, color.NRGBA64Model:
		return 8
	case color.YCbCrModel:
		return 3
	}
	if _, ok := m.(color.Palette); ok {
		return 1
	}
	return 4
}

func gifHeader(content []byte) (header, error) {
	c, err := gif.DecodeConfig(bytes.NewReader(content))
	if err != nil {
		return header{}, broken("GIF", err)
	}
	return header{
		width: c.Width, height: c.Height, perPixel: 2, orientation: 1, // an interlaced one is sorted into a copy
		decode: func(content []byte) (image.Image, error) { return gif.Decode(bytes.NewReader(content)) },
	}, nil
}

// webpHeader reads the chunks, since a file may say other dimensions of its canvas than of
// the picture on it.
func webpHeader(content []byte) (h header, err error) {
	c, err := webp.DecodeConfig(bytes.NewReader(content))
	if err != nil {
		return h, broken("WebP", err)
	}
	h = header{width: c.Width, height: c.Height, perPixel: 3, lossy: true, orientation: 1}
	h.decode = func(content []byte) (image.Image, error) { return webp.Decode(bytes.NewReader(content)) }
	err = webpChunks(content[12:], func(name string, body []byte) error {
		w, ht := c.Width, c.Height
		switch {
		case name == "VP8 " && len(body) >= 10: // RFC 6386, 9.1
			w, ht = int(binary.LittleEndian.Uint16(body[6:])&0x3fff), int(binary.LittleEndian.Uint16(body[8:])&0x3fff)
		case name == "VP8L" && len(body) >= 5: // RFC 9649, 3.4
			bits := binary.LittleEndian.Uint32(body[1:])
			w, ht, h.perPixel, h.lossy = int(bits&0x3fff)+1, int(bits>>14&0x3fff)+1, 8, false
		case name == "ANIM" || name == "ANMF":
			return refused("Animated WebP pictures aren't taken. Send one of its frames.")
		case name == "ALPH":
			h.perPixel = 8 // packed like a picture without loss, and kept beside the colors
		case name == "EXIF":
			h.orientation = tiffOrientation(bytes.TrimPrefix(body, exifMark))
		}
		if w != c.Width || ht != c.Height {
			return broken("WebP", nil)
		}
		return nil
	})
	return h, err
}

// webpChunks calls do for each chunk of a RIFF file, as far as it is whole.
func webpChunks(rest []byte, do func(name string, body []byte) error) error {
	for len(rest) >= 8 {
		size := min(int64(binary.LittleEndian.Uint32(rest[4:])), int64(len(rest)-8))
		if err := do(string(rest[:4]), rest[8:8+size]); err != nil {
			return err
		}
		rest = rest[min(8+size+size%2, int64(len(rest))):]
	}
	return nil
}
