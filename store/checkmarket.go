package store

import (
	"fmt"

	"github.com/souk-market/souk/internal/market"
)

// checkMarket verifies what records say of each other:
//   - every posting balances, and balances are the sums of entries;
//   - an order's total is the sum of its lines, a checkout's the sum of its orders, and
//     a payment's amount its checkout's total;
//   - the orders of a checkout are paid exactly when its payment is captured (or there
//     was nothing to pay and it is completed), and a paid order with money has its posting;
//   - an entitlement exists exactly when its line is paid, and a licence exactly when
//     the line gives one; a key's hash is the hash of the key;
//   - a session belongs to an account, and so does a seller that names one (that no two
//     accounts share an address is the check of a unique index);
//   - every file that a line or (but for those made on demand) a release names is a blob
//     of the tenant, and every blob is there.
func (c *checker) checkMarket(tx *ReadTx) error {
	for _, part := range []func(*checker, *ReadTx) error{
		(*checker).checkLedger, (*checker).checkCheckouts, (*checker).checkOrders,
		(*checker).checkEntitlements, (*checker).checkLicenses, (*checker).checkAccounts, (*checker).checkFiles,
	} {
		if err := part(c, tx); err != nil {
			return fmt.Errorf("store: checking %s: %w", tx.tenant, err)
		}
		if err := c.ctx.Err(); err != nil {
			return err
		}
	}
	return nil
}

func (c *checker) checkLedger(tx *ReadTx) error {
	sums := map[string]market.Money{}
	for p, err := range Postings.All(tx, "") {
		if err != nil {
			return err
		}
		if err := p.Balanced(); err != nil {
			c.report.problem("%v.", err)
		}
		for _, e := range p.Entries {
			k := balanceKey(e.Account, e.Amount.Currency)
			if sums[k], err = sums[k].Add(e.Amount); err != nil {
				return err
			}
		}
	}
	for b, err := range Balances.All(tx, "") {
		if err != nil {
			return err
		}
		k := balanceKey(b.Account, b.Amount.Currency)
		if sums[k].Amount != b.Amount.Amount {
			c.report.problem("The balance of %s is %s, and its entries add up to %s.", b.Account, b.Amount, sums[k])
		}
		delete(sums, k)
	}
	for k, sum := range sums {
		c.report.problem("The balance %s is missing; its entries add up to %s.", k, sum)
	}
	return nil
}

func (c *checker) checkCheckouts(tx *ReadTx) error {
	for ch, err := range Checkouts.All(tx, "") {
		if err != nil {
			return err
		}
		sum := market.Money{}
		paid := 0
		for _, id := range ch.Orders {
			o, err := Orders.Load(tx, id)
			if err != nil {
				c.report.problem("Checkout %s names order %s: %v", ch.ID, id, err)
				continue
			}
			if sum, err = sum.Add(o.Total); err != nil {
				return err
			}
			if o.State.Paid() {
				paid++
			}
		}
		if sum.Amount != ch.Total.Amount {
			c.report.problem("Checkout %s is for %s, and its orders add up to %s.", ch.ID, ch.Total, sum)
		}
		if err := c.checkPayment(tx, &ch, paid); err != nil {
			return err
		}
	}
	return nil
}

