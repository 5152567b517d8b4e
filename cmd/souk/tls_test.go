package main

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"testing"

	"github.com/souk-market/souk/internal/testenv"
)

// TestServeByTLS gets a certificate from a real ACME server and sells over it.
func TestServeByTLS(t *testing.T) {
	ca := testenv.ACME(t)
	dir := filepath.Join(t.TempDir(), "data")
	importSample(t, dir)
	market := serve(t, "serve", "--data", dir, "--domain", "example.test", "--addr", "127.0.0.1:0", "--http-addr", "off",
		"--acme-directory", ca.Directory, "--acme-root", ca.TrustFile, "--acme-email", "operator@example.test")
	at, err := url.Parse(market.URL)
	if err != nil || at.Scheme != "https" || at.Hostname() != "example.test" {
		t.Fatalf("open at %q", market.URL)
	}
	listener := net.JoinHostPort("127.0.0.1", at.Port())
	ca.ValidateAt("", listener)
	v := visit(t, market.URL)
	v.client.Transport = &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: ca.Roots},
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, listener)
		},
	}
	waitFor(t, "a certificate", func() bool {
		resp, err := v.client.Get(market.URL + "/readyz")
		if err != nil {
			return false
		}
		resp.Body.Close()
		return resp.StatusCode == http.StatusOK
	})
	_, paid := pick(t, v)
	p := v.checkOut("ada@example.com", paid.Slug)
	if p = v.payWith(p, "4242 4242 4242 4242"); p.key() == "" {
		t.Errorf("no key on %s:\n%s", p.url, p.Text())
	}
	for _, c := range v.client.Jar.Cookies(at) {
		if strings.HasPrefix(c.Name, "__Host-") {
			return
		}
	}
	t.Error("no cookie is bound to the host")
}
