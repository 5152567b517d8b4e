package main

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math/big"
	netmail "net/mail"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/alecthomas/kong"
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

// sentences are what one bad line of the file is answered with.
var sentences = []struct{ toml, want string }{
	{`data = "a\u0000b"`, `data can't be "a\x00b": write a path.`},
	{`addr = "8080"`, `addr can't be "8080": write HOST:PORT, such as 127.0.0.1:8080, [::1]:8080 or :443, with a port from 0 to 65535.`},
	{`addr = ""`, `addr can't be "": write HOST:PORT, such as 127.0.0.1:8080, [::1]:8080 or :443, with a port from 0 to 65535.`},
	{`base-url = "shop.example.com"`, `base-url can't be "shop.example.com": write https:// (or http://) and a host, such as https://shop.example.com, without user, path or query.`},
	{`name = ""`, `name can't be "": write 1 to 60 characters, without line breaks or blanks at the ends.`},
	{`name = ["Souk", "Bazaar"]`, `name takes one value, not a list.`},
	{`name = 1.5`, `name must be a text in quotes.`},
	{`currency = "EURO"`, `currency can't be "EURO": write the ISO 4217 code of a currency in use, such as USD, EUR or JPY.`},
	{`commission = 10`, `commission can't be "10": write a percentage from 0% to 50% with at most two decimals, such as 10% or 2.5%.`},
	{`domain = "http://a.example.com"`, `domain can't be "http://a.example.com": write a public host name, such as shop.example.com, without scheme, port or path.`},
	{`domain = "*.example.com"`, `domain can't be "*.example.com": a wildcard can't be served; list each name.`},
	{`domain = "bücher.example"`, `domain can't be "bücher.example": write the name in ASCII, with xn-- for other letters.`},
	{`domain = ["a.example.com", "a.example.com"]`, `domain can't be "a.example.com": it is in the list twice; leave one out.`},
	{`domain = [1.5]`, `domain must be a text in quotes, or a list of them in brackets.`},
	{`http-addr = "80"`, `http-addr can't be "80": write HOST:PORT, such as 127.0.0.1:8080, [::1]:8080 or :443, with a port from 0 to 65535; or "off".`},
	{`acme-email = "Admin <a@example.com>"`, `acme-email can't be "Admin <a@example.com>": write one e-mail address, such as admin@example.com.`},
	{`acme-directory = "http://ca.example.com/dir"`, `acme-directory can't be "http://ca.example.com/dir": write the https:// URL of an ACME directory, such as https://acme-v02.api.letsencrypt.org/directory.`},
	{`acme-root = "missing.pem"`, `acme-root "missing.pem" can't be read: file does not exist.`},
	{`acme-root = "souk-data/souk.toml"`, `acme-root is "souk-data/souk.toml", which has no certificate in PEM form (-----BEGIN CERTIFICATE-----).`},
	{`sync = "all"`, `sync can't be "all": write off or orders.`},
	{`sync = "orders"`, `sync is orders and there is no replica that could acknowledge them: name one with replica.`},
	{`sync-timeout = "2m"`, `sync-timeout can't be "2m": write a duration with its unit, such as 500ms, 1s or 2m, from 100ms to 1m.`},
	{`sync-policy = "stop"`, `sync-policy can't be "stop": write refuse or continue.`},
	{`lease = "1s"`, `lease can't be "1s": write a duration with its unit, such as 500ms, 1s or 2m, from 10s to 10m, or off.`},
	{`lease = "30s"`, `lease is 30s and there is no replica that it could be kept in: name one with replica.`},
	{`drill = "daily"`, `drill can't be "daily": write weekly or off.`},
	{`drill-at = "04:00"`, `drill-at can't be "04:00": write a weekday and a time of UTC, such as Sunday 04:00.`},
	{`replica-key = " "`, `replica-key can't be "…": the key is empty. Give the line that souk replica keygen printed.`},
	{`replica-password = "\n"`, `replica-password can't be "…": write the password in one line.`},
	{`replica-key = "AGE-SECRET-KEY-1QQ"`, `replica-key can't be "…": this is a key of the age program. A replica needs a key that begins with souk-recovery- or souk-server-, as souk replica keygen prints it.`},
	{`replica-key-file = "missing.key"`, `replica-key-file "missing.key" can't be read: file does not exist.`},
	{"replica-key-file = \"k\"\nreplica-key = \"" + serverKey + "\"", `replica-key and replica-key-file are both given (souk-data/souk.toml:1): leave one out.`},
	{`replica-snapshot-every = "1m"`, `replica-snapshot-every can't be "1m": write a duration with its unit, such as 90m, 12h or 7d, from 10m to 30d.`},
	{`replica-keep-fine = "400d"`, `replica-keep-fine can't be "400d": write a duration with its unit, such as 90m, 12h or 7d, from 2h to 31d.`},
	{`replica-keep-fine = "30d"`, `replica-keep-fine is longer than replica-keep-medium: what can be restored to the second can be restored to five minutes too.`},
	{`replica-keep-medium = "week"`, `replica-keep-medium can't be "week": write a duration with its unit, such as 90m, 12h or 7d, from 2h to 366d.`},
	{`replica-keep-daily = -1`, `replica-keep-daily can't be "-1": write a number from 1 to 1000.`},
	{`replica-keep-weekly = "many"`, `replica-keep-weekly can't be "many": write a number from 1 to 1000.`},
	{`replica-keep-monthly = 1001`, `replica-keep-monthly can't be "1001": write a number from 1 to 1000.`},
	{`replica-keep-grace = "0s"`, `replica-keep-grace can't be "0s": write a duration with its unit, such as 90m, 12h or 7d, from 1h to 90d.`},
	{`replica = "sftp://user:hunter2@host/path"`, `replica can't be "sftp://user:xxxxx@host/path": a password doesn't belong into the URL, where logs would show it; set replica-password instead (SOUK_REPLICA_PASSWORD in the environment).`},
	{`replica = ["s3://b/x?endpoint=http://h", "s3://b/x/?endpoint=http://h&region=eu"]`, `replica "s3://b/x?endpoint=http://h" and "s3://b/x/?endpoint=http://h&region=eu" are the same place: leave one out.`},
	{"[[replica]]\nurl = \"ftp://host/path\"", `replica can't be "ftp://host/path": write file:///absolute/path or s3://bucket/path?region=REGION&endpoint=https://HOST.`},
	{"[[replica]]\ninterval = \"2s\"", `this replica has no url: write where it is, such as url = "s3://bucket/path".`},
	{"[replica]\nurl = \"file:///mnt/x\"", `a replica has two brackets on each side, so that there can be more: [[replica]].`},
	{`replica = [{ url = "file:///mnt/x", interval = "10ms" }]`, `interval can't be "10ms": write a duration with its unit, such as 500ms, 1s or 2m, from 100ms to 1h.`},
	{`replica = [{ url = "file:///mnt/x", intervall = "x" }]`, `a replica has no setting "intervall"; did you mean "interval"?`},
	{`replica = [{ url = "file:///mnt/x", key-file = "missing.key" }]`, `key-file "missing.key" can't be read: file does not exist.`},
	{`replica = [{ url = "file:///mnt/x", key-file = "k", key = "` + serverKey + `" }]`, `key and key-file are both given (souk-data/souk.toml:1): leave one out.`},
	{`replica = [{ url = "file:///mnt/x", interval = ["2s"] }]`, `interval of a replica must be a text in quotes.`},
	{`replica = [{ url = "file:///mnt/x" }, 5]`, `replica must be a text in quotes, or a table with a url.`},
	{`replica = ["file:///mnt/x", { url = "file:///mnt/x" }]`, `replica can't be "file:///mnt/x": it is in the list twice; leave one out.`},
	{`replica = "ftp://host/path"`, `replica can't be "ftp://host/path": write file:///absolute/path or s3://bucket/path?region=REGION&endpoint=https://HOST.`},
	{`replica = "s3://id:hunter2@bucket/path"`, `replica can't be "s3://id:xxxxx@bucket/path": keys don't belong into the URL, where logs would show them; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY.`},
	{`replica-interval = "10ms"`, `replica-interval can't be "10ms": write a duration with its unit, such as 500ms, 1s or 2m, from 100ms to 1h.`},
	{`metrics-token = "short"`, `metrics-token can't be "…": write 16 or more printable ASCII characters without blanks.`},
	{`log-level = "warning"`, `log-level can't be "warning": write debug, info, warn or error (did you mean "warn"?).`},
	{`log-format = "xml"`, `log-format can't be "xml": write text or json.`},
	{`cache-size = "1MiB"`, `cache-size can't be "1MiB": write a number of bytes with a unit (kB, MB, GB, TB, KiB, MiB, GiB, TiB), such as 64MiB, from 8MiB to 1TiB.`},
	{`min-free = "lots"`, `min-free can't be "lots": write a number of bytes with a unit (kB, MB, GB, TB, KiB, MiB, GiB, TiB), such as 64MiB, from 1MiB to 1TiB.`},
	{`stripe = { secret-key = "pk_test_4eC39HqLyjWDarjtT1zdp7dc", webhook-secret = "` + signing + `" }`, `stripe.secret-key can't be "pk_test_…p7dc": that is the publishable key; write the secret key, which begins with sk_ or rk_.`},
	{`stripe = { secret-key = "my key", webhook-secret = "` + signing + `" }`, `stripe.secret-key can't be "…": write the secret key as Stripe shows it; it begins with sk_test_, rk_test_, sk_live_ or rk_live_.`},
	{`stripe = { secret-key = "` + testKey + `", webhook-secret = "` + testKey + `" }`, `stripe.webhook-secret can't be "sk_test_…p7dc": write the signing secret of the webhook endpoint as Stripe shows it; it begins with whsec_.`},
	{`stripe = { secret-key = "` + testKey + `", webhook-secret = ["whsec_1", "whsec_2", "whsec_3"] }`, `stripe.webhook-secret takes at most 2 values, and there are 3.`},
	{`stripe.live = "maybe"`, `stripe.live can't be "maybe": write true or false.`},
	{`mail.operator = "ops"`, `mail.operator can't be "ops": write one e-mail address, such as admin@example.com.`},
	{`mail.from = "shop"`, `mail.from can't be "shop": write shop@example.com, or Shop <shop@example.com>.`},
	{`mail = { from = "a@example.com", smtp = "mail://user:hunter2@mail.example.com" }`, `mail.smtp can't be "mail://user:xxxxx@mail.example.com": write smtp://user:password@host:587 (STARTTLS) or smtps://user:password@host:465, with %40 and the like for special characters in user and password, or without both.`},

	{`stripe.secret-key = "` + testKey + `"`, `stripe.secret-key needs stripe.webhook-secret, the signing secret (whsec_…) of the webhook endpoint: without it payments are taken and never confirmed.`},
	{`stripe.webhook-secret = "` + signing + `"`, `stripe.webhook-secret needs stripe.secret-key, the API key (sk_… or rk_…) that takes the payments.`},
	{`stripe.live = true`, `stripe.live is true and there is no stripe.secret-key: without one payments go to the sandbox, where money is for testing.`},
	{`stripe = { secret-key = "` + liveKey + `", webhook-secret = "` + signing + `" }`,
		`stripe.secret-key is a live key (sk_live_…p7dc) and stripe.live is false: real cards would be charged. Use a key that begins with sk_test_ or rk_test_, or set stripe.live to true.`},
	{`stripe = { secret-key = "rk_test_4eC39HqLyjWDarjtT1zdp7dc", webhook-secret = "` + signing + `", live = true }`,
		`stripe.secret-key is a test key (rk_test_…p7dc) and stripe.live is true: nobody would be charged. Use a key that begins with sk_live_ or rk_live_, or set stripe.live to false.`},
	{`mail.smtp = "smtp://mail.example.com"`, `mail.smtp needs mail.from, the address that mails are sent from.`},
	{`domain = "a.example.com"` + ` # ` + "\n" + `base-url = "https://b.example.com"`,
		`base-url is "https://b.example.com", which no domain serves: use one of a.example.com, or add b.example.com to domain.`},
	{`data = "other"`, `data can't lead away from the data directory that this file is in ("souk-data"): remove it, or name the file with --config.`},

	{`adr = ":80"`, `there is no setting "adr"; did you mean "addr"?`},
	{`secret-key = "x"`, `there is no setting "secret-key"; did you mean "stripe.secret-key"?`},
	{"[strip]\nlive = true", `there is no setting "strip.live"; did you mean "stripe.live"?`},
	{"[domain]\nname = 1", `there is no setting "domain.name"; did you mean "domain"?`},
	{`addr = `, `this is not TOML: expected value but found '\n' instead. A text is in quotes (addr = "127.0.0.1:8080"), a list in brackets (domain = ["shop.example.com"]).`},
	{`metrics-token = troublesomevalue`, `this is not TOML: expected value but found "…" instead. A text is in quotes (addr = "127.0.0.1:8080"), a list in brackets (domain = ["shop.example.com"]).`},
}

