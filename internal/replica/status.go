package replica

import (
	"context"
	"errors"
	"io/fs"
	"time"

	"github.com/souk-market/souk/internal/market"
)

// brokenAfter is how long attempts to ship may fail before a replica is called broken: the
// time after which RELIABILITY.md R9 wants an alert.
const brokenAfter = 5 * time.Minute

// health is how the attempts to ship have gone. It is guarded by Replicator.mu.
type health struct {
	state     market.ReplicaState
	failing   time.Time // since when every attempt has failed; zero when the last succeeded
	lastError error
	at        time.Time // of lastError
}

// note takes in how an attempt ended.
func (h *health) note(err error, now time.Time) {
	if err == nil {
		h.failing = time.Time{}
		return
	}
	if h.failing.IsZero() {
		h.failing = now
	}
	h.lastError, h.at = err, now
}

// Status is how a replica is doing. Fields of what the replica holds are as of Listed,
// and empty before anything was listed.
type Status struct {
	URL      string              `json:"url"` // without credentials
	State    market.ReplicaState `json:"state,omitempty"`
	Position *StatusPosition     `json:"position,omitempty"`
	// LagCommits are the durable commits that the replica lacks; LagSeconds is the age of
	// the oldest of them that matters, 0 when none does.
	LagCommits  uint64     `json:"lagCommits"`
	LagSeconds  float64    `json:"lagSeconds"`
	LastShipped *time.Time `json:"lastShipped,omitempty"`
	LastContact *time.Time `json:"lastContact,omitempty"` // when the replica has answered anything last
	LastError   string     `json:"lastError,omitempty"`
	LastErrorAt *time.Time `json:"lastErrorAt,omitempty"`
	Fenced      string     `json:"fenced,omitempty"` // why nothing may be written any more
	// Sync is what purchases wait for at this replica; whoever has them wait fills it in.
	Sync         string        `json:"sync,omitempty"`
	Encrypted    string        `json:"encrypted,omitempty"` // fingerprint of the key; "" is not encrypted
	Capabilities *Capabilities `json:"capabilities,omitempty"`

	Listed      *time.Time       `json:"listed,omitempty"`
	Generations int              `json:"generations,omitempty"`
	Levels      []LevelStatus    `json:"levels,omitempty"` // of all generations
	Snapshots   []SnapshotStatus `json:"snapshots,omitempty"`
	Segments    ObjectsStatus    `json:"segments"`
	Blobs       ObjectsStatus    `json:"blobs"`
	Restorable  *Restorable      `json:"restorable,omitempty"`
	Collected   *Collection      `json:"collected,omitempty"` // the last run of retention

	Requests Requests  `json:"requests"` // since the start of this process
	Forecast *Forecast `json:"forecast,omitempty"`
}

// StatusPosition is a Position in words.
type StatusPosition struct {
	Generation uint32    `json:"generation"`
	TXID       uint64    `json:"txid"`
	LSN        uint64    `json:"lsn"`
	Chain      string    `json:"chain"` // hexadecimal
	Time       time.Time `json:"time"`
}

// LevelStatus is what a replica holds of one level.
type LevelStatus struct {
	Level  int       `json:"level"`
	Name   string    `json:"name"` // how far apart its points are
	Files  int       `json:"files"`
	Bytes  int64     `json:"bytes"`
	Oldest time.Time `json:"oldest,omitzero"`
	Newest time.Time `json:"newest,omitzero"`
}

// SnapshotStatus is one snapshot. Bytes are those of the file, not of its segments.
type SnapshotStatus struct {
	Generation uint32    `json:"generation"`
	TXID       uint64    `json:"txid"`
	Time       time.Time `json:"time"` // when it was written
	Bytes      int64     `json:"bytes"`
}

// ObjectsStatus counts segments or blobs.
type ObjectsStatus struct {
	Count int   `json:"count"`
	Bytes int64 `json:"bytes"`
}

// Restorable is the range of time that a restore can aim at, by the listing's times, in
// the history that leads to the newest generation. From Fine on every second or so is a
// point, from Medium on every 5 minutes, and from From on each snapshot.
type Restorable struct {
	From       time.Time `json:"from"`
	MediumFrom time.Time `json:"mediumFrom,omitzero"`
	FineFrom   time.Time `json:"fineFrom,omitzero"`
	To         time.Time `json:"to"`
}

// Status says how the replica is doing, without asking it: what it holds is as of the
// last time that retention ran in this process.
func (r *Replicator) Status() Status {
	s := Status{URL: r.client.String(), Requests: r.client.Requests(), Encrypted: r.client.fingerprint()}
	commits, age := r.Lag()
	s.LagCommits, s.LagSeconds = commits, age.Seconds()
	if at := r.client.LastContact(); !at.IsZero() {
		s.LastContact = &at
	}
	r.mu.Lock()
	if r.opened {
		s.Position = statusOf(r.pos)
	}
	if !r.lastCut.IsZero() {
		at := r.lastCut.UTC()
		s.LastShipped = &at
	}
	if h := r.health; h.lastError != nil {
		at := h.at.UTC()
		s.LastError, s.LastErrorAt = market.Message(h.lastError), &at
	}
	if r.opened {
		can := r.can
		s.Capabilities = &can
	}
	if r.fenced != nil {
		s.Fenced = market.Message(r.fenced)
	}
	s.State = r.nextState(age)
	r.mu.Unlock()

	c := r.collector
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.last != nil {
		s.describe(c.last, c.listed)
		s.Forecast = c.last.forecast(r.opts.Retention, r.opts.LeaseTTL)
	}
	if !c.done.At.IsZero() {
		done := c.done
		s.Collected = &done
	}
	return s
}

