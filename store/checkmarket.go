package store

import (
	"iter"
	"strings"

	"github.com/souk-market/souk/internal/market"
)

// checkMarket verifies what records say of each other:
//   - every posting balances and has an ID of its time, and balances are the sums of
//     entries; a sale's posting names a paid order, and brings in that order's total;
//   - an order's total is the sum of its lines, a checkout's the sum of its orders, and
//     a payment's amount its checkout's total; each of them names the others back;
//   - the orders of a checkout are paid exactly when its payment is captured (or there
//     was nothing to pay and it is completed), and then it is completed; a paid order
//     with money has its posting;
//   - an entitlement exists exactly when its line is paid, and names the line's order; a
//     licence exists exactly when the line gives one; a key's hash is the hash of the key;
//   - a session belongs to an account, and so does a seller that names one (that no two
//     accounts share an address is the check of a unique index);
//   - every file that a line, a picture or (but for those made on demand) a release names is
//     a blob of the tenant, and every blob is there;
//   - an agent's rating is the sum of its reviews that count; texts, releases, reviews and
//     slugs from before are of agents, and no slug from before is an agent's now.
//
// Records that can't be decoded are left out: the check of their table names them.
func (c *checker) checkMarket(tx *ReadTx) {
	for _, part := range []func(*checker, *ReadTx){
		(*checker).checkLedger, (*checker).checkCheckouts, (*checker).checkOrders, (*checker).checkPayments,
		(*checker).checkEntitlements, (*checker).checkLicenses, (*checker).checkAccounts, (*checker).checkFiles, (*checker).checkCatalogue,
		(*checker).checkQueue,
	} {
		if c.ctx.Err() == nil {
			part(c, tx)
		}
	}
}

// recordsOf yields the records of a table that decode.
func recordsOf[K ~string, R any](c *checker, tx *ReadTx, t *Table[K, R]) iter.Seq[R] {
	return func(yield func(R) bool) {
		lower := tx.table(t.id, recordKeys)
		for _, v := range tx.scan(lower, successor(lower)) {
			if v.err != nil {
				c.unreadable("The "+t.name, v.err)
				return
			}
			var rec R
			if decode(v.bytes, &rec) != nil {
				continue
			}
			if !c.step() || !yield(rec) {
				return
			}
		}
	}
}

// found makes of a Load's error whether there is such a record. A record that can't be
// read is there; read is false then, and nothing can be said about it.
func found(err error) (found, read bool) {
	return !market.Is(err, market.NotFound), err == nil
}

// sum adds to a sum of money, and reports what can't be added.
func (c *checker) sum(to *market.Money, m market.Money, what string, id any) {
	next, err := to.Add(m)
	if err != nil {
		c.report.problem("The sum of %s %s can't be made: %v.", what, id, err)
		return
	}
	*to = next
}

// differ reports whether two sums are not the same; nothing is the same in any currency.
func differ(a, b market.Money) bool { return a != b && !(a.IsZero() && b.IsZero()) }

// salePrefix begins the cause of an order's posting.
const salePrefix = "sale:"

func (c *checker) checkLedger(tx *ReadTx) {
	failed := c.failed
	sums := map[string]market.Money{}
	for p := range recordsOf(c, tx, postings) {
		if err := p.Balanced(); err != nil {
			c.report.problem("%v.", err)
		}
		if err := p.Dated(); err != nil {
			c.report.problem("%v.", err)
		}
		for _, e := range p.Entries {
			k := balanceKey(e.Account, e.Amount.Currency)
			sum := sums[k]
			c.sum(&sum, e.Amount, "balance", k)
			sums[k] = sum
		}
		if id, ok := strings.CutPrefix(p.Cause, salePrefix); ok {
			c.checkSale(tx, &p, market.OrderID(id))
		}
	}
	if c.failed > failed { // the sums are of what could be read
		return
	}
	for b := range recordsOf(c, tx, balances) {
		k := balanceKey(b.Account, b.Amount.Currency)
		if sums[k].Amount != b.Amount.Amount {
			c.report.problem("The balance of %s is %s, and its entries add up to %s.", b.Account, b.Amount, sums[k])
		}
		delete(sums, k)
	}
	for k, sum := range sums {
		c.report.problem("The balance %s is missing; its entries add up to %s.", k, sum)
	}
}

