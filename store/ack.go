package store

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/souk-market/souk/internal/market"
)

// ErrNotConfirmed says that a commit is on this machine's disk and that no replica has
// confirmed it. It is an ErrUnknownOutcome: the loss of the machine would undo the commit.
var ErrNotConfirmed = fmt.Errorf("%w elsewhere: no replica has confirmed it", ErrUnknownOutcome)

// acks are what transactions of money wait for besides the disk.
type acks struct {
	wait   atomic.Pointer[func(context.Context, LSN) error]
	refuse atomic.Pointer[func() error]
	last   LSN // the last commit of money, or of before Open; the writer's
}

// moneyTables are those whose writes make a transaction one of money.
var moneyTables = [256]bool{
	tableOrders: true, tablePayments: true, tableEntitlements: true, tableLicenses: true, tablePostings: true, tableBalances: true,
}

// RequireAck makes transactions of money wait: those that write orders, payments,
// entitlements, licenses or the ledger call wait with their LSN once they are on disk, and
// Update answers nil only after wait has. So do the repeat of such an operation, and for
// the last commit of money before them: an Update that reads such records and writes
// nothing, one that claims jobs, which act on what others have committed (but see
// Claim.NoAck), and a ViewDurable that reads such records. nil ends that.
//
// When wait fails, the commit stays, and Update's error is Unavailable and ErrNotConfirmed.
// wait's context is Update's, and ends also when the database is closed or made read-only.
func (db *DB) RequireAck(wait func(ctx context.Context, lsn LSN) error) {
	if wait == nil {
		db.acks.wait.Store(nil)
		return
	}
	db.acks.wait.Store(&wait)
}

// RefuseMoney has refuse asked before a transaction of money is committed: its error is
// Update's, and nothing has been written. It must not wait. nil ends that.
func (db *DB) RefuseMoney(refuse func() error) {
	if refuse == nil {
		db.acks.refuse.Store(nil)
		return
	}
	db.acks.refuse.Store(&refuse)
}

// refuseMoney is asked by the writer about what db.own holds.
func (db *DB) refuseMoney() error {
	if refuse := db.acks.refuse.Load(); refuse != nil && db.own.money {
		return (*refuse)()
	}
	return nil
}

// acknowledged waits for a replica's acknowledgement where one is required; lsn 0 needs none.
func (db *DB) acknowledged(ctx context.Context, lsn LSN) error {
	wait := db.acks.wait.Load()
	if wait == nil || lsn == 0 {
		return nil
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	stopped := db.stopped()
	defer context.AfterFunc(stopped, func() { cancel(context.Cause(stopped)) })()
	err := (*wait)(ctx, lsn)
	if err == nil {
		return nil
	}
	if cause := context.Cause(ctx); cause != nil && !errors.Is(err, cause) {
		err = errors.Join(err, cause)
	}
	return pendingError(fmt.Errorf("%w: commit %d: %w", ErrNotConfirmed, lsn, err))
}

// pendingError is for a person whose commit is on this machine's disk, and may yet be lost.
func pendingError(why error) error {
	return market.Errorf(market.Unavailable, "This is recorded and not confirmed yet: it is pending. Please look again in a moment before you repeat anything.").
		Because(why)
}
