package account

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"runtime"
	"strings"
	"time"

	"github.com/souk-market/souk/internal/market"
	"golang.org/x/crypto/argon2"
)

// Passwords have at least minPassword characters and no rule of composition, which only
// makes people choose worse (NIST SP 800-63B-4, 3.1.1.2). The upper bound keeps a
// request small; the hash takes no longer for a long one.
const (
	minPassword = 10
	maxPassword = 1024 // bytes
)

func checkPassword(password string) error {
	switch {
	case len([]rune(password)) < minPassword:
		return market.FieldErrorf("password", "This password is too short. Take one of %d characters or more; several words are good.", minPassword)
	case len(password) > maxPassword:
		return market.FieldErrorf("password", "This password is too long: %d bytes at most.", maxPassword)
	}
	return nil
}

// NewPassword draws a password that can be typed: four groups of four characters, 80
// random bits.
func NewPassword() string {
	text := market.NewSecret()
	return text[:4] + "-" + text[4:8] + "-" + text[8:12] + "-" + text[12:16]
}

// cost of argon2id. Today's is the first choice of the OWASP password storage cheat
// sheet: 19 MiB, two passes, one lane; 20 to 60 ms of one core.
type cost struct {
	memory uint32 // KiB
	passes uint32
	lanes  uint8
}

var today = cost{19 * 1024, 2, 1}

const (
	saltSize = 16
	keySize  = 32
)

// phc is a password hash taken apart: "$argon2id$v=19$m=19456,t=2,p=1$salt$key".
type phc struct {
	cost
	salt, key []byte
}

// nobody is what an attempt for an address without an account is compared with, so that
// it takes as long as any other. No password has this key.
var nobody = phc{today, make([]byte, saltSize), make([]byte, keySize)}

func (p phc) encode() market.PasswordHash {
	b64 := base64.RawStdEncoding
	return market.PasswordHash(fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s",
		argon2.Version, p.memory, p.passes, p.lanes, b64.EncodeToString(p.salt), b64.EncodeToString(p.key)))
}

// parsePHC reads a stored hash. Costs beyond what a sign-in may use are refused, so that
// no stored text can make one take the machine's memory.
func parsePHC(h market.PasswordHash) (p phc, err error) {
	parts := strings.Split(string(h), "$")
	var version int
	if len(parts) != 6 || parts[0] != "" || parts[1] != "argon2id" {
		return p, fmt.Errorf("account: a stored password hash is not argon2id in PHC form")
	}
	if _, err := fmt.Sscanf(parts[2], "v=%d", &version); err != nil || version != argon2.Version {
		return p, fmt.Errorf("account: a stored password hash has version %q", parts[2])
	}
	if _, err := fmt.Sscanf(parts[3], "m=%d,t=%d,p=%d", &p.memory, &p.passes, &p.lanes); err != nil ||
		p.memory > 256<<10 || p.passes < 1 || p.passes > 16 || p.lanes < 1 || p.lanes > 8 {
		return p, fmt.Errorf("account: a stored password hash has the cost %q", parts[3])
	}
	if p.salt, err = base64.RawStdEncoding.DecodeString(parts[4]); err == nil {
		p.key, err = base64.RawStdEncoding.DecodeString(parts[5])
	}
	if err != nil || len(p.salt) < 8 || len(p.key) < 16 || len(p.key) > 64 {
		return p, fmt.Errorf("account: a stored password hash has an unreadable salt or key")
	}
	return p, nil
}

// hasher runs slow hashes, only so many at a time: each takes 19 MiB and a core.
type hasher struct {
	slots chan struct{}
	ran   func() // called for each hash; for tests, nil for none
}

// hashWait is how long an attempt waits for its turn.
const hashWait = 5 * time.Second

func newHasher() *hasher {
	return &hasher{slots: make(chan struct{}, min(runtime.GOMAXPROCS(0), 4))}
}

// key computes the hash of a password. The error is Unavailable when too many others
// are before it.
func (h *hasher) key(ctx context.Context, password string, p phc) ([]byte, error) {
	timer := time.NewTimer(hashWait)
	defer timer.Stop()
	select {
	case h.slots <- struct{}{}:
	case <-ctx.Done():
		return nil, fmt.Errorf("account: waiting to check a password: %w", ctx.Err())
	case <-timer.C:
		return nil, market.Errorf(market.Unavailable, "Too many people are signing in at this moment. Please try again.")
	}
	defer func() { <-h.slots }()
	if h.ran != nil {
		h.ran()
	}
	return argon2.IDKey([]byte(password), p.salt, p.passes, p.memory, p.lanes, uint32(len(p.key))), nil
}

func (h *hasher) hash(ctx context.Context, password string) (market.PasswordHash, error) {
	p := phc{today, make([]byte, saltSize), make([]byte, keySize)}
	rand.Read(p.salt)
	key, err := h.key(ctx, password, p)
	if err != nil {
		return "", err
	}
	p.key = key
	return p.encode(), nil
}

// match reports whether a password is the one of an account, in the same time whether
// the account has one or not.
func (h *hasher) match(ctx context.Context, password string, a *market.Account) (bool, error) {
	p, known := nobody, false
	if a.Password != "" {
		var err error
		if p, err = parsePHC(a.Password); err != nil {
			return false, err
		}
		known = true
	}
	key, err := h.key(ctx, password, p)
	if err != nil {
		return false, err
	}
	return subtle.ConstantTimeCompare(key, p.key) == 1 && known, nil
}