// checkSale compares a sale's posting with its order: what comes in is the total. That
// the order is paid is checked from the order's side.
func (c *checker) checkSale(tx *ReadTx, p *market.Posting, id market.OrderID) {
	o, err := Orders.Load(tx, id)
	if there, read := found(err); !there {
		c.report.problem("Posting %s is for order %s, which isn't there.", p.ID, id)
		return
	} else if !read {
		return
	}
	in := market.Money{}
	for _, e := range p.Entries {
		if e.Amount.Amount > 0 {
			c.sum(&in, e.Amount, "posting", p.ID)
		}
	}
	if in != o.Total {
		c.report.problem("Posting %s brings in %s, and order %s is for %s.", p.ID, in, o.ID, o.Total)
	}
}

func (c *checker) checkCheckouts(tx *ReadTx) {
	for ch := range recordsOf(c, tx, Checkouts) {
		sum := market.Money{}
		paid, unread := 0, false
		for _, id := range ch.Orders {
			o, err := Orders.Load(tx, id)
			if there, read := found(err); !there {
				c.report.problem("Checkout %s names order %s, which isn't there.", ch.ID, id)
			} else if !read {
				unread = true
			} else if o.Checkout != ch.ID {
				c.report.problem("Checkout %s names order %s, which names checkout %s.", ch.ID, id, o.Checkout)
			}
			c.sum(&sum, o.Total, "checkout", ch.ID)
			if o.State.Paid() {
				paid++
			}
		}
		if unread {
			continue
		}
		if differ(sum, ch.Total) {
			c.report.problem("Checkout %s is for %s, and its orders add up to %s.", ch.ID, ch.Total, sum)
		}
		c.checkPayment(tx, &ch, paid)
	}
}

func (c *checker) checkPayment(tx *ReadTx, ch *market.Checkout, paidOrders int) {
	completed := ch.State == market.CheckoutCompleted
	captured := completed
	if ch.Payment != "" {
		p, err := Payments.Load(tx, ch.Payment)
		if there, read := found(err); !there {
			c.report.problem("Checkout %s names payment %s, which isn't there.", ch.ID, ch.Payment)
			return
		} else if !read {
			return
		}
		if p.Amount != ch.Total {
			c.report.problem("Payment %s is for %s, and its checkout for %s.", p.ID, p.Amount, ch.Total)
		}
		if captured = p.State == market.PaymentCaptured; captured != completed {
			c.report.problem("Checkout %s is %s, and its payment %s.", ch.ID, ch.State, p.State)
		}
	} else if !ch.Total.IsZero() {
		c.report.problem("Checkout %s is for %s and has no payment.", ch.ID, ch.Total)
	}
	want := 0
	if captured {
		want = len(ch.Orders)
	}
	if paidOrders != want {
		c.report.problem("Checkout %s has %d paid orders where its payment makes %d.", ch.ID, paidOrders, want)
	}
}

func (c *checker) checkPayments(tx *ReadTx) {
	for p := range recordsOf(c, tx, Payments) {
		ch, err := Checkouts.Load(tx, p.Checkout)
		if there, read := found(err); !there || read && ch.Payment != p.ID {
			c.report.problem("Payment %s names checkout %s, which doesn't name it.", p.ID, p.Checkout)
		}
	}
}

func (c *checker) checkOrders(tx *ReadTx) {
	for o := range recordsOf(c, tx, Orders) {
		sum := market.Money{}
		for _, l := range o.Lines {
			c.sum(&sum, l.Price, "order", o.ID)
			c.checkLine(tx, &o, &l)
		}
		if differ(sum, o.Total) {
			c.report.problem("Order %s is for %s, and its lines add up to %s.", o.ID, o.Total, sum)
		}
		posted, _ := found(loadError(PostingByCause.Load(tx, salePrefix+string(o.ID))))
		if posted != (o.State.Paid() && !o.Total.IsZero()) {
			c.report.problem("Order %s is %s for %s; that it has a posting is %t.", o.ID, o.State, o.Total, posted)
		}
		c.checkOrderOf(tx, &o)
	}
}

func loadError[R any](_ R, err error) error { return err }

