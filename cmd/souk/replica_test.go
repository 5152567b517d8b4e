package main

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/souk-market/souk/internal/market"
	"github.com/souk-market/souk/internal/replica"
	"github.com/souk-market/souk/internal/testenv"
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
		return len(all) == 2 && all[0].LagCommits == 0 && all[0].Position != nil && all[0].Position.TXID > 0
	})
	all := statuses(t, "--data", data)
	first, second := all[0], all[1]
	if first.URL != urls[0] || first.State != market.ReplicaHealthy || !first.Shipping || first.Encrypted != pair.Fingerprint || first.LastError != "" {
		t.Errorf("the first: %+v", first)
	}
	if first.Listed == nil || len(first.Levels) == 0 || first.Levels[0].Files == 0 || first.Restorable == nil || first.Forecast == nil ||
		first.Requests.Put == 0 || first.NextDrill.IsZero() || !first.CanRead {
		t.Errorf("the first: %+v", first)
	}
	if second.URL != urls[1] || second.LastError == "" || second.LagCommits == 0 || second.State == "" {
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

// TestStatusOfAReplicaThatIsAway: with nothing to be shipped only the question tells.
func TestStatusOfAReplicaThatIsAway(t *testing.T) {
	data, place := filepath.Join(t.TempDir(), "data"), filepath.Join(t.TempDir(), "replica")
	stock(t, data, nil)
	bucket := testenv.NewFaultyS3(t, testenv.S3(t))
	server := open(t, data, "--replica", bucket.URL("souk"), "--replica", "file://"+place)
	waitFor(t, "the replicas", func() bool {
		all := statuses(t, "--data", data)
		return all[0].LagCommits == 0 && all[1].LagCommits == 0 && all[0].Listed != nil && all[1].Listed != nil
	})
	for _, s := range statuses(t, "--data", data) {
		if s.State != market.ReplicaHealthy || s.Away != "" || s.LastContact == nil {
			t.Errorf("while it answers: %+v", s)
		}
	}
	bucket.Choose(func(*http.Request) testenv.Fault { return testenv.Expired })
	if err := os.Rename(place, place+" unmounted"); err != nil {
		t.Fatal(err)
	}
	for _, s := range statuses(t, "--data", data) {
		if s.State != market.ReplicaBroken || s.Away == "" || s.LagCommits != 0 || s.LastContact == nil {
			t.Errorf("while it is away: %+v", s)
		}
	}
	out := strings.Join(strings.Fields(mustSouk(t, "replica", "status", "--data", data)), " ")
	for _, want := range []string{"away: ", "credentials have expired", "a disk isn't mounted", "it has answered"} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is missing in:\n%s", want, out)
		}
	}
	bucket.Choose(nil)
	if err := os.Rename(place+" unmounted", place); err != nil {
		t.Fatal(err)
	}
	for _, s := range statuses(t, "--data", data) {
		if s.State != market.ReplicaHealthy || s.Away != "" {
			t.Errorf("when it is back: %+v", s)
		}
	}
	server.Stop()
}

// TestReplicasOfARunningServer: list and verify find the replicas that only the running
// server was told of.
func TestReplicasOfARunningServer(t *testing.T) {
	data, place := filepath.Join(t.TempDir(), "data"), t.TempDir()
	stock(t, data, nil)
	server := open(t, data, "--replica", "file://"+place)
	waitFor(t, "the replica", func() bool {
		all := statuses(t, "--quick", "--data", data)
		return len(all) == 1 && all[0].Position != nil && all[0].Position.TXID > 0
	})
	if out := mustSouk(t, "replica", "list", "--data", data); !strings.Contains(out, "Generation 1") {
		t.Error(out)
	}
	if out := mustSouk(t, "replica", "verify", "--data", data); !strings.Contains(out, "file://"+place) {
		t.Error(out)
	}
	server.Stop()
}

