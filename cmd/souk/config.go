package main

import (
	"cmp"
	"crypto/x509"
	"fmt"
	"log/slog"
	"maps"
	netmail "net/mail"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/souk-market/souk/internal/market"
)

// The configuration of Souk comes from four places, of which a later one wins: defaults,
// the file souk.toml, variables SOUK_… of the environment, and flags. Names, parsing,
// printing, the template file and the flags all come from the table settings; a new
// setting is a field of Config and a line there.

// Config is what the program was told, parsed and checked.
type Config struct {
	Data    string // the data directory; relative to the working directory
	Addr    string // host:port
	BaseURL string // the public URL without a slash at its end; empty when only the listener knows the port (see baseURL)
	Name    string

	Domains       []string // lower case; none means plain HTTP
	ACMEEmail     string
	ACMEDirectory string
	ACMERoot      string         // the file that ACMERoots were read from
	ACMERoots     *x509.CertPool // the system's roots and those of acme-root; nil without acme-root
	HTTPAddr      string         // host:port that leads to TLS; empty for none

	Replicas []ReplicaConfig
	Replica  ReplicaConfig // what holds for replicas that don't say otherwise; without a URL
	Sync     SyncConfig
	Lease    time.Duration // 0 for none
	Drill    DrillConfig

	CommissionBP int64 // basis points, ten-thousandths of a price; 0 to 5000
	Currency     market.Currency

	Stripe StripeConfig
	Mail   MailConfig

	MetricsToken Secret
	LogLevel     slog.Level
	LogFormat    string // "text" or "json"
	CacheSize    int64  // bytes
	MinFree      int64  // bytes
}

// StripeConfig has either both the key and one or two webhook secrets, or neither: then
// payments go to the sandbox.
type StripeConfig struct {
	SecretKey      Secret
	WebhookSecrets []Secret
	Live           bool // the mode of SecretKey
}

// MailConfig has a sender whenever it has a server. Without a server mail goes to the
// outbox.
type MailConfig struct {
	From     netmail.Address
	Operator string // who gets alerts; empty for nobody
	SMTP     SMTPServer
}

// SMTPServer is a mail server; the zero value is none.
type SMTPServer struct {
	Host        string
	Port        int
	Username    string // empty when Password is
	Password    Secret
	ImplicitTLS bool
}

const letsEncrypt = "https://acme-v02.api.letsencrypt.org/directory"

// setting is one line of the table. In souk.toml a name with a dot is a key of a table;
// the flag and the variable are made from the name.
type setting struct {
	name string
	help string // sentences without "$", which kong would expand
	hint string // the form of a value, in capitals
	def  string // as it would be written; empty for none
	list bool   // several values; def is one of them
	bool bool   // the flag needs no value

	secret bool                    // not fit for a command line, which others on the machine can see
	mask   func(string) string     // what of a value may be shown; nil is maskSecret for a secret, else all
	set    binder                  // parses, checks and assigns
	from   func(cfg Config) string // the default where it depends on other settings; empty leaves def
}

// settings are all settings. Those in tables of souk.toml stand last.
var settings = slices.Concat(marketSettings, replicaSettings, operationSettings)

