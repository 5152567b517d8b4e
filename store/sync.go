//go:build !souk_nosync

package store

// syncWrites makes Update wait until its commit is on disk.
const syncWrites = true
