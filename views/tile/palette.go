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

// Accents are Souk's accents in five steps from deep to pale. The style sheet has the
// same, as custom properties --saffron-1 to --plum-5.
var Accents = map[string][5]OKLCH{
	"saffron":    {{0.42, 0.085, 75}, {0.58, 0.12, 75}, {0.72, 0.15, 75}, {0.82, 0.15, 75}, {0.92, 0.07, 75}},
	"terracotta": {{0.36, 0.09, 38}, {0.48, 0.13, 38}, {0.6, 0.145, 38}, {0.72, 0.12, 38}, {0.88, 0.05, 38}},
	"majorelle":  {{0.3, 0.13, 273}, {0.42, 0.19, 273}, {0.54, 0.19, 273}, {0.7, 0.13, 273}, {0.88, 0.05, 273}},
	"mint":       {{0.32, 0.06, 170}, {0.44, 0.08, 170}, {0.58, 0.1, 170}, {0.76, 0.1, 170}, {0.91, 0.05, 170}},
	"plum":       {{0.3, 0.09, 345}, {0.42, 0.13, 345}, {0.54, 0.15, 345}, {0.7, 0.12, 345}, {0.88, 0.05, 345}},
}

var (
	saffron    = glaze(Accents["saffron"])
	terracotta = glaze(Accents["terracotta"])
	majorelle  = glaze(Accents["majorelle"])
	mint       = glaze(Accents["mint"])
	plum       = glaze(Accents["plum"])
	ivory      = glaze([5]OKLCH{{0.62, 0.03, 85}, {0.78, 0.035, 85}, {0.88, 0.035, 85}, {0.93, 0.03, 85}, {0.97, 0.018, 85}})
	night      = OKLCH{0.22, 0.04, 275}.Hex()
	midnight   = OKLCH{0.14, 0.03, 275}.Hex()
)

func glaze(steps [5]OKLCH) (hex [5]string) {
	for i, c := range steps {
		hex[i] = c.Hex()
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
	{night, midnight, saffron[3], majorelle[1], plum[1], mint[3], ivory[4], night, terracotta[2]},
	{night, midnight, ivory[3], mint[1], mint[2], terracotta[2], saffron[3], night, majorelle[2]},
	{majorelle[3], majorelle[0], ivory[4], majorelle[1], majorelle[2], ivory[4], terracotta[2], majorelle[1], plum[2]},
}
