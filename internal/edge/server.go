package edge

import (
	"bytes"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/souk-market/souk/internal/market"
)

// Config says where a Server listens and how it gets certificates.
type Config struct {
	// Addr is the host:port of the marketplace; port 0 takes a free one.
	Addr string

	// Domains are the names to serve by TLS, without wildcards or addresses. None means
	// plain HTTP.
	Domains []string

	// HTTPAddr is the host:port, usually ":80", that leads plain HTTP to TLS and
	// answers HTTP-01 challenges. Without it certificates are obtained by TLS-ALPN-01
	// alone. It is used with Domains only.
	HTTPAddr string

	// PublicPort is the port that browsers use for TLS where it isn't Addr's, as behind
	// a container's port mapping. 0 means Addr's.
	PublicPort int

	// Email is given to the certificate authority, for its warnings; may be empty.
	Email string

	// ACMEDirectory is the certificate authority's directory URL, Let's Encrypt's when
	// empty. Using it agrees to the authority's terms.
	ACMEDirectory string

	// TrustedRoots are trusted in talking to the authority, the system's when nil.
	TrustedRoots *x509.CertPool

	// TLSDir keeps certificates, their private keys and the ACME account's key. Losing
	// it costs new orders, which authorities limit.
	TLSDir string

	// Logger gets what is logged about connections and certificates; nil discards it.
	Logger *slog.Logger
}

// Server serves one handler on the sockets of its Config.
type Server struct {
	config  Config
	handler http.Handler
	log     *slog.Logger
	drain   time.Duration // DrainTime, except in tests
	public  net.Listener  // serves handler
	plain   net.Listener  // redirects and answers challenges; nil without TLS or HTTPAddr
}

