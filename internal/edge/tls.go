package edge

import (
	"context"
	"crypto/tls"
	"log/slog"
	"net"
	"net/http"

	"github.com/caddyserver/certmagic"
	"go.uber.org/zap"
)

// certificates obtains, keeps and renews the certificates of a server's domains.
type certificates struct {
	magic  *certmagic.Config
	cache  *certmagic.Cache
	issuer *certmagic.ACMEIssuer
	log    *zap.Logger
}

// manageCertificates begins to load and obtain certificates, which goes on until ctx
// ends. The caller stops what it returns.
func (s *Server) manageCertificates(ctx context.Context) *certificates {
	c := &certificates{log: bridge(s.log.WithGroup("tls"))}
	c.cache = certmagic.NewCache(certmagic.CacheOptions{
		GetConfigForCert: func(certmagic.Certificate) (*certmagic.Config, error) { return c.magic, nil },
		Logger:           c.log,
	})
	// Without OnDemand certmagic orders for the names below and no others, whatever
	// name a client sends.
	c.magic = certmagic.New(c.cache, certmagic.Config{
		Storage: &certmagic.FileStorage{Path: s.config.TLSDir},
		Logger:  c.log,
		OnEvent: s.certificateEvent,
	})
	c.issuer = certmagic.NewACMEIssuer(c.magic, s.issuerTemplate(c.log))
	c.magic.Issuers = []certmagic.Issuer{c.issuer}
	// An error would be about the names, which New has checked; those of orders are
	// logged and retried.
	if err := c.magic.ManageAsync(ctx, s.config.Domains); err != nil {
		s.log.Error("managing certificates", slog.Any("error", err))
	}
	return c
}

func (s *Server) issuerTemplate(log *zap.Logger) certmagic.ACMEIssuer {
	directory := s.config.ACMEDirectory
	if directory == "" {
		directory = certmagic.LetsEncryptProductionCA
	}
	host := ""
	if addr, ok := s.public.Addr().(*net.TCPAddr); ok && !addr.IP.IsUnspecified() {
		host = addr.IP.String()
	}
	return certmagic.ACMEIssuer{
		CA:                   directory,
		Email:                s.config.Email,
		Agreed:               true,
		TrustedRoots:         s.config.TrustedRoots,
		DisableHTTPChallenge: s.plain == nil,
		// Our own listeners answer; certmagic uses the addresses to see that it needs
		// none of its own.
		ListenHost:     host,
		AltHTTPPort:    port(s.plain),
		AltTLSALPNPort: port(s.public),
		Logger:         log,
	}
}

// certificateEvent logs what an operator waits for.
func (s *Server) certificateEvent(_ context.Context, event string, data map[string]any) error {
	if event == "cached_managed_cert" {
		s.log.Info("certificate ready", slog.Any("names", data["sans"]))
	}
	return nil
}

// stop ends maintenance and releases the locks in TLSDir, so that the next start does
// not wait for them to grow stale.
func (c *certificates) stop() {
	c.cache.Stop()
	certmagic.CleanUpOwnLocks(context.Background(), c.log)
}

// challenges answers HTTP-01 challenges and passes other requests to next.
func (c *certificates) challenges(next http.Handler) http.Handler {
	return c.issuer.HTTPChallengeHandler(next)
}

// tlsConfig allows TLS 1.3, and 1.2 with forward secrecy and authenticated encryption
// only. TLS-ALPN-01 challenges are answered by the protocol that certmagic adds.
func (c *certificates) tlsConfig() *tls.Config {
	config := c.magic.TLSConfig()
	config.NextProtos = append([]string{"h2", "http/1.1"}, config.NextProtos...)
	config.MinVersion = tls.VersionTLS12
	config.CipherSuites = []uint16{
		tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
		tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
		tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
		tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
	}
	return config
}
