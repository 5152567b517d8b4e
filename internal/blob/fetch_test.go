package blob

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"strings"
	"testing"

	"github.com/souk-market/souk/internal/market"
)

// TestFetch: what isn't here is got from elsewhere when it is opened, once; what isn't
// there either is NotFound; a failure on the way isn't.
func TestFetch(t *testing.T) {
	s, err := Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	ctx := context.Background()
	const content = "from elsewhere"
	fetched := 0
	lineDown := errors.New("the line is down")
	s.SetFetch(func(ctx context.Context, into *Store, sum Sum) error {
		switch sum {
		case SumOf([]byte(content)):
			fetched++
			_, err := into.Put(ctx, strings.NewReader(content), 100)
			return err
		case SumOf([]byte("later")):
			return lineDown
		}
		return fs.ErrNotExist
	})
	for range 2 {
		f, err := s.Open(ctx, SumOf([]byte(content)))
		if err != nil {
			t.Fatal(err)
		}
		if b, _ := io.ReadAll(f); string(b) != content {
			t.Errorf("the blob is %q", b)
		}
		f.Close()
	}
	if fetched != 1 {
		t.Errorf("it was fetched %d times", fetched)
	}
	if _, err := s.Open(ctx, SumOf([]byte("nowhere"))); !market.Is(err, market.NotFound) {
		t.Errorf("what is nowhere: %v, want NotFound", err)
	}
	if _, err := s.Open(ctx, SumOf([]byte("later"))); !errors.Is(err, lineDown) || market.Is(err, market.NotFound) {
		t.Errorf("what can't be fetched now: %v", err)
	}
	s.SetFetch(nil)
	if _, err := s.Open(ctx, SumOf([]byte("later"))); !market.Is(err, market.NotFound) {
		t.Errorf("after the end of fetching: %v, want NotFound", err)
	}
}
