package replica

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"golang.org/x/sync/errgroup"

	"github.com/souk-market/souk/internal/blob"
	"github.com/souk-market/souk/internal/market"
	"github.com/souk-market/souk/store"
)

// Names in a data directory.
const (
	storeDir = "store"
	blobsDir = "blobs"
)

// Restore makes a data directory from a replica: dir/store and dir/blobs. dir must be
// absent or empty. Everything is built in dir.restoring, verified, synced, and renamed
// at the end, so dir appears whole or not at all; what an interrupted restore left
// there is removed first. The new directory is a node of its own, fenced until the
// operator has looked at it. The caller runs the store's Check on it.
//
// Errors: NotFound when there is nothing for the target or a file is missing (ErrGap,
// named), ErrCorrupt (a *CorruptError that names the file), Conflict when dir isn't
// empty or is being restored by somebody else.
func Restore(ctx context.Context, from []*Client, dir string, t Target, o RestoreOptions) (Report, error) {
	c := from[0]
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Clock == nil {
		o.Clock = time.Now
	}
	began := time.Now()
	dir, err := vacantDir(dir)
	if err != nil {
		return Report{}, err
	}
	w := workplace{dir + ".restoring"}
	// Two things make another plan: a snapshot that turns out damaged, which is passed
	// over, and a file that has been deleted since it was listed.
	avoid := map[fileRef]bool{}
	var damaged []string
	for replans := 0; ; {
		p, err := c.planFor(ctx, t, avoid)
		if err != nil {
			return Report{}, err
		}
		if err := w.clear(); err != nil {
			return Report{}, err
		}
		b := &builder{client: c, place: w, opts: o, past: t.past(), blobs: map[string]blob.Sum{}}
		for _, name := range damaged {
			b.report.Healed = append(b.report.Healed, Healing{Name: name, Reason: "it is damaged", By: "an older snapshot"})
		}
		err = b.build(ctx, p)
		if err == nil {
			err = w.moveTo(dir)
		}
		if err == nil {
			b.report.Duration = time.Since(began)
			return b.report, nil
		}
		if clearErr := w.clear(); clearErr != nil {
			return Report{}, errors.Join(err, clearErr)
		}
		switch base := p.files[0]; {
		case base.level == levelSnapshot && b.report.Files == 0 && errors.Is(err, ErrCorrupt):
			o.Logger.Error("a snapshot is damaged; restoring from an older one", "err", err)
			avoid[base] = true
			damaged = append(damaged, c.nameOf(base))
		case errors.Is(err, fs.ErrNotExist) && replans < 3:
			replans++ // retention deleted a file after it was planned
		default:
			return Report{}, err
		}
	}
}

// vacantDir resolves the target and verifies that it can be renamed onto.
func vacantDir(dir string) (string, error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return "", fmt.Errorf("replica: resolving %s: %w", dir, err)
	}
	if err := os.MkdirAll(filepath.Dir(abs), 0o755); err != nil {
		return "", market.Errorf(market.Unavailable, "The directory %s can't be made.", filepath.Dir(abs)).Because(err)
	}
	if resolved, err := filepath.EvalSymlinks(abs); err == nil {
		abs = resolved
	}
	entries, err := os.ReadDir(abs)
	if errors.Is(err, fs.ErrNotExist) {
		return abs, nil
	}
	if err != nil {
		return "", market.Errorf(market.Invalid, "%s is no directory that can be read.", dir).Because(err)
	}
	if len(entries) > 0 {
		return "", market.Errorf(market.Conflict, "The directory %s is not empty. Restore into a new one.", dir)
	}
	// A mount point can't be replaced; better to know before the download.
	aside := abs + ".vacant"
	if err := os.Rename(abs, aside); err != nil {
		return "", market.Errorf(market.Invalid, "The directory %s can't be replaced (is it a mount point?). Restore into a directory inside it.", dir).Because(err)
	}
	if err := os.Rename(aside, abs); err != nil {
		return "", fmt.Errorf("replica: %w", err)
	}
	return abs, nil
}

