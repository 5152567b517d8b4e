package replica

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/superfly/ltx"
)

// Levels 1 to levelHour hold the same changes as level 0 in fewer files: each file of a
// level is what those of the level below amount to that were cut within one window of
// time. Windows only group: what counts is that a level's files follow one another by
// their numbers, and they do.
var windows = [levelHour + 1]time.Duration{1: 30 * time.Second, 2: 5 * time.Minute, 3: time.Hour}

const (
	// mergeSlack is how long after a window's end its files are merged, so that one that
	// was cut within it has been shipped.
	mergeSlack = 3 * time.Second
	// maxInputs is how many files are merged at once; a window that has more makes
	// several files.
	maxInputs = 256
	// maxInput is the size in bytes of a file that isn't merged: a full file after a long
	// outage, which would be sent again for each level. The next snapshot holds it.
	maxInput = 256 << 20
	// catchUp is how far before the newest file a starting process looks for others that
	// aren't merged.
	catchUp = 24 * time.Hour
	// fetchedInMemory bounds the bytes of inputs that are held in memory.
	fetchedInMemory = 16 << 20
)

// compactor merges the files of one replicator's generation. Nothing depends on it: a
// merged file that is missing costs a restore time, one that is written twice says the
// same, and what a crash has left undone is found by listing at the next start.
type compactor struct {
	copies *copies

	mu      sync.Mutex  // guards the next two
	noting  bool        // somebody will look at shipped
	shipped []levelFile // of level 0, since it was looked at

	// waiting are the files of each level that aren't merged into the next, by number;
	// owned by Replicator.compact.
	waiting [levelHour][]levelFile
}

// levelFile is a file of a level and when it was cut.
type levelFile struct {
	ref  fileRef
	time time.Time
}

// shipped notes a file that has been shipped: body, of size bytes, is kept for merging.
// It is called by the holder of the shipping token.
func (r *Replicator) shipped(f *footer, body *os.File, size int64) {
	r.levels.copies.keep(changeRef(f.Generation, ltx.TXID(f.TXID)), body, size)
	r.advanceBy(f.position(), size)
}

// note tells the compactor of a file in the replica. Its size is 0 when it isn't known.
func (c *compactor) note(pos Position, size int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.noting {
		return
	}
	ref := changeRef(pos.Generation, pos.TXID)
	ref.size = size
	c.shipped = append(c.shipped, levelFile{ref, pos.Time})
}

// collect moves what has been noted to the files that wait. What a listing had already
// is passed over.
func (c *compactor) collect() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, f := range c.shipped {
		if all := c.waiting[0]; len(all) == 0 || all[len(all)-1].ref.max < f.ref.min {
			c.waiting[0] = append(all, f)
		}
	}
	c.shipped = nil
}

// compact merges files whenever a window has ended, until ctx does.
func (r *Replicator) compact(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	var notBefore time.Time // after a failure, by the machine's clock
	for loaded := false; ; {
		r.mu.Lock()
		moved := r.moved
		r.mu.Unlock()
		r.levels.collect()
		wait, any := r.levels.dueIn(r.opts.Clock())
		if any || !loaded {
			timer.Reset(max(wait, time.Until(notBefore), 0))
		} else {
			timer.Stop() // nothing new: no request
		}
		select {
		case <-ctx.Done():
			return
		case <-moved:
			continue
		case <-timer.C:
		}
		err := r.mergeDue(ctx, &loaded)
		if err == nil || ctx.Err() != nil {
			continue
		}
		if errors.Is(err, ErrFenced) {
			return
		}
		notBefore = time.Now().Add(lastBackoff + rand.N(lastBackoff))
		r.opts.Logger.Warn("merging files failed; trying again", "err", err)
	}
}

// mergeDue merges all windows that have ended, lower levels first.
func (r *Replicator) mergeDue(ctx context.Context, loaded *bool) error {
	if !*loaded {
		if err := r.loadLevels(ctx); err != nil {
			return err
		}
		*loaded = true
	}
	for level := range r.levels.waiting {
		for {
			r.levels.collect()
			group := r.levels.due(level, r.opts.Clock())
			if len(group) == 0 {
				break
			}
			if err := r.mergeGroup(ctx, level, group); err != nil {
				return err
			}
		}
	}
	return nil
}

// windowEnd is the end of the window of a level that a time lies in.
func windowEnd(level int, t time.Time) time.Time {
	return t.Truncate(windows[level]).Add(windows[level])
}

