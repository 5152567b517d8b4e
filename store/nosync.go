//go:build souk_nosync

package store

// syncWrites is off in the binary that proves the test of kills: commits are
// acknowledged while they are still in the process's own memory.
const syncWrites = false
