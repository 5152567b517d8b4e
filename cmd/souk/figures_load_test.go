//go:build linux

package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// process is a server in a process of its own whose CPU and memory are read from /proc.
type process struct {
	cmd  *exec.Cmd
	url  string
	log  string // file of its standard error
	done chan struct{}
}

// start starts a server whose log goes into a file, as under a supervisor, and waits until
// it says its address.
func (f *figures) start(cmd *exec.Cmd) *process {
	f.b.Helper()
	f.started++
	log := filepath.Join(filepath.Dir(f.dir), fmt.Sprintf("%s-%d.log", filepath.Base(cmd.Path), f.started))
	p := &process{cmd: cmd, log: log, done: make(chan struct{})}
	out, err := os.Create(p.log)
	f.must(err)
	defer out.Close()
	cmd.Stdout, cmd.Stderr = out, out
	cmd.Env = append(cmd.Environ(), "SOUK_LOG_FORMAT=text")
	f.must(cmd.Start())
	go func() {
		cmd.Wait()
		close(p.done)
	}()
	f.until(cmd.String()+" is open", func() bool {
		text, err := os.ReadFile(p.log)
		f.must(err)
		if m := openAt.FindSubmatch(text); m != nil {
			p.url = string(m[1])
			return true
		}
		select {
		case <-p.done:
			f.b.Fatalf("%s ended:\n%s", cmd, text)
		default:
		}
		return false
	})
	return p
}

// until waits until something is true.
func (f *figures) until(what string, is func() bool) {
	f.b.Helper()
	again := time.NewTicker(5 * time.Millisecond)
	defer again.Stop()
	for deadline := time.Now().Add(time.Minute); !is(); <-again.C {
		if time.Now().After(deadline) {
			f.b.Fatalf("waited a minute until %s", what)
		}
	}
}

// rest waits until a server has done what it does by itself after an import: until it has
// had less than a hundredth of one core for three seconds.
func (f *figures) rest(p *process) {
	f.b.Helper()
	again := time.NewTicker(3 * time.Second)
	defer again.Stop()
	for before := p.cpu(f.b); ; {
		<-again.C
		now := p.cpu(f.b)
		if now-before < 30*time.Millisecond {
			return
		}
		before = now
	}
}

// kill ends the process as a power cut would.
func (p *process) kill() {
	p.cmd.Process.Kill()
	<-p.done
}

// cpu is the time that the process has had of the processors, in steps of 10 ms.
func (p *process) cpu(b *testing.B) time.Duration {
	b.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.cmd.Process.Pid))
	if err != nil {
		b.Fatal(err)
	}
	fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:])) // from the third field of proc(5) on
	var ticks time.Duration
	for _, field := range fields[11:13] { // utime, stime
		n, err := strconv.Atoi(field)
		if err != nil {
			b.Fatal(err)
		}
		ticks += time.Duration(n)
	}
	return ticks * 10 * time.Millisecond
}

// memory is the resident memory in MB: all of it, and that which isn't mapped from files.
func (p *process) memory(b *testing.B) (all, anonymous float64) {
	b.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		b.Fatal(err)
	}
	kB := func(name string) float64 {
		_, rest, _ := strings.Cut(string(text), name+":")
		n, err := strconv.ParseFloat(strings.Fields(rest)[0], 64)
		if err != nil {
			b.Fatal(err)
		}
		return n
	}
	return kB("VmRSS") / 1e3, kB("RssAnon") / 1e3
}

// startBare starts the bare handler with the server's answer for a path, the one that it
// gives from the second request on.
func (f *figures) startBare(path, accept string) *process {
	f.b.Helper()
	req, err := http.NewRequest(http.MethodGet, f.server.url+path, nil)
	f.must(err)
	req.Header.Set("Accept-Encoding", accept)
	first, err := http.DefaultClient.Do(req)
	f.must(err)
	first.Body.Close()
	resp, err := http.DefaultClient.Do(req)
	f.must(err)
	defer resp.Body.Close()
	raw, err := httputil.DumpResponse(resp, true)
	f.must(err)
	name := filepath.Join(f.b.TempDir(), "answer")
	f.must(os.WriteFile(name, raw, 0o600))
	cmd := exec.Command(os.Args[0], "-test.run=^$", "-test.bench=^BenchmarkBareHandler$")
	cmd.Env = append(os.Environ(), "SOUK_BARE_ANSWER="+name)
	return f.start(cmd)
}

