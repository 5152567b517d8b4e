// Package order sells: carts, checkouts, and what happens when money arrives.
//
// It promises that a checkout is stored before its provider is asked for anything; that
// an order is settled once, whichever of webhook, return page and reconcile job comes
// first; and that nobody pays more than the total they were shown. It leaves taking the
// money to payments, and mail to internal/notify, for which settle enqueues a job.
//
// A purchase, followed: Add (cart.go) → Place (checkout.go) → the provider's page →
// HandleEvent, Return or Reconcile (settle.go) → Receipt (receipt.go).
package order

import (
	"log/slog"
	"sync"
	"time"

	"github.com/souk-market/souk/internal/blob"
	"github.com/souk-market/souk/internal/market"
	"github.com/souk-market/souk/payments"
	"github.com/souk-market/souk/store"
)

// Config of New.
type Config struct {
	Store      *store.DB
	Tenant     market.TenantID
	Blobs      *blob.Store
	Provider   payments.Provider
	BaseURL    string // "https://souk.example", without a slash at the end
	Commission int64  // the platform's part of a price, in basis points
	Currency   market.Currency
	Logger     *slog.Logger
}

// Shop is the selling side of one marketplace.
type Shop struct {
	Config

	pruneMu  sync.Mutex
	prunedTo string // where pruneOps goes on
}

// New returns a Shop. All fields of c are needed.
func New(c Config) *Shop { return &Shop{Config: c} }

const (
	// checkoutLife is how long a checkout can be paid. Stripe takes 30 minutes to 24
	// hours from the moment it is asked; an hour leaves room to ask again.
	checkoutLife = time.Hour
	// cartLife is how long an untouched cart is kept.
	cartLife = 30 * 24 * time.Hour
	// termsVersion names the terms that buyers agree to, frozen into the checkout.
	termsVersion = "2026-11"
)

// ReceiptMail is the kind of the job that sends a receipt; its payload is ReceiptJob.
const ReceiptMail = "mail.receipt"

// ReceiptJob is the payload of a ReceiptMail job.
type ReceiptJob struct {
	Checkout market.CheckoutID `cbor:"checkout"`
}
