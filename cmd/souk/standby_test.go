package main

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/souk-market/souk/internal/testenv"
)

// TestStandby is the story of a failover, on the real binary: a marketplace sells while
// another machine follows it; the first one dies, and the second goes on selling with
// everything that was bought; the first one comes back, and is refused.
func TestStandby(t *testing.T) {
	t.Run("file", func(t *testing.T) { failOver(t, "file://"+filepath.Join(t.TempDir(), "replica")) })
	t.Run("s3, encrypted", func(t *testing.T) {
		t.Setenv("SOUK_REPLICA_KEY", recoveryKey)
		failOver(t, testenv.S3(t).URL("souk"))
	})
}

func failOver(t *testing.T, replicaURL string) {
	old, standby, dir := filepath.Join(t.TempDir(), "old"), filepath.Join(t.TempDir(), "standby"), t.TempDir()
	importSample(t, old)
	primary := serve(t, "serve", "--data", old, "--addr", "127.0.0.1:0", "--replica", replicaURL, "--sync", "orders")
	v := visit(t, primary.URL)
	waitFor(t, "the marketplace to be ready", func() bool { return v.open("/readyz").status == http.StatusOK })
	_, paid := pick(t, v)

	second := serve(t, "standby", "--data", standby, "--addr", "127.0.0.1:0", "--from", replicaURL)
	w := visit(t, second.URL)
	receipt := v.buy("ada@example.com", paid.Slug)
	if receipt.key() == "" {
		t.Fatalf("the receipt has no key\n%s", receipt.Text())
	}
	wantStandby(t, w, paid.Slug)

	t.Cleanup(func() {
		if t.Failed() {
			t.Log(second.Log())
		}
	})
	primary.Kill() // sync = orders: what was confirmed is in the replica
	out := mustSouk(t, "promote", "--data", standby)
	if !strings.Contains(out, "This server is the primary now") || !strings.Contains(out, second.URL) {
		t.Errorf("promote says: %s", out)
	}
	if got := w.open(receipt.url.Path); got.key() != receipt.key() {
		t.Errorf("the receipt has the key %q at the new primary, %q at the old", got.key(), receipt.key())
	}
	again := w.buy("grace@example.com", paid.Slug)
	if again.key() == "" {
		t.Error("the new primary doesn't sell")
	}
	wantValid(t, w, receipt.key())

	_, errs, status := souk(t, "serve", "--data", old, "--addr", "127.0.0.1:0", "--replica", replicaURL)
	if status != 1 || !strings.Contains(errs, "has been taken over") {
		t.Errorf("the old primary started again: exit status %d\n%s", status, errs)
	}
	second.Stop()
	restored := filepath.Join(dir, "restored")
	mustSouk(t, "restore", "--from", replicaURL, "--data", restored)
	third := serve(t, "serve", "--data", restored, "--addr", strings.TrimPrefix(second.URL, "http://"), "--replica", replicaURL, "--takeover")
	for _, want := range []page{receipt, again} {
		if got := w.open(want.url.Path); got.key() != want.key() {
			t.Errorf("the restored receipt %s has the key %q, want %q", want.url.Path, got.key(), want.key())
		}
	}
	third.Stop()
}

// wantStandby looks around at a standby once it has an agent: what is for everybody is
// there, what isn't says why not, and /readyz has the lag.
func wantStandby(t *testing.T, v *visitor, slug string) {
	t.Helper()
	waitFor(t, "the standby to be ready", func() bool { return v.open("/readyz").status == http.StatusOK })
	waitFor(t, "the standby's search", func() bool { return v.open("/search?q=mcp").Find(`main a[href^="/agents/"]`).Length() > 0 })
	var ready struct {
		Standby *struct {
			LSN uint64
			Lag *float64 `json:"lag_seconds"`
		}
	}
	if v.getJSON("/readyz", &ready); ready.Standby == nil || ready.Standby.LSN == 0 || ready.Standby.Lag == nil {
		t.Errorf("/readyz doesn't say how far the standby is behind: %s", v.open("/readyz").body)
	}
	for _, path := range []string{"/", "/agents/" + slug, "/terms", "/api/v1/agents?limit=1", "/api/v1/search?q=mcp", "/metrics"} {
		if p := v.open(path); p.status != http.StatusOK {
			t.Errorf("%s at the standby: status %d", path, p.status)
		}
	}
	for _, path := range []string{"/cart", "/checkout", "/sign-in", "/account"} {
		if p := v.open(path); p.status != http.StatusServiceUnavailable || !strings.Contains(p.Text(), "This is a standby") {
			t.Errorf("%s at the standby: status %d\n%s", path, p.status, p.Text())
		}
	}
	if p := v.submit(v.open("/agents/"+slug), "/cart", nil); p.status != http.StatusServiceUnavailable {
		t.Errorf("adding to the cart at the standby: status %d", p.status)
	}
}

