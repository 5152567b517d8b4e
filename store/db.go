package store

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/souk-market/souk/internal/market"
)

// Options of Open. Only Dir is needed.
type Options struct {
	Dir    string           // the database's own directory, made if missing
	FS     vfs.FS           // for tests; nil is the disk
	Clock  func() time.Time // nil is the machine's clock
	Logger *slog.Logger     // nil discards

	CacheSize int64  // bytes of block cache, besides 64 MiB that it shares with memtables; 0 is 64 MiB, right for a machine with 1 GB
	MinFree   uint64 // bytes of free disk under which writes are refused; 0 is 256 MiB

	// Remote reads the tables of an attached directory that haven't been downloaded. A
	// directory that is attached can't be opened without it; any other doesn't use it.
	Remote RemoteReader

	// Fatal is called when a commit may not have reached the disk. It must not return:
	// memory and disk may differ from then on. nil logs and exits with status 70.
	Fatal func(error)

	// Standby opens the directory for Replay alone: it follows a replica, with no commits
	// of its own. Its data is left as it is, in whatever schema version the replica has it.
	// To make a primary of it, open it again without Standby.
	Standby bool

	// Faults makes the store misbehave within its contract, for tests of its callers.
	Faults *Faults

	logKept LSN         // for tests; 0 is the constant
	recent  int         // bytes, for tests; 0 is the constant
	spill   spillLimits // for tests; zero are the constants
}

// DB is an open database. Its methods may be called from any goroutine.
type DB struct {
	engine *pebble.DB
	lock   *pebble.Lock
	opts   Options
	life   context.Context // ends when Close is called
	end    context.CancelFunc
	faults *Faults
	disk   diskGuard
	damage damage
	gate   gate

	writable writable
	acks     acks

	nodeMu  sync.Mutex
	node    Node
	version uint32 // of the directory; Open alone changes it

	writer chan struct{} // holds one token: whoever has it is the writer
	turns  atomic.Uint64 // how often the token has been taken
	timers sync.Pool     // of *time.Timer, stopped, for those who wait for the token
	// Owned by the writer.
	last      LSN
	lastChain Chain
	lastTime  time.Time
	own       writes
	frontier  frontier

	committed atomic.Uint64 // last, for readers
	applying  atomic.Bool   // a commit may be visible that committed doesn't count yet
	durable   atomic.Uint64
	durableMu sync.Mutex
	durableCh chan struct{} // closed when durable moves; nil while nobody waits

	retainMu sync.Mutex
	retained map[string]LSN
	recent   recent

	commits, writes atomic.Uint64

	replayMu sync.Mutex // held by Replay: on a standby nothing else commits
}

// Node identifies one incarnation of a data directory. A restored directory is a new
// node whose Origin says what it was restored from.
type Node struct {
	ID      market.NodeID `cbor:"id"`
	Created time.Time     `cbor:"created"`
	Origin  *Origin       `cbor:"origin,omitempty"`
	// Fenced: nothing may leave (mail, webhooks, payouts) until Unfence is called.
	Fenced bool `cbor:"fenced,omitempty"`
}

// Origin says from which point of which replica a directory was restored.
type Origin struct {
	Generation uint32    `cbor:"generation"`
	TXID       uint64    `cbor:"txid"`
	LSN        LSN       `cbor:"lsn"`
	Chain      Chain     `cbor:"chain"`
	Restored   time.Time `cbor:"restored"`
	// Node is whose file that was: another replica of the same node has other files.
	Node market.NodeID `cbor:"node,omitempty"`
	// Past: the restore ended at an earlier moment on purpose, though there was more.
	Past bool `cbor:"past,omitempty"`
}

