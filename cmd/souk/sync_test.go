package main

import (
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/souk-market/souk/internal/testenv"
)

// TestPurchasesWaitForAReplica has a bucket that goes away and comes back, on the real
// binary: the operator's policy holds meanwhile, everything can be read, and afterwards
// purchases are acknowledged again.
func TestPurchasesWaitForAReplica(t *testing.T) {
	for _, policy := range []string{"refuse", "continue"} {
		t.Run(policy, func(t *testing.T) { bucketAway(t, policy) })
	}
}

func bucketAway(t *testing.T, policy string) {
	dir := filepath.Join(t.TempDir(), "data")
	importSample(t, dir)
	bucket := testenv.NewFaultyS3(t, testenv.S3(t))
	market := serve(t, "serve", "--data", dir, "--addr", "127.0.0.1:0", "--replica", bucket.URL("souk"),
		"--sync", "orders", "--sync-timeout", "1s", "--sync-policy", policy)
	v := visit(t, market.URL)
	waitFor(t, "the marketplace to be ready", func() bool { return v.open("/readyz").status == http.StatusOK })
	free, _ := pick(t, v)
	if p := v.buy("ada@example.com", free.Slug); p.status != http.StatusOK || metric(t, v, "souk_sync_failing") != 0 {
		t.Fatalf("with the bucket: status %d\n%s", p.status, p.Text())
	}

	bucket.Choose(func(*http.Request) testenv.Fault { return testenv.SlowDown })
	began := time.Now()
	first := v.checkOut("grace@example.com", free.Slug)
	if time.Since(began) < time.Second {
		t.Error("a purchase didn't wait for the bucket")
	}
	if metric(t, v, "souk_sync_failing") != 1 {
		t.Error("souk_sync_failing isn't 1 while the bucket is away")
	}
	second := visit(t, market.URL).checkOut("mary@example.com", free.Slug)
	switch policy {
	case "refuse":
		if first.status != http.StatusServiceUnavailable || !strings.Contains(first.Text(), "pending") {
			t.Errorf("the purchase that waited: status %d\n%s", first.status, first.Text())
		}
		if second.status != http.StatusServiceUnavailable || !strings.Contains(second.Text(), "Buying is paused") {
			t.Errorf("the next one: status %d\n%s", second.status, second.Text())
		}
	case "continue":
		for _, p := range []page{first, second} {
			if !strings.HasPrefix(p.url.Path, "/o/") {
				t.Errorf("a purchase while the bucket is away ends at %s, status %d", p.url, p.status)
			}
		}
		if n := metric(t, v, "souk_sync_unacknowledged"); n < 2 {
			t.Errorf("%v commits were confirmed without an acknowledgement, want 2 or more", n)
		}
	}
	for _, path := range []string{"/", "/agents/" + free.Slug, "/readyz"} {
		if p := v.open(path); p.status != http.StatusOK {
			t.Errorf("%s while the bucket is away: status %d", path, p.status)
		}
	}
	waitFor(t, "the operator to be told while the bucket is away", func() bool {
		return strings.Contains(market.Log(), "alert: The first replica doesn't acknowledge purchases")
	})

	bucket.Choose(nil)
	waitFor(t, "the bucket to acknowledge again", func() bool { return metric(t, v, "souk_sync_failing") == 0 })
	if p := visit(t, market.URL).buy("joan@example.com", free.Slug); p.status != http.StatusOK {
		t.Errorf("with the bucket back: status %d", p.status)
	}
	market.Stop()
	if out := mustSouk(t, "check", "--data", dir, "--full"); !strings.Contains(out, "everything is in order") {
		t.Errorf("check says: %s", out)
	}
}

