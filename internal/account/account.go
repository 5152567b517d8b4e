// Package account owns accounts: who has one, how they prove it, and the sessions of the
// browsers that have.
//
// It promises that neither an answer nor its time tells a stranger which addresses have
// an account; that guessing is slow, per address and per network, in memory of a fixed
// size, and that no guessing keeps out the owner at a browser they have used before;
// that passwords and session tokens are stored only as hashes; and that a session ends
// on the server: when it is signed out, when it is unused, when it is old, and when the
// account's password changes.
//
// It leaves cookies and pages to internal/web, and what a person has bought or sold to
// internal/order.
//
// An attempt to sign in, followed: SignIn (signin.go) → throttle (throttle.go) → the
// slow hash (password.go) → one transaction that ends the browser's old session and
// begins a new one (session.go).
package account

import (
	"context"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/souk-market/souk/internal/market"
	"github.com/souk-market/souk/store"
)

// Config of New.
type Config struct {
	Store  *store.DB
	Tenant market.TenantID
	Clock  func() time.Time // nil is the machine's clock; for throttling, records have the store's
	Logger *slog.Logger
}

// Roster is the accounts of one marketplace.
type Roster struct {
	Config
	hasher   *hasher
	throttle *throttle
}

// New returns a Roster. What it remembers of failed attempts is in memory, 1 MiB, and
// begins empty.
func New(c Config) *Roster {
	if c.Clock == nil {
		c.Clock = time.Now
	}
	return &Roster{Config: c, hasher: newHasher(), throttle: newThrottle()}
}

// NewAccount is what an account is made from.
type NewAccount struct {
	Email    string // as typed
	Name     string // of the person; may be empty
	Password string
	Verified bool   // the person is known to read mail at the address
	Operator bool   // may run the marketplace
	Seller   string // name to sell under; empty for a buyer
}

// Create makes an account, and a seller of it where one is named. It is for the
// operator's shell and the demo. Errors: Invalid with the field, Conflict when the
// address has an account.
func (r *Roster) Create(ctx context.Context, n NewAccount) (a market.Account, err error) {
	email, err := market.NormalizeEmail(n.Email)
	if err != nil {
		return a, err
	}
	name, seller := market.CleanText(n.Name), market.CleanText(n.Seller)
	if err := checkNames(name, seller, n.Seller != ""); err != nil {
		return a, err
	}
	if err := checkPassword(n.Password); err != nil {
		return a, err
	}
	hash, err := r.hasher.hash(ctx, n.Password)
	if err != nil {
		return a, err
	}
	_, err = r.Store.Update(ctx, r.Tenant, store.Op{Class: store.Transaction}, func(tx *store.Tx) error {
		a = market.Account{ID: market.NewAccountID(tx.Now()), Email: email, Name: name, Created: tx.Now(), Password: hash}
		if n.Verified {
			a.Verified = tx.Now()
		}
		if n.Operator {
			a.Roles = []market.Role{market.RoleOperator}
		}
		_, err := store.AccountByEmail.Load(tx, market.EmailKey(email))
		if err == nil {
			return taken(email)
		}
		if !market.Is(err, market.NotFound) {
			return err
		}
		if err := store.Accounts.Insert(tx, &a); err != nil {
			return err
		}
		if seller == "" {
			return nil
		}
		return insertSeller(tx, a.ID, seller)
	})
	return a, err
}

func taken(email string) error {
	e := market.Errorf(market.Conflict, "There is already an account with the address %s.", email)
	e.Field = "email"
	return e
}

func checkNames(name, seller string, sells bool) error {
	if len(name) > market.MaxName {
		return market.FieldErrorf("name", "A name has %d bytes at most.", market.MaxName)
	}
	if !sells {
		return nil
	}
	if len(seller) > market.MaxName {
		return market.FieldErrorf("seller", "A seller's name has %d bytes at most.", market.MaxName)
	}
	slug := market.Slug(seller)
	if slug == "" || slices.Contains(reserved, slug) {
		return market.FieldErrorf("seller", "%q can't be a seller's name. Take one with letters or digits that isn't the marketplace's own.", seller)
	}
	return nil
}

// reserved slugs are the marketplace's own; "imported" is whose listings come from
// other registries.
var reserved = []string{"imported", "souk", "admin", "operator", "support"}

func insertSeller(tx *store.Tx, of market.AccountID, name string) error {
	slug, err := freeSlug(tx, market.Slug(name))
	if err != nil {
		return err
	}
	return store.Sellers.Insert(tx, &market.Seller{ID: market.NewSellerID(tx.Now()), Account: of, Slug: slug, Name: name, Created: tx.Now()})
}

// freeSlug is a seller's slug, with a number behind it when another seller has it.
func freeSlug(tx *store.Tx, base string) (string, error) {
	slug := base
	for n := 2; ; n++ {
		_, err := store.SellerBySlug.Load(tx, slug)
		if market.Is(err, market.NotFound) {
			return slug, nil
		}
		if err != nil {
			return "", err
		}
		suffix := "-" + strconv.Itoa(n)
		slug = strings.TrimRight(base[:min(len(base), market.MaxSlug-len(suffix))], "-") + suffix
	}
}

// ByEmail returns the account with an address, as typed, or NotFound. It is for the
// operator's shell: no visitor may learn which addresses have an account.
func (r *Roster) ByEmail(ctx context.Context, address string) (a market.Account, err error) {
	email, err := market.NormalizeEmail(address)
	if err != nil {
		return a, err
	}
	err = r.Store.View(ctx, r.Tenant, func(tx *store.ReadTx) error {
		a, err = store.AccountByEmail.Load(tx, market.EmailKey(email))
		return err
	})
	return a, err
}

// Sellers returns whom an account sells as; none for who only buys.
func (r *Roster) Sellers(ctx context.Context, id market.AccountID) (ss []market.Seller, err error) {
	err = r.Store.View(ctx, r.Tenant, func(tx *store.ReadTx) error {
		ss = nil
		for row, err := range store.SellersOfAccount.Scan(tx, id, "") {
			if err != nil {
				return err
			}
			ss = append(ss, row.Record)
		}
		return nil
	})
	return ss, err
}
