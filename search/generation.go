package search

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/blevesearch/bleve/v2/index/scorch"
	index "github.com/blevesearch/bleve_index_api"
	segment "github.com/blevesearch/scorch_segment_api/v2"
	"github.com/souk-market/souk/internal/market"
	"github.com/souk-market/souk/store"
)

// generation is one build of the index, in a directory of its own. Its methods but moved
// and failed are for the one goroutine that writes.
type generation struct {
	number int
	dir    string
	engine *scorch.Scorch
	queue  *index.AnalysisQueue
	cursor cursor
	log    *slog.Logger

	moved  chan struct{} // has an element when segments were persisted or merged
	failed chan error    // has an element when a background task has died
	gate   chan struct{} // closed when what is held may be written; nil when nothing is
}

// cursor is the last commit that an index has followed.
type cursor struct {
	lsn   store.LSN
	chain store.Chain
}

// The internal values of an index: which format and tenants it was built for, and its
// cursor (LSN, eight bytes big-endian, then the chain) once it is complete.
var (
	keyFormat  = []byte("souk-format")
	keyTenants = []byte("souk-tenants")
	keyCursor  = []byte("souk-cursor")
)

// unfit is the reason why a generation isn't used, other than a fault of the disk.
type unfit string

func (u unfit) Error() string { return string(u) }

// errBroken says that reading the index failed in a way that only damage explains.
var errBroken = errors.New("search: the index is damaged")

func generationDir(dir string, n int) string { return filepath.Join(dir, fmt.Sprintf("g%06d", n)) }

// generationsIn lists the numbers of the generations in a directory, the newest first.
func generationsIn(dir string) ([]int, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("search: reading the directory: %w", err)
	}
	var numbers []int
	for _, e := range entries {
		digits, ok := strings.CutPrefix(e.Name(), "g")
		if n, err := strconv.Atoi(digits); ok && err == nil && len(digits) == 6 && e.IsDir() {
			numbers = append(numbers, n)
		}
	}
	slices.SortFunc(numbers, func(a, b int) int { return b - a })
	return numbers, nil
}

// Bleve finds its callbacks by name in registries that are only to be written during
// init, and calls them with the index's path; so live generations are found by path.
const callbacks = "souk"

var live sync.Map // path of a generation → *generation

func init() {
	scorch.RegistryEventCallbacks[callbacks] = func(e scorch.Event) bool {
		if e.Kind == scorch.EventKindMergerProgress || e.Kind == scorch.EventKindPersisterProgress {
			live.Range(func(_, g any) bool {
				g.(*generation).onProgress(e.Scorch)
				return true
			})
		}
		return true
	}
	scorch.RegistryAsyncErrorCallbacks[callbacks] = func(err error, path string) {
		if g, ok := live.Load(path); ok {
			g.(*generation).onError(err)
		}
	}
}

func (g *generation) onProgress(engine *scorch.Scorch) {
	if g.engine != engine {
		return
	}
	select {
	case g.moved <- struct{}{}:
	default:
	}
}

// onError is called by Bleve's background tasks. They try again at once and for ever, so
// it makes them wait.
func (g *generation) onError(err error) {
	g.log.Error("the search index can't be written", "dir", g.dir, "err", err)
	if !errors.Is(err, scorch.ErrAsyncPanic) {
		time.Sleep(time.Second)
		return
	}
	select {
	case g.failed <- err:
	default:
	}
}

// engineConfig: batches return when they can be read, and reach the disk, as a whole and
// in order, within about napTime; see doc.go on crashes. The nap lets small batches of a
// busy moment become one segment.
func engineConfig(dir string) map[string]any {
	return map[string]any{
		"path":                   dir,
		"unsafe_batch":           true,
		"bolt_timeout":           "2s",
		"eventCallbackName":      callbacks,
		"asyncErrorCallbackName": callbacks,
		"scorchPersisterOptions": map[string]any{"PersisterNapTimeMSec": 50, "PersisterNapUnderNumFiles": 1000},
		"scorchMergePlanOptions": map[string]any{"MaxSegmentsPerTier": 4, "FloorSegmentSize": 4000},
	}
}

