// Package licensing answers software that asks whether a licence key is good. It owns
// what happens to a licence after it was issued; issuing it is part of settling an order.
package licensing

import (
	"context"
	"fmt"

	"github.com/souk-market/souk/internal/market"
	"github.com/souk-market/souk/store"
)

// Code says why a key is valid or not, for machines.
type Code string

const (
	Valid     Code = "VALID"
	NotFound  Code = "NOT_FOUND" // also for a text that has no key's form
	Suspended Code = "SUSPENDED"
	Expired   Code = "EXPIRED"
	Revoked   Code = "REVOKED"
)

var codes = map[market.LicenseState]Code{
	market.LicenseActive:    Valid,
	market.LicenseSuspended: Suspended,
	market.LicenseExpired:   Expired,
	market.LicenseRevoked:   Revoked,
}

var details = map[Code]string{
	Valid:     "The key is valid.",
	NotFound:  "There is no such key. Check it for typing errors.",
	Suspended: "The key is suspended. Its owner finds the reason on the receipt page.",
	Expired:   "The key has expired.",
	Revoked:   "The key has been revoked.",
}

// Validation is the answer to a question about a key. Agent is only set for a key that
// exists: whoever has it may know what it is for.
type Validation struct {
	Code   Code
	Detail string // for people
	Agent  *market.Agent
}

// Valid reports whether the software may run.
func (v Validation) Valid() bool { return v.Code == Valid }

// Desk answers questions about the licences of one marketplace.
type Desk struct {
	Store  *store.DB
	Tenant market.TenantID
}

// Validate looks a key up by its hash. A wrong key is an answer, not an error, and an
// error is never an answer: software must not take a fault of ours for a revoked key.
func (d *Desk) Validate(ctx context.Context, key string) (v Validation, err error) {
	key, ok := market.NormalizeLicenseKey(key)
	if !ok {
		return answer(NotFound, nil), nil
	}
	err = d.Store.View(ctx, d.Tenant, func(tx *store.ReadTx) error {
		l, err := store.LicenseByHash.Load(tx, market.HashLicenseKey(key))
		if market.Is(err, market.NotFound) {
			v = answer(NotFound, nil)
			return nil
		}
		if err != nil {
			return err
		}
		code, ok := codes[l.State]
		if !ok {
			return fmt.Errorf("licensing: license %s is in the unknown state %q", l.ID, l.State)
		}
		a, err := store.Agents.Load(tx, l.Agent)
		if market.Is(err, market.NotFound) { // our fault, and not to be told as "no such key"
			return fmt.Errorf("licensing: license %s is for agent %s, which isn't there", l.ID, l.Agent)
		}
		if err != nil {
			return err
		}
		v = answer(code, &a)
		return nil
	})
	return v, err
}

func answer(c Code, a *market.Agent) Validation { return Validation{c, details[c], a} }
