package store

import (
	"iter"

	"github.com/souk-market/souk/internal/market"
)

// Postings and Balances are the ledger to be read. Nothing writes them but Post, which
// only adds: a posting is never edited, and what was wrong is put right by another
// (market.Reverse). IDs of postings are in order of time, so All yields them in that
// order, and All(tx, market.PostingsBefore(t)) those from t on. Keys of balances are
// those of BalanceOf.
var (
	Postings = ReadTable[market.PostingID, market.Posting]{postings}
	Balances = ReadTable[string, market.Balance]{balances}
)

// ReadTable is a table that only functions of this package write.
type ReadTable[K ~string, R any] struct{ table *Table[K, R] }

// Load returns a record, or NotFound.
func (t ReadTable[K, R]) Load(tx Reader, id K) (R, error) { return t.table.Load(tx, id) }

// Has reports whether there is a record with the key.
func (t ReadTable[K, R]) Has(tx Reader, id K) (bool, error) { return t.table.Has(tx, id) }

// All yields the records after a key ("" for all) in key order.
func (t ReadTable[K, R]) All(tx Reader, after K) iter.Seq2[R, error] { return t.table.All(tx, after) }

// ChangedIn yields the records of the table that keys name.
func (t ReadTable[K, R]) ChangedIn(keys []Key) iter.Seq[RecordKey[K]] { return t.table.ChangedIn(keys) }

func balanceKey(a market.LedgerAccount, c market.Currency) string { return string(a) + " " + string(c) }

// Post writes a posting and adds its entries to their accounts' balances: the only way
// into the ledger. Errors: Invalid for a posting that doesn't balance, whose ID isn't of
// its time, or that makes a balance too large to be counted; Conflict for a second
// posting for a cause, or with an ID that is taken. After any of these nothing has been
// written.
func Post(tx *Tx, p *market.Posting) error {
	if err := p.Balanced(); err != nil {
		return err
	}
	if err := p.Dated(); err != nil {
		return err
	}
	sums, err := balancesWith(tx, p)
	if err != nil {
		return err
	}
	if err := postings.Insert(tx, p); err != nil {
		return err
	}
	for i := range sums {
		if err := balances.Put(tx, &sums[i]); err != nil {
			return tx.fail(err) // half a posting must not be committed, whatever the caller does
		}
	}
	return nil
}

// balancesWith returns the balances that a posting moves, as they are after it.
func balancesWith(tx *Tx, p *market.Posting) (sums []market.Balance, err error) {
	at := map[string]int{}
	for _, e := range p.Entries {
		key := balanceKey(e.Account, e.Amount.Currency)
		i, met := at[key]
		if !met {
			b, err := BalanceOf(tx, e.Account, e.Amount.Currency)
			if err != nil {
				return nil, err
			}
			i, sums = len(sums), append(sums, b)
			at[key] = i
		}
		if sums[i].Amount, err = sums[i].Amount.Add(e.Amount); err != nil {
			return nil, err
		}
	}
	return sums, nil
}

// BalanceOf returns an account's balance in a currency; zero for one never posted to.
// It costs one point read.
func BalanceOf(tx Reader, account market.LedgerAccount, c market.Currency) (market.Balance, error) {
	b, err := balances.Load(tx, balanceKey(account, c))
	if market.Is(err, market.NotFound) {
		return market.Balance{Account: account, Amount: market.Money{Currency: c}}, nil
	}
	return b, err
}

// BalancesOf returns an account's balances in all the currencies it was posted to, in
// the order of their codes. It costs one seek and a step per currency.
func BalancesOf(tx Reader, account market.LedgerAccount) ([]market.Balance, error) {
	var bb []market.Balance
	// Keys sort by length first, and codes have three letters: an account's balances
	// are neighbours, behind the place of a code of spaces.
	for b, err := range balances.All(tx, balanceKey(account, "   ")) {
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
