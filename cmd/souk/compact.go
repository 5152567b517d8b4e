package main

import (
	"context"
	"fmt"
	"time"

	"github.com/souk-market/souk/internal/control"
	"github.com/souk-market/souk/internal/market"
)

type compactCmd struct {
	settingsFlags
	compactTask
}

func (c *compactCmd) Run(ctx context.Context) error { return c.do(ctx, &c.compactTask) }

// compactTask rewrites the database into its densest form.
type compactTask struct{}

func (*compactTask) name() string { return "compact" }

func (*compactTask) run(ctx context.Context, h *house, c *control.Console) error {
	before := h.db.Stats()
	// Old files are there until the new ones are.
	if before.FreeBytes < before.DiskBytes+uint64(h.cfg.MinFree) {
		return market.Errorf(market.Unavailable, "The database has %s, and rewriting it needs as much again beside the %s that are kept free; the disk has %s left. Free some space first.",
			megabytes(before.DiskBytes), megabytes(uint64(h.cfg.MinFree)), megabytes(before.FreeBytes))
	}
	started := time.Now()
	stop := showWhile(c, func() control.Progress {
		return control.Progress{Note: fmt.Sprintf("compacting, %s on disk after %s", megabytes(h.db.Stats().DiskBytes), time.Since(started).Round(time.Second))}
	})
	err := h.db.Compact(ctx)
	stop()
	if err != nil {
		return unfinished(err, "The compaction was broken off after %s. Nothing is lost: what was done stays done.", time.Since(started).Round(time.Second))
	}
	took := time.Since(started).Round(time.Millisecond)
	_, err = fmt.Fprintf(c.Out, "Compacted the database in %s: it had %s and has %s.\n", took, megabytes(before.DiskBytes), megabytes(settledSize(ctx, h)))
	return err
}

// settledSize is the size of the database's files when the old ones are deleted, which
// goes on for a moment after a compaction.
func settledSize(ctx context.Context, h *house) uint64 {
	const pause, calm = 100 * time.Millisecond, 5
	size, same := h.db.Stats().DiskBytes, 0
	for range 100 {
		if same == calm || !sleep(ctx, pause) {
			break
		}
		same++
		if now := h.db.Stats().DiskBytes; now != size {
			size, same = now, 0
		}
	}
	return size
}

func megabytes(n uint64) string { return fmt.Sprintf("%.1f MB", float64(n)/(1<<20)) }
