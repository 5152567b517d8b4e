package market

import (
	"regexp"
	"strings"
	"testing"
)

const someKey = "SOUK-7K3M-92QX-0123-4567-89AB-CDEF-GHJK"

func TestLicenseKeyForm(t *testing.T) {
	form := regexp.MustCompile(`^SOUK(-[0-9A-HJKMNP-TV-Z]{4}){7}$`)
	seen := map[string]bool{}
	for range 10_000 {
		k := NewLicenseKey()
		if !form.MatchString(k) || seen[k] {
			t.Fatalf("the key %s (seen: %t)", k, seen[k])
		}
		seen[k] = true
		if got, ok := NormalizeLicenseKey(k); !ok || got != k {
			t.Fatalf("the key %s is normalized to %q, %t", k, got, ok)
		}
	}
}

func TestNormalizeLicenseKeyForgives(t *testing.T) {
	for name, typed := range map[string]string{
		"as it is":          someKey,
		"lower case":        strings.ToLower(someKey),
		"no hyphens":        strings.ReplaceAll(someKey, "-", ""),
		"spaces":            "  SOUK 7K3M 92QX 0123 4567 89AB CDEF GHJK\r\n",
		"many hyphens":      strings.ReplaceAll(someKey, "-", "--"),
		"other hyphens":     strings.NewReplacer("-", "–").Replace(someKey),
		"hard hyphens":      strings.NewReplacer("-", "\u2011").Replace(someKey),
		"broken lines":      "SOUK-7K3M-92QX-\n0123-4567-\n89AB-CDEF-GHJK",
		"hard spaces":       strings.NewReplacer("-", "\u00a0").Replace(someKey),
		"invisible":         "\ufeffSOUK\u200b" + someKey[4:] + "\u2060",
		"O for 0":           strings.Replace(someKey, "0123", "O123", 1),
		"o for 0":           strings.Replace(someKey, "0123", "o123", 1),
		"I for 1":           strings.Replace(someKey, "0123", "0I23", 1),
		"l for 1":           strings.Replace(someKey, "0123", "0l23", 1),
		"0 for the first O": strings.Replace(someKey, "SOUK", "S0UK", 1),
	} {
		if got, ok := NormalizeLicenseKey(typed); !ok || got != someKey {
			t.Errorf("%s: %q is %q, %t; want the key", name, typed, got, ok)
		}
	}
}

func TestNormalizeLicenseKeyIsUnambiguous(t *testing.T) {
	for name, typed := range map[string]string{
		"empty":           "",
		"prefix only":     "SOUK",
		"one short":       someKey[:len(someKey)-1],
		"one long":        someKey + "7",
		"other prefix":    "SAUK" + someKey[4:],
		"no prefix":       someKey[5:],
		"U is no letter":  strings.Replace(someKey, "7K3M", "7U3M", 1),
		"a dot":           strings.Replace(someKey, "7K3M", "7.3M", 1),
		"full width":      strings.Replace(someKey, "7", "７", 1),
		"Turkish I":       strings.Replace(someKey, "1", "ı", 1),
		"long s":          "ſ" + someKey[1:],
		"Cyrillic":        strings.Replace(someKey, "K", "К", 1),
		"invalid UTF-8":   strings.Replace(someKey, "7", "\xff", 1),
		"a hash":          HashLicenseKey(someKey),
		"a NUL is no key": strings.Replace(someKey, "7K", "\x007K7", 1),
		"very long":       strings.Repeat("SOUK", 1<<16),
	} {
		if got, ok := NormalizeLicenseKey(typed); ok {
			t.Errorf("%s: %.50q is the key %q", name, typed, got)
		}
	}
	// Two keys that differ stay two: no two characters of the alphabet become one.
	const alphabet = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
	seen := map[string]rune{}
	for _, r := range alphabet {
		got, ok := NormalizeLicenseKey(strings.Replace(someKey, "7K3M", string(r)+"K3M", 1))
		if other, dup := seen[got]; !ok || dup {
			t.Errorf("%c gives %q, %t, as %c does", r, got, ok, other)
		}
		seen[got] = r
	}
}

func FuzzNormalizeLicenseKey(f *testing.F) {
	f.Add(someKey)
	f.Add(strings.ToLower(someKey))
	f.Add("S0UK 7K3M–92QX O1l3 4567 89ab cdef ghjk")
	form := regexp.MustCompile(`^SOUK(-[0-9A-HJKMNP-TV-Z]{4}){7}$`)
	f.Fuzz(func(t *testing.T, s string) {
		key, ok := NormalizeLicenseKey(s)
		if !ok {
			if key != "" {
				t.Errorf("%q is no key, and %q", s, key)
			}
			return
		}
		if again, ok := NormalizeLicenseKey(key); !form.MatchString(key) || !ok || again != key {
			t.Errorf("%q is %q, and that is %q, %t", s, key, again, ok)
		}
		if lower, ok := NormalizeLicenseKey(strings.ToLower(s)); !ok || lower != key {
			t.Errorf("%q is %q, and in lower case %q, %t", s, key, lower, ok)
		}
	})
}

// TestHashLicenseKey: stored hashes must be found for ever.
func TestHashLicenseKey(t *testing.T) {
	const want = "c70762af9c43c55c5fff3ca949b24602a652243eef1eea1951e3836b719b8ca2"
	if got := HashLicenseKey(someKey); got != want {
		t.Errorf("the hash is %q, want %q", got, want)
	}
}
