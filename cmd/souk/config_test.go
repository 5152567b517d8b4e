package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"log/slog"
	"math/big"
	netmail "net/mail"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/souk-market/souk/internal/drill"
	"github.com/souk-market/souk/internal/replica"
)

// Secrets of the right form and of no account.
const (
	testKey     = "sk_test_4eC39HqLyjWDarjtT1zdp7dc"
	liveKey     = "sk_live_4eC39HqLyjWDarjtT1zdp7dc"
	signing     = "whsec_5WbX5kEWLlfzsGNjH64I8lOOqUB6e8FH"
	recoveryKey = "souk-recovery-04wkq-y2zqd-z57kg-xqny9-m76kv-p4p0y-95bfb-68jwc"
	serverKey   = "souk-server-05eeftd6-nm19k3vq-38z2abaq-3e25hte3-7a5a4jrr-w1cd81kr-nmdmxvnc-vhwn5z4j-145ph5z3-4g58sf3j-0z56833h-h9mey2x8-58asexpc-f85yev0"
	nextSigning = "whsec_9mKDQ4nqZpTTw6w3z0fIv1nSxQhC2rBa"
)

// files makes a ReadFile of names and texts.
func files(namesAndTexts ...string) func(string) ([]byte, error) {
	m := fstest.MapFS{}
	for i := 0; i < len(namesAndTexts); i += 2 {
		m[namesAndTexts[i]] = &fstest.MapFile{Data: []byte(namesAndTexts[i+1])}
	}
	return m.ReadFile
}

// inData is a souk.toml in the default data directory.
func inData(text string) func(string) ([]byte, error) { return files("souk-data/souk.toml", text) }

func mustLoad(t *testing.T, from configSources) (Config, map[string]Setting) {
	t.Helper()
	if from.ReadFile == nil {
		from.ReadFile = noFile
	}
	cfg, all, err := loadConfig(from)
	if err != nil {
		t.Fatal(err)
	}
	byName := map[string]Setting{}
	for _, s := range all {
		byName[s.Name] = s
	}
	return cfg, byName
}

// mistakes loads a configuration that must be refused.
func mistakes(t *testing.T, from configSources) []string {
	t.Helper()
	if from.ReadFile == nil {
		from.ReadFile = noFile
	}
	cfg, _, err := loadConfig(from)
	var refused configError
	if !errors.As(err, &refused) {
		t.Fatalf("got %+v and error %v, want a configError", cfg, err)
	}
	if !cmp.Equal(cfg, Config{}) {
		t.Errorf("a refused configuration was returned: %+v", cfg)
	}
	return refused
}

func TestLaterSourceWins(t *testing.T) {
	const toml = "name = \"from the file\"\n"
	env := []string{"HOME=/root", "SOUK_NAME=from the environment"}
	flags := map[string][]string{"name": {"first", "from the flag"}}
	for _, c := range []struct {
		source       string
		from         configSources
		name, origin string
	}{
		{"nothing", configSources{}, "Souk", "default"},
		{"command", configSources{Defaults: map[string]string{"name": "Demo"}}, "Demo", "default"},
		{"file", configSources{ReadFile: inData(toml), Defaults: map[string]string{"name": "Demo"}}, "from the file", "souk-data/souk.toml:1"},
		{"environment", configSources{ReadFile: inData(toml), Env: env}, "from the environment", "SOUK_NAME"},
		{"flag", configSources{ReadFile: inData(toml), Env: env, Flags: flags}, "from the flag", "--name"},
		{"empty variable", configSources{ReadFile: inData(toml), Env: []string{"SOUK_NAME="}}, "from the file", "souk-data/souk.toml:1"},
	} {
		cfg, all := mustLoad(t, c.from)
		if got := all["name"]; cfg.Name != c.name || got.Origin != c.origin || !slices.Equal(got.Values, []string{c.name}) {
			t.Errorf("%s: got %q, shown as %v from %s; want %q from %s", c.source, cfg.Name, got.Values, got.Origin, c.name, c.origin)
		}
	}
}

