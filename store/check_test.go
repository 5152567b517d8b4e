package store

import (
	"context"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/souk-market/souk/internal/market"
)

// pst1 is the posting of ord_1, and pst2 and pst3 are others of the same time.
var pst1, pst2, pst3 = market.NewPostingID(newClock().now), market.NewPostingID(newClock().now), market.NewPostingID(newClock().now)

// openShop opens a database with everything that Check looks at: a paid checkout with
// a licence (chk_1), one that waits for its payment (chk_2), and a free one (chk_3).
func openShop(t *testing.T) *DB {
	db := openRaw(t)
	usd := func(n int64) market.Money { return market.Money{Amount: n, Currency: "USD"} }
	file := market.File{Name: "a.json", SHA256: "ab12", Size: 5}
	line := func(id market.LineID, price int64, license bool) market.Line {
		return market.Line{ID: id, Agent: "agt_1", Price: usd(price), Commission: usd(price / 10), License: license, Release: market.Release{File: file}}
	}
	orders := []market.Order{
		{ID: "ord_1", Checkout: "chk_1", Seller: "sel_1", State: market.OrderFulfilled, Total: usd(1000), Lines: []market.Line{line("lin_1", 900, true), line("lin_2", 100, false)}},
		{ID: "ord_2", Checkout: "chk_2", Seller: "sel_1", State: market.OrderPendingPayment, Total: usd(500), Lines: []market.Line{line("lin_3", 500, false)}},
		{ID: "ord_3", Checkout: "chk_3", Seller: "sel_1", State: market.OrderFulfilled, Total: usd(0), Lines: []market.Line{line("lin_4", 0, false)}},
	}
	posting, _, err := market.SalePosting(&orders[0], "sandbox", newClock().now)
	if err != nil {
		t.Fatal(err)
	}
	posting.ID = pst1
	const key = "SOUK-0000-1111-2222-3333-4444-5555-6666"
	update(t, db, Op{ID: "stock"}, func(tx *Tx) error {
		errs := []error{
			Blobs.Insert(tx, &market.Blob{SHA256: "ab12", Size: 5}),
			Accounts.Insert(tx, &market.Account{ID: "acc_1", Email: "a@example.com"}),
			Sessions.Insert(tx, &market.Session{ID: "ses_1", Account: "acc_1"}),
			Sellers.Insert(tx, &market.Seller{ID: "sel_1", Account: "acc_1", Slug: "ada"}),
			Agents.Insert(tx, &market.Agent{ID: "agt_1", Seller: "sel_1", Slug: "one", State: market.ListingPublished, Release: market.Release{File: file},
				Rating: market.Rating{Stars: [5]int{0, 0, 0, 0, 1}}}),
			Agents.Insert(tx, &market.Agent{ID: "agt_2", Seller: "sel_1", Slug: "two", State: market.ListingPublished, Release: market.Release{File: market.File{OnDemand: true}}}),
			Checkouts.Insert(tx, &market.Checkout{ID: "chk_1", Receipt: "r1", Number: "1", State: market.CheckoutCompleted, Orders: []market.OrderID{"ord_1"}, Payment: "pay_1", Total: usd(1000)}),
			Checkouts.Insert(tx, &market.Checkout{ID: "chk_2", Receipt: "r2", Number: "2", State: market.CheckoutOpen, Orders: []market.OrderID{"ord_2"}, Payment: "pay_2", Total: usd(500)}),
			Checkouts.Insert(tx, &market.Checkout{ID: "chk_3", Receipt: "r3", Number: "3", State: market.CheckoutCompleted, Orders: []market.OrderID{"ord_3"}, Total: usd(0)}),
			Payments.Insert(tx, &market.Payment{ID: "pay_1", Checkout: "chk_1", State: market.PaymentCaptured, Amount: usd(1000)}),
			Payments.Insert(tx, &market.Payment{ID: "pay_2", Checkout: "chk_2", State: market.PaymentCreated, Amount: usd(500)}),
			Entitlements.Insert(tx, &market.Entitlement{ID: "ent_1", Order: "ord_1", Line: "lin_1", Checkout: "chk_1", License: "lic_1"}),
			Entitlements.Insert(tx, &market.Entitlement{ID: "ent_2", Order: "ord_1", Line: "lin_2", Checkout: "chk_1"}),
			Entitlements.Insert(tx, &market.Entitlement{ID: "ent_4", Order: "ord_3", Line: "lin_4", Checkout: "chk_3"}),
			Licenses.Insert(tx, &market.License{ID: "lic_1", Entitlement: "ent_1", Key: key, KeyHash: market.HashLicenseKey(key)}),
			Texts.Insert(tx, &market.AgentText{Agent: "agt_1", Description: "It *works*."}),
			Releases.Insert(tx, &market.AgentRelease{Release: market.Release{ID: "rel_1", File: file}, Agent: "agt_1", State: market.ReleaseLive}),
			Redirects.Insert(tx, &market.Redirect{Slug: "uno", Agent: "agt_1"}),
			Reviews.Insert(tx, &market.Review{ID: "rev_1", Agent: "agt_1", Stars: 5, State: market.ReviewPublished}),
			Reviews.Insert(tx, &market.Review{ID: "rev_2", Agent: "agt_1", Stars: 1, State: market.ReviewExcluded}),
			Post(tx, &posting),
			Enqueue(tx, "mail", "payload"),
		}
		for i := range orders {
			errs = append(errs, Orders.Insert(tx, &orders[i]))
		}
		return errors.Join(errs...)
	})
	return db
}

