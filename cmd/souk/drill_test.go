package main

import (
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/souk-market/souk/internal/market"
	"github.com/souk-market/souk/internal/testenv"
)

// drillLines reads what souk drill --json printed.
func drillLines(t *testing.T, out string) (all []drillLine) {
	t.Helper()
	for line := range strings.Lines(out) {
		var d drillLine
		if err := json.Unmarshal([]byte(line), &d); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		all = append(all, d)
	}
	return all
}

// TestDrillCommand drills a running server's replica, the same one of the closed
// directory, and from a machine that has only the replica.
func TestDrillCommand(t *testing.T) {
	data, place := filepath.Join(t.TempDir(), "data"), t.TempDir()
	url := "file://" + place
	stock(t, data, nil)
	server := open(t, data, "--replica", url)
	if out := mustSouk(t, "drill", "--history", "--data", data); !strings.Contains(out, "no drill") {
		t.Errorf("before the first drill: %s", out)
	}
	running := drillLines(t, mustSouk(t, "drill", "--json", "--data", data))
	if len(running) != 1 || running[0].State != market.DrillPassed || running[0].Compared != market.DrillWhole || running[0].Replica != url {
		t.Errorf("of the running server: %+v", running)
	}
	if again := drillLines(t, mustSouk(t, "drill", "--json", "--from", url, "--data", data)); again[0].Compared != market.DrillWhole {
		t.Errorf("of its replica by name: %+v", again)
	}
	out := mustSouk(t, "drill", "--data", data)
	for _, want := range []string{"passed", "RPO", "RTO", "everything is in order", "every key and value"} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is missing in:\n%s", want, out)
		}
	}
	wantLines(t, out)
	if v := visit(t, server.URL); metric(t, v, "souk_drill_passed") != 1 || metric(t, v, "souk_drill_last_success_timestamp_seconds") == 0 {
		t.Errorf("the figures of the drill are wrong:\n%s", v.open("/metrics").body)
	}
	server.Stop()

	closed := drillLines(t, mustSouk(t, "drill", "--json", "--replica", url, "--data", data))
	if len(closed) != 1 || closed[0].State != market.DrillPassed || closed[0].Compared != market.DrillPart {
		t.Errorf("of the closed directory: %+v", closed) // the drill's own record isn't in the replica
	}
	history := mustSouk(t, "drill", "--history", "--data", data)
	if strings.Count(history, "passed") != 4 {
		t.Errorf("the history:\n%s", history)
	}
	elsewhere := filepath.Join(t.TempDir(), "none")
	if lines := drillLines(t, mustSouk(t, "drill", "--json", "--from", url, "--data", elsewhere)); len(lines) != 1 || lines[0].State != market.DrillPassed {
		t.Errorf("elsewhere: %+v", lines)
	}
	for _, left := range []string{elsewhere, filepath.Join(data, "drill")} {
		if _, err := os.Stat(left); !os.IsNotExist(err) {
			t.Errorf("the drill has left %s (%v)", left, err)
		}
	}
}

// TestDrillCommandFails: exit status 1, the reason, and an alert in the queue.
func TestDrillCommandFails(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	stock(t, data, nil)
	out, errs, status := souk(t, "drill", "--from", "file://"+t.TempDir(), "--data", data)
	if status != 1 || !strings.Contains(out, "failed") || !strings.Contains(out, "no replica") || !strings.Contains(errs, "souk replica verify") {
		t.Errorf("status %d\n%s%s", status, out, errs)
	}
	if jobs := mustSouk(t, "jobs", "list", "--kind", market.AlertJob, "--json", "--data", data); strings.Count(jobs, "\n") != 1 {
		t.Errorf("alerts: %s", jobs)
	}
	if _, errs, status := souk(t, "drill", "--data", data); status != 1 || !strings.Contains(errs, "--from") {
		t.Errorf("without a replica: status %d, %s", status, errs)
	}
	if _, _, status := souk(t, "drill", "--history", "--from", "file:///x", "--data", data); status != 2 {
		t.Errorf("--history with --from: status %d", status)
	}
}

// wantLines wants lines that fit a terminal of 80 columns, but for those with an address.
func wantLines(t *testing.T, out string) {
	t.Helper()
	for line := range strings.Lines(out) {
		if n := len([]rune(strings.TrimRight(line, "\n"))); n > 80 && !strings.Contains(line, "://") {
			t.Errorf("%d columns: %s", n, line)
		}
	}
}

// TestKilledDrill kills a server while it drills, which waits for its replica: the next
// start removes what the drill has left, and its record says what happened.
func TestKilledDrill(t *testing.T) {
	line := testenv.NewFaultyS3(t, testenv.S3(t))
	data, url := filepath.Join(t.TempDir(), "data"), line.URL("killed")
	stock(t, data, nil)
	server := open(t, data, "--replica", url)
	server.waitForReplica(t)
	line.Choose(func(r *http.Request) testenv.Fault {
		if r.Method == http.MethodGet && strings.HasSuffix(line.ObjectOf(r), ".ltx") {
			return testenv.Drop
		}
		return testenv.NoFault
	})
	asked := exec.Command(binary(t), "drill", "--data", data)
	if err := asked.Start(); err != nil {
		t.Fatal(err)
	}
	left := filepath.Join(data, "drill")
	waitFor(t, "the drill's folder", func() bool {
		_, err := os.Stat(left)
		return err == nil
	})
	server.Kill()
	if err := asked.Wait(); err == nil {
		t.Error("the drill was over before the kill")
	}
	line.Choose(nil)
	open(t, data, "--replica", url)
	waitFor(t, "the drill's folder to go", func() bool {
		_, err := os.Stat(left)
		return os.IsNotExist(err)
	})
	waitFor(t, "the record to end", func() bool {
		return strings.Contains(mustSouk(t, "drill", "--history", "--data", data), "It was cut off")
	})
	if again := drillLines(t, mustSouk(t, "drill", "--json", "--data", data)); again[0].State != market.DrillPassed {
		t.Errorf("the next drill: %+v", again)
	}
}
