package store

import (
	"time"

	"github.com/souk-market/souk/internal/market"
)

// The tables. A new kind of record is declared here and its type in internal/market;
// nothing else has to know. Numbers of tables and indexes are never used again for
// something else: they are in every key on every disk.

const (
	tableOps          tableID = 1
	tableJobs         tableID = 2
	tableAccounts     tableID = 3
	tableSellers      tableID = 4
	tableAgents       tableID = 5
	tableBlobs        tableID = 6
	tableCarts        tableID = 7
	tableCheckouts    tableID = 8
	tableOrders       tableID = 9
	tablePayments     tableID = 10
	tableEvents       tableID = 11
	tableEntitlements tableID = 12
	tableLicenses     tableID = 13
	tablePostings     tableID = 14
	tableBalances     tableID = 15
)

// All is the prefix of an index over a whole table.
type All struct{}

func all(All) tuple { return nil }

func text[S ~string](s S) tuple { return tuple(nil).text(string(s)) }

// ops holds the operations done, by ID.
var ops = newTable(tableOps, "ops", "operation", func(o *opRecord) string { return o.ID })

// Accounts, each with its own address.
var (
	Accounts       = newTable(tableAccounts, "accounts", "account", func(a *market.Account) market.AccountID { return a.ID })
	AccountByEmail = unique(Accounts, 1, "e-mail address", func(a *market.Account) string { return a.Email })
)

// Sellers, each with its own slug.
var (
	Sellers      = newTable(tableSellers, "sellers", "seller", func(s *market.Seller) market.SellerID { return s.ID })
	SellerBySlug = unique(Sellers, 1, "slug", func(s *market.Seller) string { return s.Slug })
)

// Agents: the public indexes hold published ones only, the most popular first or the
// newest first.
var (
	Agents          = newTable(tableAgents, "agents", "agent", func(a *market.Agent) market.AgentID { return a.ID })
	AgentBySlug     = unique(Agents, 1, "slug", func(a *market.Agent) string { return a.Slug })
	AgentByExternal = unique(Agents, 2, "external ID", func(a *market.Agent) string { return a.ExternalID })

	AgentsInCategory = ordered(Agents, 3, "category", text[market.Category],
		func(a *market.Agent) (market.Category, tuple, bool) {
			return a.Category, tuple(nil).descending(a.Popularity), a.Visible()
		}).withCounts()
	PopularAgents = ordered(Agents, 4, "popularity", all, func(a *market.Agent) (All, tuple, bool) {
		return All{}, tuple(nil).descending(a.Popularity), a.Visible()
	}).withCounts()
	NewestAgents = ordered(Agents, 5, "date", all, func(a *market.Agent) (All, tuple, bool) {
		return All{}, tuple(nil).descending(max(a.Updated.UnixMilli(), 0)), a.Visible()
	})
	AgentsOfSeller = ordered(Agents, 6, "seller", text[market.SellerID],
		func(a *market.Agent) (market.SellerID, tuple, bool) { return a.Seller, nil, true }).withCounts()
)

// Blobs that the tenant's records name.
var Blobs = newTable(tableBlobs, "blobs", "file", func(b *market.Blob) string { return b.SHA256 })

// Carts by the secret in the visitor's cookie; the longest untouched first.
var (
	Carts    = newTable(tableCarts, "carts", "cart", func(c *market.Cart) market.CartID { return c.ID })
	OldCarts = ordered(Carts, 1, "age", all, func(c *market.Cart) (All, tuple, bool) {
		return All{}, tuple(nil).time(c.Updated), true
	})
)

// Checkouts, with those that may still expire by when they do.
var (
	Checkouts         = newTable(tableCheckouts, "checkouts", "checkout", func(c *market.Checkout) market.CheckoutID { return c.ID })
	CheckoutByReceipt = unique(Checkouts, 1, "receipt", func(c *market.Checkout) string { return c.Receipt })
	CheckoutByNumber  = unique(Checkouts, 2, "number", func(c *market.Checkout) string { return c.Number })
	ExpiringCheckouts = ordered(Checkouts, 3, "expiry", all, func(c *market.Checkout) (All, tuple, bool) {
		return All{}, tuple(nil).time(c.Expires), c.State == market.CheckoutOpen || c.State == market.CheckoutProcessing
	})
)

// Orders of a checkout and of a seller, in the order of their creation.
var (
	Orders           = newTable(tableOrders, "orders", "order", func(o *market.Order) market.OrderID { return o.ID })
	OrdersOfCheckout = ordered(Orders, 1, "checkout", text[market.CheckoutID],
		func(o *market.Order) (market.CheckoutID, tuple, bool) { return o.Checkout, nil, true })
	OrdersOfSeller = ordered(Orders, 2, "seller", text[market.SellerID],
		func(o *market.Order) (market.SellerID, tuple, bool) { return o.Seller, nil, true })
)

