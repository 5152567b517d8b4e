package views

import (
	"strconv"
	"strings"

	"github.com/souk-market/souk/internal/market"
)

// Picture is a picture of an agent as a page shows it: @picture(Picture{…}).
type Picture struct {
	Image market.Image
	// Sizes is how wide it is shown, as CSS: "(min-width: 60rem) 30rem, 100vw". "" is as
	// wide as the window.
	Sizes string
	Class string
	First bool // it is seen without scrolling: fetched before the others, not when it nears
}

// SrcSet is the picture in all its widths, as an img or source element wants it.
func SrcSet(i market.Image, format market.ImageFormat) string {
	var b strings.Builder
	for n, w := range i.Widths() {
		if n > 0 {
			b.WriteString(", ")
		}
		b.WriteString(i.Path(w, format) + " " + strconv.Itoa(w) + "w")
	}
	return b.String()
}

// fallbackWidth is the width for browsers that know no srcset, in pixels.
const fallbackWidth = 960

// PicturePath is the address of the picture as JPEG for who takes one size only: the
// widest that is at most fallbackWidth.
func PicturePath(i market.Image) string {
	widths := i.Widths()
	w := widths[0]
	for _, next := range widths {
		if next <= fallbackWidth {
			w = next
		}
	}
	return i.Path(w, market.JPEG)
}

func (p Picture) sizes() string {
	if p.Sizes == "" {
		return "100vw"
	}
	return p.Sizes
}
