package main

import (
	"errors"
	"fmt"
	"net/url"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/souk-market/souk/internal/drill"
	"github.com/souk-market/souk/internal/market"
	"github.com/souk-market/souk/internal/replica"
)

// ReplicaConfig is one replica. Each setting that begins with "replica-" holds for all
// replicas; a [[replica]] table of souk.toml has the same settings without "replica-",
// for its replica alone.
type ReplicaConfig struct {
	URL string // without a password

	Key     Secret // a recovery key or a server key; not set for a replica that isn't encrypted
	KeyFile string // the file that Key was read from

	Password Secret // of an SFTP or WebDAV user, who is named in the URL

	Interval      time.Duration // the least time between two change files
	SnapshotEvery time.Duration
	Keep          replica.Retention // which moments can be restored
}

// SyncConfig says what a purchase waits for.
type SyncConfig struct {
	Orders   bool          // for the acknowledgement of the first replica
	Timeout  time.Duration // at most
	Continue bool          // then it is confirmed all the same, with an alarm; else refused
}

// DrillConfig says when restoring is rehearsed.
type DrillConfig struct {
	Weekly bool
	At     drill.Schedule
}

// tablePrefix begins the names of settings that a [[replica]] table may have.
const tablePrefix = "replica-"

var replicaSettings = []setting{
	{name: "replica", list: true, hint: "URL", mask: maskURL,
		help: "Where to replicate to: file:///path or s3://bucket/path?region=REGION&endpoint=https://HOST. Keys for S3 come from AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY. Instead of the list, souk.toml may have a [[replica]] table for each, with url and any of the settings below for that replica alone, without \"replica-\" before their names.",
		set:  many(func(c *Config) *[]ReplicaConfig { return &c.Replicas }, 0, replicaAt)},
	{name: "replica-key", hint: "KEY", secret: true,
		help: "The key that replicas are encrypted with, as souk replica keygen prints it: the recovery key, or the server key, with which this server can't read what it writes.",
		set:  one(func(c *Config) *Secret { return &c.Replica.Key }, replicaKey)},
	{name: "replica-key-file", hint: "FILE",
		help: "A file with that key, which only the server's user may read.",
		set:  one(func(c *Config) *string { return &c.Replica.KeyFile }, filePath)},
	{name: "replica-password", hint: "PASSWORD", secret: true,
		help: "The password of an SFTP or WebDAV user, who is named in the URL.",
		set:  one(func(c *Config) *Secret { return &c.Replica.Password }, password)},
	{name: "replica-interval", def: "1s", hint: "DURATION",
		help: "The longest time that a purchase waits to be replicated, 100ms to 1h.",
		set:  one(func(c *Config) *time.Duration { return &c.Replica.Interval }, duration(100*time.Millisecond, time.Hour))},
	{name: "replica-snapshot-every", def: "24h", hint: "DURATION",
		help: "The time between snapshots while there are changes, 10m to 30d.",
		set:  one(func(c *Config) *time.Duration { return &c.Replica.SnapshotEvery }, duration(10*time.Minute, 30*day))},
	{name: "replica-keep-fine", def: "24h", hint: "DURATION",
		help: "For how long every second can be restored, 2h to 31d.",
		set:  one(func(c *Config) *time.Duration { return &c.Replica.Keep.Fine }, duration(2*time.Hour, 31*day))},
	{name: "replica-keep-medium", def: "7d", hint: "DURATION",
		help: "For how long every five minutes can be restored, 2h to 366d.",
		set:  one(func(c *Config) *time.Duration { return &c.Replica.Keep.Medium }, duration(2*time.Hour, 366*day))},
	{name: "replica-keep-daily", def: "30", hint: "N",
		help: "For how many days one snapshot each is kept, 1 to 1000.",
		set:  one(func(c *Config) *int { return &c.Replica.Keep.Daily }, number(1, 1000))},
	{name: "replica-keep-weekly", def: "52", hint: "N",
		help: "For how many weeks one snapshot each is kept, 1 to 1000.",
		set:  one(func(c *Config) *int { return &c.Replica.Keep.Weekly }, number(1, 1000))},
	{name: "replica-keep-monthly", def: "84", hint: "N",
		help: "For how many months one snapshot each is kept, 1 to 1000.",
		set:  one(func(c *Config) *int { return &c.Replica.Keep.Monthly }, number(1, 1000))},
	{name: "replica-keep-grace", def: "24h", hint: "DURATION",
		help: "How long what no kept moment needs is still kept, 1h to 90d.",
		set:  one(func(c *Config) *time.Duration { return &c.Replica.Keep.Grace }, duration(time.Hour, 90*day))},

	{name: "sync", def: "off", hint: "WHAT",
		help: "What waits for the acknowledgement of the first replica listed, and of no other, before it is confirmed: orders (with everything else that moves money), or nothing (off). The first replica then holds every confirmed order.",
		set: one(func(c *Config) *bool { return &c.Sync.Orders }, func(s string) (bool, error) {
			word, err := oneOf("off", "orders")(s)
			return word == "orders", err
		})},
	{name: "sync-timeout", def: "5s", hint: "DURATION",
		help: "How long it waits, 100ms to 1m.",
		set:  one(func(c *Config) *time.Duration { return &c.Sync.Timeout }, duration(100*time.Millisecond, time.Minute))},
	{name: "sync-policy", def: "refuse", hint: "POLICY",
		help: "What holds while the first replica does not acknowledge: refuse purchases, or continue without waiting, with an alarm.",
		set: one(func(c *Config) *bool { return &c.Sync.Continue }, func(s string) (bool, error) {
			word, err := oneOf("refuse", "continue")(s)
			return word == "continue", err
		})},
	{name: "lease", def: "off", hint: "DURATION",
		help: "For servers that another may take over from: the time without its first replica after which this one stops selling, 10s to 10m, or off. The replica then says for how long this server lives, which costs three requests in that time.",
		set:  one(func(c *Config) *time.Duration { return &c.Lease }, durationOrOff(10*time.Second, 10*time.Minute))},
	{name: "drill", def: "weekly", hint: "WHEN",
		help: "How often restoring from each replica is rehearsed: weekly, or never (off).",
		set: one(func(c *Config) *bool { return &c.Drill.Weekly }, func(s string) (bool, error) {
			word, err := oneOf("weekly", "off")(s)
			return word == "weekly", err
		})},
	{name: "drill-at", def: "Sunday 04:00", hint: "TIME",
		help: "The weekday and the time of UTC at which it is rehearsed.",
		set:  one(func(c *Config) *drill.Schedule { return &c.Drill.At }, drillTime)},
}