var marketSettings = []setting{
	{name: "data", def: "souk-data", hint: "DIR",
		help: "The data directory: the store, files, the search index, certificates. A souk.toml in it is read.",
		set:  one(func(c *Config) *string { return &c.Data }, filePath)},
	{name: "addr", def: "127.0.0.1:8080", hint: "HOST:PORT",
		help: "Where to listen. With a domain the default is :443.",
		set:  one(func(c *Config) *string { return &c.Addr }, address),
		from: func(c Config) string {
			if len(c.Domains) > 0 {
				return ":443"
			}
			return ""
		}},
	{name: "base-url", hint: "URL",
		help: "The public address, without a path, for links in mails and at payment providers. The default comes from domain and addr.",
		set:  one(func(c *Config) *string { return &c.BaseURL }, publicURL),
		from: func(c Config) string { return baseURL(c.Domains, c.Addr) }},
	{name: "name", def: "Souk", hint: "NAME",
		help: "The marketplace's name, on every page and mail.",
		set:  one(func(c *Config) *string { return &c.Name }, siteName)},
	{name: "currency", def: "USD", hint: "CODE",
		help: "The currency of prices that don't name one, by ISO 4217.",
		set:  one(func(c *Config) *market.Currency { return &c.Currency }, currency)},
	{name: "commission", def: "10%", hint: "PERCENT",
		help: "The marketplace's share of each sale, 0% to 50%, with up to two decimals.",
		set:  one(func(c *Config) *int64 { return &c.CommissionBP }, percentage)},

	{name: "domain", list: true, hint: "NAME",
		help: "The names to serve by TLS, with certificates obtained by ACME. None means plain HTTP.",
		set:  many(func(c *Config) *[]string { return &c.Domains }, 0, domain)},
	{name: "http-addr", hint: "HOST:PORT",
		help: "Where plain HTTP is led to TLS and certificate challenges are answered, or \"off\". With a domain the default is :80, else there is none.",
		set:  one(func(c *Config) *string { return &c.HTTPAddr }, addressOrOff),
		from: func(c Config) string {
			if len(c.Domains) > 0 {
				return ":80"
			}
			return ""
		}},
	{name: "acme-email", hint: "ADDRESS",
		help: "Where the certificate authority sends its warnings.",
		set:  one(func(c *Config) *string { return &c.ACMEEmail }, email)},
	{name: "acme-directory", def: letsEncrypt, hint: "URL",
		help: "The certificate authority. Using it agrees to its terms.",
		set:  one(func(c *Config) *string { return &c.ACMEDirectory }, directoryURL)},
	{name: "acme-root", hint: "FILE",
		help: "A PEM file with certificates to trust in talking to a private certificate authority, besides the system's.",
		set:  one(func(c *Config) *string { return &c.ACMERoot }, filePath)},
}

var operationSettings = []setting{
	{name: "metrics-token", hint: "TOKEN", secret: true,
		help: "The bearer token that /metrics asks for, 16 characters or more.",
		set:  one(func(c *Config) *Secret { return &c.MetricsToken }, token)},
	{name: "log-level", def: "info", hint: "LEVEL",
		help: "The least level that is logged: debug, info, warn or error.",
		set:  one(func(c *Config) *slog.Level { return &c.LogLevel }, logLevel)},
	{name: "log-format", def: "text", hint: "FORMAT",
		help: "The form of the log: text or json.",
		set:  one(func(c *Config) *string { return &c.LogFormat }, oneOf("text", "json"))},
	{name: "cache-size", def: "64MiB", hint: "BYTES",
		help: "Memory for the store's cache, 8MiB or more.",
		set:  one(func(c *Config) *int64 { return &c.CacheSize }, size("8MiB", "1TiB"))},
	{name: "min-free", def: "256MiB", hint: "BYTES",
		help: "Free disk under which writes are refused, 1MiB or more.",
		set:  one(func(c *Config) *int64 { return &c.MinFree }, size("1MiB", "1TiB"))},

	{name: "stripe.secret-key", hint: "KEY", secret: true,
		help: "Stripe's API key, sk_… or rk_…. Without one payments go to the sandbox, where money is for testing.",
		set:  one(func(c *Config) *Secret { return &c.Stripe.SecretKey }, stripeKey)},
	{name: "stripe.webhook-secret", list: true, hint: "SECRET", secret: true,
		help: "The signing secret of Stripe's webhook endpoint, whsec_…; two while they are rotated.",
		set:  many(func(c *Config) *[]Secret { return &c.Stripe.WebhookSecrets }, 2, webhookSecret)},
	{name: "stripe.live", def: "false", bool: true, hint: "BOOL",
		help: "Whether the key is a live one, so that real money moves.",
		set:  one(func(c *Config) *bool { return &c.Stripe.Live }, boolean)},

	{name: "mail.from", hint: "ADDRESS",
		help: "The sender of mails: shop@example.com, or Shop <shop@example.com>.",
		set:  one(func(c *Config) *netmail.Address { return &c.Mail.From }, sender)},
	{name: "mail.operator", hint: "ADDRESS",
		help: "Where alerts go, as of a restore drill that failed. Without it they are in the log only.",
		set:  one(func(c *Config) *string { return &c.Mail.Operator }, email)},
	{name: "mail.smtp", hint: "URL", secret: true, mask: maskURL,
		help: "The mail server: smtp://user:password@host:587 (STARTTLS), or smtps://user:password@host:465. Without one mails are kept in the data directory's outbox.",
		set:  one(func(c *Config) *SMTPServer { return &c.Mail.SMTP }, smtpServer)},
}