func (c *checker) checkPayment(tx *ReadTx, ch *market.Checkout, paidOrders int) error {
	captured := ch.Payment == "" && ch.State == market.CheckoutCompleted
	if ch.Payment != "" {
		p, err := Payments.Load(tx, ch.Payment)
		if market.Is(err, market.NotFound) {
			c.report.problem("Checkout %s names payment %s, which isn't there.", ch.ID, ch.Payment)
			return nil
		}
		if err != nil {
			return err
		}
		if p.Amount != ch.Total {
			c.report.problem("Payment %s is for %s, and its checkout for %s.", p.ID, p.Amount, ch.Total)
		}
		captured = p.State == market.PaymentCaptured
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
	return nil
}

func (c *checker) checkOrders(tx *ReadTx) error {
	for o, err := range Orders.All(tx, "") {
		if err != nil {
			return err
		}
		sum := market.Money{}
		for _, l := range o.Lines {
			if sum, err = sum.Add(l.Price); err != nil {
				return err
			}
			if err := c.checkLine(tx, &o, &l); err != nil {
				return err
			}
		}
		if sum.Amount != o.Total.Amount {
			c.report.problem("Order %s is for %s, and its lines add up to %s.", o.ID, o.Total, sum)
		}
		_, err := PostingByCause.Load(tx, "sale:"+string(o.ID))
		if err != nil && !market.Is(err, market.NotFound) {
			return err
		}
		if posted := err == nil; posted != (o.State.Paid() && !o.Total.IsZero()) {
			c.report.problem("Order %s is %s for %s; that it has a posting is %t.", o.ID, o.State, o.Total, posted)
		}
	}
	return nil
}

func (c *checker) checkLine(tx *ReadTx, o *market.Order, l *market.Line) error {
	e, err := EntitlementOfLine.Load(tx, l.ID)
	if err != nil && !market.Is(err, market.NotFound) {
		return err
	}
	granted := err == nil
	if granted != o.State.Paid() {
		c.report.problem("Line %s of order %s (%s): that it has an entitlement is %t.", l.ID, o.ID, o.State, granted)
	}
	if granted && (e.License != "") != l.License {
		c.report.problem("Line %s of order %s gives a license: %t; its entitlement has one: %t.", l.ID, o.ID, l.License, e.License != "")
	}
	return c.checkFile(tx, "line "+string(l.ID), l.Release.File)
}

func (c *checker) checkEntitlements(tx *ReadTx) error {
	for e, err := range Entitlements.All(tx, "") {
		if err != nil {
			return err
		}
		if ok, err := Orders.Has(tx, e.Order); err != nil {
			return err
		} else if !ok {
			c.report.problem("Entitlement %s names order %s, which isn't there.", e.ID, e.Order)
		}
		if e.License == "" {
			continue
		}
		if ok, err := Licenses.Has(tx, e.License); err != nil {
			return err
		} else if !ok {
			c.report.problem("Entitlement %s names license %s, which isn't there.", e.ID, e.License)
		}
	}
	return nil
}

func (c *checker) checkLicenses(tx *ReadTx) error {
	for l, err := range Licenses.All(tx, "") {
		if err != nil {
			return err
		}
		if market.HashLicenseKey(l.Key) != l.KeyHash {
			c.report.problem("License %s has a hash that isn't its key's.", l.ID)
		}
		e, err := Entitlements.Load(tx, l.Entitlement)
		if err != nil && !market.Is(err, market.NotFound) {
			return err
		}
		if e.License != l.ID {
			c.report.problem("License %s names entitlement %s, which doesn't name it.", l.ID, l.Entitlement)
		}
	}
	return nil
}

func (c *checker) checkAccounts(tx *ReadTx) error {
	for s, err := range Sessions.All(tx, "") {
		if err != nil {
			return err
		}
		if err := c.checkAccount(tx, "Session "+string(s.ID), s.Account); err != nil {
			return err
		}
	}
	for s, err := range Sellers.All(tx, "") {
		if err != nil {
			return err
		}
		if s.Account == "" {
			continue
		}
		if err := c.checkAccount(tx, "Seller "+s.Slug, s.Account); err != nil {
			return err
		}
	}
	return nil
}

func (c *checker) checkAccount(tx *ReadTx, of string, id market.AccountID) error {
	ok, err := Accounts.Has(tx, id)
	if err == nil && !ok {
		c.report.problem("%s names account %s, which isn't there.", of, id)
	}
	return err
}

func (c *checker) checkFiles(tx *ReadTx) error {
	for a, err := range Agents.All(tx, "") {
		if err != nil {
			return err
		}
		if !c.step() {
			return c.ctx.Err()
		}
		if a.Release.File.OnDemand {
			continue
		}
		if err := c.checkFile(tx, "agent "+a.Slug, a.Release.File); err != nil {
			return err
		}
	}
	for b, err := range Blobs.All(tx, "") {
		if err != nil {
			return err
		}
		if c.opts.Blob == nil {
			break
		}
		if err := c.opts.Blob(b.SHA256, b.Size); err != nil {
			c.report.problem("The file %s: %v.", b.SHA256, err)
		}
	}
	return nil
}

func (c *checker) checkFile(tx *ReadTx, of string, f market.File) error {
	b, err := Blobs.Load(tx, f.SHA256)
	switch {
	case market.Is(err, market.NotFound):
		c.report.problem("The file %q of %s (%s) is no blob of the marketplace.", f.Name, of, f.SHA256)
	case err != nil:
		return err
	case b.Size != f.Size:
		c.report.problem("The file %q of %s has %d bytes, and its blob %d.", f.Name, of, f.Size, b.Size)
	}
	return nil
}
