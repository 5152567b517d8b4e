package web_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/souk-market/souk/internal/account"
	"github.com/souk-market/souk/internal/market"
	"github.com/souk-market/souk/store"
)

// TestAReceiptShowsTheTermsOfItsDay: the operator's terms are on the agent's page and on the
// checkout as they are now, and on a receipt as they were.
func TestAReceiptShowsTheTermsOfItsDay(t *testing.T) {
	b := open(t, false)
	brief := func(text string) {
		b.write(market.MainTenant, func(tx *store.Tx) error {
			return store.Pages.Put(tx, &market.StaticPage{Slug: market.RefundsPage, Title: "Refunds", Brief: text})
		})
	}
	brief("Within thirty days.")
	b.account(account.NewAccount{Email: ada, Verified: true})
	b.buy(ada)
	brief("Within ninety days.")
	br := b.browser()
	br.signIn(ada)
	br.post("/cart", url.Values{"agent": {string(b.free.ID)}})
	receipt := receiptLink.FindStringSubmatch(br.get("/account").body)[1]
	for path, want := range map[string]string{
		"/agents/free-thing": "ninety", "/agents/free-thing.md": "ninety", "/checkout": "ninety", receipt: "thirty",
	} {
		if a := br.get(path); a.StatusCode != http.StatusOK || !strings.Contains(a.body, "Within "+want+" days.") || strings.Count(a.body, " days.") != 1 {
			t.Errorf("%s: %s, want the refunds within %s days and no others", path, a.Status, want)
		}
		if a := br.get(path); !strings.Contains(a.body, market.DefaultTerms.License) {
			t.Errorf("%s doesn't tell the licence", path)
		}
	}
}