// Open opens the database in a directory, making it if the directory is empty. The
// directory stays locked until Close.
func Open(o Options) (*DB, error) {
	if o.Clock == nil {
		o.Clock = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.MinFree == 0 {
		o.MinFree = 256 << 20
	}
	if o.logKept == 0 {
		o.logKept = logKept
	}
	if o.recent == 0 {
		o.recent = recentKept
	}
	if o.spill == (spillLimits{}) {
		o.spill = spillLimits{replayInMemory, spilledTable}
	}
	if o.Fatal == nil {
		o.Fatal = func(err error) {
			o.Logger.Error("a commit may not have reached the disk; stopping so that a restart can recover", "err", err)
			os.Exit(70)
		}
	}
	db := &DB{
		opts: o, faults: o.Faults,
		writer:   make(chan struct{}, 1),
		gate:     newGate(),
		damage:   damage{log: o.Logger},
		retained: map[string]LSN{},
		recent:   recent{limit: o.recent},
		frontier: frontier{},
	}
	db.writer <- struct{}{}
	db.writable.start()
	db.life, db.end = context.WithCancel(context.Background())
	if err := db.open(); err != nil {
		db.end()
		return nil, err
	}
	return db, nil
}

func (db *DB) open() (err error) {
	dir, lock, err := lockDir(&db.opts)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			lock.Close()
		}
	}()
	if err := manifestNamed(db.engineFS(), dir); err != nil {
		return err
	}
	if err := refuseAttached(&db.opts, dir); err != nil {
		return err
	}
	if err := db.engineFS().RemoveAll(db.engineFS().PathJoin(dir, spillDir)); err != nil {
		return openError(dir, err)
	}
	if err := roomToOpen(db.engineFS(), dir); err != nil {
		return err
	}
	engine, err := db.openEngine(dir, lock)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			engine.Close()
		}
	}()
	db.engine, db.lock = engine, lock
	db.disk = diskGuard{fs: db.engineFS(), dir: dir, floor: db.opts.MinFree}
	if err = db.readMeta(dir); err == nil {
		err = db.readHead()
	}
	switch {
	case err != nil:
	case db.opts.Standby:
		err = db.standBy(dir)
	default:
		err = db.migrate(dir)
	}
	var told *market.Error
	if err != nil && !errors.As(err, &told) {
		err = openError(dir, err)
	}
	return err
}

// openEngine opens the engine in a directory.
func (db *DB) openEngine(dir string, lock *pebble.Lock) (*pebble.DB, error) {
	for o := db.opts; ; o.Remote = nil {
		opts := engineOptions(o, lock)
		attachOptions(opts, o, db.life)
		opts.EventListener.DataCorruption = db.damage.noticed
		engine, err := pebble.Open(dir, opts)
		if err != nil {
			return nil, openError(dir, err)
		}
		if o.Remote == nil || attachedBytes(engine) > 0 {
			return engine, nil
		}
		// All has been downloaded: it is a directory like any other.
		if err := engine.Close(); err != nil {
			return nil, openError(dir, err)
		}
	}
}

// lockDir makes the directory, resolves its name, so that two spellings of it can't be
// opened at once, and locks it.
func lockDir(o *Options) (string, *pebble.Lock, error) {
	dir := o.Dir
	fs := o.FS
	if fs == nil {
		fs = vfs.Default
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return "", nil, openError(dir, err)
		}
		abs, err := filepath.Abs(dir)
		if err != nil {
			return "", nil, fmt.Errorf("store: resolving %s: %w", dir, err)
		}
		if dir, err = filepath.EvalSymlinks(abs); err != nil {
			return "", nil, openError(abs, err)
		}
	} else if err := fs.MkdirAll(dir, 0o700); err != nil {
		return "", nil, openError(dir, err)
	}
	lock, err := pebble.LockDirectory(dir, fs)
	if err != nil {
		return "", nil, lockError(dir, err)
	}
	return dir, lock, nil
}

// lockError tells a directory in use from one that can't be written.
func lockError(dir string, err error) error {
	// fcntl answers EAGAIN or EACCES for a lock of another process; Pebble's own refusal
	// within one process has no type.
	if errors.Is(err, syscall.EAGAIN) || strings.Contains(err.Error(), "lock held") {
		return market.Errorf(market.Conflict, "The data directory %s is in use by another souk process. Stop that one first.", dir).Because(err)
	}
	return openError(dir, err)
}

func openError(dir string, err error) error {
	switch {
	case errors.Is(err, syscall.EROFS) || errors.Is(err, syscall.EACCES):
		return market.Errorf(market.Unavailable, "The data directory %s can't be written to. Check its owner and the disk's mount.", dir).Because(err)
	case errors.Is(err, syscall.ENOSPC):
		return market.Errorf(market.Unavailable, "The disk of %s is full. Free some space and start again; nothing is lost.", dir).Because(err)
	case pebble.IsCorruptionError(err):
		return damagedError(dir, err)
	}
	return market.Errorf(market.Internal,
		"The database in %s can't be opened. If its files are damaged, keep the directory aside and run souk restore from the replica.", dir).Because(err)
}

func damagedError(dir string, err error) error {
	return market.Errorf(market.Internal, "The database in %s is damaged. Keep the directory aside and run souk restore from the replica.", dir).Because(err)
}

func (db *DB) engineFS() vfs.FS {
	if db.opts.FS != nil {
		return db.opts.FS
	}
	return vfs.Default
}

func (db *DB) engineValue(key []byte) ([]byte, error) {
	v, closer, err := db.engine.Get(key)
	if errors.Is(err, pebble.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("store: reading %x: %w", key, err)
	}
	defer closer.Close()
	return append([]byte{}, v...), nil
}