func (s setting) env() string {
	return "SOUK_" + strings.ToUpper(strings.NewReplacer("-", "_", ".", "_").Replace(s.name))
}
func (s setting) flag() string { return strings.ReplaceAll(s.name, ".", "-") }

func (s setting) masked(value string) string {
	if s.mask != nil {
		return s.mask(value)
	}
	if s.secret {
		return maskSecret(value)
	}
	return value
}

// Setting is a setting's value and where it came from, for people.
type Setting struct {
	Name   string
	Values []string // as written, secrets masked; empty for none
	Origin string   // "default", "souk.toml:12", "SOUK_ADDR" or "--addr"
}

// configSources is where the configuration comes from.
type configSources struct {
	// Flags are the values of each flag that was given, by its name without dashes.
	// "config" names the file; else SOUK_CONFIG does, else it is souk.toml in the data
	// directory, if there is one.
	Flags map[string][]string
	// Env is in the form of os.Environ. A variable without a value counts as not given,
	// the value of a list is split at commas.
	Env []string
	// ReadFile is os.ReadFile.
	ReadFile func(name string) ([]byte, error)
	// Defaults replaces defaults of the table, by the setting's name.
	Defaults map[string]string
}

// configError is everything that is wrong with a configuration, a sentence each.
type configError []string

func (e configError) Error() string {
	if len(e) == 1 {
		return e[0]
	}
	return fmt.Sprintf("The configuration has %d mistakes:\n  %s", len(e), strings.Join(e, "\n  "))
}

// ExitCode is the process's exit status for a configuration that is refused.
func (configError) ExitCode() int { return 2 }

// loadConfig reads the configuration from its sources. A list of a later source
// replaces that of an earlier one. The error is a configError with all that is wrong in
// any source, also where a later one overrides it; the settings are those read so far.
func loadConfig(from configSources) (Config, []Setting, error) {
	l := &loader{from: from, given: map[string]given{}}
	l.defaults()
	env, flags := l.environment(), l.flags()
	for _, g := range slices.Concat(l.file(env, flags), env, flags) {
		l.apply(g)
	}
	l.derive()
	l.check()
	if len(l.mistakes) > 0 {
		return Config{}, l.settings(), configError(l.mistakes)
	}
	return l.cfg, l.settings(), nil
}

// loader gathers a Config and what is wrong with it.
type loader struct {
	from     configSources
	cfg      Config
	given    map[string]given // by the setting's name; the last one applied
	mistakes []string
}

// given is a setting as one source gives it. No values is an empty list.
type given struct {
	setting setting
	values  []string
	origin  string

	origins []string           // of each value, where they differ
	tables  map[string][]given // of the setting replica: what a [[replica]] table says, by its URL
}

// originOf is where a value was given.
func (g given) originOf(value string) string {
	for i := len(g.origins) - 1; i >= 0; i-- {
		if g.values[i] == value {
			return g.origins[i]
		}
	}
	return g.origin
}

const fromDefault = "default"

// mistake adds a sentence about something at origin.
func (l *loader) mistake(origin, format string, args ...any) {
	l.mistakes = append(l.mistakes, origin+": "+fmt.Sprintf(format, args...))
}

