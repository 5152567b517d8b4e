package testenv

import (
	"bufio"
	"io"
	"os/exec"
	"strings"
	"testing"
)

// stripeMockVersion holds API version 2023-10-16, which stripe-go v76 speaks.
const stripeMockVersion = "v0.183.0"

// StripeMock starts Stripe's own stripe-mock and returns its base URL
// ("http://127.0.0.1:40123"). It checks requests against Stripe's API specification and
// answers with fixtures; it keeps no state, so it proves shapes and nothing more.
func StripeMock(t testing.TB) string {
	t.Helper()
	path := Binary(t, "stripe-mock", "run: go install github.com/stripe/stripe-mock@"+stripeMockVersion)
	// Without -https-addr it takes port 12112 on every interface too.
	cmd := exec.Command(path, "-http-addr", "127.0.0.1:0", "-https-addr", "127.0.0.1:0", "-strict-version-check")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = cmd.Stdout
	if err := cmd.Start(); err != nil {
		t.Fatalf("testenv: starting %s: %v", path, err)
	}
	read := make(chan struct{})
	addr := make(chan string, 1)
	go func() {
		defer close(read)
		defer close(addr)
		watchStripeMock(out, addr)
	}()
	t.Cleanup(func() {
		cmd.Process.Kill()
		<-read
		cmd.Wait() // the error says that it was killed
	})
	a, ok := <-addr
	if !ok {
		t.Fatalf("testenv: %s ended before it listened", path)
	}
	return "http://" + a
}

// watchStripeMock sends the address once it is printed, and reads on so that the
// server never blocks on a full pipe.
func watchStripeMock(out io.Reader, addr chan<- string) {
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if _, a, ok := strings.Cut(lines.Text(), "Listening for HTTP at address: "); ok {
			select {
			case addr <- a:
			default:
			}
		}
	}
}