// dueIn is how long the next merge may wait; any is false when nothing waits.
func (c *compactor) dueIn(now time.Time) (wait time.Duration, any bool) {
	for level, files := range c.waiting {
		if len(files) == 0 {
			continue
		}
		due := windowEnd(level+1, files[0].time).Add(mergeSlack).Sub(now)
		if !any || due < wait {
			wait, any = due, true
		}
	}
	return wait, any
}

// due returns the files of a level that are to be merged next, none when their window
// hasn't ended.
func (c *compactor) due(level int, now time.Time) []levelFile {
	files := c.waiting[level]
	if len(files) == 0 {
		return nil
	}
	end := windowEnd(level+1, files[0].time)
	if now.Before(end.Add(mergeSlack)) {
		return nil
	}
	n := 1
	for files[0].ref.size <= maxInput && n < len(files) && n < maxInputs && files[n].ref.size <= maxInput &&
		files[n].time.Before(end) && files[n].ref.min == files[n-1].ref.max+1 {
		n++
	}
	return files[:n]
}

// mergeGroup merges files of a level into one of the next, and sends it. Files that can't
// be read are passed over for good: the levels below hold them, and so will a snapshot.
func (r *Replicator) mergeGroup(ctx context.Context, level int, group []levelFile) error {
	if err := r.fencedError(); err != nil {
		return err
	}
	refs := make([]fileRef, len(group))
	for i, f := range group {
		refs[i] = f.ref
	}
	var merged levelFile
	err := errTooLarge
	if group[0].ref.size <= maxInput {
		merged, err = r.mergeFiles(ctx, level+1, refs)
	}
	switch {
	case errors.Is(err, errTooLarge):
		r.opts.Logger.Debug("a file is too large to be merged", "level", level, "file", r.client.nameOf(refs[0]), "bytes", refs[0].size)
	case errors.Is(err, errNoKey):
		r.opts.Logger.Debug("files are not merged: their copies are gone, and this server has no key to read them", "level", level, "files", len(refs))
	case errors.Is(err, ErrCorrupt), errors.Is(err, fs.ErrNotExist):
		r.opts.Logger.Error("files can't be merged", "level", level, "err", err)
	case err != nil:
		return err
	default:
		if level+1 < levelHour {
			r.levels.add(level+1, merged)
		}
	}
	r.levels.waiting[level] = slices.Clone(r.levels.waiting[level][len(group):])
	r.levels.copies.drop(refs...)
	return nil
}

// add puts a file among those of its level that wait, by number.
func (c *compactor) add(level int, f levelFile) {
	files := c.waiting[level]
	i, _ := slices.BinarySearchFunc(files, f.ref.min, func(g levelFile, n ltx.TXID) int { return cmp.Compare(g.ref.min, n) })
	c.waiting[level] = slices.Insert(files, i, f)
}

// errTooLarge: a file isn't worth merging.
var errTooLarge = errors.New("replica: too large to be merged")

// errNoKey: a file would have to be read that this server can only write.
var errNoKey = errors.New("replica: the key can't read")

// mergeFiles merges files into one of a level, sends it, and keeps a copy for the next.
func (r *Replicator) mergeFiles(ctx context.Context, level int, refs []fileRef) (levelFile, error) {
	tmp, err := r.spoolFolder()
	if err != nil {
		return levelFile{}, err
	}
	defer os.RemoveAll(tmp)
	files, err := r.openInputs(ctx, tmp, refs)
	defer func() {
		for _, cf := range files {
			cf.close()
		}
	}()
	if err != nil {
		return levelFile{}, err
	}
	w, err := newFileWriter(r.opts.SpoolDir, r.client.key)
	if err != nil {
		return levelFile{}, err
	}
	defer w.discard()
	f, err := merge(ctx, w, files)
	if err != nil {
		return levelFile{}, err
	}
	body, err := w.finish(f)
	if err != nil {
		return levelFile{}, err
	}
	size, err := sizeOf(body)
	if err != nil {
		return levelFile{}, err
	}
	ref := fileRef{f.Generation, level, f.minTXID(), ltx.TXID(f.TXID), size}
	if err := r.client.putFile(ctx, level, f, body, size); err != nil {
		return levelFile{}, err
	}
	if level < levelHour {
		r.levels.copies.keep(ref, body, size)
	}
	r.opts.Logger.Debug("merged files", "level", level, "files", len(refs), "from", ref.min, "to", ref.max, "bytes", size)
	return levelFile{ref, f.time()}, nil
}

