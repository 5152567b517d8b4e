package store

import (
	"log/slog"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"
	"github.com/cockroachdb/pebble/v2/sstable"
)

// formatVersion pins Pebble's on-disk format; raising it can't be undone.
const formatVersion = pebble.FormatValueSeparation

// engineOptions are for a VPS with 1 to 4 GB of memory: 64 MiB of cache and up to four
// memtables of 16 MiB; compaction starts early (L0 threshold 2) so that reads stay
// flat; Bloom filters of 10 bits a key spare the disk for absent keys; Snappy above,
// zstd where most of the data lies.
func engineOptions(o Options, lock *pebble.Lock) *pebble.Options {
	cache := o.CacheSize
	if cache == 0 {
		cache = 64 << 20
	}
	opts := &pebble.Options{
		FS:                          o.FS,
		Lock:                        lock,
		FormatMajorVersion:          formatVersion,
		CacheSize:                   cache,
		MemTableSize:                16 << 20,
		MemTableStopWritesThreshold: 4,
		L0CompactionThreshold:       2,
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
	opts.ApplyCompressionSettings(func() pebble.DBCompressionSettings { return pebble.DBCompressionBalanced })
	opts.EnsureDefaults()
	opts.WithFSDefaults()
	return opts
}

// SSTOptions are the options for sorted tables that Restore.Ingest can take in.
func SSTOptions() sstable.WriterOptions {
	opts := engineOptions(Options{Logger: slog.New(slog.DiscardHandler)}, nil)
	return opts.MakeWriterOptions(6, formatVersion.MaxTableFormat())
}
