package main

import (
	"errors"
	"io/fs"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

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
