package main

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
	"github.com/souk-market/souk/internal/testenv"
)

// TestStorefrontInABrowser looks around the demo in Chromium: filters change the listing
// in place and by their addresses, suggestions are chosen by keyboard, everything works
// without scripts, and pages fit from right to left.
func TestStorefrontInABrowser(t *testing.T) {
	testenv.Binary(t, "chromium", "apt-get install chromium")
	demo := serve(t, "demo", "--data", filepath.Join(t.TempDir(), "demo"), "--addr", "127.0.0.1:0")
	waitFor(t, "the index", func() bool { return visit(t, demo.URL).open("/readyz").status == 200 })
	b := &tab{t: t, ctx: testenv.Chromium(t), demo: demo.URL, width: 1280, shots: "storefront"}
	b.run(emulation.SetDeviceMetricsOverride(1280, 900, 1, false))
	t.Run("filters in place", func(t *testing.T) { b.t = t; b.filtersInPlace() })
	t.Run("suggestions", func(t *testing.T) { b.t = t; b.suggestions() })
	t.Run("right to left", func(t *testing.T) { b.t = t; b.rightToLeft() })
	t.Run("without scripts", func(t *testing.T) { b.t = t; b.withoutScripts() })
	demo.Stop()
}

// text evaluates a script to a string.
func (b *tab) text(script string) (got string) {
	b.t.Helper()
	b.run(chromedp.Evaluate(script, &got))
	return got
}

func (b *tab) until(condition string) {
	b.t.Helper()
	b.run(chromedp.Poll(condition, nil))
}

func (b *tab) filtersInPlace() {
	b.visit("all", "/search")
	all := b.text(`document.querySelector("#listing-head .muted").textContent`)
	b.run(chromedp.Evaluate(`window.here = true; document.querySelector('[data-key="price=free"]').focus()`, nil), chromedp.KeyEvent(kb.Enter))
	b.until(`location.search === "?price=free" && document.querySelector(".chip") !== null`)
	if b.text(`String(window.here)`) != "true" {
		b.t.Error("the filter loads the page anew")
	}
	if got := b.text(`document.activeElement.dataset.key`); got != "price=free" {
		b.t.Errorf("focus is on %q, want it kept on the filter", got)
	}
	free := b.text(`document.querySelector("[data-listing-status]").textContent`)
	if free == all || !strings.Contains(free, "agent") {
		b.t.Errorf("the live region says %q after %q", free, all)
	}
	plain := string(visit(b.t, b.demo).open("/search?price=free").body)
	if !strings.Contains(plain, free) {
		b.t.Errorf("a plain visit doesn't say %q", free)
	}
	feed := b.text(`document.querySelector("link[rel=alternate][type='application/atom+xml']").href + document.querySelectorAll("meta[name=robots]").length`)
	if !strings.HasSuffix(feed, "/search/feed.atom?price=free1") {
		b.t.Errorf("the head names the feed %s, want the filter's, and no index", feed)
	}
	b.run(chromedp.Click(`.chip`, chromedp.ByQuery))
	b.until(`location.search === "" && document.querySelector(".chip") === null`)
	b.run(chromedp.Evaluate(`history.back()`, nil))
	b.until(`location.search === "?price=free" && document.querySelector(".chip") !== null`)
	b.run(chromedp.Click(`.sorts a[href*="sort=price"]`, chromedp.ByQuery))
	b.until(`location.search === "?price=free&sort=price" && document.querySelector('.sorts [aria-current=true]').textContent === "Price"`)
}

func (b *tab) suggestions() {
	b.visit("home", "/")
	b.run(chromedp.SendKeys(`[data-search]`, "postg", chromedp.ByQuery))
	b.until(`document.querySelectorAll("[role=option]").length > 0`)
	if got := b.text(`document.activeElement.ariaExpanded`); got != "true" {
		b.t.Errorf("the field says that it is expanded: %q", got)
	}
	if got := b.text(`document.querySelector("form [role=status]").textContent`); !strings.Contains(got, "suggestion") {
		b.t.Errorf("the live region says %q", got)
	}
	b.run(chromedp.KeyEvent(kb.ArrowDown))
	if got := b.text(`document.getElementById(document.activeElement.getAttribute("aria-activedescendant")).ariaSelected`); got != "true" {
		b.t.Errorf("the active option is selected: %q", got)
	}
	b.run(chromedp.KeyEvent(kb.Escape))
	if got := b.text(`document.activeElement.ariaExpanded + " " + document.activeElement.value`); got != "false postg" {
		b.t.Errorf("after Escape the field is expanded and holds %q, want it closed with its text", got)
	}
	b.run(chromedp.KeyEvent(kb.ArrowDown))
	b.until(`document.querySelectorAll("[role=option]").length > 0`)
	b.run(chromedp.KeyEvent(kb.ArrowDown))
	want := b.text(`document.querySelector("[role=option]").pathname`)
	b.enter("suggested", want)
}

