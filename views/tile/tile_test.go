package tile

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"math"
	"regexp"
	"strings"
	"testing"
)

var shapes = []Shape{Square, Mark, Cover, Band, Frieze, Arch, OpenGraph}

// TestDrawings: every drawing is well-formed, refers to nothing outside of itself, and
// stays small enough for two dozen on a page.
func TestDrawings(t *testing.T) {
	outside := regexp.MustCompile(`(?:href|src)="[^#]|url\([^#]|<script|<style|style=|NaN|Inf`)
	for _, shape := range shapes {
		total := 0
		for i := range 300 {
			svg := SVG(fmt.Sprintf("agt_%d", i), shape)
			total += len(svg)
			if err := wellFormed(svg); err != nil {
				t.Fatalf("%c of seed %d: %v", shape, i, err)
			}
			if m := outside.Find(svg); m != nil {
				t.Fatalf("%c of seed %d has %s in it", shape, i, m)
			}
			if len(svg) > 4_300 {
				t.Errorf("%c of seed %d has %d bytes, want at most 4,300", shape, i, len(svg))
			}
		}
		if mean := total / 300; mean > 3_200 {
			t.Errorf("%c has %d bytes on average, want at most 3,200", shape, mean)
		}
	}
}

func wellFormed(svg []byte) error {
	for d := xml.NewDecoder(bytes.NewReader(svg)); ; {
		if _, err := d.Token(); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
	}
}

// TestDrawingsStay: pages keep drawings for ever under their names, so a change of what
// is drawn needs another Version, and with it another sum here.
func TestDrawingsStay(t *testing.T) {
	h := sha256.New()
	for _, shape := range shapes {
		for i := range 100 {
			h.Write(SVG(fmt.Sprintf("agt_%d", i), shape))
		}
	}
	want := map[int]string{1: "e2b1a9c49f2b7276"}[Version]
	if got := hex.EncodeToString(h.Sum(nil))[:16]; got != want {
		t.Errorf("drawings of version %d have the sum %s, want %s", Version, got, want)
	}
}

func TestSeedsDiffer(t *testing.T) {
	seen := map[string]string{}
	for i := range 2_000 {
		seed := fmt.Sprintf("agt_%d", i)
		seen[string(SVG(seed, Square))] = seed
	}
	if len(seen) < 1_000 {
		t.Errorf("2,000 seeds give %d drawings, want at least 1,000", len(seen))
	}
}

func TestFileNames(t *testing.T) {
	for _, seed := range []string{"agt_01hf", "", "../../etc/passwd", "a.b", "ü", strings.Repeat("x", 65), `"><script>`} {
		for _, shape := range shapes {
			name := File(seed, shape)
			if !regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}\.[a-z]\d+\.svg$`).MatchString(name) {
				t.Errorf("seed %q is named %q", seed, name)
			}
			if _, ok := Draw(name); !ok {
				t.Errorf("File gives %q and Draw doesn't know it", name)
			}
		}
	}
	if got, _ := Draw(File("agt_1", Band)); !bytes.Equal(got, SVG("agt_1", Band)) {
		t.Error("Draw and SVG draw the same seed differently")
	}
	for _, name := range []string{"", "x", "x.svg", "x.t.svg", "x.t0.svg", "x.z1.svg", "x.t1.png", "x.t1.svg.svg", "x y.t1.svg", strings.Repeat("x", 65) + ".t1.svg"} {
		if _, ok := Draw(name); ok {
			t.Errorf("Draw knows %q", name)
		}
	}
}

// TestRaysAreStraight: all crossings that a ray passes lie on one line, at the design's
// angle to its edge; that is what makes closed form and construction the same.
func TestRaysAreStraight(t *testing.T) {
	for _, n := range []int{3, 4, 8, 12} {
		p := polygon{10, -20, n, 400, 0.3}
		for _, degrees := range []float64{45, 56, 67.5, 72} {
			angle := degrees * math.Pi / 180
			from := p.crossing(1, 0, angle)
			edge := p.phase + 2*math.Pi/float64(n) + math.Pi/2
			for k := 1; k <= 3 && float64(k)*math.Pi/float64(n) < angle; k++ {
				to := p.crossing(1, k, angle)
				turn := math.Mod(math.Atan2(to.y-from.y, to.x-from.x)-edge+3*math.Pi, 2*math.Pi) - math.Pi
				if math.Abs(math.Abs(turn)-angle) > 1e-9 {
					t.Errorf("%d-gon, crossing %d: the ray leaves at %.3f, want %.3f", n, k, turn, angle)
				}
			}
		}
	}
}

// TestPolygonsTouch: each edge of the small polygons has its middle on the middle of an
// edge of a neighbour, in this cell or the next, so that bands run on across them.
func TestPolygonsTouch(t *testing.T) {
	for _, fold := range []int{8, 12} {
		var middles []point
		for _, dx := range []float64{-side, 0, side} {
			for _, dy := range []float64{-side, 0, side} {
				for _, p := range (design{fold: fold}).polygons() {
					p.x, p.y = p.x+dx, p.y+dy
					for i := range p.n {
						middles = append(middles, p.crossing(i, 0, 1))
					}
				}
			}
		}
		for _, p := range (design{fold: fold}).polygons() {
			for i := range p.n {
				at, met := p.crossing(i, 0, 1), 0
				for _, m := range middles {
					if math.Hypot(m.x-at.x, m.y-at.y) < 1e-6 {
						met++
					}
				}
				if met != 2 {
					t.Errorf("fold %d: the edge %d of a %d-gon is shared by %d polygons, want 2", fold, i, p.n, met)
				}
			}
		}
	}
}

// TestColors checks the conversion with CSS Color 4's sample values.
func TestColors(t *testing.T) {
	for want, c := range map[string]OKLCH{
		"#ffffff": {1, 0, 0}, "#000000": {0, 0, 0},
		"#ff0000": {0.627955, 0.257683, 29.2339}, "#00ff00": {0.866440, 0.294827, 142.4953}, "#0000ff": {0.452014, 0.313214, 264.0520},
	} {
		if got := c.Hex(); got != want {
			t.Errorf("%v is %s, want %s", c, got, want)
		}
	}
	if got := Contrast(OKLCH{1, 0, 0}, OKLCH{0, 0, 0}); math.Abs(got-21) > 0.01 {
		t.Errorf("white on black has contrast %.2f, want 21", got)
	}
}

func BenchmarkSquare(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		SVG("agt_01hf7y3k9", Square)
	}
}
