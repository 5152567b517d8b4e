package views

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/souk-market/souk/views/tile"
)

// theme is the colours of one theme by token name.
type theme map[string]tile.OKLCH

var (
	declaration = regexp.MustCompile(`(?m)^\s*--([a-z0-9-]+):\s*(.+);$`)
	lightDark   = regexp.MustCompile(`^light-dark\((oklch\([^)]*\)), (oklch\([^)]*\))\)$`)
	oklch       = regexp.MustCompile(`^oklch\(([\d.]+) ([\d.]+) ([\d.]+)\)$`)
)

// readThemes reads the opaque colours of the tokens in both themes.
func readThemes(t *testing.T) (light, dark theme) {
	t.Helper()
	light, dark = theme{}, theme{}
	for _, m := range declaration.FindAllStringSubmatch(string(embedded("tokens.css")), -1) {
		day, night := m[2], m[2]
		if pair := lightDark.FindStringSubmatch(m[2]); pair != nil {
			day, night = pair[1], pair[2]
		}
		if c, ok := parseColor(day); ok {
			light[m[1]] = c
		}
		if c, ok := parseColor(night); ok {
			dark[m[1]] = c
		}
	}
	return light, dark
}

func parseColor(s string) (tile.OKLCH, bool) {
	m := oklch.FindStringSubmatch(s)
	if m == nil {
		return tile.OKLCH{}, false
	}
	var v [3]float64
	for i := range v {
		v[i], _ = strconv.ParseFloat(m[i+1], 64)
	}
	return tile.OKLCH{L: v[0], C: v[1], H: v[2]}, true
}

// TestContrast computes WCAG's ratio of every pair of colours that pages put on each
// other: 4.5 for text, 3 for the edges of controls and the focus ring.
func TestContrast(t *testing.T) {
	light, dark := readThemes(t)
	pairs := []struct {
		front, back string
		least       float64
	}{
		{"caution", "caution-paper", 4.5}, {"ink", "caution-paper", 4.5}, {"link", "caution-paper", 4.5},
		{"positive", "positive-paper", 4.5}, {"danger", "danger-paper", 4.5},
		{"on-action", "action", 4.5}, {"on-action", "action-over", 4.5},
		{"paper", "ink", 4.5}, {"link", "hairline", 4.5}, {"action", "paper", 3},
	}
	for _, text := range []string{"ink", "muted", "link", "positive", "caution", "danger"} {
		for _, back := range []string{"paper", "raised", "sunken"} {
			pairs = append(pairs, struct {
				front, back string
				least       float64
			}{text, back, 4.5})
		}
	}
	for _, edge := range []string{"control", "focus", "accent"} {
		for _, back := range []string{"paper", "raised", "sunken"} {
			pairs = append(pairs, struct {
				front, back string
				least       float64
			}{edge, back, 3})
		}
	}
	for name, th := range map[string]theme{"light": light, "dark": dark} {
		for _, p := range pairs {
			front, ok1 := th[p.front]
			back, ok2 := th[p.back]
			if !ok1 || !ok2 {
				t.Fatalf("tokens.css has no opaque colour --%s or --%s", p.front, p.back)
			}
			if got := tile.Contrast(front, back); got < p.least {
				t.Errorf("%s: --%s on --%s has contrast %.2f, want at least %.1f", name, p.front, p.back, got, p.least)
			}
		}
	}
}

// TestLooksOwnColors holds the tokens to the values that the look names.
func TestLooksOwnColors(t *testing.T) {
	light, dark := readThemes(t)
	for _, c := range []struct {
		theme theme
		name  string
		want  tile.OKLCH
	}{
		{light, "paper", tile.OKLCH{L: 0.985, C: 0.006, H: 85}}, {light, "ink", tile.OKLCH{L: 0.22, C: 0.02, H: 270}},
		{dark, "paper", tile.OKLCH{L: 0.19, C: 0.02, H: 275}}, {dark, "ink", tile.OKLCH{L: 0.94, C: 0.01, H: 85}},
	} {
		if got := c.theme[c.name]; got != c.want {
			t.Errorf("--%s is %v, want %v", c.name, got, c.want)
		}
	}
}

func TestTilesAndTokensShareAccents(t *testing.T) {
	light, _ := readThemes(t)
	for name, steps := range tile.Accents {
		for i, want := range steps {
			if got := light[fmt.Sprintf("%s-%d", name, i+1)]; got != want {
				t.Errorf("--%s-%d is %v in the style sheet and %v in the tiles", name, i+1, got, want)
			}
		}
	}
}

// TestTokensAreDeclared finds custom properties that are used and never set.
func TestTokensAreDeclared(t *testing.T) {
	css, _, _ := Asset("app.css")
	set := map[string]bool{}
	for _, m := range regexp.MustCompile(`--([a-z0-9-]+):`).FindAllStringSubmatch(string(css), -1) {
		set[m[1]] = true
	}
	for _, m := range regexp.MustCompile(`var\(--([a-z0-9-]+)`).FindAllStringSubmatch(string(css), -1) {
		if !set[m[1]] {
			t.Errorf("var(--%s) is used and not declared", m[1])
		}
	}
}

// TestSheetStaysLogical keeps physical sides out, so that right-to-left pages work.
func TestSheetStaysLogical(t *testing.T) {
	physical := regexp.MustCompile(`(?:margin|padding|border)-(?:left|right|top|bottom)\b|[;{]\s*(?:left|right|top|bottom):|text-align: (?:left|right)`)
	for _, name := range sheets {
		for i, line := range strings.Split(string(embedded(name)), "\n") {
			if m := physical.FindString(line); m != "" {
				t.Errorf("%s:%d: %q is a physical side; use its logical property", name, i+1, m)
			}
		}
	}
}
