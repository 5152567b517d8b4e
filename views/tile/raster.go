package tile

import (
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"math"
	"strings"

	"golang.org/x/image/vector"
)

// layer is all pieces of one colour that lie at one height, in the units of a cell.
type layer struct {
	color    string
	outlines [][]point // closed; all turn the same way, so that overlaps add up
}

// Paint draws seed's pattern into a rectangle of an image, a cell of the lattice size pixels
// wide, with one star in the rectangle's middle. It is what SVG draws but for the sheen.
func Paint(dst draw.Image, area image.Rectangle, seed string, size float64) {
	d := newDesign(seed, OpenGraph)
	ground, _ := rgb(d.colors.ground)
	draw.Draw(dst, area, image.NewUniform(ground), image.Point{}, draw.Src)
	scale := size * d.zoom / side
	cells := d.cells(float64(area.Dx())/2/scale/side, float64(area.Dy())/2/scale/side)
	r := vector.NewRasterizer(area.Dx(), area.Dy())
	for _, l := range d.layers() {
		l.paint(r, dst, area, d.turned, scale, cells)
	}
}

// cells are the places of the lattice that can be seen.
func (d design) cells(w, h float64) (list []point) {
	n := int(math.Ceil(max(w, h, (w+h)/math.Sqrt2))) + 1
	for y := -n; y <= n; y++ {
		for x := -n; x <= n; x++ {
			if d.visible(float64(x), float64(y), w, h) {
				list = append(list, point{float64(x) * side, float64(y) * side})
			}
		}
	}
	return list
}

func (l layer) paint(r *vector.Rasterizer, dst draw.Image, area image.Rectangle, turned bool, scale float64, cells []point) {
	c, ok := rgb(l.color)
	if !ok || len(l.outlines) == 0 {
		return
	}
	sin, cos := 0., 1.
	if turned {
		sin, cos = math.Sincos(math.Pi / 4)
	}
	w, h := area.Dx(), area.Dy()
	r.Reset(w, h)
	for _, cell := range cells {
		for _, outline := range l.outlines {
			for i, p := range outline {
				x, y := (p.x+cell.x)*scale, (p.y+cell.y)*scale
				x, y = x*cos-y*sin+float64(w)/2, x*sin+y*cos+float64(h)/2
				if i == 0 {
					r.MoveTo(float32(x), float32(y))
				} else {
					r.LineTo(float32(x), float32(y))
				}
			}
			r.ClosePath()
		}
	}
	r.Draw(dst, area, image.NewUniform(c), image.Point{})
}

// layers are the pieces and bands of one cell, from the bottom to the top.
func (d design) layers() []layer {
	polys := d.polygons()
	var list []layer
	add := func(color, data string) { list = append(list, layer{color, outlines(data)}) }
	rings := [][]string{1: {d.colors.star}, 2: {d.colors.petal, d.colors.star}, 3: {d.colors.petal, d.colors.star, d.colors.inner}}
	for k, color := range rings[d.depth] {
		add(color, polys[0].star(k, d.angle))
		if k == 0 && d.twotone && d.depth > 1 {
			add(d.colors.petal2, polys[0].petals(d.angle))
		}
	}
	list = append(list, d.heartLayers(polys[0])...)
	add(d.colors.corner, polys[1].star(0, d.angle))
	if len(polys) > 2 {
		var stars strings.Builder
		for _, p := range polys[2:] {
			stars.WriteString(p.star(0, d.angle))
		}
		add(d.colors.petal, stars.String())
	}
	return append(list, d.bandLayers(polys)...)
}

// heartLayers is ornament in layers.
func (d design) heartLayers(p polygon) []layer {
	room := p.apothem * math.Cos(d.angle)
	if d.depth > 1 {
		room *= 0.9
	}
	switch d.heart {
	case 1:
		return []layer{{d.colors.heart, [][]point{disc(point{}, room*0.42)}}}
	case 2:
		small := polygon{0, 0, d.fold, room * 0.66, math.Pi / float64(d.fold) * float64(d.depth%2)}
		return []layer{{d.colors.heart, outlines(small.star(0, math.Pi/4))}}
	case 3:
		hole := disc(point{}, room*0.47)
		reverse(hole)
		return []layer{{d.colors.heart, [][]point{disc(point{}, room*0.57), hole, disc(point{}, room*0.26)}}}
	}
	return nil
}

