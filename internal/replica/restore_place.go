package replica

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/souk-market/souk/internal/market"
)

// Names in a data directory.
const (
	storeDir = "store"
	blobsDir = "blobs"
)

// Names in a workplace besides.
const (
	tmpDir      = "tmp"
	segmentsDir = "segments"
	lockFile    = "LOCK" // Pebble's name for it
)

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

// workplace is the directory in which a restore is built, beside the target, on the same
// disk, so that tables are taken in by a link and the whole by a rename:
//
//	LOCK        held while a restore is at work here
//	store/      the database as it will be
//	tmp/        downloads
//	segments/   tables of snapshots by their SHA-256, synced and verified
//	blobs/      as they will be
//
// Segments and blobs are named by their content, so those that an interrupted restore
// has left are used again, whatever it was a restore of. The rest is begun anew.
type workplace struct {
	dir  string
	lock *pebble.Lock
}

// openWorkplace makes or takes over a workplace: Conflict when somebody is at work there.
func openWorkplace(dir string) (*workplace, error) {
	w := &workplace{dir: dir}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, market.Errorf(market.Unavailable, "The directory %s can't be made.", dir).Because(err)
	}
	lock, err := pebble.LockDirectory(dir, vfs.Default)
	if err != nil {
		return nil, market.Errorf(market.Conflict, "Another restore is building in %s. Wait for it, or stop it.", dir).Because(err)
	}
	w.lock = lock
	if err := errors.Join(w.clear(), os.MkdirAll(w.path(segmentsDir), 0o700)); err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	return w, nil
}

// path is the path of a name in the workplace.
func (w *workplace) path(names ...string) string {
	return filepath.Join(append([]string{w.dir}, names...)...)
}

// clear removes what can't be used again, and makes room to begin.
func (w *workplace) clear() error {
	if err := os.RemoveAll(w.path(attachedFile)); err != nil {
		return fmt.Errorf("replica: clearing %s: %w", w.dir, err)
	}
	for _, name := range []string{storeDir, tmpDir} {
		if err := os.RemoveAll(w.path(name)); err != nil {
			return fmt.Errorf("replica: clearing %s: %w", w.dir, err)
		}
		if err := os.Mkdir(w.path(name), 0o700); err != nil {
			return fmt.Errorf("replica: making the restored directory: %w", err)
		}
	}
	return nil
}

// leave ends a restore that didn't succeed. What it verified stays for the next, unless
// that is nothing.
func (w *workplace) leave(keep bool) error {
	var err error
	if keep {
		err = errors.Join(os.RemoveAll(w.path(storeDir)), os.RemoveAll(w.path(tmpDir)))
	} else {
		err = os.RemoveAll(w.dir)
	}
	if err = errors.Join(err, w.lock.Close()); err != nil {
		return fmt.Errorf("replica: clearing %s: %w", w.dir, err)
	}
	return nil
}

// moveTo gives the finished directory its name. The lock is held until it has it: else
// another restore could take the finished directory for one that was interrupted.
// An attached directory keeps its segments.
func (w *workplace) moveTo(dir string, attached bool) error {
	left := []string{tmpDir, segmentsDir}
	if attached {
		left = left[:1]
	}
	for _, name := range left {
		if err := os.RemoveAll(w.path(name)); err != nil {
			return fmt.Errorf("replica: %w", err)
		}
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
	return errors.Join(os.Remove(filepath.Join(dir, lockFile)), syncDir(filepath.Dir(dir)), w.lock.Close())
}