func TestLists(t *testing.T) {
	const toml = "domain = [\n  \"a.example.com\",\n  \"b.example.com\",\n]\n"
	for _, c := range []struct {
		form string
		from configSources
		want []string
	}{
		{"array", configSources{ReadFile: inData(toml)}, []string{"a.example.com", "b.example.com"}},
		{"single text", configSources{ReadFile: inData(`domain = "a.example.com"`)}, []string{"a.example.com"}},
		{"commas in the environment", configSources{Env: []string{"SOUK_DOMAIN=c.example.com, D.example.com"}}, []string{"c.example.com", "d.example.com"}},
		{"repeated flag", configSources{Flags: map[string][]string{"domain": {"e.example.com", "f.example.com"}}}, []string{"e.example.com", "f.example.com"}},
		{"commas in a flag", configSources{Flags: map[string][]string{"domain": {"e.example.com,f.example.com", "g.example.com"}}},
			[]string{"e.example.com", "f.example.com", "g.example.com"}},
		{"replaced, not joined", configSources{ReadFile: inData(toml), Env: []string{"SOUK_DOMAIN=c.example.com"}}, []string{"c.example.com"}},
		{"emptied", configSources{ReadFile: inData("domain = []")}, nil},
	} {
		if cfg, _ := mustLoad(t, c.from); !slices.Equal(cfg.Domains, c.want) {
			t.Errorf("%s: got %q, want %q", c.form, cfg.Domains, c.want)
		}
	}
}

func TestWhichFileIsRead(t *testing.T) {
	read := files("souk-data/souk.toml", `name = "default"`, "shop/souk.toml", `name = "shop"`,
		"one.toml", "name = \"one\"\ndata = \"elsewhere\"", "two.toml", `name = "two"`, "elsewhere/souk.toml", `name = "elsewhere"`)
	for _, c := range []struct {
		env   []string
		flags map[string][]string
		want  string
	}{
		{nil, nil, "default"},
		{[]string{"SOUK_DATA=shop"}, nil, "shop"},
		{[]string{"SOUK_DATA=nowhere"}, map[string][]string{"data": {"shop"}}, "shop"},
		{nil, map[string][]string{"data": {"nowhere"}}, "Souk"},
		{[]string{"SOUK_CONFIG=one.toml"}, nil, "one"},
		{[]string{"SOUK_CONFIG=one.toml"}, map[string][]string{"config": {"two.toml"}, "data": {"shop"}}, "two"},
	} {
		if cfg, _ := mustLoad(t, configSources{ReadFile: read, Env: c.env, Flags: c.flags}); cfg.Name != c.want {
			t.Errorf("%v %v: read %q, want %q", c.env, c.flags, cfg.Name, c.want)
		}
	}
}

func TestOriginIsTheLine(t *testing.T) {
	_, all := mustLoad(t, configSources{ReadFile: inData(`# souk
addr = ":1"

mail = { from = "a@example.com" }
stripe.live = false
domain = [
  "shop.example.com",
]`)})
	for name, want := range map[string]string{"addr": "souk-data/souk.toml:2", "mail.from": "souk-data/souk.toml:4", "stripe.live": "souk-data/souk.toml:5",
		"domain": "souk-data/souk.toml:6"} {
		if got := all[name].Origin; got != want {
			t.Errorf("%s is from %s, want %s", name, got, want)
		}
	}
}

