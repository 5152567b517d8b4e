package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/souk-market/souk/internal/testenv"
)

// buildDir holds the binary once a test has asked for it. It is on the disk, for programs
// may not be run from where testenv.InMemory puts the tests' files.
var (
	buildDir string
	onDisk   = os.TempDir()
)

// buildOnce builds the binary for all tests of this process.
var buildOnce = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp(onDisk, "souk-test-")
	if err != nil {
		return "", err
	}
	buildDir = dir
	bin := filepath.Join(dir, "souk")
	build := exec.Command("go", "build", "-o", bin, ".")
	build.Env = append(os.Environ(), "TMPDIR="+onDisk)
	out, err := build.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("building souk: %w\n%s", err, out)
	}
	return bin, nil
})

func TestMain(m *testing.M) {
	status := testenv.InMemory(m)
	if buildDir != "" {
		os.RemoveAll(buildDir)
	}
	os.Exit(status)
}

func binary(t testing.TB) string {
	t.Helper()
	bin, err := buildOnce()
	if err != nil {
		t.Fatal(err)
	}
	return bin
}

// souk runs a command to its end and returns what it printed and its exit status.
func souk(t testing.TB, args ...string) (stdout, stderr string, status int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, binary(t), args...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatalf("souk %s: %v", strings.Join(args, " "), err)
	}
	return out.String(), errs.String(), cmd.ProcessState.ExitCode()
}

// mustSouk runs a command that has to succeed and returns its standard output.
func mustSouk(t testing.TB, args ...string) string {
	t.Helper()
	out, errs, status := souk(t, args...)
	if status != 0 {
		t.Fatalf("souk %s: exit status %d\n%s%s", strings.Join(args, " "), status, out, errs)
	}
	return out
}

// running is a marketplace in a process of its own.
type running struct {
	t    testing.TB
	cmd  *exec.Cmd
	URL  string
	mu   sync.Mutex
	log  bytes.Buffer
	done chan error
}

var openAt = regexp.MustCompile(`msg="the (?:marketplace|standby) is open" address=(\S+)`)

// serve starts "souk serve" (or demo) with arguments and waits until it is open.
func serve(t testing.TB, args ...string) *running {
	t.Helper()
	r := &running{t: t, cmd: exec.Command(binary(t), args...), done: make(chan error, 1)}
	r.cmd.Env = append(os.Environ(), "SOUK_LOG_FORMAT=text")
	stderr, err := r.cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := r.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	open := make(chan string, 1)
	go func() {
		lines := bufio.NewScanner(stderr)
		for lines.Scan() {
			r.mu.Lock()
			fmt.Fprintln(&r.log, lines.Text())
			r.mu.Unlock()
			if m := openAt.FindStringSubmatch(lines.Text()); m != nil {
				open <- m[1]
			}
		}
		io.Copy(io.Discard, stderr)
		r.done <- r.cmd.Wait()
	}()
	t.Cleanup(r.Kill)
	select {
	case r.URL = <-open:
	case err := <-r.done:
		r.done <- err
		t.Fatalf("souk %s ended: %v\n%s", strings.Join(args, " "), err, r.Log())
	case <-time.After(time.Minute):
		t.Fatalf("souk %s isn't open after a minute\n%s", strings.Join(args, " "), r.Log())
	}
	return r
}

// Log is what the process has logged so far.
func (r *running) Log() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.log.String()
}

// Kill ends the process as a power cut would; it may have ended already.
func (r *running) Kill() {
	r.cmd.Process.Kill()
	err := <-r.done
	r.done <- err
}

// Stop asks the process to end, waits, and wants exit status 0.
func (r *running) Stop() {
	r.t.Helper()
	if err := r.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		r.t.Fatal(err)
	}
	select {
	case err := <-r.done:
		r.done <- err
		if err != nil {
			r.t.Errorf("stopping: %v\n%s", err, r.Log())
		}
	case <-time.After(time.Minute):
		r.t.Errorf("not stopped after a minute\n%s", r.Log())
	}
}

// TestEndOfTheTerminal stops a marketplace in order when its terminal is closed.
func TestEndOfTheTerminal(t *testing.T) {
	// A test run under nohup ignores SIGHUP, and its children would too; a signal that is
	// caught here has its default effect in a child.
	caught := make(chan os.Signal, 1)
	signal.Notify(caught, syscall.SIGHUP)
	defer signal.Stop(caught)
	r := serve(t, "serve", "--data", filepath.Join(t.TempDir(), "data"), "--addr", "127.0.0.1:0")
	if err := r.cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	var err error
	select {
	case err = <-r.done:
		r.done <- err
	case <-time.After(time.Minute):
		t.Fatalf("not stopped a minute after SIGHUP\n%s", r.Log())
	}
	if err != nil || !strings.Contains(r.Log(), "msg=stopped") {
		t.Errorf("after SIGHUP: %v\n%s", err, r.Log())
	}
}

// watchedOutput is an output that may be read while it is written.
type watchedOutput struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (o *watchedOutput) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(b)
}

func (o *watchedOutput) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}