func startGeneration(dir string, n int, log *slog.Logger) (*generation, error) {
	g := &generation{
		number: n, dir: generationDir(dir, n), log: log,
		queue: index.NewAnalysisQueue(2),
		moved: make(chan struct{}, 1), failed: make(chan error, 1),
	}
	engine, err := scorch.NewScorch(scorch.Name, engineConfig(g.dir), g.queue)
	if err != nil {
		g.queue.Close()
		return nil, fmt.Errorf("search: making an index: %w", err)
	}
	g.engine = engine.(*scorch.Scorch)
	if _, taken := live.LoadOrStore(g.dir, g); taken {
		g.queue.Close()
		return nil, market.Errorf(market.Conflict, "The search index in %s is already open.", g.dir)
	}
	if err := guard(g.engine.Open); err != nil {
		live.Delete(g.dir)
		g.queue.Close()
		return nil, fmt.Errorf("search: opening the index in %s: %w", g.dir, err)
	}
	return g, nil
}

// newGeneration makes an empty generation, removing what an unfinished build left there.
func newGeneration(dir string, n int, tenants []market.TenantID, log *slog.Logger) (*generation, error) {
	if err := os.RemoveAll(generationDir(dir, n)); err != nil {
		return nil, fmt.Errorf("search: removing an unfinished index: %w", err)
	}
	g, err := startGeneration(dir, n, log)
	if err != nil {
		return nil, err
	}
	b := index.NewBatch()
	b.SetInternal(keyFormat, binary.AppendUvarint(nil, formatVersion))
	b.SetInternal(keyTenants, tenantList(tenants))
	if err := g.batch(b); err != nil {
		return nil, errors.Join(err, g.close())
	}
	return g, nil
}

func tenantList(tenants []market.TenantID) []byte {
	sorted := slices.Sorted(slices.Values(tenants))
	var b bytes.Buffer
	for _, t := range sorted {
		b.WriteString(string(t) + "\n")
	}
	return b.Bytes()
}

// openGeneration opens a complete generation and verifies it, down to the checksum of
// every segment. Conflict says that it is open already; any other error that it is unfit.
func openGeneration(dir string, n int, tenants []market.TenantID, log *slog.Logger) (g *generation, err error) {
	// Bleve starts an empty index where there is none.
	if _, err := os.Stat(filepath.Join(generationDir(dir, n), "root.bolt")); err != nil {
		return nil, unfit("it has no root")
	}
	err = guard(func() error {
		var err error
		if g, err = startGeneration(dir, n, log); err != nil {
			return err
		}
		return g.verify(tenants)
	})
	if err != nil && g != nil {
		return nil, errors.Join(err, guard(g.close))
	}
	return g, err
}

func (g *generation) verify(tenants []market.TenantID) error {
	snap, err := g.snapshot()
	if err != nil {
		return err
	}
	defer snap.Close()
	in := snap.Internal()
	if v, n := binary.Uvarint(in[string(keyFormat)]); n <= 0 || v != formatVersion {
		return unfit(fmt.Sprintf("its format is %d, and this souk writes %d", v, formatVersion))
	}
	if !bytes.Equal(in[string(keyTenants)], tenantList(tenants)) {
		return unfit("it is for other tenants")
	}
	at := in[string(keyCursor)]
	if len(at) != 8+len(g.cursor.chain) {
		return unfit("it was not finished")
	}
	g.cursor.lsn = store.LSN(binary.BigEndian.Uint64(at))
	copy(g.cursor.chain[:], at[8:])
	for _, s := range snap.Segments() {
		if p, ok := s.Segment().(segment.PersistedSegment); ok {
			if err := verifySegment(p.Path()); err != nil {
				return err
			}
		}
	}
	return nil
}

