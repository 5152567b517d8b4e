package store

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/souk-market/souk/internal/market"
)

// ErrUnknownOutcome says that a commit may or may not have happened. An Update with an
// operation ID asks again by itself, and returns it only when it can't.
var ErrUnknownOutcome = errors.New("store: it is not known whether the transaction was committed")

// errUnknown is updateOnce's ErrUnknownOutcome, which no fn can return.
var errUnknown = fmt.Errorf("%w", ErrUnknownOutcome)

// ErrTimeLimit says that fn ran for longer than MaxTime, its own doing or a stall of the
// machine's. Nothing was written; what isn't slow by itself may be tried again.
var ErrTimeLimit = errors.New("store: a transaction took too long, and nothing was written")

// Result is what an Update did.
type Result struct {
	LSN      LSN    // of the commit; of the last one when nothing was written
	Value    []byte // what fn gave to SetResult, now or the first time
	Repeated bool   // the operation had been done before: fn's writes were not made

	ack LSN // the commit whose acknowledgement to wait for, 0 for none
}

// View runs fn on a snapshot of the tenant's records. fn's error is returned as it is.
func (db *DB) View(ctx context.Context, tenant market.TenantID, fn func(tx *ReadTx) error) error {
	return db.view(ctx, tenant, nil, fn)
}

// view is View; reads, unless nil, gets what fn reads.
func (db *DB) view(ctx context.Context, tenant market.TenantID, reads *ReadSet, fn func(tx *ReadTx) error) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("store: reading: %w", err)
	}
	if err := checkTenant(tenant); err != nil {
		return err
	}
	if err := db.gate.enter(); err != nil {
		return err
	}
	defer db.gate.leave()
	at := db.LastLSN() // before the snapshot, which may have more
	snap := db.engine.NewSnapshot()
	defer snap.Close()
	tx := &ReadTx{reader{from: snap, reads: reads, prefix: tenantPrefix(tenant), tenant: tenant, now: db.now(), at: at}}
	tx.exact = !db.applying.Load() && db.LastLSN() == at
	if reads != nil { // of a page, which reads many single keys
		reads.LSN = at
		tx.points = &points{from: snap}
		defer tx.points.close()
	}
	defer func() { tx.from, tx.points = nil, nil }() // a use after the end is a panic, not another's data
	return fn(tx)
}

// ViewDurable is View for what may leave the machine and be held against us, such as a
// receipt: it returns when all that fn has read is on disk, so that a crash can't take
// back what somebody was shown. It waits for a sync, and for a replica with RequireAck.
// Errors: fn's; ctx's when it ends while waiting, or ErrNotConfirmed, and then nothing read
// may be shown.
func (db *DB) ViewDurable(ctx context.Context, tenant market.TenantID, fn func(tx *ReadTx) error) error {
	ofMoney := false
	err := db.View(ctx, tenant, func(tx *ReadTx) error {
		err := fn(tx)
		ofMoney = tx.money
		return err
	})
	if err != nil {
		return err
	}
	if err := db.gate.enter(); err != nil {
		return err
	}
	defer db.gate.leave()
	if err := db.turn(ctx); err != nil { // a commit is visible a moment before it is counted
		return err
	}
	last, money := db.last, db.acks.last
	db.yield()
	if err := db.waitDurable(ctx, last); err != nil {
		return fmt.Errorf("store: waiting for the disk: %w", err)
	}
	if !ofMoney {
		return nil
	}
	return db.acknowledged(ctx, money)
}

// maxTenant bounds a tenant's ID in bytes: it is in every key.
const maxTenant = 64

func checkTenant(t market.TenantID) error {
	if t == "" || len(t) > maxTenant {
		return fmt.Errorf("store: the tenant ID %q must have 1 to %d bytes", t, maxTenant)
	}
	return nil
}

func (db *DB) now() time.Time { return db.opts.Clock().UTC().Truncate(time.Millisecond) }

