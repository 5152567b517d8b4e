package monitor

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
)

// TestReplicaFigures reads the figures of two replicas, of which one is new, and of the drills.
func TestReplicaFigures(t *testing.T) {
	at := time.UnixMilli(1_700_000_000_500)
	first := Replica{
		LagCommits: 5, Lag: 1500 * time.Millisecond, LSN: 70, LastSuccess: at, Snapshot: at.Add(-time.Hour), RestorableSince: at.Add(-24 * time.Hour),
		Requests: map[string]uint64{"put": 9, "get": 3}, Sent: 4096, Received: 10,
		Levels: []ReplicaLevel{{"changes", 9, 4000}, {"snapshots", 1, 1 << 20}},
	}
	m := New(Options{})
	m.WatchReplica("1", func() Replica { return first })
	m.WatchReplica("2", func() Replica { return Replica{} })
	drills := map[string]Drill{}
	m.WatchDrills(func() map[string]Drill { return drills })
	figures := scrape(t, m)
	expect(t, figures,
		`souk_replica_lag_commits{replica="1"} 5`, `souk_replica_lag_seconds{replica="1"} 1.5`, `souk_replica_lsn{replica="1"} 70`,
		`souk_replica_last_success_timestamp_seconds{replica="1"} 1.7000000005e+09`,
		`souk_replica_last_snapshot_timestamp_seconds{replica="1"} 1.6999964005e+09`,
		`souk_replica_requests_total{operation="put",replica="1"} 9`, `souk_replica_bytes_total{direction="sent",replica="1"} 4096`,
		`souk_replica_level_files{level="changes",replica="1"} 9`, `souk_replica_level_bytes{level="snapshots",replica="1"} 1.048576e+06`,
		`souk_replica_failing{replica="1"} 0`, `souk_replica_lag_commits{replica="2"} 0`)
	for _, absent := range []string{`last_success_timestamp_seconds{replica="2"}`, "souk_drill", `level_files{level="changes",replica="2"}`} {
		if strings.Contains(figures, absent+" ") {
			t.Errorf("a figure that nobody knows is there: %s", absent)
		}
	}
	first.Failing, first.Fenced = true, true
	drills["1"] = Drill{Ended: at, Took: time.Minute, LastSuccess: at.Add(-time.Hour), RPO: 500 * time.Millisecond, RTO: 2 * time.Second}
	drills["2"] = Drill{Ended: at, Passed: true}
	expect(t, scrape(t, m),
		`souk_replica_failing{replica="1"} 1`, `souk_replica_fenced{replica="1"} 1`,
		`souk_drill_passed{replica="1"} 0`, `souk_drill_passed{replica="2"} 1`, `souk_drill_duration_seconds{replica="1"} 60`,
		`souk_drill_rpo_seconds{replica="1"} 0.5`, `souk_drill_rto_seconds{replica="1"} 2`,
		`souk_drill_last_timestamp_seconds{replica="1"} 1.7000000005e+09`,
		`souk_drill_last_success_timestamp_seconds{replica="1"} 1.6999964005e+09`)
}

// TestNamesFollowPrometheusRules gives the figures of replicas and drills to Prometheus'
// own linter, which parses them.
func TestNamesFollowPrometheusRules(t *testing.T) {
	at := time.UnixMilli(1_700_000_000_500)
	m := New(Options{})
	m.WatchReplica("1", func() Replica {
		return Replica{LastSuccess: at, Snapshot: at, RestorableSince: at, Requests: map[string]uint64{"put": 1}, Levels: []ReplicaLevel{{"changes", 1, 1}}}
	})
	m.WatchDrills(func() map[string]Drill { return map[string]Drill{"1": {Ended: at, LastSuccess: at}} })
	problems, err := promlint.New(strings.NewReader(scrape(t, m))).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range slices.DeleteFunc(problems, func(p promlint.Problem) bool { return !strings.HasPrefix(p.Metric, "souk_") }) {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
}
