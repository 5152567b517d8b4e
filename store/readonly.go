package store

import (
	"context"
	"fmt"
	"sync"
)

// writable says whether commits may be made. mu is held from the question to the end of
// what the answer was asked for, the commit in memory: so no commit is under way that
// read-only hasn't stopped.
type writable struct {
	mu     sync.Mutex
	reason error // why not; nil while they may
	// stopped ends when reason is set, and with it what waits for a replica; it is made
	// anew when reason is cleared.
	stopped context.Context
	stop    context.CancelCauseFunc
}

func (w *writable) start() { w.stopped, w.stop = context.WithCancelCause(context.Background()) }

// SetReadOnly makes Update answer with reason, before its function runs, while View goes
// on; nil ends that. It may be called from anywhere, and doesn't wait for the disk.
//
// When it returns, no Update makes a commit any more, and none that had made one answers
// nil: what was still on its way to the disk, or waited for a replica (RequireAck), gets
// an error that is ErrUnknownOutcome and reason. LastLSN stays where it is from then on.
func (db *DB) SetReadOnly(reason error) {
	w := &db.writable
	w.mu.Lock()
	defer w.mu.Unlock()
	was := w.reason
	w.reason = reason
	switch {
	case was == nil && reason != nil:
		w.stop(reason)
	case was != nil && reason == nil:
		w.start()
	}
}

// ReadOnly returns why Update answers with an error: what SetReadOnly was given, or that
// the directory is a standby's. nil when it doesn't.
func (db *DB) ReadOnly() error {
	db.writable.mu.Lock()
	defer db.writable.mu.Unlock()
	return db.readOnly()
}

// readOnly is ReadOnly for who holds writable.mu.
func (db *DB) readOnly() error {
	if db.writable.reason == nil && db.opts.Standby {
		return ErrStandby
	}
	return db.writable.reason
}

// stopped returns a context that ends when nothing is to be acknowledged any more.
func (db *DB) stopped() context.Context {
	db.writable.mu.Lock()
	defer db.writable.mu.Unlock()
	return db.writable.stopped
}

// stopWaiting ends what waits for a replica, for Close.
func (db *DB) stopWaiting() {
	db.writable.mu.Lock()
	defer db.writable.mu.Unlock()
	db.writable.stop(errStopping)
}

// confirmed is the last word on a commit that is on disk: its acknowledgement, unless
// writing has been stopped meanwhile.
func (db *DB) confirmed(lsn LSN) error {
	if reason := db.ReadOnly(); reason != nil {
		return pendingError(fmt.Errorf("%w: commit %d: %w", ErrUnknownOutcome, lsn, reason))
	}
	return nil
}
