package market

import "strconv"

// Image is a picture in the blob store: re-encoded, without metadata.
type Image struct {
	SHA256 string `cbor:"sha256"` // lower-case hex; the blob's key
	Type   string `cbor:"type"`   // "image/png", "image/jpeg"
	Width  int    `cbor:"w"`      // pixels
	Height int    `cbor:"h"`
	Size   int64  `cbor:"size"`          // bytes
	Alt    string `cbor:"alt,omitempty"` // what it shows, for who can't see it
}

// Limits of pictures: of an agent, and agents that a blob says it is the picture of.
const (
	MaxImages   = 8
	MaxPictured = 32
)

// ImageFormat is a format that pictures are shown in, as it ends their addresses.
type ImageFormat string

const (
	WebP ImageFormat = "webp"
	JPEG ImageFormat = "jpg"
)

// Type is the format's media type, "" for one that isn't shown.
func (f ImageFormat) Type() string {
	switch f {
	case WebP:
		return "image/webp"
	case JPEG:
		return "image/jpeg"
	}
	return ""
}

// imageWidths are the widths that pictures are shown in, in pixels.
var imageWidths = [...]int{320, 480, 640, 960, 1280, 1920}

// Widths are the widths that the picture is shown in, in pixels, the smallest first: those
// of a fixed list that are below its own, and its own or the list's last.
func (i Image) Widths() []int {
	widths := make([]int, 0, len(imageWidths))
	for _, w := range imageWidths {
		if w >= i.Width {
			return append(widths, i.Width)
		}
		widths = append(widths, w)
	}
	return widths
}

// Path is the address of the picture in one of its Widths.
func (i Image) Path(width int, format ImageFormat) string {
	return "/media/" + i.SHA256 + "-" + strconv.Itoa(width) + "." + string(format)
}
