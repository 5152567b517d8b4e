package replica

import (
	"log/slog"
	"time"
)

// Options of New. The zero value is right for production.
type Options struct {
	// Interval is the least time between two files; 0 is 1 s. The first commit after a
	// pause is shipped after a twentieth of it.
	Interval time.Duration
	// UserDataDelay is how long commits of class UserData may wait; 0 is 30 s.
	UserDataDelay time.Duration
	// SnapshotEvery is the time between snapshots while there are changes; 0 is 24 h.
	SnapshotEvery time.Duration
	// SnapshotShare is the share of the last snapshot's size that the change files after it
	// may have before the next is taken; 0 is 0.5. They must have SnapshotTail bytes, too;
	// 0 is 64 MiB.
	SnapshotShare float64
	SnapshotTail  int64
	// Retention says what of the past is kept; the zero value is the default.
	Retention Retention
	// TakeOver ends another node's generation where this directory was restored from it.
	// Without it such a start is refused (ErrOccupied).
	TakeOver bool
	// LeaseTTL is for how long a lease says that this server lives; it is renewed three
	// times in that time, also when nothing happens. 0 is no lease and no such requests.
	LeaseTTL time.Duration
	// OnLeaseLost is called when the lease could not be renewed for LeaseTTL, with the
	// reason, and OnLeaseBack when it could again. They must not block. nil is nothing.
	OnLeaseLost func(reason error)
	OnLeaseBack func()
	// OnFenced is called when another server has taken over from an open replicator, with
	// the reason, before the commits that only this directory has are listed: what is
	// committed after it returns is not in the list. It must not block. nil is nothing.
	OnFenced func(reason error)
	// DataDir is where the commits that only this directory has are listed when the replica
	// has gone on without it; "" lists them nowhere.
	DataDir string
	// SpoolDir is where files are put together; "" is the system's temporary directory,
	// which may be in memory. Copies of what has been shipped are kept there until they
	// are merged, up to SpoolLimit bytes, 0 is 256 MiB; with "" none are, and files are
	// fetched for merging.
	SpoolDir   string
	SpoolLimit int64
	Logger     *slog.Logger     // nil discards
	Clock      func() time.Time // for timestamps in files only; nil is the machine's clock
}

func (o Options) withDefaults() Options {
	if o.Interval == 0 {
		o.Interval = time.Second
	}
	if o.UserDataDelay == 0 {
		o.UserDataDelay = 30 * time.Second
	}
	if o.SnapshotEvery == 0 {
		o.SnapshotEvery = 24 * time.Hour
	}
	if o.SnapshotShare == 0 {
		o.SnapshotShare = 0.5
	}
	if o.SnapshotTail == 0 {
		o.SnapshotTail = 64 << 20
	}
	if o.OnLeaseLost == nil {
		o.OnLeaseLost = func(error) {}
	}
	if o.OnLeaseBack == nil {
		o.OnLeaseBack = func() {}
	}
	if o.OnFenced == nil {
		o.OnFenced = func(error) {}
	}
	if o.SpoolLimit == 0 {
		o.SpoolLimit = 256 << 20
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Clock == nil {
		o.Clock = time.Now
	}
	return o
}