func (l *loader) defaults() {
	for name := range l.from.Defaults {
		if !slices.ContainsFunc(settings, func(s setting) bool { return s.name == name }) {
			panic("souk: a default for " + name + ", which is no setting")
		}
	}
	for _, s := range settings {
		g := given{setting: s, origin: fromDefault}
		if def := cmp.Or(l.from.Defaults[s.name], s.def); def != "" {
			g.values = []string{def}
		}
		l.apply(g)
	}
}

// environment returns the settings among the variables. Variables of the tests, which
// begin with SOUK_TEST_ or SOUK_REQUIRE_, are none of its business.
func (l *loader) environment() []given {
	var all []given
	for _, entry := range slices.Sorted(slices.Values(l.from.Env)) {
		name, value, _ := strings.Cut(entry, "=")
		if !strings.HasPrefix(name, "SOUK_") || value == "" || name == configEnv ||
			strings.HasPrefix(name, "SOUK_TEST_") || strings.HasPrefix(name, "SOUK_REQUIRE_") {
			continue
		}
		if s, ok := l.known(name, name, setting.env); ok {
			all = append(all, given{setting: s, values: s.split(value), origin: name})
		}
	}
	return all
}

// flags returns the settings among the flags. Of a flag given more than once the last
// value counts, or all for a list.
func (l *loader) flags() []given {
	var all []given
	for _, s := range settings {
		values, ok := l.from.Flags[s.flag()]
		if !ok || len(values) == 0 {
			continue
		}
		if !s.list {
			values = values[len(values)-1:]
		}
		g := given{setting: s, origin: "--" + s.flag()}
		for _, v := range values {
			g.values = append(g.values, s.split(v)...)
		}
		all = append(all, g)
	}
	for _, name := range slices.Sorted(maps.Keys(l.from.Flags)) {
		if name != configFlag {
			l.known("--"+name, "--"+name, func(s setting) string { return "--" + s.flag() })
		}
	}
	return all
}

// split returns the values in the text of a variable or a flag.
func (s setting) split(text string) []string {
	if !s.list {
		return []string{text}
	}
	values := strings.Split(text, ",")
	for i, v := range values {
		values[i] = strings.TrimSpace(v)
	}
	return values
}

// known finds a setting by one of its names, or adds a mistake with the nearest one.
func (l *loader) known(origin, name string, nameOf func(setting) string) (setting, bool) {
	var names []string
	for _, s := range settings {
		if nameOf(s) == name {
			return s, true
		}
		names = append(names, nameOf(s))
	}
	if near := nearest(name, names); near != "" {
		l.mistake(origin, "there is no setting %q; did you mean %q?", name, near)
	} else {
		l.mistake(origin, "there is no setting %q; there are %s.", name, strings.Join(names, ", "))
	}
	return setting{}, false
}

// apply assigns the values, over what was assigned before, and keeps what is wrong.
func (l *loader) apply(g given) {
	l.given[g.setting.name] = g
	for _, err := range g.setting.set(&l.cfg, g.values) {
		if bad, ok := err.(badValue); ok {
			l.mistake(g.originOf(bad.value), "%s can't be %q: %s.", g.setting.name, g.setting.masked(bad.value), bad.want)
		} else {
			l.mistake(g.origin, "%s %s.", g.setting.name, err)
		}
	}
}

// derive gives their defaults to settings whose default depends on others, in the order
// of the table.
func (l *loader) derive() {
	for _, s := range settings {
		if s.from == nil || l.given[s.name].origin != fromDefault || l.from.Defaults[s.name] != "" {
			continue
		}
		if value := s.from(l.cfg); value != "" {
			l.apply(given{setting: s, values: []string{value}, origin: fromDefault})
		}
	}
}

