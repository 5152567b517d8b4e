package media

import (
	"image"
	"image/color"
	"image/draw"
	"math"
)

// fit returns the dimensions of a picture of w × h that has at most those of a master.
func fit(w, h int) (int, int) {
	scale := min(1, maxWidth/float64(w), maxHeight/float64(h))
	return scaled(w, scale), scaled(h, scale)
}

func scaled(side int, by float64) int { return max(1, int(math.Round(float64(side)*by))) }

// flat returns the pixels of a picture, not premultiplied. It may be the picture itself.
func flat(m image.Image) *image.NRGBA {
	if n, ok := m.(*image.NRGBA); ok && n.Rect.Min == (image.Point{}) {
		return n
	}
	b := m.Bounds()
	to := image.NewNRGBA(image.Rect(0, 0, b.Dx(), b.Dy()))
	for y := range b.Dy() {
		readRow(to.Pix[y*to.Stride:][:to.Stride], m, y)
	}
	return to
}

// readRow reads the pixels of a row, not premultiplied.
func readRow(pix []byte, m image.Image, y int) {
	b := m.Bounds()
	at := image.Pt(b.Min.X, b.Min.Y+y)
	row := image.Rect(0, 0, b.Dx(), 1)
	switch m := m.(type) {
	case *image.NRGBA:
		copy(pix, m.Pix[m.PixOffset(at.X, at.Y):])
	case *image.YCbCr, *image.CMYK, *image.Gray: // opaque, so that premultiplied is the same; this is fast
		draw.Draw(&image.RGBA{Pix: pix, Stride: len(pix), Rect: row}, row, m, at, draw.Src)
	case *image.RGBA: // of PNG without transparency only
		copy(pix, m.Pix[m.PixOffset(at.X, at.Y):])
	default:
		draw.Draw(&image.NRGBA{Pix: pix, Stride: len(pix), Rect: row}, row, m, at, draw.Src)
	}
}

// shrink returns a picture in w × h pixels, at most its own. Each pixel is the mean of the
// area that it covers, weighted with how much of each pixel is in it and how opaque that is.
// It reads the picture row by row, so that it needs no memory but for the result.
func shrink(m image.Image, w, h int) *image.NRGBA {
	b := m.Bounds()
	if b.Dx() == w && b.Dy() == h {
		return flat(m)
	}
	to := image.NewNRGBA(image.Rect(0, 0, w, h))
	row := make([]byte, 4*b.Dx())
	columns := spans(b.Dx(), w)
	line, sums := make([]float32, 4*w), make([]float32, 4*w)
	perRow := float64(h) / float64(b.Dy())
	for y := range b.Dy() {
		readRow(row, m, y)
		clear(line)
		addRow(line, row, columns)
		top, bottom := float64(y)*perRow, float64(y+1)*perRow
		at := min(int(top), h-1)
		edge := float64(at + 1)
		if bottom < edge-1e-9 && y < b.Dy()-1 {
			addTo(sums, line, float32(bottom-top))
			continue
		}
		addTo(sums, line, float32(min(bottom, edge)-top))
		finish(to.Pix[at*to.Stride:], sums)
		addTo(sums, line, float32(max(0, bottom-edge)))
	}
	return to
}

// span is where a pixel of a row goes: share of it to the pixel at, the rest to the next.
type span struct {
	at          int
	share, rest float32
}

func spans(from, to int) []span {
	all := make([]span, from)
	per := float64(to) / float64(from)
	for x := range all {
		left, right := float64(x)*per, float64(x+1)*per
		at := min(int(left), to-1)
		rest := max(0, right-float64(at+1))
		if at == to-1 {
			rest = 0
		}
		all[x] = span{at: at, share: float32(right - left - rest), rest: float32(rest)}
	}
	return all
}

// addRow adds a row of pixels to the sums of premultiplied colours and of opacity.
func addRow(sums []float32, pix []byte, columns []span) {
	for x, c := range columns {
		p := pix[4*x : 4*x+4 : 4*x+4]
		alpha := float32(p[3])
		v := [4]float32{float32(p[0]) * alpha, float32(p[1]) * alpha, float32(p[2]) * alpha, alpha}
		s := sums[4*c.at:]
		for i := range v {
			s[i] += v[i] * c.share
		}
		if c.rest > 0 {
			for i := range v {
				s[4+i] += v[i] * c.rest
			}
		}
	}
}

func addTo(sums, line []float32, share float32) {
	for i, v := range line {
		sums[i] += v * share
	}
}

// finish writes the pixels that sums are of, and clears them.
func finish(pix []byte, sums []float32) {
	for i := 0; i < len(sums); i += 4 {
		if alpha := sums[i+3]; alpha > 0 {
			for c := range 3 {
				pix[i+c] = byte(min(255, sums[i+c]/alpha+0.5))
			}
			pix[i+3] = byte(min(255, alpha+0.5))
		}
	}
	clear(sums)
}

// upright turns and mirrors a picture as its EXIF orientation tells (EXIF 2.32, 4.6.4).
func upright(m *image.NRGBA, orientation int) *image.NRGBA {
	if orientation <= 1 || orientation > 8 {
		return m
	}
	w, h := m.Rect.Dx(), m.Rect.Dy()
	to := image.NewNRGBA(image.Rect(0, 0, w, h))
	if orientation >= 5 {
		to = image.NewNRGBA(image.Rect(0, 0, h, w))
	}
	for y := range h {
		for x := range w {
			tx, ty := turned(x, y, w, h, orientation)
			copy(to.Pix[ty*to.Stride+4*tx:][:4], m.Pix[y*m.Stride+4*x:])
		}
	}
	return to
}

// turned is where a pixel goes.
func turned(x, y, w, h, orientation int) (int, int) {
	switch orientation {
	case 2:
		return w - 1 - x, y
	case 3:
		return w - 1 - x, h - 1 - y
	case 4:
		return x, h - 1 - y
	case 5:
		return y, x
	case 6:
		return h - 1 - y, x
	case 7:
		return h - 1 - y, w - 1 - x
	case 8:
		return y, w - 1 - x
	}
	return x, y
}

// onWhite is an opaque picture of m, for formats that know no transparency.
func onWhite(m *image.NRGBA) *image.NRGBA {
	if m.Opaque() {
		return m
	}
	to := image.NewNRGBA(m.Rect)
	draw.Draw(to, to.Rect, image.NewUniform(color.White), image.Point{}, draw.Src)
	draw.Draw(to, to.Rect, m, image.Point{}, draw.Over)
	return to
}