func TestBadLineOfTheFile(t *testing.T) {
	for _, c := range sentences {
		got := mistakes(t, configSources{ReadFile: inData(c.toml + "\n")})
		if len(got) != 1 {
			t.Errorf("%s: got %d mistakes, want 1:\n%s", c.toml, len(got), strings.Join(got, "\n"))
			continue
		}
		place, sentence, _ := strings.Cut(got[0], ": ")
		if sentence != c.want {
			t.Errorf("%s:\n got %s\nwant %s", c.toml, sentence, c.want)
		}
		if !regexp.MustCompile(`^souk-data/souk\.toml:[12]$`).MatchString(place) {
			t.Errorf("%s: the mistake is placed at %q", c.toml, place)
		}
	}
}

func TestEverySettingRefusesSomething(t *testing.T) {
	for _, s := range settings {
		if !slices.ContainsFunc(sentences, func(c struct{ toml, want string }) bool {
			return strings.HasPrefix(c.want, s.name+" can't be ") || strings.HasPrefix(c.want, s.name+" \"")
		}) {
			t.Errorf("no test has a bad value of %s", s.name)
		}
	}
}

func TestMistakesElsewhere(t *testing.T) {
	for _, c := range []struct {
		from configSources
		want string
	}{
		{configSources{Env: []string{"SOUK_ADRR=:80"}}, `SOUK_ADRR: there is no setting "SOUK_ADRR"; did you mean "SOUK_ADDR"?`},
		{configSources{Flags: map[string][]string{"repica": {"file:///x"}}}, `--repica: there is no setting "--repica"; did you mean "--replica"?`},
		{configSources{Env: []string{"SOUK_ADDR=80"}}, `SOUK_ADDR: addr can't be "80": write HOST:PORT, such as 127.0.0.1:8080, [::1]:8080 or :443, with a port from 0 to 65535.`},
		{configSources{Flags: map[string][]string{"log-format": {""}}}, `--log-format: log-format can't be "": write text or json.`},
		{configSources{Flags: map[string][]string{"acme-email": {""}}}, `--acme-email: acme-email can't be "": write one e-mail address, such as admin@example.com.`},
		{configSources{Flags: map[string][]string{"stripe-secret-key": {testKey}}},
			`--stripe-secret-key: stripe.secret-key needs stripe.webhook-secret, the signing secret (whsec_…) of the webhook endpoint: without it payments are taken and never confirmed.`},
		{configSources{Flags: map[string][]string{"data": {"/srv/souk"}, "replica": {"file:///srv/souk-2", "file:///srv/souk/store"}}},
			`--replica: replica "file:///srv/souk/store" is in the data directory /srv/souk, and would be lost with it: use another disk, or S3.`},
		{configSources{ReadFile: inData("\n[[replica]]\n")}, `souk-data/souk.toml:2: this replica has no url: write where it is, such as url = "s3://bucket/path".`},
		{configSources{Flags: map[string][]string{"config": {"missing.toml"}}}, `--config: the configuration file "missing.toml" can't be read: file does not exist.`},
		{configSources{Flags: map[string][]string{"config": {""}}}, `--config: the configuration file "" can't be read: file does not exist.`},
		{configSources{Env: []string{"SOUK_CONFIG=missing.toml"}}, `SOUK_CONFIG: the configuration file "missing.toml" can't be read: file does not exist.`},
		{configSources{ReadFile: func(name string) ([]byte, error) {
			return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrPermission}
		}}, `souk-data/souk.toml: the configuration file "souk-data/souk.toml" can't be read: permission denied.`},
	} {
		if c.from.ReadFile == nil {
			c.from.ReadFile = files()
		}
		if got := mistakes(t, c.from); len(got) != 1 || got[0] != c.want {
			t.Errorf("got %s\nwant %s", strings.Join(got, "\n"), c.want)
		}
	}
}

