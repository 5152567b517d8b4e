package store

import (
	"strings"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// unreserved is a file system on which a log takes the room that it fills. Pebble reserves
// a memtable's size and a tenth for each of its logs, of which it keeps up to five: 106 MB
// for the directory of a demo. Commits are no slower without (BenchmarkOrder).
type unreserved struct{ vfs.FS }

func (fs unreserved) Create(name string, category vfs.DiskWriteCategory) (vfs.File, error) {
	f, err := fs.FS.Create(name, category)
	return unreservedLog(name, f, err)
}

func (fs unreserved) ReuseForWrite(oldname, newname string, category vfs.DiskWriteCategory) (vfs.File, error) {
	f, err := fs.FS.ReuseForWrite(oldname, newname, category)
	return unreservedLog(newname, f, err)
}

func (fs unreserved) Unwrap() vfs.FS { return fs.FS }

func unreservedLog(name string, f vfs.File, err error) (vfs.File, error) {
	if err != nil || !strings.HasSuffix(name, ".log") {
		return f, err
	}
	return unreservedFile{f}, nil
}

type unreservedFile struct{ vfs.File }

func (unreservedFile) Preallocate(offset, length int64) error { return nil }