// enter presses Enter, and wants to be led to a path.
func (b *tab) enter(name, wantPath string) {
	b.t.Helper()
	var at string
	if _, err := chromedp.RunResponse(b.ctx, chromedp.KeyEvent(kb.Enter)); err != nil {
		b.t.Fatalf("%s: %v", name, err)
	}
	b.run(chromedp.WaitReady("body", chromedp.ByQuery), chromedp.Location(&at))
	if path := strings.TrimPrefix(at, b.demo); !strings.HasPrefix(path, wantPath) {
		b.t.Errorf("%s led to %s, want %s", name, path, wantPath)
	}
	b.look(name)
}

// follow opens a link by keyboard.
func (b *tab) follow(name, link, wantPath string) {
	b.t.Helper()
	b.run(chromedp.Focus(link, chromedp.ByQuery))
	b.enter(name, wantPath)
}

func (b *tab) rightToLeft() {
	for _, path := range []string{"/", "/search?q=agent", "/search?q=zzzqqq", "/categories/data", "/no/such/page", "/dev/gallery"} {
		for _, width := range []int64{320, 1280} {
			b.run(emulation.SetDeviceMetricsOverride(width, 800, 1, false))
			b.visit("rtl", path)
			if got := b.text(`document.documentElement.dir = "rtl"; String(document.documentElement.scrollWidth > innerWidth)`); got != "false" {
				b.t.Errorf("%s at %d px is wider than the screen from right to left", path, width)
			}
		}
	}
	b.run(emulation.SetDeviceMetricsOverride(1280, 900, 1, false))
}

func (b *tab) withoutScripts() {
	b.run(emulation.SetScriptExecutionDisabled(true))
	b.visit("all", "/search")
	b.follow("filtered", `[data-key="price=free"]`, "/search?price=free")
	b.follow("unfiltered", `.chip`, "/search")
	b.follow("ordered", `.sorts a[href*="sort=newest"]`, "/search?sort=newest")
	b.follow("next", `.pager [rel=next]`, "/search?sort=newest&page=2")
	b.follow("category", `.shelves a[href^="/categories/"]`, "/categories/")
	b.run(chromedp.SendKeys(`#q`, "postgres", chromedp.ByQuery))
	b.enter("searched", "/search?q=postgres")
	b.follow("agent", `[data-card] h3 a`, "/agents/")
	b.run(emulation.SetScriptExecutionDisabled(false))
}

// TestAccessible runs axe-core on every kind of page of the demo, in both themes: nothing
// serious or critical may be found. Those of a purchase are in TestPurchaseInABrowser.
func TestAccessible(t *testing.T) {
	testenv.Binary(t, "chromium", "apt-get install chromium")
	axe := testenv.Axe(t)
	demo := serve(t, "demo", "--data", filepath.Join(t.TempDir(), "demo"), "--addr", "127.0.0.1:0")
	waitFor(t, "the index", func() bool { return visit(t, demo.URL).open("/readyz").status == 200 })
	b := &tab{t: t, ctx: testenv.Chromium(t), demo: demo.URL, axe: axe, shots: "axe"}
	for _, width := range []int64{360, 1280} {
		b.width = width
		theme := map[int64]string{360: "dark", 1280: "light"}[width]
		b.run(emulation.SetDeviceMetricsOverride(width, 900, 1, width < 600), inTheme(theme))
		for _, path := range []string{
			"/", "/search", "/search?q=postgres&price=free&rating=4", "/search?q=postgers+mcp", "/search?q=zzzqqq", "/categories/data", "/categories/sql", "/tags/git",
			"/agents/plain-sql", "/agents/second-reader", "/agents/sqlite-window", "/agents/plain-sql/reviews", "/sellers/brasskey-works",
			"/cart", "/sign-in", "/pages/about", "/pages/terms", "/pages/refunds", "/pages/privacy", "/no/such/page", "/dev/gallery", "/dev/mail",
		} {
			b.visit(path, path)
		}
		b.visit("suggestions", "/")
		b.run(chromedp.SendKeys(`[data-search]`, "postg", chromedp.ByQuery))
		b.until(`document.querySelectorAll("[role=option]").length > 0`)
		b.look("suggestions, open")
		if width < 600 {
			b.visit("filters", "/search")
			b.run(chromedp.Click(`.toolbar [popovertarget=filters]`, chromedp.ByQuery))
			b.look("filters, open")
		}
	}
	demo.Stop()
}

// accessible holds the page to axe-core.
func (b *tab) accessible(name string) {
	b.t.Helper()
	var found string
	b.run(chromedp.Evaluate(b.axe+";0", nil), chromedp.Evaluate(axeRun, &found, awaited))
	if found != "" {
		b.t.Errorf("%s at %d px:\n%s", name, b.width, found)
	}
}

func inTheme(name string) chromedp.Action {
	return emulation.SetEmulatedMedia().WithFeatures([]*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: name}})
}

func awaited(p *runtime.EvaluateParams) *runtime.EvaluateParams { return p.WithAwaitPromise(true) }

// axeRun holds the page to WCAG 2.2 AA and gives a line for each serious violation.
const axeRun = `axe.run({runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}).then(r =>
	r.violations.filter(v => v.impact === "serious" || v.impact === "critical")
		.map(v => v.id + ": " + v.nodes.slice(0, 3).map(n => n.html.slice(0, 160)).join(" | ")).join("\n"))`
