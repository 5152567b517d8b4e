package main

import (
	"net/http"
	"path/filepath"
	"strings"
	"testing"
)

// TestTakeoverOfALiveServer: a second server on the replica of one that sells is refused,
// and with --takeover has everything that was sold until then; the first one stops selling.
func TestTakeoverOfALiveServer(t *testing.T) {
	dir := t.TempDir()
	old, second, replicaURL := filepath.Join(dir, "old"), filepath.Join(dir, "second"), "file://"+filepath.Join(dir, "replica")
	importSample(t, old)
	primary := serve(t, "serve", "--data", old, "--addr", "127.0.0.1:0", "--replica", replicaURL, "--sync", "orders")
	v := visit(t, primary.URL)
	waitFor(t, "the marketplace to be ready", func() bool { return v.open("/readyz").status == http.StatusOK })
	_, paid := pick(t, v)
	v.buy("ada@example.com", paid.Slug)
	mustSouk(t, "restore", "--from", replicaURL, "--data", second)
	later := v.buy("grace@example.com", paid.Slug) // after the restore

	_, errs, status := souk(t, "serve", "--data", second, "--addr", "127.0.0.1:0", "--replica", replicaURL)
	if status != 1 || !strings.Contains(errs, "is written by another server") || !strings.Contains(errs, "--takeover") {
		t.Errorf("the second server: exit status %d\n%s", status, errs)
	}
	heir := serve(t, "serve", "--data", second, "--addr", "127.0.0.1:0", "--replica", replicaURL, "--takeover")
	w := visit(t, heir.URL)
	if got := w.open(later.url.Path); later.key() == "" || got.key() != later.key() {
		t.Errorf("the receipt has the key %q at the new server, %q at the old", got.key(), later.key())
	}
	if p := v.checkOut("late@example.com", paid.Slug); p.status == http.StatusOK && p.key() != "" {
		t.Errorf("the replaced server still sells:\n%s", p.Text())
	}
	waitFor(t, "the old server to notice", func() bool { return v.open("/readyz").status == http.StatusServiceUnavailable })
	heir.Stop()
	heir = serve(t, "serve", "--data", second, "--addr", "127.0.0.1:0", "--replica", replicaURL, "--takeover") // left in the unit file
	heir.Stop()
}
