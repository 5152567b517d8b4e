package store

import (
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
