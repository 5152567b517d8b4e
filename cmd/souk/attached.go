package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/souk-market/souk/internal/market"
	"github.com/souk-market/souk/internal/replica"
	"github.com/souk-market/souk/store"
)

// attachedRetry is how long the download of an attached directory waits after a failure.
const attachedRetry = 30 * time.Second

// attach opens what the data directory is attached to since souk restore --attach, if it
// is, with the keys of the configured replicas.
func (h *house) attach(o *store.Options) (err error) {
	h.attached, err = replica.OpenAttachment(h.cfg.Data, h.log, func(url string) (*replica.Client, error) {
		return openReplica(h.cfg.replicaFor(url), h.log)
	})
	if err == nil && h.attached != nil {
		o.Remote = h.attached
		at := h.attached.State()
		h.log.Info("part of the data is still in the replica; it is read from there and downloaded", "replicas", at.URLs, "bytes", at.Bytes, "since", at.Since)
	}
	return err
}

// detach downloads what the directory is attached to, until it is an ordinary one, and
// checks it then. It goes on until ctx ends.
func (h *house) detach(ctx context.Context) error {
	for h.attached != nil {
		err := h.attached.Finish(ctx, h.db, h.blobs, nil)
		if err == nil {
			h.log.Info("everything has been downloaded; the replica is no longer read")
			h.checkDownloaded(ctx)
			break
		}
		if ctx.Err() != nil {
			return nil
		}
		h.log.Error("downloading the rest of the data failed; trying again", "err", err)
		select {
		case <-time.After(attachedRetry):
		case <-ctx.Done():
		}
	}
	<-ctx.Done()
	return nil
}

// checkDownloaded checks the whole database, and tells the operator what is wrong.
func (h *house) checkDownloaded(ctx context.Context) {
	rep, err := h.db.Check(ctx, store.CheckOptions{Blob: h.checkBlob(ctx, false)})
	if err == nil && !rep.OK() {
		err = errors.New(rep.Problems[0])
	}
	switch {
	case ctx.Err() != nil:
	case err != nil:
		h.log.Error("the restored data are not in order; run souk check", "err", err)
		h.alert(market.Alert{
			Subject: "The restored data are not in order", At: time.Now().UTC(),
			Text: fmt.Sprintf("The data directory was restored with --attach, and its check found a problem. Run souk check. The first problem: %v", err),
		})
	default:
		h.log.Info("the restored data are in order", "commit", rep.LSN)
	}
}
