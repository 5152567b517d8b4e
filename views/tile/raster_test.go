package tile

import (
	"fmt"
	"image"
	"math"
	"slices"
	"testing"
)

func TestOutlinesReadWhatPathWrites(t *testing.T) {
	var p path
	square := []point{{-10, -10}, {10, -10}, {10, 10}, {-10, 10}}
	for range 2 {
		p.move(square[0])
		for _, c := range square[1:] {
			p.line(c)
		}
		p.close()
	}
	got := outlines(p.String())
	if len(got) != 2 || !slices.Equal(got[0], square) || !slices.Equal(got[1], square) {
		t.Errorf("got %v, want twice %v", got, square)
	}
}

// TestPaintFills: the pattern covers what it is to cover, in its own colours, and nothing else.
func TestPaintFills(t *testing.T) {
	for i := range 40 {
		seed := fmt.Sprint("agt_", i)
		img := image.NewRGBA(image.Rect(0, 0, 320, 280))
		area := image.Rect(10, 10, 310, 270)
		Paint(img, area, seed, 300)
		colors := map[any]int{}
		for y := range 280 {
			for x := range 320 {
				c := img.RGBAAt(x, y)
				if in := (image.Point{x, y}).In(area); in != (c.A == 255) {
					t.Fatalf("%s: at %d, %d alpha is %d", seed, x, y, c.A)
				}
				colors[c]++
			}
		}
		d := newDesign(seed, OpenGraph)
		band, _ := rgb(d.colors.band)
		if colors[band] < 100 {
			t.Errorf("%s: %d pixels in the colour of its bands", seed, colors[band])
		}
	}
}

func TestDiscsAndStrokesTurnOneWay(t *testing.T) {
	all := append(stroke([][]point{{{0, 0}, {5, 9}, {-3, 2}}}, 2, 1), disc(point{3, 4}, 5))
	for _, outline := range all {
		area := 0.
		for i, p := range outline {
			q := outline[(i+1)%len(outline)]
			area += p.x*q.y - q.x*p.y
		}
		if area <= 0 || math.IsNaN(area) {
			t.Errorf("%v turns the other way", outline)
		}
	}
}
