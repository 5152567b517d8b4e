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
}{{"4KiB", 4 << 10}, {"1MiB", 1 << 20}, {"256MiB", 256 << 20}}

// stream hides what a reader can do besides reading, as a request's body does.
func stream(b []byte) io.Reader { return struct{ io.Reader }{bytes.NewReader(b)} }

func BenchmarkPut(b *testing.B) {
	for _, c := range benchSizes {
		b.Run(c.name, func(b *testing.B) {
			s := open(b, b.TempDir())
			base := random(c.size)
			b.SetBytes(int64(c.size))
			b.ReportAllocs()
			for n := 0; b.Loop(); n++ {
				ref, err := s.Put(context.Background(), stream(content(base, n)), int64(c.size))
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
			b.ReportAllocs()
			for n := 0; b.Loop(); n++ {
				copyFile(b, path, stream(content(base, n)))
				os.Remove(path)
			}
		})
	}
}

// BenchmarkFileCopyDurable is FileCopy as it has to be done to survive a loss of power:
// to a temporary name, renamed, the folder synced. What Put costs more is the hash.
func BenchmarkFileCopyDurable(b *testing.B) {
	for _, c := range benchSizes {
		b.Run(c.name, func(b *testing.B) {
			dir := b.TempDir()
			temporary, path := filepath.Join(dir, "temporary"), filepath.Join(dir, "copy")
			base := random(c.size)
			b.SetBytes(int64(c.size))
			b.ReportAllocs()
			for n := 0; b.Loop(); n++ {
				copyFile(b, temporary, stream(content(base, n)))
				if err := os.Rename(temporary, path); err != nil {
					b.Fatal(err)
				}
				if err := syncPath(dir); err != nil {
					b.Fatal(err)
				}
				os.Remove(path)
			}
		})
	}
}

func copyFile(b *testing.B, path string, r io.Reader) {
	b.Helper()
	f, err := os.Create(path)
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	if _, err := io.Copy(f, r); err != nil {
		b.Fatal(err)
	}
	if err := f.Sync(); err != nil {
		b.Fatal(err)
	}
}

// sink hides what a writer can do besides writing.
type sink struct{ io.Writer }

// BenchmarkGet opens and reads a blob that the system has in memory; BenchmarkFileRead
// does it with the file itself.
func BenchmarkGet(b *testing.B) {
	for _, c := range benchSizes {
		b.Run(c.name, func(b *testing.B) {
			s := open(b, b.TempDir())
			ref, err := s.Put(context.Background(), bytes.NewReader(random(c.size)), int64(c.size))
			if err != nil {
				b.Fatal(err)
			}
			read(b, c.size, func() (io.ReadCloser, error) { return s.Open(context.Background(), ref.Sum) })
		})
	}
}

func BenchmarkFileRead(b *testing.B) {
	for _, c := range benchSizes {
		b.Run(c.name, func(b *testing.B) {
			path := filepath.Join(b.TempDir(), "file")
			if err := os.WriteFile(path, random(c.size), 0o600); err != nil {
				b.Fatal(err)
			}
			read(b, c.size, func() (io.ReadCloser, error) { return os.Open(path) })
		})
	}
}

func read(b *testing.B, size int, open func() (io.ReadCloser, error)) {
	b.Helper()
	b.SetBytes(int64(size))
	b.ReportAllocs()
	buf := make([]byte, copySize)
	for b.Loop() {
		f, err := open()
		if err != nil {
			b.Fatal(err)
		}
		if n, err := io.CopyBuffer(sink{io.Discard}, f, buf); n != int64(size) || err != nil {
			b.Fatal(n, err)
		}
		f.Close()
	}
}

func BenchmarkSHA256(b *testing.B) {
	base := random(1 << 20)
	b.SetBytes(int64(len(base)))
	for b.Loop() {
		sha256.Sum256(base)
	}
}
