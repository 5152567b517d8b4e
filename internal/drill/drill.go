package drill

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/souk-market/souk/internal/blob"
	"github.com/souk-market/souk/internal/market"
	"github.com/souk-market/souk/internal/replica"
	"github.com/souk-market/souk/store"
)

// Source is a replica that can be restored.
type Source struct {
	Client *replica.Client
	// Replicator ships the live database to it; nil when this process doesn't. It has to
	// be running.
	Replicator *replica.Replicator
}

// Runner drills, one at a time. Its methods may be called at the same time.
type Runner struct {
	// DB is the live database; nil when there is none on this machine, and then nothing is
	// compared or kept.
	DB     *store.DB
	Tenant market.TenantID
	// Dir is the data directory. Drills work in its folder "drill", which belongs to them,
	// because it is on a disk that is sized for the data and can be written to.
	Dir string
	// MinFree is how many bytes stay free on that disk.
	MinFree uint64
	Sources []Source // that Run drills
	// Schedule is when; nil is never.
	Schedule *Schedule
	Logger   *slog.Logger     // nil discards
	Clock    func() time.Time // nil is the machine's clock

	busy sync.Mutex // held during a drill
}

// folder in the data directory that drills work in.
const folder = "drill"

// ErrRunning: a drill is under way, and another has to wait.
var ErrRunning = errors.New("drill: another drill is running")

// Limits of a drill that can't go on.
const (
	shipTimeout = 2 * time.Minute // a commit has to be in the replica by then
	checkCache  = 8 << 20         // bytes of cache for the restored database
)

// Restoring is what is being done, by a Request's Progress, whose unit then is bytes.
const Restoring = "restoring"

// Request is what somebody wants of a drill.
type Request struct {
	Source  Source
	Planned bool // by the schedule
	// Progress is called with what is being done and how far it is, in a unit of its own;
	// total is 0 when it isn't known. nil for none.
	Progress func(what string, done, total int64)
}

// Do restores a replica, checks and compares it, and returns the drill's record, which it
// keeps in the live database. A drill that fails is no error: the record says so, and an
// alert is in the queue. Errors: Conflict (ErrRunning), Unavailable when ctx ended or the
// database can't be written, which also leaves no alert.
func (r *Runner) Do(ctx context.Context, q Request) (market.Drill, error) {
	if !r.busy.TryLock() {
		return market.Drill{}, market.Errorf(market.Conflict, "A drill is running. See how it ended with souk drill --history, and start the next one then.").Because(ErrRunning)
	}
	defer r.busy.Unlock()
	if q.Progress == nil {
		q.Progress = func(string, int64, int64) {}
	}
	if err := r.clean(ctx); err != nil {
		return market.Drill{}, err
	}
	w := &work{Runner: r, Request: q, began: time.Now()}
	if err := w.begin(ctx); err != nil {
		return w.drill, err
	}
	err := w.run(ctx)
	if removed := os.RemoveAll(r.path()); removed != nil && err == nil {
		err = market.Errorf(market.Internal, "The folder %s of the drill can't be removed. Remove it.", r.path()).Because(removed)
	}
	return w.end(ctx, err)
}

func (r *Runner) path() string { return filepath.Join(r.Dir, folder) }

func (r *Runner) log() *slog.Logger {
	if r.Logger == nil {
		return slog.New(slog.DiscardHandler)
	}
	return r.Logger
}

func (r *Runner) now() time.Time {
	if r.Clock == nil {
		return time.Now()
	}
	return r.Clock()
}

// clean removes what a drill left that was cut off, and ends its record.
func (r *Runner) clean(ctx context.Context) error {
	if err := os.RemoveAll(r.path()); err != nil {
		return market.Errorf(market.Internal, "The folder %s of an earlier drill can't be removed. Remove it.", r.path()).Because(err)
	}
	past, err := r.History(ctx, 0)
	if err != nil {
		return err
	}
	for _, d := range past {
		if d.State != market.DrillRunning {
			continue
		}
		d.State, d.Ended = market.DrillFailed, r.now().UTC()
		d.Reason = "It was cut off: the server ended while it ran."
		if err := r.keep(ctx, &d, true); err != nil {
			return err
		}
	}
	return nil
}

// work is one drill.
type work struct {
	*Runner
	Request
	drill  market.Drill
	began  time.Time // with a monotonic clock
	marker store.LSN // the commit of the drill's record

	position replica.Position // restored to; with a Replicator, also pinned at
	digest   [32]byte         // of the live database there; zero without a Replicator
}

// begin stores the record of a running drill. It is also the marker: a transaction as any
// other, which the replica must have and the restored database must show.
func (w *work) begin(ctx context.Context) error {
	at := w.now().UTC().Truncate(time.Millisecond)
	w.drill = market.Drill{
		ID: market.NewID[market.DrillID](at), State: market.DrillRunning, Planned: w.Planned, Source: w.Source.Client.String(), Started: at,
	}
	if w.DB == nil {
		return nil
	}
	res, err := w.DB.Update(ctx, w.Tenant, store.Op{ID: "drill/" + string(w.drill.ID)}, func(tx *store.Tx) error {
		return store.Drills.Put(tx, &w.drill)
	})
	w.marker = res.LSN
	return err
}

func (w *work) run(ctx context.Context) error {
	if err := w.room(ctx); err != nil {
		return err
	}
	target := replica.Target{}
	if w.Source.Replicator != nil {
		if err := w.pin(ctx); err != nil {
			return err
		}
		target = replica.Target{Generation: w.position.Generation, TXID: uint64(w.position.TXID)}
	}
	began := time.Now()
	if err := w.restore(ctx, target); err != nil {
		return err
	}
	if err := w.verify(ctx); err != nil {
		return err
	}
	w.drill.RTO = time.Since(began)
	return nil
}