// workplace is the directory in which a restore is built: tmp for downloads, store and
// blobs as they will be. It is beside the target, on the same disk, so that tables are
// taken in by a link and the whole by a rename.
type workplace struct{ dir string }

// path is the path of a name in the workplace.
func (w workplace) path(name string) string { return filepath.Join(w.dir, name) }

// clear removes what is there, unless another restore is at work.
func (w workplace) clear() error {
	inUse := w.path(storeDir)
	if _, err := os.Stat(inUse); err == nil {
		lock, err := pebble.LockDirectory(inUse, vfs.Default)
		if err != nil {
			return market.Errorf(market.Conflict, "Another restore is building in %s. Wait for it, or stop it.", w.dir).Because(err)
		}
		defer lock.Close()
	}
	if err := os.RemoveAll(w.dir); err != nil {
		return fmt.Errorf("replica: clearing %s: %w", w.dir, err)
	}
	return nil
}

// moveTo gives the finished directory its name.
func (w workplace) moveTo(dir string) error {
	if err := os.RemoveAll(w.path("tmp")); err != nil {
		return fmt.Errorf("replica: %w", err)
	}
	if err := syncDir(w.dir); err != nil {
		return err
	}
	if err := os.Remove(dir); err != nil && !errors.Is(err, fs.ErrNotExist) { // it is empty, or this fails
		return fmt.Errorf("replica: replacing the empty directory: %w", err)
	}
	if err := os.Rename(w.dir, dir); err != nil {
		return fmt.Errorf("replica: naming the restored directory: %w", err)
	}
	return syncDir(filepath.Dir(dir))
}

// builder carries out a plan.
type builder struct {
	client *Client
	place  workplace
	opts   RestoreOptions
	target *store.Restore
	last   *footer             // of the file applied last; nil before the first
	blobs  map[string]blob.Sum // what the records so far name, by their keys
	folded folding
	past   bool // the target is an earlier moment
	report Report
	total  int // files and blobs, as far as known
	done   int
}

// build makes the whole directory in the workplace; what it leaves after an error is
// cleared by its caller.
func (b *builder) build(ctx context.Context, p *plan) error {
	for _, name := range []string{"tmp", storeDir} {
		if err := os.MkdirAll(b.place.path(name), 0o700); err != nil {
			return fmt.Errorf("replica: making the restored directory: %w", err)
		}
	}
	target, err := store.NewRestore(b.place.path(storeDir))
	if err != nil {
		return err
	}
	b.target = target
	defer target.Close()
	b.total = len(p.files)
	if err := b.applyAll(ctx, p.files); err != nil {
		return err
	}
	if b.last == nil {
		return market.Errorf(market.NotFound, "The replica %s is empty: nothing has been shipped to it yet.", b.client)
	}
	if err := b.fetchBlobs(ctx); err != nil {
		return err
	}
	return b.finish()
}

// finish writes the head and fills in the report.
func (b *builder) finish() error {
	f := b.last
	b.report.Generation, b.report.TXID = f.Generation, f.TXID
	b.report.LSN, b.report.Chain, b.report.Time = f.LSNMax, f.Chain, f.time()
	now := b.opts.Clock().UTC()
	b.report.Age = now.Sub(f.time())
	return b.target.Finish(store.Head{
		LSN: f.LSNMax, Chain: f.Chain, Time: time.UnixMilli(f.Committed).UTC(),
		Origin: store.Origin{Generation: f.Generation, TXID: f.TXID, LSN: f.LSNMax, Chain: f.Chain, Restored: now, Node: f.Node, Past: b.past},
	})
}

// fetchAhead is how many files are downloaded before they are needed.
const fetchAhead = 8

// fetched is a file that has been downloaded, or why it couldn't be.
type fetched struct {
	ref  fileRef
	cf   *changeFile
	path string
	err  error
}