// New checks c and returns a Server for h, usually one from Protect. It starts nothing.
func New(c Config, h http.Handler) (*Server, error) {
	c.Domains = append([]string(nil), c.Domains...)
	for i, name := range c.Domains {
		name = strings.ToLower(strings.TrimSuffix(strings.TrimSpace(name), "."))
		if !validDomain(name) {
			return nil, market.FieldErrorf("domain",
				"%q can't have a certificate: give a host name such as market.example.com, without scheme, port, wildcard or address", c.Domains[i])
		}
		c.Domains[i] = name
	}
	if len(c.Domains) > 0 && c.TLSDir == "" {
		return nil, errors.New("edge: TLS needs a directory for certificates")
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return &Server{config: c, handler: h, log: c.Logger, drain: DrainTime}, nil
}

// validDomain reports whether name is a host name of letters, digits and hyphens (RFC
// 1123), and not an address, whose last label would be a number.
func validDomain(name string) bool {
	labels := strings.Split(name, ".")
	for _, label := range labels {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
		for i := range len(label) {
			if !alphanumeric(label[i]) && label[i] != '-' {
				return false
			}
		}
	}
	_, err := strconv.Atoi(labels[len(labels)-1])
	return err != nil && len(name) <= 253
}

// Listen binds the addresses, so that they are known and taken before Run serves them.
func (s *Server) Listen() error {
	if s.public != nil {
		return nil
	}
	public, err := net.Listen("tcp", s.config.Addr)
	if err != nil {
		return listenError(s.config.Addr, err)
	}
	if s.tls() && s.config.HTTPAddr != "" {
		plain, err := net.Listen("tcp", s.config.HTTPAddr)
		if err != nil {
			public.Close()
			return listenError(s.config.HTTPAddr, err)
		}
		s.plain = plain
	}
	s.public = public
	return nil
}

func listenError(addr string, err error) error {
	return market.Errorf(market.Unavailable,
		"Souk can't listen on %s. Another program may have the port, or ports below 1024 may need a privilege.", addr).Because(err)
}

func (s *Server) tls() bool { return len(s.config.Domains) > 0 }

// Addr is the marketplace's address, nil before Listen.
func (s *Server) Addr() net.Addr { return address(s.public) }

// HTTPAddr is the address of the plain HTTP listener beside TLS, nil when there is none.
func (s *Server) HTTPAddr() net.Addr { return address(s.plain) }

func address(l net.Listener) net.Addr {
	if l == nil {
		return nil
	}
	return l.Addr()
}

// URL is where a browser finds the marketplace, without a final slash, once Listen has
// returned. A server that listens on all addresses is shown as localhost.
func (s *Server) URL() string {
	if s.tls() {
		return "https://" + s.config.Domains[0] + portSuffix(s.publicPort(), 443)
	}
	addr, _ := s.public.Addr().(*net.TCPAddr)
	host := addr.IP.String()
	if addr.IP.IsUnspecified() {
		host = "localhost"
	} else if addr.IP.To4() == nil {
		host = "[" + host + "]"
	}
	return "http://" + host + portSuffix(addr.Port, 80)
}

func (s *Server) publicPort() int {
	if s.config.PublicPort != 0 {
		return s.config.PublicPort
	}
	return port(s.public)
}

func port(l net.Listener) int {
	if addr, ok := address(l).(*net.TCPAddr); ok {
		return addr.Port
	}
	return 0
}

func portSuffix(port, standard int) string {
	if port == standard {
		return ""
	}
	return ":" + strconv.Itoa(port)
}

// Close releases the addresses of a server that has listened but will not Run.
func (s *Server) Close() error {
	var errs []error
	for _, l := range []net.Listener{s.public, s.plain} {
		if l != nil {
			errs = append(errs, l.Close())
		}
	}
	return errors.Join(errs...)
}

// Run serves until ctx ends, binding the addresses first if Listen has not. Then it
// stops accepting, gives running requests DrainTime, ends the contexts of those that are
// left and closes their connections. It returns nil when none was left.
//
// Certificates are obtained while it serves: until there is one, TLS handshakes fail,
// and a failing order is retried with growing pauses.
func (s *Server) Run(ctx context.Context) error {
	if err := s.Listen(); err != nil {
		return err
	}
	defer s.Close()
	// Requests outlive ctx by the drain.
	requests, cut := context.WithCancel(context.WithoutCancel(ctx))
	defer cut()

	public := s.server(requests, s.handler)
	servers := []*http.Server{public}
	serve := []func() error{func() error { return public.Serve(s.public) }}
	if s.tls() {
		certs := s.manageCertificates(ctx)
		defer certs.stop()
		public.TLSConfig = certs.tlsConfig()
		serve[0] = func() error { return public.ServeTLS(s.public, "", "") }
		if s.plain != nil {
			plain := s.server(requests, certs.challenges(http.HandlerFunc(s.redirect)))
			servers = append(servers, plain)
			serve = append(serve, func() error { return plain.Serve(s.plain) })
		}
	}

	var running sync.WaitGroup
	failed := make(chan error, len(serve))
	for _, f := range serve {
		running.Go(func() {
			if err := f(); !errors.Is(err, http.ErrServerClosed) {
				failed <- fmt.Errorf("edge: serving: %w", err)
			}
		})
	}
	var err error
	select {
	case <-ctx.Done():
	case err = <-failed:
	}
	err = errors.Join(err, s.shutDown(servers))
	running.Wait()
	return err
}

// shutDown lets the servers finish within the drain time, and closes what is left.
func (s *Server) shutDown(servers []*http.Server) error {
	ctx, cancel := context.WithTimeout(context.Background(), s.drain)
	defer cancel()
	errs := make([]error, len(servers))
	var stopping sync.WaitGroup
	for i, srv := range servers {
		stopping.Go(func() {
			if srv.Shutdown(ctx) != nil {
				srv.Close()
				errs[i] = fmt.Errorf("edge: requests were still running after %v and have been cut off", s.drain)
			}
		})
	}
	stopping.Wait()
	return errors.Join(errs...)
}

func (s *Server) server(requests context.Context, h http.Handler) *http.Server {
	return &http.Server{
		Handler:           h,
		ReadHeaderTimeout: readHeaderTimeout,
		ReadTimeout:       readTimeout,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		HTTP2:             &http.HTTP2Config{MaxConcurrentStreams: maxStreams},
		BaseContext:       func(net.Listener) context.Context { return requests },
		ErrorLog:          log.New(connectionLog{s.log}, "", 0),
	}
}

// redirect leads plain HTTP to TLS, for our own names only: anything else would be a
// redirect to a place that the client chose.
func (s *Server) redirect(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Connection", "close")
	host := hostname(r.Host)
	for _, name := range s.config.Domains {
		if name == host && strings.HasPrefix(r.URL.RequestURI(), "/") {
			target := "https://" + name + portSuffix(s.publicPort(), 443) + r.URL.RequestURI()
			http.Redirect(w, r, target, http.StatusPermanentRedirect)
			return
		}
	}
	http.Error(w, misdirected.message, misdirected.status)
}

// connectionLog takes net/http's log lines. Failed handshakes are what scanners leave
// behind, several a minute on a public address.
type connectionLog struct{ log *slog.Logger }

func (l connectionLog) Write(line []byte) (int, error) {
	level := slog.LevelWarn
	if bytes.HasPrefix(line, []byte("http: TLS handshake error")) || bytes.HasPrefix(line, []byte("http2: ")) {
		level = slog.LevelDebug
	}
	l.log.Log(context.Background(), level, strings.TrimSpace(string(line)))
	return len(line), nil
}