// room refuses a drill that the disk has no room for: what is downloaded lies there beside
// what it becomes for a while.
func (w *work) room(ctx context.Context) error {
	if w.DB == nil {
		return nil
	}
	stats := w.DB.Stats()
	need := 2*stats.DiskBytes + w.MinFree
	err := w.DB.View(ctx, w.Tenant, func(tx *store.ReadTx) error {
		for b, err := range store.Blobs.All(tx, "") {
			if err != nil {
				return err
			}
			need += uint64(b.Size)
		}
		return nil
	})
	if err != nil || stats.FreeBytes >= need {
		return err
	}
	const mib = 1 << 20
	return market.Errorf(market.Unavailable, "A drill needs about %d MiB of free disk for a second copy of the data, and there are %d MiB. "+
		"Make room, or run souk drill --from %s on another machine.", (need+mib-1)/mib, stats.FreeBytes/mib, w.drill.Source)
}

// pin measures how long the marker takes to be in the replica, and notes where the
// replica stands then and what the live database holds at that commit.
func (w *work) pin(ctx context.Context) error {
	w.Progress("waiting for the replica to have the newest commit", 0, 0)
	shipping, cancel := context.WithTimeout(ctx, shipTimeout)
	defer cancel()
	if err := w.Source.Replicator.Shipped(shipping, w.marker); err != nil {
		return w.notShipped(ctx, err)
	}
	w.drill.RPO = time.Since(w.began)
	snap, pos, err := w.Source.Replicator.Pin(shipping)
	if err != nil {
		return w.notShipped(ctx, err)
	}
	defer snap.Close()
	w.position = pos
	w.Progress("reading the live database", 0, 0)
	w.digest, err = snap.Digest(ctx)
	return err
}

func (w *work) notShipped(ctx context.Context, err error) error {
	if ctx.Err() != nil || !errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return market.Errorf(market.Unavailable, "The replica didn't take a commit within %s. Look at souk replica status.", shipTimeout).Because(w.Source.Replicator.Err())
}

// restore makes the temporary directory.
func (w *work) restore(ctx context.Context, target replica.Target) error {
	if err := os.MkdirAll(w.path(), 0o700); err != nil {
		return fmt.Errorf("drill: %w", err)
	}
	rep, err := replica.Restore(ctx, []*replica.Client{w.Source.Client}, w.target(), target, replica.RestoreOptions{
		Logger: w.log(), Clock: w.Clock,
		Progress: func(done, total int64) { w.Progress(Restoring, done, total) },
	})
	if err != nil {
		return err
	}
	d := &w.drill
	d.Generation, d.TXID, d.LSN, d.CutAt = rep.Generation, rep.TXID, uint64(rep.LSN), rep.Time
	d.Files, d.Bytes, d.Blobs, d.BlobBytes = rep.Files, rep.Bytes, rep.Blobs, rep.BlobBytes
	if w.Source.Replicator == nil {
		d.RPO = max(rep.Age, 0)
	}
	return nil
}

func (w *work) target() string { return filepath.Join(w.path(), "data") }

// verify opens the restored directory, checks it, and compares it.
func (w *work) verify(ctx context.Context) (err error) {
	db, err := store.Open(store.Options{
		Dir: filepath.Join(w.target(), "store"), Logger: w.log(), Clock: w.Clock, CacheSize: checkCache, MinFree: w.MinFree,
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	files, err := blob.Open(filepath.Join(w.target(), "blobs"))
	if err != nil {
		return err
	}
	total := 0
	rep, err := db.Check(ctx, store.CheckOptions{
		Blob: func(sum string, size int64) error { return sized(ctx, files, sum, size) }, Digest: w.digest != [32]byte{},
		Total:    func(keys int) { total = keys },
		Progress: func(keys int) { w.Progress("checking", int64(keys), int64(total)) },
	})
	if err != nil {
		return err
	}
	w.drill.Keys = rep.Keys
	if !rep.OK() {
		return market.Errorf(market.Conflict, "The restored data is not in order (%d problems). The first: %s", len(rep.Problems)+rep.More, rep.Problems[0])
	}
	return w.compare(ctx, db, rep)
}

// sized reports a blob that is missing or has another size; the restore has compared its
// content.
func sized(ctx context.Context, files *blob.Store, text string, size int64) error {
	sum, err := blob.ParseSum(text)
	if err != nil {
		return err
	}
	f, err := files.Open(ctx, sum)
	if err != nil {
		return err
	}
	defer f.Close()
	if f.Size() != size {
		return fmt.Errorf("it has %d bytes instead of %d", f.Size(), size)
	}
	return nil
}

// end stores how the drill ended. It does so also when ctx has ended.
func (w *work) end(ctx context.Context, failure error) (market.Drill, error) {
	d := &w.drill
	d.State, d.Ended = market.DrillPassed, d.Started.Add(time.Since(w.began).Round(time.Millisecond))
	stopped := failure != nil && ctx.Err() != nil
	if failure != nil {
		d.State, d.Reason = market.DrillFailed, reason(failure)
	}
	if stopped {
		d.Reason = "It was broken off."
	}
	if err := w.keep(context.WithoutCancel(ctx), d, failure != nil && !stopped); err != nil {
		return *d, errors.Join(err, failure)
	}
	if stopped {
		return *d, market.Errorf(market.Unavailable, "The drill was broken off.").Because(ctx.Err())
	}
	return *d, nil
}

// maxReason bounds the reason in a record, in bytes.
const maxReason = 4 << 10

// reason is an error as the operator reads it.
func reason(err error) string {
	text := replica.Words(err)
	return text[:min(len(text), maxReason)]
}
