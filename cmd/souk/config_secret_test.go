package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"
)

func TestMasks(t *testing.T) {
	for _, c := range []struct{ secret, want string }{
		{"", ""},
		{testKey, "sk_test_…p7dc"},
		{liveKey, "sk_live_…p7dc"},
		{"rk_test_123456789", "rk_test_…"},
		{"sk_test_1234567", "…"},
		{signing, "whsec_…e8FH"},
		{"correct horse battery staple", "…aple"},
		{"a_long_prefix_of_many_parts", "a_long_…arts"},
		{"onlyninth_underscore", "…core"},
		{"hunter2", "…"},
	} {
		if got := maskSecret(c.secret); got != c.want {
			t.Errorf("%q is masked as %q, want %q", c.secret, got, c.want)
		}
	}
	for _, c := range []struct{ url, want string }{
		{"smtp://user:hunter2@mail.example.com:587", "smtp://user:xxxxx@mail.example.com:587"},
		{"smtp://user:hun%zz@mail.example.com", "smtp://…"},
		{"smtp://user:1/hunter2@mail.example.com", "smtp://…"},
		{"user:hunter2@mail.example.com", "…"},
		{"s3://bucket/path?region=eu", "s3://bucket/path?region=eu"},
		{"file:///mnt/replica", "file:///mnt/replica"},
	} {
		if got := maskURL(c.url); got != c.want {
			t.Errorf("%q is masked as %q, want %q", c.url, got, c.want)
		}
	}
}

func TestSecretsCantBePrinted(t *testing.T) {
	cfg := Config{MetricsToken: newSecret("hunter2hunter2hunter2"), Stripe: StripeConfig{WebhookSecrets: []Secret{newSecret("hunter2hunter2hunter2")}}}
	hidden := struct{ cfg Config }{cfg}
	var b bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		for _, v := range []any{cfg.MetricsToken, &cfg.MetricsToken, cfg.Stripe, cfg, hidden, &hidden} {
			fmt.Fprintf(&b, verb+"\n", v)
		}
	}
	slog.New(slog.NewTextHandler(&b, nil)).Info("text", "secret", cfg.MetricsToken, "config", cfg)
	slog.New(slog.NewJSONHandler(&b, nil)).Info("json", "secret", cfg.MetricsToken, "config", cfg)
	if err := json.NewEncoder(&b).Encode(cfg); err != nil {
		t.Fatal(err)
	}
	for _, leak := range []string{"hunter2", fmt.Sprintf("%x", "hunter2")} {
		if at := strings.Index(b.String(), leak); at >= 0 {
			t.Errorf("a secret was printed: …%s", b.String()[max(0, at-60):at+len(leak)])
		}
	}
	if got := cfg.MetricsToken.Reveal(); got != "hunter2hunter2hunter2" {
		t.Errorf("Reveal returns %q", got)
	}
}

// TestNothingShownHasASecret looks at the listing and at refusals.
func TestNothingShownHasASecret(t *testing.T) {
	from := configSources{ReadFile: everyFile(t)}
	_, good, err := loadConfig(from)
	if err != nil {
		t.Fatal(err)
	}
	_, bad, err := loadConfig(configSources{ReadFile: noFile, Env: []string{
		"SOUK_STRIPE_SECRET_KEY=x" + liveKey, "SOUK_STRIPE_WEBHOOK_SECRET=x" + signing + "," + nextSigning + " ,x",
		"SOUK_METRICS_TOKEN=0123 456789abcdef", "SOUK_REPLICA=sftp://backup:hunter2@host/x", "SOUK_REPLICA_KEY=hunter2", "SOUK_MAIL_SMTP=smtp://shop:p@ss/@mail.example.com"}})
	var b bytes.Buffer
	for _, all := range [][]Setting{good, bad} {
		if err := printSettings(&b, all); err != nil {
			t.Fatal(err)
		}
	}
	fmt.Fprintln(&b, err)
	for _, secret := range []string{"4eC39HqLyj", "5WbX5kEWLl", "9mKDQ4nqZp", "456789abcdef", "p%40ss", "p@ss", "hunter2", recoveryKey, serverKey, recoveryKey[:20], serverKey[len(serverKey)-20:]} {
		if strings.Contains(b.String(), secret) {
			t.Errorf("%q is shown in:\n%s", secret, b.String())
		}
	}
}
