package main

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/souk-market/souk/internal/blob"
	"github.com/souk-market/souk/internal/market"
	"github.com/souk-market/souk/store"
)

// TestCollectOnce: the file that a record of another tenant names stays, the one that
// none names goes, and the log and the figures say so.
func TestCollectOnce(t *testing.T) {
	ctx := context.Background()
	cfg := Config{Data: t.TempDir()}
	h := houseFor(t, cfg)
	refs := map[string]blob.Ref{}
	for _, content := range []string{"named", "named by nobody"} {
		ref, err := h.blobs.Put(ctx, strings.NewReader(content), 100)
		if err != nil {
			t.Fatal(err)
		}
		refs[content] = ref
	}
	_, err := h.db.Update(ctx, "ten_other", store.Op{}, func(tx *store.Tx) error {
		return store.Blobs.Put(tx, &market.Blob{SHA256: refs["named"].Sum.String(), Size: refs["named"].Size})
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := h.close(); err != nil {
		t.Fatal(err)
	}

	h = houseFor(t, cfg) // the next process, two days later
	var log bytes.Buffer
	h.log = slog.New(slog.NewTextHandler(&log, nil))
	h.collectOnce(ctx, time.Now())
	if files, _ := h.blobs.Removed(); files != 0 {
		t.Errorf("%d files of today are gone", files)
	}
	log.Reset()
	h.collectOnce(ctx, time.Now().AddDate(0, 0, 2))
	for content, want := range map[string]bool{"named": true, "named by nobody": false} {
		if got, err := h.blobs.Has(ctx, refs[content].Sum); got != want || err != nil {
			t.Errorf("the file %s is there: %t, %v", content, got, err)
		}
	}
	if files, bytes := h.blobs.Removed(); files != 1 || bytes != refs["named by nobody"].Size {
		t.Errorf("the figures are %d files, %d bytes", files, bytes)
	}
	if got := log.String(); !strings.Contains(got, "level=INFO") || !strings.Contains(got, "removed=1 bytes=15 kept=1") {
		t.Errorf("the log is %s", got)
	}
	if err := h.close(); err != nil {
		t.Fatal(err)
	}
}

func houseFor(t *testing.T, cfg Config) *house {
	t.Helper()
	h, err := openHouse(cfg)
	if err != nil {
		t.Fatal(err)
	}
	h.log = slog.New(slog.DiscardHandler)
	return h
}
