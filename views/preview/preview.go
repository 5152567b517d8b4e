// Package preview draws the picture that other sites show with a link to an agent: its
// pattern, its name, its promise, its price and who sells it, 1200 × 630 pixels.
//
// It promises the same bytes for the same card, a PNG of at most 256 colours and a few ten
// kilobytes, in about 30 ms. Characters that its fonts lack (they have Latin, Greek and
// Cyrillic) are left out, so a name may be shown in part or not at all.
package preview

import (
	"bytes"
	"image"
	"image/color"
	"image/draw"
	"image/png"
	"strings"
	"sync"

	"golang.org/x/image/font"
	"golang.org/x/image/font/gofont/gobold"
	"golang.org/x/image/font/gofont/goregular"
	"golang.org/x/image/font/opentype"
	"golang.org/x/image/math/fixed"

	"github.com/souk-market/souk/views/tile"
)

// Card is what a picture shows. Texts that are empty are left out.
type Card struct {
	Seed    string // of the pattern: the agent's ID
	Name    string
	Summary string
	Price   string // "9.00 USD"
	Seller  string
	Site    string // the marketplace's name
}

// Size of a picture in pixels: what Open Graph's readers show without cropping.
const (
	Width  = 1200
	Height = 630
)

const (
	panel  = 400 // width of the pattern
	margin = 64
)

var (
	paper = hex(tile.OKLCH{L: 0.985, C: 0.006, H: 85})
	ink   = hex(tile.OKLCH{L: 0.22, C: 0.02, H: 270})
	muted = hex(tile.OKLCH{L: 0.47, C: 0.02, H: 270})
	deep  = hex(tile.Accents["majorelle"][1])
)

func hex(c tile.OKLCH) color.RGBA {
	r, g, b := c.RGB()
	return color.RGBA{r, g, b, 255}
}

var bold, regular = sync.OnceValue(parse(gobold.TTF)), sync.OnceValue(parse(goregular.TTF))

func parse(data []byte) func() *opentype.Font {
	return func() *opentype.Font {
		f, err := opentype.Parse(data)
		if err != nil {
			panic(err) // a font of the binary's own
		}
		return f
	}
}

// PNG draws a card.
func PNG(c Card) ([]byte, error) {
	img := image.NewRGBA(image.Rect(0, 0, Width, Height))
	draw.Draw(img, img.Bounds(), image.NewUniform(paper), image.Point{}, draw.Src)
	tile.Paint(img, image.Rect(0, 0, panel, Height), c.Seed, 300)
	p := pen{img: img}
	p.write(regular(), 28, muted, margin+28, 1, c.Site)
	y := 160
	for _, size := range []float64{72, 60, 48, 40} {
		if p.lines(bold(), size, c.Name) <= 3 || size == 40 {
			y = p.write(bold(), size, ink, 128+int(size), 3, c.Name)
			break
		}
	}
	p.write(regular(), 32, muted, y+4, 3, c.Summary)
	p.write(bold(), 44, deep, Height-margin, 1, c.Price)
	p.right(regular(), 28, muted, Height-margin, column-p.width(bold(), 44, c.Price)-margin/2, c.Seller)
	var b bytes.Buffer
	enc := png.Encoder{CompressionLevel: png.BestSpeed}
	err := enc.Encode(&b, reduced(img))
	return b.Bytes(), err
}

// pen writes in the column beside the pattern.
type pen struct{ img *image.RGBA }

const left, column = panel + margin, Width - panel - 2*margin

// write writes a text from a base line on, in up to max lines, and returns the base line
// after it. What has no room ends in an ellipsis.
func (p pen) write(f *opentype.Font, size float64, c color.Color, y, most int, text string) int {
	face := faceOf(f, size)
	defer face.Close()
	lines := wrap(face, shown(f, text), column)
	if len(lines) > most {
		lines = lines[:most]
		lines[most-1] = ended(face, lines[most-1], column)
	}
	for _, line := range lines {
		d := font.Drawer{Dst: p.img, Src: image.NewUniform(c), Face: face, Dot: fixed.P(left, y)}
		d.DrawString(line)
		y += int(size * 1.2)
	}
	return y
}

// right writes one line that ends at the column's end, in room pixels and no more than its
// second half, and nothing where a word would find no room.
func (p pen) right(f *opentype.Font, size float64, c color.Color, y, room int, text string) {
	if room = min(room, column/2); room < 4*int(size) {
		return
	}
	face := faceOf(f, size)
	defer face.Close()
	lines := wrap(face, shown(f, text), room)
	if len(lines) == 0 {
		return
	}
	line := lines[0]
	if len(lines) > 1 {
		line = ended(face, line, room)
	}
	d := font.Drawer{Dst: p.img, Src: image.NewUniform(c), Face: face, Dot: fixed.P(left+column, y)}
	d.Dot.X -= font.MeasureString(face, line)
	d.DrawString(line)
}

// width is how wide a line is, in pixels.
func (p pen) width(f *opentype.Font, size float64, text string) int {
	face := faceOf(f, size)
	defer face.Close()
	return font.MeasureString(face, shown(f, text)).Ceil()
}

func (p pen) lines(f *opentype.Font, size float64, text string) int {
	face := faceOf(f, size)
	defer face.Close()
	return len(wrap(face, shown(f, text), column))
}

func faceOf(f *opentype.Font, size float64) font.Face {
	face, err := opentype.NewFace(f, &opentype.FaceOptions{Size: size, DPI: 72})
	if err != nil {
		panic(err) // the options are right
	}
	return face
}

// maxText bounds the text that is looked at, in characters.
const maxText = 300

// shown is a text without what the font lacks, in one line.
func shown(f *opentype.Font, text string) string {
	n := 0
	text = strings.Map(func(r rune) rune {
		if n++; n > maxText {
			return -1
		}
		if r == ' ' || r == '\n' || r == '\t' {
			return ' '
		}
		if i, err := f.GlyphIndex(nil, r); err != nil || i == 0 {
			return -1
		}
		return r
	}, text)
	return strings.Join(strings.Fields(text), " ")
}

// wrap breaks a text into lines, at spaces and behind "/", "-", "_" and ".", and anywhere in
// a word that is longer than a line.
func wrap(face font.Face, text string, width int) (lines []string) {
	line := ""
	for _, part := range parts(text) {
		if fits(face, strings.TrimRight(line+part, " "), width) {
			line += part
			continue
		}
		if line != "" {
			lines, line = append(lines, strings.TrimRight(line, " ")), ""
		}
		for _, r := range part {
			if !fits(face, line+string(r), width) {
				lines, line = append(lines, line), ""
			}
			line += string(r)
		}
	}
	if line = strings.TrimRight(line, " "); line != "" {
		lines = append(lines, line)
	}
	return lines
}

func parts(text string) (list []string) {
	start := 0
	for i, r := range text {
		if strings.ContainsRune(" /-_.", r) {
			list, start = append(list, text[start:i+1]), i+1
		}
	}
	return append(list, text[start:])
}

func fits(face font.Face, text string, width int) bool {
	return font.MeasureString(face, text) <= fixed.I(width)
}

// ended is the beginning of a line that has room for an ellipsis.
func ended(face font.Face, line string, width int) string {
	for r := []rune(line); len(r) > 0; r = r[:len(r)-1] {
		if short := strings.TrimRight(string(r), " ") + "…"; fits(face, short, width) {
			return short
		}
	}
	return "…"
}