// spoolFolder makes a folder for downloads.
func (r *Replicator) spoolFolder() (string, error) {
	if r.opts.SpoolDir != "" {
		if err := os.MkdirAll(r.opts.SpoolDir, 0o700); err != nil {
			return "", fmt.Errorf("replica: making the spool folder: %w", err)
		}
	}
	dir, err := os.MkdirTemp(r.opts.SpoolDir, "souk-merge-*")
	if err != nil {
		return "", fmt.Errorf("replica: making a spool folder: %w", err)
	}
	return dir, nil
}

// openInputs opens files, from their copies where those are whole, else from the replica.
// The caller closes what it returns, also with an error.
func (r *Replicator) openInputs(ctx context.Context, tmp string, refs []fileRef) (files []*changeFile, err error) {
	inMemory := int64(0)
	for i, ref := range refs {
		if cf := r.levels.copies.open(ref); cf != nil {
			if err := errors.Join(r.client.expect(ref, &cf.footer), cf.verify(ctx)); err == nil {
				files = append(files, cf)
				continue
			}
			cf.close()
			r.levels.copies.drop(ref)
		}
		if inMemory += ref.size; inMemory > fetchedInMemory {
			ref.size = 0 // to disk
		}
		cf, err := r.client.fetch(ctx, ref, filepath.Join(tmp, fmt.Sprint(i)))
		if errors.Is(err, ErrKey) {
			err = fmt.Errorf("%w: %w", errNoKey, err)
		}
		if err != nil {
			return files, err
		}
		files = append(files, cf)
		if err := r.client.expect(ref, &cf.footer); err != nil {
			return files, err
		}
	}
	return files, nil
}

// loadLevels finds by listing what an earlier process, or an outage, has left unmerged.
func (r *Replicator) loadLevels(ctx context.Context) error {
	r.levels.mu.Lock()
	r.levels.noting = true // before listing, so that none falls between
	r.levels.mu.Unlock()
	g := r.Position().Generation
	var listed [levelHour + 1][]*ltx.FileInfo
	for level := range listed {
		var err error
		if listed[level], err = r.client.list(ctx, generationPath(g), level); err != nil {
			return err
		}
	}
	needed := map[fileRef]bool{}
	for level, files := range unmerged(listed) {
		r.levels.waiting[level] = nil
		latest := time.Time{}
		for _, f := range files {
			if f.CreatedAt.After(latest) { // a listing may have the time of the upload instead of the cut
				latest = f.CreatedAt
			}
			ref := fileRef{g, level, f.MinTXID, f.MaxTXID, f.Size}
			r.levels.waiting[level] = append(r.levels.waiting[level], levelFile{ref, latest.UTC()})
			needed[ref.unsized()] = true
		}
	}
	r.levels.copies.dropBut(needed)
	return nil
}

// unmerged are the files of each level, by number, that no file of a higher level covers,
// nor another of their own. Of what is much older than the newest file nothing is counted:
// a server merges within the hour, and old files lack their higher levels because those
// have been deleted.
func unmerged(listed [levelHour + 1][]*ltx.FileInfo) (waiting [levelHour][]*ltx.FileInfo) {
	var since time.Time
	for _, f := range listed[levelChanges] {
		if at := f.CreatedAt.Add(-catchUp); at.After(since) {
			since = at
		}
	}
	higher := listed[levelHour]
	for level := levelHour - 1; level >= levelChanges; level-- {
		covered := ends(higher)
		last := ltx.TXID(0)
		for _, f := range byNumber(listed[level]) {
			if f.MaxTXID > last && f.MaxTXID > covered(f.MinTXID) && !f.CreatedAt.Before(since) {
				waiting[level] = append(waiting[level], f)
			}
			last = max(last, f.MaxTXID)
		}
		higher = append(slices.Clone(higher), listed[level]...)
	}
	return waiting
}

// ends returns a function that gives the highest number of the files that begin at or
// before a number, 0 for none. It is asked in rising order.
func ends(files []*ltx.FileInfo) func(start ltx.TXID) ltx.TXID {
	files = byNumber(files)
	last := ltx.TXID(0)
	return func(start ltx.TXID) ltx.TXID {
		for len(files) > 0 && files[0].MinTXID <= start {
			last, files = max(last, files[0].MaxTXID), files[1:]
		}
		return last
	}
}

// byNumber sorts files by their first number, the longest of those with the same first.
func byNumber(files []*ltx.FileInfo) []*ltx.FileInfo {
	files = slices.Clone(files)
	slices.SortFunc(files, func(a, b *ltx.FileInfo) int {
		return cmp.Or(cmp.Compare(a.MinTXID, b.MinTXID), cmp.Compare(b.MaxTXID, a.MaxTXID))
	})
	return files
}
