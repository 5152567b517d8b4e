package store

import "github.com/souk-market/souk/internal/market"

func balanceKey(a market.LedgerAccount, c market.Currency) string { return string(a) + " " + string(c) }

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

// BalancesOf returns an account's balances in all the currencies it was posted to, in
// the order of their codes.
func BalancesOf(tx Reader, account market.LedgerAccount) ([]market.Balance, error) {
	var bb []market.Balance
	// Keys sort by length first, and codes have three letters: an account's balances
	// are neighbours, behind the place of a code of spaces.
	for b, err := range Balances.All(tx, balanceKey(account, "   ")) {
		if err != nil {
			return nil, err
		}
		if b.Account != account {
			break
		}
		bb = append(bb, b)
	}
	return bb, nil
}