// settings returns all settings in the order of the table, fit to be shown.
func (l *loader) settings() []Setting {
	var all []Setting
	for _, s := range settings {
		g := l.given[s.name]
		all = append(all, g.shown(s.name))
		for i, u := range g.values {
			for _, own := range g.tables[u] {
				all = append(all, own.shown(fmt.Sprintf("%s[%d].%s", s.name, i+1, own.setting.name)))
			}
		}
	}
	return all
}

func (g given) shown(name string) Setting {
	s := Setting{Name: name, Origin: g.origin}
	for _, v := range g.values {
		s.Values = append(s.Values, g.setting.masked(v))
	}
	return s
}

// has reports whether the setting has a value, right or wrong.
func (l *loader) has(name string) bool { return len(l.given[name].values) > 0 }

// wrong adds a mistake about a setting as it was given.
func (l *loader) wrong(name, format string, args ...any) {
	l.mistake(l.given[name].origin, name+" "+format, args...)
}

// check looks at settings that must fit together. A value that was refused is zero in
// the Config and is not refused again.
func (l *loader) check() {
	l.checkBaseURL()
	l.readRoots()
	l.finishReplicas()
	l.checkSync()
	l.checkStripe()
	if l.has("mail.smtp") && !l.has("mail.from") {
		l.wrong("mail.smtp", "needs mail.from, the address that mails are sent from.")
	}
}

// checkBaseURL keeps links from leading to a name that the server doesn't answer to.
func (l *loader) checkBaseURL() {
	u, err := url.Parse(l.cfg.BaseURL)
	if err != nil || u.Host == "" || len(l.cfg.Domains) == 0 {
		return
	}
	if !slices.Contains(l.cfg.Domains, u.Hostname()) {
		l.wrong("base-url", "is %q, which no domain serves: use one of %s, or add %s to domain.",
			l.cfg.BaseURL, strings.Join(l.cfg.Domains, ", "), u.Hostname())
	}
}

func (l *loader) readRoots() {
	file := l.cfg.ACMERoot
	if file == "" {
		return
	}
	pem, err := l.from.ReadFile(file)
	if err != nil {
		l.wrong("acme-root", "%q can't be read: %v.", file, cause(err))
		return
	}
	roots, err := x509.SystemCertPool()
	if err != nil {
		roots = x509.NewCertPool()
	}
	if !roots.AppendCertsFromPEM(pem) {
		l.wrong("acme-root", "is %q, which has no certificate in PEM form (-----BEGIN CERTIFICATE-----).", file)
		return
	}
	l.cfg.ACMERoots = roots
}

// checkStripe keeps test and live apart: real cards are charged only if both the key and
// the operator say so.
func (l *loader) checkStripe() {
	key, secret := l.has("stripe.secret-key"), l.has("stripe.webhook-secret")
	if key && !secret {
		l.wrong("stripe.secret-key", "needs stripe.webhook-secret, the signing secret (whsec_…) of the webhook endpoint: without it payments are taken and never confirmed.")
	}
	if secret && !key {
		l.wrong("stripe.webhook-secret", "needs stripe.secret-key, the API key (sk_… or rk_…) that takes the payments.")
	}
	if l.cfg.Stripe.Live && !key {
		l.wrong("stripe.live", "is true and there is no stripe.secret-key: without one payments go to the sandbox, where money is for testing.")
	}
	if !l.cfg.Stripe.SecretKey.IsSet() {
		return
	}
	live := stripeKeyIsLive(l.cfg.Stripe.SecretKey)
	if live && !l.cfg.Stripe.Live {
		l.wrong("stripe.secret-key", "is a live key (%s) and stripe.live is false: real cards would be charged. Use a key that begins with sk_test_ or rk_test_, or set stripe.live to true.", l.cfg.Stripe.SecretKey)
	}
	if !live && l.cfg.Stripe.Live {
		l.wrong("stripe.secret-key", "is a test key (%s) and stripe.live is true: nobody would be charged. Use a key that begins with sk_live_ or rk_live_, or set stripe.live to false.", l.cfg.Stripe.SecretKey)
	}
}
