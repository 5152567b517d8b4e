package order_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/souk-market/souk/internal/market"
	"github.com/souk-market/souk/store"
)

var verified = &market.Account{Email: "Grace@example.com", Verified: time.Unix(1_790_000_000, 0)}

func (s *stall) buyFree(email string, slugs ...string) {
	s.t.Helper()
	p := s.placement(s.fill(slugs...))
	p.Email = email
	if _, err := s.Place(context.Background(), p); err != nil {
		s.t.Fatal(err)
	}
}

func TestPurchases(t *testing.T) {
	s := newStall(t)
	ctx := context.Background()
	for range 5 {
		s.buyFree("grace@example.com", "ada-free", "bob-free")
	}
	s.buyFree("GRACE@example.com", "bob-free")
	s.buyFree("other@example.com", "bob-free")
	s.place(s.fill("ada-paid")) // grace's, and not paid

	got := map[string]bool{}
	var after store.Cursor
	for _, want := range []int{4, 2} {
		page, err := s.Purchases(ctx, verified, after, 4)
		if err != nil || len(page.Items) != want || page.Total != 6 {
			t.Fatalf("%d of %d purchases, %v; want %d of 6", len(page.Items), page.Total, err, want)
		}
		for i, p := range page.Items {
			if market.EmailKey(p.Email) != "grace@example.com" || p.State != market.CheckoutCompleted || got[p.Number] {
				t.Errorf("%s is in the list: %s, %s", p.Number, p.Email, p.State)
			}
			got[p.Number] = true
			if i > 0 && p.Created.After(page.Items[i-1].Created) {
				t.Errorf("%s is newer than the one before it", p.Number)
			}
			if p.Email == "grace@example.com" && len(p.Lines) != 2 {
				t.Errorf("%s has %d lines, want 2", p.Number, len(p.Lines))
			}
		}
		after = page.Next
	}
	if after != "" {
		t.Error("there is a third page")
	}
}

func TestPurchasesNeedAVerifiedAddress(t *testing.T) {
	s := newStall(t)
	s.buyFree("grace@example.com", "ada-free")
	page, err := s.Purchases(context.Background(), &market.Account{Email: "grace@example.com"}, "", 10)
	if !market.Is(err, market.Forbidden) || len(page.Items) > 0 || page.Total > 0 {
		t.Errorf("%+v, %v; want Forbidden", page, err)
	}
}

func TestDesk(t *testing.T) {
	s := newStall(t)
	ctx := context.Background()
	var owner market.Account
	var ada, bob market.Seller
	s.update(func(tx *store.Tx) (err error) {
		owner = market.Account{ID: market.NewAccountID(tx.Now()), Email: "ada@example.com"}
		if err := store.Accounts.Insert(tx, &owner); err != nil {
			return err
		}
		if bob, err = store.SellerBySlug.Load(tx, "bob"); err != nil {
			return err
		}
		if ada, err = store.SellerBySlug.Load(tx, "ada"); err != nil {
			return err
		}
		ada.Account = owner.ID
		return store.Sellers.Put(tx, &ada)
	})
	empty, err := s.Desk(ctx, &owner, ada.ID, 5)
	if err != nil || len(empty.Balance) != 0 || empty.Sales != 0 || empty.Listings != 3 {
		t.Errorf("before any sale: %+v, %v", empty, err)
	}

	s.buyFree("grace@example.com", "ada-free", "bob-free")
	s.pay(s.place(s.fill("ada-paid", "ada-odd", "bob-paid")), "4242424242424242")
	if err := s.HandleEvent(ctx, s.event()); err != nil {
		t.Fatal(err)
	}
	s.place(s.fill("ada-paid")) // not paid

	d, err := s.Desk(ctx, &owner, ada.ID, 1)
	if err != nil {
		t.Fatal(err)
	}
	// 9.00 and 3.33 less a tenth of each, 0.90 and 0.33.
	if len(d.Balance) != 1 || d.Balance[0].String() != "11.10 USD" || d.Sales != 2 || d.Listings != 3 {
		t.Errorf("balance %v, %d sales, %d listings", d.Balance, d.Sales, d.Listings)
	}
	if len(d.Latest) != 1 || d.Latest[0].Total.String() != "12.33 USD" || d.Latest[0].Number == "" {
		t.Errorf("latest %+v", d.Latest)
	}
	s.Store.RequireAck(func(context.Context, store.LSN) error { return errors.New("no replica has it") })
	if _, err := s.Desk(ctx, &owner, ada.ID, 1); !errors.Is(err, store.ErrNotConfirmed) {
		t.Errorf("sales that no replica has confirmed are shown: %v, want ErrNotConfirmed", err)
	}
	s.Store.RequireAck(nil)
	if _, err := s.Desk(ctx, &owner, bob.ID, 1); !market.Is(err, market.NotFound) {
		t.Errorf("another seller's desk: %v, want NotFound", err)
	}
	if _, err := s.Desk(ctx, &market.Account{}, bob.ID, 1); !market.Is(err, market.NotFound) {
		t.Errorf("an ownerless seller's desk, for nobody: %v, want NotFound", err)
	}
}
