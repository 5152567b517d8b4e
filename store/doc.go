// Package store keeps everything that Souk knows. It owns transactions, the change log,
// tables and their indexes, the job queue, and the check of the whole database; it
// promises what DESIGN.md lists under "Store: promises"; it leaves to its callers who may
// do what. Pebble is the engine, and no other package but internal/replica sees it.
//
// # Use
//
// Update runs a function alone and commits what it wrote; View runs one on a snapshot;
// Feed yields the commits in order. Both kinds of transaction are bound to a tenant and
// see only its records. Tables (below) read and write records:
//
//	db.Update(ctx, tenant, store.Op{ID: "settle/" + id}, func(tx *store.Tx) error {
//		p, err := store.Payments.Load(tx, id)
//		…
//		return store.Payments.Put(tx, &p)
//	})
//
// # The life of a commit
//
// The writer's token admits one Update at a time. It runs fn, collects what fn writes
// (writes.go; fn reads it back from there), makes a batch of it with the change-log
// entry, the next LSN and the chain hash, and applies the batch to the memtable and the
// log's buffer. Then it gives up the token and waits for the sync, which it shares with
// all commits of that moment. So readers can see a commit that isn't
// durable yet; nothing that acts on the outside may: followers are fed up to DurableLSN,
// and Update returns after the sync. If a sync fails, the process ends (Options.Fatal),
// because memory and disk may differ from there on.
//
// A standby (Options.Standby) has no commits of its own: Replay brings it the files of a
// replica, each of them many commits folded together, which readers see as one. Its log has
// an entry for each file, so that followers work on a standby as they do on a primary.
//
// # Keys
//
// Texts in keys are length-prefixed (uvarint) and numbers are eight bytes, big-endian.
//
//	00 'v'                                   schema version of the directory, four bytes
//	00 'n'                                   Node, CBOR
//	00 'l' LSN                               change-log entry (log.go; of a standby span.go)
//	01 00 'v'                                schema version of the data, four bytes; 00 is the
//	                                         name of no tenant (schema.go)
//	01 tenant table 00 key                   record, CBOR
//	01 tenant table n parts key              entry of index n: the record's key; a unique
//	                                         index has no key at the end
//	01 tenant table 80|n prefix              number of records under a prefix of index n
//
// The space 00 belongs to the directory and isn't replicated; the space 01 is, whole.
// Tables, their numbers and the numbers of their indexes are declared below: a new kind
// of record is declared here and its type in internal/market, and nothing else has to
// know. The declarations are the schema; numbers are never used again for something
// else, since they are in every key on every disk.
package store

import (
	"github.com/souk-market/souk/internal/market"
)

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
	tableSessions     tableID = 16
	tableDrills       tableID = 17
	tableTexts        tableID = 18
	tableReleases     tableID = 19
	tableShelves      tableID = 20
	tableTagAliases   tableID = 21
	tableRedirects    tableID = 22
	tablePages        tableID = 23
	tableReviews      tableID = 24
	tableAttributes   tableID = 25
	tableRelated      tableID = 26
)

// ops holds the operations done, by ID. Index 1, by age, went away with schema version 2.
var ops = newTable(tableOps, "ops", "operation", func(o *opRecord) string { return o.ID })

// Accounts, each with its own address.
var (
	Accounts       = newTable(tableAccounts, "accounts", "account", func(a *market.Account) market.AccountID { return a.ID })
	AccountByEmail = unique(Accounts, 1, "e-mail address", func(a *market.Account) string { return market.EmailKey(a.Email) })
)

// Sessions by the hash of their token: of an account, the one that ends first before
// the others, and of all, those that have ended before those that haven't.
var (
	Sessions          = newTable(tableSessions, "sessions", "session", func(s *market.Session) market.SessionID { return s.ID })
	SessionsOfAccount = ordered(Sessions, 1, "account", text[market.AccountID],
		func(s *market.Session) (market.AccountID, place, bool) {
			return s.Account, oldestFirst(s.Expires), true
		}).withCounts()
	EndingSessions = ordered(Sessions, 2, "expiry", all, func(s *market.Session) (All, place, bool) {
		return All{}, oldestFirst(s.Expires), true
	})
)

