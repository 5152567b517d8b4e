package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/souk-market/souk/internal/control"
	"github.com/souk-market/souk/internal/market"
	"github.com/souk-market/souk/internal/replica"
	"github.com/souk-market/souk/store"
)

type replicaStatusCmd struct {
	settingsFlags
	replicaStatusTask
}

func (c *replicaStatusCmd) Run(ctx context.Context) error { return c.do(ctx, &c.replicaStatusTask) }

// replicaStatusTask shows how each replica is: as the server that ships to it knows, and
// as the replica itself shows.
type replicaStatusTask struct {
	Quick bool `help:"Ask the server only, and not the replica: no levels and sizes."`
	JSON  bool `name:"json" help:"Print a JSON object a line for each replica."`
}

func (*replicaStatusTask) name() string { return "replica status" }

func (t *replicaStatusTask) run(ctx context.Context, h *house, c *control.Console) error {
	all, err := h.replicaStatuses(ctx, !t.Quick)
	if err != nil {
		return unfinished(err, "The survey was broken off.")
	}
	if len(all) == 0 {
		return market.Errorf(market.Invalid, "No replica is configured. Configure one with replica in souk.toml: see souk config --template.")
	}
	if t.JSON {
		enc := json.NewEncoder(c.Out)
		for _, s := range all {
			if err := enc.Encode(s); err != nil {
				return err
			}
		}
		return nil
	}
	for i, s := range all {
		if i > 0 {
			fmt.Fprintln(c.Out)
		}
		if err := s.print(c.Out, time.Now()); err != nil {
			return err
		}
	}
	return nil
}

// replicaStatus is how one replica is, as it is printed.
type replicaStatus struct {
	URL         string              `json:"url"`
	State       market.ReplicaState `json:"state"`
	Shipping    bool                `json:"shipping"` // by the server that answered
	Position    positionLine        `json:"position"`
	LagCommits  uint64              `json:"lagCommits"`
	LagSeconds  float64             `json:"lagSeconds"`
	LastError   string              `json:"lastError,omitempty"`
	Fenced      bool                `json:"fenced"`
	Encrypted   string              `json:"encrypted,omitempty"` // the key's fingerprint
	ReadsItself bool                `json:"canRead"`             // the key at hand opens it
	Requests    replica.Requests    `json:"requests"`            // since the start
	Held        *holding            `json:"held,omitempty"`      // nil when it wasn't looked through
	SurveyError string              `json:"surveyError,omitempty"`
	NextDrill   time.Time           `json:"nextDrill,omitzero"`
	LastDrill   *drillLine          `json:"lastDrill,omitempty"`
}

// positionLine is where a replica stands.
type positionLine struct {
	Generation uint32    `json:"generation"`
	TXID       uint64    `json:"txid"`
	LSN        store.LSN `json:"lsn"`
	Time       time.Time `json:"time,omitzero"` // when the last file was cut
}

func newPositionLine(p replica.Position) positionLine {
	return positionLine{p.Generation, uint64(p.TXID), p.LSN, p.Time}
}

// surveyTime bounds how long a replica is looked through.
const surveyTime = 30 * time.Second

// replicaStatuses asks for all replicas at once.
func (h *house) replicaStatuses(ctx context.Context, survey bool) ([]*replicaStatus, error) {
	sources, err := h.configured()
	if err != nil {
		return nil, err
	}
	past, err := h.drillRunner().History(ctx, 0)
	if err != nil {
		return nil, err
	}
	all := make([]*replicaStatus, len(sources))
	var asking sync.WaitGroup
	for i, s := range sources {
		st := &replicaStatus{URL: s.Client.String(), Shipping: s.Replicator != nil, Encrypted: s.Client.Fingerprint(), ReadsItself: s.Client.CanRead()}
		all[i] = st
		asking.Go(func() {
			asked, cancel := context.WithTimeout(ctx, surveyTime)
			defer cancel()
			if s.Replicator != nil {
				st.shipped(s.Replicator)
			} else {
				st.found(asked, s.Client, h.db)
			}
			if survey {
				st.survey(asked, s.Client)
			}
			st.Requests = s.Client.Requests()
		})
		for _, d := range past {
			if d.Source == st.URL {
				line := newDrillLine(&d)
				st.LastDrill = &line
				break
			}
		}
		st.NextDrill, err = h.drillRunner().Next(ctx, s)
		if err != nil || s.Replicator == nil || !s.Client.CanRead() {
			st.NextDrill = time.Time{}
		}
	}
	asking.Wait()
	return all, ctx.Err()
}