// everything gives every setting a value that isn't its default.
const everything = `
data = "souk-data/"
addr = "[::1]:8443"
base-url = "https://Shop.example.com:8443/"
name = "Bazaar"
currency = "eur"
commission = "12.5%"
domain = ["www.example.com", "shop.example.com"]
http-addr = ":8080"
acme-email = "admin@example.com"
acme-directory = "https://localhost:14000/dir"
acme-root = "root.pem"
replica = ["file:///mnt/replica", { url = "s3://bucket/souk?region=eu-west-1", key = "` + serverKey + `", password = "hunter2", interval = "2s", keep-daily = 7 }]
replica-key-file = "replica.key"
replica-password = "hunter2 too"
replica-interval = "250ms"
replica-snapshot-every = "12h"
replica-keep-fine = "48h"
replica-keep-medium = "14d"
replica-keep-daily = 10
replica-keep-weekly = 11
replica-keep-monthly = "12"
replica-keep-grace = "36h"
sync = "orders"
sync-timeout = "3s"
sync-policy = "continue"
lease = "30s"
drill = "off"
drill-at = "tue 23:15"
metrics-token = "0123456789abcdef"
log-level = "debug"
log-format = "json"
cache-size = 134217728
min-free = "1 GiB"

[stripe]
secret-key = "` + liveKey + `"
webhook-secret = ["` + signing + `", "` + nextSigning + `"]
live = true

[mail]
from = "Bazaar <shop@example.com>"
operator = "ops@example.com"
smtp = "smtps://shop%40example.com:p%40ss@mail.example.com"
`

// everyFile is what a souk.toml with everything needs.
func everyFile(t *testing.T) func(string) ([]byte, error) {
	return files("souk-data/souk.toml", everything, "root.pem", certificate(t), "replica.key", recoveryKey+"\n")
}

func TestEverySettingReachesTheConfig(t *testing.T) {
	cfg, all := mustLoad(t, configSources{ReadFile: everyFile(t)})
	forAll := ReplicaConfig{
		Key: newSecret(recoveryKey), Password: newSecret("hunter2 too"), KeyFile: "replica.key", Interval: 250 * time.Millisecond, SnapshotEvery: 12 * time.Hour,
		Keep: replica.Retention{Fine: 48 * time.Hour, Medium: 14 * day, Daily: 10, Weekly: 11, Monthly: 12, Grace: 36 * time.Hour},
	}
	first, second := forAll, forAll
	first.URL, second.URL = "file:///mnt/replica", "s3://bucket/souk?region=eu-west-1"
	second.Key, second.KeyFile, second.Interval, second.Keep.Daily = newSecret(serverKey), "", 2*time.Second, 7
	second.Password = newSecret("hunter2")
	want := Config{
		Data: "souk-data", Addr: "[::1]:8443", BaseURL: "https://shop.example.com:8443", Name: "Bazaar",
		Domains: []string{"www.example.com", "shop.example.com"}, ACMEEmail: "admin@example.com",
		ACMEDirectory: "https://localhost:14000/dir", ACMERoot: "root.pem", HTTPAddr: ":8080",
		Replicas: []ReplicaConfig{first, second}, Replica: forAll,
		Sync: SyncConfig{Orders: true, Timeout: 3 * time.Second, Continue: true}, Lease: 30 * time.Second,
		Drill:        DrillConfig{At: drill.Schedule{Weekday: time.Tuesday, Hour: 23, Minute: 15}},
		CommissionBP: 1250, Currency: "EUR",
		Stripe: StripeConfig{SecretKey: newSecret(liveKey), WebhookSecrets: []Secret{newSecret(signing), newSecret(nextSigning)}, Live: true},
		Mail: MailConfig{From: netmail.Address{Name: "Bazaar", Address: "shop@example.com"}, Operator: "ops@example.com",
			SMTP: SMTPServer{Host: "mail.example.com", Port: 465, Username: "shop@example.com", Password: newSecret("p@ss"), ImplicitTLS: true}},
		MetricsToken: newSecret("0123456789abcdef"), LogLevel: slog.LevelDebug, LogFormat: "json",
		CacheSize: 128 << 20, MinFree: 1 << 30,
	}
	if cfg.ACMERoots == nil {
		t.Error("acme-root was not read")
	}
	cfg.ACMERoots = nil
	if diff := cmp.Diff(want, cfg); diff != "" {
		t.Errorf("config (-want +got):\n%s", diff)
	}
	for name, s := range all {
		if !strings.HasPrefix(s.Origin, "souk-data/souk.toml:") && name != "replica-key" { // replica-key-file stands in for it
			t.Errorf("%s is from %s: add it to the test's file", name, s.Origin)
		}
	}
}

// certificate is a self-signed certificate in PEM form.
func certificate(t *testing.T) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
}