// Sellers, each with its own slug; most accounts have none.
var (
	Sellers          = newTable(tableSellers, "sellers", "seller", func(s *market.Seller) market.SellerID { return s.ID })
	SellerBySlug     = unique(Sellers, 1, "slug", func(s *market.Seller) string { return s.Slug })
	SellersOfAccount = ordered(Sellers, 2, "account", text[market.AccountID],
		func(s *market.Seller) (market.AccountID, place, bool) { return s.Account, byKey, s.Account != "" })
)

// Agents: the public indexes hold published ones only, the most popular first or the
// newest first.
var (
	Agents          = newTable(tableAgents, "agents", "agent", func(a *market.Agent) market.AgentID { return a.ID })
	AgentBySlug     = unique(Agents, 1, "slug", func(a *market.Agent) string { return a.Slug })
	AgentByExternal = unique(Agents, 2, "external ID", func(a *market.Agent) string { return a.ExternalID })

	AgentsInCategory = ordered(Agents, 3, "category", text[market.Category],
		func(a *market.Agent) (market.Category, place, bool) {
			return a.Category, largestFirst(a.Popularity), a.Visible()
		}).withCounts()
	PopularAgents = ordered(Agents, 4, "popularity", all, func(a *market.Agent) (All, place, bool) {
		return All{}, largestFirst(a.Popularity), a.Visible()
	}).withCounts()
	NewestAgents = ordered(Agents, 5, "date", all, func(a *market.Agent) (All, place, bool) {
		return All{}, newestFirst(a.Updated), a.Visible()
	})
	AgentsOfSeller = ordered(Agents, 6, "seller", text[market.SellerID],
		func(a *market.Agent) (market.SellerID, place, bool) { return a.Seller, byKey, true }).withCounts()
	PickedAgents = ordered(Agents, 7, "pick", all, func(a *market.Agent) (All, place, bool) {
		return All{}, newestFirst(a.Picked), a.Visible() && !a.Picked.IsZero()
	})
)

// What belongs to an agent: its long texts, its releases, the newest first, the slugs it
// had before, its reviews that everyone may read, the newest first, and the agents that
// have most in common with it, which are found again when they are lost.
var (
	Texts           = newTable(tableTexts, "texts", "description", func(t *market.AgentText) market.AgentID { return t.Agent })
	Releases        = newTable(tableReleases, "releases", "release", func(r *market.AgentRelease) market.ReleaseID { return r.ID })
	ReleasesOfAgent = ordered(Releases, 1, "agent", text[market.AgentID],
		func(r *market.AgentRelease) (market.AgentID, place, bool) {
			return r.Agent, newestFirst(r.Released), true
		}).withCounts()
	Redirects      = newTable(tableRedirects, "redirects", "redirect", func(r *market.Redirect) string { return r.Slug })
	Reviews        = newTable(tableReviews, "reviews", "review", func(r *market.Review) market.ReviewID { return r.ID })
	ReviewByLine   = unique(Reviews, 1, "sale", func(r *market.Review) market.LineID { return r.Line })
	ReviewsOfAgent = ordered(Reviews, 2, "agent", text[market.AgentID], func(r *market.Review) (market.AgentID, place, bool) {
		return r.Agent, newestFirst(r.Created), r.Counts()
	}).withCounts()
	Related = newTable(tableRelated, "related", "related agents", func(r *market.Related) market.AgentID { return r.Agent })
)

// Shelves of the catalogue, tags that are written in two ways, attributes of agents that the
// operator has declared, and the operator's pages.
var (
	Shelves    = newTable(tableShelves, "shelves", "category", func(s *market.Shelf) market.Category { return s.Category })
	TagAliases = newTable(tableTagAliases, "tag-aliases", "tag", func(a *market.TagAlias) market.Tag { return a.Alias })
	Attributes = newTable(tableAttributes, "attributes", "attribute", func(a *market.Attribute) market.AttributeName { return a.Name })
	Pages      = newTable(tablePages, "pages", "page", func(p *market.StaticPage) string { return p.Slug })
)

// Blobs that the tenant's records name.
var Blobs = newTable(tableBlobs, "blobs", "file", func(b *market.Blob) string { return b.SHA256 })

