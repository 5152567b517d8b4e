package views

import (
	"testing"

	"github.com/souk-market/souk/internal/market"
)

func TestPicture(t *testing.T) {
	img := market.Image{SHA256: "ab", Type: "image/png", Width: 700, Height: 350, Alt: `A "table"`}
	for _, c := range []struct {
		name     string
		p        Picture
		selector string
	}{
		{"WebP for who knows it", Picture{Image: img}, `picture > source[type="image/webp"][srcset^="/media/ab-320.webp 320w, /media/ab-480.webp 480w"][sizes="100vw"]`},
		{"no wider than it is", Picture{Image: img}, `source[srcset$="/media/ab-640.webp 640w, /media/ab-700.webp 700w"]`},
		{"JPEG for all others", Picture{Image: img}, `picture > img[src="/media/ab-700.jpg"][srcset^="/media/ab-320.jpg 320w"]`},
		{"room before it arrives", Picture{Image: img}, `img[width="700"][height="350"]`},
		{"words for who can't see it", Picture{Image: img}, `img[alt='A "table"']`},
		{"one further down", Picture{Image: img}, `img[loading="lazy"][decoding="async"]:not([class]):not([fetchpriority])`},
		{"the first", Picture{Image: img, First: true, Class: "cover"}, `img.cover[fetchpriority="high"]:not([loading])`},
		{"its width on the page", Picture{Image: img, Sizes: "50vw"}, `source[sizes="50vw"] + img[sizes="50vw"]`},
	} {
		t.Run(c.name, func(t *testing.T) {
			if doc := parse(t, picture(c.p)); doc.Find(c.selector).Length() != 1 {
				html, _ := doc.Html()
				t.Errorf("nothing is %s in %s", c.selector, html)
			}
		})
	}
}