// checkOrderOf verifies that the order's checkout names it: else nobody pays for it.
func (c *checker) checkOrderOf(tx *ReadTx, o *market.Order) {
	ch, err := Checkouts.Load(tx, o.Checkout)
	there, read := found(err)
	if there && !read {
		return
	}
	for _, id := range ch.Orders {
		if id == o.ID {
			return
		}
	}
	c.report.problem("Order %s names checkout %s, which doesn't name it.", o.ID, o.Checkout)
}

func (c *checker) checkLine(tx *ReadTx, o *market.Order, l *market.Line) {
	e, err := EntitlementOfLine.Load(tx, l.ID)
	granted, read := found(err)
	if granted != o.State.Paid() {
		c.report.problem("Line %s of order %s (%s): that it has an entitlement is %t.", l.ID, o.ID, o.State, granted)
	}
	if read && e.Order != o.ID {
		c.report.problem("Line %s of order %s has an entitlement of order %s.", l.ID, o.ID, e.Order)
	}
	if read && (e.License != "") != l.License {
		c.report.problem("Line %s of order %s gives a license: %t; its entitlement has one: %t.", l.ID, o.ID, l.License, e.License != "")
	}
	c.checkFile(tx, "line "+string(l.ID), l.Release.File)
}

func (c *checker) checkEntitlements(tx *ReadTx) {
	for e := range recordsOf(c, tx, Entitlements) {
		c.checkEntitledLine(tx, &e)
		if e.License == "" {
			continue
		}
		l, err := Licenses.Load(tx, e.License)
		if there, read := found(err); !there {
			c.report.problem("Entitlement %s names license %s, which isn't there.", e.ID, e.License)
		} else if read && l.Entitlement != e.ID {
			c.report.problem("Entitlement %s names license %s, which is of entitlement %s.", e.ID, e.License, l.Entitlement)
		}
	}
}

func (c *checker) checkEntitledLine(tx *ReadTx, e *market.Entitlement) {
	o, err := Orders.Load(tx, e.Order)
	if there, read := found(err); !there {
		c.report.problem("Entitlement %s names order %s, which isn't there.", e.ID, e.Order)
		return
	} else if !read {
		return
	}
	if o.Checkout != e.Checkout {
		c.report.problem("Entitlement %s names checkout %s, and its order %s.", e.ID, e.Checkout, o.Checkout)
	}
	for _, l := range o.Lines {
		if l.ID == e.Line {
			return
		}
	}
	c.report.problem("Entitlement %s names line %s, which order %s doesn't have.", e.ID, e.Line, e.Order)
}

func (c *checker) checkLicenses(tx *ReadTx) {
	for l := range recordsOf(c, tx, Licenses) {
		if market.HashLicenseKey(l.Key) != l.KeyHash {
			c.report.problem("License %s has a hash that isn't its key's.", l.ID)
		}
		e, err := Entitlements.Load(tx, l.Entitlement)
		if there, read := found(err); !there || read && e.License != l.ID {
			c.report.problem("License %s names entitlement %s, which doesn't name it.", l.ID, l.Entitlement)
		}
	}
}

func (c *checker) checkAccounts(tx *ReadTx) {
	for s := range recordsOf(c, tx, Sessions) {
		c.checkAccount(tx, "Session "+string(s.ID), s.Account)
	}
	for s := range recordsOf(c, tx, Sellers) {
		if s.Account != "" {
			c.checkAccount(tx, "Seller "+s.Slug, s.Account)
		}
	}
}

func (c *checker) checkAccount(tx *ReadTx, of string, id market.AccountID) {
	if there, _ := found(loadError(Accounts.Load(tx, id))); !there {
		c.report.problem("%s names account %s, which isn't there.", of, id)
	}
}

func (c *checker) checkFiles(tx *ReadTx) {
	if c.opts.Blob == nil {
		return
	}
	for b := range recordsOf(c, tx, Blobs) {
		if err := c.opts.Blob(b.SHA256, b.Size); err != nil {
			c.report.problem("The file %s: %v.", b.SHA256, err)
		}
	}
}

func (c *checker) checkFile(tx *ReadTx, of string, f market.File) {
	b, err := Blobs.Load(tx, f.SHA256)
	if there, read := found(err); !there {
		c.report.problem("The file %q of %s (%s) is no blob of the marketplace.", f.Name, of, f.SHA256)
	} else if read && b.Size != f.Size {
		c.report.problem("The file %q of %s has %d bytes, and its blob %d.", f.Name, of, f.Size, b.Size)
	}
}