// replicaSchemes are the ways to a replica besides file, with what stands before "/path".
var replicaSchemes = map[string]string{
	"s3": "bucket", "gs": "bucket", "oss": "bucket", "abs": "container",
	"sftp": "host", "webdav": "host", "webdavs": "host", "nats": "host",
}

func replicaAt(s string) (ReplicaConfig, error) {
	const want = "write file:///absolute/path or s3://bucket/path?region=REGION&endpoint=https://HOST"
	u, err := url.Parse(s)
	if err != nil || u.Opaque != "" || u.Fragment != "" {
		return ReplicaConfig{}, errors.New(want)
	}
	if err := noPassword(u); err != nil {
		return ReplicaConfig{}, err
	}
	place := replicaSchemes[u.Scheme]
	switch {
	case u.Scheme == "file" && u.Host == "" && filepath.IsAbs(u.Path) && u.Path != "/" && u.RawQuery == "":
	case place != "" && u.Host != "" && strings.Trim(u.Path, "/") != "":
	case place != "":
		return ReplicaConfig{}, fmt.Errorf("write %s://%s/path, with a path of its own", u.Scheme, place)
	default:
		return ReplicaConfig{}, errors.New(want)
	}
	return ReplicaConfig{URL: s}, nil
}

// noPassword keeps out of a URL what logs, errors and process lists would show.
func noPassword(u *url.URL) error {
	_, secret := u.User.Password()
	switch {
	case u.Scheme == "s3" && u.User != nil:
		return errors.New("keys don't belong into the URL, where logs would show them; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY")
	case secret:
		return errors.New("a password doesn't belong into the URL, where logs would show it; set replica-password instead (SOUK_REPLICA_PASSWORD in the environment)")
	}
	return nil
}

func replicaKey(s string) (Secret, error) {
	if _, err := replica.ParseKey(s); err != nil {
		return Secret{}, lowered(err)
	}
	return newSecret(strings.TrimSpace(s)), nil
}

// lowered makes the sentence of an error a part of another one.
func lowered(err error) error {
	text := strings.TrimSuffix(market.Message(err), ".")
	return errors.New(strings.ToLower(text[:1]) + text[1:])
}

func password(s string) (Secret, error) {
	if s == "" || strings.ContainsFunc(s, unicode.IsControl) {
		return Secret{}, errors.New("write the password in one line")
	}
	return newSecret(s), nil
}

// drillTime reads a weekday, by its name or the first three letters or more of it, and a time.
func drillTime(s string) (drill.Schedule, error) {
	name, clock, _ := strings.Cut(s, " ")
	at, err := time.Parse("15:04", clock)
	for d := time.Sunday; err == nil && d <= time.Saturday; d++ {
		whole := d.String()
		if len(name) >= 3 && len(name) <= len(whole) && strings.EqualFold(whole[:len(name)], name) {
			return drill.Schedule{Weekday: d, Hour: at.Hour(), Minute: at.Minute()}, nil
		}
	}
	return drill.Schedule{}, errors.New("write a weekday and a time of UTC, such as Sunday 04:00")
}

