package replica

import (
	"crypto/ecdh"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"unicode"

	"filippo.io/age"

	"github.com/souk-market/souk/internal/blob"
	"github.com/souk-market/souk/internal/market"
)

// ErrKey: the replica is encrypted with another key than the one given, or one is given
// where none belongs, or none where one does. Trying again is of no use.
var ErrKey = errors.New("replica: not the replica's key")

// Lengths of what keys are made of, in bytes.
const (
	seedSize     = 20 // 160 random bits: more than the curve's strength, and short enough to write down
	checksumSize = 4  // so 1 of 4 billion mistakes in a written key goes unnoticed
	keyVersion   = 1
)

// A key as text is a prefix, then its bytes in groups: a version, what it holds, and the
// first bytes of the SHA-256 of the prefix and all that.
const (
	recoveryPrefix = "souk-recovery-"
	serverPrefix   = "souk-server-"
)

// keyAlphabet has no I, L, O and U, which a reader could take for others.
var keyAlphabet = base32.NewEncoding("0123456789ABCDEFGHJKMNPQRSTVWXYZ").WithPadding(base32.NoPadding)

// Key encrypts and authenticates a replica. There are two: the recovery key opens what
// it seals; the server key, which is derived from it, only seals. A server that only
// backs up needs no more than the server key, and a thief of that server can't read the
// replica's history with it.
//
// From the recovery key's seed come, by HKDF-SHA-256, an X25519 identity of age and a key
// for HMAC-SHA-256. The server key holds that identity's recipient and the MAC key.
type Key struct {
	seed      []byte // of a recovery key; nil in a server key
	recipient *age.X25519Recipient
	identity  *age.X25519Identity // nil in a server key
	public    []byte              // the recipient's 32 bytes
	mac       []byte              // 32 bytes
}

// NewRecoveryKey makes a key from the machine's random source.
func NewRecoveryKey() *Key {
	seed := make([]byte, seedSize)
	rand.Read(seed) // never fails
	k, err := recoveryKey(seed)
	if err != nil {
		panic(fmt.Sprintf("replica: deriving a key: %v", err)) // a function of its length only
	}
	return k
}

// recoveryKey derives a key from its seed.
func recoveryKey(seed []byte) (*Key, error) {
	scalar, err := hkdf.Key(sha256.New, seed, nil, "souk replica: age identity", 32)
	if err != nil {
		return nil, err
	}
	mac, err := hkdf.Key(sha256.New, seed, nil, "souk replica: message authentication", 32)
	if err != nil {
		return nil, err
	}
	private, err := ecdh.X25519().NewPrivateKey(scalar)
	if err != nil {
		return nil, err
	}
	k, err := serverKey(private.PublicKey().Bytes(), mac)
	if err != nil {
		return nil, err
	}
	k.seed = seed
	k.identity, err = age.ParseX25519Identity(strings.ToUpper(bech32("age-secret-key-", scalar)))
	return k, err
}

// serverKey makes the key that only seals.
func serverKey(public, mac []byte) (*Key, error) {
	recipient, err := age.ParseX25519Recipient(bech32("age", public))
	if err != nil {
		return nil, err
	}
	return &Key{recipient: recipient, public: public, mac: mac}, nil
}

// unwritten is what stands between the characters of a key when it was typed back, or has
// been through a text editor, and doesn't matter: spaces, dashes of all kinds, quotes.
func unwritten(r rune) bool {
	return unicode.IsSpace(r) || unicode.In(r, unicode.Pd, unicode.Pi, unicode.Pf) || strings.ContainsRune("−\"'`\uFEFF", r)
}

// bare is a text without what doesn't matter in keys, in lower case.
func bare(text string) string {
	return strings.ToLower(strings.Map(func(r rune) rune {
		if unwritten(r) {
			return -1
		}
		return r
	}, text))
}

// ParseKey reads either text form; case, spaces, quotes and dashes don't matter. The error
// is Invalid, says what is wrong, and doesn't repeat the text.
func ParseKey(text string) (*Key, error) {
	text = bare(text)
	if text == "" {
		return nil, keyErrorf("The key is empty. Give the line that souk replica keygen printed.")
	}
	if strings.HasPrefix(text, "age") {
		return nil, keyErrorf("This is a key of the age program. A replica needs a key that begins with %s or %s, as souk replica keygen prints it.",
			recoveryPrefix, serverPrefix)
	}
	for prefix, size := range map[string]int{recoveryPrefix: seedSize, serverPrefix: 64} {
		if body, ok := strings.CutPrefix(text, bare(prefix)); ok {
			held, err := decodeKey(prefix, body, size)
			if err != nil {
				return nil, err
			}
			if prefix == recoveryPrefix {
				return recoveryKey(held)
			}
			return serverKey(held[:32], held[32:])
		}
	}
	return nil, keyErrorf("A key begins with %s or %s. Give the whole line that souk replica keygen printed.", recoveryPrefix, serverPrefix)
}

// lookalikes are read as the digits that they look like.
var lookalikes = strings.NewReplacer("O", "0", "I", "1", "L", "1")