// verifySegment compares a segment file with its checksum: its last four bytes are the
// CRC-32 of all before (zapx v17, write.go: persistFooter).
func verifySegment(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("search: verifying a segment: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return fmt.Errorf("search: verifying a segment: %w", err)
	}
	sum := crc32.NewIEEE()
	r := bufio.NewReaderSize(f, 1<<20)
	if _, err := io.CopyN(sum, r, max(info.Size()-4, 0)); err != nil {
		return fmt.Errorf("search: verifying a segment: %w", err)
	}
	var want [4]byte
	if _, err := io.ReadFull(r, want[:]); err != nil || binary.BigEndian.Uint32(want[:]) != sum.Sum32() {
		return fmt.Errorf("%w: the checksum of %s is wrong", errBroken, filepath.Base(path))
	}
	return nil
}

// snapshot is the index as it is now. Close it.
func (g *generation) snapshot() (*scorch.IndexSnapshot, error) {
	r, err := g.engine.Reader()
	if err != nil {
		return nil, fmt.Errorf("search: reading the index: %w", err)
	}
	snap, ok := r.(*scorch.IndexSnapshot)
	if !ok || snap == nil {
		return nil, errors.New("search: the index is closed")
	}
	return snap, nil
}

func (g *generation) batch(b *index.Batch) error {
	if err := g.engine.Batch(b); err != nil {
		return fmt.Errorf("search: writing a batch: %w", err)
	}
	return nil
}

// advance writes a batch together with the cursor. persisted is called when both are on
// disk.
func (g *generation) advance(b *index.Batch, to cursor, persisted func()) error {
	at := binary.BigEndian.AppendUint64(nil, uint64(to.lsn))
	b.SetInternal(keyCursor, append(at, to.chain[:]...))
	b.SetPersistedCallback(func(err error) {
		if err == nil {
			persisted()
		}
	})
	if err := g.batch(b); err != nil {
		return err
	}
	g.cursor = to
	return nil
}

// finish advances and waits until all is on disk.
func (g *generation) finish(ctx context.Context, b *index.Batch, to cursor) error {
	done := make(chan struct{})
	if err := g.advance(b, to, func() { close(done) }); err != nil {
		return err
	}
	return g.await(ctx, done)
}

// flush returns when everything written so far is on disk.
func (g *generation) flush(ctx context.Context) error {
	done := make(chan struct{})
	b := index.NewBatch()
	b.SetPersistedCallback(func(err error) {
		if err == nil {
			close(done)
		}
	})
	if err := g.batch(b); err != nil {
		return err
	}
	return g.await(ctx, done)
}

func (g *generation) await(ctx context.Context, done <-chan struct{}) error {
	select {
	case <-done:
		return nil
	case err := <-g.failed:
		return err
	case <-ctx.Done():
		return fmt.Errorf("search: waiting for the disk: %w", ctx.Err())
	}
}

// hold keeps what is written from here on in memory, where it becomes one segment, until
// hold or letGo is called again. It returns when what was held before is on disk.
func (g *generation) hold(ctx context.Context) error {
	gate, held := make(chan struct{}), make(chan struct{})
	b := index.NewBatch()
	b.SetPersistedCallback(func(error) { // Bleve's one goroutine that writes calls it
		close(held)
		<-gate
	})
	if err := g.batch(b); err != nil {
		return err
	}
	g.open()
	g.gate = gate
	return g.await(ctx, held)
}

// letGo has all written that is held, and returns when it is on disk.
func (g *generation) letGo(ctx context.Context) error {
	g.open()
	return g.flush(ctx)
}

func (g *generation) open() {
	if g.gate != nil {
		close(g.gate)
		g.gate = nil
	}
}

func (g *generation) close() error {
	g.open()
	err := g.engine.Close()
	live.Delete(g.dir)
	g.queue.Close()
	if err != nil {
		return fmt.Errorf("search: closing the index: %w", err)
	}
	return nil
}

// guard runs a function that reads the index, and turns what damage does to it (a panic,
// or a fault of the memory that a file is mapped to) into errBroken: search may fail, the
// site may not.
func guard(fn func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%w: %v", errBroken, p)
		}
	}()
	return fn()
}
