package web_test

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/souk-market/souk/internal/catalog"
	"github.com/souk-market/souk/internal/market"
	"github.com/souk-market/souk/internal/web"
	"github.com/souk-market/souk/payments/sandbox"
	"github.com/souk-market/souk/search"
)

// TestPagesWithoutIndex: while the first index is built, listings say so, and say what
// works, which does.
func TestPagesWithoutIndex(t *testing.T) {
	b := open(t, false)
	index, err := search.Open(search.Options{Dir: t.TempDir(), DB: b.db}) // Run doesn't build it
	if err != nil {
		t.Fatal(err)
	}
	defer index.Close()
	log := slog.New(slog.DiscardHandler)
	bank, err := sandbox.Open(sandbox.Options{Dir: t.TempDir(), Logger: log})
	if err != nil {
		t.Fatal(err)
	}
	defer bank.Close()
	pages := web.New(web.Config{
		Name: "Bazaar", BaseURL: b.URL, Shop: b.shop, Accounts: b.people, Provider: bank, Logger: log,
		Catalog: &catalog.Catalog{Store: b.db, Tenant: market.MainTenant, Index: index, Logger: log},
	})
	for path, want := range map[string]int{
		"/": 200, "/agents/" + b.free.Slug: 200, "/sellers/attic": 200, "/pages/terms": 200, "/sitemap.xml": 200,
		"/search?q=thing": 503, "/categories/data": 503,
	} {
		w := httptest.NewRecorder()
		pages.ServeHTTP(w, httptest.NewRequest(http.MethodGet, b.URL+path, nil))
		if w.Code != want {
			t.Errorf("%s: status %d, want %d", path, w.Code, want)
		}
		if says := strings.Contains(w.Body.String(), "The home page and the pages of agents and sellers work meanwhile."); says != (want == 503) {
			t.Errorf("%s: says what works meanwhile: %t", path, says)
		}
	}
}