// Carts by the secret in the visitor's cookie; the longest untouched first.
var (
	Carts    = newTable(tableCarts, "carts", "cart", func(c *market.Cart) market.CartID { return c.ID })
	OldCarts = ordered(Carts, 1, "age", all, func(c *market.Cart) (All, place, bool) {
		return All{}, oldestFirst(c.Updated), true
	})
)

// Checkouts, with those that may still expire by when they do, and purchases, which are
// the completed ones, by market.EmailKey of their buyer, the newest first.
var (
	Checkouts         = newTable(tableCheckouts, "checkouts", "checkout", func(c *market.Checkout) market.CheckoutID { return c.ID })
	CheckoutByReceipt = unique(Checkouts, 1, "receipt", func(c *market.Checkout) string { return c.Receipt })
	CheckoutByNumber  = unique(Checkouts, 2, "number", func(c *market.Checkout) string { return c.Number })
	ExpiringCheckouts = ordered(Checkouts, 3, "expiry", all, func(c *market.Checkout) (All, place, bool) {
		return All{}, oldestFirst(c.Expires), c.State == market.CheckoutOpen || c.State == market.CheckoutProcessing
	})
	PurchasesOf = ordered(Checkouts, 4, "buyer", text[string], func(c *market.Checkout) (string, place, bool) {
		return market.EmailKey(c.Email), newestFirst(c.Created), c.State == market.CheckoutCompleted
	}).withCounts()
)

// Orders; a seller's sales are the paid ones, the newest first. A checkout names its own.
var (
	Orders        = newTable(tableOrders, "orders", "order", func(o *market.Order) market.OrderID { return o.ID })
	SalesOfSeller = ordered(Orders, 3, "sale", text[market.SellerID],
		func(o *market.Order) (market.SellerID, place, bool) {
			return o.Seller, newestFirst(o.Paid), o.State.Paid()
		}).withCounts()
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
	OpenPayments = ordered(Payments, 3, "open payment", all, func(p *market.Payment) (All, place, bool) {
		return All{}, oldestFirst(p.Created), p.State.Open()
	})
)

// Events of payment providers that have been dealt with, by provider and ID.
var Events = newTable(tableEvents, "events", "event", func(e *market.ProviderEvent) string { return e.ID })

// Entitlements, one per paid line.
var (
	Entitlements = newTable(tableEntitlements, "entitlements", "entitlement",
		func(e *market.Entitlement) market.EntitlementID { return e.ID })
	EntitlementOfLine = unique(Entitlements, 1, "line", func(e *market.Entitlement) market.LineID { return e.Line })
)

// Licenses, found by the hash of their key.
var (
	Licenses      = newTable(tableLicenses, "licenses", "license", func(l *market.License) market.LicenseID { return l.ID })
	LicenseByHash = unique(Licenses, 1, "key", func(l *market.License) string { return l.KeyHash })
)

// Drills, the newest first.
var (
	Drills       = newTable(tableDrills, "drills", "drill", func(d *market.Drill) market.DrillID { return d.ID })
	NewestDrills = ordered(Drills, 1, "date", all, func(d *market.Drill) (All, place, bool) {
		return All{}, newestFirst(d.Started), true
	})
)

// postings of the ledger, one per cause, and balances, their sums by account and
// currency. Both are written by Post alone, and read as Postings and Balances (ledger.go).
var (
	postings       = newTable(tablePostings, "postings", "posting", func(p *market.Posting) market.PostingID { return p.ID })
	PostingByCause = unique(postings, 1, "cause", func(p *market.Posting) string { return p.Cause })
	balances       = newTable(tableBalances, "balances", "balance", func(b *market.Balance) string { return balanceKey(b.Account, b.Amount.Currency) })
)

// jobs of each kind by when they are due next: queued ones at their time, running ones
// when their lease ends. Dead ones are only in the index of states.
var (
	jobs    = newTable(tableJobs, "jobs", "job", func(j *Job) market.JobID { return j.ID })
	dueJobs = ordered(jobs, 1, "due time", text[string], func(j *Job) (string, place, bool) {
		return j.Kind, oldestFirst(j.Due), j.State != JobDead
	})
	jobsInState = ordered(jobs, 2, "state", text[JobState], func(j *Job) (JobState, place, bool) {
		return j.State, byKey, true
	}).withCounts()
)
