package main

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/souk-market/souk/internal/market"
	"github.com/souk-market/souk/internal/replica"
	"github.com/souk-market/souk/store"
)

// TestAttachedMarketplace opens a marketplace whose data are still in the replica, with
// the key of the configured replica; downloads them; and opens it without the replica.
func TestAttachedMarketplace(t *testing.T) {
	ctx := context.Background()
	root, key := t.TempDir(), replica.NewRecoveryKey()
	url := "file://" + root
	client, err := replica.OpenClient(url, replica.ClientOptions{Key: key})
	if err != nil {
		t.Fatal(err)
	}
	withDemo(t, t.TempDir(), func(h *house, _ []demoPerson) {
		r := replica.New(h.db, h.blobs, client, replica.Options{SpoolDir: t.TempDir()})
		if err := errors.Join(r.Open(ctx), r.Snapshot(ctx)); err != nil {
			t.Fatal(err)
		}
	})
	data := filepath.Join(t.TempDir(), "attached")
	rep, err := replica.Restore(ctx, []*replica.Client{client}, data, replica.Target{}, replica.RestoreOptions{Attach: true})
	if err != nil || !rep.Attached {
		t.Fatalf("attaching: %+v, %v", rep, err)
	}
	if _, err := openHouse(Config{Data: data, Currency: "USD", LogLevel: slog.LevelError}); !market.Is(err, market.Forbidden) {
		t.Errorf("opening it without the key: %v, want Forbidden", err)
	}
	cfg := Config{Data: data, Currency: "USD", LogLevel: slog.LevelError, Replicas: []ReplicaConfig{{URL: url, Key: newSecret(key.RecoveryKey())}}}
	h, err := openHouse(cfg)
	if err != nil {
		t.Fatal(err)
	}
	full := func() {
		t.Helper()
		got, err := h.db.Check(ctx, store.CheckOptions{Blob: h.checkBlob(ctx, true)})
		if err != nil || !got.OK() || got.Records["agents"] == 0 {
			t.Errorf("the check: %+v, %v", got, err)
		}
	}
	full() // brings every file for sale
	if err := h.attached.Finish(ctx, h.db, h.blobs, nil); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(h.close(), os.RemoveAll(root)); err != nil {
		t.Fatal(err)
	}
	if h, err = openHouse(Config{Data: data, Currency: "USD", LogLevel: slog.LevelError}); err != nil {
		t.Fatal(err)
	}
	if h.attached != nil {
		t.Error("it is still attached")
	}
	full()
	if err := h.close(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(filepath.Join(data, "attached.json")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("attached.json: %v", err)
	}
}

// TestTakeoverByAnAttachedServer runs the line that souk restore --attach prints: it takes
// over with the data still in the replica, is killed, goes on, and becomes an ordinary
// directory.
func TestTakeoverByAnAttachedServer(t *testing.T) {
	ctx := context.Background()
	replicaURL, root := "file://"+filepath.Join(t.TempDir(), "replica"), t.TempDir()
	withDemo(t, filepath.Join(root, "old"), func(h *house, _ []demoPerson) {
		client, err := replica.OpenClient(replicaURL, replica.ClientOptions{})
		if err != nil {
			t.Fatal(err)
		}
		r := replica.New(h.db, h.blobs, client, replica.Options{SpoolDir: t.TempDir()})
		if err := errors.Join(r.Open(ctx), r.Snapshot(ctx)); err != nil {
			t.Fatal(err)
		}
	})
	data := filepath.Join(root, "attached")
	if out := mustSouk(t, "restore", "--attach", "--from", replicaURL, "--data", data); !strings.Contains(out, "still in the replica") {
		t.Fatalf("it isn't attached:\n%s", out)
	}
	for range 2 {
		heir := serve(t, "serve", "--data", data, "--addr", "127.0.0.1:0", "--replica", replicaURL, "--takeover")
		if got := visit(t, heir.URL).open("/").status; got != http.StatusOK {
			t.Errorf("the front page: status %d", got)
		}
		heir.Kill()
	}
	heir := serve(t, "serve", "--data", data, "--addr", "127.0.0.1:0", "--replica", replicaURL)
	waitFor(t, "the download", func() bool {
		_, err := os.Stat(filepath.Join(data, "attached.json"))
		return errors.Is(err, fs.ErrNotExist)
	})
	heir.Stop()
	if res, _ := check(t, data); !res.OK {
		t.Errorf("the check: %+v", res)
	}
}
