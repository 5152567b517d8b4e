package store

import "github.com/cockroachdb/pebble/v2/vfs"

// KeepLog makes CutLog leave n entries of the change log instead of logKept.
func KeepLog(n LSN, o Options) Options {
	o.logKept = n
	return o
}

// MarkersLast is markersLast.
func MarkersLast(fs vfs.FS) vfs.FS { return markersLast{fs} }
