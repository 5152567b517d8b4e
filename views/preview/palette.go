package preview

import (
	"cmp"
	"image"
	"image/color"
	"slices"
)

// colors is how many colours a picture keeps: those of the pattern and of the text, and the
// steps between them at edges.
const colors = 256

// bins is how many classes of colours there are at five bits a channel.
const bins = 1 << 15

func bin(r, g, b uint8) int { return int(r>>3)<<10 | int(g>>3)<<5 | int(b>>3) }

// reduced is the picture in its most frequent colours, and the others as the nearest of
// them. A picture of one byte a pixel is written three times as fast and is a third as large.
func reduced(img *image.RGBA) *image.Paletted {
	var counts [bins]int
	var sample [bins]color.RGBA
	for i := 0; i < len(img.Pix); i += 4 {
		r, g, b := img.Pix[i], img.Pix[i+1], img.Pix[i+2]
		n := bin(r, g, b)
		if counts[n]++; counts[n]&(counts[n]-1) == 0 { // of flat areas, the colour that is there most often
			sample[n] = color.RGBA{r, g, b, 255}
		}
	}
	var used []int
	for n, count := range counts {
		if count > 0 {
			used = append(used, n)
		}
	}
	slices.SortFunc(used, func(a, b int) int { return cmp.Or(counts[b]-counts[a], a-b) })
	palette := make(color.Palette, 0, colors)
	var index [bins]uint8
	for i, n := range used {
		if i < colors {
			index[n] = uint8(i)
			palette = append(palette, sample[n])
		} else {
			index[n] = uint8(palette.Index(sample[n]))
		}
	}
	out := image.NewPaletted(img.Rect, palette)
	for i := range out.Pix {
		p := img.Pix[4*i : 4*i+3 : 4*i+3]
		out.Pix[i] = index[bin(p[0], p[1], p[2])]
	}
	return out
}
