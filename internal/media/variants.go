package media

import (
	"bytes"
	"context"
	"fmt"
	"image"
	"image/jpeg"
	"image/png"
	"io"
	"log/slog"
	"math"
	"slices"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/souk-market/souk/internal/market"
	"golang.org/x/sync/singleflight"
)

// Options of Open.
type Options struct {
	Dir     string // of the cache, made when it isn't there
	Bytes   int64  // of the cache at most; 0 is DefaultBytes
	Workers int    // variants made at once; 0 is one
	// Master opens the bytes of a picture's master.
	Master func(ctx context.Context, sha256 string) (io.ReadCloser, error)
	Logger *slog.Logger
}

// DefaultBytes is the room that variants get on the disk where nothing is said.
const DefaultBytes = 256 << 20

// maxWaiting bounds the variants that are to be made, whether somebody still waits for them
// or not. A page has some twenty pictures.
const maxWaiting = 128

// Variants makes pictures in the widths and formats that browsers ask for, when they ask,
// and keeps them on disk. Its methods may be called at the same time.
type Variants struct {
	Options
	disk    *disk
	flights singleflight.Group
	workers chan struct{} // has an element for each variant being made

	waiting, hits, made, failed atomic.Int64
}

// Open opens the cache.
func Open(o Options) (*Variants, error) {
	if o.Bytes <= 0 {
		o.Bytes = DefaultBytes
	}
	d, err := openDisk(o.Dir, o.Bytes)
	if err != nil {
		return nil, err
	}
	return &Variants{Options: o, disk: d, workers: make(chan struct{}, max(1, o.Workers))}, nil
}

// Stats are figures since the start; Files and Bytes are of now.
type Stats struct {
	Files                       int
	Bytes                       int64
	Hits, Made, Failed, Evicted int64
}

// Stats returns the figures.
func (v *Variants) Stats() Stats {
	v.disk.mu.Lock()
	defer v.disk.mu.Unlock()
	return Stats{
		Files: len(v.disk.files), Bytes: v.disk.bytes, Evicted: v.disk.evicted,
		Hits: v.hits.Load(), Made: v.made.Load(), Failed: v.failed.Load(),
	}
}

// Variant is a picture in a width and format, for reading. The caller closes it.
type Variant struct {
	io.ReadSeekCloser
	Type string // its media type
	Made time.Time
}

// Variant returns a picture in one of its Widths; it is made if it isn't on disk, once for
// all who ask meanwhile. A disk that refuses costs only that it is made again. Errors:
// NotFound for another width or format, Unavailable when too many are waited for, the
// context's, and the master's.
func (v *Variants) Variant(ctx context.Context, img market.Image, width int, format market.ImageFormat) (Variant, error) {
	if format.Type() == "" || !slices.Contains(img.Widths(), width) {
		return Variant{}, market.Errorf(market.NotFound, "The picture isn't shown in this size.")
	}
	name := img.SHA256 + "-" + strconv.Itoa(width) + "." + string(format)
	if f, err := v.disk.open(name); err == nil {
		v.hits.Add(1)
		return ofFile(f)
	}
	content, err := v.wait(ctx, name, img, width, format)
	if err != nil {
		return Variant{}, err
	}
	return Variant{ReadSeekCloser: inMemory{bytes.NewReader(content)}, Type: typeOf(content), Made: time.Now()}, nil
}

// wait makes a variant, or waits for another call that does. Who leaves doesn't stop it,
// for others may wait.
func (v *Variants) wait(ctx context.Context, name string, img market.Image, width int, format market.ImageFormat) ([]byte, error) {
	done := v.flights.DoChan(name, func() (any, error) { return v.turn(context.WithoutCancel(ctx), name, img, width, format) })
	select {
	case r := <-done:
		if r.Err != nil {
			return nil, r.Err
		}
		return r.Val.([]byte), nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// turn makes a variant when it is its turn, unless it has been made since it was looked for.
func (v *Variants) turn(ctx context.Context, name string, img market.Image, width int, format market.ImageFormat) ([]byte, error) {
	defer v.waiting.Add(-1)
	if v.waiting.Add(1) > maxWaiting {
		return nil, market.Errorf(market.Unavailable, "Too many pictures are being made at the moment. Please try again in a few seconds.")
	}
	v.workers <- struct{}{}
	defer func() { <-v.workers }()
	if f, err := v.disk.open(name); err == nil {
		defer f.Close()
		return io.ReadAll(f)
	}
	content, err := v.make(ctx, name, img, width, format)
	if err != nil {
		v.failed.Add(1)
	}
	return content, err
}

func (v *Variants) make(ctx context.Context, name string, img market.Image, width int, format market.ImageFormat) (content []byte, err error) {
	defer func() { // nobody else would: it is on a goroutine of its own
		if p := recover(); p != nil {
			content, err = nil, fmt.Errorf("media: making %s: panic: %v", name, p)
		}
	}()
	m, err := v.master(ctx, img)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	height := max(1, int(math.Round(float64(img.Height)*float64(width)/float64(img.Width))))
	if err := encode(&b, shrink(m, width, min(height, img.Height)), format); err != nil {
		return nil, err
	}
	v.made.Add(1)
	if err := v.disk.put(name, b.Bytes()); err != nil {
		v.Logger.Warn("a picture's variant can't be kept on disk", "err", err)
	}
	return b.Bytes(), nil
}

// master decodes the master of a picture, after a look at its dimensions: a blob that isn't
// the one of the record is decoded by nobody.
func (v *Variants) master(ctx context.Context, img market.Image) (image.Image, error) {
	r, err := v.Master(ctx, img.SHA256)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	content, err := io.ReadAll(io.LimitReader(r, maxMaster))
	if err != nil {
		return nil, fmt.Errorf("media: reading the picture %s: %w", img.SHA256, err)
	}
	config, decode := png.DecodeConfig, png.Decode
	if img.Type == "image/jpeg" {
		config, decode = jpeg.DecodeConfig, jpeg.Decode
	}
	c, err := config(bytes.NewReader(content))
	if err == nil && (c.Width != img.Width || c.Height != img.Height || c.Width > maxWidth || c.Height > maxHeight) {
		err = fmt.Errorf("it has %d × %d pixels", c.Width, c.Height)
	}
	if err != nil {
		return nil, fmt.Errorf("media: the picture %s: %w", img.SHA256, err)
	}
	return decode(bytes.NewReader(content))
}

// maxMaster bounds the bytes of a master: pixels that can't be compressed.
const maxMaster = 4*maxWidth*maxHeight + 1<<20

// inMemory is a variant that was just made.
type inMemory struct{ *bytes.Reader }

func (inMemory) Close() error { return nil }

// ofFile is a variant on disk. The type is of its bytes, see encode.
func ofFile(f *file) (Variant, error) {
	var start [16]byte
	n, err := f.ReadAt(start[:], 0)
	if err != nil && err != io.EOF {
		f.Close()
		return Variant{}, fmt.Errorf("media: %w", err)
	}
	return Variant{ReadSeekCloser: f, Type: typeOf(start[:n]), Made: f.made}, nil
}

func typeOf(start []byte) string {
	switch {
	case bytes.HasPrefix(start, []byte("RIFF")):
		return market.WebP.Type()
	case bytes.HasPrefix(start, []byte("\x89PNG")):
		return "image/png"
	}
	return market.JPEG.Type()
}
