package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/souk-market/souk/internal/blob"
	"github.com/souk-market/souk/internal/catalog"
	"github.com/souk-market/souk/internal/control"
	"github.com/souk-market/souk/internal/market"
	"github.com/souk-market/souk/internal/order"
	"github.com/souk-market/souk/store"
)

// stock makes a data directory with the sample listings, and what fn adds.
func stock(t *testing.T, data string, fn func(h *house, tx *store.Tx) error) {
	t.Helper()
	h, err := openHouse(Config{Data: data, Currency: "USD", LogLevel: slog.LevelError})
	if err != nil {
		t.Fatal(err)
	}
	_, err = h.catalog.Import(t.Context(), bytes.NewReader(sampleListings), catalog.ImportOptions{Price: catalog.DefaultPriceRule})
	if err == nil && fn != nil {
		_, err = h.db.Update(t.Context(), market.MainTenant, store.Op{}, func(tx *store.Tx) error { return fn(h, tx) })
	}
	if err == nil {
		settle(t, h)
	}
	if err := errors.Join(err, h.close()); err != nil {
		t.Fatal(err)
	}
}

// settle has related agents found, so that a server which opens the directory has nothing
// to write by itself.
func settle(t testing.TB, h *house) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { h.index.Run(ctx) })
	running.Go(func() { h.catalog.KeepRelated(ctx) })
	for range h.db.Feed(ctx, h.db.LastLSN()) {
		break // one commit has them all
	}
	cancel()
	running.Wait()
}

// bury adds a dead job.
func bury(tx *store.Tx, kind string, payload any) error {
	if err := store.Enqueue(tx, kind, payload); err != nil {
		return err
	}
	claimed, err := store.ClaimJobs(tx, []store.Claim{{Kind: kind, Max: 1, Lease: time.Minute}})
	if err != nil {
		return err
	}
	return store.FailJob(tx, &claimed[0], "the \x1b[31mserver\tsaid no\nand more", 1)
}

// open starts a server on a data directory.
func open(t *testing.T, data string, args ...string) *running {
	t.Helper()
	return serve(t, append([]string{"serve", "--data", data, "--addr", "127.0.0.1:0"}, args...)...)
}

// jsonLines reads one JSON object a line.
func jsonLines(t *testing.T, out string) (lines []map[string]any) {
	t.Helper()
	for line := range strings.Lines(out) {
		var v map[string]any
		if err := json.Unmarshal([]byte(line), &v); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		lines = append(lines, v)
	}
	return lines
}

// waitForCommand waits until a server's log says that it has done a command: the client
// knows a moment earlier.
func (r *running) waitForCommand(t *testing.T, command string) {
	t.Helper()
	waitFor(t, "the server to have done souk "+command, func() bool {
		return strings.Contains(r.Log(), `msg="a command is done" command=`+command)
	})
}

// TestCommandsSayTheSameOfAClosedDirectoryAndARunningServer runs each command on both.
func TestCommandsSayTheSameOfAClosedDirectoryAndARunningServer(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	stock(t, data, func(_ *house, tx *store.Tx) error {
		at := tx.Now()
		return errors.Join(bury(tx, "nobodys.kind", map[string]any{"n": 1, "token": "x"}),
			store.Post(tx, &market.Posting{ID: market.NewPostingID(at), Cause: "test:1", At: at, Entries: []market.Entry{
				{Account: market.ProviderAccount("sandbox"), Amount: market.Money{Amount: 900, Currency: "USD"}},
				{Account: market.CommissionAccount, Amount: market.Money{Amount: -900, Currency: "USD"}},
			}}))
	})
	commands := [][]string{
		{"inspect"},
		{"inspect", "agents"},
		{"inspect", "accounts", "--pretty"},
		{"inspect", "agents", "--prefix", "agt_0", "--limit", "3"},
		{"inspect", "--raw", "accounts"},
		{"inspect", "--log", "--limit", "5"},
		{"inspect", "--log", "--after", "2", "--limit", "1"},
		{"ledger", "balances", "--json"},
		{"ledger", "export"},
		{"ledger", "export", "--format", "beancount"},
		{"jobs", "list"},
		{"jobs", "list", "--json"},
		{"jobs", "list", "--state", "queued", "--json"},
	}
	var closed []string
	for _, c := range commands {
		closed = append(closed, mustSouk(t, append(c, "--data", data)...))
	}
	server := open(t, data)
	for i, c := range commands {
		if got := mustSouk(t, append(c, "--data", data)...); got != closed[i] {
			t.Errorf("souk %s says of the running server\n%.500s\nand of the closed directory\n%.500s", strings.Join(c, " "), got, closed[i])
		}
		if c[len(c)-1] != "--pretty" && !strings.Contains(closed[i], "ID") && c[0] != "ledger" {
			jsonLines(t, closed[i])
		}
	}
	if rows, err := csv.NewReader(strings.NewReader(closed[8])).ReadAll(); err != nil || len(rows) != 3 {
		t.Errorf("the ledger as CSV: %q (%v)", closed[8], err)
	}
	if lines := jsonLines(t, closed[3]); len(lines) != 3 || lines[2]["table"] != "agents" {
		t.Errorf("three agents: %v", lines)
	}
	if strings.Contains(closed[10], "\x1b") || strings.Count(closed[10], "\n") != 2 {
		t.Errorf("the list of jobs on a terminal: %q", closed[10])
	}
	server.Stop()
}

