package search

import (
	"context"
	"fmt"

	"github.com/souk-market/souk/store"
)

// build is what has been done of the index's last or present build from the store's
// records.
type build struct {
	attempts int   // that have ended
	err      error // of the last
	read     int   // published agents so far
	total    int   // and of the store when it began
}

// Reindex has Run build the index anew from the store's records, beside the present one,
// which is searched meanwhile, and returns when the new one has taken its place. It calls
// show, from one goroutine, each time some thousand agents have been read, and at the end.
// A build that is under way when
// it is called isn't taken for the one asked for. Errors are the build's,
// after which the present index stays, and ctx's, after which the build goes on.
func (ix *Index) Reindex(ctx context.Context, show func(read, total int)) error {
	ix.mu.RLock()
	until := ix.build.attempts + 1
	if ix.rebuilding {
		until++
	}
	ix.mu.RUnlock()
	ix.Rebuild()
	for {
		ix.mu.RLock()
		b, built := ix.build, ix.built
		ix.mu.RUnlock()
		if b.attempts >= until-1 {
			show(b.read, b.total)
		}
		if b.attempts >= until {
			return b.err
		}
		select {
		case <-built:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// note changes what is known of the build, and tells who waits for it.
func (ix *Index) note(change func(b *build)) {
	ix.mu.Lock()
	defer ix.mu.Unlock()
	change(&ix.build)
	close(ix.built)
	ix.built = make(chan struct{})
}

// beginBuild counts what there is to read.
func (ix *Index) beginBuild(ctx context.Context) error {
	total := 0
	for _, tenant := range ix.tenants {
		err := ix.db.View(ctx, tenant, func(tx *store.ReadTx) error {
			n, err := store.PopularAgents.Count(tx, store.All{})
			total += n
			return err
		})
		if err != nil {
			return fmt.Errorf("search: counting agents: %w", err)
		}
	}
	ix.note(func(b *build) { b.read, b.total = 0, total })
	return nil
}
