package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/souk-market/souk/internal/blob"
	"github.com/souk-market/souk/internal/market"
	"github.com/souk-market/souk/internal/replica"
	"github.com/souk-market/souk/store"
)

type restoreCmd struct {
	From string `required:"" placeholder:"URL" help:"The replica: file:///path or s3://bucket/path?region=REGION&endpoint=https://HOST. Keys for S3 come from AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY."`
	Data string `required:"" placeholder:"DIR" help:"The directory to make. It must not exist, or be empty."`
	At   string `placeholder:"TIME" help:"Restore what had been shipped by this time (RFC 3339). Default: everything."`
	TXID uint64 `name:"txid" placeholder:"N" help:"Restore up to this file of the newest generation."`

	AllowMissingFiles bool `help:"Restore even if the replica lacks some of the files for sale, and name them."`
}

func (c *restoreCmd) Run(ctx context.Context) error {
	log := Config{}.logger()
	target := replica.Target{TXID: c.TXID}
	if c.At != "" {
		at, err := time.Parse(time.RFC3339, c.At)
		if err != nil {
			return market.Errorf(market.Invalid, "%q is no time. Write it like 2026-11-23T10:00:00Z.", c.At)
		}
		target.Time = at
	}
	client, err := replica.OpenClient(c.From, log)
	if err != nil {
		return err
	}
	bar := newProgress(os.Stderr, 0)
	rep, err := replica.Restore(ctx, client, c.Data, target, replica.RestoreOptions{
		Logger: log, AllowMissingBlobs: c.AllowMissingFiles,
		Progress: func(done, total int) {
			bar.total = int64(total)
			bar.show(int64(done), fmt.Sprintf("%d of %d files", done, total))
		},
	})
	bar.done()
	if err != nil {
		return err
	}
	fmt.Printf("Restored commit %d (generation %d, file %d, cut %s) into %s in %s: %d change files with %d bytes, %d files for sale with %d bytes.\n",
		rep.LSN, rep.Generation, rep.TXID, rep.Time.UTC().Format(time.RFC3339), c.Data, rep.Duration.Round(time.Millisecond),
		rep.Files, rep.Bytes, rep.Blobs, rep.BlobBytes)
	for _, d := range rep.Damaged {
		fmt.Printf("A damaged snapshot was passed over: %s\n", d)
	}
	for _, b := range rep.MissingBlobs {
		fmt.Printf("The replica lacks the file %s.\n", b)
	}
	return checkData(ctx, c.Data, false)
}

// checkData opens a closed data directory and verifies all of it.
func checkData(ctx context.Context, dir string, full bool) error {
	path := filepath.Join(dir, "store")
	if _, err := os.Stat(path); err != nil {
		return market.Errorf(market.NotFound, "There is no marketplace in %s.", dir)
	}
	h := &house{log: Config{}.logger()}
	var err error
	if h.db, err = store.Open(store.Options{Dir: path, Logger: h.log}); err != nil {
		return err
	}
	defer h.close()
	if h.blobs, err = blob.Open(filepath.Join(dir, "blobs")); err != nil {
		return err
	}
	started := time.Now()
	bar := newProgress(os.Stderr, 0)
	rep, err := h.db.Check(ctx, store.CheckOptions{
		Blob: h.checkBlob(ctx, full), Progress: func(keys int) { bar.show(0, fmt.Sprintf("%d keys checked", keys)) },
	})
	bar.done()
	if err != nil {
		return err
	}
	for _, p := range rep.Problems {
		fmt.Println(p)
	}
	if !rep.OK() {
		return market.Errorf(market.Conflict, "The check of %s found %d problems. Keep the directory as it is, and restore from the replica into a new one.",
			dir, len(rep.Problems)+rep.More)
	}
	fmt.Printf("Checked %d keys up to commit %d in %s: everything is in order (%d agents, %d orders, %d postings).\n", rep.Keys, rep.LSN,
		time.Since(started).Round(time.Millisecond), rep.Records["agents"], rep.Records["orders"], rep.Records["postings"])
	return nil
}

type checkCmd struct {
	settingsFlags
	Full bool `help:"Read every file for sale and compare its SHA-256, too."`
}

func (c *checkCmd) Run(ctx context.Context) error {
	cfg, _, err := c.load(nil)
	if err != nil {
		return err
	}
	return checkData(ctx, cfg.Data, c.Full)
}
