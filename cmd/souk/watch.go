package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/souk-market/souk/internal/edge"
	"github.com/souk-market/souk/internal/jobs"
	"github.com/souk-market/souk/internal/market"
	"github.com/souk-market/souk/internal/monitor"
	"github.com/souk-market/souk/internal/replica"
	"github.com/souk-market/souk/store"
)

// monitor watches the parts of the marketplace.
func (h *house) monitor(runner *jobs.Runner) *monitor.Monitor {
	m := monitor.New(monitor.Options{Token: h.cfg.MetricsToken.Reveal(), Version: version(), Logger: h.log})
	m.WatchStore(h.db.Stats)
	m.WatchPages(func() monitor.Pages { return monitor.Pages(h.pages.Stats()) })
	m.WatchMedia(func() monitor.Media { return monitor.Media(h.media.Stats()) })
	m.WatchJobs(h.jobCounts)
	h.watchFiles(m)
	m.Gauge("souk_jobs_unhandled_kinds", "Kinds of which jobs wait and that nobody does.", func() float64 {
		kinds, err := runner.Unhandled(context.Background())
		if err != nil {
			h.log.Error("looking for jobs that nobody does", "err", err)
		}
		return float64(len(kinds))
	})
	for i, r := range h.replicas {
		m.WatchReplica(fmt.Sprint(i+1), func() monitor.Replica { return replicaFigures(r.Replicator) })
	}
	m.WatchDrills(h.drillFigures)
	h.watchDuty(m)
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

// watchDuty shows whether this server sells, and what purchases wait for.
func (h *house) watchDuty(m *monitor.Monitor) {
	if h.duty == nil { // a standby's
		return
	}
	m.Check("duty", func(context.Context) error { return h.duty.err() })
	m.Gauge("souk_read_only", "1 while this server writes nothing: another has taken over, or its lease is lost.", func() float64 {
		return oneWhile(h.duty.err() != nil)
	})
	if h.acks == nil {
		return
	}
	m.Gauge("souk_sync_failing", "1 while the first replica acknowledges no purchases.", func() float64 { return oneWhile(h.acks.err() != nil) })
	m.Gauge("souk_sync_unacknowledged", "Commits confirmed without the first replica's acknowledgement since the start.", func() float64 {
		return float64(h.acks.passed.Load())
	})
}

func oneWhile(yes bool) float64 {
	if yes {
		return 1
	}
	return 0
}

// alarm tells the operator that purchases are no longer acknowledged.
func (h *house) alarm(err error) {
	a := market.Alert{Subject: "The first replica doesn't acknowledge purchases", At: time.Now().UTC()}
	if h.cfg.Sync.Continue {
		a.Text = "Purchases are confirmed without it until it answers again, and it may lack them for good if this machine is lost meanwhile."
	} else {
		a.Text = "Purchases are refused until it answers again."
	}
	a.Text = fmt.Sprintf("Purchases wait for %s, the first replica that is configured. ", h.replicas[0].client) + a.Text
	a.Text += fmt.Sprintf(" Look at souk replica status. The reason: %v", err)
	h.alert(a)
}

// alert stores an alert as a job, which tells the operator.
func (h *house) alert(a market.Alert) {
	_, failed := h.db.Update(context.Background(), market.MainTenant, store.Op{Class: store.UserData}, func(tx *store.Tx) error {
		return store.Enqueue(tx, market.AlertJob, a)
	})
	if failed != nil {
		h.log.Error("the alert could not be stored", "err", failed)
	}
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
	st := r.Status()
	commits, age := r.Lag()
	f := monitor.Replica{
		LagCommits: commits, Lag: age, LSN: uint64(r.Position().LSN), Failing: r.Err() != nil, Fenced: st.Fenced != "",
		Requests: map[string]uint64{"put": st.Requests.Put, "get": st.Requests.Get, "list": st.Requests.List, "delete": st.Requests.Delete},
		Sent:     st.Requests.BytesOut, Received: st.Requests.BytesIn,
	}
	if st.LastShipped != nil {
		f.LastSuccess = *st.LastShipped
	}
	for _, l := range st.Levels {
		f.Levels = append(f.Levels, monitor.ReplicaLevel{Name: l.Name, Files: l.Files, Bytes: l.Bytes})
	}
	for _, s := range st.Snapshots {
		if s.Time.After(f.Snapshot) {
			f.Snapshot = s.Time
		}
	}
	if st.Restorable != nil {
		f.RestorableSince = st.Restorable.From
	}
	return f
}