// Update runs fn alone on the tenant's records and commits what it wrote, with the next
// LSN and its entry in the change log. When it returns nil the commit is on disk. When
// fn returns an error or panics, nothing is written.
//
// fn makes no network call, calls no other Update, and may run more than once, so it
// has no effect but its writes and variables that each run sets afresh. ctx bounds the
// wait for the writer's turn; once fn has run, the commit is carried through. While the
// database is read-only, the error is SetReadOnly's reason and fn doesn't run. Any error
// but ErrUnknownOutcome says that nothing was committed.
func (db *DB) Update(ctx context.Context, tenant market.TenantID, op Op, fn func(tx *Tx) error) (Result, error) {
	if err := checkTenant(tenant); err != nil {
		return Result{}, err
	}
	if err := db.gate.enter(); err != nil {
		return Result{}, err
	}
	defer db.gate.leave()
	res, err := db.updateOnce(ctx, tenant, op, fn)
	for err == errUnknown && op.ID != "" {
		res, err = db.updateAgain(context.WithoutCancel(ctx), tenant, op, fn)
	}
	return res, err
}

// updateAgain repeats an operation that may have been committed: its record tells. An
// error from before that is read leaves it unknown.
func (db *DB) updateAgain(ctx context.Context, tenant market.TenantID, op Op, fn func(tx *Tx) error) (Result, error) {
	ran := false
	res, err := db.updateOnce(ctx, tenant, op, func(tx *Tx) error {
		ran = true
		return fn(tx)
	})
	if err != nil && err != errUnknown && !ran {
		err = fmt.Errorf("%w: %w", ErrUnknownOutcome, err)
	}
	return res, err
}

// updateOnce returns errUnknown for a commit whose outcome isn't known.
func (db *DB) updateOnce(ctx context.Context, tenant market.TenantID, op Op, fn func(tx *Tx) error) (Result, error) {
	if err := db.turn(ctx); err != nil {
		return Result{}, err
	}
	res, batch, err := db.commit(tenant, op, fn)
	if err != nil {
		return Result{}, err
	}
	if batch == nil { // nothing written now; what was read may still be on its way to the disk
		err := db.waitDurable(context.WithoutCancel(ctx), res.LSN)
		if err == nil {
			err = db.acknowledged(ctx, res.ack)
		}
		if err == nil && res.Repeated {
			err = db.confirmed(res.LSN)
		}
		return res, err
	}
	if err := syncWait(batch); err != nil {
		err = fmt.Errorf("store: syncing commit %d: %w", res.LSN, err)
		db.opts.Fatal(err)
		return Result{}, err
	}
	db.markDurable(res.LSN)
	if err := batch.Close(); err != nil {
		return Result{}, fmt.Errorf("store: closing a batch: %w", err)
	}
	if err := db.acknowledged(ctx, res.ack); err != nil {
		return Result{}, err
	}
	if err := db.confirmed(res.LSN); err != nil {
		return Result{}, err
	}
	return res, db.faults.afterCommit(op)
}

// commit runs fn and applies what it wrote to memory and log, as the writer; it gives up
// the writer's token. The batch it returns is applied, and is still to be waited for
// and closed; it is nil when there is nothing to wait for.
func (db *DB) commit(tenant market.TenantID, op Op, fn func(tx *Tx) error) (res Result, batch *pebble.Batch, err error) {
	defer db.yield()
	defer db.own.reset()
	if err := db.ReadOnly(); err != nil {
		return Result{}, nil, err
	}
	if err := db.disk.refuse(); err != nil {
		return Result{}, nil, err
	}
	db.frontier.trim()
	for range db.faults.runs() {
		db.own.reset()
		if res, err = db.run(tenant, op, fn); err != nil {
			return Result{}, nil, err
		}
	}
	if len(db.own.entries) == 0 {
		return res, nil, nil
	}
	if err := db.refuseMoney(); err != nil {
		return Result{}, nil, err
	}
	batch, err = db.apply(op.Class)
	res.LSN, res.ack = db.last, 0
	if db.own.money || db.own.acts {
		res.ack = db.acks.last
	}
	return res, batch, err
}

