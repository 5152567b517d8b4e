package testenv

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
)

// browserTime bounds what a test does in a browser.
const browserTime = 2 * time.Minute

// Chromium starts a headless Chromium that reaches loopback only, and lives as long as
// the test. Actions run in the context that it returns; selectors need chromedp.ByQuery.
func Chromium(t testing.TB) context.Context {
	t.Helper()
	path := Binary(t, "chromium", "apt-get install chromium")
	profile := profileDir(t)
	opts := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(path), chromedp.NoSandbox, chromedp.DisableGPU, chromedp.UserDataDir(profile),
		chromedp.Flag("disable-quic", true), chromedp.Flag("no-pings", true), chromedp.Flag("disable-domain-reliability", true),
		chromedp.Flag("disable-component-update", true),
		chromedp.Flag("host-resolver-rules", "MAP * ~NOTFOUND , EXCLUDE localhost , EXCLUDE 127.0.0.1"),
	)
	ctx, cancel := context.WithTimeout(context.Background(), browserTime)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewExecAllocator(ctx, opts...)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewContext(ctx)
	t.Cleanup(cancel)
	if err := chromedp.Run(ctx); err != nil {
		t.Fatalf("starting Chromium: %v", err)
	}
	t.Cleanup(func() {
		if err := chromedp.Cancel(ctx); err != nil {
			t.Logf("closing Chromium: %v", err)
		}
	})
	return ctx
}

// profileDir is a folder for Chromium's profile. Its helper processes may still write
// to it for a moment after the browser has gone, so that removing it takes some tries.
func profileDir(t testing.TB) string {
	dir, err := os.MkdirTemp("", "souk-chromium-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for range 100 {
			if err = os.RemoveAll(dir); err == nil {
				return
			}
		}
		t.Logf("removing Chromium's profile: %v", err)
	})
	return dir
}

// Axe returns the script of axe-core, which finds what keeps people out of a page, from
// the user's cache directory under souk-testenv/node_modules. Where it isn't, the test is
// skipped as Binary does it.
func Axe(t testing.TB) string {
	t.Helper()
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	script, err := os.ReadFile(filepath.Join(cache, "souk-testenv", "node_modules", "axe-core", "axe.min.js"))
	if err == nil {
		return string(script)
	}
	const missing = "axe-core is not in the user's cache directory; to install it, npm install --prefix ~/.cache/souk-testenv axe-core@4.14.1"
	if os.Getenv("SOUK_REQUIRE_TOOLS") == "1" {
		t.Fatal(missing)
	}
	t.Skip(missing)
	return ""
}