// TestFirstReplicaHasWhatWasConfirmed: the second replica has a purchase first, and it is
// confirmed only when the first has it, too. The server is killed then, and the first
// replica alone has the purchase.
func TestFirstReplicaHasWhatWasConfirmed(t *testing.T) {
	dir := t.TempDir()
	data, second, restored := filepath.Join(dir, "data"), "file://"+filepath.Join(dir, "second"), filepath.Join(dir, "restored")
	importSample(t, data)
	first := testenv.NewFaultyS3(t, testenv.S3(t))
	market := open(t, data, "--replica", first.URL("souk"), "--replica", second, "--sync", "orders", "--sync-timeout", "1m")
	v, watch := visit(t, market.URL), visit(t, market.URL)
	waitFor(t, "both replicas to be up to date", func() bool { return metric(t, watch, "souk_replica_lag_commits") == 0 })
	free, _ := pick(t, v)

	first.Choose(func(*http.Request) testenv.Fault { return testenv.SlowDown })
	confirmed := make(chan page, 1)
	go func() { confirmed <- v.checkOut("ada@example.com", free.Slug) }()
	waitFor(t, "the second replica alone to have the purchase", func() bool {
		figures := string(watch.open("/metrics").body)
		return strings.Contains(mustSouk(t, "inspect", "orders", "--data", data), free.Slug) &&
			strings.Contains(figures, `souk_replica_lag_commits{replica="2"} 0`) && !strings.Contains(figures, `souk_replica_lag_commits{replica="1"} 0`)
	})
	all := statuses(t, "--quick", "--data", data)
	if len(all) != 2 || !all[0].Confirms || all[1].Confirms || !strings.Contains(all[0].Sync, "this replica confirms") || !strings.Contains(all[1].Sync, "don't wait") {
		t.Errorf("the status marks %+v", all)
	}
	select {
	case p := <-confirmed:
		t.Errorf("confirmed while the first replica lacks it: status %d\n%s", p.status, p.Text())
	default:
	}
	first.Choose(nil)
	p := <-confirmed
	market.Kill()
	if !strings.HasPrefix(p.url.Path, "/o/") {
		t.Fatalf("the purchase ends at %s, status %d\n%s", p.url, p.status, p.Text())
	}
	mustSouk(t, "restore", "--from", first.URL("souk"), "--data", restored)
	if out := mustSouk(t, "inspect", "orders", "--data", restored); !strings.Contains(out, free.Slug) {
		t.Errorf("the first replica lacks the confirmed purchase: %s", out)
	}
}

// TestReplicasAreIndependent: one that is out of reach at the start and one that is
// another marketplace's stop neither each other nor the marketplace, but the second is
// refused at the start.
func TestReplicasAreIndependent(t *testing.T) {
	dir := t.TempDir()
	data, good, foreign := filepath.Join(dir, "data"), "file://"+filepath.Join(dir, "good"), "file://"+filepath.Join(dir, "foreign")
	importSample(t, data)
	away := testenv.NewFaultyS3(t, testenv.S3(t))
	away.Choose(func(*http.Request) testenv.Fault { return testenv.SlowDown })
	market := serve(t, "serve", "--data", data, "--addr", "127.0.0.1:0", "--replica", away.URL("souk"), "--replica", good)
	v := visit(t, market.URL)
	free, _ := pick(t, v)
	if p := v.buy("ada@example.com", free.Slug); p.status != http.StatusOK {
		t.Errorf("status %d", p.status)
	}
	restored := filepath.Join(dir, "restored")
	waitFor(t, "the good replica to have the purchase", func() bool {
		return strings.Contains(string(v.open("/metrics").body), `souk_replica_lag_commits{replica="2"} 0`)
	})
	mustSouk(t, "restore", "--from", good, "--data", restored)
	away.Choose(nil)
	waitFor(t, "the other replica to catch up", func() bool { return metric(t, v, "souk_replica_lag_commits") == 0 })
	market.Stop()

	other := filepath.Join(dir, "other")
	importSample(t, other)
	serve(t, "serve", "--data", other, "--addr", "127.0.0.1:0", "--replica", foreign).Stop()
	_, errs, status := souk(t, "serve", "--data", data, "--addr", "127.0.0.1:0", "--replica", good, "--replica", foreign)
	if status != 1 || !strings.Contains(errs, "belongs to another server") {
		t.Errorf("with another marketplace's replica: exit status %d\n%s", status, errs)
	}
}
