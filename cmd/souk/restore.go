package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/souk-market/souk/internal/market"
	"github.com/souk-market/souk/internal/replica"
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
	rep, err := replica.Restore(ctx, []*replica.Client{client}, c.Data, target, replica.RestoreOptions{
		Logger: log, AllowMissingBlobs: c.AllowMissingFiles,
		Progress: func(done, total int64) {
			bar.total = total
			bar.show(done, fmt.Sprintf("%d of %d bytes", done, total))
		},
	})
	bar.done()
	if err != nil {
		return err
	}
	fmt.Printf("Restored commit %d (generation %d, file %d, cut %s) into %s in %s: %d change files with %d bytes, %d files for sale with %d bytes.\n",
		rep.LSN, rep.Generation, rep.TXID, rep.Time.UTC().Format(time.RFC3339), c.Data, rep.Duration.Round(time.Millisecond),
		rep.Files, rep.Bytes, rep.Blobs, rep.BlobBytes)
	for _, h := range rep.Healed {
		fmt.Printf("%s: %s. Taken instead: %s.\n", h.Name, h.Reason, h.By)
	}
	for _, b := range rep.MissingBlobs {
		fmt.Printf("The replica lacks the file %s.\n", b)
	}
	return do(ctx, Config{Data: c.Data}, &checkTask{})
}
