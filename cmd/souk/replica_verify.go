package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/souk-market/souk/internal/market"
	"github.com/souk-market/souk/internal/replica"
)

type replicaVerifyCmd struct {
	settingsFlags
	replicaSelection
	Full bool `help:"Read every byte, and compare every checksum. It costs as much traffic as a restore."`
	JSON bool `name:"json" help:"Print a JSON object a line for each replica."`
}

// verifyResult is what was found in a replica, as it is printed.
type verifyResult struct {
	Replica string `json:"replica"`
	OK      bool   `json:"ok"`
	Full    bool   `json:"full"`
	replica.VerifyReport
}

func (c *replicaVerifyCmd) Run(ctx context.Context) error {
	cfg, _, err := c.load(nil)
	if err != nil {
		return err
	}
	clients, err := c.open(ctx, cfg)
	if err != nil {
		return err
	}
	findings := 0
	for _, client := range clients {
		rep, err := c.verify(ctx, cfg, client)
		if err != nil {
			return unfinished(err, "The verification was broken off, and what it hasn't looked at may be damaged.")
		}
		findings += len(rep.Findings)
		res := verifyResult{Replica: client.String(), OK: len(rep.Findings) == 0, Full: c.Full, VerifyReport: rep}
		if c.JSON {
			err = json.NewEncoder(os.Stdout).Encode(&res)
		} else {
			err = res.print(os.Stdout)
		}
		if err != nil {
			return err
		}
	}
	if findings > 0 {
		return market.Errorf(market.Conflict, "%s damaged or missing. Restores pass over such files where they can: try one with souk drill. "+
			"Then begin a replica at an empty path, and keep this one until the new one is verified.", count(findings, "object is", "objects are"))
	}
	return nil
}

func (c *replicaVerifyCmd) verify(ctx context.Context, cfg Config, client *replica.Client) (replica.VerifyReport, error) {
	bar, meter := newProgress(os.Stderr, 0), newTransfer()
	defer bar.done()
	return client.Verify(ctx, replica.VerifyOptions{
		Full: c.Full, Retention: cfg.replicaFor(client.String()).Keep,
		Progress: func(done, total int64) {
			bar.total = total
			bar.show(done, meter.note(done, total))
		},
	})
}

// print names each finding, and says what was looked at.
func (r *verifyResult) print(w io.Writer) error {
	var b strings.Builder
	for _, f := range r.Findings {
		fmt.Fprintf(&b, "%s: %s: %s\n", f.Kind, f.Name, plain(f.Detail))
	}
	fmt.Fprintf(&b, "%s\n", r.Replica)
	how := "their ends and links were read"
	switch {
	case r.Full && len(r.Unchecked) == 0:
		how = "every byte was read, " + amount(r.BytesRead)
	case r.Full:
		how = amount(r.BytesRead) + " were read besides their ends and links"
	}
	text := fmt.Sprintf("%s, %s, %s and %s for sale: %s.", count(r.Generations, "generation", "generations"), count(r.Files, "file", "files"),
		count(r.Segments, "segment", "segments"), count(r.Blobs, "file", "files"), how)
	switch {
	case r.OK && len(r.Unchecked) == 0:
		text += " Nothing is damaged or missing."
	case r.OK:
		text += " Nothing of that is damaged or missing."
	}
	for _, u := range r.Unchecked {
		text += " Not looked at: " + u
	}
	fmt.Fprintf(&b, "  %s\n", hang(text, 2))
	_, err := io.WriteString(w, b.String())
	return err
}
