package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/souk-market/souk/internal/market"
	"github.com/souk-market/souk/internal/replica"
	"github.com/souk-market/souk/store"
)

// statuses runs souk replica status --json.
func statuses(t *testing.T, args ...string) (all []replicaStatus) {
	t.Helper()
	for line := range strings.Lines(mustSouk(t, append([]string{"replica", "status", "--json"}, args...)...)) {
		var s replicaStatus
		if err := json.Unmarshal([]byte(line), &s); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		all = append(all, s)
	}
	return all
}

// TestReplicaStatus asks of a running server, of which one replica can't be reached, and
// of its closed directory.
func TestReplicaStatus(t *testing.T) {
	data, place := filepath.Join(t.TempDir(), "data"), t.TempDir()
	stock(t, data, nil)
	pair := keygen(t)
	gone := filepath.Join(t.TempDir(), "gone")
	if err := os.WriteFile(gone, nil, 0o600); err != nil { // a file where the folder would be
		t.Fatal(err)
	}
	urls := []string{"file://" + place, "file://" + gone}
	flags := []string{"--replica", urls[0], "--replica", urls[1], "--replica-key-file", keyFile(t, pair.RecoveryKey)}
	server := open(t, data, flags...)
	waitFor(t, "the first replica", func() bool {
		all := statuses(t, "--quick", "--data", data)
		return len(all) == 2 && all[0].LagCommits == 0 && all[0].Position.TXID > 0
	})
	all := statuses(t, "--data", data)
	first, second := all[0], all[1]
	if first.URL != urls[0] || first.State != market.ReplicaHealthy || !first.Shipping || first.Encrypted != pair.Fingerprint || first.LastError != "" {
		t.Errorf("the first: %+v", first)
	}
	if h := first.Held; h == nil || h.Levels[0].Files == 0 || h.Bytes == 0 || h.From.IsZero() || h.To.Before(h.From) || first.Requests.Put == 0 || first.NextDrill.IsZero() {
		t.Errorf("the first: %+v, %+v", first, first.Held)
	}
	if second.URL != urls[1] || second.LastError == "" || second.LagCommits == 0 || second.SurveyError == "" && second.Held == nil {
		t.Errorf("the second, which can't be reached: %+v", second)
	}
	out := mustSouk(t, "replica", "status", "--data", data)
	for _, want := range []string{urls[0], "healthy", "seconds", "snapshots", "files for sale", "Restorable", "with key " + pair.Fingerprint, "Last error", "Drill       never; next"} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is missing in:\n%s", want, out)
		}
	}
	for _, secret := range []string{pair.RecoveryKey, pair.ServerKey} {
		if strings.Contains(out+server.Log(), secret) {
			t.Error("a key is shown")
		}
	}
	server.Stop()
}

// TestReplicaStatusOfAClosedDirectory: the replica itself is asked.
func TestReplicaStatusOfAClosedDirectory(t *testing.T) {
	data, url := replicated(t)
	if all := statuses(t, "--data", data, "--replica", url); len(all) != 1 || all[0].State != market.ReplicaHealthy || all[0].Shipping || all[0].Held == nil {
		t.Errorf("with everything in it: %+v", all)
	}
	mustSouk(t, "account", "add", "--email", "ada@example.com", "--data", data)
	all := statuses(t, "--data", data, "--replica", url)
	if len(all) != 1 || all[0].State != market.ReplicaLagging || all[0].LagCommits == 0 {
		t.Errorf("after a commit that it lacks: %+v", all)
	}
	if _, errs, status := souk(t, "replica", "status", "--data", data); status != 1 || !strings.Contains(errs, "No replica is configured") {
		t.Errorf("without a replica: status %d, %s", status, errs)
	}
}

// TestReplicaList names the moments, of the first generation and of one that goes on
// from it.
func TestReplicaList(t *testing.T) {
	_, url := replicated(t)
	out := mustSouk(t, "replica", "list", "--from", url)
	for _, want := range []string{url, "Generation 1", "seconds", "EVERY", "POINTS"} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is missing in:\n%s", want, out)
		}
	}
	wantLines(t, out)
	var p restorePoints
	if err := json.Unmarshal([]byte(mustSouk(t, "replica", "list", "--json", "--from", url)), &p); err != nil {
		t.Fatal(err)
	}
	if len(p.Generations) != 1 || len(p.Generations[0].Grains) == 0 || p.Generations[0].Grains[0].Points == 0 {
		t.Errorf("%+v", p)
	}
}

// TestTables prints what a large replica with a past looks like, in 80 columns.
func TestTables(t *testing.T) {
	at := time.Date(2026, 11, 23, 4, 0, 0, 0, time.UTC)
	files := func(n int, first uint64, each int64) (all []replica.Object) {
		for i := range n {
			all = append(all, replica.Object{Min: first + uint64(i), Max: first + uint64(i), Bytes: each, Time: at.Add(time.Duration(i) * time.Second)})
		}
		return all
	}
	inv := &replica.Inventory{Segments: files(5000, 1, 4<<20), Blobs: files(100_000, 1, 50<<20)}
	for g := range uint32(2) {
		gen := replica.GenerationInventory{Manifest: replica.Manifest{Generation: g + 1, Parent: g, ForkTXID: uint64(g) * 12345, Node: market.NewNodeID(at), CreatedAt: at}}
		gen.Levels[0], gen.Levels[3] = files(80_000, 1_000_000, 2000), files(800, 1, 1<<20)
		gen.Snapshots = []replica.SnapshotObject{{Object: replica.Object{Min: 1, Max: 1_234_567, Bytes: 1 << 20, Time: at}}}
		inv.Generations = append(inv.Generations, gen)
	}
	var b strings.Builder
	s := replicaStatus{
		URL: "s3://bucket/souk", State: market.ReplicaBroken, LagCommits: 123_456_789, LagSeconds: 86_400 * 3, Held: holdingIn(inv), Encrypted: "0123456789abcdef",
		Position:  positionLine{Generation: 2, TXID: 1_234_567, LSN: store.LSN(987_654_321), Time: at},
		LastError: "The replica s3://bucket/souk can't be reached: operation error S3: PutObject, exceeded maximum number of attempts, 8, https response error StatusCode: 503\nSlowDown",
		Requests:  replica.Requests{Put: 2_690_000, Get: 1_000_000, List: 100_000, Delete: 10_000, BytesOut: 5 << 40, BytesIn: 1 << 30}, NextDrill: at,
		LastDrill: &drillLine{State: market.DrillPassed, Started: at, RPO: 1.5, RTO: 700},
	}
	if err := s.print(&b, at.Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	if err := restorePointsIn("s3://bucket/souk", inv).print(&b); err != nil {
		t.Fatal(err)
	}
	text := b.String()
	for line := range strings.Lines(text) {
		if n := len([]rune(strings.TrimRight(line, "\n"))); n > 80 || strings.TrimRight(line, " \n") != strings.TrimRight(line, "\n") {
			t.Errorf("%d columns: %q", n, line)
		}
	}
	for _, want := range []string{"5.0 TB", "broken", "60 min ago", "goes on from generation 1 after its file 12345", "160000", "snapshots             2", "of which this server has the server", "SlowDown"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is missing in:\n%s", want, text)
		}
	}
	if t.Failed() {
		t.Log(text)
	}
}
