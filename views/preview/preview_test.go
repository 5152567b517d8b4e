package preview

import (
	"bytes"
	"image/png"
	"strings"
	"testing"
)

var card = Card{
	Seed: "agt_chroma1", Name: "@langchain/chroma-server", Summary: "Keeps your documents in a collection and finds them again by meaning.",
	Price: "9.00 USD", Seller: "Chroma Labs", Site: "Souk",
}

func TestPNG(t *testing.T) {
	for name, c := range map[string]Card{
		"usual": card, "empty": {}, "long": {Seed: "x", Name: strings.Repeat("w", 200), Summary: strings.Repeat("word ", 200), Seller: strings.Repeat("y", 200)},
		"what the fonts lack": {Seed: "x", Name: "\u05e9\u05dc\u05d5\u05dd \U0001f9d5\u202e", Summary: "\u4f60\u597d", Price: "\x00"},
	} {
		t.Run(name, func(t *testing.T) {
			data, err := PNG(c)
			if err != nil {
				t.Fatal(err)
			}
			img, err := png.Decode(bytes.NewReader(data))
			if err != nil || img.Bounds().Dx() != Width || img.Bounds().Dy() != Height {
				t.Fatalf("%v, %v", img.Bounds(), err)
			}
			if len(data) > 200_000 {
				t.Errorf("%d bytes", len(data))
			}
			if again, _ := PNG(c); !bytes.Equal(again, data) {
				t.Error("the same card gives other bytes")
			}
		})
	}
}

// TestThePriceStandsAlone: a long seller's name doesn't run into a long price.
func TestThePriceStandsAlone(t *testing.T) {
	c := card
	c.Price, c.Seller = "from 999,999.99 USD", strings.Repeat("y", 200)
	data, err := PNG(c)
	if err != nil {
		t.Fatal(err)
	}
	img, err := png.Decode(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	end := left + pen{}.width(bold(), 44, c.Price)
	blank := img.At(end+2, 2)
	for x := end + 2; x < end+16; x++ {
		for y := Height - margin - 40; y < Height-margin+12; y++ {
			if img.At(x, y) != blank {
				t.Fatalf("something is at %d, %d, beside a price that ends at %d", x, y, end)
			}
		}
	}
}

func BenchmarkPNG(b *testing.B) {
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		data, err := PNG(card)
		if err != nil {
			b.Fatal(err)
		}
		n = len(data)
	}
	b.ReportMetric(float64(n), "bytes")
}
