package main

import (
	"bytes"
	"context"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/souk-market/souk/internal/account"
	"github.com/souk-market/souk/internal/catalog"
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

// TestDemoIsFound searches for every agent by its name.
func TestDemoIsFound(t *testing.T) {
	withDemo(t, t.TempDir(), func(h *house, _ []demoPerson) {
		ctx, cancel := context.WithCancel(context.Background())
		var wg sync.WaitGroup
		defer wg.Wait()
		defer cancel()
		wg.Go(func() { h.index.Run(ctx) })
		if err := h.index.WaitFor(ctx, h.db.LastLSN()); err != nil {
			t.Fatal(err)
		}
		for a, err := range demoLines[catalog.AgentLine](catalog.AgentsFile) {
			if err != nil {
				t.Fatal(err)
			}
			found, err := h.catalog.Search(ctx, search.Query{Text: a.Name, Limit: 5})
			if err != nil || len(found.Listings) == 0 || found.Listings[0].Slug != a.Slug || found.Listings[0].Seller.Slug != a.Seller {
				t.Errorf("searching %q: %v, %v", a.Name, found.IDs, err)
			}
		}
	})
}

// TestDemoSellerOwnsTheWorkshop: the seller's account has the catalogue's first seller.
func TestDemoSellerOwnsTheWorkshop(t *testing.T) {
	withDemo(t, t.TempDir(), func(h *house, people []demoPerson) {
		a, err := h.people.ByEmail(context.Background(), people[1].Email)
		if err != nil {
			t.Fatal(err)
		}
		sellers, err := h.people.Sellers(context.Background(), a.ID)
		if err != nil || len(sellers) != 1 || sellers[0].Slug != "atlas-workshop" || sellers[0].Verified.IsZero() || sellers[0].About == "" {
			t.Errorf("%+v, %v", sellers, err)
		}
	})
}

// TestDemoIsKept: what somebody changes stays, whatever is missing comes back when the
// catalogue isn't known to be there, and a start that adds nothing writes nothing.
func TestDemoIsKept(t *testing.T) {
	data, ctx := t.TempDir(), context.Background()
	var last store.LSN
	withDemo(t, data, func(h *house, _ []demoPerson) {
		rename(t, h, "csv-desk-mcp", "My Desk")
		last = h.db.LastLSN()
	})
	withDemo(t, data, func(h *house, _ []demoPerson) {
		if a, err := h.catalog.Agent(ctx, "csv-desk-mcp"); err != nil || a.Name != "My Desk" || h.db.LastLSN() != last {
			t.Errorf("after a restart: %q, %v, LSN %d, want %d", a.Name, err, h.db.LastLSN(), last)
		}
	})
	if err := os.WriteFile(filepath.Join(data, demoStockFile), []byte("of an older souk\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	withDemo(t, data, func(h *house, _ []demoPerson) {
		if a, err := h.catalog.Agent(ctx, "csv-desk-mcp"); err != nil || a.Name != "CSV Desk" {
			t.Errorf("with another catalogue: %q, %v", a.Name, err)
		}
		if home, err := h.catalog.Home(ctx, 1); err != nil || home.Total != countLines[catalog.AgentLine](t, catalog.AgentsFile) {
			t.Errorf("%d agents, %v", home.Total, err)
		}
	})
}

func rename(t *testing.T, h *house, slug, name string) {
	t.Helper()
	_, err := h.db.Update(t.Context(), market.MainTenant, store.Op{}, func(tx *store.Tx) error {
		a, err := store.AgentBySlug.Load(tx, slug)
		if err != nil {
			return err
		}
		a.Name = name
		return store.Agents.Put(tx, &a)
	})
	if err != nil {
		t.Fatal(err)
	}
}

func countLines[L any](t *testing.T, file string) (n int) {
	t.Helper()
	for _, err := range demoLines[L](file) {
		if err != nil {
			t.Fatal(err)
		}
		n++
	}
	return n
}

// TestDemoInterrupted ends the first import somewhere, and wants the next one to complete it.
func TestDemoInterrupted(t *testing.T) {
	data := t.TempDir()
	h, err := openHouse(Config{Data: data, Currency: "USD", LogLevel: slog.LevelError})
	if err != nil {
		t.Fatal(err)
	}
	folder, err := packDemo("USD")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	_, err = h.catalog.ImportFolder(ctx, cutFolder{folder, cancel}, catalog.ImportOptions{Currency: "USD", Blobs: h.blobs})
	if err == nil {
		t.Fatal("the import wasn't interrupted")
	}
	if err := h.close(); err != nil {
		t.Fatal(err)
	}
	withDemo(t, data, func(h *house, _ []demoPerson) {
		if home, err := h.catalog.Home(t.Context(), 1); err != nil || home.Total != countLines[catalog.AgentLine](t, catalog.AgentsFile) {
			t.Errorf("%d agents, %v", home.Total, err)
		}
	})
}

// cutFolder is a folder whose reader leaves when the files of releases are half read.
type cutFolder struct {
	fs.FS
	leave func()
}

func (f cutFolder) Open(name string) (fs.File, error) {
	if strings.HasPrefix(name, "files/mailbox") {
		f.leave()
	}
	return f.FS.Open(name)
}

// TestDemoContents holds the catalogue to what a buyer may expect of a shop.
func TestDemoContents(t *testing.T) {
	summaries, free, several := map[string]string{}, 0, 0
	for a, err := range demoLines[catalog.AgentLine](catalog.AgentsFile) {
		if err != nil {
			t.Fatal(err)
		}
		if other := summaries[a.Summary]; other != "" {
			t.Errorf("%s says what %s says", a.Slug, other)
		}
		summaries[a.Summary] = a.Slug
		if n := len(strings.Fields(a.Description)); n < 100 || n > 400 {
			t.Errorf("%s is described in %d words", a.Slug, n)
		}
		facts := market.Facts{Declared: true, Runtimes: a.Facts.Runtimes, Inputs: a.Facts.Inputs, Outputs: a.Facts.Outputs, Retention: a.Facts.Retention}
		if missing := facts.Missing(); len(missing) > 0 || len(a.Releases) == 0 || a.Terms == "" || len(a.Tags) == 0 {
			t.Errorf("%s lacks %v, or releases, terms or tags", a.Slug, missing)
		}
		if a.Offers[0].Price == "free" {
			free++
		}
		if len(a.Offers) > 1 {
			several++
		}
	}
	reviews := countLines[catalog.ReviewLine](t, catalog.ReviewsFile)
	if len(summaries) < 60 || free < 10 || several < 10 || reviews < 200 {
		t.Errorf("%d agents, %d free, %d with several offers, %d reviews", len(summaries), free, several, reviews)
	}
}

// TestDemoCurrencies packs the catalogue for a marketplace that sells in another currency,
// twice, into the same bytes.
func TestDemoCurrencies(t *testing.T) {
	for _, c := range []market.Currency{"USD", "JPY", "KWD"} {
		var texts [2][]byte
		for i := range texts {
			folder, err := packDemo(c)
			if err != nil {
				t.Fatal(err)
			}
			for _, name := range []string{catalog.AgentsFile, "files/csv-desk-mcp-1.2.0.zip"} {
				content, err := fs.ReadFile(folder, name)
				if err != nil {
					t.Fatal(err)
				}
				texts[i] = append(texts[i], content...)
			}
		}
		if !bytes.Equal(texts[0], texts[1]) || !bytes.Contains(texts[0], []byte(demoPrice(1200, c).String())) {
			t.Errorf("%s: the same catalogue is packed into other bytes, or without its prices", c)
		}
	}
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
