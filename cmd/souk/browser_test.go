package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	cdppage "github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
	"github.com/souk-market/souk/internal/testenv"
)

// TestPurchaseInABrowser buys in Chromium on a phone and on a desktop, in light and
// dark, and without scripts, and wants no page to be wider than the screen and axe-core to
// find nothing serious. With SOUK_TEST_SHOTS it leaves screenshots in that directory.
func TestPurchaseInABrowser(t *testing.T) {
	testenv.Binary(t, "chromium", "apt-get install chromium")
	axe := testenv.Axe(t)
	demo := serve(t, "demo", "--data", filepath.Join(t.TempDir(), "demo"), "--addr", "127.0.0.1:0")
	waitFor(t, "the index", func() bool { return visit(t, demo.URL).open("/readyz").status == 200 })
	for _, c := range []struct {
		name    string
		width   int64
		height  int64
		scheme  string
		scripts bool
	}{
		{"phone", 360, 740, "light", true},
		{"phone, dark, no scripts", 360, 740, "dark", false},
		{"desktop, dark", 1440, 900, "dark", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := &tab{t: t, ctx: testenv.Chromium(t), demo: demo.URL, width: c.width,
				shots: strings.NewReplacer(", ", "-", " ", "-").Replace(c.name)}
			b.run(emulation.SetDeviceMetricsOverride(c.width, c.height, 1, c.width < 600), inTheme(c.scheme))
			if c.scripts {
				b.axe = axe
			} else {
				b.run(emulation.SetScriptExecutionDisabled(true))
			}
			b.purchase(c.scripts)
		})
	}
	demo.Stop()
}

// tab is a browser's tab.
type tab struct {
	t     *testing.T
	ctx   context.Context
	demo  string
	width int64
	axe   string // the script of axe-core, to check each page with; "" is not to
	shots string
	n     int
}

func (b *tab) run(actions ...chromedp.Action) {
	b.t.Helper()
	if err := chromedp.Run(b.ctx, actions...); err != nil {
		b.t.Fatal(err)
	}
}

func (b *tab) purchase(scripts bool) {
	b.visit("home", "/")
	b.visit("search", "/search?q=postgers+mcp")
	b.visit("category", "/search?page=2")
	b.visit("nothing", "/search?q=zzzzqqqqxxxx")
	b.visit("lost", "/no/such/page")
	b.visit("empty-cart", "/cart")
	b.visit("free", "/agents/sqlite-window")
	b.press("add", `form[action="/cart"] button:not(.primary)`, "/cart")
	b.visit("paid", "/agents/plain-sql")
	b.press("buy", `form[action="/cart"] button.primary`, "/checkout")
	if scripts {
		var count string
		b.run(chromedp.Text("[data-cart-count]", &count, chromedp.ByQuery))
		if strings.TrimSpace(count) != "2" {
			b.t.Errorf("the cart's count shows %q, want 2", count)
		}
	}
	b.visit("checkout", "/checkout")
	b.run(chromedp.SendKeys(`input[name="email"]`, "ada@example.com", chromedp.ByQuery),
		chromedp.Click(`input[name="terms"]`, chromedp.ByQuery))
	b.press("bank", `form[action="/checkout"] button`, "/sandbox/")
	b.card("4000000000000002")
	b.press("declined", `main button[type="submit"], form button`, "/sandbox/")
	b.card("4242424242424242")
	b.press("receipt", `main button[type="submit"], form button`, "/o/")
	var body string
	b.run(chromedp.OuterHTML("html", &body, chromedp.ByQuery))
	if findKey(body) == "" || strings.Count(body, "/download/") != 2 {
		b.t.Errorf("the receipt has key %q and %d files", findKey(body), strings.Count(body, "/download/"))
	}
	b.visit("mail", "/dev/mail")
}

// card types a card into the bank's page.
func (b *tab) card(number string) {
	for name, text := range map[string]string{"number": number, "expiry": "12/39", "cvc": "123"} {
		sel := fmt.Sprintf(`input[name=%q]`, name)
		b.run(chromedp.Clear(sel, chromedp.ByQuery), chromedp.SendKeys(sel, text, chromedp.ByQuery))
	}
}

func (b *tab) visit(name, path string) {
	b.t.Helper()
	b.run(chromedp.Navigate(b.demo+path), chromedp.WaitReady("body", chromedp.ByQuery))
	b.look(name)
}

// press clicks a button and waits for the page that it leads to.
func (b *tab) press(name, button, wantPath string) {
	b.t.Helper()
	var at string
	if _, err := chromedp.RunResponse(b.ctx, chromedp.Click(button, chromedp.ByQuery)); err != nil {
		b.t.Fatalf("%s: %v", name, err)
	}
	b.run(chromedp.WaitReady("body", chromedp.ByQuery), chromedp.Location(&at))
	if path := strings.TrimPrefix(at, b.demo); !strings.HasPrefix(path, wantPath) {
		b.t.Fatalf("%s led to %s, want %s", name, path, wantPath)
	}
	b.look(name)
}

// look checks the width of the page and takes its picture.
func (b *tab) look(name string) {
	b.t.Helper()
	b.n++
	b.run(chromedp.ActionFunc(func(ctx context.Context) error {
		_, _, _, _, _, content, err := cdppage.GetLayoutMetrics().Do(ctx)
		if err == nil && int64(content.Width) > b.width {
			b.t.Errorf("%s is %d wide on a screen of %d", name, int64(content.Width), b.width)
		}
		return err
	}))
	if b.axe != "" {
		b.accessible(name)
	}
	if dir := os.Getenv("SOUK_TEST_SHOTS"); dir != "" {
		var shot []byte
		b.run(chromedp.FullScreenshot(&shot, 100))
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("%s-%02d-%s.png", b.shots, b.n, name)), shot, 0o600); err != nil {
			b.t.Fatal(err)
		}
	}
}