// TestOneRecord shows a record by its key.
func TestOneRecord(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	stock(t, data, nil)
	first := jsonLines(t, mustSouk(t, "inspect", "agents", "--limit", "1", "--data", data))[0]
	again := jsonLines(t, mustSouk(t, "inspect", "agents", first["key"].(string), "--data", data))
	if len(again) != 1 || again[0]["record"].(map[string]any)["slug"] != first["record"].(map[string]any)["slug"] {
		t.Errorf("%v, want %v", again, first)
	}
	next := jsonLines(t, mustSouk(t, "inspect", "agents", "--limit", "1", "--after", first["cursor"].(string), "--data", data))
	if len(next) != 1 || next[0]["key"].(string) <= first["key"].(string) {
		t.Errorf("after %v: %v", first["key"], next)
	}
	for _, wrong := range [][]string{{"agents", "agt_none"}, {"nothing"}} {
		if _, errs, status := souk(t, append(append([]string{"inspect"}, wrong...), "--data", data)...); status != 1 || !strings.HasPrefix(errs, "souk: ") {
			t.Errorf("souk inspect %v: status %d, %s", wrong, status, errs)
		}
	}
}

type printedCheck struct {
	OK, Finished bool
	LSN          int
	Chain        string
	Records      map[string]int
	Problems     []string
	Digest       string
	Read         int `json:"keys_read"`
}

func check(t *testing.T, data string, args ...string) (res printedCheck, status int) {
	t.Helper()
	out, errs, status := souk(t, append([]string{"check", "--json", "--data", data}, args...)...)
	if err := json.Unmarshal([]byte(out), &res); err != nil {
		t.Fatalf("%s%s: %v", out, errs, err)
	}
	return res, status
}

func TestCheckOfBoth(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	const content = "a file for sale"
	stock(t, data, func(h *house, tx *store.Tx) error {
		ref, err := h.blobs.Put(t.Context(), strings.NewReader(content), 100)
		if err != nil {
			return err
		}
		return store.Blobs.Put(tx, &market.Blob{SHA256: ref.Sum.String(), Size: ref.Size})
	})
	closed, status := check(t, data, "--full", "--digest")
	if status != 0 || !closed.OK || !closed.Finished || closed.Records["agents"] < 300 || len(closed.Chain) != 32 || len(closed.Digest) != 64 {
		t.Errorf("closed: status %d, %+v", status, closed)
	}
	server := open(t, data)
	live, status := check(t, data, "--full", "--digest")
	if status != 0 || !live.OK || live.LSN < closed.LSN {
		t.Errorf("running: status %d, %+v", status, live)
	}
	server.waitForCommand(t, "check")
	if live.LSN == closed.LSN && live.Digest != closed.Digest {
		t.Errorf("the digests %s and %s at commit %d differ", live.Digest, closed.Digest, live.LSN)
	}
	out := mustSouk(t, "check", "--data", data)
	if !strings.Contains(out, "everything is in order") || !strings.Contains(out, live.Chain) || !strings.Contains(out, " agents\n") {
		t.Error(out)
	}
	// A file that is gone is found in both.
	sum := blob.SumOf([]byte(content)).String()
	if err := os.Remove(filepath.Join(data, "blobs", sum[:2], sum)); err != nil {
		t.Fatal(err)
	}
	for _, where := range []string{"running", "closed"} {
		if where == "closed" {
			server.Stop()
		}
		res, status := check(t, data)
		if status != 1 || res.OK || !res.Finished || len(res.Problems) != 1 || !strings.Contains(res.Problems[0], sum) {
			t.Errorf("%s without a file: status %d, %+v", where, status, res)
		}
	}
}

