package tile

// palette is the colours of one drawing, as hexadecimal sRGB.
type palette struct {
	ground, edge  string // what the pieces lie in, and the shadow beside the bands
	band          string
	petal, petal2 string
	star, inner   string
	heart         string
	corner        string
}

// The accents of Souk in five steps from deep to pale. The style sheet has the same.
var (
	saffron    = steps(75, [5][2]float64{{0.42, 0.085}, {0.58, 0.12}, {0.72, 0.15}, {0.82, 0.15}, {0.92, 0.07}})
	terracotta = steps(38, [5][2]float64{{0.36, 0.09}, {0.48, 0.13}, {0.60, 0.145}, {0.72, 0.12}, {0.88, 0.05}})
	majorelle  = steps(273, [5][2]float64{{0.30, 0.13}, {0.42, 0.19}, {0.54, 0.19}, {0.70, 0.13}, {0.88, 0.05}})
	mint       = steps(170, [5][2]float64{{0.32, 0.06}, {0.44, 0.08}, {0.58, 0.10}, {0.76, 0.10}, {0.91, 0.05}})
	plum       = steps(345, [5][2]float64{{0.30, 0.09}, {0.42, 0.13}, {0.54, 0.15}, {0.70, 0.12}, {0.88, 0.05}})
	ivory      = steps(85, [5][2]float64{{0.62, 0.03}, {0.78, 0.035}, {0.88, 0.035}, {0.93, 0.03}, {0.97, 0.018}})
	night      = OKLCH{0.22, 0.04, 275}.Hex()
)

func steps(hue float64, lc [5][2]float64) (hex [5]string) {
	for i, v := range lc {
		hex[i] = OKLCH{v[0], v[1], hue}.Hex()
	}
	return hex
}

// palettes are laid out by hand: a ground, two accents that stand off it and from each
// other, and a light band. Each is a glaze one could buy.
var palettes = []palette{
	{majorelle[1], majorelle[0], ivory[3], majorelle[2], majorelle[3], saffron[3], terracotta[2], majorelle[0], mint[3]},
	{majorelle[0], night, saffron[4], majorelle[1], majorelle[2], ivory[4], saffron[2], majorelle[1], saffron[2]},
	{terracotta[1], terracotta[0], ivory[3], terracotta[2], saffron[2], ivory[4], majorelle[2], terracotta[1], majorelle[1]},
	{terracotta[3], terracotta[0], ivory[4], terracotta[2], terracotta[1], saffron[4], majorelle[1], terracotta[1], majorelle[1]},
	{mint[1], mint[0], ivory[3], mint[2], mint[3], saffron[3], ivory[4], mint[0], saffron[2]},
	{mint[0], night, mint[4], mint[1], mint[2], terracotta[3], saffron[3], mint[0], terracotta[2]},
	{plum[1], plum[0], ivory[3], plum[2], plum[3], mint[3], saffron[3], plum[0], mint[3]},
	{plum[0], night, saffron[4], plum[1], plum[2], saffron[3], terracotta[3], plum[0], terracotta[2]},
	{saffron[2], saffron[0], ivory[4], saffron[3], saffron[1], majorelle[1], ivory[4], saffron[3], majorelle[1]},
	{saffron[3], terracotta[0], ivory[4], terracotta[2], terracotta[3], mint[1], ivory[3], saffron[3], terracotta[2]},
	{ivory[3], majorelle[0], ivory[4], majorelle[2], majorelle[3], terracotta[2], saffron[3], ivory[4], majorelle[2]},
	{ivory[3], mint[0], ivory[4], mint[2], mint[1], saffron[2], mint[0], ivory[4], mint[2]},
	{ivory[2], plum[0], ivory[4], plum[2], plum[1], saffron[3], terracotta[2], plum[1], terracotta[2]},
	{night, OKLCH{0.14, 0.03, 275}.Hex(), saffron[3], majorelle[1], plum[1], mint[3], ivory[4], night, terracotta[2]},
	{night, OKLCH{0.14, 0.03, 275}.Hex(), ivory[3], mint[1], mint[2], terracotta[2], saffron[3], night, majorelle[2]},
	{majorelle[3], majorelle[0], ivory[4], majorelle[1], majorelle[2], ivory[4], terracotta[2], majorelle[1], plum[2]},
}
