package main

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"time"

	"github.com/souk-market/souk/internal/control"
	"github.com/souk-market/souk/internal/market"
	"github.com/souk-market/souk/store"
)

type checkCmd struct {
	settingsFlags
	checkTask
}

func (c *checkCmd) Run(ctx context.Context) error { return c.do(ctx, &c.checkTask) }

// checkTask verifies the whole database.
type checkTask struct {
	Full   bool `help:"Read every file for sale and compare its SHA-256, too."`
	Digest bool `help:"Print the SHA-256 over all keys and values: two directories hold the same data when it is the same."`
	JSON   bool `name:"json" help:"Print the result as one JSON object."`
}

func (*checkTask) name() string { return "check" }

// checkResult is what a check found, as it is printed.
type checkResult struct {
	OK       bool           `json:"ok"` // finished, and nothing is wrong
	Finished bool           `json:"finished"`
	LSN      store.LSN      `json:"lsn"`
	Chain    string         `json:"chain"`
	Keys     int            `json:"keys_read"` // most keys are looked at more than once
	Records  map[string]int `json:"records"`
	Problems []string       `json:"problems"`
	More     int            `json:"more_problems"`    // beyond those listed
	Digest   string         `json:"digest,omitempty"` // SHA-256 of all keys and values at LSN
	Seconds  float64        `json:"seconds"`
}

func (t *checkTask) run(ctx context.Context, h *house, c *control.Console) error {
	started := time.Now()
	rep, err := t.check(ctx, h, c)
	if rep == nil {
		return t.notBegun(c.Out, err)
	}
	res := checkResult{
		Finished: err == nil, LSN: rep.LSN, Chain: rep.Chain.String(), Keys: rep.Keys, Records: rep.Records, Problems: append([]string{}, rep.Problems...), More: rep.More,
	}
	if rep.Digest != [32]byte{} {
		res.Digest = hex.EncodeToString(rep.Digest[:])
	}
	res.OK, res.Seconds = rep.OK() && err == nil, time.Since(started).Seconds()
	if perr := t.print(c.Out, &res); perr != nil {
		return perr
	}
	if err != nil {
		return unfinished(err, "The check was not finished: it was broken off after reading %d keys, and what it hasn't looked at may be damaged.", rep.Keys)
	}
	if !rep.OK() {
		return market.Errorf(market.Conflict, "The check of %s found %s. Keep the directory as it is, and restore from the replica into a new one.",
			h.cfg.Data, count(len(rep.Problems)+rep.More, "problem", "problems"))
	}
	return nil
}

// notBegun prints the result of a check that hasn't looked at anything, and returns why.
func (t *checkTask) notBegun(w io.Writer, why error) error {
	if err := t.print(w, &checkResult{Records: map[string]int{}, Problems: []string{}}); err != nil {
		return err
	}
	return unfinished(why, "The check was broken off before it had begun.")
}

func (t *checkTask) check(ctx context.Context, h *house, c *control.Console) (*store.Report, error) {
	files, err := h.newFileCheck(ctx, t.Full, c)
	if err != nil {
		return nil, err
	}
	total := 0
	return h.db.Check(ctx, store.CheckOptions{
		Blob:   files.check,
		Digest: t.Digest,
		Total:  func(keys int) { total = keys },
		Progress: func(keys int) {
			c.Show(control.Progress{Done: int64(keys), Total: int64(total), Note: fmt.Sprintf("%d keys read", keys)})
		},
	})
}

func (t *checkTask) print(w io.Writer, res *checkResult) error {
	if t.JSON {
		if err := json.NewEncoder(w).Encode(res); err != nil {
			return fmt.Errorf("souk: printing the result: %w", err)
		}
		return nil
	}
	for _, p := range res.Problems {
		fmt.Fprintln(w, plain(p))
	}
	if res.More > 0 {
		fmt.Fprintf(w, "… and %d more problems\n", res.More)
	}
	if !res.OK {
		return nil
	}
	fmt.Fprintf(w, "Read %d keys up to commit %d (chain %s) in %s: everything is in order.\n",
		res.Keys, res.LSN, res.Chain, time.Duration(res.Seconds*float64(time.Second)).Round(time.Millisecond))
	for _, table := range slices.Sorted(maps.Keys(res.Records)) {
		fmt.Fprintf(w, "%10d %s\n", res.Records[table], table)
	}
	if res.Digest != "" {
		fmt.Fprintf(w, "Digest at commit %d: %s\n", res.LSN, res.Digest)
	}
	return nil
}

// fileCheck compares files for sale with their records.
type fileCheck struct {
	ctx   context.Context
	h     *house
	full  bool // their content too
	c     *control.Console
	total int64 // bytes of all files, with full
	bytes int64 // of those compared
	files int
}

func (h *house) newFileCheck(ctx context.Context, full bool, c *control.Console) (*fileCheck, error) {
	f := &fileCheck{ctx: ctx, h: h, full: full, c: c}
	if !full {
		return f, nil
	}
	return f, h.db.View(ctx, market.MainTenant, func(tx *store.ReadTx) error {
		for b, err := range store.Blobs.All(tx, "") {
			if err != nil {
				return nil // the check names the record
			}
			f.total += b.Size
		}
		return nil
	})
}

// check reports what is wrong with a file; nothing when the check is being broken off.
func (f *fileCheck) check(sha256 string, size int64) error {
	if f.ctx.Err() != nil {
		return nil
	}
	if f.full {
		now := control.Progress{Done: f.bytes, Total: f.total, Note: fmt.Sprintf("%d files read, now one of %s", f.files, megabytes(uint64(size)))}
		defer showWhile(f.c, func() control.Progress { return now })()
	}
	err := f.h.checkBlob(f.ctx, f.full)(sha256, size)
	f.bytes += size
	f.files++
	if f.ctx.Err() != nil {
		return nil
	}
	return err
}
