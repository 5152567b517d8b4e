package account

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"

	"github.com/souk-market/souk/internal/market"
)

// A device mark is kept by a browser that has signed in, and proves that it has: a
// random name and an HMAC over it under the account's password hash. Nothing of it is
// stored here, it gives no access, and a changed password makes it worthless. See OWASP,
// "Slow Down Online Guessing Attacks with Device Cookies".
const deviceName = 16 // bytes

func newDevice(a *market.Account) string {
	name := make([]byte, deviceName)
	rand.Read(name)
	return base64.RawURLEncoding.EncodeToString(append(name, deviceMAC(a, name)...))
}

// deviceOf returns the mark's name when it is a mark of the account, else "".
func deviceOf(mark string, a *market.Account) string {
	raw, err := base64.RawURLEncoding.DecodeString(mark)
	if err != nil || len(raw) != deviceName+sha256.Size || a.Password == "" {
		return ""
	}
	name := raw[:deviceName]
	if !hmac.Equal(raw[deviceName:], deviceMAC(a, name)) {
		return ""
	}
	return string(name)
}

func deviceMAC(a *market.Account, name []byte) []byte {
	mac := hmac.New(sha256.New, []byte(a.Password))
	mac.Write([]byte("souk device " + string(a.ID) + " "))
	mac.Write(name)
	return mac.Sum(nil)
}
