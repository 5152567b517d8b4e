package store

import (
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
	"github.com/souk-market/souk/internal/market"
)

// failingReader fails every read of a key but the first ones.
type failingReader struct {
	pebble.Reader
	after int
	err   error
}

func (r *failingReader) Get(key []byte) ([]byte, io.Closer, error) {
	if r.after--; r.after < 0 {
		return nil, nil, r.err
	}
	return r.Reader.Get(key)
}

// TestCountsAreNotAddedTwice: a read that fails while counts are settled fails the
// transaction, also when fn goes on as if nothing had been.
func TestCountsAreNotAddedTwice(t *testing.T) {
	db := openTest(t, Options{})
	boom := errors.New("boom")
	_, err := db.Update(t.Context(), tenant, Op{}, func(tx *Tx) error {
		a := market.Agent{ID: "agt_1", Slug: "ada", Seller: "sel_1", Category: "tool", State: market.ListingPublished,
			Release: market.Release{File: market.File{OnDemand: true}}}
		if err := Agents.Insert(tx, &a); err != nil {
			return err
		}
		points, from := tx.points, tx.from
		tx.points, tx.from = nil, &failingReader{Reader: from, after: 1, err: boom}
		if _, err := PopularAgents.Count(tx, All{}); !errors.Is(err, boom) {
			t.Errorf("counting: %v, want boom", err)
		}
		tx.points, tx.from = points, from
		return nil
	})
	if !errors.Is(err, boom) {
		t.Errorf("the transaction ends with %v, want boom", err)
	}
}

// TestUnknownStaysUnknown: when the store can't ask again what became of a commit, it
// says so.
func TestUnknownStaysUnknown(t *testing.T) {
	fs := vfs.NewMem()
	fs.TestingSetDiskUsage(vfs.DiskUsage{AvailBytes: 1 << 40, TotalBytes: 1 << 40})
	db := openTest(t, Options{Dir: "db", FS: fs, Faults: &Faults{Unknown: 1}})
	floor := db.disk.floor
	update := func(id string, end error) error {
		_, err := db.Update(t.Context(), tenant, Op{ID: id}, func(tx *Tx) error {
			db.disk.floor = 1 << 50 // no disk is as large
			return errors.Join(Events.Insert(tx, &market.ProviderEvent{ID: id}), end)
		})
		db.disk.floor = floor
		return err
	}
	if err := update("a", nil); !errors.Is(err, ErrUnknownOutcome) || !market.Is(err, market.Unavailable) {
		t.Errorf("after the commit: %v, want that it is unknown, and why", err)
	}
	if err := update("b", errDropped); errors.Is(err, ErrUnknownOutcome) || !errors.Is(err, errDropped) {
		t.Errorf("without a commit: %v, want fn's own error", err)
	}
	if got := db.LastLSN(); got != 1 {
		t.Errorf("LSN %d, want 1", got)
	}
}

var errDropped = errors.New("dropped")

// TestFaultLogTakesNoMore: when the log can't be synced, those who fill it further end
// in Fatal as well, though the engine panics there.
func TestFaultLogTakesNoMore(t *testing.T) {
	var broken atomic.Bool
	fs := errorfs.Wrap(vfs.NewMem(), errorfs.InjectorFunc(func(op errorfs.Op) error {
		if broken.Load() && strings.HasSuffix(op.Path, ".log") {
			return syscall.EIO
		}
		return nil
	}))
	var stopped atomic.Int64
	var panicked atomic.Bool
	// Nobody closes this database: its process is taken for dead.
	db, err := Open(Options{Dir: "db", FS: fs, Fatal: func(err error) {
		stopped.Add(1)
		panicked.Store(strings.Contains(err.Error(), "the engine panics"))
		runtime.Goexit()
	}})
	if err != nil {
		t.Fatal(err)
	}
	broken.Store(true)
	ended := make(chan any)
	for i := int64(0); !panicked.Load(); i++ {
		go func() {
			defer func() { ended <- recover() }()
			db.Update(t.Context(), tenant, Op{}, func(tx *Tx) error {
				return Events.Put(tx, &market.ProviderEvent{ID: "a", Type: strings.Repeat("x", 40<<10)})
			})
			t.Error("the commit was answered")
		}()
		if p := <-ended; p != nil || stopped.Load() != i+1 {
			t.Fatalf("caller %d: panic %v, %d calls of Fatal", i, p, stopped.Load())
		}
	}
}

// TestWhatWasReadStays: payloads and results are their reader's own, whatever later
// transactions write into the memory that they were decoded from.
func TestWhatWasReadStays(t *testing.T) {
	db := openTest(t, Options{})
	var jobs []Job
	var results [][]byte
	for i := range 50 {
		op := Op{ID: fmt.Sprint(i)}
		want := strings.Repeat(op.ID, 100)
		fn := func(tx *Tx) error {
			tx.SetResult([]byte(want))
			if err := Enqueue(tx, "work", want); err != nil {
				return err
			}
			claimed, err := ClaimJobs(tx, []Claim{{Kind: "work", Max: 1, Lease: time.Hour}}) // its own write
			jobs = append(jobs, claimed...)
			return err
		}
		for range 2 {
			res, err := db.Update(t.Context(), tenant, op, fn)
			if err != nil {
				t.Fatal(err)
			}
			results = append(results, res.Value)
		}
	}
	for i, got := range results {
		if want := strings.Repeat(fmt.Sprint(i/2), 100); string(got) != want {
			t.Errorf("result %d is %.20q, want %.20q", i, got, want)
		}
	}
	for i, j := range jobs {
		var got string
		if err := j.Decode(&got); err != nil || got != strings.Repeat(fmt.Sprint(i), 100) {
			t.Errorf("job %d has the payload %.20q (%v)", i, got, err)
		}
	}
	if len(jobs) != 50 {
		t.Errorf("%d jobs, want 50", len(jobs))
	}
}
