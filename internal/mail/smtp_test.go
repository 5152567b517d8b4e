package mail

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"math/big"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"
	"github.com/souk-market/souk/internal/market"
)

// serverOptions program a mail server on loopback.
type serverOptions struct {
	tls      bool   // offer STARTTLS
	implicit bool   // TLS from the first byte
	password string // required of user "souk" when set
	reply    func(command string) error
}

// server is a real SMTP server that keeps what it accepts.
type server struct {
	opts     serverOptions
	listener net.Listener
	roots    *x509.CertPool

	mu       sync.Mutex
	messages [][]byte
	greeted  []string
	from     []string
	secure   []bool
}

func startServer(t *testing.T, opts serverOptions) *server {
	t.Helper()
	s := &server{opts: opts}
	backend := smtp.NewServer(smtp.BackendFunc(func(c *smtp.Conn) (smtp.Session, error) { return s.session(c) }))
	backend.Domain = "localhost"
	backend.AllowInsecureAuth = true
	backend.EnableSMTPUTF8 = true
	backend.ErrorLog = discard{}
	var err error
	if s.listener, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	listener := s.listener
	if opts.tls || opts.implicit {
		certificate, roots := selfSigned(t)
		s.roots = roots
		config := &tls.Config{Certificates: []tls.Certificate{certificate}}
		if opts.implicit {
			listener = tls.NewListener(listener, config)
		} else {
			backend.TLSConfig = config
		}
	}
	done := make(chan error, 1)
	go func() { done <- backend.Serve(listener) }()
	t.Cleanup(func() {
		backend.Close()
		s.listener.Close() // the server knows it only once it serves
		<-done
	})
	return s
}

type discard struct{}

func (discard) Printf(string, ...any) {}
func (discard) Println(...any)        {}

func selfSigned(t *testing.T) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(parsed)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, roots
}

func (s *server) port() int { return s.listener.Addr().(*net.TCPAddr).Port }

// options reach the server; password "" logs nobody in.
func (s *server) options(password string) SMTPOptions {
	opts := SMTPOptions{Host: "127.0.0.1", Port: s.port(), Clock: clock, ImplicitTLS: s.opts.implicit}
	if s.roots != nil {
		opts.TLSConfig = &tls.Config{RootCAs: s.roots}
	}
	if password != "" {
		opts.Username, opts.Password = "souk", password
	}
	return opts
}

func (s *server) sender(t *testing.T, password string) *SMTP { return newSMTP(t, s.options(password)) }

func newSMTP(t *testing.T, opts SMTPOptions) *SMTP {
	t.Helper()
	sender, err := NewSMTP(opts)
	if err != nil {
		t.Fatal(err)
	}
	return sender
}

func (s *server) received(t *testing.T) []Received {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []Received
	for _, raw := range s.messages {
		r, err := Parse(bytes.NewReader(raw))
		if err != nil {
			t.Fatalf("%v\n%s", err, raw)
		}
		all = append(all, r)
	}
	return all
}

func (s *server) session(c *smtp.Conn) (smtp.Session, error) {
	if err := s.reply("CONNECT"); err != nil {
		return nil, err
	}
	_, encrypted := c.TLSConnectionState()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.greeted = append(s.greeted, c.Hostname())
	s.secure = append(s.secure, encrypted)
	return &session{server: s}, nil
}

func (s *server) reply(command string) error {
	if s.opts.reply == nil {
		return nil
	}
	return s.opts.reply(command)
}

type session struct {
	server   *server
	loggedIn bool
}

func (s *session) AuthMechanisms() []string { return []string{sasl.Plain} }

func (s *session) Auth(string) (sasl.Server, error) {
	return sasl.NewPlainServer(func(_, user, password string) error {
		if user != "souk" || password != s.server.opts.password {
			return smtp.ErrAuthFailed
		}
		s.loggedIn = true
		return nil
	}), nil
}

func (s *session) Mail(from string, _ *smtp.MailOptions) error {
	if s.server.opts.password != "" && !s.loggedIn {
		return smtp.ErrAuthRequired
	}
	s.server.mu.Lock()
	s.server.from = append(s.server.from, from)
	s.server.mu.Unlock()
	return s.server.reply("MAIL")
}

func (s *session) Rcpt(to string, _ *smtp.RcptOptions) error { return s.server.reply("RCPT " + to) }