// bandLayers is bands in layers: the strands, and on them what passes over.
func (d design) bandLayers(polys []polygon) []layer {
	var strands, overs [][]point
	reach := d.band * 0.95 / math.Sin(d.angle)
	for _, p := range polys {
		depth := d.depthIn(p)
		for i := range p.n {
			bend := p.crossing(i, depth, d.angle)
			strands = append(strands, []point{p.crossing(i, 0, d.angle), bend, p.crossing(i+depth, 0, d.angle)})
			for k := range depth {
				at, along := p.crossing(i, k, d.angle), bend
				if k%2 == 1 {
					along = p.crossing(i+k-depth, depth, d.angle)
				}
				from := at
				if k > 0 {
					from = at.towards(along, -reach)
				}
				overs = append(overs, []point{from, at.towards(along, reach)})
			}
		}
	}
	light := d.band * core
	list := []layer{
		{d.colors.edge, stroke(strands, d.band, 0)}, {d.colors.band, stroke(strands, light, 0)},
		{d.colors.edge, stroke(overs, d.band, 0)}, {d.colors.band, stroke(overs, light, light/2)},
	}
	if d.fine {
		list = append(list, layer{d.colors.edge, stroke(strands, d.band*0.12, 0)})
	}
	return list
}

// stroke is the outlines of lines of a width, their ends moved out by caps.
func stroke(lines [][]point, width, caps float64) (list [][]point) {
	for _, line := range lines {
		for i := 1; i < len(line); i++ {
			a, b := line[i-1], line[i]
			length := math.Hypot(b.x-a.x, b.y-a.y)
			if length == 0 {
				continue
			}
			dx, dy := (b.x-a.x)/length, (b.y-a.y)/length
			a, b = point{a.x - dx*caps, a.y - dy*caps}, point{b.x + dx*caps, b.y + dy*caps}
			nx, ny := -dy*width/2, dx*width/2
			list = append(list, same([]point{{a.x + nx, a.y + ny}, {b.x + nx, b.y + ny}, {b.x - nx, b.y - ny}, {a.x - nx, a.y - ny}}))
			if i > 1 {
				list = append(list, disc(line[i-1], width/2))
			}
		}
	}
	return list
}

func disc(at point, radius float64) []point {
	const corners = 24
	list := make([]point, corners)
	for i := range list {
		sin, cos := math.Sincos(2 * math.Pi * float64(i) / corners)
		list[i] = point{at.x + radius*cos, at.y + radius*sin}
	}
	return same(list)
}

// same turns an outline the way in which all of them turn.
func same(outline []point) []point {
	area := 0.
	for i, p := range outline {
		q := outline[(i+1)%len(outline)]
		area += p.x*q.y - q.x*p.y
	}
	if area < 0 {
		reverse(outline)
	}
	return outline
}

func reverse(list []point) {
	for i, j := 0, len(list)-1; i < j; i, j = i+1, j-1 {
		list[i], list[j] = list[j], list[i]
	}
}

// outlines reads path data as path writes it: M, then l, then z.
func outlines(data string) (list [][]point) {
	for _, sub := range strings.Split(strings.ReplaceAll(data, "z", ""), "M")[1:] {
		var outline []point
		at := point{}
		for _, pair := range strings.Split(sub, "l") {
			var x, y int
			// A negative y follows x without a space.
			if i := strings.LastIndexAny(pair, " -"); i > 0 {
				fmt.Sscan(pair[:i], &x)
				fmt.Sscan(strings.TrimSpace(pair[i:]), &y)
			}
			at = point{at.x + float64(x), at.y + float64(y)}
			outline = append(outline, at)
		}
		list = append(list, same(outline))
	}
	return list
}

// rgb reads a colour as Hex writes it.
func rgb(hex string) (c color.RGBA, ok bool) {
	n, err := fmt.Sscanf(hex, "#%02x%02x%02x", &c.R, &c.G, &c.B)
	c.A = 255
	return c, n == 3 && err == nil
}
