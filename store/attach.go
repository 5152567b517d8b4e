package store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/souk-market/souk/internal/market"
)

// A directory may be used before its data have been brought to it: Restore.Attach takes
// in sorted tables by their names only, Options.Remote reads them where they are, and
// DB.Download copies them behind whatever else goes on, after which the directory is an
// ordinary one. Until then a marker file keeps it from being opened without Remote.

// attachedMarker is the name of the marker in the database's directory.
const attachedMarker = "ATTACHED"

// attachedLocator is what Pebble calls the place that Options.Remote reads from.
const attachedLocator = "replica"

// RemoteReader opens the tables of an attached directory by the names that they were
// attached under. It is called from several goroutines.
type RemoteReader interface {
	// OpenObject opens a table. Whatever error it returns, reads of what is in the table
	// answer Unavailable with its name, and it is asked again by the next. ctx ends when
	// the database is closed.
	OpenObject(ctx context.Context, name string) (RemoteObject, error)
}

// RemoteObject is an open table. ReadAt may be called from several goroutines.
type RemoteObject interface {
	io.ReaderAt
	io.Closer
	Size() int64
}

// Attached names a sorted table, made with SSTOptions, of sets only.
type Attached struct {
	Name        string // for RemoteReader; kept in the directory, so no secret may be in it
	Size        int64  // of the table in bytes
	First, Last []byte // its smallest and its largest key
}

// NewAttachedRestore is NewRestore for a directory that tables are attached to.
func NewAttachedRestore(dir string, from RemoteReader) (*Restore, error) {
	r, err := newRestore(Options{Dir: dir, Remote: from})
	if err != nil {
		return nil, err
	}
	if err := r.mark(); err != nil {
		return nil, errors.Join(err, r.Close())
	}
	return r, nil
}

// mark writes the marker file.
func (r *Restore) mark() error {
	f, err := os.Create(filepath.Join(r.opts.Dir, attachedMarker))
	if err != nil {
		return fmt.Errorf("store: marking the directory as attached: %w", err)
	}
	if err := errors.Join(f.Sync(), f.Close(), syncFolder(r.opts.Dir)); err != nil {
		return fmt.Errorf("store: marking the directory as attached: %w", err)
	}
	return nil
}

// Attach takes in tables that stay where they are. Those of one call must not overlap;
// what a later call or Ingest brings lies over what came before. No table is read.
func (r *Restore) Attach(ctx context.Context, tables []Attached) error {
	files := make([]pebble.ExternalFile, len(tables))
	for i, t := range tables {
		files[i] = pebble.ExternalFile{
			Locator: attachedLocator, ObjName: t.Name, Size: uint64(t.Size),
			StartKey: t.First, EndKey: t.Last, EndKeyIsInclusive: true, HasPointKey: true,
		}
	}
	if _, err := r.engine.IngestExternalFiles(ctx, files); err != nil {
		return fmt.Errorf("store: attaching %d tables: %w", len(tables), err)
	}
	return nil
}

// refuseAttached refuses a directory that is attached, and can't be read by itself.
func refuseAttached(o *Options, dir string) error {
	if o.Remote != nil {
		return nil
	}
	fsys := o.FS
	if fsys == nil {
		if _, err := os.Stat(filepath.Join(dir, attachedMarker)); err != nil {
			return nil
		}
	} else if _, err := fsys.Stat(fsys.PathJoin(dir, attachedMarker)); err != nil {
		return nil
	}
	return market.Errorf(market.Conflict, "The database in %s is attached to a replica: part of it hasn't been downloaded. Run souk serve, which reads it from there and downloads it.", dir)
}

// AttachedBytes is the size of the tables that are still read through Options.Remote.
func (db *DB) AttachedBytes() int64 {
	if db.gate.enter() != nil {
		return 0
	}
	defer db.gate.leave()
	return attachedBytes(db.engine)
}

// attachedBytes looks at the tables in use. The engine's own figure of remote tables counts
// those, too, that an iterator still holds after their download.
func attachedBytes(engine *pebble.DB) (bytes int64) {
	levels, err := engine.SSTables()
	if err != nil {
		return 1 // what can't be told isn't said to be here
	}
	for _, t := range slices.Concat(levels...) {
		if t.BackingType == pebble.BackingTypeExternal {
			bytes += int64(t.Size)
		}
	}
	return bytes
}

// downloadPoll is how often the progress of a download is looked at.
const downloadPoll = 250 * time.Millisecond

// Download copies what is still read through Options.Remote into the directory, beside
// transactions and views, and takes the marker away. It can be interrupted at any moment
// and called again. progress, which may be nil, is called with the bytes that are left.
func (db *DB) Download(ctx context.Context, progress func(left int64)) error {
	if err := db.gate.enter(); err != nil {
		return err
	}
	defer db.gate.leave()
	if err := db.disk.refuse(); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	done := make(chan error, 1)
	go func() {
		done <- db.engine.Download(ctx, []pebble.DownloadSpan{{
			StartKey: []byte{spaceEngine}, EndKey: []byte{spaceTenant + 1}, ViaBackingFileDownload: true,
		}})
	}()
	tick := time.NewTicker(downloadPoll)
	defer tick.Stop()
	for {
		select {
		case err := <-done:
			if err != nil {
				return fmt.Errorf("store: downloading what is attached: %w", err)
			}
			return db.unmark()
		case <-db.gate.closing:
			cancel()
			<-done
			return errStopping
		case <-tick.C:
			if progress != nil {
				progress(attachedBytes(db.engine))
			}
		}
	}
}

// unmark takes the marker away: nothing refers to a table elsewhere any more.
func (db *DB) unmark() error {
	if db.opts.FS != nil {
		return nil
	}
	err := os.Remove(filepath.Join(db.opts.Dir, attachedMarker))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err = errors.Join(err, syncFolder(db.opts.Dir)); err != nil {
		return fmt.Errorf("store: ending the attachment: %w", err)
	}
	return nil
}

func syncFolder(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// newRestore opens an empty directory, as NewRestore.
func newRestore(o Options) (*Restore, error) {
	o.Logger, o.Clock, o.Fatal = slog.New(slog.DiscardHandler), time.Now, func(err error) { panic(err) }
	path, lock, err := lockDir(&o)
	if err != nil {
		return nil, err
	}
	life, end := context.WithCancel(context.Background())
	opts := engineOptions(o, lock)
	attachOptions(opts, o, life)
	opts.ErrorIfExists = true
	engine, err := pebble.Open(path, opts)
	if err != nil {
		end()
		lock.Close()
		if errors.Is(err, pebble.ErrDBAlreadyExists) {
			return nil, market.Errorf(market.Conflict, "There is already a database in %s. Restore into a new directory.", o.Dir)
		}
		return nil, openError(path, err)
	}
	return &Restore{engine, lock, o, end}, nil
}
