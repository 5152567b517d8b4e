package edge

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// TestPack packs bodies of all sizes at the same time, and unpacks them.
func TestPack(t *testing.T) {
	var all sync.WaitGroup
	for _, size := range []int{0, 1, 2_000, largeBody - 1, largeBody, 2 * largeBody} {
		body := []byte(strings.Repeat("<li>An agent</li>\n", size/18+1))[:size]
		for coding := Brotli; coding < Codings; coding++ {
			all.Go(func() {
				for range 3 {
					if got, err := unpackedBy(coding, Pack(coding, body)); err != nil || !bytes.Equal(got, body) {
						t.Errorf("%d bytes by %s: %d bytes, %v", size, coding.Header(), len(got), err)
					}
				}
			})
		}
	}
	all.Wait()
}

func unpackedBy(c Coding, packed []byte) ([]byte, error) {
	in := io.Reader(bytes.NewReader(packed))
	switch c {
	case Brotli:
		in = brotli.NewReader(in)
	case Zstd:
		d, err := zstd.NewReader(in)
		if err != nil {
			return nil, err
		}
		defer d.Close()
		in = d
	case Gzip:
		d, err := gzip.NewReader(in)
		if err != nil {
			return nil, err
		}
		in = d
	}
	return io.ReadAll(in)
}

func TestNegotiate(t *testing.T) {
	for _, tc := range []struct {
		accept    string
		kept, now Coding // of a body that is kept, and of one that is packed as it is written
	}{
		{"", Identity, Identity},
		{"*", Identity, Identity},
		{"br", Brotli, Identity},
		{"gzip, deflate, br, zstd", Brotli, Zstd},
		{"gzip, deflate, br", Brotli, Gzip},
		{"br;q=0, gzip;q=0.2", Gzip, Gzip},
		{"BR;q=0.5, Zstd;q=0.6", Zstd, Zstd},
		{"br;q=x", Identity, Identity},
	} {
		if got := fmt.Sprint(Negotiate([]string{tc.accept}, Brotli), Negotiate([]string{tc.accept}, Zstd)); got != fmt.Sprint(tc.kept, tc.now) {
			t.Errorf("%q: %s, want %d %d", tc.accept, got, tc.kept, tc.now)
		}
	}
}
