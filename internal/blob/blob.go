// Package blob keeps large bytes, release files and images, outside the store: each
// blob is one file named by the SHA-256 of its content.
//
// It promises that a blob is whole or absent whatever happens to the process or the
// machine, that it is on disk when Put returns, and that it never changes, so it can be
// mirrored once and cached for ever. Content that is put twice is kept once.
//
// It leaves to others who may read a blob, which blobs a record still names
// (market.Blob), and the exclusion of a second process: a directory belongs to one
// process at a time, which the store's lock on the same data directory gives.
//
// # Naming and collecting
//
// Whoever writes a record that names a blob puts the blob first, in the same process and
// less than a day before the record is committed; also when it may be there already, for
// Put makes it young again. A record that is there may be named by others as it is, in
// one transaction. In return Collect removes only what no record names and nobody has
// put for a day, so nothing that a record names, now or in a moment, is removed.
//
// # Layout
//
//	DIR/ab/abcd…      a blob: 64 lower-case hex digits, in the folder of the first two
//	DIR/tmp/put-…     a blob being written; left over only by a crash, removed by Open
//
// A file appears under its name only by a rename after its bytes were synced, and the
// folder is synced before anyone is told. So a crash leaves at most temporaries, and
// files that Collect was about to remove.
package blob

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"iter"
	"math"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/souk-market/souk/internal/market"
)

// Sum is the SHA-256 of a blob's content and the blob's only name. Being an array, it
// can't hold a path: everything that comes from outside goes through ParseSum.
type Sum [sha256.Size]byte

// SumOf returns the name that content has or would have.
func SumOf(content []byte) Sum { return sha256.Sum256(content) }

// ParseSum reads 64 lower-case hexadecimal digits and nothing else: each blob has one
// spelling. Errors: Invalid.
func ParseSum(s string) (Sum, error) {
	var sum Sum
	if len(s) != hex.EncodedLen(len(sum)) {
		return Sum{}, market.Errorf(market.Invalid, "A SHA-256 has 64 hexadecimal digits.")
	}
	if _, err := hex.Decode(sum[:], []byte(s)); err != nil || sum.String() != s {
		return Sum{}, market.Errorf(market.Invalid, "A SHA-256 is written in the digits 0-9 and a-f.")
	}
	return sum, nil
}

// String returns 64 lower-case hexadecimal digits.
func (s Sum) String() string { return hex.EncodeToString(s[:]) }

// Ref names a blob and says how long it is, in bytes.
type Ref struct {
	Sum  Sum
	Size int64
}

// ErrDamaged marks a blob whose content doesn't hash to its name any more.
var ErrDamaged = errors.New("damaged")

// ErrForeign marks a file among the blobs that is none.
var ErrForeign = errors.New("not a blob")

// Store is a directory of blobs. Its methods may be called at the same time.
type Store struct {
	dir string
	tmp string

	// mu makes one step of seeing that a blob is there and making it young, and another
	// of seeing that it is old and removing it. It guards puts.
	mu    sync.Mutex
	puts  map[Sum]time.Time // of this process, by its monotonic clock; Collect forgets old ones
	clock func() time.Time

	removed, removedBytes atomic.Int64

	fetch atomic.Pointer[func(ctx context.Context, into *Store, sum Sum) error] // nil: what isn't here is nowhere

	buffers sync.Pool // of *[copySize]byte
}

const (
	dirMode  = 0o700
	tmpName  = "tmp"
	tmpStart = "put-"
	copySize = 128 << 10
)

// Open opens the store in dir, makes it when it isn't there, and removes what a crash
// left half written.
func Open(dir string) (*Store, error) {
	s := &Store{dir: dir, tmp: filepath.Join(dir, tmpName), puts: map[Sum]time.Time{}, clock: time.Now}
	if err := s.makeFolders(); err != nil {
		return nil, fmt.Errorf("blob: opening %s: %w", dir, err)
	}
	if err := s.removeTemporaries(); err != nil {
		return nil, fmt.Errorf("blob: opening %s: %w", dir, err)
	}
	return s, nil
}

// makeFolders makes every shard at once, so that Put never has a new folder to sync.
func (s *Store) makeFolders() error {
	if err := os.MkdirAll(s.tmp, dirMode); err != nil {
		return err
	}
	for i := range 256 {
		err := os.Mkdir(filepath.Join(s.dir, shard(byte(i))), dirMode)
		if err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
	}
	return errors.Join(syncPath(s.dir), syncPath(filepath.Dir(s.dir)))
}

func (s *Store) removeTemporaries() error {
	left, err := os.ReadDir(s.tmp)
	if err != nil {
		return err
	}
	for _, entry := range left {
		if err := os.Remove(filepath.Join(s.tmp, entry.Name())); err != nil {
			return err
		}
	}
	return nil
}

