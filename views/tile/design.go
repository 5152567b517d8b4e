package tile

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// side is the side of a lattice cell in the units of the paths: large enough that whole
// numbers are precise to a quarter pixel in the largest drawing.
const side = 800

// design is all that a seed decides.
type design struct {
	fold    int     // 8 or 12: rays of the stars
	angle   float64 // between a ray and its edge, radians
	depth   int     // at which crossing a ray ends: 1 a plain star, 3 a rosette
	turned  bool    // the lattice stands on its corner
	zoom    float64
	band    float64 // width of a band
	fine    bool    // a band has a line along its middle
	heart   int     // ornament in the middle of a star
	twotone bool    // the petals alternate between two colours
	colors  palette
}

// rays are the pairs of angle and depth that give well-proportioned stars, by fold.
var rays = map[int][]struct {
	degrees float64
	depth   int
}{
	8:  {{45, 1}, {56, 2}, {62, 2}, {67.5, 2}, {67.5, 3}, {72, 3}},
	12: {{45, 2}, {52, 2}, {60, 2}, {60, 3}, {66, 3}},
}

// newDesign spends the bytes of a hash of seed, one for each decision.
func newDesign(seed string, shape Shape) design {
	sum := sha256.Sum256([]byte("zellige/" + seed))
	pick := func(i, n int) int { return int(binary.BigEndian.Uint16(sum[2*i:])) % n }
	d := design{fold: 8}
	if pick(0, 5) < 2 && shape != Mark {
		d.fold = 12
	}
	r := rays[d.fold][pick(1, len(rays[d.fold]))]
	if shape == Mark {
		r = rays[8][pick(1, 3)]
	}
	d.angle, d.depth = r.degrees*math.Pi/180, r.depth
	d.turned = pick(2, 3) == 0
	d.zoom = []float64{1, 0.86, 0.62}[pick(3, 3)]
	switch {
	case shape == Mark || shape == Frieze:
		d.zoom, d.turned = 1, false
	case d.fold == 12:
		d.zoom = max(d.zoom, 0.86)
	}
	d.band = []float64{30, 36, 44}[pick(4, 3)]
	if d.fold == 12 || d.depth == 3 {
		d.band *= 0.75
	}
	d.fine = pick(5, 3) == 0 && d.band >= 36 // narrower, the line would turn the band grey
	d.heart = pick(6, 4)
	d.twotone = pick(7, 2) == 0
	d.colors = palettes[pick(8, len(palettes))]
	return d
}

// polygon is a tile of the tiling: n edges at distance apothem from its middle, the
// first of them in direction phase.
type polygon struct {
	x, y    float64
	n       int
	apothem float64
	phase   float64
}

// polygons are those that belong to one cell: the large one in the middle, and what
// fills the corner to the right and below.
func (d design) polygons() []polygon {
	const half = side / 2.
	large := polygon{0, 0, d.fold, half, 0}
	edge := side * math.Tan(math.Pi/float64(d.fold))
	if d.fold == 8 {
		return []polygon{large, {half, half, 4, edge / 2, math.Pi / 4}}
	}
	list := []polygon{large, {half, half, 4, edge / 2, 0}}
	inradius := edge / (2 * math.Sqrt(3))
	for k := range 4 {
		dir := float64(k) * math.Pi / 2
		sin, cos := math.Sincos(dir)
		list = append(list, polygon{half + cos*(edge/2+inradius), half + sin*(edge/2+inradius), 3, inradius, dir + math.Pi})
	}
	return list
}

// crossing is where the ray that leaves edge i turning one way meets the ray of edge i+k
// turning the other way; crossing(i, 0) is the middle of the edge itself. All rays of a
// polygon touch one circle around its middle, of radius apothem·cos(angle), which gives
// the distance in closed form.
func (p polygon) crossing(i, k int, angle float64) point {
	step := math.Pi / float64(p.n)
	r := p.apothem * math.Cos(angle) / math.Cos(angle-float64(k)*step)
	sin, cos := math.Sincos(p.phase + float64(2*i+k)*step)
	return point{p.x + r*cos, p.y + r*sin}
}