// breakage spoils a database.
type breakage func(t *testing.T, db *DB)

// edit changes a record as the store itself would, its indexes included, so that only
// what records say of each other is broken.
func edit[K ~string, R any](table *Table[K, R], id K, change func(*R)) breakage {
	return func(t *testing.T, db *DB) {
		update(t, db, Op{}, func(tx *Tx) error {
			rec, err := table.Load(tx, id)
			if err != nil {
				return err
			}
			change(&rec)
			return table.Put(tx, &rec)
		})
	}
}

func remove[K ~string, R any](table *Table[K, R], id K) breakage {
	return func(t *testing.T, db *DB) {
		update(t, db, Op{}, func(tx *Tx) error { return table.Delete(tx, id) })
	}
}

func insert[K ~string, R any](table *Table[K, R], recs ...R) breakage {
	return func(t *testing.T, db *DB) {
		update(t, db, Op{}, func(tx *Tx) error {
			for i := range recs {
				if err := table.Insert(tx, &recs[i]); err != nil {
					return err
				}
			}
			return nil
		})
	}
}

// raw writes a key, or with a nil value deletes it.
func raw(key, value []byte) breakage {
	return func(t *testing.T, db *DB) {
		if value == nil {
			rawDelete(t, db, key)
		} else {
			rawSet(t, db, key, value)
		}
	}
}

func keyOf(table tableID, kind byte, parts tuple) []byte {
	return append(append(tenantPrefix(tenant), byte(table), kind), parts...)
}

func texts(parts ...string) (t tuple) {
	for _, p := range parts {
		t = t.text(p)
	}
	return t
}

var dollars = func(n int64) market.Money { return market.Money{Amount: n, Currency: "USD"} }

