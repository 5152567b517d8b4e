package store

import (
	"bytes"
	"fmt"

	"github.com/fxamacker/cbor/v2"
)

// Records are CBOR maps with the field names of their Go types' tags. Times are RFC 3339
// in UTC, exact to the nanosecond: index keys are made from them again when a record is
// replaced, so they must come back as they were. Unknown fields are skipped, so that a
// record written by a newer binary of the same schema version still reads. Texts are
// taken as they are, valid UTF-8 or not, and the limits are beyond what MaxValue bytes can
// hold: what has been written can always be read.
var (
	encMode = must(cbor.EncOptions{Sort: cbor.SortNone, Time: cbor.TimeRFC3339NanoUTC}.UserBufferEncMode())
	decMode = must(cbor.DecOptions{
		MaxNestedLevels: 1<<16 - 1, MaxArrayElements: 1 << 16, MaxMapPairs: 1 << 16, UTF8: cbor.UTF8DecodeInvalid,
	}.DecMode())
)

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// encodeTo is encode at the end of a buffer.
func encodeTo(b *bytes.Buffer, v any) ([]byte, error) {
	start := b.Len()
	if err := encMode.MarshalToBuffer(v, b); err != nil {
		b.Truncate(start)
		return nil, fmt.Errorf("store: encoding %T: %w", v, err)
	}
	return b.Bytes()[start:b.Len():b.Len()], nil
}

func encode(v any) ([]byte, error) {
	b, err := encMode.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("store: encoding %T: %w", v, err)
	}
	return b, nil
}

func decode(b []byte, v any) error {
	if err := decMode.Unmarshal(b, v); err != nil {
		return fmt.Errorf("store: decoding %T: %w", v, err)
	}
	return nil
}