func TestCompact(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	stock(t, data, nil)
	for _, where := range []string{"closed", "running"} {
		if where == "running" {
			defer open(t, data).Stop()
		}
		if out := mustSouk(t, "compact", "--data", data); !strings.HasPrefix(out, "Compacted the database in ") {
			t.Errorf("%s: %s", where, out)
		}
	}
	if _, errs, status := souk(t, "compact", "--data", data, "--min-free", "1000000TiB"); status == 0 {
		t.Errorf("the server's own settings hold: %s", errs)
	}
}

func TestReindex(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	stock(t, data, nil)
	for _, where := range []string{"closed", "running"} {
		if where == "running" {
			defer open(t, data).Stop()
		}
		if out := mustSouk(t, "reindex", "--data", data); !strings.HasPrefix(out, "Built the search index anew in ") {
			t.Errorf("%s: %s", where, out)
		}
	}
}

func TestDeadJobs(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	stock(t, data, func(_ *house, tx *store.Tx) error {
		for range 3 {
			if err := bury(tx, "nobodys.kind", "x"); err != nil {
				return err
			}
		}
		return bury(tx, order.ReceiptMail, order.ReceiptJob{Checkout: "chk_none"})
	})
	list := func(args ...string) []map[string]any {
		t.Helper()
		return jsonLines(t, mustSouk(t, append([]string{"jobs", "list", "--json", "--data", data}, args...)...))
	}
	dead := list("--state", "dead")
	if len(dead) != 4 || len(list("--kind", "nobodys.kind", "--limit", "2")) != 2 || dead[0]["error"] == "" {
		t.Fatalf("the dead are %v", dead)
	}
	one := dead[0]["id"].(string)
	var shown map[string]any
	if err := json.Unmarshal([]byte(mustSouk(t, "jobs", "show", one, "--data", data)), &shown); err != nil || shown["payload"] != "x" {
		t.Errorf("the job shown is %v (%v)", shown, err)
	}
	if out := mustSouk(t, "jobs", "retry", one, "--data", data); out != "1 dead job is in the queue again.\n" {
		t.Error(out)
	}
	if left := list("--state", "dead"); len(left) != 3 {
		t.Errorf("after a retry the dead are %v", left)
	}
	for _, wrong := range []string{one, "job_none"} {
		if _, errs, status := souk(t, "jobs", "retry", wrong, "--data", data); status != 1 {
			t.Errorf("retry %s: status %d, %s", wrong, status, errs)
		}
	}
	server := open(t, data)
	if figures := string(visit(t, server.URL).open("/metrics").body); !strings.Contains(figures, `souk_jobs{state="dead"} 3`) {
		t.Error("/metrics doesn't count the dead")
	}
	if out := mustSouk(t, "jobs", "retry", "--all-dead", "--kind", "nobodys.kind", "--data", data); out != "2 dead jobs are in the queue again.\n" {
		t.Error(out)
	}
	mustSouk(t, "jobs", "retry", "--all-dead", "--data", data)
	waitFor(t, "the retried job's next failure", func() bool {
		jobs := list("--kind", order.ReceiptMail)
		return len(jobs) == 1 && jobs[0]["state"] == "queued" && jobs[0]["attempts"] == 1.0
	})
	if !strings.Contains(server.Log(), "nobodys.kind") {
		t.Errorf("the log doesn't say that nobody does these jobs\n%s", server.Log())
	}
	if figures := string(visit(t, server.URL).open("/metrics").body); !strings.Contains(figures, `souk_jobs_unhandled_kinds 1`) {
		t.Error("/metrics doesn't say that nobody does these jobs")
	}
	server.Stop()
}

// emptyFile adds a file for sale of 256 GiB of zeros, which takes minutes to check.
func emptyFile(t *testing.T, data string) func(*house, *store.Tx) error {
	return func(_ *house, tx *store.Tx) error {
		const size = 256 << 30
		sum := strings.Repeat("ab", 32)
		f, err := os.Create(filepath.Join(data, "blobs", sum[:2], sum))
		if err != nil {
			return err
		}
		defer f.Close()
		if err := f.Truncate(size); err != nil {
			t.Skipf("this file system has no files with holes: %v", err)
		}
		return store.Blobs.Put(tx, &market.Blob{SHA256: sum, Size: size})
	}
}

// brokenOff verifies the output of an interrupted souk check --json: one JSON object, and
// the sentence for how far it came.
func brokenOff(t *testing.T, out, errs string) {
	t.Helper()
	var res printedCheck
	if err := json.Unmarshal([]byte(out), &res); err != nil || res.OK || res.Finished || res.Problems == nil || len(res.Problems) > 0 {
		t.Errorf("%q (%v)", out, err)
	}
	want := "The check was broken off before it had begun."
	if res.LSN > 0 {
		want = fmt.Sprintf("The check was not finished: it was broken off after reading %d keys,", res.Read)
	}
	if !strings.Contains(errs, want) {
		t.Errorf("%q, want %q", errs, want)
	}
}

