// Package media makes pictures fit to be shown: it takes in what people upload, and makes
// the widths and formats that browsers ask for.
//
// It promises that nothing of an upload but its pixels gets through: every picture is
// decoded and encoded again, so that metadata (where a photo was taken, by whom, its
// thumbnail) and what is hidden in a file are gone; that what would need much memory is
// refused by its header, before a pixel is decoded; and that the disk it uses is bounded.
//
// It leaves to others where a master is kept (the blob store) and who may see it
// (internal/catalog).
//
// # Memory
//
// One upload is worked on at a time, and takes at most MaxUpload for its bytes, maxDecoded
// for its pixels and 46 MiB for those of its master, or, when its own are gone, the master's,
// a copy of them and twice MaxUpload for what they are encoded in: 152 MiB. Of variants, so many
// are made at once as Options.Workers says, each with at most 46 MiB for the master, 30 MiB
// for the variant and what its encoder needs, about as much again. Further ones wait, and
// more than maxWaiting of them are refused.
//
// # Formats
//
// In: PNG, JPEG, WebP, and the first frame of GIF. Out: WebP and JPEG. The WebP encoder is
// written in Go: the one that wraps libwebp makes the binary load libraries of the host
// unless a build tag is given. It is young, so what it makes is decoded by another decoder
// and compared before it is shown. AVIF isn't made: its only encoder without C takes 0.5 s
// and 300 MB for a picture of 1200 pixels. Colour profiles are dropped; all is taken as sRGB.
package media

import "github.com/souk-market/souk/internal/market"

// Limits of an upload.
const (
	MaxUpload  = 10 << 20   // bytes
	MaxPixels  = 50_000_000 // of a picture with 8 bits a channel
	maxSide    = 20_000     // pixels
	maxDecoded = 96 << 20   // bytes, of the pixels and what its decoder keeps besides
)

// Limits of a master, in pixels. A larger upload is shrunk.
const (
	maxWidth  = 2400
	maxHeight = 4800
)

// refused is an upload that isn't taken, in words for who sent it.
func refused(format string, args ...any) *market.Error {
	return market.FieldErrorf("image", format, args...)
}
