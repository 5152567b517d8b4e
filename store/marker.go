package store

import (
	"fmt"
	"strings"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// markersLast is a file system on which a marker appears on disk after the files that
// were made before it. Pebble v2.1.7 makes a new MANIFEST and the marker that names it,
// and syncs their directory once for both (its issue 5825, mended after that version):
// where a file system doesn't keep the order of such changes, a power cut in between can
// leave a marker that names no file, and a database that can't be opened.
type markersLast struct{ vfs.FS }

func (fs markersLast) Create(name string, category vfs.DiskWriteCategory) (vfs.File, error) {
	if strings.HasPrefix(fs.PathBase(name), "marker.") {
		if err := syncDir(fs.FS, fs.PathDir(name)); err != nil {
			return nil, err
		}
	}
	return fs.FS.Create(name, category)
}

func (fs markersLast) Unwrap() vfs.FS { return fs.FS }

// manifestNamed refuses a directory that has data and no marker that names its MANIFEST:
// Pebble would make an empty database over it.
func manifestNamed(fs vfs.FS, dir string) error {
	names, err := fs.List(dir)
	if err != nil {
		return openError(dir, err)
	}
	data := ""
	for _, name := range names {
		switch {
		case strings.HasPrefix(name, "marker.manifest."):
			return nil
		case strings.HasSuffix(name, ".sst") || strings.HasSuffix(name, ".log"): // a new database has its marker first
			data = name
		}
	}
	if data == "" {
		return nil
	}
	return damagedError(dir, fmt.Errorf("store: there is %s, and no marker.manifest file", data))
}

func syncDir(fs vfs.FS, dir string) error {
	d, err := fs.OpenDir(dir)
	if err != nil {
		return err
	}
	if err := d.Sync(); err != nil {
		d.Close()
		return err
	}
	return d.Close()
}