// Ask asks the replica whether it is there, with one request. Where nothing is to be
// shipped nothing else would tell. A replica that hasn't been opened isn't asked: its
// last error says why.
func (r *Replicator) Ask(ctx context.Context) error {
	pos := r.Position()
	if pos.Generation == 0 {
		return nil
	}
	_, err := r.client.manifest(ctx, pos.Generation)
	if errors.Is(err, fs.ErrNotExist) {
		return market.Errorf(market.NotFound, "The replica %s is no longer what it was: it lacks the beginning of generation %d. "+
			"It was emptied, or something else is at its address now, as when a disk isn't mounted.", r.client, pos.Generation).Because(err)
	}
	return err
}

// nextState moves the state to what the figures say; mu is held. What is broken becomes
// healthy before it can lag again.
func (r *Replicator) nextState(lag time.Duration) market.ReplicaState {
	h := &r.health
	next := market.ReplicaHealthy
	switch failing := !h.failing.IsZero(); {
	case r.fenced != nil, failing && final(h.lastError), failing && r.opts.Clock().Sub(h.failing) >= brokenAfter:
		next = market.ReplicaBroken
	case lag > market.ReplicaLag:
		next = market.ReplicaLagging
	}
	if h.state == "" || h.state == next {
		h.state = next
	} else if to, err := h.state.To(next); err == nil {
		h.state = to
	}
	return h.state
}

// statusOf is a position in words.
func statusOf(p Position) *StatusPosition {
	return &StatusPosition{Generation: p.Generation, TXID: uint64(p.TXID), LSN: uint64(p.LSN), Chain: p.Chain.String(), Time: p.Time}
}

// fingerprint names the key, "" when there is none.
func (c *Client) fingerprint() string {
	if c.key == nil {
		return ""
	}
	return c.key.Fingerprint()
}

// Survey lists the replica and says what it holds, where it ends, and what it will cost
// under a policy, with a lease that runs for a while (0 for none). It needs nobody to be
// replicating. Of an empty place the Status has little more than the URL.
func (c *Client) Survey(ctx context.Context, p Retention, lease time.Duration) (Status, error) {
	s := Status{URL: c.String(), Encrypted: c.fingerprint()}
	inv, err := c.Inventory(ctx)
	if err != nil {
		return s, err
	}
	s.describe(inv, time.Now())
	s.Forecast = inv.forecast(p, lease)
	if n := len(inv.Generations); n > 0 {
		last, _, err := c.lastChange(ctx, uint32(n))
		switch {
		case errors.Is(err, ErrCorrupt):
			s.LastError = market.Message(err)
		case err != nil:
			return s, err
		case last != nil:
			s.Position = statusOf(last.position())
		}
	}
	s.Requests = c.Requests()
	return s, nil
}

// describe fills in what an inventory tells.
func (s *Status) describe(inv *Inventory, at time.Time) {
	at = at.UTC()
	s.Listed, s.Generations = &at, len(inv.Generations)
	s.Segments, s.Blobs = countObjects(inv.Segments), countObjects(inv.Blobs)
	for level, name := range levelNames {
		l := LevelStatus{Level: level, Name: name}
		for i := range inv.Generations {
			l.add(inv.Generations[i].Levels[level])
		}
		s.Levels = append(s.Levels, l)
	}
	for i := range inv.Generations {
		g := &inv.Generations[i]
		for _, o := range g.Snapshots {
			s.Snapshots = append(s.Snapshots, SnapshotStatus{g.Generation, o.Max, o.Time, o.Bytes})
		}
	}
	s.Restorable = inv.restorable()
}

// add counts files of the level.
func (l *LevelStatus) add(files []Object) {
	for _, f := range files {
		l.Files++
		l.Bytes += f.Bytes
		if l.Oldest.IsZero() || f.Time.Before(l.Oldest) {
			l.Oldest = f.Time
		}
		if f.Time.After(l.Newest) {
			l.Newest = f.Time
		}
	}
}

func countObjects(all []Object) (s ObjectsStatus) {
	s.Count = len(all)
	for _, o := range all {
		s.Bytes += o.Bytes
	}
	return s
}

// restorable is the range of the newest generation's history, nil when nothing is there.
func (inv *Inventory) restorable() *Restorable {
	if inv.newest().IsZero() {
		return nil
	}
	r := &Restorable{To: inv.newest()}
	oldest := func(at *time.Time, t time.Time) {
		if at.IsZero() || t.Before(*at) {
			*at = t
		}
	}
	upTo := uint64(1) << 63
	for n := len(inv.Generations); n > 0; {
		g := &inv.Generations[n-1]
		for _, s := range g.Snapshots {
			if s.Max <= upTo {
				oldest(&r.From, s.Time)
			}
		}
		for level, from := range map[int]*time.Time{levelChanges: &r.FineFrom, 2: &r.MediumFrom} {
			if first, ok := g.unbroken(level, upTo); ok {
				oldest(from, first)
			}
		}
		if first := g.Levels[levelChanges]; len(first) > 0 && first[0].Min == 1 && g.Parent == 0 {
			oldest(&r.From, first[0].Time)
		}
		n, upTo = int(g.Parent), g.ForkTXID
	}
	if r.From.IsZero() {
		r.From = r.FineFrom
	}
	return r
}

// unbroken is the time of the first file of a level from which its files follow one
// another up to the newest one that counts.
func (g *GenerationInventory) unbroken(level int, upTo uint64) (first time.Time, ok bool) {
	next := uint64(0)
	for i := len(g.Levels[level]) - 1; i >= 0; i-- {
		f := g.Levels[level][i]
		if f.Max > upTo {
			continue
		}
		if ok && f.Max+1 < next {
			break
		}
		first, next, ok = f.Time, f.Min, true
	}
	return first, ok
}
