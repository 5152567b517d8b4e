package main

import (
	"context"
	"time"

	"github.com/souk-market/souk/internal/blob"
	"github.com/souk-market/souk/internal/monitor"
)

// When files that no record names are removed: not while the start has enough to do, and
// then once a day.
const (
	firstCollection = time.Hour
	nextCollection  = 24 * time.Hour
)

// collectFiles removes, day by day, the files that no record names.
func (h *house) collectFiles(ctx context.Context) error {
	for wait := firstCollection; sleep(ctx, wait); wait = nextCollection {
		h.collectOnce(ctx, time.Now())
	}
	return nil
}

// collectOnce removes the files that no record names and that are a day old at now.
func (h *house) collectOnce(ctx context.Context, now time.Time) {
	c, err := h.blobs.Collect(ctx, now, func(sum blob.Sum) (bool, error) { return h.db.NamesBlob(ctx, sum.String()) })
	if ctx.Err() != nil {
		return
	}
	if err != nil {
		h.log.Error("not every file could be looked at that no record may name", "err", err)
	}
	h.log.Info("removed the files that no record names", "removed", c.Removed, "bytes", c.Bytes, "kept", c.Kept)
}

// watchFiles shows what collectFiles has removed.
func (h *house) watchFiles(m *monitor.Monitor) {
	m.Gauge("souk_files_collected", "Files that no record named and that were removed since the start.", func() float64 {
		files, _ := h.blobs.Removed()
		return float64(files)
	})
	m.Gauge("souk_files_collected_bytes", "Bytes of the files that no record named and that were removed since the start.", func() float64 {
		_, bytes := h.blobs.Removed()
		return float64(bytes)
	})
}
