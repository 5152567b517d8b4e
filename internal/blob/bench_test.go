package blob

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"io"
	"os"
	"path/filepath"
	"testing"
)

// content is size bytes that differ for every n.
func content(base []byte, n int) []byte {
	binary.LittleEndian.PutUint64(base, uint64(n))
	return base
}

func random(size int) []byte {
	b := make([]byte, size)
	rand.Read(b)
	return b
}

var benchSizes = []struct {
	name string
	size int
}{{"4KiB", 4 << 10}, {"1MiB", 1 << 20}, {"64MiB", 64 << 20}}

func BenchmarkPut(b *testing.B) {
	for _, c := range benchSizes {
		b.Run(c.name, func(b *testing.B) {
			s := open(b, b.TempDir())
			base := random(c.size)
			b.SetBytes(int64(c.size))
			for n := 0; b.Loop(); n++ {
				ref, err := s.Put(context.Background(), bytes.NewReader(content(base, n)), int64(c.size))
				if err != nil {
					b.Fatal(err)
				}
				os.Remove(s.path(ref.Sum))
			}
		})
	}
}

// BenchmarkFileCopy is the limit for Put: the bytes written to a file and synced, with
// no hash, no rename, no folder sync.
func BenchmarkFileCopy(b *testing.B) {
	for _, c := range benchSizes {
		b.Run(c.name, func(b *testing.B) {
			path := filepath.Join(b.TempDir(), "copy")
			base := random(c.size)
			b.SetBytes(int64(c.size))
			for n := 0; b.Loop(); n++ {
				f, err := os.Create(path)
				if err != nil {
					b.Fatal(err)
				}
				if _, err := io.Copy(f, struct{ io.Reader }{bytes.NewReader(content(base, n))}); err != nil {
					b.Fatal(err)
				}
				if err := f.Sync(); err != nil {
					b.Fatal(err)
				}
				f.Close()
				os.Remove(path)
			}
		})
	}
}

func BenchmarkSHA256(b *testing.B) {
	base := random(1 << 20)
	b.SetBytes(int64(len(base)))
	for b.Loop() {
		sha256.Sum256(base)
	}
}