type point struct{ x, y float64 }

func (a point) towards(b point, length float64) point {
	d := math.Hypot(b.x-a.x, b.y-a.y)
	return point{a.x + (b.x-a.x)*length/d, a.y + (b.y-a.y)*length/d}
}

// path writes path data in whole numbers. Lines are relative, between rounded points, so
// that the text stays short and rounding doesn't add up.
type path struct {
	strings.Builder
	x, y int
}

func (p *path) move(a point) {
	p.x, p.y = round(a)
	p.put('M', p.x, p.y)
}

func (p *path) line(a point) {
	x, y := round(a)
	p.put('l', x-p.x, y-p.y)
	p.x, p.y = x, y
}

func (p *path) close() { p.WriteByte('z') }

func (p *path) put(command byte, x, y int) {
	p.WriteByte(command)
	p.WriteString(strconv.Itoa(x))
	if y >= 0 {
		p.WriteByte(' ')
	}
	p.WriteString(strconv.Itoa(y))
}

func round(a point) (x, y int) { return int(math.Round(a.x)), int(math.Round(a.y)) }

// cell writes the pieces and bands of one lattice cell.
func (d design) cell(b *strings.Builder) {
	polys := d.polygons()
	d.rosette(b, polys[0])
	fill(b, d.colors.corner, polys[1].star(0, d.angle))
	if len(polys) > 2 {
		var stars strings.Builder
		for _, p := range polys[2:] {
			stars.WriteString(p.star(0, d.angle))
		}
		fill(b, d.colors.petal, stars.String())
	}
	d.bands(b, polys)
}

// depthIn is the depth of the rays in p: small polygons have room for one crossing.
func (d design) depthIn(p polygon) int {
	if p.n <= 4 {
		return 1
	}
	return d.depth
}

// rosette fills the stars of the large polygon from the outside to the inside. The ring
// between levels k and k+1 of crossings is a star whose tips are crossings of level k
// and whose dents are those of level k+1.
func (d design) rosette(b *strings.Builder, p polygon) {
	rings := [][]string{1: {d.colors.star}, 2: {d.colors.petal, d.colors.star}, 3: {d.colors.petal, d.colors.star, d.colors.inner}}
	for k, color := range rings[d.depth] {
		fill(b, color, p.star(k, d.angle))
		if k == 0 && d.twotone && d.depth > 1 {
			fill(b, d.colors.petal2, p.petals(d.angle))
		}
	}
	d.ornament(b, p)
}

func (p polygon) star(level int, angle float64) string {
	var s path
	for i := range p.n {
		tip := p.crossing(i, level, angle)
		if i == 0 {
			s.move(tip)
		} else {
			s.line(tip)
		}
		s.line(p.crossing(i, level+1, angle))
	}
	s.close()
	return s.String()
}

// petals are every second kite at the tips of the outer star.
func (p polygon) petals(angle float64) string {
	var s path
	for i := 0; i < p.n; i += 2 {
		s.move(p.crossing(i, 0, angle))
		s.line(p.crossing(i, 1, angle))
		s.line(p.crossing(i-1, 2, angle))
		s.line(p.crossing(i-1, 1, angle))
		s.close()
	}
	return s.String()
}

// ornament draws the heart of the large star: nothing, a ring, a small star or a flower.
func (d design) ornament(b *strings.Builder, p polygon) {
	room := p.apothem * math.Cos(d.angle) // the circle all rays touch
	if d.depth > 1 {
		room *= 0.9
	}
	switch d.heart {
	case 1:
		fmt.Fprintf(b, `<circle r="%.0f" fill="%s"/>`, room*0.42, d.colors.heart)
	case 2:
		small := polygon{0, 0, d.fold, room * 0.66, math.Pi / float64(d.fold) * float64(d.depth%2)}
		fill(b, d.colors.heart, small.star(0, math.Pi/4))
	case 3:
		fmt.Fprintf(b, `<circle r="%.0f" fill="none" stroke="%s" stroke-width="%.0f"/><circle r="%.0f" fill="%s"/>`,
			room*0.52, d.colors.heart, room*0.1, room*0.26, d.colors.heart)
	}
}

