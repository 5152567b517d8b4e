package media

import (
	"bytes"
	"cmp"
	"container/list"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"
)

// disk is a folder of files that may be deleted at any time, with at most limit bytes.
// When there are more, the ones that were asked for longest ago go first; after a start,
// the ones that were made first.
//
//	DIR/{sha256}-{width}.{format}   a variant, and the CRC-32C of it in four bytes
//	DIR/tmp-…                       one being written; left over only by a crash
type disk struct {
	dir   string
	limit int64

	mu      sync.Mutex // guards what follows
	files   map[string]*list.Element
	recent  *list.List // of kept, the latest asked for first
	bytes   int64
	evicted int64
}

type kept struct {
	name  string
	size  int64
	sound bool // its sum has been compared since the start
}

// file is the content of a file that is kept.
type file struct {
	*io.SectionReader
	io.Closer
	made time.Time
}

// sumSize is of what follows the content of a file, in bytes.
const sumSize = crc32.Size

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

const tmpStart = "tmp-"

func openDisk(dir string, limit int64) (*disk, error) {
	d := &disk{dir: dir, limit: limit, files: map[string]*list.Element{}, recent: list.New()}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("media: %w", err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("media: %w", err)
	}
	var found []fs.FileInfo
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), tmpStart) {
			err = errors.Join(err, os.Remove(filepath.Join(dir, e.Name())))
		} else if info, statErr := e.Info(); statErr == nil && info.Mode().IsRegular() {
			found = append(found, info)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("media: %w", err)
	}
	slices.SortFunc(found, func(a, b fs.FileInfo) int {
		return cmp.Or(a.ModTime().Compare(b.ModTime()), cmp.Compare(a.Name(), b.Name()))
	})
	for _, info := range found {
		d.add(info.Name(), info.Size())
	}
	return d, nil
}

// open opens a file for reading, fs.ErrNotExist when it isn't there. One that is damaged is
// removed: its sum is compared when it is first opened after a start, its size each time.
func (d *disk) open(name string) (*file, error) {
	k, there := d.touch(name)
	if !there {
		return nil, fs.ErrNotExist
	}
	f, err := os.Open(filepath.Join(d.dir, name))
	if err != nil {
		d.forget(name)
		return nil, err
	}
	info, err := f.Stat()
	if err == nil && (info.Size() != k.size || !k.sound && !d.compare(f, k)) {
		d.forget(name)
		err = errors.Join(fs.ErrNotExist, os.Remove(f.Name()))
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return &file{io.NewSectionReader(f, 0, k.size-sumSize), f, info.ModTime()}, nil
}

// compare reports whether a file has its sum, and notes it.
func (d *disk) compare(f *os.File, k kept) bool {
	h := crc32.New(castagnoli)
	var sum [sumSize]byte
	if _, err := io.Copy(h, io.NewSectionReader(f, 0, k.size-sumSize)); err != nil {
		return false
	}
	if _, err := f.ReadAt(sum[:], max(0, k.size-sumSize)); err != nil || !bytes.Equal(h.Sum(nil), sum[:]) {
		return false
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if e, ok := d.files[k.name]; ok && e.Value == k {
		k.sound = true
		e.Value = k
	}
	return true
}

// touch returns what is kept under a name, as what was asked for last.
func (d *disk) touch(name string) (k kept, there bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	e, there := d.files[name]
	if there {
		d.recent.MoveToFront(e)
		k = e.Value.(kept)
	}
	return k, there
}

func (d *disk) forget(name string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if e, ok := d.files[name]; ok {
		d.drop(e)
	}
}

// drop forgets a file. mu is held.
func (d *disk) drop(e *list.Element) {
	k := d.recent.Remove(e).(kept)
	delete(d.files, k.name)
	d.bytes -= k.size
}

// put writes a file, whole or not at all whatever happens to the machine.
func (d *disk) put(name string, content []byte) error {
	f, err := os.CreateTemp(d.dir, tmpStart)
	if errors.Is(err, fs.ErrNotExist) { // the folder was deleted
		if err = os.MkdirAll(d.dir, 0o700); err == nil {
			f, err = os.CreateTemp(d.dir, tmpStart)
		}
	}
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // fails when the rename has taken it, as it should
	if _, err = f.Write(content); err == nil {
		_, err = f.Write(binary.BigEndian.AppendUint32(nil, crc32.Checksum(content, castagnoli)))
	}
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), filepath.Join(d.dir, name)); err != nil {
		return err
	}
	d.add(name, int64(len(content))+sumSize)
	return nil
}

// add counts a file that is there, and removes others to make room for it.
func (d *disk) add(name string, size int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if e, ok := d.files[name]; ok {
		d.drop(e)
	}
	d.files[name] = d.recent.PushFront(kept{name: name, size: size})
	d.bytes += size
	for d.bytes > d.limit {
		last := d.recent.Back()
		os.Remove(filepath.Join(d.dir, last.Value.(kept).name)) // who deleted it before has made room, too
		d.drop(last)
		d.evicted++
	}
}
