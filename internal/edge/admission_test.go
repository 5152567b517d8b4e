package edge

import (
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestOverload(t *testing.T) {
	entered, leave := make(chan bool, 100), make(chan bool)
	var log journal
	s := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Has("wait") {
			entered <- true
			<-leave
		}
	}), Options{InFlight: 4, Logger: log.logger()})

	var waiting sync.WaitGroup
	hold := func(path string) {
		waiting.Go(func() {
			res, err := plain.Get(s.URL + path + "?wait")
			if err != nil {
				t.Error(err)
				return
			}
			res.Body.Close()
			if res.StatusCode != 200 {
				t.Errorf("%s: %d", path, res.StatusCode)
			}
		})
		<-entered
	}
	expect := func(path string, want int) {
		t.Helper()
		res, body := send(t, s, "POST", path, nil)
		if res.StatusCode != want {
			t.Errorf("%s: %d %s, want %d", path, res.StatusCode, body, want)
		}
		if want == 503 && res.Header.Get("Retry-After") == "" {
			t.Errorf("%s: no Retry-After", path)
		}
	}
	for range 4 {
		hold("/agents/a")
	}
	expect("/agents/a", 503)
	expect("/webhooks/stripe", 200)
	expect("/checkout", 200)
	expect("/o/token", 200)
	hold("/webhooks/stripe")
	hold("/checkout")
	expect("/webhooks/stripe", 503)
	expect("/agents/a", 503)
	close(leave)
	waiting.Wait()
	expect("/agents/a", 200)
	s.Close()
	if got := strings.Count(log.String(), "overloaded"); got < 1 || got > 3 {
		t.Errorf("%d lines about overload, want one a second at most", got)
	}
}

// Clients that stop sending or reading take no places from others, until there are very
// many of them.
func TestSlowClients(t *testing.T) {
	big := make([]byte, 16<<20) // more than the kernel buffers
	s := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		if r.URL.Path == "/big" {
			w.Header().Set("Content-Type", "application/zip")
			w.Write(big)
		}
	}), Options{InFlight: 2})
	stall := func(request string) {
		conn, err := net.Dial("tcp", s.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		io.WriteString(conn, request)
	}
	// The stalled request has its place until it begins to wait.
	await := func(path string, want int) {
		t.Helper()
		for start := time.Now(); ; {
			res, _ := send(t, s, "GET", path, nil)
			if res.StatusCode == want {
				return
			}
			if time.Since(start) > patience {
				t.Fatalf("still %d, want %d", res.StatusCode, want)
			}
		}
	}
	for range openFactor {
		stall("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nnine")
		await("/", 200)
	}
	for range openFactor - 1 {
		stall("GET /big HTTP/1.1\r\nHost: x\r\n\r\n")
		await("/", 200)
	}
	stall("GET /big HTTP/1.1\r\nHost: x\r\n\r\n")
	await("/", 503)
	await("/webhooks/stripe", 200)
}
