package market

import (
	"crypto/sha256"
	"encoding/hex"
	"log/slog"
	"strings"
	"time"
)

// Account is a person, buyer and seller in one. No two accounts of a tenant have the
// same EmailKey.
type Account struct {
	ID      AccountID `cbor:"id"`
	Email   string    `cbor:"email"` // normalized
	Name    string    `cbor:"name,omitempty"`
	Created time.Time `cbor:"created"`
	// Verified is when the person was known to read mail at the address; zero when they
	// are not. Only then may the account have what was bought with the address.
	Verified time.Time    `cbor:"verified,omitzero"`
	Password PasswordHash `cbor:"password,omitempty"` // none: no sign-in with a password
	Roles    []Role       `cbor:"roles,omitempty"`
}

// Has reports whether the account has a role.
func (a *Account) Has(role Role) bool {
	for _, r := range a.Roles {
		if r == role {
			return true
		}
	}
	return false
}

// Role is what an account may do besides buying and selling. Who sells has a Seller
// instead.
type Role string

// RoleOperator runs the marketplace.
const RoleOperator Role = "operator"

// PasswordHash is a password as it is stored: a slow, salted hash in PHC form
// ("$argon2id$v=19$…"). It prints as "***", so that no log has it by accident.
type PasswordHash string

func (PasswordHash) String() string { return "***" }

// LogValue is what structured logs get.
func (PasswordHash) LogValue() slog.Value { return slog.StringValue("***") }

// EmailKey is the form in which normalized addresses are compared: in lower case, for
// "Ada@example.com" and "ada@example.com" are one mailbox everywhere in practice. Only
// ASCII letters are folded; a wider folding would make one of addresses that mail
// servers deliver to different people.
func EmailKey(email string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'A' && r <= 'Z' {
			r += 'a' - 'A'
		}
		return r
	}, email)
}

// Session is a browser that has signed in. The token in its cookie is not stored, only
// its hash, so that nobody who reads the database can be somebody else.
type Session struct {
	ID      SessionID `cbor:"id"` // HashSessionToken of the token
	Account AccountID `cbor:"account"`
	Created time.Time `cbor:"created"`
	Seen    time.Time `cbor:"seen"` // to the hour
	Expires time.Time `cbor:"expires"`
}

// SessionID is the SHA-256 of a session's token in lower-case hex.
type SessionID string

// HashSessionToken names the session of a token. A plain hash is enough: the token has
// 160 random bits.
func HashSessionToken(token string) SessionID {
	sum := sha256.Sum256([]byte(token))
	return SessionID(hex.EncodeToString(sum[:]))
}