// Payments, and those that a provider may still change, oldest first.
var (
	Payments         = newTable(tablePayments, "payments", "payment", func(p *market.Payment) market.PaymentID { return p.ID })
	PaymentOf        = unique(Payments, 1, "checkout", func(p *market.Payment) market.CheckoutID { return p.Checkout })
	PaymentBySession = unique(Payments, 2, "payment session", func(p *market.Payment) string {
		if p.Session == "" {
			return ""
		}
		return p.Provider + ":" + p.Session
	})
	OpenPayments = ordered(Payments, 3, "open payment", all, func(p *market.Payment) (All, tuple, bool) {
		return All{}, tuple(nil).time(p.Created), p.State.Open()
	})
)

// Events of payment providers that have been dealt with, by provider and ID.
var Events = newTable(tableEvents, "events", "event", func(e *market.ProviderEvent) string { return e.ID })

// Entitlements, one per paid line.
var (
	Entitlements = newTable(tableEntitlements, "entitlements", "entitlement",
		func(e *market.Entitlement) market.EntitlementID { return e.ID })
	EntitlementOfLine      = unique(Entitlements, 1, "line", func(e *market.Entitlement) market.LineID { return e.Line })
	EntitlementsOfCheckout = ordered(Entitlements, 2, "checkout", text[market.CheckoutID],
		func(e *market.Entitlement) (market.CheckoutID, tuple, bool) { return e.Checkout, nil, true })
)

// Licenses, found by the hash of their key.
var (
	Licenses      = newTable(tableLicenses, "licenses", "license", func(l *market.License) market.LicenseID { return l.ID })
	LicenseByHash = unique(Licenses, 1, "key", func(l *market.License) string { return l.KeyHash })
)

// Postings of the ledger, one per cause; Balances are their sums by account and currency.
var (
	Postings       = newTable(tablePostings, "postings", "posting", func(p *market.Posting) market.PostingID { return p.ID })
	PostingByCause = unique(Postings, 1, "cause", func(p *market.Posting) string { return p.Cause })
	Balances       = newTable(tableBalances, "balances", "balance", func(b *market.Balance) string { return balanceKey(b.Account, b.Amount.Currency) })
)

func balanceKey(a market.LedgerAccount, c market.Currency) string { return string(a) + " " + string(c) }

// jobs by when they are due next: queued ones at their time, running ones when their
// lease ends. Dead ones are only in the index of states.
var (
	jobs    = newTable(tableJobs, "jobs", "job", func(j *Job) market.JobID { return j.ID })
	dueJobs = ordered(jobs, 1, "due time", all, func(j *Job) (All, tuple, bool) {
		return All{}, tuple(nil).time(j.Due), j.State != JobDead
	})
	jobsInState = ordered(jobs, 2, "state", text[JobState], func(j *Job) (JobState, tuple, bool) {
		return j.State, nil, true
	}).withCounts()
)

// Post writes a posting and adds its entries to their accounts' balances. A second
// posting for the same cause is refused with Conflict.
func Post(tx *Tx, p *market.Posting) error {
	if err := p.Balanced(); err != nil {
		return err
	}
	if err := Postings.Insert(tx, p); err != nil {
		return err
	}
	for _, e := range p.Entries {
		b, err := BalanceOf(tx, e.Account, e.Amount.Currency)
		if err != nil {
			return err
		}
		if b.Amount, err = b.Amount.Add(e.Amount); err != nil {
			return err
		}
		if err := Balances.Put(tx, &b); err != nil {
			return err
		}
	}
	return nil
}

// BalanceOf returns an account's balance in a currency; zero for one never posted to.
func BalanceOf(tx Reader, account market.LedgerAccount, c market.Currency) (market.Balance, error) {
	b, err := Balances.Load(tx, balanceKey(account, c))
	if market.Is(err, market.NotFound) {
		return market.Balance{Account: account, Amount: market.Money{Currency: c}}, nil
	}
	return b, err
}

// PruneOps forgets operations done before a time, at most n of them, and reports how
// many it forgot.
func PruneOps(tx *Tx, before time.Time, n int) (int, error) {
	pruned := 0
	for op, err := range ops.All(tx, "") {
		if err != nil {
			return pruned, err
		}
		if pruned == n {
			break
		}
		if op.At.Before(before) {
			if err := ops.Delete(tx, op.ID); err != nil {
				return pruned, err
			}
			pruned++
		}
	}
	return pruned, nil
}
