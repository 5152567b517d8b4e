package replica

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/superfly/ltx"

	"github.com/souk-market/souk/internal/blob"
	"github.com/souk-market/souk/internal/market"
	"github.com/souk-market/souk/store"
)

// FollowerOptions of Follow. The zero value is right for production.
type FollowerOptions struct {
	// Poll is the time between two questions for the next file while files come; 0 is 1 s.
	// IdlePoll is what it grows to while none comes; 0 is 4 s, so that a standby is never
	// more than 5 s behind the replica.
	Poll, IdlePoll time.Duration
	SpoolDir       string           // where files are put while they are taken in; "" is the system's temporary directory
	Logger         *slog.Logger     // nil discards
	Clock          func() time.Time // for timestamps and the age of what is there; nil is the machine's clock
}

func (o FollowerOptions) withDefaults() FollowerOptions {
	if o.Poll == 0 {
		o.Poll = time.Second
	}
	if o.IdlePoll == 0 {
		o.IdlePoll = 4 * time.Second
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Clock == nil {
		o.Clock = time.Now
	}
	return o
}

// listEvery is how often a follower looks at the names of merged files and snapshots. A
// next file that isn't there may be one that has not been written yet, or one that has
// been merged away while the follower was cut off: the names tell.
const listEvery = time.Hour

// Follower keeps a standby's directory as the replica is: it takes in each file as it
// appears, and becomes a primary when it is promoted.
type Follower struct {
	db     *store.DB
	blobs  *blob.Store
	client *Client
	opts   FollowerOptions
	node   market.NodeID

	working chan struct{} // holds one token: whoever has it may take files in
	// Owned by the holder of the token.
	verified bool      // the directory's last commit is known to be the end of a file
	listed   time.Time // when the names were looked at last
	avoid    map[fileRef]bool

	mu       sync.Mutex // guards everything below; held for moments
	pos      Position
	seen     store.LSN // the newest commit that is known to be in the replica
	current  time.Time // up to when everything that the replica had is here
	failure  error
	promoted bool
	streak   int // files that were there when asked for, one after the other
}

// Follow makes a follower of a directory that was restored from the replica, opened as a
// standby. It goes on from the directory's origin. blobs may be nil when no record names
// a blob. Then call Run.
func Follow(db *store.DB, blobs *blob.Store, client *Client, o FollowerOptions) (*Follower, error) {
	origin := db.Node().Origin
	if origin == nil {
		return nil, market.Errorf(market.Conflict, "This data directory was not restored from a replica, so it can't follow one. "+
			"Run souk standby with a new directory.").Because(ErrForeign)
	}
	f := &Follower{
		db: db, blobs: blobs, client: client, opts: o.withDefaults(), node: db.Node().ID,
		working: make(chan struct{}, 1), avoid: map[fileRef]bool{},
		verified: db.LastLSN() == origin.LSN,
		pos:      Position{Generation: origin.Generation, TXID: ltx.TXID(origin.TXID), LSN: origin.LSN, Chain: origin.Chain, Time: origin.Restored},
		seen:     origin.LSN, current: origin.Restored,
	}
	f.opts.Logger = f.opts.Logger.With("replica", client.String())
	f.working <- struct{}{}
	return f, nil
}

// Position is the last point of the replica's history that is here.
func (f *Follower) Position() Position {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.pos
}

// Lag is how far the standby is behind the replica: the commits that are known to be
// there and not here, and for how long something may have been there that isn't here. In
// the steady state that is the time since the last question, at most IdlePoll and a round
// trip. How far the replica is behind its primary only the primary knows.
func (f *Follower) Lag() (commits uint64, age time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if last := f.db.LastLSN(); f.seen > last {
		commits = uint64(f.seen - last)
	}
	return commits, max(f.opts.Clock().Sub(f.current), 0)
}

// Err is why the last attempt to follow failed, nil when it succeeded. ErrDiverged is
// final: the directory has to be made anew.
func (f *Follower) Err() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.failure
}