// TestInterruptedCheck breaks off a check of minutes, of a closed directory and of a
// running server's, at any moment.
func TestInterruptedCheck(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	stock(t, data, emptyFile(t, data))
	interrupt := func(begun func(stderr string) bool) {
		t.Helper()
		c := begin(t, "check", "--full", "--json", "--data", data, "--log-level", "debug")
		waitFor(t, "the check to begin", func() bool { return begun(c.errs.String()) })
		if err := c.cmd.Process.Signal(os.Interrupt); err != nil {
			t.Fatal(err)
		}
		if status := c.wait(); status != 1 {
			t.Errorf("status %d", status)
		}
		brokenOff(t, c.out.String(), c.errs.String())
	}
	interrupt(func(stderr string) bool { return strings.Contains(stderr, "working on it here") })
	server := open(t, data, "--log-level", "debug")
	interrupt(func(string) bool { return strings.Contains(server.Log(), `msg="a command begins" command=check`) })
	waitFor(t, "the server to end the check", func() bool { return strings.Contains(server.Log(), `msg="a command failed" command=check`) })
	if res, status := check(t, data); status != 0 || !res.OK {
		t.Errorf("afterwards: status %d, %+v", status, res)
	}
	// A server that is told to stop doesn't wait for the check either.
	c := begin(t, "check", "--full", "--json", "--data", data)
	waitFor(t, "the check to begin", func() bool { return strings.Count(server.Log(), `msg="a command begins" command=check`) == 3 })
	server.Stop()
	if status := c.wait(); status != 1 {
		t.Errorf("status %d", status)
	}
	brokenOff(t, c.out.String(), c.errs.String())
}

// TestCheckInterruptedBeforeAndAfterItsBeginning ends the context of a check at both moments.
func TestCheckInterruptedBeforeAndAfterItsBeginning(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	stock(t, data, emptyFile(t, data))
	h, err := openClosed(Config{Data: data, LogLevel: slog.LevelError})
	if err != nil {
		t.Fatal(err)
	}
	defer h.close()
	for _, begun := range []bool{false, true} {
		ctx, cancel := context.WithCancel(t.Context())
		if !begun {
			cancel()
		}
		var out bytes.Buffer
		show := func(p control.Progress) {
			if strings.Contains(p.Note, "now one of") { // the file
				cancel()
			}
		}
		err := (&checkTask{Full: true, JSON: true}).run(ctx, h, &control.Console{Out: &out, Show: show})
		if err == nil || strings.Contains(out.String(), `"lsn":0`) == begun {
			t.Errorf("begun %t: %v\n%s", begun, err, out.String())
			continue
		}
		brokenOff(t, out.String(), err.Error())
	}
}

// TestInterruptedBeforeTheServerAnswers: a check that a server was not asked for yet has a
// result, too.
func TestInterruptedBeforeTheServerAnswers(t *testing.T) {
	data := t.TempDir()
	if err := os.Mkdir(filepath.Join(data, "store"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(data, "control"), 0o700); err != nil {
		t.Fatal(err)
	}
	silent, err := net.Listen("unix", filepath.Join(data, "control", "socket"))
	if err != nil {
		t.Skipf("no socket can be here: %v", err)
	}
	defer silent.Close()
	c := begin(t, "check", "--json", "--data", data)
	conn, err := silent.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := c.cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if status := c.wait(); status != 1 {
		t.Errorf("status %d", status)
	}
	brokenOff(t, c.out.String(), c.errs.String())
}

// started is a command under way.
type started struct {
	cmd       *exec.Cmd
	out, errs locked
	done      chan error
}

// locked is a buffer that may be read while it is written.
type locked struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *locked) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(b)
}

func (l *locked) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// begin starts a command, which the end of the test kills.
func begin(t *testing.T, args ...string) *started {
	t.Helper()
	return into(t, nil, args...)
}

// into is begin with standard output going to a file or a pipe, if it isn't nil.
func into(t *testing.T, out *os.File, args ...string) *started {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	c := &started{cmd: exec.CommandContext(ctx, binary(t), args...), done: make(chan error, 1)}
	c.cmd.Stdout, c.cmd.Stderr = &c.out, &c.errs
	if out != nil {
		c.cmd.Stdout = out
	}
	if err := c.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { c.done <- c.cmd.Wait() }()
	t.Cleanup(func() {
		cancel()
		c.wait()
	})
	return c
}