// run collects what fn writes in db.own. res.LSN is the last commit's.
func (db *DB) run(tenant market.TenantID, op Op, fn func(tx *Tx) error) (res Result, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("store: panic in a transaction: %v\n%s", p, debug.Stack())
		}
	}()
	started := time.Now()
	points := &points{from: db.engine}
	defer points.close()
	tx := &Tx{frontier: db.frontier, reader: reader{
		from: db.engine, own: &db.own, points: points, prefix: tenantPrefix(tenant), tenant: tenant, now: db.now(),
	}}
	defer func() { tx.from, tx.own, tx.points = nil, nil, nil }() // the writes are used again: a late one would go into another's
	if op.ID != "" {
		done, err := tx.operation(op.ID)
		if err == nil {
			res := Result{LSN: db.last, Value: done.Result, Repeated: true}
			if done.Money {
				res.ack = done.LSN
			}
			return res, nil
		}
		if !market.Is(err, market.NotFound) {
			return Result{}, err
		}
	}
	if err := fn(tx); err != nil {
		return Result{}, err
	}
	if err := settleCounts(tx); err != nil {
		return Result{}, err
	}
	if tx.failed != nil {
		return Result{}, tx.failed
	}
	if spent := time.Since(started); spent > MaxTime {
		return Result{}, fmt.Errorf("%w: it ran for %v, over the limit of %v", ErrTimeLimit, spent, MaxTime)
	}
	if op.ID != "" {
		if err := tx.keepOperation(opRecord{ID: op.ID, LSN: db.last + 1, At: tx.now, Result: tx.result, Money: tx.own.money}); err != nil {
			return Result{}, err
		}
	}
	res = Result{LSN: db.last, Value: tx.result}
	if tx.reader.money {
		res.ack = db.acks.last // unless something is written
	}
	return res, nil
}

// apply makes a commit of what db.own holds: it gives it its LSN and log entry and
// applies it to memory and the log's buffer. Readers see it from now on; it is durable
// after the batch's SyncWait.
func (db *DB) apply(class Class) (*pebble.Batch, error) {
	const reprHeader = 12 // Pebble's sequence number and count, which a restore changes
	lsn, at := db.last+1, db.now()
	if at.Before(db.lastTime) { // commit times never go back, whatever the clock does
		at = db.lastTime
	}
	if lsn == 1 {
		db.own.add(keyDataVersion, dataVersion(), false)
	}
	keys := db.own.keys()
	size := 64
	for _, k := range keys {
		size += len(k) + 4
	}
	batch, err := db.own.batch(db.engine, size)
	if err != nil {
		return nil, fmt.Errorf("store: writing commit %d: %w", lsn, err)
	}
	writes := batch.Len()
	chain := nextChain(db.lastChain, lsn, class, at, batch.Repr()[reprHeader:])
	entry := appendLogEntry(db.own.take(size), class, at, chain, keys)
	if err := batch.Set(logKey(lsn), entry, nil); err != nil {
		batch.Close()
		return nil, fmt.Errorf("store: writing the change log: %w", err)
	}
	db.writable.mu.Lock()
	defer db.writable.mu.Unlock()
	if err := db.readOnly(); err != nil {
		batch.Close()
		return nil, err
	}
	repr := batch.Repr()[reprHeader:writes]
	db.applying.Store(true) // for good where it fails: nobody knows what is visible
	if err := db.applyBatch(batch); err != nil {
		err = fmt.Errorf("store: applying commit %d: %w", lsn, err)
		db.opts.Fatal(err)
		return nil, err
	}
	db.recent.add(lsn, repr)
	db.last, db.lastChain, db.lastTime = lsn, chain, at
	if db.own.money {
		db.acks.last = lsn
	}
	db.committed.Store(uint64(lsn))
	db.applying.Store(false)
	db.commits.Add(1)
	db.writes.Add(uint64(len(keys)))
	return batch, nil
}

// applyBatch makes a batch visible and has it synced; syncWait waits for that. Pebble
// panics when its log can't be written, and keeps its locks: nothing goes on from there.
func (db *DB) applyBatch(b *pebble.Batch) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("the engine panics: %v", p)
		}
	}()
	if !syncWrites {
		return db.engine.Apply(b, pebble.NoSync)
	}
	return db.engine.ApplyNoSyncWait(b, pebble.Sync)
}

func syncWait(b *pebble.Batch) error {
	if !syncWrites {
		return nil
	}
	return b.SyncWait()
}
