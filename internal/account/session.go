package account

import (
	"context"
	"time"

	"github.com/souk-market/souk/internal/market"
	"github.com/souk-market/souk/store"
)

const (
	// sessionLife is how long a session lasts at most, and idleLife how long without
	// use. A buyer comes back within a week or types the password.
	sessionLife = 30 * 24 * time.Hour
	idleLife    = 7 * 24 * time.Hour
	// seenEvery is how exactly Seen is kept: a page view is not a write.
	seenEvery = time.Hour
	// maxSessions of one account; another one ends the one that ends first anyway. It
	// keeps ending all of them within a transaction's limit.
	maxSessions = 50
)

func beginSession(tx *store.Tx, id market.AccountID, token string) (market.Session, error) {
	if err := endSessions(tx, id, maxSessions-1); err != nil {
		return market.Session{}, err
	}
	now := tx.Now()
	s := market.Session{ID: market.HashSessionToken(token), Account: id, Created: now, Seen: now, Expires: now.Add(idleLife)}
	return s, store.Sessions.Insert(tx, &s)
}

// endSessions ends sessions of an account until keep are left.
func endSessions(tx *store.Tx, id market.AccountID, keep int) error {
	n, err := store.SessionsOfAccount.Count(tx, id)
	if err != nil {
		return err
	}
	var ending []market.SessionID
	for row, err := range store.SessionsOfAccount.Scan(tx, id, "") {
		if err != nil {
			return err
		}
		if n-len(ending) <= keep {
			break
		}
		ending = append(ending, row.Record.ID)
	}
	return deleteSessions(tx, ending)
}

func deleteSessions(tx *store.Tx, ids []market.SessionID) error {
	for _, id := range ids {
		if err := store.Sessions.Delete(tx, id); err != nil {
			return err
		}
	}
	return nil
}

// Who returns the account that a session's token belongs to. The error is Unauthorized
// for a session that isn't or has ended. Everything is read afresh: a session or role
// that was taken away is gone at the next call.
func (r *Roster) Who(ctx context.Context, token string) (a market.Account, err error) {
	var s market.Session
	stale := false
	err = r.Store.View(ctx, r.Tenant, func(tx *store.ReadTx) (err error) {
		if s, err = store.Sessions.Load(tx, market.HashSessionToken(token)); err != nil {
			return err
		}
		if !tx.Now().Before(s.Expires) {
			return market.Errorf(market.NotFound, "This session has ended.")
		}
		stale = tx.Now().Sub(s.Seen) >= seenEvery
		a, err = store.Accounts.Load(tx, s.Account)
		return err
	})
	if market.Is(err, market.NotFound) {
		return market.Account{}, market.Errorf(market.Unauthorized, "Please sign in.")
	}
	if err != nil {
		return market.Account{}, err
	}
	if stale {
		if err := r.touch(ctx, s.ID); err != nil {
			r.Logger.Warn("a session's use couldn't be noted", "err", err)
		}
	}
	return a, nil
}

// touch notes that a session is in use, which moves its end.
func (r *Roster) touch(ctx context.Context, id market.SessionID) error {
	_, err := r.Store.Update(ctx, r.Tenant, store.Op{Class: store.Ephemeral}, func(tx *store.Tx) error {
		s, err := store.Sessions.Load(tx, id)
		if market.Is(err, market.NotFound) {
			return nil // signed out meanwhile
		}
		if err != nil {
			return err
		}
		s.Seen, s.Expires = tx.Now(), tx.Now().Add(idleLife)
		if end := s.Created.Add(sessionLife); s.Expires.After(end) {
			s.Expires = end
		}
		return store.Sessions.Put(tx, &s)
	})
	return err
}

// SignOut ends the session of a token; one that isn't is fine.
func (r *Roster) SignOut(ctx context.Context, token string) error {
	_, err := r.Store.Update(ctx, r.Tenant, store.Op{Class: store.UserData}, func(tx *store.Tx) error {
		return store.Sessions.Delete(tx, market.HashSessionToken(token))
	})
	return err
}

// Prune forgets up to 100 sessions that have ended. It is meant to run every minute.
func (r *Roster) Prune(ctx context.Context) error {
	_, err := r.Store.Update(ctx, r.Tenant, store.Op{Class: store.Ephemeral}, func(tx *store.Tx) error {
		var ended []market.SessionID
		for row, err := range store.EndingSessions.Scan(tx, store.All{}, "") {
			if err != nil {
				return err
			}
			if len(ended) == 100 || tx.Now().Before(row.Record.Expires) {
				break
			}
			ended = append(ended, row.Record.ID)
		}
		return deleteSessions(tx, ended)
	})
	return err
}
