package main

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/souk-market/souk/internal/account"
	"github.com/souk-market/souk/internal/market"
	"github.com/souk-market/souk/search"
	"github.com/souk-market/souk/store"
)

// withDemo opens a data directory as the demo does, and closes it after fn.
func withDemo(t *testing.T, data string, fn func(h *house, people []demoPerson)) {
	t.Helper()
	h, err := openHouse(Config{Data: data, Currency: "USD", LogLevel: slog.LevelError})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		rep, err := h.db.Check(context.Background(), store.CheckOptions{Blob: h.checkBlob(context.Background(), true)})
		if err != nil || !rep.OK() {
			t.Errorf("the check: %v, %v", rep.Problems, err)
		}
		if err := h.close(); err != nil {
			t.Error(err)
		}
	}()
	people, err := h.openDemo(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	fn(h, people)
}

func TestDemoAccountsOutliveRestarts(t *testing.T) {
	data := t.TempDir()
	file := filepath.Join(data, demoAccountsFile)
	ctx := context.Background()
	var first string
	var ids []market.AccountID
	withDemo(t, data, func(h *house, people []demoPerson) {
		first = listPeople(people)
		for _, p := range people {
			in, err := h.people.SignIn(ctx, account.Attempt{Email: p.Email, Password: p.Password})
			if err != nil {
				t.Fatal(err)
			}
			ids = append(ids, in.Account.ID)
		}
	})
	info, err := os.Stat(file)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the file of the accounts: %v, %v", info.Mode(), err)
	}
	withDemo(t, data, func(h *house, people []demoPerson) {
		if again := listPeople(people); again != first {
			t.Errorf("after a restart:\n%swant\n%s", again, first)
		}
	})
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	withDemo(t, data, func(h *house, people []demoPerson) {
		if again := listPeople(people); again == first {
			t.Error("the passwords of a lost file came back")
		}
		for i, p := range people {
			in, err := h.people.SignIn(ctx, account.Attempt{Email: p.Email, Password: p.Password})
			if err != nil || in.Account.ID != ids[i] {
				t.Errorf("%s with the new password: %s, %v; want %s", p.Email, in.Account.ID, err, ids[i])
			}
		}
	})
}

func TestDemoSellerIsFound(t *testing.T) {
	withDemo(t, t.TempDir(), func(h *house, _ []demoPerson) {
		ctx, cancel := context.WithCancel(context.Background())
		var wg sync.WaitGroup
		defer wg.Wait()
		defer cancel()
		wg.Go(func() { h.index.Run(ctx) })
		if err := h.index.WaitFor(ctx, h.db.LastLSN()); err != nil {
			t.Fatal(err)
		}
		for _, l := range demoListings {
			found, err := h.catalog.Search(ctx, search.Query{Text: l.name, Limit: 5})
			if err != nil || len(found.Listings) == 0 || found.Listings[0].Slug != l.slug || found.Listings[0].Seller.Name != "Atlas Workshop" {
				t.Errorf("searching %q: %v, %v", l.name, found.IDs, err)
			}
		}
	})
}

func TestDemoPrices(t *testing.T) {
	for currency, want := range map[market.Currency]string{"USD": "4.50 USD", "JPY": "5 JPY", "KWD": "4.500 KWD"} {
		if got := demoPrice(450, currency).String(); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}

func TestPasswordFromStandardInput(t *testing.T) {
	for in, want := range map[string]string{"secret\n": "secret", "secret\r\nmore": "secret", " sp ace ": " sp ace ", "": ""} {
		if got, err := firstLine(strings.NewReader(in)); err != nil || got != want {
			t.Errorf("%q is read as %q, %v", in, got, err)
		}
	}
}
