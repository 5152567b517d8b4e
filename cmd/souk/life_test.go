//go:build linux

package main

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/souk-market/souk/internal/testenv"
)

// TestFailoverAndBack is the whole life of two machines, on the real binary and an encrypted
// replica: the first dies in the middle of purchases and the second takes over; the first
// begins anew as the second's standby, and takes over again. No confirmed order is lost.
func TestFailoverAndBack(t *testing.T) {
	t.Setenv("SOUK_REPLICA_KEY", recoveryKey)
	bucket, dir := testenv.S3(t), t.TempDir()
	replicaURL, first, second := bucket.URL("souk"), filepath.Join(dir, "first"), filepath.Join(dir, "second")
	importSample(t, first)
	a := serve(t, "serve", "--data", first, "--addr", "127.0.0.1:0", "--replica", replicaURL, "--sync", "orders")
	v := visit(t, a.URL)
	waitFor(t, "the marketplace to be ready", func() bool { return v.open("/readyz").status == http.StatusOK })
	free, paid := pick(t, v)
	receipt := v.buy("ada@example.com", paid.Slug)
	b := serve(t, "standby", "--data", second, "--addr", "127.0.0.1:0", "--from", replicaURL)

	k := &killer{t: t, free: free.ID, receipts: map[int64]string{}}
	ctx, cancel := context.WithCancel(t.Context())
	var buyers sync.WaitGroup
	for range 4 {
		buyers.Go(func() {
			for ctx.Err() == nil {
				k.buy(ctx, a.URL)
			}
		})
	}
	waitFor(t, "purchases", func() bool {
		k.mu.Lock()
		defer k.mu.Unlock()
		return len(k.receipts) > 20
	})
	cancel()
	a.Kill()
	buyers.Wait()

	mustSouk(t, "promote", "--data", second)
	w := visit(t, b.URL)
	wantReceipts(t, w, k, receipt)
	again := w.buy("grace@example.com", paid.Slug)

	_, errs, status := souk(t, "serve", "--data", first, "--addr", "127.0.0.1:0", "--replica", replicaURL, "--sync", "orders")
	if status != 1 || !strings.Contains(errs, "has been taken over") {
		t.Errorf("the first machine comes back: exit status %d\n%s", status, errs)
	}
	t.Log(errs)
	if err := os.Rename(first, first+".old"); err != nil {
		t.Fatal(err)
	}
	c := serve(t, "standby", "--data", first, "--addr", "127.0.0.1:0", "--from", replicaURL)
	x := visit(t, c.URL)
	waitFor(t, "the standby to be ready", func() bool { return x.open("/readyz").status == http.StatusOK })
	b.Stop()
	t.Log(mustSouk(t, "promote", "--data", first))
	wantReceipts(t, x, k, receipt, again)
	x.buy("joan@example.com", paid.Slug)
	_, errs, status = souk(t, "standby", "--data", second, "--addr", "127.0.0.1:0", "--from", replicaURL)
	if status != 1 || !strings.Contains(errs, "has been taken over") {
		t.Errorf("the second machine comes back: exit status %d\n%s", status, errs)
	}
	t.Log(errs)
	c.Stop()
	if out := mustSouk(t, "check", "--data", first, "--full"); !strings.Contains(out, "everything is in order") {
		t.Errorf("check says: %s", out)
	}
}

// wantReceipts looks for every order that has been confirmed.
func wantReceipts(t *testing.T, v *visitor, k *killer, bought ...page) {
	t.Helper()
	for _, want := range bought {
		if got := v.open(want.url.Path); got.key() != want.key() {
			t.Errorf("the receipt %s has the key %q, want %q", want.url.Path, got.key(), want.key())
		}
	}
	for n, name := range k.receipts {
		if p := v.open("/o/" + name); p.status != http.StatusOK || !strings.Contains(p.Text(), fmt.Sprintf("buyer-%d@", n)) {
			t.Errorf("the confirmed order of buyer %d: status %d", n, p.status)
		}
	}
}
