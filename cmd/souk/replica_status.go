package main

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/souk-market/souk/internal/control"
	"github.com/souk-market/souk/internal/drill"
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
	replica.Status
	Shipping    bool       `json:"shipping"`       // by the server that answered
	Confirms    bool       `json:"confirms"`       // purchases wait for it, and for no other
	CanRead     bool       `json:"canRead"`        // with the key at hand
	Away        string     `json:"away,omitempty"` // why it doesn't answer now
	SurveyError string     `json:"surveyError,omitempty"`
	NextDrill   time.Time  `json:"nextDrill,omitzero"`
	LastDrill   *drillLine `json:"lastDrill,omitempty"`
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
		all[i] = &replicaStatus{Shipping: s.Replicator != nil, Confirms: i == 0 && h.cfg.Sync.Orders, CanRead: s.Client.CanRead()}
		asking.Go(func() {
			ctx, cancel := context.WithTimeout(ctx, surveyTime)
			defer cancel()
			all[i].ask(ctx, s, h, survey)
		})
	}
	asking.Wait()
	for i, s := range sources {
		if err := h.addDrills(ctx, all[i], s, past); err != nil {
			return nil, err
		}
	}
	return all, ctx.Err()
}

// addDrills fills in the drills of a replica.
func (h *house) addDrills(ctx context.Context, st *replicaStatus, s drill.Source, past []market.Drill) (err error) {
	if at := slices.IndexFunc(past, func(d market.Drill) bool { return d.Source == st.URL }); at >= 0 {
		line := newDrillLine(&past[at])
		st.LastDrill = &line
	}
	if s.Replicator != nil && s.Client.CanRead() {
		st.NextDrill, err = h.drillRunner().Next(ctx, s)
	}
	return err
}

// ask fills in what the one knows who ships to the replica, and what the replica shows.
func (s *replicaStatus) ask(ctx context.Context, from drill.Source, h *house, survey bool) {
	if from.Replicator != nil {
		s.Status = from.Replicator.Status()
		s.Sync = h.syncText(s.Confirms)
	}
	if from.Replicator != nil && !survey {
		return
	}
	if from.Replicator != nil {
		if err := from.Replicator.Ask(ctx); err != nil {
			s.away(err)
			return
		}
	}
	policy := h.cfg.replicaFor(from.Client.String()).Keep
	found, err := from.Client.Survey(ctx, policy, h.leaseIn(from))
	if err != nil {
		s.SurveyError = replica.Words(err)
	}
	if from.Replicator == nil {
		s.Status = found
		s.closed(err, h.db)
		return
	}
	if err == nil {
		s.Listed, s.Generations, s.Levels, s.Snapshots = found.Listed, found.Generations, found.Levels, found.Snapshots
		s.Segments, s.Blobs, s.Restorable, s.Forecast = found.Segments, found.Blobs, found.Restorable, found.Forecast
	}
	s.Requests = from.Client.Requests()
}

// away is the state of a replica that a server ships to and that doesn't answer now. While
// nothing is to be shipped, only who asks for the status finds that out.
func (s *replicaStatus) away(err error) {
	s.Away = replica.Words(err)
	if s.State == market.ReplicaHealthy {
		s.State = market.ReplicaBroken
	}
}

// leaseIn is how long the lease runs that this server keeps in a replica, 0 for none.
func (h *house) leaseIn(s drill.Source) time.Duration {
	if len(h.replicas) == 0 || s.Replicator != h.replicas[0].Replicator {
		return 0
	}
	return h.cfg.Lease
}

// syncText says whether purchases wait for a replica, "" when for none.
func (h *house) syncText(confirms bool) string {
	if h.acks == nil {
		return ""
	}
	if !confirms {
		return "purchases don't wait for this replica, which may lack some: the first one confirms them"
	}
	then := "then they are refused"
	if h.cfg.Sync.Continue {
		then = "then they go on without"
	}
	text := fmt.Sprintf("this replica confirms purchases: they wait for it, %s at most; %s", span(h.cfg.Sync.Timeout), then)
	if err := h.acks.err(); err != nil {
		text += ". It doesn't answer now: " + replica.Words(err)
	}
	return text
}

// closed is the state of a replica that nobody ships to, beside a closed database.
func (s *replicaStatus) closed(err error, db *store.DB) {
	lsn := store.LSN(0)
	if s.Position != nil {
		lsn = store.LSN(s.Position.LSN)
	}
	switch {
	case err != nil:
		s.State = market.ReplicaBroken
		return
	case db == nil || db.DurableLSN() <= lsn:
		s.State = market.ReplicaHealthy
		return
	}
	s.State, s.LagCommits = market.ReplicaLagging, uint64(db.DurableLSN()-lsn)
	if s.Position != nil {
		s.LagSeconds = max(time.Since(s.Position.Time).Seconds(), 0)
	}
}
