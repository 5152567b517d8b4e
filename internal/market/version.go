package market

import (
	"cmp"
	"strings"
)

// CompareVersions orders versions by the precedence of SemVer 2.0.0 (section 11): negative
// when a is the older one. It takes any text: a "v" before it and what follows a "+" don't
// count, there may be more or fewer numbers than three, missing ones are 0, and what isn't a
// number is compared as text, after all numbers.
func CompareVersions(a, b string) int {
	coreA, preA := cutVersion(a)
	coreB, preB := cutVersion(b)
	if c := compareParts(coreA, coreB, "0"); c != 0 {
		return c
	}
	if preA == "" || preB == "" { // a version without one is after those with one
		return cmp.Compare(len(preB), len(preA))
	}
	return compareParts(preA, preB, "")
}

func cutVersion(v string) (core, pre string) {
	v, _, _ = strings.Cut(strings.TrimSpace(v), "+")
	core, pre, _ = strings.Cut(strings.TrimPrefix(strings.TrimPrefix(v, "v"), "V"), "-")
	return core, pre
}

// compareParts compares dotted parts one by one; a missing one is as missing says, and ""
// is before everything.
func compareParts(a, b, missing string) int {
	for a != "" || b != "" {
		var x, y string
		x, a = nextPart(a, missing)
		y, b = nextPart(b, missing)
		if c := comparePart(x, y); c != 0 {
			return c
		}
	}
	return 0
}

func nextPart(s, missing string) (part, rest string) {
	if s == "" {
		return missing, ""
	}
	part, rest, _ = strings.Cut(s, ".")
	return part, rest
}

func comparePart(a, b string) int {
	switch numA, numB := allDigits(a), allDigits(b); {
	case numA && numB:
		a, b = strings.TrimLeft(a, "0"), strings.TrimLeft(b, "0")
		return cmp.Or(cmp.Compare(len(a), len(b)), strings.Compare(a, b))
	case a == "" || b == "":
		return cmp.Compare(len(a), len(b))
	case numA:
		return -1
	case numB:
		return 1
	}
	return strings.Compare(a, b)
}
