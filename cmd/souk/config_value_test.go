package main

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestValuesTaken(t *testing.T) {
	take := func(name, value string) Config {
		t.Helper()
		i := slices.IndexFunc(settings, func(s setting) bool { return s.name == name })
		var cfg Config
		for _, err := range settings[i].set(&cfg, []string{value}) {
			t.Errorf("%s %q: %v", name, value, err)
		}
		return cfg
	}
	for value, want := range map[string]int64{"0%": 0, "0.01%": 1, "2.5%": 250, "10 %": 1000, "50%": 5000, "50.00%": 5000} {
		if got := take("commission", value).CommissionBP; got != want {
			t.Errorf("commission %s is %d basis points, want %d", value, got, want)
		}
	}
	for value, want := range map[string]int64{"8MiB": 8 << 20, "10MB": 10e6, "8388608": 8 << 20, "16777216B": 16 << 20, "1 GiB": 1 << 30, "9000kB": 9e6} {
		if got := take("cache-size", value).CacheSize; got != want {
			t.Errorf("cache-size %s is %d, want %d", value, got, want)
		}
	}
	for value, want := range map[string]SMTPServer{
		"smtp://localhost":       {Host: "localhost", Port: 587},
		"smtp://[::1]:2525/":     {Host: "::1", Port: 2525},
		"smtps://u:p@10.0.0.1:1": {Host: "10.0.0.1", Port: 1, Username: "u", Password: newSecret("p"), ImplicitTLS: true},
	} {
		if diff := cmp.Diff(want, take("mail.smtp", value).Mail.SMTP); diff != "" {
			t.Errorf("mail.smtp %s (-want +got):\n%s", value, diff)
		}
	}
	for _, key := range []string{testKey, liveKey, "rk_live_51H8x_a", "rk_test_1"} {
		if got, want := stripeKeyIsLive(take("stripe.secret-key", key).Stripe.SecretKey), strings.Contains(key, "live"); got != want {
			t.Errorf("the key %s is live: %v", key, got)
		}
	}
	take("addr", "shop.example.com:080")
	take("domain", "xn--bcher-kva.example")
	take("replica", "s3://bucket/a/b?endpoint=http://127.0.0.1:9000&forcePathStyle=true")
	take("mail.from", "Süßes <shop@example.com>")
	take("name", "المتجر")
}

func TestValuesRefused(t *testing.T) {
	long := strings.Repeat("a", 64)
	for name, values := range map[string][]string{
		"addr":             {":", "host", "host:port", "host:65536", ":-1", "::1:80", "a b:80", "http://host:80", "-a:80", "1.2.3:80", "256.1.1.1:80"},
		"base-url":         {"ftp://a.com", "https://", "https://a.com/shop", "https://a.com?x", "https://a.com/?", "https://u@a.com", "https://a.com#x", "https://a.com:", "https://a.com:0", "https://a.com:70000", "//a.com"},
		"domain":           {"localhost", "10.0.0.1", "::1", "a..com", ".a.com", "a.com.", "a_b.com", "-a.com", "a-.com", long + ".com", strings.Repeat("abcdefg.", 32) + "com", "a.com:443", "a.com/x", " a.com", ""},
		"commission":       {"", "%", "10", "51%", "50.01%", "-1%", "+1%", "1.234%", "1.%", ".5%", "1,5%", "1e1%", "99999999999%"},
		"cache-size":       {"", "0", "-1", "7MiB", "64 M", "64mib", "MiB", "1.5GiB", "2TiB", "9999999999999TiB", "99999999999999999999"},
		"replica":          {"", "/mnt/x", "file://host/x", "file:///", "file:x", "file:///x?y", "s3://", "s3://bucket", "s3://bucket/", "S3", "sftp://h", "s3://b/p#x", "sftp://u:p@h/p", "http://h/p"},
		"replica-interval": {"", "1", "0s", "-1s", "99ms", "61m", "1d", "d", "-1d", "9999999d"},
		"mail.smtp":        {"", "mail.example.com:25", "smtp://", "smtp://u@h", "smtp://:p@h", "smtp://u:@h", "smtp://h/x", "smtp://h?x=1", "smtp://h#x", "smtp://h:0", "http://h", "smtp://u:p%@h"},
		"mail.operator":    {"ops", "Ops <ops@example.com>"},
		"mail.from":        {"", "a", "a@", "a@b, c@d", "a@bücher.example", "a@b.example\r\nBcc: c@d"},
		"metrics-token":    {"", "123456789012345", "1234567890 123456", "1234567890123456é"},
		"acme-directory":   {"", "dir", "http://ca/dir", "https:///dir", "https://u:p@ca/dir"},
		"name":             {"", " Souk", "Souk\n", strings.Repeat("x", 61), "a\x00b", "\xff"},
		"currency":         {"", "US", "XXX", "USDD"},
		"log-level":        {"", "INFO", "info+1"},
		"stripe.live":      {"", "on", "2"},
		"stripe.secret-key": {"", "sk_", "sk_test_", "sk_test", "sk_prod_abc", "sk_live_a b", testKey + "\n", "whsec_abc",
			strings.ToUpper(testKey)},
		"stripe.webhook-secret": {"", "whsec_", "whsec_a b", "we_123"},
	} {
		i := slices.IndexFunc(settings, func(s setting) bool { return s.name == name })
		for _, value := range values {
			if errs := settings[i].set(new(Config), []string{value}); len(errs) != 1 {
				t.Errorf("%s takes %q", name, value)
			}
		}
	}
}
