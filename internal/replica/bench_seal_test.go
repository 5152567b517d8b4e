package replica

import (
	"bytes"
	"fmt"
	"io"
	"testing"

	"github.com/souk-market/souk/store"
)

// BenchmarkSeal is what encryption costs: of a file of one record, and of 64 MiB that
// don't compress, as a large file has them.
func BenchmarkSeal(b *testing.B) {
	for name, key := range map[string]*Key{"plain": nil, "encrypted": NewRecoveryKey()} {
		for _, records := range []int{1, 10, 1000} {
			b.Run(fmt.Sprintf("%s/%d-records", name, records), func(b *testing.B) {
				var size int64
				for b.Loop() {
					size = sealOne(b, key, records)
				}
				b.ReportMetric(float64(size), "bytes")
			})
		}
	}
	b.Run("64MiB", func(b *testing.B) {
		content := make([]byte, 64<<20)
		key := NewRecoveryKey()
		b.SetBytes(int64(len(content)))
		for b.Loop() {
			if err := key.encrypt(io.Discard, bytes.NewReader(content)); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// sealOne writes a change file of some records of 350 bytes and returns the size of what
// is sent.
func sealOne(b *testing.B, key *Key, records int) int64 {
	w, err := newFileWriter(b.TempDir(), key)
	if err != nil {
		b.Fatal(err)
	}
	defer w.discard()
	for i := range records {
		value := fmt.Appendf(nil, `{"id":"ord_%06d","buyer":"acc_%06d","total":%d,"lines":"%s"}`, i, i*7, i*100, bytes.Repeat([]byte{byte('a' + i%26)}, 280))
		if err := w.set(fmt.Appendf([]byte{1}, "orders/%06d", i), value, false); err != nil {
			b.Fatal(err)
		}
	}
	f := &footer{Generation: 1, TXID: 7, LSNMin: 7, LSNMax: 7, Node: "nod_01JD000000000000", Schema: store.SchemaVersion, Time: 1e12, Committed: 1e12, PrevLink: Link{1}}
	body, err := w.finish(f)
	if err != nil {
		b.Fatal(err)
	}
	size, err := sizeOf(body)
	if err != nil {
		b.Fatal(err)
	}
	out, err := (&Client{key: key}).sealed(f, body, size)
	if err != nil {
		b.Fatal(err)
	}
	defer out.discard()
	return out.size
}