// breakages are all ways in which a database can be broken, each with the beginnings of
// the sentences that the report must consist of.
var breakages = map[string]struct {
	do   breakage
	want []string
}{
	"log entry missing":       {raw(logKey(2), nil), []string{"The change log jumps from 1 to 3."}},
	"log entry damaged":       {raw(logKey(2), []byte{9}), []string{"store: change log entry 2 is damaged."}},
	"log without end":         {raw(logKey(3), nil), []string{"The change log ends at 2 instead of 3."}},
	"data of another version": {raw(keyDataVersion, []byte{9}), []string{"The data says that its schema version is 09 instead of 00000002."}},

	"key of no tenant":   {raw([]byte{spaceTenant, 200}, []byte{1}), []string{"The key 01c8 belongs to no table."}},
	"key of no table":    {raw(keyOf(99, recordKeys, texts("x")), []byte{1}), []string{"The key ten_main/table 99/records/x belongs to no table."}},
	"key of no index":    {raw(keyOf(tableAgents, 77, texts("x")), []byte{1}), []string{"The key ten_main/agents/index 77/x belongs to no index"}},
	"counts of no index": {raw(keyOf(tableAgents, countOf|1, texts("x")), []byte{2}), []string{"The key ten_main/agents/counts 1/x belongs to no index"}},

	"record damaged": {raw(keyOf(tableEvents, recordKeys, texts("e")), []byte{0xff}), []string{"The record ten_main/events/records/e can't be read"}},
	"record elsewhere": {raw(keyOf(tableEvents, recordKeys, texts("e")), must(encode(market.ProviderEvent{ID: "f"}))),
		[]string{"The record ten_main/events/records/e says that its key is f."}},
	"index entry missing": {raw(keyOf(tableSellers, 1, texts("ada")), nil),
		[]string{`The index of sellers by slug has "" where sel_1 should be.`, "The index of sellers by slug has 0 entries, and the records make 1."}},
	"index entry of another": {raw(keyOf(tableAccounts, 1, texts("a@example.com")), []byte("acc_2")),
		[]string{`The index of accounts by e-mail address has "acc_2" where acc_1 should be.`}},
	"index entry too many": {raw(keyOf(tableAgents, 2, texts("pypi:x")), []byte("agt_1")),
		[]string{"The index of agents by external ID has 1 entries, and the records make 0."}},
	"two accounts with an address": {raw(keyOf(tableAccounts, recordKeys, texts("acc_2")), must(encode(market.Account{ID: "acc_2", Email: "A@example.com"}))),
		[]string{`The index of accounts by e-mail address has "acc_1" where acc_2 should be.`, "The index of accounts by e-mail address has 1 entries, and the records make 2."}},
	"count wrong":    {raw(keyOf(tableAgents, countOf|4, nil), []byte{8}), []string{"The count ten_main/agents/counts 4/ is 4, and the records make 2."}},
	"count missing":  {raw(keyOf(tableAgents, countOf|4, nil), nil), []string{"The count ten_main/agents/counts 4/ is missing; it should be 2."}},
	"count too many": {raw(keyOf(tableAgents, countOf|6, texts("sel_9")), []byte{2}), []string{"The count ten_main/agents/counts 6/sel_9 is 1, and the records make 0."}},

	"posting unbalanced": {edit(postings, pst1, func(p *market.Posting) { p.Entries[0].Amount.Amount++ }),
		[]string{fmt.Sprintf("posting %s doesn't balance: 0.01 USD is left over.", pst1), fmt.Sprintf("Posting %s brings in 10.01 USD, and order ord_1 is for 10.00 USD.", pst1), "The balance of assets:provider:sandbox is 10.00 USD, and its entries add up to 10.01 USD."}},
	"posting of another time": {edit(postings, pst1, func(p *market.Posting) { p.At = p.At.Add(-time.Hour) }),
		[]string{fmt.Sprintf("the ID of posting %s isn't one of its time, ", pst1)}},
	"posting too large": {func(t *testing.T, db *DB) {
		for i, id := range []market.PostingID{pst2, pst3} {
			insert(postings, market.Posting{ID: id, At: newClock().now, Cause: fmt.Sprint("gift:", i), Entries: []market.Entry{{Account: "a", Amount: dollars(1<<53 - 1)}, {Account: "b", Amount: dollars(-1<<53 + 1)}}})(t, db)
		}
	}, []string{"The sum of balance a USD can't be made", "The sum of balance b USD can't be made", "The balance a USD is missing", "The balance b USD is missing"}},
	"posting of no order": {func(t *testing.T, db *DB) {
		update(t, db, Op{}, func(tx *Tx) error {
			return Post(tx, &market.Posting{ID: pst2, At: newClock().now, Cause: "sale:ord_9", Entries: []market.Entry{{Account: "a", Amount: dollars(1)}, {Account: "b", Amount: dollars(-1)}}})
		})
	}, []string{fmt.Sprintf("Posting %s is for order ord_9, which isn't there.", pst2)}},
	"posting over less": {func(t *testing.T, db *DB) {
		edit(postings, pst1, func(p *market.Posting) {
			p.Entries[0].Amount.Amount, p.Entries[1].Amount.Amount = 900, -800
		})(t, db)
		edit(balances, "assets:provider:sandbox USD", func(b *market.Balance) { b.Amount.Amount = 900 })(t, db)
		edit(balances, "liabilities:seller:sel_1 USD", func(b *market.Balance) { b.Amount.Amount = -800 })(t, db)
	}, []string{fmt.Sprintf("Posting %s brings in 9.00 USD, and order ord_1 is for 10.00 USD.", pst1)}},
	"balance wrong": {edit(balances, "income:commission USD", func(b *market.Balance) { b.Amount.Amount++ }),
		[]string{"The balance of income:commission is -0.99 USD, and its entries add up to -1.00 USD."}},
	"balance missing": {remove(balances, "income:commission USD"),
		[]string{"The balance income:commission USD is missing; its entries add up to -1.00 USD."}},

	"order of a checkout missing": {edit(Checkouts, "chk_2", func(c *market.Checkout) { c.Orders = append(c.Orders, "ord_9") }),
		[]string{"Checkout chk_2 names order ord_9, which isn't there."}},
	"order of another checkout": {edit(Checkouts, "chk_3", func(c *market.Checkout) { c.Orders = append(c.Orders, "ord_2") }),
		[]string{"Checkout chk_3 names order ord_2, which names checkout chk_2.", "Checkout chk_3 is for 0.00 USD, and its orders add up to 5.00 USD.", "Checkout chk_3 has 1 paid orders where its payment makes 2."}},
	"checkout's orders in two currencies": {func(t *testing.T, db *DB) {
		insert(Orders, market.Order{ID: "ord_4", Checkout: "chk_2", Total: market.Money{Amount: 0, Currency: "EUR"}})(t, db)
		edit(Checkouts, "chk_2", func(c *market.Checkout) { c.Orders = append(c.Orders, "ord_4") })(t, db)
	}, []string{"The sum of checkout chk_2 can't be made: 5.00 USD and 0.00 EUR"}},
	"checkout for more": {edit(Checkouts, "chk_2", func(c *market.Checkout) { c.Total = dollars(501) }),
		[]string{"Checkout chk_2 is for 5.01 USD, and its orders add up to 5.00 USD.", "Payment pay_2 is for 5.00 USD, and its checkout for 5.01 USD."}},
	"checkout without payment": {edit(Checkouts, "chk_2", func(c *market.Checkout) { c.Payment = "" }),
		[]string{"Checkout chk_2 is for 5.00 USD and has no payment.", "Payment pay_2 names checkout chk_2, which doesn't name it."}},
	"payment missing":   {remove(Payments, "pay_2"), []string{"Checkout chk_2 names payment pay_2, which isn't there."}},
	"payment for less":  {edit(Payments, "pay_2", func(p *market.Payment) { p.Amount = dollars(1) }), []string{"Payment pay_2 is for 0.01 USD, and its checkout for 5.00 USD."}},
	"payment elsewhere": {edit(Payments, "pay_2", func(p *market.Payment) { p.Checkout = "chk_9" }), []string{"Payment pay_2 names checkout chk_9, which doesn't name it."}},
	"captured and not completed": {edit(Payments, "pay_2", func(p *market.Payment) { p.State = market.PaymentCaptured }),
		[]string{"Checkout chk_2 is open, and its payment captured.", "Checkout chk_2 has 0 paid orders where its payment makes 1."}},
	"completed and not captured": {edit(Checkouts, "chk_2", func(c *market.Checkout) { c.State = market.CheckoutCompleted }),
		[]string{"Checkout chk_2 is completed, and its payment created."}},
	"free and not completed": {edit(Checkouts, "chk_3", func(c *market.Checkout) { c.State = market.CheckoutOpen }),
		[]string{"Checkout chk_3 has 1 paid orders where its payment makes 0."}},

	"order for more": {edit(Orders, "ord_2", func(o *market.Order) { o.Lines[0].Price = dollars(400) }),
		[]string{"Order ord_2 is for 5.00 USD, and its lines add up to 4.00 USD."}},
	"order in two currencies": {edit(Orders, "ord_2", func(o *market.Order) {
		l := o.Lines[0]
		l.ID, l.Price = "lin_9", market.Money{Currency: "EUR"}
		o.Lines = append(o.Lines, l)
	}), []string{"The sum of order ord_2 can't be made: 5.00 USD and 0.00 EUR"}},
	"order without posting": {func(t *testing.T, db *DB) {
		remove(postings, pst1)(t, db)
		for _, b := range []string{"assets:provider:sandbox USD", "liabilities:seller:sel_1 USD", "income:commission USD"} {
			remove(balances, b)(t, db)
		}
	}, []string{"Order ord_1 is fulfilled for 10.00 USD; that it has a posting is false."}},
	"posting of an unpaid order": {func(t *testing.T, db *DB) {
		update(t, db, Op{}, func(tx *Tx) error {
			o, err := Orders.Load(tx, "ord_2")
			if err != nil {
				return err
			}
			p, _, err := market.SalePosting(&o, "sandbox", newClock().now)
			if err != nil {
				return err
			}
			p.ID = pst2
			return Post(tx, &p)
		})
	}, []string{"Order ord_2 is pending_payment for 5.00 USD; that it has a posting is true."}},
	"job in no state": {func(t *testing.T, db *DB) {
		insert(jobs, Job{ID: "job_9", Kind: "mail", State: "lost", Due: newClock().now})(t, db)
	}, []string{`Job job_9 is in the state "lost", in which nobody runs it.`}},
	"operation of the future": {insert(ops, opRecord{ID: "later", LSN: 1_000}),
		[]string{"The operation later was done in commit 1000, and the last one is "}},
	"key of no space":      {raw([]byte{7, 'x'}, []byte{1}), []string{"The key 0778 belongs to nothing."}},
	"key of the directory": {raw([]byte{spaceEngine, 'x'}, []byte{1}), []string{"The key 0078 belongs to nothing."}},
	"order not named": {insert(Orders, market.Order{ID: "ord_4", Checkout: "chk_2", State: market.OrderPendingPayment}),
		[]string{"Order ord_4 names checkout chk_2, which doesn't name it."}},
	"order of no checkout": {insert(Orders, market.Order{ID: "ord_4", Checkout: "chk_9", State: market.OrderPendingPayment}),
		[]string{"Order ord_4 names checkout chk_9, which doesn't name it."}},

	"checkout of another currency": {edit(Orders, "ord_2", func(o *market.Order) { o.Total.Currency, o.Lines[0].Price.Currency = "EUR", "EUR" }),
		[]string{"Checkout chk_2 is for 5.00 USD, and its orders add up to 5.00 EUR."}},
	"line of another currency": {edit(Orders, "ord_2", func(o *market.Order) { o.Lines[0].Price.Currency = "EUR" }),
		[]string{"Order ord_2 is for 5.00 USD, and its lines add up to 5.00 EUR."}},
	"line of two orders": {edit(Orders, "ord_3", func(o *market.Order) { o.Lines[0].ID = "lin_2" }),
		[]string{"Line lin_2 of order ord_3 has an entitlement of order ord_1.", "Entitlement ent_4 names line lin_4, which order ord_3 doesn't have."}},
	"paid without entitlement": {remove(Entitlements, "ent_2"), []string{"Line lin_2 of order ord_1 (fulfilled): that it has an entitlement is false."}},
	"entitled without payment": {insert(Entitlements, market.Entitlement{ID: "ent_3", Order: "ord_2", Line: "lin_3", Checkout: "chk_2"}),
		[]string{"Line lin_3 of order ord_2 (pending_payment): that it has an entitlement is true."}},
	"license not sold": {edit(Entitlements, "ent_2", func(e *market.Entitlement) { e.License = "lic_9" }),
		[]string{"Line lin_2 of order ord_1 gives a license: false; its entitlement has one: true.", "Entitlement ent_2 names license lic_9, which isn't there."}},
	"license not given": {edit(Entitlements, "ent_1", func(e *market.Entitlement) { e.License = "" }),
		[]string{"Line lin_1 of order ord_1 gives a license: true; its entitlement has one: false.", "License lic_1 names entitlement ent_1, which doesn't name it."}},
	"license given twice": {edit(Entitlements, "ent_2", func(e *market.Entitlement) { e.License = "lic_1" }),
		[]string{"Line lin_2 of order ord_1 gives a license: false; its entitlement has one: true.", "Entitlement ent_2 names license lic_1, which is of entitlement ent_1."}},
	"entitlement of no order": {insert(Entitlements, market.Entitlement{ID: "ent_9", Order: "ord_9", Line: "lin_9"}),
		[]string{"Entitlement ent_9 names order ord_9, which isn't there."}},
	"entitlement of no line": {insert(Entitlements, market.Entitlement{ID: "ent_9", Order: "ord_1", Line: "lin_9", Checkout: "chk_1"}),
		[]string{"Entitlement ent_9 names line lin_9, which order ord_1 doesn't have."}},
	"entitlement of another checkout": {edit(Entitlements, "ent_2", func(e *market.Entitlement) { e.Checkout = "chk_2" }),
		[]string{"Entitlement ent_2 names checkout chk_2, and its order chk_1."}},
	"license of another key": {edit(Licenses, "lic_1", func(l *market.License) { l.Key += "X" }), []string{"License lic_1 has a hash that isn't its key's."}},
	"license of nothing": {insert(Licenses, market.License{ID: "lic_9", Entitlement: "ent_9", KeyHash: market.HashLicenseKey("")}),
		[]string{"License lic_9 names entitlement ent_9, which doesn't name it."}},

	"account missing": {remove(Accounts, "acc_1"), []string{"Session ses_1 names account acc_1, which isn't there.", "Seller ada names account acc_1, which isn't there."}},
	"blob not recorded": {remove(Blobs, "ab12"), []string{
		`The file "a.json" of agent one (ab12) is no blob`, `The file "a.json" of line lin_1 (ab12) is no blob`, `The file "a.json" of line lin_2 (ab12) is no blob`,
		`The file "a.json" of line lin_3 (ab12) is no blob`, `The file "a.json" of line lin_4 (ab12) is no blob`,
		`The file "a.json" of release rel_1 (ab12) is no blob`,
	}},
	"text of no agent":      {insert(Texts, market.AgentText{Agent: "agt_9"}), []string{"The text agt_9 is of agent agt_9, which isn't there."}},
	"release of no agent":   {edit(Releases, "rel_1", func(r *market.AgentRelease) { r.Agent = "agt_9" }), []string{"Release rel_1 is of agent agt_9, which isn't there."}},
	"redirect to no agent":  {edit(Redirects, "uno", func(r *market.Redirect) { r.Agent = "agt_9" }), []string{"The slug from before uno is of agent agt_9, which isn't there."}},
	"redirect from a slug":  {insert(Redirects, market.Redirect{Slug: "two", Agent: "agt_1"}), []string{"The slug two leads to agent agt_1, and is that of agent agt_2."}},
	"review of no agent":    {insert(Reviews, market.Review{ID: "rev_9", Agent: "agt_9", Stars: 1}), []string{"Review rev_9 is of agent agt_9, which isn't there."}},
	"review of six stars":   {insert(Reviews, market.Review{ID: "rev_9", Agent: "agt_2", Stars: 6, State: market.ReviewFlagged}), []string{"Review rev_9 has 6 stars."}},
	"review not counted":    {edit(Reviews, "rev_2", func(r *market.Review) { r.State = market.ReviewPublished }), []string{"The rating of agent agt_1 counts [0 0 0 0 1], and its reviews [1 0 0 0 1]."}},
	"rating of no review":   {edit(Agents, "agt_2", func(a *market.Agent) { a.Rating.Stars[2] = 1 }), []string{"The rating of agent agt_2 counts [0 0 1 0 0], and its reviews [0 0 0 0 0]."}},
	"picture not recorded":  {edit(Agents, "agt_2", func(a *market.Agent) { a.Images = []market.Image{{SHA256: "cd34", Size: 1}} }), []string{`The file "picture" of agent two (cd34) is no blob`}},
	"release of other size": {edit(Releases, "rel_1", func(r *market.AgentRelease) { r.File.Size++ }), []string{`The file "a.json" of release rel_1 has 6 bytes, and its blob 5.`}},

	"blob of another size": {edit(Agents, "agt_1", func(a *market.Agent) { a.Release.File.Size++ }), []string{`The file "a.json" of agent one has 6 bytes, and its blob 5.`}},
	"blob not on disk":     {insert(Blobs, market.Blob{SHA256: "gone", Size: 1}), []string{"The file gone: it is gone."}},
}