// TestPromotedUnderTheOldPrimary: a primary that is cut off and not dead sells on until it
// notices. Then its pages go on, nothing can be bought, and what only it has is listed.
func TestPromotedUnderTheOldPrimary(t *testing.T) {
	dir := t.TempDir()
	old, standby, replicaURL := filepath.Join(dir, "old"), filepath.Join(dir, "standby"), "file://"+filepath.Join(dir, "replica")
	importSample(t, old)
	primary := serve(t, "serve", "--data", old, "--addr", "127.0.0.1:0", "--replica", replicaURL)
	v := visit(t, primary.URL)
	free, _ := pick(t, v)
	second := serve(t, "standby", "--data", standby, "--addr", "127.0.0.1:0", "--from", replicaURL)
	second.Stop()
	if out := mustSouk(t, "promote", "--data", standby, "--from", replicaURL); !strings.Contains(out, "souk serve --data") {
		t.Errorf("promote of a stopped standby says: %s", out)
	}

	receipt := v.buy("ada@example.com", free.Slug) // by the old one, which doesn't know yet
	waitFor(t, "the old primary to notice", func() bool { return v.open("/readyz").status == http.StatusServiceUnavailable })
	if p := v.open("/agents/" + free.Slug); p.status != http.StatusOK {
		t.Errorf("the old primary's pages: status %d", p.status)
	}
	if p := v.open(receipt.url.Path); p.status != http.StatusOK {
		t.Errorf("the old primary's receipt: status %d", p.status)
	}
	refused := v.submit(v.open("/agents/"+free.Slug), "/cart", nil)
	if refused.status != http.StatusServiceUnavailable || !strings.Contains(refused.Text(), "another server has taken over") {
		t.Errorf("buying at the old primary: status %d\n%s", refused.status, refused.Text())
	}
	if p := v.open("/readyz"); !strings.Contains(string(p.body), "duty") || !strings.Contains(string(p.body), "has been taken over by node") {
		t.Errorf("/readyz of the old primary: %s", p.body)
	}
	if metric(t, v, "souk_read_only") != 1 {
		t.Error("souk_read_only isn't 1")
	}
	primary.Stop()
	lists, err := filepath.Glob(filepath.Join(old, "diverged-*.jsonl"))
	if err != nil || len(lists) == 0 {
		t.Fatalf("no list of the commits that only the old primary has: %v", err)
	}
	if text, err := os.ReadFile(lists[0]); err != nil || !strings.Contains(string(text), "orders") {
		t.Errorf("the list of what only the old primary has: %v\n%s", err, text)
	}
	_, errs, status := souk(t, "serve", "--data", old, "--addr", "127.0.0.1:0", "--replica", replicaURL)
	if status != 1 || !strings.Contains(errs, "has been taken over") || !strings.Contains(errs, lists[0]) {
		t.Errorf("the old primary started again: exit status %d\n%s", status, errs)
	}
	// The command that made it a standby starts it as the primary that it is.
	promoted := serve(t, "standby", "--data", standby, "--addr", "127.0.0.1:0", "--from", replicaURL)
	if p := visit(t, promoted.URL).buy("grace@example.com", free.Slug); p.status != http.StatusOK {
		t.Errorf("buying at the promoted one: status %d", p.status)
	}
	if _, errs, status := souk(t, "promote", "--data", standby); status != 1 || !strings.Contains(errs, "is the primary already") {
		t.Errorf("promoting it again: exit status %d\n%s", status, errs)
	}
	promoted.Stop()
}

// TestStandbyOfAPrimarysDirectory is refused before anything is written there: older
// binaries can open the directory as before.
func TestStandbyOfAPrimarysDirectory(t *testing.T) {
	data, url := replicated(t)
	for _, args := range [][]string{{"standby", "--data", data, "--addr", "127.0.0.1:0", "--from", url}, {"promote", "--data", data, "--from", url}} {
		_, errs, status := souk(t, args...)
		if status != 1 || !strings.Contains(errs, "was not restored from a replica") || strings.Contains(errs, "can't open the data directory any more") {
			t.Errorf("%s with a primary's directory: exit status %d\n%s", args[0], status, errs)
		}
	}
}
