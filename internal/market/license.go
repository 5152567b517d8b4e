package market

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// License is a key that software asks about. It is looked up by KeyHash, so that no
// scan of an index shows keys; Key is kept for the receipt page of its owner.
type License struct {
	ID          LicenseID     `cbor:"id"`
	Entitlement EntitlementID `cbor:"entitlement"`
	Agent       AgentID       `cbor:"agent"`
	Key         string        `cbor:"key"`
	KeyHash     string        `cbor:"hash"` // HashLicenseKey(Key)
	State       LicenseState  `cbor:"state"`
	Issued      time.Time     `cbor:"issued"`
}

// licenseKeyChars of an alphabet of 32 carry 140 random bits (RELIABILITY case 54 asks
// for 128).
const (
	licenseKeyPrefix = "SOUK"
	licenseKeyGroups = 7
)

// NewLicenseKey draws a key: "SOUK-7K3M-92QX-…", seven groups of four characters of
// Crockford's alphabet, which has no I, L, O and U to be misread.
func NewLicenseKey() string {
	var raw [20]byte
	rand.Read(raw[:])
	text := strings.ToUpper(crockford.EncodeToString(raw[:]))[:4*licenseKeyGroups]
	groups := []string{licenseKeyPrefix}
	for ; text != ""; text = text[4:] {
		groups = append(groups, text[:4])
	}
	return strings.Join(groups, "-")
}

// NormalizeLicenseKey forgives what people and their programs do to keys (case, spaces,
// missing, added or other hyphens, O for 0 and the reverse, I and L for 1) and reports
// whether the rest has a key's form.
func NormalizeLicenseKey(s string) (string, bool) {
	var b strings.Builder
	for _, r := range s {
		switch {
		case unicode.IsSpace(r) || unicode.Is(unicode.Pd, r) || invisible(r):
			continue
		case b.Len() == licenseKeyLen || r >= utf8.RuneSelf:
			return "", false
		}
		b.WriteByte(licenseKeyChar(byte(r), b.Len()))
	}
	text, ok := strings.CutPrefix(b.String(), licenseKeyPrefix)
	if !ok || len(text) != 4*licenseKeyGroups || strings.Trim(text, "0123456789ABCDEFGHJKMNPQRSTVWXYZ") != "" {
		return "", false
	}
	groups := []string{licenseKeyPrefix}
	for ; text != ""; text = text[4:] {
		groups = append(groups, text[:4])
	}
	return strings.Join(groups, "-"), true
}

// licenseKeyLen is the length of a key without hyphens.
const licenseKeyLen = len(licenseKeyPrefix) + 4*licenseKeyGroups

// licenseKeyChar is what was meant by a character at a place of a key: the prefix has
// letters only, and the groups have no letter that looks like a digit.
func licenseKeyChar(c byte, at int) byte {
	if 'a' <= c && c <= 'z' {
		c -= 'a' - 'A'
	}
	inPrefix := at < len(licenseKeyPrefix)
	switch {
	case inPrefix && c == '0':
		return 'O'
	case !inPrefix && c == 'O':
		return '0'
	case !inPrefix && (c == 'I' || c == 'L'):
		return '1'
	}
	return c
}

// HashLicenseKey is the SHA-256 of a normalized key in lower-case hex. A plain hash is
// enough: the key itself has 140 random bits.
func HashLicenseKey(key string) string {
	sum := sha256.Sum256([]byte(key))
	return hex.EncodeToString(sum[:])
}

// NewOrderNumber draws the number people use for a checkout: "S-7K3M-92QX", 40 random
// bits. It names, and gives no access.
func NewOrderNumber() string {
	var raw [5]byte
	rand.Read(raw[:])
	text := strings.ToUpper(crockford.EncodeToString(raw[:]))
	return "S-" + text[:4] + "-" + text[4:]
}