func fill(b *strings.Builder, color, data string) {
	fmt.Fprintf(b, `<path fill="%s" d="%s"/>`, color, data)
}

// bands draws the interlaced bands: dark edges, light cores, and on top of them a short
// piece of whichever band passes over at each crossing. The ray turning left passes over
// at even levels, so that along any band over and under alternate, across polygons too.
func (d design) bands(b *strings.Builder, polys []polygon) {
	var strands, overs path
	reach := d.band * 0.95 / math.Sin(d.angle)
	for _, p := range polys {
		depth := d.depthIn(p)
		for i := range p.n {
			bend := p.crossing(i, depth, d.angle)
			strands.move(p.crossing(i, 0, d.angle))
			strands.line(bend)
			strands.line(p.crossing(i+depth, 0, d.angle))
			for k := range depth {
				at, along := p.crossing(i, k, d.angle), bend
				if k%2 == 1 { // the ray turning right is the one that ends at edge i+k
					along = p.crossing(i+k-depth, depth, d.angle)
				}
				if k == 0 { // the neighbour draws its half
					overs.move(at)
				} else {
					overs.move(at.towards(along, -reach))
				}
				overs.line(at.towards(along, reach))
			}
		}
	}
	fmt.Fprintf(b, `<g fill="none" stroke="%s" stroke-width="%.0f"><path id="s" d="%s"/>`, d.colors.edge, d.band, strands.String())
	d.light(b, "s", "butt")
	fmt.Fprintf(b, `<path id="o" d="%s"/>`, overs.String())
	d.light(b, "o", "square") // runs on into the band beneath, past its edges
	b.WriteString(`</g>`)
}

// light draws the light part of the bands on the path with the given ID, and a line
// along its middle where the design has one.
func (d design) light(b *strings.Builder, id, caps string) {
	fmt.Fprintf(b, `<use href="#%s" stroke="%s" stroke-width="%.0f" stroke-linecap="%s"/>`, id, d.colors.band, d.band*core, caps)
	if d.fine {
		fmt.Fprintf(b, `<use href="#%s" stroke-width="%.0f"/>`, id, d.band*0.12)
	}
}

// core is the part of a band's width that is light.
const core = 0.56

// lattice places the cell wherever it can be seen in f.
func (d design) lattice(b *strings.Builder, f frame) {
	scale := f.cell * d.zoom / side
	fmt.Fprintf(b, `<g transform="translate(%d %d)`, f.width/2, f.height/2)
	if d.turned {
		b.WriteString(` rotate(45)`)
	}
	fmt.Fprintf(b, ` scale(%s)">`, strconv.FormatFloat(scale, 'g', 3, 64))
	w, h := float64(f.width)/2/scale/side, float64(f.height)/2/scale/side
	reach := max(w, h) + 1
	if d.turned {
		reach = (w+h)/math.Sqrt2 + 1
	}
	n := int(math.Ceil(reach))
	for y := -n; y <= n; y++ {
		for x := -n; x <= n; x++ {
			if d.visible(float64(x), float64(y), w, h) {
				use(b, x*side, y*side)
			}
		}
	}
	b.WriteString(`</g>`)
}

func use(b *strings.Builder, x, y int) {
	b.WriteString(`<use href="#c"`)
	if x != 0 {
		fmt.Fprintf(b, ` x="%d"`, x)
	}
	if y != 0 {
		fmt.Fprintf(b, ` y="%d"`, y)
	}
	b.WriteString(`/>`)
}

// visible reports whether the cell at (x, y) can be seen in a frame that reaches w and h
// to each side of the middle, all in cells. A cell's own star reaches half a cell, and the
// pieces at its far corner 0.37 beyond that, bands not counted.
func (d design) visible(x, y, w, h float64) bool {
	const near, far = 0.55, 0.92
	if !d.turned {
		return x > -w-far && x < w+near && y > -h-far && y < h+near
	}
	across, down := (x-y)/math.Sqrt2, (x+y)/math.Sqrt2
	return math.Abs(across) < w+far && down > -h-far*math.Sqrt2 && down < h+near*math.Sqrt2
}
