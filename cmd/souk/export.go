package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/souk-market/souk/internal/catalog"
)

type exportCmd struct {
	settingsFlags
	To string `arg:"" name:"folder" help:"The folder to write, new or empty."`
}

func (c *exportCmd) Run(ctx context.Context) error {
	cfg, _, err := c.load(nil)
	if err != nil {
		return err
	}
	if _, err := os.Stat(cfg.Data); err != nil { // else one would be made
		return fmt.Errorf("souk: there is no marketplace to export: %w", err)
	}
	h, err := openHouse(cfg)
	if err != nil {
		return err
	}
	started := time.Now()
	bar := newProgress(os.Stderr, 0)
	rep, err := h.catalog.Export(ctx, c.To, catalog.ExportOptions{
		Blobs: h.blobs, Progress: func(lines int) { bar.show(0, fmt.Sprintf("%d lines", lines)) },
	})
	bar.done()
	if err = errors.Join(err, h.close()); err != nil {
		return err
	}
	fmt.Printf("%d agents, %d lines in all and %d files are in %s, written in %s.\n",
		rep.Agents, rep.Lines, rep.Files, c.To, time.Since(started).Round(time.Millisecond))
	return nil
}
