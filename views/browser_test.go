package views

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/souk-market/souk/internal/testenv"
)

// stall serves pages() by name, with assets and tiles, under the policy that pages
// promise to live with.
func stall(t *testing.T) (*httptest.Server, *atomic.Pointer[State]) {
	state := new(atomic.Pointer[State])
	confirming := Confirming
	state.Store(&confirming)
	mux := http.NewServeMux()
	mux.HandleFunc("GET /page/{name}", func(w http.ResponseWriter, r *http.Request) {
		c, ok := pages()[r.PathValue("name")]
		if r.PathValue("name") == "receipt" {
			receipt := testReceipt(*state.Load())
			receipt.Refresh = 1
			c, ok = ReceiptPage(testSite(), receipt), true
		}
		if !ok {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.Header().Set("Content-Security-Policy", "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; frame-src 'self'; form-action 'self'; base-uri 'none'")
		if err := c.Render(r.Context(), w); err != nil {
			t.Error(err)
		}
	})
	mux.HandleFunc("GET /assets/{name}", func(w http.ResponseWriter, r *http.Request) {
		data, contentType, _ := Asset(r.PathValue("name"))
		w.Header().Set("Content-Type", contentType)
		w.Write(data)
	})
	mux.HandleFunc("GET /tiles/{file}", func(w http.ResponseWriter, r *http.Request) {
		svg, _ := Tile(r.PathValue("file"))
		w.Header().Set("Content-Type", "image/svg+xml")
		w.Write(svg)
	})
	mux.HandleFunc("GET /dev/mail/1/html", func(w http.ResponseWriter, r *http.Request) {})
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return server, state
}

// TestInBrowser opens the pages in Chromium: what scripts add works, what doesn't need
// them works without, pages fit on small screens, and the policy blocks nothing.
func TestInBrowser(t *testing.T) {
	ctx := testenv.Chromium(t)
	server, state := stall(t)
	open := func(name string, width, height int64) chromedp.Action {
		return chromedp.Tasks{
			emulation.SetDeviceMetricsOverride(width, height, 1, false),
			chromedp.Navigate(server.URL + "/page/" + url.PathEscape(name)),
		}
	}
	complaints := listen(ctx)

	t.Run("cart count", func(t *testing.T) {
		var text string
		run(t, ctx, network.SetCookie("souk_cart_n", "3").WithURL(server.URL), open("home", 1280, 800), chromedp.Text("[data-cart-count]", &text, chromedp.ByQuery))
		if text != "3" {
			t.Errorf("the cart counts %q, want 3", text)
		}
	})
	t.Run("keys", func(t *testing.T) {
		var search, first, below, again string
		focus := `document.activeElement.id || document.activeElement.pathname`
		run(t, ctx, open("search", 1280, 800),
			chromedp.KeyEvent("/"), chromedp.Evaluate(focus, &search), chromedp.Evaluate(`document.activeElement.blur()`, nil),
			chromedp.KeyEvent("j"), chromedp.Evaluate(focus, &first),
			chromedp.KeyEvent(kb.ArrowDown), chromedp.Evaluate(focus, &below),
			chromedp.KeyEvent("k"), chromedp.Evaluate(focus, &again))
		for _, c := range [][3]string{
			{"/", search, "q"}, {"j", first, "/agents/chroma-0"}, {"arrow down, two columns", below, "/agents/chroma-2"}, {"k", again, "/agents/chroma-1"},
		} {
			if c[1] != c[2] {
				t.Errorf("%s: focus is on %q, want %q", c[0], c[1], c[2])
			}
		}
	})
	t.Run("theme", func(t *testing.T) {
		var chosen, kept, auto string
		background := `getComputedStyle(document.body).backgroundColor`
		run(t, ctx, open("message", 1280, 800), chromedp.Evaluate(background, &auto),
			chromedp.Click(`input[value=dark]`, chromedp.ByQuery), chromedp.Evaluate(background, &chosen),
			open("cart", 1280, 800), chromedp.Evaluate(background, &kept),
			chromedp.Click(`input[value=auto]`, chromedp.ByQuery))
		if chosen == auto || kept != chosen {
			t.Errorf("backgrounds: auto %s, dark chosen %s, on the next page %s", auto, chosen, kept)
		}
	})
	t.Run("buying stays in view on a phone", func(t *testing.T) {
		var top float64
		run(t, ctx, open("agent", 360, 640), chromedp.Evaluate(`scrollTo(0, document.querySelector("#refunds").offsetTop); document.querySelector(".buy-act").getBoundingClientRect().top`, &top))
		if top != 0 {
			t.Errorf("far down the page the buy button's row is at %.0f px, want 0", top)
		}
	})
	t.Run("what is bought is above the fold of a phone", func(t *testing.T) {
		for page, height := range map[string]float64{"agent": 640, "agent, two offers": 740} {
			var below string
			run(t, ctx, open(page, 360, int64(height)), chromedp.Evaluate(`[".goods-head h1", ".goods-head .lead", ".facts .rating", ".by-line", ".buy-price", ".buy .primary", ".ticks li:last-child, .offer-gets"]
				.filter(s => { const e = document.querySelector(s); return !e || e.getBoundingClientRect().bottom > innerHeight; }).join()`, &below))
			if below != "" {
				t.Errorf("%s: %s is not above the fold", page, below)
			}
		}
	})
	t.Run("the chosen offer's price is shown", func(t *testing.T) {
		var before, after string
		shown := `[...document.querySelectorAll(".pick")].filter(e => e.offsetParent).map(e => e.textContent.trim()).join()`
		run(t, ctx, open("agent, two offers", 360, 740), chromedp.Evaluate(shown, &before),
			chromedp.Click(`input[value=b]`, chromedp.ByQuery), chromedp.Evaluate(shown, &after))
		if !strings.HasPrefix(plainSpace(before), "9.00 USD") || !strings.HasPrefix(plainSpace(after), "1,250.00 USD") {
			t.Errorf("first %q, then %q", before, after)
		}
	})
	t.Run("payment arrives", func(t *testing.T) {
		run(t, ctx, open("receipt", 1280, 800), chromedp.WaitVisible(`[data-state=confirming]`, chromedp.ByQuery))
		paid := Paid
		state.Store(&paid)
		run(t, ctx, chromedp.WaitVisible(`[data-state=paid]`, chromedp.ByQuery))
	})
	t.Run("fits", func(t *testing.T) {
		for name := range pages() {
			run(t, ctx, open(name, 1440, 700))
			for _, width := range []int64{320, 360, 768, 1440} {
				var wide, small string
				run(t, ctx, emulation.SetDeviceMetricsOverride(width, 700, 1, false), chromedp.Evaluate(tooWide, &wide), chromedp.Evaluate(tooSmall, &small))
				if wide != "" {
					t.Errorf("%s at %d px: wider than the screen: %s", name, width, wide)
				}
				if small != "" {
					t.Errorf("%s at %d px: smaller than 44 px: %s", name, width, small)
				}
			}
		}
	})
	t.Run("letters twice as large", func(t *testing.T) {
		twice := func(px int64) chromedp.Action {
			return page.SetFontSizes(&page.FontSizes{Standard: px, Fixed: px * 13 / 16})
		}
		run(t, ctx, twice(32))
		for _, name := range []string{"home", "search", "agent", "agent, two offers", "seller", "cart", "cart, empty", "checkout", "receipt, paid"} {
			var wide, cut string
			run(t, ctx, open(name, 360, 740), chromedp.Evaluate(tooWide, &wide), chromedp.Evaluate(`[...document.querySelectorAll(".card-facts")].filter(e =>
				e.querySelector(".price").getBoundingClientRect().bottom > e.getBoundingClientRect().bottom + 1).length ? "a price" : ""`, &cut))
			if wide != "" || cut != "" {
				t.Errorf("%s: too wide %q, cut off %q", name, wide, cut)
			}
		}
		run(t, ctx, twice(16))
	})
	t.Run("without scripts", func(t *testing.T) {
		var shown bool
		run(t, ctx, emulation.SetScriptExecutionDisabled(true), open("search", 360, 740),
			chromedp.Click(`.toolbar button[popovertarget=filters]`, chromedp.ByQuery), chromedp.WaitVisible(`#filters li a`, chromedp.ByQuery),
			emulation.SetScriptExecutionDisabled(false), chromedp.Evaluate(`document.querySelector("#filters").matches(":popover-open")`, &shown))
		if !shown {
			t.Error("the filters don't open without scripts")
		}
	})
	if all := complaints(); len(all) > 0 {
		t.Errorf("the browser complains:\n%s", strings.Join(all, "\n"))
	}
}

// tooWide names what sticks out sideways where it can't be scrolled on its own.
const tooWide = `document.documentElement.scrollWidth <= innerWidth ? "" : [...document.querySelectorAll("body *")].filter(e =>
	e.getBoundingClientRect().right > innerWidth + 1 && !e.closest(".shelves, pre, .vh")).map(e => e.tagName + "." + e.className).slice(0, 4).join(" ")`

// tooSmall names buttons, fields and links that stand alone and are hard to hit.
const tooSmall = `[...document.querySelectorAll("button, .button, input:not([type=hidden], [type=checkbox], [type=radio]), .shelves a, .pills a, .chip, .pager a, .crumbs a, .tool, .brand")].filter(e => {
	const box = e.getBoundingClientRect();
	return box.width > 0 && (Math.round(box.height) < 44 || Math.round(box.width) < 24);
}).map(e => e.className + " " + e.textContent.trim().slice(0, 20)).slice(0, 4).join(", ")`

func run(t *testing.T, ctx context.Context, actions ...chromedp.Action) {
	t.Helper()
	if err := chromedp.Run(ctx, actions...); err != nil {
		t.Fatal(err)
	}
}

// listen collects exceptions and console errors, which is where a broken policy shows.
// What it returns gives those of all pages opened so far.
func listen(ctx context.Context) (complaints func() []string) {
	found := make(chan string, 100)
	chromedp.ListenTarget(ctx, func(event any) {
		var text string
		switch e := event.(type) {
		case *runtime.EventExceptionThrown:
			text = e.ExceptionDetails.Error()
		case *runtime.EventConsoleAPICalled:
			if e.Type == runtime.APITypeError {
				text = "console error"
			}
		case *log.EventEntryAdded:
			if e.Entry.Level == log.LevelError {
				text = e.Entry.Text + " " + e.Entry.URL
			}
		}
		if text == "" {
			return
		}
		select {
		case found <- text:
		default: // a hundred are enough to know
		}
	})
	return func() []string {
		var all []string
		for {
			select {
			case text := <-found:
				all = append(all, text)
			default:
				return all
			}
		}
	}
}