func serveBare(b *testing.B, header http.Header, body []byte) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	fmt.Printf("msg=%q address=http://%s\n", "the marketplace is open", l.Addr()) // as souk says it
	b.Fatal(http.Serve(l, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		for k, v := range header {
			h[k] = v
		}
		w.Write(body)
	})))
}

// load is what a server did under load.
type load struct {
	rate float64         // requests a second
	cpu  float64         // microseconds of the server a request
	took []time.Duration // each request
}

// load asks a server for targets over keep-alive connections, each connection beginning
// at another target and asking again as soon as it has the answer. Every answer must be 200.
func (f *figures) load(p *process, connections int, d time.Duration, targets []string, headers ...string) load {
	f.b.Helper()
	requests := make([][]byte, len(targets))
	host := strings.TrimPrefix(p.url, "http://")
	for i, target := range targets {
		requests[i] = fmt.Appendf(nil, "GET %s HTTP/1.1\r\nHost: %s\r\n%s\r\n", target, host, strings.Join(append(headers, ""), "\r\n"))
	}
	took := make([][]time.Duration, connections)
	failed := make([]error, connections)
	var wg sync.WaitGroup
	before, started := p.cpu(f.b), time.Now()
	for i := range connections {
		wg.Go(func() { took[i], failed[i] = ask(host, requests, i*len(requests)/connections, started.Add(d)) })
	}
	wg.Wait()
	spent, cpu := time.Since(started), p.cpu(f.b)-before
	f.must(errors.Join(failed...))
	var l load
	for _, t := range took {
		l.took = append(l.took, t...)
	}
	l.rate = float64(len(l.took)) / spent.Seconds()
	l.cpu = cpu.Seconds() * 1e6 / float64(len(l.took))
	return l
}

// ask sends one request after the other over one connection until the deadline.
func ask(host string, requests [][]byte, first int, until time.Time) (took []time.Duration, err error) {
	c, err := net.Dial("tcp", host)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	r := bufio.NewReaderSize(c, 64<<10)
	for i := first; ; i++ {
		started := time.Now()
		if started.After(until) {
			return took, nil
		}
		if _, err := c.Write(requests[i%len(requests)]); err != nil {
			return took, err
		}
		if err := readAnswer(r); err != nil {
			return took, fmt.Errorf("%s: %w", bytes.SplitN(requests[i%len(requests)], []byte("\r"), 2)[0], err)
		}
		took = append(took, time.Since(started))
	}
}

// readAnswer reads an HTTP/1.1 answer with as little work as possible: it shares the
// processors with the server that is measured.
func readAnswer(r *bufio.Reader) error {
	status, err := r.ReadSlice('\n')
	if err != nil {
		return err
	}
	if !bytes.HasPrefix(status, []byte("HTTP/1.1 200 ")) {
		return fmt.Errorf("answered %s", bytes.TrimSpace(status))
	}
	length, chunked := 0, false
	for {
		line, err := r.ReadSlice('\n')
		if err != nil {
			return err
		}
		if line = bytes.TrimSpace(line); len(line) == 0 {
			break
		}
		if value, ok := bytes.CutPrefix(line, []byte("Content-Length: ")); ok {
			if length, err = strconv.Atoi(string(value)); err != nil {
				return err
			}
		}
		chunked = chunked || bytes.Equal(line, []byte("Transfer-Encoding: chunked"))
	}
	if !chunked {
		_, err := r.Discard(length)
		return err
	}
	_, err = io.Copy(io.Discard, httputil.NewChunkedReader(r))
	if err == nil {
		_, err = r.ReadSlice('\n') // the empty line after the last chunk
	}
	return err
}
