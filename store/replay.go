package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"github.com/souk-market/souk/internal/market"
)

// ErrStandby is why Update makes nothing on a standby.
var ErrStandby = market.Errorf(market.Unavailable,
	"This server follows another one, and nothing can be changed here. Please use the marketplace's usual address.").
	Because(errors.New("store: the directory is open as a standby's; souk promote makes a primary of it"))

// ErrGap says that commits are missing between the standby's last and those to be replayed.
var ErrGap = errors.New("store: commits are missing before those to be replayed")

// ErrDiverged says that the commits to be replayed go on from another history.
var ErrDiverged = errors.New("store: the commits to be replayed are of another history")

// Replay says which commits a file of a replica holds, folded together.
type Replay struct {
	Min, Max LSN
	Prev     Chain     // at Min-1
	Chain    Chain     // at Max
	Time     time.Time // of commit Max
	// Full: the file holds everything that there is after commit Max, as a snapshot does.
	// What it doesn't set is gone, and it may begin anywhere.
	Full bool
}

// SetFunc takes a key with its value, or its deletion. Keys come in ascending order, each
// once; the slices may be used again after the call.
type SetFunc func(key, value []byte, deleted bool) error

// Replay brings a file of a replica into a standby. fill gives it what the file sets and
// deletes. Readers see all of it or nothing, and so does whoever opens the directory after
// a crash; it is on disk when Replay returns nil. A file fits a standby that stands
// anywhere from Min-1 to Max: what it has of it comes again, and one that has all of it
// isn't asked for (fill isn't called).
//
// Errors, after which nothing has changed: ErrGap, ErrDiverged, fill's own, Conflict for
// data of a newer schema version than this binary knows, Unavailable while the disk is
// nearly full, ErrUnknownOutcome never.
func (db *DB) Replay(ctx context.Context, r Replay, fill func(SetFunc) error) error {
	if !db.opts.Standby {
		return errors.New("store: only a standby replays commits")
	}
	db.replayMu.Lock()
	defer db.replayMu.Unlock()
	if there, err := db.hasReplayed(r); there || err != nil {
		return err
	}
	if err := db.disk.refuse(); err != nil {
		return err
	}
	if err := db.becomeStandby(); err != nil {
		return err
	}
	first := db.LastLSN() + 1
	c, err := db.newCollector(r)
	if err != nil {
		return err
	}
	defer c.discard()
	if err := fill(c.set); err != nil {
		return err
	}
	if err := c.finish(first); err != nil {
		return fmt.Errorf("store: replaying the commits %d to %d: %w", r.Min, r.Max, err)
	}
	if err := db.enterReplay(ctx, c); err != nil {
		return fmt.Errorf("store: replaying the commits %d to %d: %w", r.Min, r.Max, err)
	}
	return nil
}

// hasReplayed reports whether the standby has all commits of a file, and refuses one that
// doesn't go on from here.
func (db *DB) hasReplayed(r Replay) (bool, error) {
	last := db.LastLSN()
	if r.Min == 0 || r.Min > r.Max {
		return false, fmt.Errorf("store: no file holds the commits %d to %d", r.Min, r.Max)
	}
	if r.Min-1 > last && !r.Full {
		return false, fmt.Errorf("%w: the last one here is %d, and the file begins with %d", ErrGap, last, r.Min)
	}
	for lsn, want := range map[LSN]Chain{r.Min - 1: r.Prev, r.Max: r.Chain} {
		if lsn > last {
			continue
		}
		got, err := db.ChainAt(lsn)
		switch {
		case errors.Is(err, ErrLogCut):
		case err != nil:
			return false, err
		case got != want:
			return false, fmt.Errorf("%w: commit %d has the chain %.8s here and %.8s there", ErrDiverged, lsn, got, want)
		}
	}
	return r.Max <= last, nil
}

// enterReplay puts what has been collected in place, between two transactions.
func (db *DB) enterReplay(ctx context.Context, c *collector) error {
	if err := db.gate.enter(); err != nil {
		return err
	}
	defer db.gate.leave()
	if err := db.turn(ctx); err != nil {
		return err
	}
	defer db.yield()
	db.applying.Store(true)
	if err := c.apply(ctx); err != nil {
		return err
	}
	was := db.last
	db.last, db.lastChain, db.lastTime = c.of.Max, c.of.Chain, c.of.Time
	clear(db.frontier) // its keys are no longer the highest
	db.recent.forget()
	db.committed.Store(uint64(db.last))
	db.applying.Store(false)
	db.commits.Add(uint64(db.last - was))
	db.writes.Add(uint64(c.log.keys))
	db.markDurable(db.last)
	return nil
}

