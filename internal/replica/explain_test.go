package replica

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/souk-market/souk/internal/market"
)

// TestRefusalsInWords: what a storage refuses is said with what to do about it, is tried
// again, and is over when the storage thinks better of it.
func TestRefusalsInWords(t *testing.T) {
	credentials := filepath.Join(t.TempDir(), "credentials")
	login := func(id string) {
		t.Helper()
		if err := os.WriteFile(credentials, fmt.Appendf(nil, "[default]\naws_access_key_id = %s\naws_secret_access_key = hidden-away\n", id), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	login("OLDKEY")
	for name, value := range map[string]string{"AWS_SHARED_CREDENTIALS_FILE": credentials, "AWS_CONFIG_FILE": "/dev/null",
		"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": "", "AWS_EC2_METADATA_DISABLED": "true"} {
		t.Setenv(name, value)
	}
	statuses := map[string]int{"ExpiredToken": 400, "AccessDenied": 403, "SignatureDoesNotMatch": 403, "InvalidAccessKeyId": 403,
		"SlowDown": 503, "NoSuchBucket": 404, "NoSuchKey": 404, "InvalidBucketName": 400, "AuthorizationHeaderMalformed": 400,
		"PermanentRedirect": 301, "XAdminUserNotFound": 404}
	var answer atomic.Pointer[string]
	var keys atomic.Pointer[string]
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		auth := r.Header.Get("Authorization")
		keys.Store(&auth)
		code := *answer.Load()
		w.Header().Set("Content-Type", "application/xml")
		w.Header().Set("x-amz-request-id", "R1")
		w.WriteHeader(statuses[code])
		fmt.Fprintf(w, "<Error><Code>%s</Code><Message>no</Message></Error>", code)
	}))
	defer server.Close()
	c, err := OpenClient("s3://bucket/path?region=r&endpoint="+server.URL, ClientOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for code, want := range map[string]string{
		"ExpiredToken": "have expired", "AccessDenied": "s3:PutObject", "SignatureDoesNotMatch": "AWS_SECRET_ACCESS_KEY",
		"InvalidAccessKeyId": "AWS_ACCESS_KEY_ID", "SlowDown": "slow down", "NoSuchBucket": "no such bucket",
		"InvalidBucketName": "bucket's name", "AuthorizationHeaderMalformed": "another region", "PermanentRedirect": "another region",
		"XAdminUserNotFound": "AWS_ACCESS_KEY_ID",
	} {
		answer.Store(&code)
		_, err := c.Probe(ctx)
		if !market.Is(err, market.Unavailable) || final(err) || !strings.Contains(market.Message(err), want) || strings.Contains(err.Error(), "hidden-away") {
			t.Errorf("%s: %v, want a sentence with %q", code, err, want)
		}
		if text := Words(err); strings.Contains(text, "operation error") || !strings.Contains(text, code+": no (request R1)") {
			t.Errorf("%s is told as %q", code, text)
		}
	}
	expired := "ExpiredToken"
	answer.Store(&expired)
	if _, err := c.readObject(ctx, "probe"); err == nil {
		t.Fatal("an expired key was let in")
	}
	login("NEWKEY")
	missing := "NoSuchKey"
	answer.Store(&missing)
	c.readObject(ctx, "probe")
	if got := *keys.Load(); !strings.Contains(got, "NEWKEY") {
		t.Errorf("after its renewal the key is sent as %q", got)
	}
}

func TestAdviceOnOtherErrors(t *testing.T) {
	for text, want := range map[string]string{
		"ssh: handshake failed: ssh: unable to authenticate, attempted methods [none password]":   "SSH server refuses",
		"ssh: handshake failed: ssh: host key mismatch":                                           "another host key",
		`request send failed, Get "https://h/b": http: server gave HTTP response to HTTPS client`: "plain HTTP",
		"connection reset by peer": "",
	} {
		if got := advice(errors.New(text)); !strings.Contains(got, want) || want == "" && got != "" {
			t.Errorf("%q: %q", text, got)
		}
	}
	if got := advice(fmt.Errorf("calling: %w", context.DeadlineExceeded)); !strings.Contains(got, "in time") {
		t.Errorf("a time limit: %q", got)
	}
}

// TestUnreachableInWords: a person reads where nobody answers, and not what the client
// library went through.
func TestUnreachableInWords(t *testing.T) {
	t.Setenv("AWS_ACCESS_KEY_ID", "key")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "hidden-away")
	server := httptest.NewServer(nil)
	gone := server.URL
	server.Close()
	c, err := OpenClient("s3://bucket/path?region=r&endpoint="+gone, ClientOptions{})
	if err != nil {
		t.Fatal(err)
	}
	_, err = c.Inventory(ctx)
	if text := Words(err); !strings.Contains(text, "can't be reached") || strings.Contains(text, "operation error") || final(err) {
		t.Errorf("nobody listens: %s", text)
	}
}

// TestWrongEndpointsInWords: what answers is no S3 server, or shows a certificate that
// nobody has signed; and there is no key to show.
func TestWrongEndpointsInWords(t *testing.T) {
	t.Setenv("AWS_ACCESS_KEY_ID", "key")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "hidden-away")
	t.Setenv("AWS_EC2_METADATA_DISABLED", "true")
	site := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusNotFound)
		fmt.Fprint(w, "<html><head><link></head></html>")
	})
	plain, secure := httptest.NewServer(site), httptest.NewUnstartedServer(site)
	defer plain.Close()
	secure.Config.ErrorLog = log.New(io.Discard, "", 0)
	secure.StartTLS()
	defer secure.Close()
	told := func(endpoint, want string) {
		t.Helper()
		c, err := OpenClient("s3://bucket/path?region=r&endpoint="+endpoint, ClientOptions{})
		if err != nil {
			t.Fatal(err)
		}
		_, err = c.Inventory(ctx)
		if !market.Is(err, market.Unavailable) || !strings.Contains(market.Message(err), want) || final(err) {
			t.Errorf("%s: %v, want a sentence with %q", endpoint, err, want)
		}
	}
	told(plain.URL, "doesn't speak S3")
	told(secure.URL, "SSL_CERT_FILE")
	for name, value := range map[string]string{"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": "", "AWS_SHARED_CREDENTIALS_FILE": "/dev/null", "AWS_CONFIG_FILE": "/dev/null"} {
		t.Setenv(name, value)
	}
	told(plain.URL, "no access key")
}