// decodeKey returns the size bytes that a key's text holds behind its prefix.
func decodeKey(prefix, body string, size int) ([]byte, error) {
	body = lookalikes.Replace(strings.ToUpper(body))
	if want := keyAlphabet.EncodedLen(1 + size + checksumSize); len(body) != want {
		return nil, keyErrorf("The key has %d characters after %s instead of %d: some are missing or there are too many. Compare it with what you wrote down.",
			len(body), prefix, want)
	}
	raw, err := keyAlphabet.DecodeString(body)
	if err != nil {
		return nil, keyErrorf("The key has a character that no key has. Keys are made of digits and letters without I, L, O and U.")
	}
	held, sum := raw[:1+size], raw[1+size:]
	if string(sum) != string(keyChecksum(prefix, held)) {
		return nil, keyErrorf("The key has a mistake: its checksum doesn't fit. Compare it character by character with what you wrote down.")
	}
	if held[0] != keyVersion {
		return nil, keyErrorf("The key has version %d, and this souk knows version %d. Use a newer souk for it.", held[0], keyVersion)
	}
	return held[1:], nil
}

func keyErrorf(format string, args ...any) error {
	return market.FieldErrorf("key", format, args...).Because(ErrKey)
}

func keyChecksum(prefix string, held []byte) []byte {
	sum := sha256.Sum256(append([]byte(prefix), held...))
	return sum[:checksumSize]
}

// encodeKey writes a key's text in groups of n characters.
func encodeKey(prefix string, held []byte, n int) string {
	held = append([]byte{keyVersion}, held...)
	text := keyAlphabet.EncodeToString(append(held, keyChecksum(prefix, held)...))
	var groups []string
	for len(text) > n {
		groups = append(groups, text[:n])
		text = text[n:]
	}
	return prefix + strings.ToLower(strings.Join(append(groups, text), "-"))
}

// CanRead reports whether the key opens what it seals.
func (k *Key) CanRead() bool { return k.identity != nil }

// RecoveryKey is the text of the key that reads, and a secret: whoever has it and the
// replica has the marketplace. It is "" for a server key.
func (k *Key) RecoveryKey() string {
	if k.seed == nil {
		return ""
	}
	return encodeKey(recoveryPrefix, k.seed, 5)
}

// ServerKey is the text of the key that only writes. It is a secret, too: whoever has it
// can forge a replica.
func (k *Key) ServerKey() string {
	return encodeKey(serverPrefix, append(append([]byte(nil), k.public...), k.mac...), 8)
}

// Fingerprint tells keys apart, in 16 hexadecimal digits. It is public, and the same for
// a recovery key and its server key.
func (k *Key) Fingerprint() string {
	sum := k.sum("fingerprint", k.public)
	return hex.EncodeToString(sum[:8])
}

// String is for logs and messages: it shows no secret.
func (k *Key) String() string { return "key " + k.Fingerprint() }

// GoString keeps the secret out of %#v.
func (k *Key) GoString() string { return k.String() }

// LogValue keeps the secret out of logs.
func (k *Key) LogValue() slog.Value { return slog.StringValue(k.String()) }

// sum is the HMAC-SHA-256 over what, which no other use of the key makes, and the parts.
// All but the last part have a fixed length.
func (k *Key) sum(what string, parts ...[]byte) (out [sha256.Size]byte) {
	h := hmac.New(sha256.New, k.mac)
	h.Write([]byte("souk " + what + "\x00"))
	for _, p := range parts {
		h.Write(p)
	}
	h.Sum(out[:0])
	return out
}

// contentName names an object by its content: the first 128 bits of the SHA-256, or of an
// HMAC of it, so that a bucket doesn't tell which known files a marketplace has. k may be nil.
func (k *Key) contentName(sum blob.Sum) objectName {
	if k != nil {
		sum = k.sum("content", sum[:])
	}
	return objectName(sum[:16])
}

// bech32 encodes as BIP 173 says, which is how age writes its keys.
func bech32(prefix string, data []byte) string {
	const alphabet = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
	var fives []byte
	acc, bits := 0, 0
	for _, b := range data {
		acc, bits = acc<<8|int(b), bits+8
		for ; bits >= 5; bits -= 5 {
			fives = append(fives, byte(acc>>(bits-5))&31)
		}
		acc &= 31 // fewer than 5 bits are left
	}
	if bits > 0 {
		fives = append(fives, byte(acc<<(5-bits))&31)
	}
	var expanded []byte
	for _, c := range []byte(prefix) {
		expanded = append(expanded, c>>5)
	}
	expanded = append(expanded, 0)
	for _, c := range []byte(prefix) {
		expanded = append(expanded, c&31)
	}
	sum := bech32Polymod(append(append(expanded, fives...), 0, 0, 0, 0, 0, 0)) ^ 1
	for i := range 6 {
		fives = append(fives, byte(sum>>(5*(5-i)))&31)
	}
	text := []byte(prefix + "1")
	for _, v := range fives {
		text = append(text, alphabet[v])
	}
	return string(text)
}

func bech32Polymod(values []byte) uint32 {
	c := uint32(1)
	for _, v := range values {
		top := c >> 25
		c = c&0x1ffffff<<5 ^ uint32(v)
		for i, g := range []uint32{0x3b6a57b2, 0x26508e6d, 0x1ea119fa, 0x3d4233dd, 0x2a1462b3} {
			if top>>i&1 == 1 {
				c ^= g
			}
		}
	}
	return c
}