func shard(first byte) string { return hex.EncodeToString([]byte{first}) }

func (s *Store) folder(sum Sum) string { return filepath.Join(s.dir, shard(sum[0])) }

func (s *Store) path(sum Sum) string { return filepath.Join(s.folder(sum), sum.String()) }

// Put keeps what r gives until EOF, at most limit bytes, and returns its name; the blob
// is on disk then. Errors: TooLarge over the limit, Unavailable when the disk refuses
// (full, failing), the context's error, or r's own error; nothing is kept then.
func (s *Store) Put(ctx context.Context, r io.Reader, limit int64) (Ref, error) {
	f, err := os.CreateTemp(s.tmp, tmpStart)
	if err != nil {
		return Ref{}, diskError(err)
	}
	defer os.Remove(f.Name()) // fails when the rename has taken it, as it should
	defer f.Close()
	buf := s.buffer()
	defer s.buffers.Put(buf)
	ref, err := copyHashed(ctx, f, r, limit, buf[:])
	if err != nil {
		return Ref{}, err
	}
	if err := s.publish(ctx, f, ref); err != nil {
		return Ref{}, diskError(err)
	}
	return ref, nil
}

// publish makes the temporary f the blob ref, unless there is one, which it makes young.
// One that is there is read, for it may be damaged and is replaced then. The folder is
// synced in both cases: the one that is there may be another Put's, not yet synced.
func (s *Store) publish(ctx context.Context, f *os.File, ref Ref) error {
	there, err := s.renew(ref)
	if err != nil {
		return err
	}
	if !there || s.Verify(ctx, ref.Sum) != nil {
		if err := f.Sync(); err != nil {
			return err
		}
		if err := s.name(f, ref); err != nil {
			return err
		}
	}
	return syncPath(s.folder(ref.Sum))
}

// renew makes the blob ref young when it is there, so that Collect leaves it.
func (s *Store) renew(ref Ref) (there bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.holds(ref) {
		return false, nil
	}
	s.puts[ref.Sum] = s.clock()
	return true, os.Chtimes(s.path(ref.Sum), time.Time{}, time.Now())
}

// name gives the temporary f, which is on disk, the name of ref.
func (s *Store) name(f *os.File, ref Ref) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.puts[ref.Sum] = s.clock()
	return os.Rename(f.Name(), s.path(ref.Sum))
}

// holds reports whether ref is there with its whole length. A file of another length is
// damaged, and a Put may replace it.
func (s *Store) holds(ref Ref) bool {
	info, err := os.Lstat(s.path(ref.Sum))
	return err == nil && info.Mode().IsRegular() && info.Size() == ref.Size
}

func (s *Store) buffer() *[copySize]byte {
	if buf, ok := s.buffers.Get().(*[copySize]byte); ok {
		return buf
	}
	return new([copySize]byte)
}

func copyHashed(ctx context.Context, f *os.File, r io.Reader, limit int64, buf []byte) (Ref, error) {
	limit = min(max(limit, 0), math.MaxInt64-1)
	src := &source{ctx: ctx, r: r}
	h := sha256.New()
	n, err := io.CopyBuffer(io.MultiWriter(f, h), io.LimitReader(src, limit+1), buf)
	switch {
	case src.err != nil:
		return Ref{}, fmt.Errorf("blob: reading what to put: %w", src.err)
	case err != nil:
		return Ref{}, diskError(err)
	case n > limit:
		return Ref{}, market.Errorf(market.TooLarge, "This file is too large: at most %s are accepted.", bytesText(limit))
	}
	return Ref{Sum: sumOf(h), Size: n}, nil
}

func sumOf(h hash.Hash) (sum Sum) {
	h.Sum(sum[:0])
	return sum
}

// source reads r until the context ends, and keeps r's failure apart from the disk's.
type source struct {
	ctx context.Context
	r   io.Reader
	err error
}

func (s *source) Read(p []byte) (int, error) {
	if err := s.ctx.Err(); err != nil {
		s.err = err
		return 0, err
	}
	n, err := s.r.Read(p)
	if err != nil && err != io.EOF {
		s.err = err
	}
	return n, err
}

// File is an open blob, for reading. It is the *os.File itself, so that
// http.ServeContent sends it from the kernel (sendfile) and serves ranges.
type File struct {
	*os.File
	ref Ref
}

// Ref names the blob.
func (f *File) Ref() Ref { return f.ref }

// Size is the blob's length in bytes.
func (f *File) Size() int64 { return f.ref.Size }

