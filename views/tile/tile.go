// Package tile draws zellige: star patterns in the manner of Moroccan tile work, one per
// seed. Every listing, seller and category has its own, drawn from a hash of its ID, so
// that goods without a picture are still told apart at a glance.
//
// The construction is Hankin's "polygons in contact": the plane is tiled with regular
// polygons, two rays leave the middle of each edge at one angle to it, and where they
// meet they become the interlaced bands. Two tilings are used, octagons with squares
// (eight-fold stars) and dodecagons with squares and triangles (twelve-fold). See
// C. S. Kaplan, "Computer Graphics and Geometric Ornamental Design" (2002), chapter 3.
//
// The same seed and shape give the same bytes, in every process, until Version changes.
// A drawing is a few kilobytes of SVG without scripts, styles or links, in colours that
// carry on light and dark pages alike.
package tile

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
)

// Version is part of every file name. It goes up whenever a drawing changes.
const Version = 1

// Shape is the format of a drawing.
type Shape byte

const (
	Square    Shape = 't' // 480 × 480, one star in the middle: cards, agent pages
	Mark      Shape = 'm' // 96 × 96 with round corners, few pieces: sellers, favicon
	Cover     Shape = 'c' // 480 × 240: the top of a card
	Band      Shape = 'b' // 960 × 240: categories
	Frieze    Shape = 'f' // 1200 × 144, one row of stars: the head of a page
	Arch      Shape = 'a' // 360 × 480 in a horseshoe arch: doorways
	OpenGraph Shape = 'o' // 1200 × 630: link previews
)

// frame is a shape's size in pixels, and the side of a lattice cell in it.
type frame struct {
	width, height int
	cell          float64
	outline       string // path data that the drawing is cut out along; "" for none
}

var frames = map[Shape]frame{
	Square:    {480, 480, 400, ""},
	Mark:      {96, 96, 100, "M22 0H74A22 22 0 0 1 96 22V74A22 22 0 0 1 74 96H22A22 22 0 0 1 0 74V22A22 22 0 0 1 22 0z"},
	Cover:     {480, 240, 280, ""},
	Band:      {960, 240, 250, ""},
	Frieze:    {1200, 144, 144, ""},
	Arch:      {360, 480, 300, "M34 480V270C-44 160 48 62 180 4 312 62 404 160 326 270V480z"},
	OpenGraph: {1200, 630, 360, ""},
}

// maxSeed bounds a seed in a file name; longer ones, and those with other characters
// than letters, digits, "_" and "-", are named by their hash.
const maxSeed = 64

// File is the name under which Draw gives the drawing of seed in shape.
func File(seed string, shape Shape) string {
	if !plain(seed) {
		sum := sha256.Sum256([]byte(seed))
		seed = hex.EncodeToString(sum[:12])
	}
	return seed + "." + string(rune(shape)) + strconv.Itoa(Version) + ".svg"
}

// Draw gives the drawing that File named. ok is false for any other name.
func Draw(file string) (svg []byte, ok bool) {
	seed, rest, _ := strings.Cut(file, ".")
	kind, ext, _ := strings.Cut(rest, ".")
	if !plain(seed) || ext != "svg" || len(kind) < 2 || kind[1:] != strconv.Itoa(Version) {
		return nil, false
	}
	if _, ok := frames[Shape(kind[0])]; !ok {
		return nil, false
	}
	return SVG(seed, Shape(kind[0])), true
}

func plain(seed string) bool {
	if seed == "" || len(seed) > maxSeed {
		return false
	}
	for _, r := range seed {
		if (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '_' && r != '-' {
			return false
		}
	}
	return true
}

// SVG draws seed in the given shape; an unknown shape is drawn as Square.
func SVG(seed string, shape Shape) []byte {
	f, ok := frames[shape]
	if !ok {
		f = frames[Square]
	}
	d := newDesign(seed, shape)
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%[1]d" height="%[2]d">`, f.width, f.height)
	b.WriteString(`<defs><g id="c" stroke-linejoin="round">`)
	d.cell(&b)
	b.WriteString(`</g>`)
	if f.outline != "" {
		fmt.Fprintf(&b, `<clipPath id="r"><path d="%s"/></clipPath>`, f.outline)
	}
	b.WriteString(`<linearGradient id="l" x2="0" y2="1"><stop stop-color="#fff" stop-opacity=".14"/>` +
		`<stop offset=".5" stop-color="#fff" stop-opacity="0"/><stop offset="1" stop-opacity=".2"/></linearGradient></defs>`)
	b.WriteString(`<g`)
	if f.outline != "" {
		b.WriteString(` clip-path="url(#r)"`)
	}
	fmt.Fprintf(&b, `><rect width="%d" height="%d" fill="%s"/>`, f.width, f.height, d.colors.ground)
	d.lattice(&b, f)
	if shape == Arch {
		fmt.Fprintf(&b, `<path fill="none" stroke="%s" stroke-width="22" d="%s"/>`, d.colors.edge, f.outline)
		fmt.Fprintf(&b, `<path fill="none" stroke="%s" stroke-width="14" d="%s"/>`, d.colors.band, f.outline)
	}
	fmt.Fprintf(&b, `<rect width="%d" height="%d" fill="url(#l)"/></g></svg>`, f.width, f.height)
	return []byte(b.String())
}
