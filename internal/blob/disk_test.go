package blob

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"
	"testing"

	"github.com/souk-market/souk/internal/market"
)

// TestFullDisk copies to a device that is always full.
func TestFullDisk(t *testing.T) {
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Skip(err)
	}
	defer full.Close()
	_, err = copyHashed(context.Background(), full, strings.NewReader("content"), 100, make([]byte, 10))
	if !market.Is(err, market.Unavailable) || !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("%v, want Unavailable because of ENOSPC", err)
	}
}

// TestDiskRefusesHalfway puts in a process that may write a megabyte per file: what is
// larger is refused halfway by the system, leaves nothing, and disturbs no other.
func TestDiskRefusesHalfway(t *testing.T) {
	const limit = 1 << 20
	if dir := os.Getenv("SOUK_BLOB_LIMITED"); dir != "" {
		signal.Ignore(syscall.SIGXFSZ)
		if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: limit, Max: limit}); err != nil {
			t.Fatal(err)
		}
		s := open(t, dir)
		before := put(t, s, strings.Repeat("x", limit))
		_, err := s.Put(context.Background(), io.LimitReader(neverEnding{}, 3*limit), 10*limit)
		if !market.Is(err, market.Unavailable) || !errors.Is(err, syscall.EFBIG) {
			t.Errorf("%v, want Unavailable because of EFBIG", err)
		}
		after := put(t, s, "small")
		if got := all(t, s); len(got) != 2 || !has(t, s, before) || !has(t, s, after) {
			t.Errorf("blobs: %v", got)
		}
		checkWhole(t, s)
		return
	}
	cmd := exec.Command(os.Args[0], "-test.run=^TestDiskRefusesHalfway$", "-test.v")
	cmd.Env = append(os.Environ(), "SOUK_BLOB_LIMITED="+t.TempDir())
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "--- PASS: TestDiskRefusesHalfway") {
		t.Errorf("%v\n%s", err, out)
	}
}

// neverEnding gives bytes without end.
type neverEnding struct{}

func (neverEnding) Read(p []byte) (int, error) { return len(p), nil }

// TestPutCanceledHalfway ends the context in the middle of a stream.
func TestPutCanceledHalfway(t *testing.T) {
	s := open(t, t.TempDir())
	ctx, cancel := context.WithCancelCause(context.Background())
	read := 0
	_, err := s.Put(ctx, readerFunc(func(p []byte) (int, error) {
		if read += len(p); read > 5*copySize {
			cancel(fmt.Errorf("enough"))
		}
		return len(p), nil
	}), 1<<40)
	if !errors.Is(err, context.Canceled) || read > 10*copySize {
		t.Errorf("after %d bytes: %v", read, err)
	}
	if n := len(all(t, s)); n != 0 {
		t.Errorf("%d blobs", n)
	}
	checkWhole(t, s)
}

type readerFunc func(p []byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

// TestEndlessStream stops at the limit, not at the end of the disk.
func TestEndlessStream(t *testing.T) {
	s := open(t, t.TempDir())
	const limit = 10*copySize + 7
	_, err := s.Put(context.Background(), neverEnding{}, limit)
	if !market.Is(err, market.TooLarge) {
		t.Errorf("%v, want TooLarge", err)
	}
	if ref, err := s.Put(context.Background(), io.LimitReader(neverEnding{}, limit), limit); err != nil || ref.Size != limit {
		t.Errorf("exactly the limit: %v, %v", ref, err)
	}
	checkWhole(t, s)
}