func number(least, most int) func(string) (int, error) {
	return func(s string) (int, error) {
		n, err := strconv.Atoi(s)
		if err != nil || n < least || n > most {
			return 0, fmt.Errorf("write a number from %d to %d", least, most)
		}
		return n, nil
	}
}

func durationOrOff(least, most time.Duration) func(string) (time.Duration, error) {
	return func(s string) (time.Duration, error) {
		if s == "off" || s == "0" {
			return 0, nil
		}
		d, err := duration(least, most)(s)
		if err != nil {
			return 0, fmt.Errorf("%w, or off", err)
		}
		return d, nil
	}
}

// finishReplicas gives each replica what holds for all, and what its table says.
func (l *loader) finishReplicas() {
	l.finishReplica(tablePrefix)
	tables := l.given["replica"].tables
	for i, r := range l.cfg.Replicas {
		l.cfg.Replicas[i] = l.replica(r.URL, tables[r.URL])
	}
	l.checkReplicas()
}

// replica is a replica with the settings of its table over those that hold for all.
func (l *loader) replica(rawURL string, table []given) ReplicaConfig {
	own := &loader{from: l.from, cfg: Config{Replica: l.cfg.Replica}, given: map[string]given{}}
	own.cfg.Replica.URL = rawURL
	if slices.ContainsFunc(table, func(g given) bool { return strings.HasPrefix(g.setting.name, "key") }) {
		own.cfg.Replica.Key, own.cfg.Replica.KeyFile = Secret{}, ""
	}
	for _, g := range table {
		own.apply(g)
	}
	if len(table) > 0 {
		own.finishReplica("")
	}
	l.mistakes = append(l.mistakes, own.mistakes...)
	return own.cfg.Replica
}

// finishReplica reads the key's file and looks at what must fit together in
// l.cfg.Replica. The prefix is that of its settings' names.
func (l *loader) finishReplica(prefix string) {
	r := &l.cfg.Replica
	if l.has(prefix+"key") && l.has(prefix+"key-file") {
		l.wrong(prefix+"key", "and %skey-file are both given (%s): leave one out.", prefix, l.given[prefix+"key-file"].origin)
		return
	}
	if l.has(prefix+"key-file") && r.KeyFile != "" {
		l.readKey(prefix+"key-file", r)
	}
	if r.Keep.Fine > r.Keep.Medium && r.Keep.Medium > 0 && (l.has(prefix+"keep-fine") || l.has(prefix+"keep-medium")) {
		l.wrong(prefix+"keep-fine", "is longer than %skeep-medium: what can be restored to the second can be restored to five minutes too.", prefix)
	}
}

func (l *loader) readKey(name string, r *ReplicaConfig) {
	if isKey(r.KeyFile) {
		l.wrong(name, "is a key, and wants the name of the file that holds it.")
		return
	}
	text, err := l.from.ReadFile(r.KeyFile)
	if err != nil {
		l.wrong(name, "%q can't be read: %v.", r.KeyFile, cause(err))
		return
	}
	if r.Key, err = replicaKey(string(text)); err != nil {
		l.wrong(name, "is %q, which holds no key: %v.", r.KeyFile, err)
	}
}

// checkReplicas keeps a replica from being lost with the directory that it is for, and
// from being written twice.
func (l *loader) checkReplicas() {
	data, err := filepath.Abs(l.cfg.Data)
	if err != nil || l.cfg.Data == "" {
		return
	}
	places := map[string]string{}
	for _, r := range l.cfg.Replicas {
		u, err := url.Parse(r.URL)
		if err != nil {
			continue
		}
		place := u.Scheme + "://" + u.Host + path.Clean("/"+u.Path) + " at " + u.Query().Get("endpoint")
		if other, ok := places[place]; ok {
			l.wrong("replica", "%q and %q are the same place: leave one out.", other, r.URL)
		}
		places[place] = r.URL
		if u.Scheme != "file" {
			continue
		}
		if in, err := filepath.Rel(data, u.Path); err == nil && filepath.IsLocal(in) {
			l.wrong("replica", "%q is in the data directory %s, and would be lost with it: use another disk, or S3.", r.URL, data)
		}
	}
}

// checkSync refuses what would wait for a replica where there is none.
func (l *loader) checkSync() {
	if len(l.cfg.Replicas) > 0 || l.has("replica") {
		return
	}
	if l.cfg.Sync.Orders {
		l.wrong("sync", "is orders and there is no replica that could acknowledge them: name one with replica.")
	}
	if l.cfg.Lease > 0 {
		l.wrong("lease", "is %s and there is no replica that it could be kept in: name one with replica.", short(l.cfg.Lease))
	}
}

// replicaFor is the configuration of a replica that a command names: that of the
// configured one with this URL, else what holds for all.
func (c Config) replicaFor(rawURL string) ReplicaConfig {
	for _, r := range c.Replicas {
		if r.URL == rawURL {
			return r
		}
	}
	r := c.Replica
	r.URL = rawURL
	return r
}
