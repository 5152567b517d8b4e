package media

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"image"
	"image/jpeg"
	"image/png"
	"io"
	"runtime"

	"github.com/souk-market/souk/internal/market"
)

// Master is a picture that may be shown, with its bytes for the blob store. Its Alt is empty.
type Master struct {
	market.Image
	Content []byte
}

// ingesting has an element while an upload is worked on.
var ingesting = make(chan struct{}, 1)

// Ingest makes a picture that may be shown of an upload. declared is the media type that
// the sender gives; what counts is the content. A picture that has transparency becomes a
// PNG, one that was JPEG a JPEG, any other a PNG, unless that is more than twice as large as
// a JPEG. A master that comes in again stays as it is, byte for byte, and so is never larger
// than an upload may be. r is read while others wait: what comes over a network is read to
// its end before. Errors: Invalid about the field "image", with what to send instead; r's own
// error; the context's.
func Ingest(ctx context.Context, r io.Reader, declared string) (Master, error) {
	select {
	case ingesting <- struct{}{}:
		defer func() { <-ingesting }()
	case <-ctx.Done():
		return Master{}, ctx.Err()
	}
	content, err := io.ReadAll(io.LimitReader(r, MaxUpload+1))
	if err != nil {
		return Master{}, fmt.Errorf("media: reading an upload: %w", err)
	}
	if len(content) > MaxUpload {
		return Master{}, refused("This picture is larger than %d MiB. Send a smaller one.", MaxUpload>>20)
	}
	h, err := readHeader(content, declared)
	if err != nil {
		return Master{}, err
	}
	return h.master(content)
}

// master decodes an upload and encodes it again.
func (h header) master(content []byte) (Master, error) {
	h.collect()
	m, err := h.small(content)
	if err != nil {
		return Master{}, err
	}
	h.collect()
	if h.lossy && isJPEGMaster(content, h) {
		return master(content, "image/jpeg", m.Bounds()), nil
	}
	return encodeMaster(upright(m, h.orientation), h.lossy)
}

// largeDecoded is from how many bytes on a decoded picture isn't left to the collector,
// which would let as much garbage again gather beside it.
const largeDecoded = 16 << 20

// collect frees what the step before has left behind.
func (h header) collect() {
	if h.decoded() > largeDecoded {
		runtime.GC()
	}
}

// small returns an upload's pixels in a master's dimensions, not upright yet.
func (h header) small(content []byte) (*image.NRGBA, error) {
	m, err := h.pixels(content)
	if err != nil {
		return nil, err
	}
	w, ht := m.Bounds().Dx(), m.Bounds().Dy()
	if h.orientation >= 5 {
		ht, w = fit(ht, w)
	} else {
		w, ht = fit(w, ht)
	}
	return shrink(m, w, ht), nil
}

// pixels decodes an upload. Decoders read what strangers send: that one panics says that
// the file is damaged.
func (h header) pixels(content []byte) (m image.Image, err error) {
	defer func() {
		if p := recover(); p != nil {
			m, err = nil, damaged(fmt.Errorf("the decoder panicked: %v", p))
		}
	}()
	if m, err = h.decode(content); err != nil {
		return nil, damaged(err)
	}
	if b := m.Bounds(); b.Dx() > h.width || b.Dy() > h.height || b.Empty() {
		return nil, damaged(fmt.Errorf("%v instead of %d × %d", b, h.width, h.height))
	}
	return m, nil
}

func damaged(err error) error {
	return refused("This picture is damaged or of a rare kind, and can't be opened. Save it again as PNG or JPEG and send that.").Because(err)
}

// encodeMaster encodes a picture, and in fewer pixels one that would be too large to come in
// again.
func encodeMaster(m *image.NRGBA, lossy bool) (Master, error) {
	for {
		made, err := encodeAs(m, lossy)
		if !errors.Is(err, errFull) {
			return made, err
		}
		m = shrink(m, scaled(m.Rect.Dx(), 0.75), scaled(m.Rect.Dy(), 0.75))
	}
}

// encodeAs encodes a picture in the better format of the two, errFull where that has more
// than MaxUpload bytes.
func encodeAs(m *image.NRGBA, lossy bool) (Master, error) {
	asPNG, asJPEG := bounded{limit: MaxUpload}, bounded{limit: MaxUpload}
	opaque := m.Opaque()
	if opaque {
		if err := encodeJPEG(&asJPEG, m, masterQuality); err != nil {
			return Master{}, err
		}
		if lossy {
			return master(asJPEG.Bytes(), "image/jpeg", m.Rect), nil
		}
		asPNG.limit = min(MaxUpload, 2*asJPEG.Len())
	}
	err := png.Encode(&asPNG, m)
	switch {
	case err == nil:
		return master(asPNG.Bytes(), "image/png", m.Rect), nil
	case opaque && errors.Is(err, errFull):
		return master(asJPEG.Bytes(), "image/jpeg", m.Rect), nil
	}
	return Master{}, fmt.Errorf("media: encoding a PNG: %w", err)
}

// bounded is a buffer that takes up to limit bytes.
type bounded struct {
	bytes.Buffer
	limit int
}

var errFull = errors.New("media: an encoded picture is too large")

func (b *bounded) Write(p []byte) (int, error) {
	if b.Len()+len(p) > b.limit {
		return 0, errFull
	}
	return b.Buffer.Write(p)
}

func encodeJPEG(to io.Writer, m *image.NRGBA, quality int) error {
	// The encoder knows how to read an RGBA fast, and the bytes of opaque ones are the same.
	rgba := &image.RGBA{Pix: m.Pix, Stride: m.Stride, Rect: m.Rect}
	if err := jpeg.Encode(to, rgba, &jpeg.Options{Quality: quality}); err != nil {
		return fmt.Errorf("media: encoding a JPEG: %w", err)
	}
	return nil
}

func master(content []byte, mediaType string, b image.Rectangle) Master {
	sum := sha256.Sum256(content)
	return Master{
		Image: market.Image{
			SHA256: hex.EncodeToString(sum[:]), Type: mediaType, Width: b.Dx(), Height: b.Dy(), Size: int64(len(content)),
		},
		Content: content,
	}
}
