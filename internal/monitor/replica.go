package monitor

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Replica is how one replica is at one moment. A zero time is one that isn't known, and
// its figure is left out.
type Replica struct {
	LagCommits  uint64        // durable commits that the replica lacks
	Lag         time.Duration // age of the oldest of them that matters; the RPO now
	LSN         uint64        // the last commit in the replica
	LastSuccess time.Time     // when it last took something, or had nothing to take
	Failing     bool          // the last attempt to ship failed
	Fenced      bool          // another server has taken over

	Requests        map[string]uint64 // sent since the start, by operation: put, get, list, delete
	Sent, Received  uint64            // bytes since the start
	Levels          []ReplicaLevel    // nil while nobody has looked
	Snapshot        time.Time         // of the newest
	RestorableSince time.Time         // the earliest moment that can be restored
}

// ReplicaLevel is what a replica holds of one level.
type ReplicaLevel struct {
	Name  string // "changes", "30s", "snapshots", …
	Files int
	Bytes int64
}

// replicaFigures are the figures of one replica.
type replicaFigures struct {
	behind, age, lsn, success, failing, fenced figure
	requests, bytes                            figure
	files, stored, snapshot, restorable        figure
}

func newReplicaFigures(name string) replicaFigures {
	on := prometheus.Labels{"replica": name}
	return replicaFigures{
		behind:     gaugeFor(on, "souk_replica_lag_commits", "Durable commits that the replica lacks."),
		age:        gaugeFor(on, "souk_replica_lag_seconds", "Age of the oldest commit that matters and that the replica lacks; the RPO now."),
		lsn:        gaugeFor(on, "souk_replica_lsn", "The last LSN in the replica."),
		success:    gaugeFor(on, "souk_replica_last_success_timestamp_seconds", "When the replica last took what was there to be shipped."),
		failing:    gaugeFor(on, "souk_replica_failing", "1 when the last attempt to ship failed."),
		fenced:     gaugeFor(on, "souk_replica_fenced", "1 when another server has taken over and this one doesn't write any more."),
		requests:   counterFor(on, "souk_replica_requests_total", "Requests sent to the replica since the start.", "operation"),
		bytes:      counterFor(on, "souk_replica_bytes_total", "Bytes exchanged with the replica since the start.", "direction"),
		files:      gaugeFor(on, "souk_replica_level_files", "Files in the replica, when it was last looked through.", "level"),
		stored:     gaugeFor(on, "souk_replica_level_bytes", "Bytes in the replica, when it was last looked through.", "level"),
		snapshot:   gaugeFor(on, "souk_replica_last_snapshot_timestamp_seconds", "When the newest snapshot was taken."),
		restorable: gaugeFor(on, "souk_replica_restorable_since_timestamp_seconds", "The earliest moment that can be restored."),
	}
}

// WatchReplica shows a replica's figures. The name tells replicas apart; it isn't the URL,
// which tells a reader of figures where the data is. read answers from memory.
func (m *Monitor) WatchReplica(name string, read func() Replica) {
	f := newReplicaFigures(name)
	m.watch(func(emit emitter) { f.emit(emit, read()) },
		f.behind, f.age, f.lsn, f.success, f.failing, f.fenced, f.requests, f.bytes, f.files, f.stored, f.snapshot, f.restorable)
}

func (f *replicaFigures) emit(emit emitter, r Replica) {
	emit(f.behind, float64(r.LagCommits))
	emit(f.age, r.Lag.Seconds())
	emit(f.lsn, float64(r.LSN))
	emit(f.failing, number(r.Failing))
	emit(f.fenced, number(r.Fenced))
	for operation, n := range r.Requests {
		emit(f.requests, float64(n), operation)
	}
	emit(f.bytes, float64(r.Sent), "sent")
	emit(f.bytes, float64(r.Received), "received")
	for _, l := range r.Levels {
		emit(f.files, float64(l.Files), l.Name)
		emit(f.stored, float64(l.Bytes), l.Name)
	}
	emit.time(f.success, r.LastSuccess)
	emit.time(f.snapshot, r.Snapshot)
	emit.time(f.restorable, r.RestorableSince)
}

// Drill is the newest rehearsed restore of a replica.
type Drill struct {
	Ended       time.Time
	Took        time.Duration
	Passed      bool
	LastSuccess time.Time // when one last passed; zero for never
	RPO, RTO    time.Duration
}

// WatchDrills shows the newest drill of each replica that has had one, by the replica's
// name.
func (m *Monitor) WatchDrills(read func() map[string]Drill) {
	m.watch(func(emit emitter) {
		for name, d := range read() {
			emit(drillPassed, number(d.Passed), name)
			emit(drillTook, d.Took.Seconds(), name)
			emit(drillRPO, d.RPO.Seconds(), name)
			emit(drillRTO, d.RTO.Seconds(), name)
			emit.time(drillEnded, d.Ended, name)
			emit.time(drillSuccess, d.LastSuccess, name)
		}
	}, drillPassed, drillTook, drillRPO, drillRTO, drillEnded, drillSuccess)
}

var (
	drillPassed  = gauge("souk_drill_passed", "1 when the last rehearsed restore of the replica passed.", "replica")
	drillTook    = gauge("souk_drill_duration_seconds", "How long the last rehearsed restore took, with everything.", "replica")
	drillRPO     = gauge("souk_drill_rpo_seconds", "How long a commit took to be in the replica, measured by the last rehearsed restore.", "replica")
	drillRTO     = gauge("souk_drill_rto_seconds", "How long restoring and checking took, measured by the last rehearsed restore.", "replica")
	drillEnded   = gauge("souk_drill_last_timestamp_seconds", "When the last rehearsed restore ended.", "replica")
	drillSuccess = gauge("souk_drill_last_success_timestamp_seconds", "When a rehearsed restore last passed.", "replica")
)