// wait returns the exit status.
func (c *started) wait() int {
	err := <-c.done
	c.done <- err
	return c.cmd.ProcessState.ExitCode()
}

func TestSocketOfAKilledServer(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	stock(t, data, nil)
	for range 2 {
		server := open(t, data)
		if res, status := check(t, data); status != 0 || !res.OK {
			t.Errorf("with a server: status %d, %+v", status, res)
		}
		server.waitForCommand(t, "check")
		server.Kill()
		if res, status := check(t, data); status != 0 || !res.OK {
			t.Errorf("after its death: status %d, %+v", status, res)
		}
	}
}

// TestLongDataDirectory: a socket's path has an end, at about a hundred bytes.
func TestLongDataDirectory(t *testing.T) {
	data := filepath.Join(t.TempDir(), strings.Repeat("a-directory-with-a-long-name/", 5), "data")
	stock(t, data, nil)
	for range 2 {
		server := open(t, data)
		if res, status := check(t, data); status != 0 || !res.OK {
			t.Errorf("with a server: status %d, %+v", status, res)
		}
		server.waitForCommand(t, "check")
		server.Kill()
		if res, status := check(t, data); status != 0 || !res.OK {
			t.Errorf("after its death: status %d, %+v", status, res)
		}
	}
}

func TestDirectoryInUse(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	stock(t, data, nil)
	server := open(t, data)
	if _, errs, status := souk(t, "serve", "--data", data, "--addr", "127.0.0.1:0"); status != 1 || !strings.Contains(errs, "in use") {
		t.Errorf("a second server: status %d, %s", status, errs)
	}
	if _, status := check(t, data); status != 0 {
		t.Errorf("after a second server: status %d\n%s", status, server.Log())
	}
	server.waitForCommand(t, "check")
	server.Stop()

	importer, stop := importing(t, data)
	if _, errs, status := souk(t, "check", "--data", data); status != 1 || !strings.Contains(errs, "takes no commands: an import") || strings.Count(errs, "\n") != 1 {
		t.Errorf("during an import: status %d, %s", status, errs)
	}
	stop()
	if status := importer.wait(); status != 0 {
		t.Errorf("the import: status %d, %s", status, importer.errs.String())
	}
	if _, status := check(t, data); status != 0 {
		t.Errorf("after the import: status %d", status)
	}
}

// importing starts an import that goes on until it is stopped, and returns when it has the
// directory open.
func importing(t *testing.T, data string) (c *started, stop func()) {
	t.Helper()
	fifo, rows := io.Pipe()
	c = &started{cmd: exec.Command(binary(t), "import", "-", "--data", data), done: make(chan error, 1)}
	c.cmd.Stdin, c.cmd.Stdout, c.cmd.Stderr = fifo, &c.out, &c.errs
	if err := c.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { c.done <- c.cmd.Wait() }()
	head, _, _ := bytes.Cut(sampleListings, []byte("\n"))
	// More than the pipes to it hold: what is accepted beyond that, it has read.
	w := bufio.NewWriter(rows)
	fmt.Fprintf(w, "%s\n", head)
	for i := range 4_000 {
		fmt.Fprintf(w, "npm:filler-%d\tfiller-%d\tfills a pipe\t1.0.0\t1\tnpm\tother\t2026-01-01\n", i, i)
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		rows.Close()
		c.wait()
	})
	return c, func() { rows.Close() }
}

func TestNoMarketplaceThere(t *testing.T) {
	for _, command := range []string{"check", "compact", "inspect", "jobs list", "ledger balances"} {
		_, errs, status := souk(t, append(strings.Fields(command), "--data", t.TempDir())...)
		if status != 1 || !strings.Contains(errs, "There is no marketplace in") {
			t.Errorf("souk %s: status %d, %s", command, status, errs)
		}
	}
}

// TestTasksHaveNamesOfTheirOwn: the server finds a task by its name.
func TestTasksHaveNamesOfTheirOwn(t *testing.T) {
	var names []string
	for _, make := range tasks {
		names = append(names, make().name())
	}
	slices.Sort(names)
	if len(slices.Compact(slices.Clone(names))) != len(names) {
		t.Error(names)
	}
	h := &house{log: slog.New(slog.DiscardHandler)}
	if err := h.command(t.Context(), control.Request{Command: "of a newer souk"}, nil); !market.Is(err, market.NotFound) {
		t.Errorf("an unknown command: %v", err)
	}
}