// shipped is the state as the one knows who ships.
func (s *replicaStatus) shipped(r *replica.Replicator) {
	s.Position = newPositionLine(r.Position())
	commits, age := r.Lag()
	s.LagCommits, s.LagSeconds = commits, age.Seconds()
	err := r.Err()
	if err != nil {
		s.LastError = replica.Words(err)
	}
	s.Fenced = errors.Is(err, replica.ErrFenced)
	switch {
	case s.Fenced || err != nil && (age > market.ReplicaLag || replica.NeedsPerson(err)):
		s.State = market.ReplicaBroken
	case age > market.ReplicaLag:
		s.State = market.ReplicaLagging
	default:
		s.State = market.ReplicaHealthy
	}
}

// found is the state of a replica that nobody ships to, beside a closed database.
func (s *replicaStatus) found(ctx context.Context, c *replica.Client, db *store.DB) {
	pos, err := c.Newest(ctx)
	s.Position = newPositionLine(pos)
	switch {
	case err != nil:
		s.State, s.LastError = market.ReplicaBroken, replica.Words(err)
		return
	case db == nil || db.DurableLSN() <= pos.LSN:
		s.State = market.ReplicaHealthy
		return
	}
	s.State = market.ReplicaLagging
	s.LagCommits, s.LagSeconds = uint64(db.DurableLSN()-pos.LSN), max(time.Since(pos.Time).Seconds(), 0)
}

// holding is what a replica holds.
type holding struct {
	Levels    []heldLevel     `json:"levels"`    // of change files, all generations together, the finest first
	Snapshots []snapshotPoint `json:"snapshots"` // the oldest first
	Segments  heldLevel       `json:"segments"`  // that snapshots are made of
	Blobs     heldLevel       `json:"blobs"`     // files for sale
	Bytes     int64           `json:"bytes"`
	From      time.Time       `json:"restorableFrom,omitzero"`
	To        time.Time       `json:"restorableTo,omitzero"`
}

// heldLevel is what of one kind a replica holds.
type heldLevel struct {
	Name   string    `json:"name"`
	Files  int       `json:"files"`
	Bytes  int64     `json:"bytes"`
	Oldest time.Time `json:"oldest,omitzero"`
	Newest time.Time `json:"newest,omitzero"`
}

func (l *heldLevel) add(files []replica.Object) {
	for _, f := range files {
		if l.Files == 0 || f.Time.Before(l.Oldest) {
			l.Oldest = f.Time
		}
		if f.Time.After(l.Newest) {
			l.Newest = f.Time
		}
		l.Files++
		l.Bytes += f.Bytes
	}
}

// survey looks through the replica.
func (s *replicaStatus) survey(ctx context.Context, c *replica.Client) {
	inv, err := c.Inventory(ctx)
	if err != nil {
		s.SurveyError = replica.Words(err)
		return
	}
	s.Held = holdingIn(inv)
}

func holdingIn(inv *replica.Inventory) *holding {
	h := &holding{Segments: heldLevel{Name: "segments"}, Blobs: heldLevel{Name: "files for sale"}, Snapshots: []snapshotPoint{}}
	snapshots := heldLevel{Name: "snapshots"}
	for _, g := range inv.Generations {
		for level, files := range g.Levels {
			if level == len(h.Levels) {
				h.Levels = append(h.Levels, heldLevel{Name: replica.LevelName(level)})
			}
			h.Levels[level].add(files)
		}
		for _, s := range g.Snapshots {
			h.Snapshots = append(h.Snapshots, snapshotPoint{s.Max, s.Time, s.Bytes})
			snapshots.add([]replica.Object{s.Object})
		}
	}
	h.Segments.add(inv.Segments)
	h.Blobs.add(inv.Blobs)
	h.Levels = append(h.Levels, snapshots)
	for _, l := range h.Levels {
		if l.Files == 0 {
			continue
		}
		if h.From.IsZero() || l.Oldest.Before(h.From) {
			h.From = l.Oldest
		}
		if l.Newest.After(h.To) {
			h.To = l.Newest
		}
		h.Bytes += l.Bytes
	}
	h.Bytes += h.Segments.Bytes + h.Blobs.Bytes
	return h
}