func checkShop(t *testing.T, db *DB) []string {
	t.Helper()
	rep, err := db.Check(t.Context(), CheckOptions{Blob: func(sum string, size int64) error {
		if sum == "gone" {
			return errors.New("it is gone")
		}
		return nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	if rep.OK() != (len(rep.Problems) == 0) || rep.LSN != db.LastLSN() || rep.Keys == 0 {
		t.Errorf("the report is %+v", rep)
	}
	return rep.Problems
}

// TestCheckFindsEveryBreakage breaks a whole database in one way at a time. The report
// must consist of the sentences for it and no others.
func TestCheckFindsEveryBreakage(t *testing.T) {
	if problems := checkShop(t, openShop(t)); len(problems) > 0 {
		t.Fatalf("the unbroken database: %v", problems)
	}
	for name, c := range breakages {
		t.Run(name, func(t *testing.T) {
			db := openShop(t)
			putEvent(t, db, "1", "")
			putEvent(t, db, "2", "")
			c.do(t, db)
			got := checkShop(t, db)
			for _, want := range c.want {
				if !slices.ContainsFunc(got, func(p string) bool { return strings.HasPrefix(p, want) }) {
					t.Errorf("not found: %s", want)
				}
			}
			for _, p := range got {
				if !slices.ContainsFunc(c.want, func(want string) bool { return strings.HasPrefix(p, want) }) {
					t.Errorf("found without reason: %s", p)
				}
			}
		})
	}
}

// TestEveryInvariantIsBroken reads the sentences of Check from its source: each is said
// of one of the breakages, or says that something can't be read, which is the matter of
// TestCheckReportsWhatCantBeRead.
func TestEveryInvariantIsBroken(t *testing.T) {
	var said []string
	for _, c := range breakages {
		db := openShop(t)
		putEvent(t, db, "1", "")
		putEvent(t, db, "2", "")
		c.do(t, db)
		said = append(said, checkShop(t, db)...)
	}
	formats := problemFormats(t)
	if len(formats) < 40 {
		t.Fatalf("only %d sentences found in the source", len(formats))
	}
	verb := regexp.MustCompile(`%[a-z]`)
	for _, format := range formats {
		sentence := regexp.MustCompile("^" + verb.ReplaceAllString(regexp.QuoteMeta(format), ".*") + "$")
		if !strings.HasSuffix(format, "can't be read: %v.") && !slices.ContainsFunc(said, sentence.MatchString) {
			t.Errorf("no breakage shows that Check finds this: %s", format)
		}
	}
}

// problemFormats returns the first arguments of all calls of problem.
func problemFormats(t *testing.T) (formats []string) {
	for _, name := range []string{"check.go", "checkmarket.go"} {
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			if fn, ok := call.Fun.(*ast.SelectorExpr); ok && fn.Sel.Name == "problem" {
				format, err := strconv.Unquote(call.Args[0].(*ast.BasicLit).Value)
				if err != nil {
					t.Fatal(err)
				}
				formats = append(formats, format)
			}
			return true
		})
	}
	return formats
}

// badReader is a snapshot on a disk with bad blocks.
type badReader struct {
	pebble.Reader
	get, iter bool
}

var errBadBlock = errors.New("bad block")

func (r badReader) Get(key []byte) ([]byte, io.Closer, error) {
	if r.get {
		return nil, nil, errBadBlock
	}
	return r.Reader.Get(key)
}

func (r badReader) NewIter(o *pebble.IterOptions) (*pebble.Iterator, error) {
	if r.iter {
		return nil, errBadBlock
	}
	return r.Reader.NewIter(o)
}

func TestCheckReportsWhatCantBeRead(t *testing.T) {
	db := openShop(t)
	snap, err := db.Snapshot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer snap.Close()
	for _, c := range []struct {
		name string
		bad  badReader
		want []string
	}{
		{"values", badReader{get: true}, []string{"An index entry can't be read: store: reading ten_main/"}},
		{"ranges", badReader{iter: true}, []string{
			"The index of agents by slug can't be read", "The counts of agents by popularity can't be read", "The postings can't be read",
		}},
	} {
		c.bad.Reader = snap.snap
		check := &checker{ctx: t.Context(), report: &Report{Records: map[string]int{}}}
		r := &reader{from: c.bad, prefix: tenantPrefix(tenant), tenant: tenant}
		Agents.check(check, r)
		check.checkMarket(&ReadTx{*r})
		for _, want := range c.want {
			if !slices.ContainsFunc(check.report.Problems, func(p string) bool { return strings.HasPrefix(p, want) }) {
				t.Errorf("%s: not found: %s in %q", c.name, want, check.report.Problems)
			}
		}
	}
}

// TestDamagedFileIsOneProblem: all that can't be read because of one file is said in one
// sentence, with the file's name, and the other tenants are checked all the same.
func TestDamagedFileIsOneProblem(t *testing.T) {
	dir := t.TempDir()
	db := open(t, Options{Dir: dir})
	insertMany(t, db, 40)
	if err := errors.Join(db.engine.Flush(), db.Close()); err != nil {
		t.Fatal(err)
	}
	flip(t, dir, "*.sst", 50)
	db = open(t, Options{Dir: dir})
	_, err := db.Update(t.Context(), "ten_z", Op{}, func(tx *Tx) error { return Events.Insert(tx, &market.ProviderEvent{ID: "e"}) })
	if err != nil {
		t.Fatal(err)
	}
	got := checkShop(t, db)
	if len(got) != 1 || !strings.Contains(got[0], ".sst is damaged, and what is in it can't be read: ") {
		t.Errorf("the problems of one damaged file are %q", got)
	}
	rawSet(t, db, append(tenantPrefix("ten_z"), 99, 0, 1, 'x'), []byte{1})
	rep, err := db.Check(t.Context(), CheckOptions{})
	if err != nil || rep.Records["events"] != 1 {
		t.Errorf("of the other tenant %v was checked, %v", rep.Records, err)
	}
}

func TestCheckCountsWhatItRead(t *testing.T) {
	db := openShop(t)
	progress, total := 0, 0
	insertMany(t, db, 1500)
	rep, err := db.Check(t.Context(), CheckOptions{Progress: func(keys int) { progress = keys }, Total: func(keys int) { total = keys }, Digest: true})
	if err != nil || !rep.OK() {
		t.Fatal(rep.Problems, err)
	}
	if rep.Records["orders"] != 3 || rep.Records["agents"] != 1502 || progress == 0 || progress > rep.Keys {
		t.Errorf("the report counts %v of %d keys, the progress %d", rep.Records, rep.Keys, progress)
	}
	snap, err := db.Snapshot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer snap.Close()
	if want, err := snap.Digest(t.Context()); err != nil || rep.Digest != want || rep.Chain != snap.Chain() || rep.LSN != snap.LSN() {
		t.Errorf("the report is of commit %d, chain %v, digest %x; want %d, %v, %x (%v)", rep.LSN, rep.Chain, rep.Digest, snap.LSN(), snap.Chain(), want, err)
	}
	if total < rep.Keys || total > rep.Keys+rep.Keys/20 {
		t.Errorf("%d reads of keys were expected, and there were %d", total, rep.Keys)
	}
	// A flood of problems is counted, not listed.
	for i := range maxProblems + 20 {
		rawSet(t, db, keyOf(99, recordKeys, texts(fmt.Sprint(i))), []byte{1})
	}
	rep, err = db.Check(t.Context(), CheckOptions{})
	if err != nil || len(rep.Problems) != maxProblems || rep.More != 20 {
		t.Errorf("%d problems and %d more, %v; want %d and 20", len(rep.Problems), rep.More, err, maxProblems)
	}
}

// TestCheckBrokenOff: a check that was broken off anywhere reports no problem that isn't one.
func TestCheckBrokenOff(t *testing.T) {
	db := openShop(t)
	insertMany(t, db, 1500)
	for i := range 4200 { // the log, too, is long enough to be broken off in
		putEvent(t, db, fmt.Sprint("evt_", i), "")
	}
	whole, err := db.Check(t.Context(), CheckOptions{})
	if err != nil || !whole.OK() {
		t.Fatal(whole.Problems, err)
	}
	for steps := 1; steps <= whole.Keys/4096; steps++ {
		ctx, cancel := context.WithCancel(t.Context())
		left := steps
		rep, err := db.Check(ctx, CheckOptions{Progress: func(int) {
			if left--; left == 0 {
				cancel()
			}
		}})
		if !errors.Is(err, context.Canceled) || len(rep.Problems) > 0 {
			t.Errorf("broken off after %d keys: %v, %q", rep.Keys, err, rep.Problems)
		}
	}
}

func insertMany(t testing.TB, db *DB, n int) {
	for from := 0; from < n; from += 50 {
		update(t, db, Op{}, func(tx *Tx) error {
			for i := from; i < min(n, from+50); i++ {
				a := market.Agent{
					ID: market.AgentID(fmt.Sprintf("agt_%06d", i)), Seller: "sel_1", Slug: fmt.Sprint("s", i), ExternalID: fmt.Sprint("pypi:", i), Category: "tool",
					Popularity: int64(i) % math.MaxInt16, State: market.ListingPublished, Release: market.Release{File: market.File{OnDemand: true}},
				}
				if err := Agents.Insert(tx, &a); err != nil {
					return err
				}
			}
			return nil
		})
	}
}