// Run follows the replica until ctx ends or the standby has been promoted, and returns
// nil then. It tries again after errors, and returns early with those that need a person:
// ErrDiverged when the replica has gone on from a moment before the standby's, Conflict for
// data of a newer souk.
func (f *Follower) Run(ctx context.Context) error {
	wait, backoff := f.opts.Poll, time.Duration(0)
	for ctx.Err() == nil && !f.isPromoted() {
		news, err := f.work(ctx, f.step)
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil && final(err):
			return err
		case err != nil:
			if backoff == 0 {
				f.opts.Logger.Warn("following the replica failed; trying again until it works", "err", err)
			}
			backoff = min(max(2*backoff, firstBackoff), lastBackoff)
			wait = backoff + rand.N(backoff/2)
		case news && f.busy():
			wait = 0 // the next may be there, too
		case news:
			wait = f.opts.Poll
		default:
			if backoff > 0 {
				f.opts.Logger.Info("following the replica again", "position", f.Position().String())
			}
			wait = min(max(wait+wait/4, f.opts.Poll), f.opts.IdlePoll)
		}
		if err == nil {
			backoff = 0
		}
		pause(ctx, wait)
	}
	return nil
}

// inARow counts one more file that was there when asked for, or none any more.
func (f *Follower) inARow(more bool) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.streak++; !more {
		f.streak = 0
	}
	return f.streak
}

// busy reports whether files follow one another faster than they are asked for.
func (f *Follower) busy() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.streak != 1
}

func (f *Follower) isPromoted() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.promoted
}

// work runs a step alone, and notes how it ended.
func (f *Follower) work(ctx context.Context, step func(ctx context.Context) (bool, error)) (news bool, err error) {
	select {
	case <-f.working:
	case <-ctx.Done():
		return false, fmt.Errorf("replica: waiting for the follower: %w", ctx.Err())
	}
	defer func() { f.working <- struct{}{} }()
	if f.isPromoted() {
		return false, nil
	}
	news, err = step(ctx)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.failure = err
	return news, err
}

// step takes in the next file, if it is there, and reports whether it was. Every
// listEvery, and after as long without an answer, it takes in whatever there is.
func (f *Follower) step(ctx context.Context) (news bool, err error) {
	began := f.opts.Clock()
	if time.Since(f.listed) >= listEvery {
		if err := f.catchUp(ctx); err != nil {
			return false, err
		}
		f.markCurrent(began)
		return false, nil
	}
	pos := f.Position()
	if f.inARow(true) > fewFiles {
		f.inARow(false)
		return f.chase(ctx, pos)
	}
	sealed, err := f.takeIn(ctx, changeRef(pos.Generation, pos.TXID+1))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		f.inARow(false)
		f.markCurrent(began)
		return false, nil
	case err != nil:
		return false, err
	case sealed != nil:
		news, err = f.followSeal(ctx, pos)
		if err == nil && !news {
			f.markCurrent(began)
		}
		return news, err
	}
	return true, nil
}

// fewFiles may follow one another before the follower looks how far behind it is.
const fewFiles = 4

// chase takes in the files up to what is the last one now, several at once.
func (f *Follower) chase(ctx context.Context, pos Position) (news bool, err error) {
	tip, err := f.tip(ctx, pos.Generation, pos.TXID+1)
	if err != nil || tip == pos.TXID+1 {
		return true, err // the next step sees what it is
	}
	return true, f.takeRun(ctx, pos.Generation, pos.TXID+1, tip)
}

// markCurrent notes that everything that the replica had at a time is here.
func (f *Follower) markCurrent(at time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.current = at
}

// followSeal goes on with the generation that follows one that has been sealed where the
// standby stands; false while it hasn't been opened.
func (f *Follower) followSeal(ctx context.Context, end Position) (bool, error) {
	m, err := f.client.manifest(ctx, end.Generation+1)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	if m.Parent == end.Generation && ltx.TXID(m.ForkTXID) == end.TXID {
		f.opts.Logger.Info("following the new primary", "generation", m.Generation, "node", m.Node)
		return true, f.moveTo(Position{Generation: m.Generation, LSN: end.LSN, Chain: end.Chain, Time: end.Time}, m.Node)
	}
	return true, f.catchUp(ctx)
}

// moveTo notes where the standby stands, on disk too.
func (f *Follower) moveTo(p Position, node market.NodeID) error {
	err := f.db.SetOrigin(store.Origin{
		Generation: p.Generation, TXID: uint64(p.TXID), LSN: p.LSN, Chain: p.Chain, Restored: f.opts.Clock().UTC(), Node: node,
	})
	if err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.pos = p
	f.seen = max(f.seen, p.LSN)
	if p.Time.After(f.current) {
		f.current = p.Time
	}
	return nil
}
