package mail

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/souk-market/souk/internal/market"
	gomail "github.com/wneessen/go-mail"
)

// SMTPOptions say how to reach the mail server.
type SMTPOptions struct {
	Host string // a name, or an IP address
	Port int    // 587 when 0, or 465 with ImplicitTLS
	// Username and Password are used with the strongest mechanism that both sides know;
	// over an unencrypted connection only with one that doesn't show the password.
	Username, Password string
	// ImplicitTLS speaks TLS from the first byte. Otherwise the server must offer
	// STARTTLS, unless it is on this machine (loopback).
	ImplicitTLS bool
	// TLSConfig is optional: a private CA, say. Without it a server on this machine may
	// have any certificate, as mail servers make one for themselves on installation.
	TLSConfig *tls.Config
	Timeout   time.Duration // of one send, and of each of its steps; 30 s when 0
	Clock     func() time.Time
}

// SMTP sends through a mail server, one connection per message.
type SMTP struct {
	opts SMTPOptions
}

// NewSMTP checks the options; it doesn't connect. Errors: Invalid.
func NewSMTP(opts SMTPOptions) (*SMTP, error) {
	if opts.Host == "" || strings.ContainsAny(opts.Host, "/ \r\n") {
		return nil, market.FieldErrorf("mail.host", "The mail server's host is a name or an IP address.")
	}
	if opts.Port == 0 {
		opts.Port = 587
		if opts.ImplicitTLS {
			opts.Port = 465
		}
	}
	if opts.Port < 1 || opts.Port > 65535 {
		return nil, market.FieldErrorf("mail.port", "The mail server's port is 1 to 65535.")
	}
	if (opts.Username == "") != (opts.Password == "") {
		return nil, market.FieldErrorf("mail.username", "The mail server's user name and password go together.")
	}
	if opts.Timeout <= 0 {
		opts.Timeout = 30 * time.Second
	}
	if opts.Clock == nil {
		opts.Clock = time.Now
	}
	return &SMTP{opts: opts}, nil
}

// Send implements Sender. Invalid means that the server refused this recipient or this
// message for good (5xx to RCPT or DATA). Everything else is Unavailable: network, TLS,
// log-in, a refused sender address; those are the operator's to mend, and no mail is
// lost meanwhile.
func (s *SMTP) Send(ctx context.Context, m Message) error {
	if err := m.Validate(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, s.opts.Timeout)
	defer cancel()
	msg := compose(m, s.opts.Clock())
	err := s.deliver(ctx, m, msg)
	if msg.IsDelivered() {
		return nil // what fails after the server's acceptance must not send it again
	}
	if err == nil {
		err = errors.New("not delivered")
	}
	return classify(m, fmt.Errorf("mail: sending %s through %s: %w", m.ID, s.opts.Host, err))
}

func (s *SMTP) deliver(ctx context.Context, m Message, msg *gomail.Msg) error {
	conn, err := s.dial(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	client, err := s.client(m, conn)
	if err != nil {
		return err
	}
	if err := client.DialAndSendWithContext(ctx, msg); err != nil {
		return errors.Join(err, ctx.Err())
	}
	return nil
}

func (s *SMTP) dial(ctx context.Context) (net.Conn, error) {
	address := net.JoinHostPort(s.opts.Host, strconv.Itoa(s.opts.Port))
	if s.opts.ImplicitTLS {
		dialer := tls.Dialer{Config: s.tlsConfig()}
		return dialer.DialContext(ctx, "tcp", address)
	}
	var dialer net.Dialer
	return dialer.DialContext(ctx, "tcp", address)
}

// client speaks SMTP over conn, which deliver owns: the library forgets a connection
// whose greeting fails.
func (s *SMTP) client(m Message, conn net.Conn) (*gomail.Client, error) {
	options := []gomail.Option{
		gomail.WithPort(s.opts.Port),
		gomail.WithTimeout(s.opts.Timeout),
		gomail.WithHELO(m.From.domain()), // the default is this machine's name
		gomail.WithTLSConfig(s.tlsConfig()),
		gomail.WithTLSPolicy(s.tlsPolicy()),
		gomail.WithDialContextFunc(func(context.Context, string, string) (net.Conn, error) { return conn, nil }),
	}
	if s.opts.Username != "" {
		options = append(options, gomail.WithSMTPAuth(gomail.SMTPAuthAutoDiscover),
			gomail.WithUsername(s.opts.Username), gomail.WithPassword(s.opts.Password))
	}
	return gomail.NewClient(s.opts.Host, options...)
}

// tlsPolicy says whether STARTTLS must be offered. Over implicit TLS it isn't, and the
// library sees by itself that the connection is encrypted.
func (s *SMTP) tlsPolicy() gomail.TLSPolicy {
	if s.opts.ImplicitTLS || isLoopback(s.opts.Host) {
		return gomail.TLSOpportunistic
	}
	return gomail.TLSMandatory
}

func (s *SMTP) tlsConfig() *tls.Config {
	config := &tls.Config{InsecureSkipVerify: isLoopback(s.opts.Host)}
	if s.opts.TLSConfig != nil {
		config = s.opts.TLSConfig.Clone()
	}
	if config.ServerName == "" {
		config.ServerName = s.opts.Host
	}
	config.MinVersion = max(config.MinVersion, tls.VersionTLS12)
	return config
}

func isLoopback(host string) bool {
	if strings.EqualFold(host, "localhost") {
		return true
	}
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.Unmap().IsLoopback()
}

// classify tells a refusal of this message from a server that can't take any now.
func classify(m Message, err error) error {
	var refusal *gomail.SendError
	if errors.As(err, &refusal) && refusal.ErrorCode() >= 500 && aboutMessage(refusal.Reason) {
		return market.FieldErrorf("to", "The mail server refuses this message to %s.", m.To.Email).Because(err)
	}
	return market.Errorf(market.Unavailable, "The mail server can't take this message at the moment.").Because(err)
}

// aboutMessage excludes MAIL FROM: a refused sender concerns every mail of this
// marketplace.
func aboutMessage(reason gomail.SendErrReason) bool {
	switch reason {
	case gomail.ErrSMTPRcptTo, gomail.ErrSMTPData, gomail.ErrSMTPDataClose:
		return true
	}
	return false
}
