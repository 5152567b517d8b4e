package replica

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/superfly/ltx"
)

// copies keeps the files that this server has shipped, in their plain form, until they are
// merged: reading them back from the replica would cost requests and, outside the
// bucket's cloud, money. A copy is made after its file is in the replica. It isn't synced:
// what a crash leaves of it is verified when it is read, and a copy that is missing or
// damaged is fetched. Losing one is never an error.
type copies struct {
	dir   string // "" keeps none
	limit int64  // bytes of all
	log   *slog.Logger

	mu    sync.Mutex // guards the rest
	size  int64
	files []fileRef // oldest first, with their sizes on disk
}

// openCopies reads which copies of a replica an earlier process has left in the spool
// folder; "" keeps none. It returns no error: without copies, files are fetched.
func openCopies(spool, replica string, limit int64, log *slog.Logger) *copies {
	c := &copies{limit: limit, log: log}
	if spool == "" {
		return c
	}
	name := sha256.Sum256([]byte(replica)) // two replicas may share the folder
	c.dir = filepath.Join(spool, fmt.Sprintf("shipped-%x", name[:8]))
	entries, err := os.ReadDir(c.dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		log.Warn("the copies of shipped files can't be listed", "err", err)
	}
	for _, e := range entries {
		ref, ok := parseCopy(e.Name())
		info, err := e.Info()
		if !ok || err != nil {
			os.Remove(filepath.Join(c.dir, e.Name())) // half a copy
			continue
		}
		ref.size = info.Size()
		c.files, c.size = append(c.files, ref), c.size+ref.size
	}
	return c
}

const copyFormat = "%08x-%d-%s-%s.ltx"

func (c *copies) path(ref fileRef) string {
	return filepath.Join(c.dir, fmt.Sprintf(copyFormat, ref.generation, ref.level, ref.min, ref.max))
}

// parseCopy reads a copy's name, which sorts by generation, level and number.
func parseCopy(name string) (ref fileRef, ok bool) {
	name, ok = strings.CutSuffix(name, ".ltx")
	parts := strings.Split(name, "-")
	if !ok || len(parts) != 4 {
		return ref, false
	}
	_, err1 := fmt.Sscanf(parts[0]+" "+parts[1], "%08x %d", &ref.generation, &ref.level)
	lo, err2 := ltx.ParseTXID(parts[2])
	hi, err3 := ltx.ParseTXID(parts[3])
	ref.min, ref.max = lo, hi
	return ref, err1 == nil && err2 == nil && err3 == nil
}

// keep copies a file that is in the replica now. When there are too many bytes, the
// oldest copies go.
func (c *copies) keep(ref fileRef, body io.ReaderAt, size int64) {
	if c.dir == "" || size > c.limit {
		return
	}
	if err := c.write(c.path(ref), io.NewSectionReader(body, 0, size)); err != nil {
		c.log.Warn("a shipped file can't be kept for merging; it will be fetched", "err", err)
		return
	}
	ref.size = size
	c.mu.Lock()
	defer c.mu.Unlock()
	c.forget(ref)
	c.files, c.size = append(c.files, ref), c.size+size
	for c.size > c.limit {
		c.remove(c.files[0])
	}
}

func (c *copies) write(path string, r io.Reader) error {
	if err := os.MkdirAll(c.dir, 0o700); err != nil {
		return err
	}
	f, err := os.CreateTemp(c.dir, "new-*")
	if err != nil {
		return err
	}
	_, err = io.Copy(f, r)
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		os.Remove(f.Name())
	}
	return err
}

// open returns a copy whose frame has been verified, nil when there is none to be had.
// The caller verifies its tables and closes it.
func (c *copies) open(ref fileRef) *changeFile {
	if c.dir == "" {
		return nil
	}
	f, err := os.Open(c.path(ref))
	if err != nil {
		return nil
	}
	info, err := f.Stat()
	if err == nil {
		var cf *changeFile
		if cf, err = openChangeFile(f.Name(), f, info.Size()); err == nil {
			return cf
		}
	}
	f.Close()
	c.log.Debug("the copy of a shipped file is damaged; fetching it", "err", err)
	c.drop(ref)
	return nil
}

// drop removes copies that aren't needed any more.
func (c *copies) drop(refs ...fileRef) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, ref := range refs {
		c.remove(ref)
	}
}

// dropBut removes all copies but some.
func (c *copies) dropBut(needed map[fileRef]bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, ref := range slices.Clone(c.files) {
		if !needed[ref.unsized()] {
			c.remove(ref)
		}
	}
}

// remove deletes a copy, if there is one. mu is held.
func (c *copies) remove(ref fileRef) {
	if c.forget(ref) {
		os.Remove(c.path(ref))
	}
}

// forget takes a copy off the list. mu is held.
func (c *copies) forget(ref fileRef) bool {
	i := slices.IndexFunc(c.files, func(f fileRef) bool { return f.unsized() == ref.unsized() })
	if i < 0 {
		return false
	}
	c.size -= c.files[i].size
	c.files = slices.Delete(c.files, i, i+1)
	return true
}

// unsized is the name alone.
func (ref fileRef) unsized() fileRef {
	ref.size = 0
	return ref
}
