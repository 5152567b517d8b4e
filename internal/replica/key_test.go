package replica

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"filippo.io/age"

	"github.com/souk-market/souk/internal/market"
)

// TestKeyVector: keys that have been written down open what they sealed for ever.
func TestKeyVector(t *testing.T) {
	seed := make([]byte, seedSize)
	for i := range seed {
		seed[i] = byte(i)
	}
	k, err := recoveryKey(seed)
	if err != nil {
		t.Fatal(err)
	}
	for got, want := range map[string]string{
		k.RecoveryKey():      "souk-recovery-04002-0g30g-2gc1r-81450-p30d1-r7h04-8j2d6-rtxpf",
		k.ServerKey():        "souk-server-04zb3k1p-y9e06s86-vn95sn47-zq5cwhhm-btcp1n7d-f6rkpr2e-detn5wfh-jat9rjxr-3ef8sbd2-9by64w27-fstpbgde-zn42tcp4-6he9r62s-xzqxr30",
		k.Fingerprint():      "577673be930a6e24",
		k.recipient.String(): "age186cucdhjtspk2pka2fwdfplaet8yvdz7n9sdfmtekyakqnntk4fq75z7gx",
	} {
		if got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
}

func TestKeysAsText(t *testing.T) {
	k := NewRecoveryKey()
	text := k.RecoveryKey()
	for _, form := range []string{text, strings.ToUpper(text), " " + text + "\n", strings.ReplaceAll(text, "-", " - "),
		recoveryPrefix + strings.ReplaceAll(strings.TrimPrefix(text, recoveryPrefix), "-", ""),
		recoveryPrefix + strings.NewReplacer("0", "O", "1", "l").Replace(strings.TrimPrefix(text, recoveryPrefix))} {
		got, err := ParseKey(form)
		if err != nil {
			t.Fatalf("%q: %v", form, err)
		}
		if got.RecoveryKey() != text || got.Fingerprint() != k.Fingerprint() || !got.CanRead() {
			t.Errorf("%q is another key", form)
		}
	}
	server, err := ParseKey(k.ServerKey())
	if err != nil {
		t.Fatal(err)
	}
	if server.CanRead() || server.RecoveryKey() != "" || server.Fingerprint() != k.Fingerprint() || server.ServerKey() != k.ServerKey() {
		t.Errorf("the server key reads: %v; fingerprint %s, want %s", server.CanRead(), server.Fingerprint(), k.Fingerprint())
	}
	if other := NewRecoveryKey(); other.Fingerprint() == k.Fingerprint() || other.RecoveryKey() == text {
		t.Error("two keys are equal")
	}
}

// TestMistakesInKeys: each changed or swapped character of a written key is noticed, and
// no message repeats the key.
func TestMistakesInKeys(t *testing.T) {
	k := NewRecoveryKey()
	for _, text := range []string{k.RecoveryKey(), k.ServerKey()} {
		start := len(recoveryPrefix)
		for i := start; i < len(text)-1; i++ { // the server key's last character has unused bits
			for _, c := range "0123456789abcdefghjkmnpqrstvwxyz" {
				if text[i] == '-' || rune(text[i]) == c {
					continue
				}
				if _, err := ParseKey(text[:i] + string(c) + text[i+1:]); err == nil {
					t.Fatalf("a wrong character at %d of %s goes unnoticed", i, text[:start])
				}
			}
			if text[i] != '-' && text[i+1] != '-' && text[i] != text[i+1] {
				if _, err := ParseKey(text[:i] + text[i+1:i+2] + text[i:i+1] + text[i+2:]); err == nil {
					t.Fatalf("swapped characters at %d of %s go unnoticed", i, text[:start])
				}
			}
		}
	}
	secret := strings.TrimPrefix(k.RecoveryKey(), recoveryPrefix)
	for text, want := range map[string]string{
		"":                                "empty",
		"hello":                           "begins with",
		recoveryPrefix + secret[:20]:      "missing",
		recoveryPrefix + secret + "0":     "too many",
		recoveryPrefix + "u" + secret[1:]: "no key has",
		k.identity.String():               "age program",
		serverPrefix + secret:             "missing",
	} {
		_, err := ParseKey(text)
		if !market.Is(err, market.Invalid) || !strings.Contains(market.Message(err), want) {
			t.Errorf("%.20q: got %v, want a sentence with %q", text, err, want)
		}
		if err != nil && strings.Contains(err.Error(), secret[:11]) {
			t.Errorf("the message repeats the key: %v", err)
		}
	}
}

// TestKeysKeepTheirSecret however they are printed.
func TestKeysKeepTheirSecret(t *testing.T) {
	k := NewRecoveryKey()
	var out bytes.Buffer
	fmt.Fprintf(&out, "%v %+v %#v %s %q %x", k, k, k, k, k, k)
	fmt.Fprintf(&out, "%+v", ClientOptions{Key: k})
	slog.New(slog.NewTextHandler(&out, nil)).Info("opened", "key", k, "options", ClientOptions{Key: k})
	slog.New(slog.NewJSONHandler(&out, nil)).Info("opened", "key", k)
	for _, secret := range []string{k.RecoveryKey(), k.ServerKey(), k.identity.String(), fmt.Sprintf("%x", k.mac), fmt.Sprint(k.mac), fmt.Sprint(k.seed)} {
		if strings.Contains(out.String(), secret) {
			t.Errorf("a secret is printed: %s", out.String())
		}
	}
}

// TestAgeReadsItsForm: what is sealed is a file that the age program opens with the
// identity that a recovery key stands for.
func TestAgeReadsItsForm(t *testing.T) {
	k := NewRecoveryKey()
	for size := range map[int]bool{0: true, 1: true, 64 << 10: true, 64<<10 + 1: true, 300_000: true} {
		var sealed bytes.Buffer
		content := bytes.Repeat([]byte{7}, size)
		if err := k.encrypt(&sealed, bytes.NewReader(content)); err != nil {
			t.Fatal(err)
		}
		identity, err := age.ParseX25519Identity(k.identity.String())
		if err != nil {
			t.Fatal(err)
		}
		r, err := age.Decrypt(&sealed, identity)
		if err != nil {
			t.Fatal(err)
		}
		var got bytes.Buffer
		if _, err := got.ReadFrom(r); err != nil || !bytes.Equal(got.Bytes(), content) {
			t.Errorf("%d bytes come back as %d, %v", size, got.Len(), err)
		}
	}
}
