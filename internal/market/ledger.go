package market

import "time"

// LedgerAccount names an account of the double-entry ledger, with debits positive:
//
//	assets:provider:{name}     what a payment provider holds for the platform (debit)
//	liabilities:seller:{id}    what is owed to a seller (credit)
//	income:commission          what the platform has earned (credit)
type LedgerAccount string

// ProviderAccount is what a payment provider holds for the platform.
func ProviderAccount(name string) LedgerAccount { return LedgerAccount("assets:provider:" + name) }

// SellerAccount is what is owed to a seller.
func SellerAccount(id SellerID) LedgerAccount {
	return LedgerAccount("liabilities:seller:" + string(id))
}

// CommissionAccount is what the platform has earned.
const CommissionAccount LedgerAccount = "income:commission"

// Entry moves an amount into (positive) or out of (negative) an account.
type Entry struct {
	Account LedgerAccount `cbor:"account"`
	Amount  Money         `cbor:"amount"`
}

// Posting is a balanced set of entries with one cause. It is never edited: what was
// wrong is put right by another posting.
type Posting struct {
	ID      PostingID `cbor:"id"`
	Cause   string    `cbor:"cause"` // ID of what moved the money: "ord_…"; unique per kind of posting
	Entries []Entry   `cbor:"entries"`
	At      time.Time `cbor:"at"`
}

// Balance is the sum of all entries of one account in one currency.
type Balance struct {
	Account LedgerAccount `cbor:"account"`
	Amount  Money         `cbor:"amount"`
}

// Balanced checks that the entries add up to nothing in each currency and that none is empty.
func (p *Posting) Balanced() error {
	if p.Cause == "" || len(p.Entries) < 2 {
		return Errorf(Invalid, "posting %s needs a cause and two entries or more", p.ID)
	}
	sums := map[Currency]Money{}
	for _, e := range p.Entries {
		if e.Account == "" || e.Amount.IsZero() || !e.Amount.Currency.Valid() {
			return Errorf(Invalid, "posting %s has an empty entry (%s %s)", p.ID, e.Account, e.Amount)
		}
		sum, err := sums[e.Amount.Currency].Add(e.Amount)
		if err != nil {
			return err
		}
		sums[e.Amount.Currency] = sum
	}
	for _, sum := range sums {
		if !sum.IsZero() {
			return Errorf(Invalid, "posting %s doesn't balance: %s is left over", p.ID, sum)
		}
	}
	return nil
}

// SalePosting is the posting of a paid order: the provider holds the order's total, of
// which the platform has earned the lines' commissions and the rest is owed to the
// seller. ok is false for an order without money.
func SalePosting(o *Order, provider string, at time.Time) (p Posting, ok bool, err error) {
	if o.Total.IsZero() {
		return Posting{}, false, nil
	}
	commission := Money{}
	for _, l := range o.Lines {
		if commission, err = commission.Add(l.Commission); err != nil {
			return Posting{}, false, err
		}
	}
	net, err := o.Total.Add(commission.Neg())
	if err != nil {
		return Posting{}, false, err
	}
	p = Posting{ID: NewPostingID(at), Cause: "sale:" + string(o.ID), At: at}
	p.add(ProviderAccount(provider), o.Total)
	p.add(SellerAccount(o.Seller), net.Neg())
	p.add(CommissionAccount, commission.Neg())
	return p, true, p.Balanced()
}

func (p *Posting) add(account LedgerAccount, amount Money) {
	if !amount.IsZero() {
		p.Entries = append(p.Entries, Entry{account, amount})
	}
}
