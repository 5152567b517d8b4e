package store

import (
	"context"
	"log/slog"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"
	"github.com/cockroachdb/pebble/v2/sstable"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// formatVersion pins Pebble's on-disk format; raising it can't be undone.
const formatVersion = pebble.FormatValueSeparation

// engineOptions are for a VPS with 1 to 4 GB of memory. Cache and memtables are the Go
// heap's, since there is no cgo. Where figures are given, they are the CPU time of an
// order's transaction (BenchmarkOrder, 64 callers) with its flushes and compactions, 250 µs
// with Pebble's compression profile "Balanced", memtables of 16 MiB and L0 at 2.
//
//   - Cache: 64 MiB on a machine with 1 GB; 256 MiB suit one with 4 GB. Pebble takes
//     memtables out of the cache's budget, so it gets two of them more: without, a burst
//     of writes left nothing to the readers (160 KB read again for each order).
//   - Memtables of 32 MiB: a flush meets the ends of all the key ranges that grow with
//     time, and the files there are written again with it. Larger ones do so less often
//     (-10 %), but a VPS of 1 GB has no room for them.
//   - L0 compacts from 4 sublevels on, Pebble's own default: at 2 the same files are
//     written again twice as often (-20 %), at 8 range scans merge too many.
//   - MinLZ on all levels: zstd at the bottom makes records of random text a fifth smaller
//     and doubles the cost of each compaction (-30 %) and of a read that misses the cache.
//   - At most three memtables, of which one is usual: writers wait while two are flushed.
//   - Writers wait at 20 sublevels of L0 (12 is Pebble's own): a burst that one slow core
//     compacts late makes reads slower before it stops sales.
//   - One compaction, two when it falls behind: a VPS has one or two cores, and requests
//     need them.
//   - 500 open files of the 1,024 that a process often may have: the rest is for
//     connections and blobs.
//   - Tables that a restore takes in are read and verified behind it.
//   - Bloom filters of 10 bits a key (1 % false) spare the disk for absent keys.
//   - Writeback is smoothed (512 and 256 KiB) so that a commit's sync finds little to wait for.
func engineOptions(o Options, lock *pebble.Lock) *pebble.Options {
	cache := o.CacheSize
	if cache == 0 {
		cache = 64 << 20
	}
	fs := o.FS
	if fs == nil {
		fs = vfs.Default
	}
	opts := &pebble.Options{
		FS:                          unreserved{markersLast{fs}},
		Lock:                        lock,
		FormatMajorVersion:          formatVersion,
		CacheSize:                   cache + 2*memTable,
		MemTableSize:                memTable,
		MemTableStopWritesThreshold: 3,
		L0CompactionThreshold:       4,
		L0StopWritesThreshold:       20,
		LBaseMaxBytes:               64 << 20,
		MaxOpenFiles:                500,
		BytesPerSync:                512 << 10,
		WALBytesPerSync:             256 << 10,
		CompactionConcurrencyRange:  func() (int, int) { return 1, 2 },
		Logger:                      engineLogger{o.Logger, o.Fatal},
	}
	opts.Experimental.ValidateOnIngest = true
	for i := range opts.Levels {
		opts.Levels[i].FilterPolicy = bloom.FilterPolicy(10)
	}
	opts.ApplyCompressionSettings(func() pebble.DBCompressionSettings { return pebble.DBCompressionFastest })
	opts.EnsureDefaults()
	opts.WithFSDefaults()
	return opts
}

// attachOptions has an engine read attached tables through Options.Remote. It must not
// read all of them by itself: neither to verify what is taken in, nor for its statistics,
// which it asks for again and again, thousands of times a second, while they can't be read.
func attachOptions(opts *pebble.Options, o Options, life context.Context) {
	if o.Remote == nil {
		return
	}
	opts.Experimental.RemoteStorage = remoteTables{o.Remote, life}
	opts.Experimental.ValidateOnIngest = false
	opts.DisableTableStats = true
	opts.MaxConcurrentDownloads = func() int { return 4 }
}

const memTable = 32 << 20 // bytes

// SSTOptions are the options for sorted tables that Restore.Ingest can take in. They are
// those of the lowest level but for one: there a deletion has nothing left to delete, so
// the writer marks it as obsolete and readers pass over it. A table that is taken in over
// others needs its deletions.
func SSTOptions() sstable.WriterOptions {
	opts := engineOptions(Options{Logger: slog.New(slog.DiscardHandler)}, nil)
	w := opts.MakeWriterOptions(6, formatVersion.MaxTableFormat())
	w.WritingToLowestLevel = false
	return w
}