// SetFetch makes Open get a blob that isn't here from elsewhere, by Put; fetch answers
// fs.ErrNotExist when it isn't there either. nil ends that.
func (s *Store) SetFetch(fetch func(ctx context.Context, into *Store, sum Sum) error) {
	if fetch == nil {
		s.fetch.Store(nil)
		return
	}
	s.fetch.Store(&fetch)
}

// openFile opens the file of a blob, after getting it from elsewhere if it isn't here.
func (s *Store) openFile(ctx context.Context, sum Sum) (*os.File, error) {
	f, err := os.Open(s.path(sum))
	fetch := s.fetch.Load()
	if fetch == nil || !errors.Is(err, fs.ErrNotExist) {
		return f, err
	}
	if err := (*fetch)(ctx, s, sum); err != nil {
		return nil, err
	}
	return os.Open(s.path(sum))
}

// Open opens a blob for reading; the caller closes it. The content is not hashed, see
// Verify. Errors: NotFound.
func (s *Store) Open(ctx context.Context, sum Sum) (*File, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("blob: opening %s: %w", sum, err)
	}
	f, err := s.openFile(ctx, sum)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, market.Errorf(market.NotFound, "This file is not here.").Because(err)
	}
	if err != nil {
		return nil, fmt.Errorf("blob: %w", err)
	}
	info, err := f.Stat()
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("blob: %w", err)
	}
	return &File{File: f, ref: Ref{Sum: sum, Size: info.Size()}}, nil
}

// Has reports whether the blob is there.
func (s *Store) Has(ctx context.Context, sum Sum) (bool, error) {
	if err := ctx.Err(); err != nil {
		return false, fmt.Errorf("blob: looking for %s: %w", sum, err)
	}
	_, err := os.Lstat(s.path(sum))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("blob: %w", err)
	}
	return true, nil
}

// Verify reads the whole blob and compares its hash with its name. Errors: NotFound, or
// one that names the file and wraps ErrDamaged.
func (s *Store) Verify(ctx context.Context, sum Sum) error {
	f, err := s.Open(ctx, sum)
	if err != nil {
		return err
	}
	defer f.Close()
	buf := s.buffer()
	defer s.buffers.Put(buf)
	h := sha256.New()
	if _, err := io.CopyBuffer(h, &source{ctx: ctx, r: f.File}, buf[:]); err != nil {
		return fmt.Errorf("blob: verifying %s: %w", f.Name(), err)
	}
	if found := sumOf(h); found != sum {
		return fmt.Errorf("blob: %s is %w: its content hashes to %s", f.Name(), ErrDamaged, found)
	}
	return nil
}

// All yields every blob in the order of the sums. Blobs put or removed meanwhile may be
// missing. A file that is no blob is yielded as an error that names it and wraps
// ErrForeign, and the walk goes on.
func (s *Store) All() iter.Seq2[Ref, error] {
	return func(yield func(Ref, error) bool) {
		for i := range 256 {
			if !s.eachIn(byte(i), yield) {
				return
			}
		}
	}
}

func (s *Store) eachIn(first byte, yield func(Ref, error) bool) bool {
	folder := filepath.Join(s.dir, shard(first))
	entries, err := os.ReadDir(folder)
	if err != nil {
		return yield(Ref{}, fmt.Errorf("blob: %w", err))
	}
	for _, entry := range entries {
		ref, err := refOf(entry, first)
		if errors.Is(err, fs.ErrNotExist) {
			continue // removed since the folder was read
		}
		if err != nil {
			err = fmt.Errorf("blob: %s: %w", filepath.Join(folder, entry.Name()), err)
		}
		if !yield(ref, err) {
			return false
		}
	}
	return true
}

func refOf(entry fs.DirEntry, first byte) (Ref, error) {
	sum, err := ParseSum(entry.Name())
	if err != nil || sum[0] != first || !entry.Type().IsRegular() {
		return Ref{}, ErrForeign
	}
	info, err := entry.Info()
	if err != nil {
		return Ref{}, err
	}
	return Ref{Sum: sum, Size: info.Size()}, nil
}

// syncPath makes the content of a file, or the names in a folder, durable.
func syncPath(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

func diskError(err error) error {
	return market.Errorf(market.Unavailable, "Files can't be stored at the moment. Please try again later.").
		Because(fmt.Errorf("blob: %w", err))
}

func bytesText(n int64) string {
	switch {
	case n >= 1<<20:
		return fmt.Sprintf("%.4g MiB", float64(n)/(1<<20))
	case n >= 1<<10:
		return fmt.Sprintf("%.4g KiB", float64(n)/(1<<10))
	}
	return fmt.Sprintf("%d bytes", n)
}
