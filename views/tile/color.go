package tile

import (
	"fmt"
	"math"
)

// OKLCH is a colour by perceived lightness L (0 to 1), chroma C (0 to about 0.4) and hue
// H in degrees, as CSS's oklch() has it.
type OKLCH struct{ L, C, H float64 }

// Linear returns the colour in linear-light sRGB, 0 to 1. A colour outside of sRGB is cut
// off per channel, as browsers paint it on an sRGB screen.
// Matrices: Björn Ottosson, "A perceptual color space for image processing" (2020).
func (c OKLCH) Linear() (r, g, b float64) {
	sin, cos := math.Sincos(c.H * math.Pi / 180)
	a, bb := c.C*cos, c.C*sin
	l := cube(c.L + 0.3963377774*a + 0.2158037573*bb)
	m := cube(c.L - 0.1055613458*a - 0.0638541728*bb)
	s := cube(c.L - 0.0894841775*a - 1.2914855480*bb)
	return clamp(4.0767416621*l - 3.3077115913*m + 0.2309699292*s),
		clamp(-1.2684380046*l + 2.6097574011*m - 0.3413193965*s),
		clamp(-0.0041960863*l - 0.7034186147*m + 1.7076147010*s)
}

// Luminance is WCAG's relative luminance, 0 to 1.
func (c OKLCH) Luminance() float64 {
	r, g, b := c.Linear()
	return 0.2126*r + 0.7152*g + 0.0722*b
}

// Contrast is WCAG's contrast ratio between two colours, 1 to 21.
func Contrast(a, b OKLCH) float64 {
	la, lb := a.Luminance(), b.Luminance()
	return (max(la, lb) + 0.05) / (min(la, lb) + 0.05)
}

// RGB is the colour in sRGB.
func (c OKLCH) RGB() (r, g, b uint8) {
	lr, lg, lb := c.Linear()
	return encode(lr), encode(lg), encode(lb)
}

// Hex is the colour as "#rrggbb".
func (c OKLCH) Hex() string {
	r, g, b := c.RGB()
	return fmt.Sprintf("#%02x%02x%02x", r, g, b)
}

// encode applies sRGB's transfer function.
func encode(v float64) uint8 {
	if v <= 0.0031308 {
		v *= 12.92
	} else {
		v = 1.055*math.Pow(v, 1/2.4) - 0.055
	}
	return uint8(math.Round(v * 255))
}

func cube(v float64) float64  { return v * v * v }
func clamp(v float64) float64 { return min(max(v, 0), 1) }
