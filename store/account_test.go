package store

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/souk-market/souk/internal/market"
)

// problems runs fn on a database of its own and returns what Check finds wrong then.
func problems(t *testing.T, fn func(tx *Tx) error) []string {
	t.Helper()
	db, err := Open(Options{FS: vfs.NewMem(), Dir: "db", Fatal: func(err error) { panic(err) }})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.Update(context.Background(), tenant, Op{}, fn); err != nil {
		t.Fatal(err)
	}
	rep, err := db.Check(context.Background(), CheckOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return rep.Problems
}

func TestCheckFindsWhatHasNoAccount(t *testing.T) {
	at := time.Unix(1_790_000_000, 0)
	for name, fn := range map[string]func(tx *Tx) error{
		"Session": func(tx *Tx) error {
			return Sessions.Insert(tx, &market.Session{ID: market.HashSessionToken("token"), Account: "acc_gone", Expires: at})
		},
		"Seller": func(tx *Tx) error {
			return Sellers.Insert(tx, &market.Seller{ID: market.NewSellerID(at), Slug: "ada", Account: "acc_gone"})
		},
	} {
		found := problems(t, fn)
		if len(found) != 1 || !strings.HasPrefix(found[0], name) || !strings.Contains(found[0], "acc_gone") {
			t.Errorf("%s: %q", name, found)
		}
	}
}

func TestCheckFindsASharedAddress(t *testing.T) {
	at := time.Unix(1_790_000_000, 0)
	found := problems(t, func(tx *Tx) error {
		for _, email := range []string{"ada@example.com", "bob@example.com"} {
			if err := Accounts.Insert(tx, &market.Account{ID: market.NewAccountID(at), Email: email}); err != nil {
				return err
			}
		}
		bob, err := AccountByEmail.Load(tx, "bob@example.com")
		if err != nil {
			return err
		}
		bob.Email = "Ada@example.com" // past the index, as a damaged file would have it
		v, err := encode(&bob)
		if err != nil {
			return err
		}
		return tx.put(Accounts.recordKey(&tx.reader, bob.ID), v)
	})
	if len(found) == 0 {
		t.Error("two accounts with one address were not found")
	}
}

func TestAddressesAreOneInAnyCase(t *testing.T) {
	db := openTest(t, Options{})
	insert := func(email string) error {
		_, err := db.Update(context.Background(), tenant, Op{}, func(tx *Tx) error {
			return Accounts.Insert(tx, &market.Account{ID: market.NewAccountID(tx.Now()), Email: email})
		})
		return err
	}
	if err := insert("Ada@example.com"); err != nil {
		t.Fatal(err)
	}
	if err := insert("aDA@example.com"); !market.Is(err, market.Conflict) {
		t.Errorf("%v, want Conflict", err)
	}
}

func TestBalancesOf(t *testing.T) {
	db := openTest(t, Options{})
	at := time.Unix(1_790_000_000, 0)
	a, b := market.NewSellerID(at), market.NewSellerID(at)
	want := map[market.SellerID]string{a: "-1.00 EUR -500 JPY -9.00 USD", b: "-2.00 USD", market.NewSellerID(at): ""}
	_, err := db.Update(context.Background(), tenant, Op{}, func(tx *Tx) error {
		for i, s := range []struct {
			seller market.SellerID
			amount market.Money
		}{
			{a, market.Money{Amount: 900, Currency: "USD"}}, {b, market.Money{Amount: 200, Currency: "USD"}},
			{a, market.Money{Amount: 500, Currency: "JPY"}}, {a, market.Money{Amount: 100, Currency: "EUR"}},
		} {
			p := market.Posting{ID: market.NewPostingID(at), Cause: string(rune('a' + i)), At: at, Entries: []market.Entry{
				{Account: market.ProviderAccount("bank"), Amount: s.amount}, {Account: market.SellerAccount(s.seller), Amount: s.amount.Neg()},
			}}
			if err := Post(tx, &p); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	err = db.View(context.Background(), tenant, func(tx *ReadTx) error {
		for id, text := range want {
			bb, err := BalancesOf(tx, market.SellerAccount(id))
			if err != nil {
				return err
			}
			var got []string
			for _, b := range bb {
				got = append(got, b.Amount.String())
			}
			if strings.Join(got, " ") != text {
				t.Errorf("balances %q, want %q", got, text)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