// TestReplicaStatusOfAClosedDirectory: the replica itself is asked.
func TestReplicaStatusOfAClosedDirectory(t *testing.T) {
	data, url := replicated(t)
	if all := statuses(t, "--data", data, "--replica", url); len(all) != 1 || all[0].State != market.ReplicaHealthy || all[0].Shipping || all[0].Listed == nil {
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
	inv := &replica.Inventory{}
	for g := range uint32(2) {
		gen := replica.GenerationInventory{Manifest: replica.Manifest{Generation: g + 1, Parent: g, ForkTXID: uint64(g) * 12345, Node: market.NewNodeID(at), CreatedAt: at}}
		gen.Levels[0], gen.Levels[3] = files(80_000, 1_000_000, 2000), files(800, 1, 1<<20)
		gen.Snapshots = []replica.SnapshotObject{{Object: replica.Object{Min: 1, Max: 1_234_567, Bytes: 1 << 20, Time: at}}}
		inv.Generations = append(inv.Generations, gen)
	}
	var b strings.Builder
	s := replicaStatus{
		Status: replica.Status{
			URL: "s3://bucket/souk", State: market.ReplicaBroken, LagCommits: 123_456_789, LagSeconds: 86_400 * 3, Encrypted: "0123456789abcdef",
			Position:    &replica.StatusPosition{Generation: 2, TXID: 1_234_567, LSN: 987_654_321, Time: at},
			LastError:   "The replica s3://bucket/souk can't be reached: operation error S3: PutObject, exceeded maximum number of attempts, 8, https response error StatusCode: 503\nSlowDown",
			LastErrorAt: &at, Capabilities: &replica.Capabilities{}, Listed: &at,
			Requests:  replica.Requests{Put: 2_690_000, Get: 1_000_000, List: 100_000, Delete: 10_000, BytesOut: 5 << 40, BytesIn: 1 << 30},
			Levels:    []replica.LevelStatus{{Name: "seconds", Files: 160_000, Bytes: 320 << 20, Oldest: at, Newest: at.Add(time.Hour)}, {Level: 1, Name: "30 seconds"}},
			Snapshots: []replica.SnapshotStatus{{TXID: 1, Time: at, Bytes: 1 << 20}, {TXID: 2, Time: at, Bytes: 1 << 20}},
			Segments:  replica.ObjectsStatus{Count: 5000, Bytes: 20 << 30}, Blobs: replica.ObjectsStatus{Count: 100_000, Bytes: 5 << 40},
			Restorable: &replica.Restorable{From: at, MediumFrom: at.Add(time.Hour), FineFrom: at.Add(2 * time.Hour), To: at.Add(3 * time.Hour)},
			Collected:  &replica.Collection{At: at, Files: 12_345, Refused: 7, Held: "A damaged file doesn't tell what it names.", Error: "no route to host"},
			Forecast:   &replica.Forecast{BytesStored: 6 << 40, RequestsPerMonth: replica.RequestCounts{Put: 2_690_000, Get: 1, List: 2, Delete: 3}, Assumptions: replica.Assumptions{Hours: 24}},
		},
		Away:      "no route to host",
		NextDrill: at, LastDrill: &drillLine{State: market.DrillPassed, Started: at, RPO: 1.5, RTO: 700},
	}
	if err := s.print(&b, at.Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	if err := restorePointsIn("s3://bucket/souk", inv).print(&b); err != nil {
		t.Fatal(err)
	}
	text := b.String()
	flat := strings.Join(strings.Fields(text), " ")
	for line := range strings.Lines(text) {
		if n := len([]rune(strings.TrimRight(line, "\n"))); n > 80 || strings.TrimRight(line, " \n") != strings.TrimRight(line, "\n") {
			t.Errorf("%d columns: %q", n, line)
		}
	}
	for _, want := range []string{"5.0 TB", "away: no route to host", "deleted 12345 files", "refused to delete 7 objects (an object lock", "doesn't tell", "Broken off", "60 min ago", "goes on from generation 1 after its file 12345", "160000", "snapshots 2 2.0 MB", "every second from", "6.0 TB stored", "nobody may take over", "of which this server has the server", "SlowDown"} {
		if !strings.Contains(flat, want) {
			t.Errorf("%q is missing in:\n%s", want, text)
		}
	}
	if t.Failed() {
		t.Log(text)
	}
}

// TestReplicaVerify names the file that was damaged and the one that was taken away.
func TestReplicaVerify(t *testing.T) {
	_, url := replicated(t)
	if out := mustSouk(t, "replica", "verify", "--full", "--from", url); !strings.Contains(out, "Nothing is damaged or missing") {
		t.Error(out)
	}
	var files []string
	filepath.WalkDir(strings.TrimPrefix(url, "file://"), func(path string, e os.DirEntry, err error) error {
		if err == nil && strings.HasSuffix(path, ".ltx") && strings.Contains(path, "gen") {
			files = append(files, path)
		}
		return err
	})
	b, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	b[len(b)/2] ^= 0xff
	if err := os.WriteFile(files[0], b, 0o600); err != nil {
		t.Fatal(err)
	}
	out, errs, status := souk(t, "replica", "verify", "--full", "--from", url)
	if status != 1 || !strings.Contains(out, "damaged: "+files[0]) || !strings.Contains(errs, "1 object is damaged or missing") {
		t.Errorf("status %d\n%s%s", status, out, errs)
	}
	var res verifyResult
	out, _, status = souk(t, "replica", "verify", "--json", "--full", "--from", url)
	if err := json.Unmarshal([]byte(out), &res); err != nil || status != 1 || res.OK || len(res.Findings) != 1 || res.Findings[0].Name != files[0] {
		t.Errorf("status %d, %s (%v)", status, out, err)
	}
}