func TestAnUnknownSettingFarFromAllListsThem(t *testing.T) {
	got := mistakes(t, configSources{Env: []string{"SOUK_COLOR_SCHEME_OF_THE_PAGES=dark"}})
	for _, s := range settings {
		if !strings.Contains(got[0], s.env()) {
			t.Errorf("%s is not offered in %s", s.env(), got[0])
		}
	}
}

func TestVariablesOfTheTestsAreLeftAlone(t *testing.T) {
	mustLoad(t, configSources{Env: []string{"SOUK_REQUIRE_TOOLS=1", "SOUK_TEST_DIR=/tmp", "SOUKLIKE=1", "_SOUK_ADDR=1"}})
}

// TestAllMistakesAtOnce also has bad values that a later source overrides.
func TestAllMistakesAtOnce(t *testing.T) {
	from := configSources{
		ReadFile: inData("currency = \"EURO\"\n[strip]\nlive = true\n[log]\n"),
		Env:      []string{"SOUK_CURRENCY=USD", "SOUK_NAM=x", "SOUK_ADDR=x", "SOUK_MAIL_SMTP=x"},
		Flags:    map[string][]string{"addr": {":80"}, "cache-size": {"1"}, "domains": {"a.example.com"}},
	}
	var places []string
	got := mistakes(t, from)
	for _, m := range got {
		place, _, _ := strings.Cut(m, ": ")
		places = append(places, place)
	}
	want := []string{"SOUK_NAM", "--domains", "souk-data/souk.toml:3", "souk-data/souk.toml:4", "souk-data/souk.toml:1", "SOUK_ADDR",
		"SOUK_MAIL_SMTP", "--cache-size", "SOUK_MAIL_SMTP"}
	if diff := cmp.Diff(want, places); diff != "" {
		t.Errorf("places (-want +got):\n%s\n%s", diff, strings.Join(got, "\n"))
	}
	err := configError(got)
	if !strings.HasPrefix(err.Error(), "The configuration has 9 mistakes:\n  ") {
		t.Errorf("got %q", err)
	}
	if err.ExitCode() != 2 {
		t.Errorf("exit status is %d, want 2", err.ExitCode())
	}
}

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

