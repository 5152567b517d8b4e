package replica

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"time"

	"github.com/souk-market/souk/internal/market"
	"github.com/souk-market/souk/store"
)

// divergenceLimit is the size in bytes at which a divergence report stops listing.
const divergenceLimit = 16 << 20

// divergent is a line of a divergence report: a commit that only this directory has.
type divergent struct {
	LSN   store.LSN `json:"lsn"`
	Time  time.Time `json:"time"`
	Class string    `json:"class"`
	Keys  []string  `json:"keys"` // of the records and index entries, masked as in logs
}

// omission is the last line of a report that has grown too long.
type omission struct {
	Omitted uint64    `json:"omitted"` // commits
	UpTo    store.LSN `json:"upTo"`
}

// divergence lists the commits after an LSN, which only this directory has, into a file
// in Options.DataDir, and returns a sentence that names it, for a refusal. A report that
// can't be written is part of the sentence, too: the refusal stands anyway.
func (r *Replicator) divergence(ctx context.Context, common store.LSN) string {
	upTo := r.db.LastLSN() // what is on its way to the disk, too: the list waits for it
	if upTo <= common {
		return " The replica has everything that was committed here."
	}
	what, are := fmt.Sprintf("%d commits (%d to %d)", upTo-common, common+1, upTo), "are"
	if upTo == common+1 {
		what, are = fmt.Sprintf("One commit (%d)", upTo), "is"
	}
	if r.opts.DataDir == "" {
		return fmt.Sprintf(" %s can only be here.", what)
	}
	path := filepath.Join(r.opts.DataDir, fmt.Sprintf("diverged-%d.jsonl", common+1))
	if err := writeDivergence(ctx, r.db, path, common, upTo); err != nil {
		r.opts.Logger.Error("listing the commits that only this directory has failed", "err", err)
		return fmt.Sprintf(" %s can only be here, and could not be listed. Keep this directory.", what)
	}
	return fmt.Sprintf(" %s can only be here, and %s listed in %s. Keep this directory.", what, are, path)
}

// writeDivergence writes a report of the commits of (after, upTo], line by line, and
// gives it its name when it is whole.
func writeDivergence(ctx context.Context, db *store.DB, path string, after, upTo store.LSN) (err error) {
	f, err := os.CreateTemp(filepath.Dir(path), ".diverged-*")
	if err != nil {
		return fmt.Errorf("replica: making a report: %w", err)
	}
	defer os.Remove(f.Name()) // gone already when it has its name
	w := bufio.NewWriter(f)
	err = listDivergent(ctx, db, w, after, upTo)
	if err == nil {
		err = w.Flush()
	}
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("replica: writing a report: %w", err)
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return fmt.Errorf("replica: naming a report: %w", err)
	}
	return syncDir(filepath.Dir(path))
}

func listDivergent(ctx context.Context, db *store.DB, w *bufio.Writer, after, upTo store.LSN) error {
	written := 0
	line := func(v any) error {
		b, err := json.Marshal(v)
		if err != nil {
			return err
		}
		written += len(b) + 1
		_, err = w.Write(append(b, '\n'))
		return err
	}
	for c, err := range db.Feed(ctx, after) {
		if err != nil {
			return err
		}
		if written > divergenceLimit {
			return line(omission{uint64(upTo - c.LSN + 1), upTo})
		}
		d := divergent{LSN: c.LSN, Time: c.Time, Class: c.Class.String()}
		for _, k := range c.Keys {
			d.Keys = append(d.Keys, k.String())
		}
		if err := line(d); err != nil {
			return err
		}
		if c.LSN >= upTo {
			break
		}
	}
	return nil
}

// replaced is the refusal that names who has taken over, and what only this directory has
// after the last commit that it shares with the replica.
func (r *Replicator) replaced(ctx context.Context, node market.NodeID, g uint32, common store.LSN) error {
	if r.isOpen() {
		r.opts.OnFenced(fencedBy(r.client, node, g, ""))
	}
	// Of several that seal at once, one's tombstone may be there and another's manifest.
	if m, err := r.client.manifest(ctx, g); err == nil {
		node = m.Node
	}
	return fencedBy(r.client, node, g, r.divergence(ctx, common))
}

// shared finds the last commit of a generation that this directory has, too. Chains hash
// all that was before, so that the files whose ends are here are those up to one.
func (r *Replicator) shared(ctx context.Context, m Manifest) (store.LSN, error) {
	files, err := r.client.list(ctx, generationPath(m.Generation), levelChanges)
	if err != nil {
		return 0, err
	}
	start, err := r.client.start(ctx, m)
	if err != nil {
		return 0, err
	}
	common := start.LSN
	var failed error
	sort.Search(len(files), func(i int) bool {
		if failed != nil {
			return true
		}
		f, err := r.client.footerOf(ctx, changeRef(m.Generation, files[i].MaxTXID))
		if err != nil {
			failed = err
			return true
		}
		here, err := r.db.ChainAt(f.LSNMax)
		old := errors.Is(err, store.ErrLogCut) && f.LSNMax <= r.db.DurableLSN() // cut because it was shipped
		if !old && (err != nil || here != f.Chain) {
			return true
		}
		common = max(common, f.LSNMax)
		return false
	})
	return common, failed
}

// replacedBy is replaced for a directory that owned an older generation.
func (r *Replicator) replacedBy(ctx context.Context, all []Manifest) error {
	newest := all[len(all)-1]
	for i := len(all) - 1; i >= 0; i-- {
		if all[i].Node != r.node {
			continue
		}
		common, err := r.shared(ctx, all[i])
		if err != nil {
			return err
		}
		return r.replaced(ctx, newest.Node, newest.Generation, common)
	}
	return nil
}
