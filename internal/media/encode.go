package media

import (
	"bytes"
	"errors"
	"fmt"
	"image"
	"image/png"

	"github.com/deepteams/webp"
	"github.com/souk-market/souk/internal/market"
	xwebp "golang.org/x/image/webp"
)

// effort is of the WebP encoder, 0 to 6. 4 and more take 10 times as long for pictures with
// transparency.
const effort = 3

// encode writes a variant. A WebP that can't be made is a PNG: browsers go by the bytes.
func encode(to *bytes.Buffer, m *image.NRGBA, format market.ImageFormat) error {
	if format == market.JPEG {
		return encodeJPEG(to, onWhite(m), shownQuality)
	}
	if err := encodeWebP(to, m); err == nil {
		return nil
	}
	to.Reset()
	if err := png.Encode(to, m); err != nil {
		return fmt.Errorf("media: encoding a PNG: %w", err)
	}
	return nil
}

// encodeWebP writes a WebP after another decoder has read it and seen the same picture.
func encodeWebP(to *bytes.Buffer, m *image.NRGBA) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("media: the WebP encoder panicked: %v", p)
		}
	}()
	o := webp.DefaultOptions()
	o.Quality, o.Method = shownQuality, effort
	if err := webp.Encode(to, m, o); err != nil {
		return fmt.Errorf("media: encoding a WebP: %w", err)
	}
	made, err := xwebp.Decode(bytes.NewReader(to.Bytes()))
	if err != nil {
		return fmt.Errorf("media: reading a WebP that was made: %w", err)
	}
	return alike(m, made)
}

var errUnlike = errors.New("media: a WebP isn't the picture that it was made of")

// maxUnlike is how far the mean of a block of 16 × 16 may be off, in 255ths: a lossy
// encoding keeps it within a few.
const maxUnlike = 24

// block is the side of the squares whose means are compared, in pixels.
const block = 16

// alike compares the means of blocks, premultiplied.
func alike(m *image.NRGBA, made image.Image) error {
	if made.Bounds().Dx() != m.Rect.Dx() || made.Bounds().Dy() != m.Rect.Dy() {
		return errUnlike
	}
	sums := make([]int, 4*((m.Rect.Dx()+block-1)/block))
	row := make([]byte, 4*m.Rect.Dx())
	for y := range m.Rect.Dy() {
		readRow(row, made, y)
		addDifference(sums, m.Pix[y*m.Stride:], row)
		if (y+1)%block != 0 && y+1 < m.Rect.Dy() {
			continue
		}
		for _, sum := range sums {
			if max(sum, -sum) > maxUnlike*255*block*block {
				return errUnlike
			}
		}
		clear(sums)
	}
	return nil
}

// addDifference adds to the sums of blocks by how much two rows differ.
func addDifference(sums []int, a, b []byte) {
	for x := 0; x < len(b); x += 4 {
		s := sums[x/4/block*4:][:4]
		for c := range 3 {
			s[c] += int(a[x+c])*int(a[x+3]) - int(b[x+c])*int(b[x+3])
		}
		s[3] += 255 * (int(a[x+3]) - int(b[x+3]))
	}
}