func (s *session) Data(r io.Reader) error {
	raw, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	if err := s.server.reply("DATA"); err != nil {
		return err
	}
	s.server.mu.Lock()
	defer s.server.mu.Unlock()
	s.server.messages = append(s.server.messages, raw)
	return nil
}

func (s *session) Reset() {}

func (s *session) Logout() error { return nil }

// at answers one command with an SMTP status.
func at(command string, code int) func(string) error {
	return func(got string) error {
		if !strings.HasPrefix(got, command) {
			return nil
		}
		return &smtp.SMTPError{Code: code, EnhancedCode: smtp.EnhancedCode{code / 100, 1, 1}, Message: "as programmed"}
	}
}

func TestRefusalsAreToldApart(t *testing.T) {
	for _, c := range []struct {
		name  string
		reply func(string) error
		want  market.Kind
	}{
		{"greylisted at RCPT", at("RCPT", 451), market.Unavailable},
		{"greylisted at DATA", at("DATA", 451), market.Unavailable},
		{"busy at the start", at("CONNECT", 421), market.Unavailable},
		{"no service at the start", at("CONNECT", 554), market.Unavailable},
		{"mailbox full", at("RCPT", 452), market.Unavailable},
		{"no such user", at("RCPT", 550), market.Invalid},
		{"refused content", at("DATA", 554), market.Invalid},
		{"sender refused", at("MAIL", 550), market.Unavailable},
		{"sender later", at("MAIL", 450), market.Unavailable},
	} {
		server := startServer(t, serverOptions{tls: true, reply: c.reply})
		err := server.sender(t, "").Send(context.Background(), receipt("job_1"))
		if !market.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
		if n := len(server.received(t)); n != 0 {
			t.Errorf("%s: %d messages arrived", c.name, n)
		}
	}
}

func TestOneRefusedRecipientDoesNotStopAnother(t *testing.T) {
	server := startServer(t, serverOptions{tls: true, reply: at("RCPT bounce@", 550)})
	sender := server.sender(t, "")
	m := receipt("job_1")
	m.To.Email = "bounce@buyer.example"
	if err := sender.Send(context.Background(), m); !market.Is(err, market.Invalid) {
		t.Errorf("got %v, want Invalid", err)
	}
	if err := sender.Send(context.Background(), receipt("job_2")); err != nil {
		t.Error(err)
	}
	if got := server.received(t); len(got) != 1 || got[0].MessageID != "job_2@market.example" {
		t.Errorf("arrived: %v", got)
	}
}

func TestWrongPasswordIsTheOperatorsToMend(t *testing.T) {
	server := startServer(t, serverOptions{tls: true, password: "s3cret"})
	for _, password := range []string{"wrong", ""} {
		err := server.sender(t, password).Send(context.Background(), receipt("job_1"))
		if !market.Is(err, market.Unavailable) {
			t.Errorf("password %q: %v, want Unavailable", password, err)
		}
		if password != "" && strings.Contains(err.Error(), password) {
			t.Errorf("the password is in the error: %v", err)
		}
	}
}

func TestEncryption(t *testing.T) {
	for name, opts := range map[string]serverOptions{
		"STARTTLS": {tls: true, password: "s3cret"}, "implicit": {implicit: true, password: "s3cret"},
	} {
		server := startServer(t, opts)
		if err := server.sender(t, "s3cret").Send(context.Background(), receipt("job_1")); err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if i := len(server.secure) - 1; i < 0 || !server.secure[i] {
			t.Errorf("%s: the connection was not encrypted", name)
		}
	}
	plain := startServer(t, serverOptions{})
	if err := plain.sender(t, "").Send(context.Background(), receipt("job_1")); err != nil {
		t.Errorf("plain on loopback: %v", err)
	}
	plain = startServer(t, serverOptions{password: "s3cret"})
	if err := plain.sender(t, "s3cret").Send(context.Background(), receipt("job_1")); !market.Is(err, market.Unavailable) {
		t.Errorf("a password in the clear: %v, want Unavailable", err)
	}
}

