package media

import (
	"bytes"
	"encoding/binary"
	"image"
	"image/jpeg"
	"io"
	"sync"
)

// masterQuality is of JPEG masters, shownQuality of what is shown: 1 to 100, as
// image/jpeg counts.
const (
	masterQuality = 90
	shownQuality  = 80
)

var exifMark = []byte("Exif\x00\x00")

// jpegHeader reads the segments before the picture's data (ITU T.81, B.2).
func jpegHeader(content []byte) (h header, err error) {
	h = header{lossy: true, orientation: 1}
	h.decode = func(content []byte) (image.Image, error) { return jpeg.Decode(bytes.NewReader(content)) }
	for at := 2; at+4 <= len(content); {
		if content[at] != 0xff {
			return h, broken("JPEG", nil)
		}
		kind, size := content[at+1], int(binary.BigEndian.Uint16(content[at+2:]))
		if kind == 0xff {
			at++ // a fill byte
			continue
		}
		if kind < 0xc0 || kind >= 0xd0 && kind <= 0xd8 {
			return h, broken("JPEG", nil) // markers without a length, which the decoder passes over
		}
		if size < 2 || at+2+size > len(content) {
			return h, broken("JPEG", nil)
		}
		body := content[at+4 : at+2+size]
		switch {
		case kind == 0xe1 && h.orientation == 1 && bytes.HasPrefix(body, exifMark):
			h.orientation = tiffOrientation(body[len(exifMark):])
		case kind >= 0xc0 && kind <= 0xc2:
			h, err = h.frame(body, kind == 0xc2)
			if err == nil && maybeRGB(content, body) {
				h.perPixel += 4
			}
			return h, err
		case kind == 0xda, kind == 0xd9:
			return h, broken("JPEG", nil) // data before it is said what of
		}
		at += 2 + size
	}
	return h, broken("JPEG", io.ErrUnexpectedEOF)
}

// frame reads a frame header (ITU T.81, B.2.2). A progressive picture's coefficients are
// kept until its end, four bytes for each sample.
func (h header) frame(body []byte, progressive bool) (header, error) {
	if len(body) < 6 || len(body) < 6+3*int(body[5]) {
		return h, broken("JPEG", io.ErrUnexpectedEOF)
	}
	h.height, h.width = int(binary.BigEndian.Uint16(body[1:])), int(binary.BigEndian.Uint16(body[3:]))
	h.perPixel = samples(body)
	if progressive {
		h.perPixel *= 1 + 4
	}
	if body[5] == 4 {
		h.perPixel += 4 // it is made CMYK of four planes
	}
	return h, nil
}

// samples is how many samples a pixel has: 3 in color, 1.5 with the usual subsampling.
func samples(body []byte) float64 {
	var most, sum float64
	n := int(body[5])
	for i := range n {
		factor := float64(body[7+3*i]>>4) * float64(body[7+3*i]&15)
		most, sum = max(most, factor), sum+factor
	}
	if most == 0 {
		return float64(n)
	}
	return sum / most
}

// maybeRGB reports whether a picture of three components may be made RGB of them: by their
// names, or by what Adobe's segment says, wherever the decoder may find one.
func maybeRGB(content, frame []byte) bool {
	if frame[5] != 3 {
		return false
	}
	if frame[6] == 'R' && frame[9] == 'G' && frame[12] == 'B' {
		return true
	}
	const transform = 6 // after the name, version and flags
	for rest, found := content, true; ; {
		if _, rest, found = bytes.Cut(rest, []byte("Adobe")); !found {
			return false
		}
		if len(rest) > transform && rest[transform] == 0 {
			return true
		}
	}
}

// tiffOrientation reads the tag 0x0112 of a TIFF's first directory; 1 where it has none.
func tiffOrientation(tiff []byte) int {
	if len(tiff) < 8 {
		return 1
	}
	var order binary.ByteOrder = binary.BigEndian
	if string(tiff[:2]) == "II" {
		order = binary.LittleEndian
	}
	at := int64(order.Uint32(tiff[4:]))
	if at+2 > int64(len(tiff)) {
		return 1
	}
	entries := tiff[at+2:]
	for range order.Uint16(tiff[at:]) {
		if len(entries) < 12 {
			break
		}
		if order.Uint16(entries) == 0x0112 {
			if o := int(order.Uint16(entries[8:])); o >= 1 && o <= 8 {
				return o
			}
		}
		entries = entries[12:]
	}
	return 1
}

// jpegStart is a JPEG master up to its data; the dimensions in it are those of one pixel.
var jpegStart = sync.OnceValue(func() []byte {
	var b bytes.Buffer
	jpeg.Encode(&b, image.NewNRGBA(image.Rect(0, 0, 1, 1)), &jpeg.Options{Quality: masterQuality}) // a Buffer takes all
	scan := bytes.Index(b.Bytes(), []byte{0xff, 0xda})
	return b.Bytes()[:scan]
})

// isJPEGMaster reports whether content is a master as encodeMaster makes it: the same
// tables, nothing beside them, and data up to its end. Such a one is kept as it is, for
// each encoding loses something, and a catalogue exported and imported keeps its pictures.
func isJPEGMaster(content []byte, h header) bool {
	start := bytes.Clone(jpegStart())
	frame := bytes.Index(start, []byte{0xff, 0xc0})
	binary.BigEndian.PutUint16(start[frame+5:], uint16(h.height))
	binary.BigEndian.PutUint16(start[frame+7:], uint16(h.width))
	data, ok := bytes.CutPrefix(content, start)
	if !ok || h.width > maxWidth || h.height > maxHeight {
		return false
	}
	data, ok = bytes.CutSuffix(data, []byte{0xff, 0xd9})
	if !ok || len(data) < 2 {
		return false
	}
	for i := bytes.IndexByte(data[2:], 0xff) + 2; i >= 2; {
		if i+1 == len(data) || data[i+1] != 0 {
			return false // another marker
		}
		next := bytes.IndexByte(data[i+1:], 0xff)
		if next < 0 {
			break
		}
		i += 1 + next
	}
	return true
}
