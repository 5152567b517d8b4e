package sandbox

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/souk-market/souk/internal/market"
	"github.com/souk-market/souk/payments"
)

// SignatureHeader carries a webhook's signature:
//
//	Souk-Sandbox-Signature: t=1764633600,v1=5257a8…
//
// t is the Unix time of sending and v1 the HMAC-SHA-256, in hex, of "t.body" with the
// secret; one v1 for each secret while they are being rotated.
const SignatureHeader = "Souk-Sandbox-Signature"

// Sign makes the value of SignatureHeader.
func Sign(at time.Time, body []byte, secrets ...string) string {
	t := strconv.FormatInt(at.Unix(), 10)
	var b strings.Builder
	b.WriteString("t=" + t)
	for _, secret := range secrets {
		b.WriteString(",v1=" + hex.EncodeToString(mac(secret, t, body)))
	}
	return b.String()
}

func mac(secret, t string, body []byte) []byte {
	h := hmac.New(sha256.New, []byte(secret))
	h.Write([]byte(t + "."))
	h.Write(body)
	return h.Sum(nil)
}

// verify returns nil when one signature was made with one of secrets, within Tolerance
// of now.
func verify(header http.Header, body []byte, secrets []string, now time.Time) error {
	t, signatures := parseSignature(header.Get(SignatureHeader))
	unix, err := strconv.ParseInt(t, 10, 64)
	if err != nil {
		return refused("it has no %s header with a time", SignatureHeader)
	}
	if !anySigned(signatures, t, body, secrets) {
		return refused("no signature in it was made with the secret for this body")
	}
	if age := now.Sub(time.Unix(unix, 0)); age > payments.Tolerance || age < -payments.Tolerance {
		return refused("it was signed %s ago, and %s is the limit; is a clock wrong?", age, payments.Tolerance)
	}
	return nil
}

func parseSignature(value string) (t string, signatures [][]byte) {
	for part := range strings.SplitSeq(value, ",") {
		switch name, v, _ := strings.Cut(strings.TrimSpace(part), "="); name {
		case "t":
			t = v
		case "v1":
			if sig, err := hex.DecodeString(v); err == nil {
				signatures = append(signatures, sig)
			}
		}
	}
	return t, signatures
}

func anySigned(signatures [][]byte, t string, body []byte, secrets []string) bool {
	for _, secret := range secrets {
		want := mac(secret, t, body)
		for _, got := range signatures {
			if hmac.Equal(got, want) {
				return true
			}
		}
	}
	return false
}

func refused(format string, args ...any) error {
	return market.Errorf(market.Invalid, "The webhook was refused: "+format+".", args...).Because(payments.ErrSignature)
}