func TestListing(t *testing.T) {
	_, all, err := loadConfig(configSources{
		ReadFile: inData("[stripe]\nsecret-key = \"" + testKey + "\"\n"),
		Env:      []string{"SOUK_STRIPE_WEBHOOK_SECRET=" + signing + "," + nextSigning},
		Flags:    map[string][]string{"addr": {":80"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	if err := printSettings(&b, all); err != nil {
		t.Fatal(err)
	}
	got := regexp.MustCompile(` {2,}`).ReplaceAllString(b.String(), "  ")
	for _, line := range []string{
		"data  souk-data  default",
		"addr  :80  --addr",
		"base-url  http://localhost  default",
		"domain  -  default",
		"stripe.secret-key  sk_test_…p7dc  souk-data/souk.toml:2",
		"stripe.webhook-secret  whsec_…e8FH, whsec_…2rBa  SOUK_STRIPE_WEBHOOK_SECRET",
	} {
		if !strings.Contains(got, line+"\n") {
			t.Errorf("there is no line %q in:\n%s", line, got)
		}
	}
	if n := strings.Count(got, "\n"); n != len(settings) {
		t.Errorf("%d lines for %d settings", n, len(settings))
	}
}

func TestTemplateIsTheDefaults(t *testing.T) {
	var b strings.Builder
	if err := printTemplate(&b); err != nil {
		t.Fatal(err)
	}
	want, defaults := mustLoad(t, configSources{})
	got, same := mustLoad(t, configSources{ReadFile: inData(b.String())})
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("as it is (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(defaults, same); diff != "" {
		t.Errorf("a setting isn't behind a #:\n%s", diff)
	}

	switchedOn := regexp.MustCompile(`(?m)^# ([a-z-]+ = .*)$`).ReplaceAllString(b.String(), "$1")
	if got, want := len(regexp.MustCompile(`(?m)^[a-z-]+ = `).FindAllString(switchedOn, -1)), len(settings); got != want {
		t.Fatalf("%d settings in the template, want %d", got, want)
	}
	got, on := mustLoad(t, configSources{ReadFile: inData(switchedOn)})
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("with every # removed (-want +got):\n%s", diff)
	}
	for _, s := range settings {
		if s.def != "" && on[s.name].Origin == fromDefault {
			t.Errorf("%s was not read from the template", s.name)
		}
	}
}

func TestNamesAreDistinct(t *testing.T) {
	seen := map[string]string{configFlag: "--config", configEnv: "SOUK_CONFIG"}
	for _, s := range settings {
		for _, name := range []string{s.env(), s.flag()} {
			if other, ok := seen[name]; ok {
				t.Errorf("%s and %s are both %s", other, s.name, name)
			}
			seen[name] = s.name
		}
		if s.help == "" || s.hint == "" || strings.Contains(s.help, "$") {
			t.Errorf("%s needs a help and a hint, and kong would expand a $", s.name)
		}
	}
}

// parse reads a command line as kong does in a command that embeds settingsFlags.
func parse(t *testing.T, args ...string) (map[string][]string, error) {
	t.Helper()
	var cli struct {
		Serve struct{ settingsFlags } `cmd:""`
	}
	cli.Serve.settingsFlags = newSettingsFlags()
	k, err := kong.New(&cli)
	if err != nil {
		t.Fatal(err)
	}
	_, err = k.Parse(append([]string{"serve"}, args...))
	return cli.Serve.values(), err
}

func TestFlags(t *testing.T) {
	got, err := parse(t, "--addr=:80", "--domain", "a.example.com", "--domain=b.example.com,c.example.com", "--stripe-live",
		"--config", "x.toml", "--name", "first", "--name", "My, own", "--acme-email=")
	if err != nil {
		t.Fatal(err)
	}
	want := map[string][]string{"addr": {":80"}, "domain": {"a.example.com", "b.example.com,c.example.com"}, "stripe-live": {"true"},
		"config": {"x.toml"}, "name": {"first", "My, own"}, "acme-email": {""}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("flags (-want +got):\n%s", diff)
	}
	if got, err := parse(t, "--stripe-live=perhaps"); err != nil || !slices.Equal(got["stripe-live"], []string{"perhaps"}) {
		t.Errorf("--stripe-live=perhaps is %v, %v; it is refused later, with all mistakes", got, err)
	}
	if _, err := parse(t, "--adr=:80"); err == nil || !strings.Contains(err.Error(), `unknown flag --adr, did you mean "--addr"`) {
		t.Errorf("a misspelt flag: %v", err)
	}
	if got, err := parse(t); err != nil || len(got) != 0 {
		t.Errorf("no flags are %v, %v", got, err)
	}
}

func TestFlagsOfSomeSettings(t *testing.T) {
	var cli struct {
		Check struct{ settingsFlags } `cmd:""`
	}
	cli.Check.settingsFlags = newSettingsFlags("data", "log-level")
	k, err := kong.New(&cli)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, f := range k.Model.Children[0].Flags {
		got = append(got, f.Name)
	}
	if want := []string{"config", "data", "log-level"}; !slices.Equal(got, want) {
		t.Errorf("got flags %v, want %v", got, want)
	}
}

// FuzzConfigFile: any file is read, or refused with a sentence.
func FuzzConfigFile(f *testing.F) {
	f.Add(everything)
	for _, c := range sentences {
		f.Add(c.toml)
	}
	f.Add("a.b.c = 1\n[a.b]\nd = [[1], {x = 2}]\n[[x]]\n\"\" = 1979-05-27\n")
	f.Fuzz(func(t *testing.T, text string) {
		_, _, err := loadConfig(configSources{ReadFile: inData(text)})
		var refused configError
		if err != nil && (!errors.As(err, &refused) || len(refused) == 0) {
			t.Fatalf("%q: %v", text, err)
		}
	})
}
