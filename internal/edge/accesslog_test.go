package edge

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"testing"
)

// journal is a log that tests read.
type journal struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (j *journal) Write(b []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.b.Write(b)
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.b.String()
}

func (j *journal) logger() *slog.Logger {
	return slog.New(slog.NewJSONHandler(j, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

func TestLogHasNoSecrets(t *testing.T) {
	const token = "canary0canary1canary2canary3cana" // as long as market.NewSecret's
	var log journal
	mux := http.NewServeMux()
	mux.HandleFunc("/{rest...}", func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/panic") {
			panic("boom")
		}
	})
	s := serve(t, mux, Options{Logger: log.logger()})
	paths := []string{
		"/o/" + token, "/o/" + token + "/download/ent_01", "/o/" + token + "/panic", "/o/short-canary", "/%6f/short-canary",
		"/o//" + token, "//o/short-canary", "/x/../o/short-canary", "/./o/short-canary/panic", "/o/" + token + "x" + token,
		"/sandbox/pay/short-canary/confirm", "/reset/" + token, "/agents/a?q=canary", "/o/x?t=" + token + "#canary",
	}
	for _, p := range paths {
		conn, err := net.Dial("tcp", s.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: x\r\nCookie: c=canary\r\nReferer: http://x/o/canary\r\nConnection: close\r\n\r\n", p)
		io.ReadAll(conn)
		conn.Close()
	}
	s.Close()
	got := log.String()
	if strings.Contains(got, "canary") {
		t.Errorf("a secret is in the log:\n%s", got)
	}
	for _, want := range []string{`"path":"/o/***"`, `"path":"/o/***/download/ent_01"`, `"path":"/sandbox/pay/***/confirm"`, `"path":"/reset/***"`, `"path":"/agents/a"`} {
		if !strings.Contains(got, want) {
			t.Errorf("%s is not in the log", want)
		}
	}
	if n := strings.Count(got, `"msg":"request"`); n != len(paths) {
		t.Errorf("%d requests logged, want %d", n, len(paths))
	}
}

func TestRecord(t *testing.T) {
	records := make(chan Record, 1)
	mux := http.NewServeMux()
	mux.HandleFunc("GET /agents/{slug}", func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "hi") })
	s := serve(t, mux, Options{Observe: func(r Record) { records <- r }})
	res, _ := send(t, s, "GET", "/agents/a?b=c", nil)
	got := <-records
	if got.Duration <= 0 {
		t.Errorf("duration %v", got.Duration)
	}
	got.Duration = 0
	want := Record{ID: res.Header.Get("X-Request-Id"), Method: "GET", Path: "/agents/a", Pattern: "GET /agents/{slug}", Status: 200, Bytes: 2, Remote: "127.0.0.1"}
	if got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	send(t, s, "BREW", "/"+strings.Repeat("a-", 1000), nil)
	if got := <-records; got.Method != "other" || got.Status != 404 || len(got.Path) > 300 || got.Pattern != "" {
		t.Errorf("%+v", got)
	}
}

func TestTrustedProxies(t *testing.T) {
	remote := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, r.RemoteAddr) })
	trusted := []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("10.0.0.0/8")}
	for _, c := range []struct {
		name      string
		proxies   []netip.Prefix
		forwarded string
		want      string // prefix
	}{
		{"untrusted peer", nil, "192.0.2.1", "127.0.0.1:"},
		{"other network", trusted[1:], "192.0.2.1", "127.0.0.1:"},
		{"one proxy", trusted, "192.0.2.1", "192.0.2.1:0"},
		{"forged left part", trusted, "198.51.100.9, 192.0.2.1", "192.0.2.1:0"},
		{"two proxies", trusted, "198.51.100.9, 192.0.2.1, 10.1.2.3", "192.0.2.1:0"},
		{"nonsense", trusted, "unknown", "127.0.0.1:"},
		{"IPv6", trusted, "2001:db8::1", "[2001:db8::1]:0"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := serve(t, remote, Options{TrustedProxies: c.proxies})
			if _, got := send(t, s, "GET", "/", nil, "X-Forwarded-For: "+c.forwarded, "X-Real-IP: 203.0.113.1"); !strings.HasPrefix(got, c.want) {
				t.Errorf("%s, want %s", got, c.want)
			}
		})
	}
}