func TestCertificateIsChecked(t *testing.T) {
	server := startServer(t, serverOptions{tls: true})
	opts := server.options("")
	opts.TLSConfig = &tls.Config{RootCAs: x509.NewCertPool()}
	if err := newSMTP(t, opts).Send(context.Background(), receipt("job_1")); !market.Is(err, market.Unavailable) {
		t.Errorf("an unknown CA: %v, want Unavailable", err)
	}
	opts.TLSConfig = nil
	if err := newSMTP(t, opts).Send(context.Background(), receipt("job_1")); err != nil {
		t.Errorf("a server's own certificate on loopback: %v", err)
	}
	away := newSMTP(t, SMTPOptions{Host: "mail.example"})
	if away.tlsConfig().InsecureSkipVerify || away.tlsPolicy().String() != "TLSMandatory" {
		t.Errorf("to another machine: policy %v, certificate unchecked: %v", away.tlsPolicy(), away.tlsConfig().InsecureSkipVerify)
	}
}

func TestGreetingNamesTheDomain(t *testing.T) {
	server := startServer(t, serverOptions{tls: true})
	if err := server.sender(t, "").Send(context.Background(), receipt("job_1")); err != nil {
		t.Fatal(err)
	}
	host, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	server.mu.Lock()
	defer server.mu.Unlock()
	if slices.Contains(server.greeted, host) || !slices.Contains(server.greeted, "market.example") {
		t.Errorf("greeted with %v", server.greeted)
	}
	if !slices.Equal(server.from, []string{"shop@market.example"}) {
		t.Errorf("envelope sender %v", server.from)
	}
}

func TestUnreachableServer(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := listener.Addr().(*net.TCPAddr).Port
	listener.Close()
	sender := newSMTP(t, SMTPOptions{Host: "127.0.0.1", Port: port})
	if err := sender.Send(context.Background(), receipt("job_1")); !market.Is(err, market.Unavailable) {
		t.Errorf("got %v, want Unavailable", err)
	}
}

// TestContextEndsASilentServer talks to a server that accepts and never answers.
func TestContextEndsASilentServer(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		cancel()
		io.Copy(io.Discard, conn) // until the sender gives up
		conn.Close()
	}()
	sender := newSMTP(t, SMTPOptions{Host: "127.0.0.1", Port: listener.Addr().(*net.TCPAddr).Port})
	err = sender.Send(ctx, receipt("job_1"))
	if !market.Is(err, market.Unavailable) || !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want Unavailable by cancellation", err)
	}
}

// TestAcceptedIsSent closes the connection right after the server's acceptance: asking
// again would send a second copy.
func TestAcceptedIsSent(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	go acceptAndHangUp(listener)
	sender := newSMTP(t, SMTPOptions{Host: "127.0.0.1", Port: listener.Addr().(*net.TCPAddr).Port})
	if err := sender.Send(context.Background(), receipt("job_1")); err != nil {
		t.Errorf("accepted, but: %v", err)
	}
}

func acceptAndHangUp(listener net.Listener) {
	conn, err := listener.Accept()
	if err != nil {
		return
	}
	defer conn.Close()
	io.WriteString(conn, "220 ready\r\n")
	var buf [64 << 10]byte
	var read []byte
	for {
		n, err := conn.Read(buf[:])
		if err != nil {
			return
		}
		read = append(read, buf[:n]...)
		switch {
		case bytes.HasSuffix(read, []byte("\r\n.\r\n")):
			io.WriteString(conn, "250 accepted\r\n")
			return
		case bytes.HasSuffix(read, []byte("DATA\r\n")):
			io.WriteString(conn, "354 go on\r\n")
		case !bytes.Contains(read, []byte("DATA\r\n")):
			io.WriteString(conn, "250 fine\r\n")
		}
	}
}

func TestNewSMTPChecksItsOptions(t *testing.T) {
	for name, opts := range map[string]SMTPOptions{
		"no host": {}, "a URL": {Host: "smtp://mail.example"}, "port": {Host: "h", Port: 70_000},
		"socket": {Host: "unix:///run/mail"}, "no password": {Host: "h", Username: "souk"}, "no user": {Host: "h", Password: "x"},
	} {
		if _, err := NewSMTP(opts); !market.Is(err, market.Invalid) {
			t.Errorf("%s: %v, want Invalid", name, err)
		}
	}
	if got := newSMTP(t, SMTPOptions{Host: "h"}).opts.Port; got != 587 {
		t.Errorf("port %d, want 587", got)
	}
	if got := newSMTP(t, SMTPOptions{Host: "h", ImplicitTLS: true}).opts.Port; got != 465 {
		t.Errorf("port %d, want 465", got)
	}
}