// TestTablesOfReplicas: what a table says holds for its replica, whatever holds for all,
// and is shown with its line; a later source replaces all of them.
func TestTablesOfReplicas(t *testing.T) {
	from := configSources{ReadFile: files("souk-data/souk.toml", `replica-keep-daily = 7

[[replica]]
url = "file:///mnt/a"

[[replica]]
interval = "3s"
url = "file:///mnt/b"
key = "`+serverKey+`"
`), Env: []string{"SOUK_REPLICA_KEY=" + recoveryKey, "SOUK_REPLICA_INTERVAL=2s"}}
	cfg, all := mustLoad(t, from)
	a, b := cfg.Replicas[0], cfg.Replicas[1]
	if a.URL != "file:///mnt/a" || a.Interval != 2*time.Second || a.Key.Reveal() != recoveryKey || a.Keep.Daily != 7 {
		t.Errorf("the first is %+v", a)
	}
	if b.URL != "file:///mnt/b" || b.Interval != 3*time.Second || b.Key.Reveal() != serverKey || b.Keep.Daily != 7 {
		t.Errorf("the second is %+v", b)
	}
	for name, want := range map[string]Setting{
		"replica[2].interval": {Values: []string{"3s"}, Origin: "souk-data/souk.toml:7"},
		"replica[2].key":      {Values: []string{maskSecret(serverKey)}, Origin: "souk-data/souk.toml:9"},
		"replica":             {Values: []string{"file:///mnt/a", "file:///mnt/b"}, Origin: "souk-data/souk.toml:4"},
	} {
		want.Name = name
		if diff := cmp.Diff(want, all[name]); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	if got := cfg.replicaFor("file:///mnt/b"); !cmp.Equal(got, b) {
		t.Errorf("the replica named by its URL is %+v", got)
	}
	if got := cfg.replicaFor("file:///mnt/c"); got.URL != "file:///mnt/c" || !got.Key.Equal(a.Key) {
		t.Errorf("one that isn't configured is %+v", got)
	}
	from.Flags = map[string][]string{"replica": {"file:///mnt/c"}}
	if cfg, _ := mustLoad(t, from); len(cfg.Replicas) != 1 || cfg.Replicas[0].URL != "file:///mnt/c" {
		t.Errorf("a flag leaves %+v", cfg.Replicas)
	}
}

func TestDefaultsThatDependOnOthers(t *testing.T) {
	for _, c := range []struct {
		toml                string
		addr, base, forHTTP string
	}{
		{``, "127.0.0.1:8080", "http://127.0.0.1:8080", ""},
		{`addr = ":80"`, ":80", "http://localhost", ""},
		{`addr = "0.0.0.0:8080"`, "0.0.0.0:8080", "http://localhost:8080", ""},
		{`addr = "[::1]:80"`, "[::1]:80", "http://[::1]", ""},
		{`addr = "127.0.0.1:0"`, "127.0.0.1:0", "", ""},
		{`domain = ["shop.example.com", "example.com"]`, ":443", "https://shop.example.com", ":80"},
		{"domain = \"shop.example.com\"\naddr = \":8443\"\nhttp-addr = \"off\"", ":8443", "https://shop.example.com:8443", ""},
		{"domain = \"shop.example.com\"\nbase-url = \"\"\nhttp-addr = \"\"", ":443", "https://shop.example.com", ":80"},
		{`base-url = "https://behind.example.com/"`, "127.0.0.1:8080", "https://behind.example.com", ""},
	} {
		cfg, all := mustLoad(t, configSources{ReadFile: inData(c.toml)})
		if cfg.Addr != c.addr || cfg.BaseURL != c.base || cfg.HTTPAddr != c.forHTTP {
			t.Errorf("%q: got addr %q, base-url %q, http-addr %q; want %q, %q, %q", c.toml, cfg.Addr, cfg.BaseURL, cfg.HTTPAddr, c.addr, c.base, c.forHTTP)
		}
		if got := strings.Join(all["addr"].Values, ","); got != c.addr {
			t.Errorf("%q: addr is shown as %q, want %q", c.toml, got, c.addr)
		}
	}
}