// readHead finds the last commit: the last entry of the change log.
func (db *DB) readHead() error {
	it, err := db.engine.NewIter(&pebble.IterOptions{LowerBound: logPrefix, UpperBound: logEnd})
	if err != nil {
		return fmt.Errorf("store: reading the change log: %w", err)
	}
	defer it.Close()
	if !it.Last() {
		return it.Error()
	}
	c, err := parseLogEntry(LSN(binary.BigEndian.Uint64(it.Key()[len(logPrefix):])), it.Value())
	if err != nil {
		return err
	}
	db.last, db.lastChain, db.lastTime = c.LSN, c.Chain, c.Time
	db.acks.last = c.LSN // any commit before may be one of money
	db.committed.Store(uint64(c.LSN))
	db.durable.Store(uint64(c.LSN))
	return nil
}

// Close waits for the transactions under way and closes the database. What is asked of
// it from then on is answered with Unavailable. Snapshots are closed before.
func (db *DB) Close() error {
	db.stopWaiting()
	db.end()
	if !db.gate.shut() {
		return nil
	}
	err := errors.Join(db.engine.Close(), db.lock.Close())
	if err != nil {
		return fmt.Errorf("store: closing: %w", err)
	}
	return nil
}

// Closed reports whether Close has been called.
func (db *DB) Closed() bool {
	select {
	case <-db.gate.closing:
		return true
	default:
		return false
	}
}

// Node returns who this directory is.
func (db *DB) Node() Node {
	db.nodeMu.Lock()
	defer db.nodeMu.Unlock()
	return db.node
}

// Unfence ends the caution that follows a restore: jobs may leave the machine again.
func (db *DB) Unfence() error {
	return db.changeNode(func(n *Node) { n.Fenced = false })
}

// SetOrigin records from which point of which replica the directory's history comes, as
// for a standby that is about to become a primary. It is on disk when this returns nil.
func (db *DB) SetOrigin(o Origin) error {
	return db.changeNode(func(n *Node) { n.Origin = &o })
}

func (db *DB) changeNode(change func(*Node)) error {
	if err := db.gate.enter(); err != nil {
		return err
	}
	defer db.gate.leave()
	db.nodeMu.Lock()
	defer db.nodeMu.Unlock()
	n := db.node
	change(&n)
	return db.writeMeta(n)
}

// LastLSN is the LSN of the last commit, which may not be durable yet.
func (db *DB) LastLSN() LSN { return LSN(db.committed.Load()) }

// DurableLSN is the LSN up to which every commit is on disk.
func (db *DB) DurableLSN() LSN { return LSN(db.durable.Load()) }

func (db *DB) markDurable(lsn LSN) {
	if uint64(lsn) <= db.durable.Load() { // a later commit's sync was ours too
		return
	}
	db.durableMu.Lock()
	defer db.durableMu.Unlock()
	if uint64(lsn) <= db.durable.Load() {
		return
	}
	db.durable.Store(uint64(lsn))
	if db.durableCh != nil {
		close(db.durableCh)
		db.durableCh = nil
	}
}

// waitDurable returns when lsn is durable, or with ctx's error. Its caller has entered
// the gate, so the database stays open meanwhile.
func (db *DB) waitDurable(ctx context.Context, lsn LSN) error {
	for db.DurableLSN() < lsn {
		ch, now := db.durability()
		if now >= lsn {
			return nil
		}
		select {
		case <-ch:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// durability returns up to where commits are durable, and a channel that is closed when
// that has changed.
func (db *DB) durability() (<-chan struct{}, LSN) {
	db.durableMu.Lock()
	defer db.durableMu.Unlock()
	if db.durableCh == nil {
		db.durableCh = make(chan struct{})
	}
	return db.durableCh, db.DurableLSN()
}

// Stats are counts since Open and sizes now.
type Stats struct {
	Commits, Writes uint64 // commits, and keys written by them
	LastLSN         LSN
	DurableLSN      LSN
	DiskBytes       uint64 // of all files of the database; 0 once it is closed
	FreeBytes       uint64 // on its disk
	DamagedFiles    int    // files of the database that were found damaged when they were read
}

// Stats returns the database's figures; it is cheap enough for every scrape.
func (db *DB) Stats() Stats {
	s := Stats{
		Commits: db.commits.Load(), Writes: db.writes.Load(),
		LastLSN: db.LastLSN(), DurableLSN: db.DurableLSN(), FreeBytes: db.disk.free(), DamagedFiles: db.damage.count(),
	}
	if db.gate.enter() == nil {
		s.DiskBytes = db.engine.Metrics().DiskSpaceUsage()
		db.gate.leave()
	}
	return s
}

// Compact rewrites all of the database into its densest form.
func (db *DB) Compact(ctx context.Context) error {
	if err := db.gate.enter(); err != nil {
		return err
	}
	defer db.gate.leave()
	if err := db.engine.Compact(ctx, []byte{spaceEngine}, []byte{spaceTenant + 1}, true); err != nil {
		return fmt.Errorf("store: compacting: %w", err)
	}
	return nil
}
