package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/souk-market/souk/internal/edge"
	"github.com/souk-market/souk/internal/jobs"
	"github.com/souk-market/souk/internal/market"
	"github.com/souk-market/souk/internal/monitor"
	"github.com/souk-market/souk/internal/replica"
	"github.com/souk-market/souk/store"
)

// monitor watches the parts of the marketplace.
func (h *house) monitor(replicas []*replica.Replicator, runner *jobs.Runner) *monitor.Monitor {
	m := monitor.New(monitor.Options{Token: h.cfg.MetricsToken.Reveal(), Version: version(), Logger: h.log})
	m.WatchStore(h.db.Stats)
	m.WatchJobs(h.jobCounts)
	h.watchFiles(m)
	m.Gauge("souk_jobs_unhandled_kinds", "Kinds of which jobs wait and that nobody does.", func() float64 {
		kinds, err := runner.Unhandled(context.Background())
		if err != nil {
			h.log.Error("looking for jobs that nobody does", "err", err)
		}
		return float64(len(kinds))
	})
	for i, r := range replicas {
		m.WatchReplica(fmt.Sprint(i+1), func() monitor.Replica { return replicaFigures(r) })
	}
	m.WatchDrills(h.drillFigures)
	m.Check("store", func(ctx context.Context) error {
		return h.db.View(ctx, market.MainTenant, func(tx *store.ReadTx) error {
			_, err := store.PopularAgents.Count(tx, store.All{})
			return err
		})
	})
	m.Check("search", func(context.Context) error {
		if !h.index.Ready() {
			return errors.New("the index is being rebuilt")
		}
		return nil
	})
	return m
}

func (h *house) jobCounts() map[string]int {
	counts := map[string]int{}
	err := h.db.View(context.Background(), market.MainTenant, func(tx *store.ReadTx) error {
		byState, err := store.JobCounts(tx)
		for s, n := range byState {
			counts[string(s)] = n
		}
		return err
	})
	if err != nil {
		h.log.Error("counting jobs", "err", err)
	}
	return counts
}

// guard puts everything that edge does around the ways in, and counts requests.
func (h *house) guard(ways http.Handler, m *monitor.Monitor, baseURL string) http.Handler {
	return edge.Protect(ways, edge.Options{
		Logger: h.log, Hosts: h.cfg.Domains, FormAction: h.cfg.formAction(baseURL),
		Observe: func(r edge.Record) { m.Request(r.Pattern, r.Status, r.Duration) },
	})
}

// replicaFigures are a replica's figures for the monitor.
func replicaFigures(r *replica.Replicator) monitor.Replica {
	commits, age := r.Lag()
	err := r.Err()
	return monitor.Replica{
		LagCommits: commits, Lag: age, LSN: uint64(r.Position().LSN), Failing: err != nil, Fenced: errors.Is(err, replica.ErrFenced),
	}
}
