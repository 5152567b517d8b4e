package edge

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/souk-market/souk/internal/testenv"
)

// patience bounds waits for what another goroutine or server does; reaching it fails the
// test.
const patience = 60 * time.Second

// messages is a log handler that passes on the messages of its records.
type messages chan string

func (m messages) Enabled(context.Context, slog.Level) bool { return true }
func (m messages) WithAttrs([]slog.Attr) slog.Handler       { return m }
func (m messages) WithGroup(string) slog.Handler            { return m }
func (m messages) Handle(_ context.Context, r slog.Record) error {
	select {
	case m <- r.Message:
	default: // nobody waits any more
	}
	return nil
}

func (m messages) await(t *testing.T, message string) {
	t.Helper()
	deadline := time.After(patience)
	var seen []string
	for {
		select {
		case got := <-m:
			if got == message {
				return
			}
			seen = append(seen, got)
		case <-deadline:
			t.Fatalf("the log never said %q, but:\n%s", message, strings.Join(seen, "\n"))
		}
	}
}

// run listens, serves until the test ends or stop is called, and returns what Run did.
func run(t *testing.T, s *Server) (stop func() error) {
	t.Helper()
	if err := s.Listen(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	var err error
	stopped := false
	stop = func() error {
		if !stopped {
			stopped = true
			cancel()
			err = <-done
		}
		return err
	}
	t.Cleanup(func() { stop() })
	return stop
}

func newServer(t *testing.T, c Config, h http.Handler) *Server {
	t.Helper()
	s, err := New(c, h)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// startTLS serves example.test with a certificate from ca, and waits for it.
func startTLS(t *testing.T, ca *testenv.ACMEServer, dir, httpAddr string) (s *Server, stop func() error) {
	t.Helper()
	log := make(messages, 1000)
	s = newServer(t, Config{
		Addr: "127.0.0.1:0", HTTPAddr: httpAddr, Domains: []string{"Example.test"}, Email: "ops@example.test",
		ACMEDirectory: ca.Directory, TrustedRoots: ca.Trust, TLSDir: dir, Logger: slog.New(log),
	}, Protect(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "%s by %s", r.Host, r.Proto)
	}), Options{Hosts: []string{"example.test"}}))
	stop = run(t, s)
	plain := "127.0.0.1:1" // refuses
	if s.HTTPAddr() != nil {
		plain = s.HTTPAddr().String()
	}
	ca.ValidateAt(plain, s.Addr().String())
	log.await(t, "certificate ready")
	return s, stop
}

