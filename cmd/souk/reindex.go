package main

import (
	"context"
	"fmt"
	"path/filepath"
	"time"

	"github.com/souk-market/souk/internal/control"
	"github.com/souk-market/souk/internal/market"
	"github.com/souk-market/souk/search"
)

type reindexCmd struct {
	settingsFlags
	reindexTask
}

func (c *reindexCmd) Run(ctx context.Context) error { return c.do(ctx, &c.reindexTask) }

// reindexTask builds the search index anew. The old one serves until the new one is
// complete.
type reindexTask struct{}

func (*reindexTask) name() string { return "reindex" }

func (*reindexTask) run(ctx context.Context, h *house, c *control.Console) error {
	index, started := h.index, time.Now()
	if index == nil { // the directory was closed
		var err error
		if index, err = search.Open(search.Options{Dir: filepath.Join(h.cfg.Data, "search"), DB: h.db, Logger: h.log}); err != nil {
			return err
		}
		index.StayCold()
		following, stop := context.WithCancel(ctx)
		ended := make(chan error, 1)
		go func() { ended <- index.Run(following) }()
		defer func() {
			stop()
			<-ended
			if err := index.Close(); err != nil {
				h.log.Error("closing the search index", "err", err)
			}
		}()
	}
	err := index.Reindex(ctx, func(read, total int) {
		c.Show(control.Progress{Done: int64(read), Total: int64(total), Note: fmt.Sprintf("%d of %d agents", read, total)})
	})
	if err != nil {
		return unfinished(err, "The wait for the new search index was broken off after %s. The index in use is complete, and a running server goes on building.",
			time.Since(started).Round(time.Second))
	}
	_, err = fmt.Fprintf(c.Out, "Built the search index anew in %s: it has %s.\n",
		time.Since(started).Round(time.Millisecond), count(index.Documents(market.MainTenant), "agent", "agents"))
	return err
}