// standBy takes the place of migrate in a standby: it refuses data that this binary
// doesn't know. It writes nothing: a primary's directory may have been opened by mistake.
func (db *DB) standBy(dir string) error {
	_, err := storedDataVersion(db.engine, dir, db.last)
	return err
}

// becomeStandby locks out binaries that don't know the log of a standby, before it has the
// first entry of that kind.
func (db *DB) becomeStandby() error {
	db.nodeMu.Lock()
	defer db.nodeMu.Unlock()
	return db.raiseDirectory(db.opts.Dir, standbyVersion)
}

// collector takes in a file of a replica: a batch in memory, and tables on disk once it is
// large or full.
type collector struct {
	db     *DB
	of     Replay
	log    span
	batch  *pebble.Batch
	tables *spilled // nil while everything is in the batch
}

// replayInMemory is how many bytes of a file are applied as one batch.
const replayInMemory = 2 << 20

func (db *DB) newCollector(r Replay) (*collector, error) {
	c := &collector{db: db, of: r, batch: db.engine.NewBatch()}
	if !r.Full {
		return c, nil
	}
	c.log.unlist()
	return c, c.spill()
}

func (c *collector) discard() {
	c.batch.Close()
	if c.tables != nil {
		c.tables.discard()
	}
}

// set is a SetFunc.
func (c *collector) set(key, value []byte, deleted bool) error {
	if err := c.accept(key, value, deleted); err != nil {
		return err
	}
	c.log.add(key)
	if c.tables != nil {
		return c.tables.set(key, value, deleted)
	}
	if err := setIn(c.batch, key, value, deleted); err != nil {
		return err
	}
	if c.batch.Len() < c.db.opts.spill.batch {
		return nil
	}
	return c.spill()
}

func setIn(b *pebble.Batch, key, value []byte, deleted bool) error {
	if deleted {
		return b.Delete(key, nil)
	}
	return b.Set(key, value, nil)
}

// accept refuses what no store of this binary can have written.
func (c *collector) accept(key, value []byte, deleted bool) error {
	switch {
	case len(key) == 0 || key[0] != spaceTenant || len(key) > MaxKey:
		return fmt.Errorf("store: %x isn't a replicated key", key[:min(len(key), 32)])
	case c.log.keys > 0 && bytes.Compare(key, c.log.last) <= 0:
		return fmt.Errorf("store: the key %s comes after %s", Key(key), Key(c.log.last))
	case bytes.Equal(key, keyDataVersion) && !deleted:
		_, err := knownVersion(value, c.db.disk.dir, SchemaVersion)
		return err
	}
	return nil
}

// spill moves the batch into tables, where what follows goes, too.
func (c *collector) spill() (err error) {
	if c.tables, err = newSpilled(c.db, c.of.Full); err != nil {
		return err
	}
	for r := c.batch.Reader(); ; {
		kind, key, value, ok, err := r.Next()
		if err != nil {
			return fmt.Errorf("store: reading a batch: %w", err)
		}
		if !ok {
			c.batch.Reset()
			return nil
		}
		if err := c.tables.set(key, value, kind == pebble.InternalKeyKindDelete); err != nil {
			return err
		}
	}
}

// finish adds the entry of the change log, which begins with the commit first.
func (c *collector) finish(first LSN) error {
	key, entry := logKey(c.of.Max), c.log.entry(min(first, c.of.Max), c.of.Max, c.of.Time, c.of.Chain)
	if c.tables != nil {
		return c.tables.finish(key, entry)
	}
	return c.batch.Set(key, entry, nil)
}

// apply makes everything visible at once, and durable.
func (c *collector) apply(ctx context.Context) error {
	if c.tables != nil {
		return c.db.engine.Ingest(ctx, c.tables.paths)
	}
	err := c.db.applyBatch(c.batch)
	if err == nil {
		err = syncWait(c.batch)
	}
	if err != nil {
		c.db.opts.Fatal(fmt.Errorf("store: replaying up to commit %d: %w", c.of.Max, err))
	}
	return err
}