// applyAll applies files in order while later ones are being downloaded.
func (b *builder) applyAll(ctx context.Context, files []fileRef) error {
	outer := ctx
	ctx, cancel := context.WithCancel(ctx)
	queue := make(chan chan fetched, fetchAhead)
	go func() {
		defer close(queue)
		for i, ref := range files {
			result := make(chan fetched, 1)
			select {
			case queue <- result:
				go func() { result <- b.fetch(ctx, i, ref) }()
			case <-ctx.Done():
				return
			}
		}
	}()
	var err error
	for result := range queue { // drained also after an error, so that no download outlives this
		f := <-result
		if err == nil {
			err = b.apply(ctx, f)
		}
		if err != nil {
			cancel()
		}
		if f.cf != nil {
			f.cf.close()
		}
		os.Remove(f.path) // there only if it was large
	}
	if err == nil {
		err = ctx.Err() // the queue may have ended early
	}
	cancel()
	if errors.Is(err, ErrCorrupt) {
		return b.upToDamage(err, files)
	}
	if err != nil {
		return err
	}
	return b.flush(outer)
}

// upToDamage adds to the error of a damaged file how far a restore can go without it.
func (b *builder) upToDamage(err error, files []fileRef) error {
	if b.last == nil || b.last.Generation != files[len(files)-1].generation {
		return err // there is nothing before it that --txid could name
	}
	return fmt.Errorf("%w. A restore up to file %d is possible (--txid %d)", err, b.last.TXID, b.last.TXID)
}

// fetch downloads file number i of the plan.
func (b *builder) fetch(ctx context.Context, i int, ref fileRef) fetched {
	f := fetched{ref: ref, path: b.place.path(filepath.Join("tmp", fmt.Sprintf("file-%d", i)))}
	f.cf, f.err = b.client.fetch(ctx, ref, f.path)
	return f
}