// client reaches s by whatever name a URL has.
func client(s *Server, roots *x509.CertPool) *http.Client {
	return &http.Client{
		Transport: &http.Transport{
			TLSClientConfig:   &tls.Config{RootCAs: roots},
			ForceAttemptHTTP2: true,
			DisableKeepAlives: true,
			DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
				target := s.Addr()
				if strings.HasSuffix(addr, ":80") {
					target = s.HTTPAddr()
				}
				return new(net.Dialer).DialContext(ctx, network, target.String())
			},
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

func TestCertificate(t *testing.T) {
	ca := testenv.ACME(t)
	dir := t.TempDir()
	s, stop := startTLS(t, ca, dir, "127.0.0.1:0")
	c := client(s, ca.Roots)

	t.Run("serves", func(t *testing.T) {
		res, body := get(t, c, "https://example.test/")
		if want := "example.test by HTTP/2.0"; body != want {
			t.Errorf("body %q, want %q", body, want)
		}
		if got := res.TLS.PeerCertificates[0].DNSNames; len(got) != 1 || got[0] != "example.test" {
			t.Errorf("certificate for %q", got)
		}
		if got, want := res.Header.Get("Strict-Transport-Security"), "max-age=31536000"; got != want {
			t.Errorf("HSTS %q, want %q", got, want)
		}
		if got, want := s.URL(), fmt.Sprintf("https://example.test:%d", port(s.public)); got != want {
			t.Errorf("URL %q, want %q", got, want)
		}
	})
	t.Run("redirects plain HTTP", func(t *testing.T) {
		res, _ := get(t, c, "http://example.test/agents/a?x=1")
		if got, want := res.Header.Get("Location"), s.URL()+"/agents/a?x=1"; res.StatusCode != 308 || got != want {
			t.Errorf("%d to %q, want 308 to %q", res.StatusCode, got, want)
		}
		res, _ = get(t, c, "http://evil.test/")
		if res.StatusCode != 421 || res.Header.Get("Location") != "" {
			t.Errorf("foreign host: %d to %q, want 421", res.StatusCode, res.Header.Get("Location"))
		}
	})
	t.Run("refuses unknown names", func(t *testing.T) {
		orders := ca.Orders()
		for _, name := range []string{"evil.test", "www.example.test", ""} {
			conn, err := tls.Dial("tcp", s.Addr().String(), &tls.Config{ServerName: name, InsecureSkipVerify: true})
			if err == nil {
				conn.Close()
				t.Errorf("handshake for %q succeeded", name)
			}
		}
		if got := ca.Orders(); got != orders {
			t.Errorf("%d certificate orders for unknown names", got-orders)
		}
	})
	t.Run("refuses another host on its connection", func(t *testing.T) {
		req, _ := http.NewRequest("GET", "https://example.test/", nil)
		req.Host = "evil.test"
		res, _ := do(t, c, req)
		if res.StatusCode != 421 {
			t.Errorf("status %d, want 421", res.StatusCode)
		}
	})
	t.Run("refuses TLS 1.1", func(t *testing.T) {
		_, err := tls.Dial("tcp", s.Addr().String(), &tls.Config{ServerName: "example.test", RootCAs: ca.Roots, MaxVersion: tls.VersionTLS11})
		if err == nil {
			t.Error("handshake succeeded")
		}
	})
	t.Run("keeps the certificate", func(t *testing.T) {
		if err := stop(); err != nil {
			t.Fatal(err)
		}
		orders := ca.Orders()
		s, _ := startTLS(t, ca, dir, "127.0.0.1:0")
		get(t, client(s, ca.Roots), "https://example.test/")
		if got := ca.Orders(); got != orders {
			t.Errorf("%d new orders after a restart, want none", got-orders)
		}
	})
}

// Without a plain listener there is only TLS-ALPN-01, answered on the public one.
func TestCertificateByTLSOnly(t *testing.T) {
	ca := testenv.ACME(t)
	s, _ := startTLS(t, ca, t.TempDir(), "")
	get(t, client(s, ca.Roots), "https://example.test/")
}

func TestDrain(t *testing.T) {
	started, finish := make(chan bool), make(chan bool)
	s := newServer(t, Config{Addr: "127.0.0.1:0"}, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		close(started)
		<-finish
		fmt.Fprint(w, "done")
	}))
	stop := run(t, s)
	addr := s.Addr().String()

	answer := make(chan string)
	go func() {
		res, err := http.Get("http://" + addr)
		if err != nil {
			answer <- err.Error()
			return
		}
		defer res.Body.Close()
		b, _ := io.ReadAll(res.Body)
		answer <- string(b)
	}()
	<-started
	stopped := make(chan error)
	go func() { stopped <- stop() }()
	for { // until it no longer accepts
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			break
		}
		conn.Close()
	}
	close(finish)
	if got := <-answer; got != "done" {
		t.Errorf("the running request got %q", got)
	}
	if err := <-stopped; err != nil {
		t.Errorf("Run: %v", err)
	}
}

func TestDrainEnds(t *testing.T) {
	started, ended := make(chan bool), make(chan bool)
	s := newServer(t, Config{Addr: "127.0.0.1:0"}, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		close(started)
		<-r.Context().Done()
		close(ended)
	}))
	s.drain = time.Millisecond
	stop := run(t, s)
	go http.Get("http://" + s.Addr().String())
	<-started
	if err := stop(); err == nil || !strings.Contains(err.Error(), "cut off") {
		t.Errorf("Run: %v, want that a request was cut off", err)
	}
	<-ended // its context did
}

func TestListen(t *testing.T) {
	s := newServer(t, Config{Addr: "127.0.0.1:0"}, http.NotFoundHandler())
	if err := s.Listen(); err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if got, want := s.URL(), "http://"+s.Addr().String(); got != want {
		t.Errorf("URL %q, want %q", got, want)
	}
	if s.HTTPAddr() != nil {
		t.Errorf("HTTPAddr %v without TLS", s.HTTPAddr())
	}
	second := newServer(t, Config{Addr: s.Addr().String()}, http.NotFoundHandler())
	if err := second.Listen(); err == nil || !strings.Contains(err.Error(), s.Addr().String()) {
		t.Errorf("listening twice: %v", err)
	}
	if err := second.Run(t.Context()); err == nil {
		t.Error("Run on a taken address succeeded")
	}
}

func TestDomains(t *testing.T) {
	for _, name := range []string{"*.example.test", "127.0.0.1", "::1", "https://example.test", "example.test:443", "", "a..b", "-a.test"} {
		if _, err := New(Config{Domains: []string{name}, TLSDir: t.TempDir()}, http.NotFoundHandler()); err == nil {
			t.Errorf("%q was taken for a domain", name)
		}
	}
	if _, err := New(Config{Domains: []string{"example.test"}}, http.NotFoundHandler()); err == nil {
		t.Error("TLS without a directory")
	}
}

func get(t *testing.T, c *http.Client, url string) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequest("GET", url, nil)
	if err != nil {
		t.Fatal(err)
	}
	return do(t, c, req)
}

// do returns the answer and what could be read of its body.
func do(t *testing.T, c *http.Client, req *http.Request) (*http.Response, string) {
	t.Helper()
	res, err := c.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Fatal(err)
	}
	return res, string(b)
}
