package market

import (
	"slices"
	"testing"
)

func TestWidthsNeverGrowAPicture(t *testing.T) {
	for _, c := range []struct {
		width int
		want  []int
	}{
		{1, []int{1}},
		{319, []int{319}},
		{320, []int{320}},
		{321, []int{320, 321}},
		{700, []int{320, 480, 640, 700}},
		{1920, []int{320, 480, 640, 960, 1280, 1920}},
		{2400, []int{320, 480, 640, 960, 1280, 1920}},
	} {
		if got := (Image{Width: c.width}).Widths(); !slices.Equal(got, c.want) {
			t.Errorf("of %d pixels: got %v, want %v", c.width, got, c.want)
		}
	}
}
