package account

import (
	"context"
	"fmt"
	"time"

	"github.com/souk-market/souk/internal/market"
	"github.com/souk-market/souk/store"
)

// Attempt is an attempt to sign in.
type Attempt struct {
	Email    string // as typed
	Password string
	Remote   string // the client's address, "192.0.2.1:1234"
	Device   string // the browser's mark from an earlier SignedIn; may be empty or anything
	Session  string // the browser's session token so far; that session ends
}

// SignedIn is a session that has begun.
type SignedIn struct {
	Account market.Account
	Token   string // for the session's cookie; stored nowhere else
	Expires time.Time
	Device  string // the browser's mark, to be kept for a year or so
}

// SignIn begins a session for who knows the password of an address. Errors: Invalid
// with the field, the same for a wrong password, an unknown address, and an account
// without a password; RateLimited with *Throttled as cause; Unavailable.
func (r *Roster) SignIn(ctx context.Context, at Attempt) (SignedIn, error) {
	email, err := market.NormalizeEmail(at.Email)
	if err != nil {
		return SignedIn{}, err
	}
	switch {
	case at.Password == "":
		return SignedIn{}, market.FieldErrorf("password", "Please type your password.")
	case len(at.Password) > maxPassword:
		return SignedIn{}, wrong()
	}
	a, err := r.ByEmail(ctx, email)
	if err != nil && !market.Is(err, market.NotFound) {
		return SignedIn{}, err
	}
	if err := r.prove(ctx, &a, market.EmailKey(email), at); err != nil {
		return SignedIn{}, err
	}
	stronger, err := r.upgrade(ctx, &a, at.Password)
	if err != nil {
		return SignedIn{}, err
	}
	return r.begin(ctx, &a, stronger, at)
}

func wrong() error {
	return market.FieldErrorf("password", "This address and password don't belong together. Please check both.")
}

// prove checks the password of an attempt for an account, the zero one for nobody's. The attempt is
// counted before the password is looked at, so that many at once are counted too, and
// taken off again when it was right.
func (r *Roster) prove(ctx context.Context, a *market.Account, key string, at Attempt) error {
	charges := r.throttle.charges(key, at.Remote, deviceOf(at.Device, a))
	if wait := r.throttle.take(r.Clock(), charges); wait > 0 {
		return tooMany(wait)
	}
	ok, err := r.hasher.match(ctx, at.Password, a)
	if ok || err != nil {
		r.throttle.giveBack(charges)
	}
	if err == nil && !ok {
		err = wrong()
	}
	return err
}

// upgrade hashes a password anew when it was stored at another cost than today's; "" when not.
func (r *Roster) upgrade(ctx context.Context, a *market.Account, password string) (market.PasswordHash, error) {
	p, err := parsePHC(a.Password)
	if err != nil || p.cost == today {
		return "", err
	}
	return r.hasher.hash(ctx, password)
}

// begin makes the session. The password was checked outside of the transaction: when it
// has been changed since, it is wrong now.
func (r *Roster) begin(ctx context.Context, a *market.Account, stronger market.PasswordHash, at Attempt) (in SignedIn, err error) {
	token := market.NewSecret()
	_, err = r.Store.Update(ctx, r.Tenant, store.Op{Class: store.Ephemeral}, func(tx *store.Tx) error {
		now, err := store.Accounts.Load(tx, a.ID)
		if err != nil && !market.Is(err, market.NotFound) {
			return err
		}
		if err != nil || now.Password != a.Password {
			return wrong()
		}
		if stronger != "" {
			now.Password = stronger
			if err := store.Accounts.Put(tx, &now); err != nil {
				return err
			}
		}
		if at.Session != "" {
			if err := store.Sessions.Delete(tx, market.HashSessionToken(at.Session)); err != nil {
				return err
			}
		}
		s, err := beginSession(tx, now.ID, token)
		in = SignedIn{Account: now, Token: token, Expires: s.Expires}
		return err
	})
	if err != nil {
		return SignedIn{}, err
	}
	if in.Device = at.Device; deviceOf(at.Device, &in.Account) == "" {
		in.Device = newDevice(&in.Account)
	}
	return in, nil
}

// ChangePassword gives an account another password, for who knows the current one, and
// ends all its sessions. Errors: Invalid with the field "current" or "password",
// RateLimited.
func (r *Roster) ChangePassword(ctx context.Context, id market.AccountID, current, next, remote string) error {
	if err := checkPassword(next); err != nil {
		return err
	}
	var a market.Account
	err := r.Store.View(ctx, r.Tenant, func(tx *store.ReadTx) (err error) {
		a, err = store.Accounts.Load(tx, id)
		return err
	})
	if err != nil {
		return err
	}
	err = r.prove(ctx, &a, market.EmailKey(a.Email), Attempt{Password: current, Remote: remote})
	if market.Is(err, market.Invalid) {
		return market.FieldErrorf("current", "This isn't your current password.")
	}
	if err != nil {
		return err
	}
	return r.setPassword(ctx, &a, next)
}

// SetPassword gives an account another password and ends all its sessions, without
// asking for the current one: for the operator's shell.
func (r *Roster) SetPassword(ctx context.Context, id market.AccountID, next string) error {
	if err := checkPassword(next); err != nil {
		return err
	}
	return r.setPassword(ctx, &market.Account{ID: id}, next)
}

// setPassword stores a password, if was has the one that is there or none is asked for.
func (r *Roster) setPassword(ctx context.Context, was *market.Account, next string) error {
	hash, err := r.hasher.hash(ctx, next)
	if err != nil {
		return err
	}
	_, err = r.Store.Update(ctx, r.Tenant, store.Op{Class: store.Transaction}, func(tx *store.Tx) error {
		a, err := store.Accounts.Load(tx, was.ID)
		if err != nil {
			return err
		}
		if was.Password != "" && a.Password != was.Password {
			return market.Errorf(market.Conflict, "The password has just been changed elsewhere. Please sign in with the new one.")
		}
		a.Password = hash
		if err := store.Accounts.Put(tx, &a); err != nil {
			return err
		}
		return endSessions(tx, a.ID, 0)
	})
	if err != nil {
		return fmt.Errorf("account: changing a password: %w", err)
	}
	return nil
}

// Knows reports whether a password is an account's, unthrottled: for the operator's shell.
func (r *Roster) Knows(ctx context.Context, a *market.Account, password string) (bool, error) {
	return r.hasher.match(ctx, password, a)
}
