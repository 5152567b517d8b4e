package main

import (
	"bytes"
	"context"
	"io"
	"path/filepath"
	"runtime"

	"github.com/souk-market/souk/internal/blob"
	"github.com/souk-market/souk/internal/market"
	"github.com/souk-market/souk/internal/media"
)

// openMedia opens the cache of pictures in the widths that were asked for. Its folder may
// be deleted at any time.
func (h *house) openMedia() (err error) {
	h.media, err = media.Open(media.Options{
		Dir: filepath.Join(h.cfg.Data, "media-cache"), Workers: max(1, runtime.GOMAXPROCS(0)/2), Logger: h.log,
		Master: func(ctx context.Context, sha256 string) (io.ReadCloser, error) {
			sum, err := blob.ParseSum(sha256)
			if err != nil {
				return nil, err
			}
			return h.blobs.Open(ctx, sum)
		},
	})
	return err
}

// takePicture makes a picture that may be shown of an uploaded one, and puts it into the
// blob store unless it is only asked whether that could be done.
func (h *house) takePicture(ctx context.Context, content io.Reader, dryRun bool) (market.Image, error) {
	m, err := media.Ingest(ctx, content, "")
	if err != nil || dryRun {
		return m.Image, err
	}
	_, err = h.blobs.Put(ctx, bytes.NewReader(m.Content), m.Size)
	return m.Image, err
}
