package media

import (
	"context"
	"fmt"
	"io"
	"testing"

	"github.com/souk-market/souk/internal/market"
)

// BenchmarkVariant is of a master of 2400 × 1600: made anew, and from the disk.
func BenchmarkVariant(b *testing.B) {
	m, err := ingest(asJPEG(b, painted(2400, 1600, false)))
	if err != nil {
		b.Fatal(err)
	}
	v := shown(b, b.TempDir(), 0, m)
	for _, format := range []market.ImageFormat{market.WebP, market.JPEG} {
		for _, width := range []int{320, 960, 1920} {
			b.Run(fmt.Sprintf("make/%s-%d", format, width), func(b *testing.B) {
				for b.Loop() {
					if _, err := v.make(context.Background(), "x", m.Image, width, format); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
	b.Run("disk", func(b *testing.B) {
		read(b, v, m, 960, market.WebP)
		for b.Loop() {
			got, err := v.Variant(context.Background(), m.Image, 960, market.WebP)
			if err != nil {
				b.Fatal(err)
			}
			io.Copy(io.Discard, got)
			got.Close()
		}
	})
}

// BenchmarkIngest is of a photo of 12 million pixels.
func BenchmarkIngest(b *testing.B) {
	content := asJPEG(b, painted(4000, 3000, false))
	b.SetBytes(int64(len(content)))
	for b.Loop() {
		if _, err := ingest(content); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkBomb is of a PNG that says it has 50,000 × 50,000 pixels.
func BenchmarkBomb(b *testing.B) {
	content := pngOf(50_000, 50_000, 8, 2)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := ingest(content); err == nil {
			b.Fatal("it is taken")
		}
	}
}