// apply verifies that a file goes on where the last one ended, and takes it in.
func (b *builder) apply(ctx context.Context, f fetched) error {
	if f.err != nil {
		return f.err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := b.client.expect(f.ref, &f.cf.footer); err != nil {
		return err
	}
	if err := b.follows(f.cf); err != nil {
		return err
	}
	if f.cf.Schema > store.SchemaVersion {
		return market.Errorf(market.Conflict, "The replica's data has schema version %d, and this souk knows version %d. Use a newer souk for it.",
			f.cf.Schema, store.SchemaVersion)
	}
	if f.cf.Seal != nil {
		return nil // the end of a generation; it holds nothing
	}
	if f.cf.Full { // it deletes all records before it brings its own
		clear(b.blobs)
	}
	if err := b.takeIn(ctx, f); err != nil {
		return err
	}
	b.last = &f.cf.footer
	b.report.Files++
	b.report.Bytes += f.ref.size
	b.progress()
	return nil
}

// takeIn verifies a file's tables and brings them into the database: small ones by way
// of the fold, others as they are.
func (b *builder) takeIn(ctx context.Context, f fetched) error {
	if !f.cf.Full && f.cf.Segments == nil && (f.ref.size <= foldUpTo || f.cf.weakDeletions()) {
		for i := range f.cf.Tables {
			if err := f.cf.read(i, b.fold); err != nil {
				return err
			}
			if b.folded.size >= foldLimit {
				if err := b.flush(ctx); err != nil {
					return err
				}
			}
		}
		return nil
	}
	if err := b.flush(ctx); err != nil {
		return err
	}
	for i, s := range f.cf.Segments {
		if err := b.takeInSegment(ctx, s, f.path+fmt.Sprintf("-%d.sst", i)); err != nil {
			return err
		}
	}
	for i := range f.cf.Tables {
		path := f.path + fmt.Sprintf("-%d.sst", i)
		if err := f.cf.extract(i, path, b.noteBlob); err != nil {
			return err
		}
		if err := b.ingest(ctx, path); err != nil {
			return err
		}
	}
	return nil
}

// takeInSegment downloads one segment of a snapshot to path and brings it into the database.
func (b *builder) takeInSegment(ctx context.Context, s segment, path string) error {
	if err := b.client.fetchSegment(ctx, s, path); err != nil {
		return err
	}
	if err := visitSegment(b.client.nameOfSegment(s), path, s, b.noteBlob); err != nil {
		return err
	}
	b.report.Bytes += s.Size
	return b.ingest(ctx, path)
}

// ingest moves a synced table into the database.
func (b *builder) ingest(ctx context.Context, path string) error {
	defer os.Remove(path) // gone already where ingesting renamed it
	return b.target.Ingest(ctx, path)
}

// follows verifies the thread through the files: each begins with the LSN and chain
// that the one before ended with. A snapshot begins anywhere.
func (b *builder) follows(cf *changeFile) error {
	var at Position
	if b.last != nil {
		at = b.last.position()
	}
	if cf.Snapshot && b.last == nil {
		return nil
	}
	if cf.LSNMin != at.LSN+1 || cf.PrevChain != at.Chain {
		return &CorruptError{Name: cf.name, Reason: fmt.Sprintf("it goes on from commit %d (%.8s), but the files before it end with commit %d (%.8s)",
			cf.LSNMin-1, cf.PrevChain, at.LSN, at.Chain)}
	}
	return nil
}

// noteBlob keeps account of the blobs that records name.
func (b *builder) noteBlob(key, _ []byte, deleted bool) error {
	for rec := range store.Blobs.ChangedIn([]store.Key{key}) {
		sum, err := blob.ParseSum(rec.ID)
		if err != nil {
			return fmt.Errorf("replica: the blob record %s: %w", store.Key(key), err)
		}
		if deleted {
			delete(b.blobs, string(key))
		} else {
			b.blobs[string(key)] = sum
		}
	}
	return nil
}

// progress counts a file or blob as done. The total grows once, when the records have
// told how many blobs there are.
func (b *builder) progress() {
	b.done++
	if b.opts.Progress != nil {
		b.opts.Progress(int64(b.done), int64(max(b.total, b.done)))
	}
}

// fetchBlobs downloads and verifies the blobs that the records name.
func (b *builder) fetchBlobs(ctx context.Context) error {
	if len(b.blobs) == 0 {
		return nil
	}
	into, err := blob.Open(b.place.path(blobsDir))
	if err != nil {
		return err
	}
	sums := map[blob.Sum]bool{} // several tenants may name one blob
	for _, sum := range b.blobs {
		sums[sum] = true
	}
	b.total = b.done + len(sums)
	type result struct {
		sum  blob.Sum
		size int64
		err  error
	}
	results := make(chan result)
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(blobStreams + 1)
	group.Go(func() error {
		for range len(sums) {
			select {
			case r := <-results:
				if err := b.countBlob(r.sum, r.size, r.err); err != nil {
					return err
				}
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		return nil
	})
	for sum := range sums {
		group.Go(func() error {
			size, err := b.client.fetchBlob(ctx, into, sum)
			select {
			case results <- result{sum, size, err}:
			case <-ctx.Done():
			}
			return nil
		})
	}
	return group.Wait()
}

// countBlob puts the outcome of one blob into the report, or returns it as the error
// that ends the restore.
func (b *builder) countBlob(sum blob.Sum, size int64, err error) error {
	missing := errors.Is(err, fs.ErrNotExist)
	switch {
	case err == nil:
		b.report.Blobs++
		b.report.BlobBytes += size
	case b.opts.AllowMissingBlobs && (missing || errors.Is(err, ErrCorrupt)):
		b.opts.Logger.Error("a file can't be restored", "sha256", sum.String(), "err", err)
		b.report.MissingBlobs = append(b.report.MissingBlobs, sum.String())
	case missing:
		lo, hi := blobName(sum)
		return withoutBlobs(&CorruptError{Name: b.client.where("", levelBlobs, lo, hi), Reason: fmt.Sprintf("the file with SHA-256 %s, which the records name, is missing", sum)})
	case errors.Is(err, ErrCorrupt):
		return withoutBlobs(err)
	default:
		return err
	}
	b.progress()
	return nil
}

// withoutBlobs adds to the error of a lost blob how to restore the rest.
func withoutBlobs(err error) error {
	return fmt.Errorf("%w. Everything else can be restored (--allow-missing-files)", err)
}
