package testenv

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"

	acmeca "github.com/letsencrypt/pebble/v2/ca"
	acmedb "github.com/letsencrypt/pebble/v2/db"
	acmeva "github.com/letsencrypt/pebble/v2/va"
	acmewfe "github.com/letsencrypt/pebble/v2/wfe"
	"github.com/miekg/dns"
)

// ACMEServer is a certificate authority for tests: Let's Encrypt's Pebble (no relation of
// the storage engine) in this process, on loopback. It validates HTTP-01 and TLS-ALPN-01
// really, finding every name at 127.0.0.1, and refuses 5 % of good nonces as Pebble does.
type ACMEServer struct {
	Directory string         // URL to give to an ACME client
	Trust     *x509.CertPool // signs the directory's own HTTPS
	TrustFile string         // the same as a PEM file, for a program under test
	Roots     *x509.CertPool // issued certificates chain to these

	orders    atomic.Int64
	http, tls *forwarder // where HTTP-01 and TLS-ALPN-01 challenges are validated
}

// ACME starts a certificate authority that lives as long as the test. The program under
// test listens on any ports, which the test then names by ValidateAt. The test can't be
// parallel, for Pebble is configured by the environment.
func ACME(t testing.TB) *ACMEServer {
	t.Helper()
	t.Setenv("PEBBLE_VA_NOSLEEP", "1") // or it waits up to 15 s before validating

	s := &ACMEServer{http: newForwarder(t), tls: newForwarder(t)}

	quiet := log.New(io.Discard, "", 0)
	db := acmedb.NewMemoryStore()
	authority := acmeca.New(quiet, db, "", "ecdsa", 0, 1, map[string]acmeca.Profile{
		"default": {Description: "for tests", ValidityPeriod: 90 * 24 * 60 * 60},
	})
	validation := acmeva.New(quiet, s.http.port(), s.tls.port(), false, loopbackDNS(t), db)
	front := acmewfe.New(quiet, db, validation, authority, nil, false, false, 1, 1)
	server := httptest.NewTLSServer(s.countOrders(front.Handler()))
	t.Cleanup(server.Close)

	s.Directory = server.URL + acmewfe.DirectoryPath
	s.Trust, s.Roots = x509.NewCertPool(), x509.NewCertPool()
	s.Trust.AddCert(server.Certificate())
	s.Roots.AddCert(authority.GetRootCert(0).Cert)
	s.TrustFile = filepath.Join(t.TempDir(), "acme-trust.pem")
	block := &pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}
	if err := os.WriteFile(s.TrustFile, pem.EncodeToMemory(block), 0o600); err != nil {
		t.Fatal(err)
	}
	return s
}

// ValidateAt says where the program under test answers challenges, as host:port. Until it
// is called, validations wait.
func (s *ACMEServer) ValidateAt(httpAddr, tlsAddr string) {
	s.http.lead(httpAddr)
	s.tls.lead(tlsAddr)
}

// Orders is the number of certificate orders made so far.
func (s *ACMEServer) Orders() int { return int(s.orders.Load()) }

func (s *ACMEServer) countOrders(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/order-plz" {
			s.orders.Add(1)
		}
		h.ServeHTTP(w, r)
	})
}

// loopbackDNS answers every name with 127.0.0.1, and returns its TCP address.
func loopbackDNS(t testing.TB) string {
	t.Helper()
	l := listenLoopback(t)
	srv := &dns.Server{Listener: l, Handler: dns.HandlerFunc(func(w dns.ResponseWriter, q *dns.Msg) {
		reply := new(dns.Msg).SetReply(q)
		if q.Question[0].Qtype == dns.TypeA {
			reply.Answer = []dns.RR{&dns.A{
				Hdr: dns.RR_Header{Name: q.Question[0].Name, Rrtype: dns.TypeA, Class: dns.ClassINET},
				A:   net.IPv4(127, 0, 0, 1),
			}}
		}
		w.WriteMsg(reply)
	})}
	var running sync.WaitGroup
	running.Go(func() { srv.ActivateAndServe() })
	t.Cleanup(func() {
		l.Close()
		running.Wait()
	})
	return l.Addr().String()
}

// forwarder passes connections on to an address that is named later. So a certificate
// authority that wants its ports in advance can validate a program that takes port 0.
type forwarder struct {
	listener net.Listener
	ctx      context.Context // ends with the test
	led      chan struct{}   // closed when target is known

	mu     sync.Mutex
	target string
}

func newForwarder(t testing.TB) *forwarder {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	f := &forwarder{listener: listenLoopback(t), ctx: ctx, led: make(chan struct{})}
	var running sync.WaitGroup
	running.Go(func() { f.accept(&running) })
	t.Cleanup(func() {
		stop()
		f.listener.Close()
		running.Wait()
	})
	return f
}

func (f *forwarder) port() int { return f.listener.Addr().(*net.TCPAddr).Port }

func (f *forwarder) lead(target string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.target == "" {
		close(f.led)
	}
	f.target = target
}

func (f *forwarder) accept(running *sync.WaitGroup) {
	for {
		conn, err := f.listener.Accept()
		if err != nil {
			return
		}
		running.Go(func() { f.forward(conn) })
	}
}

// forward copies until either side closes.
func (f *forwarder) forward(conn net.Conn) {
	defer conn.Close()
	select {
	case <-f.led:
	case <-f.ctx.Done():
		return
	}
	f.mu.Lock()
	target := f.target
	f.mu.Unlock()
	out, err := net.Dial("tcp", target)
	if err != nil {
		return
	}
	defer out.Close()
	stop := context.AfterFunc(f.ctx, func() { conn.Close(); out.Close() })
	defer stop()
	var back sync.WaitGroup
	back.Go(func() {
		io.Copy(conn, out)
		conn.Close()
	})
	io.Copy(out, conn)
	out.Close()
	back.Wait()
}

func listenLoopback(t testing.TB) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return l
}
