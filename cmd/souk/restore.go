package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"golang.org/x/term"

	"github.com/souk-market/souk/internal/control"
	"github.com/souk-market/souk/internal/market"
	"github.com/souk-market/souk/internal/replica"
	"github.com/souk-market/souk/store"
)

type restoreCmd struct {
	settingsFlags
	From    []string `required:"" sep:"none" placeholder:"URL" help:"The replica: file:///path or s3://bucket/path?region=REGION&endpoint=https://HOST. Keys for S3 come from AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY. May be repeated: what one replica lacks or holds damaged comes from the next."`
	Data    string   `required:"" placeholder:"DIR" help:"The directory to make. It must not exist, or be empty."`
	At      string   `placeholder:"TIME" help:"Restore what had been shipped by this time (RFC 3339, as 2026-11-23T10:00:00Z). Default: everything."`
	LSN     uint64   `name:"lsn" placeholder:"N" help:"Restore up to this commit, or the last one before it at which a file ends."`
	TXID    uint64   `name:"txid" placeholder:"N" help:"Restore up to this file of the first replica's newest generation."`
	Attach  bool     `help:"Be ready within seconds: souk serve reads what isn't there yet from the replica, and downloads it meanwhile."`
	KeyFile []string `sep:"none" placeholder:"FILE" help:"The file with the recovery key of an encrypted replica, or - for standard input. Once for all replicas, or once for each, and then \"none\" for one that isn't encrypted."`
	JSON    bool     `name:"json" help:"Print the result as one JSON object."`

	AllowMissingFiles bool `help:"Restore even if the replica lacks some of the files for sale, and name them."`

	key string // that was typed in; empty for none
	cfg Config
}

func (c *restoreCmd) Run(ctx context.Context) error {
	target, err := c.target()
	if err != nil {
		return err
	}
	cfg, err := c.config()
	if err != nil {
		return err
	}
	c.cfg = cfg
	log := cfg.logger()
	rep, err := c.restore(ctx, cfg, target, log)
	if errors.Is(err, replica.ErrKey) && len(c.KeyFile) == 0 && term.IsTerminal(int(os.Stdin.Fd())) {
		fmt.Fprintln(os.Stderr, operatorText(err))
		text, asked := askUnseen(ctx, "Recovery key (not shown): ")
		if asked != nil {
			return asked
		}
		c.key = text
		rep, err = c.restore(ctx, cfg, target, log)
	}
	if err != nil {
		return err
	}
	res := restoreResult{Report: rep, Data: c.Data}
	if !rep.Attached { // what is still in the replica is checked when it has been downloaded
		if res.Check, err = checkRestored(ctx, Config{Data: c.Data, LogLevel: cfg.LogLevel, LogFormat: cfg.LogFormat}); err != nil {
			return err
		}
	}
	return c.print(os.Stdout, &res, target)
}

// target is the moment that was asked for.
func (c *restoreCmd) target() (t replica.Target, err error) {
	asked := 0
	for _, given := range []bool{c.At != "", c.LSN != 0, c.TXID != 0} {
		if given {
			asked++
		}
	}
	if asked > 1 {
		return t, usageError("Give one of --at, --lsn and --txid.")
	}
	t.LSN, t.TXID = store.LSN(c.LSN), c.TXID
	if c.At != "" {
		if t.Time, err = time.Parse(time.RFC3339, c.At); err != nil {
			return t, usageError(fmt.Sprintf("%q is no time. Write it like 2026-11-23T10:00:00Z.", c.At))
		}
	}
	return t, nil
}

// config is that of the flags, the environment and the file --config: the directory that
// is to be made has none.
func (c *restoreCmd) config() (Config, error) {
	flags := maps.Clone(c.values())
	flags["data"] = []string{c.Data}
	cfg, _, err := loadConfig(configSources{Flags: flags, Env: os.Environ(), ReadFile: os.ReadFile})
	return cfg, err
}

// open makes the clients of the replicas, in their order.
func (c *restoreCmd) open(cfg Config, log *slog.Logger) ([]*replica.Client, error) {
	if n := len(c.KeyFile); n > 1 && n != len(c.From) {
		return nil, usageError("Give --key-file once for all replicas, or once for each --from, in the same order.")
	}
	var all []*replica.Client
	key := c.key
	for i, u := range c.From {
		r := cfg.replicaFor(u)
		if i < len(c.KeyFile) {
			var err error
			if key, err = c.keyOf(i); err != nil {
				return nil, err
			}
			r.Key = newSecret(key)
		}
		if key != "" {
			r.Key = newSecret(key)
		}
		client, err := openReplica(r, log)
		if err != nil {
			return nil, err
		}
		all = append(all, client)
	}
	return all, nil
}

// noKey stands in for the key file of a replica that isn't encrypted.
const noKey = "none"

// keyOf reads the key file of a replica; "" when it has none.
func (c *restoreCmd) keyOf(i int) (string, error) {
	if c.KeyFile[i] == noKey {
		return "", nil
	}
	return readKeyFile(c.KeyFile[i])
}

func (c *restoreCmd) restore(ctx context.Context, cfg Config, target replica.Target, log *slog.Logger) (replica.Report, error) {
	from, err := c.open(cfg, log)
	if err != nil {
		return replica.Report{}, err
	}
	bar, meter := newProgress(os.Stderr, 0), newTransfer()
	defer bar.done()
	rep, err := replica.Restore(ctx, from, c.Data, target, replica.RestoreOptions{
		Logger: log, AllowMissingBlobs: c.AllowMissingFiles, Attach: c.Attach,
		Progress: func(done, total int64) {
			bar.total = total
			bar.show(done, meter.note(done, total))
		},
	})
	return rep, unfinished(err, "The restore was broken off. Run the same command again: what has been downloaded and verified is used again.")
}

// checkedData is what the check of a restored directory read.
type checkedData struct {
	Keys    int            `json:"keys_read"`
	Records map[string]int `json:"records"`
}

// checkRestored verifies the whole database, and lists what is wrong with it.
func checkRestored(ctx context.Context, cfg Config) (*checkedData, error) {
	h, err := openClosed(cfg)
	if err != nil {
		return nil, err
	}
	s := newScreen(os.Stderr, os.Stderr)
	rep, err := (&checkTask{}).check(ctx, h, &control.Console{Out: s, Show: func(p control.Progress) {
		p.Note = "checking: " + p.Note
		s.show(p)
	}})
	s.bar.done()
	if err = errors.Join(err, h.close()); err != nil {
		return nil, unfinished(err, "Everything is restored into %s, but the check was broken off. Run souk check --data %s.", cfg.Data, cfg.Data)
	}
	if rep.OK() {
		return &checkedData{rep.Keys, rep.Records}, nil
	}
	for _, p := range rep.Problems {
		fmt.Fprintln(s, plain(p))
	}
	return nil, s.close(market.Errorf(market.Conflict, "Everything is restored into %s, but the check found %s. "+
		"Don't serve it: restore an earlier moment with --at, or from another replica.", cfg.Data, count(len(rep.Problems)+rep.More, "problem", "problems")))
}

// restoreResult is what a restore did, as it is printed.
type restoreResult struct {
	replica.Report
	Data  string       `json:"data"`
	Check *checkedData `json:"check,omitempty"` // nil when the directory is attached
}

func (c *restoreCmd) print(w io.Writer, res *restoreResult, target replica.Target) error {
	if c.JSON {
		return json.NewEncoder(w).Encode(res)
	}
	var b strings.Builder
	for _, h := range res.Healed {
		fmt.Fprintf(&b, "Healed: %s: %s. Taken instead: %s.\n", h.Name, strings.TrimRight(h.Reason, "."), h.By)
	}
	for _, s := range res.Sources {
		if s.Err != "" {
			fmt.Fprintf(&b, "Not used: %s: %s\n", s.URL, plain(s.Err))
		}
	}
	for _, sum := range res.MissingBlobs {
		fmt.Fprintf(&b, "Missing: the file %s, in every replica.\n", sum)
	}
	b.WriteString(c.summary(res, target))
	_, err := io.WriteString(w, b.String())
	return err
}

// summary says which moment was reached, what is not there, and what to do next.
func (c *restoreCmd) summary(res *restoreResult, target replica.Target) string {
	var b strings.Builder
	fmt.Fprintf(&b, "Restored %s: the marketplace as of %s, commit %d (generation %d, file %d). ",
		c.Data, clock(res.Time), res.LSN, res.Generation, res.TXID)
	if res.Check == nil {
		fmt.Fprintf(&b, "It is ready after %s, and its data are still in the replica: keep that reachable until souk serve has logged that everything is downloaded and checked. ",
			span(res.Duration))
	} else {
		fmt.Fprintf(&b, "It took %s for %s in %s and %s of files for sale (%d). The check read %d keys (%s, %s): everything is in order. ",
			span(res.Duration), amount(res.Bytes), count(res.Files+res.Segments, "file", "files"), amount(res.BlobBytes), res.Blobs, res.Check.Keys,
			count(res.Check.Records["orders"], "order", "orders"), count(res.Check.Records["accounts"], "account", "accounts"))
	}
	if c.Attach && res.Check != nil {
		b.WriteString("No snapshot in the replica could be attached, so everything was downloaded, and nothing is read from there any more. ")
	}
	if target != (replica.Target{}) {
		b.WriteString("What came after that moment stays in the replica, and is not here.")
	} else {
		fmt.Fprintf(&b, "Missing is what the old server committed after that moment and had not shipped; the moment was %s ago when the restore began.", span(res.Age))
	}
	const next = "Next: make sure that the old server is off, and run the line below. It seals the old server's part of the replica, so that it can't write there any more, " +
		"and lets no mail leave before the payment provider has been asked about open payments."
	return "\n" + wrap(b.String()) + "\n" + wrap(next) + "\n    souk serve --takeover --data " + shellWord(c.Data) + c.serveArgs() + "\n"
}

// serveArgs are the flags with which a server goes on with these replicas and their keys.
func (c *restoreCmd) serveArgs() string {
	file := c.values()["config"]
	if len(file) == 0 {
		return replicaArgs(c.From) + c.keyArgs()
	}
	args := " --config " + shellWord(file[0])
	var configured []string
	for _, r := range c.cfg.Replicas {
		configured = append(configured, r.URL)
	}
	// --replica takes the place of all that the file says of replicas.
	if len(c.KeyFile) == 0 && c.key == "" && slices.Equal(configured, c.From) {
		return args
	}
	return args + replicaArgs(c.From) + c.keyArgs()
}

// keyArgs is the flag for the key of the replicas, "" without one.
func (c *restoreCmd) keyArgs() string {
	const someFile = " --replica-key-file FILE"
	files := map[string]bool{}
	for _, name := range c.KeyFile {
		files[name] = true
	}
	if c.key != "" {
		return someFile
	}
	for _, u := range c.From {
		if r := c.cfg.replicaFor(u); len(c.KeyFile) == 0 && r.Key.IsSet() {
			files[r.KeyFile] = true
		}
	}
	delete(files, noKey)
	if len(files) == 0 {
		return ""
	}
	for name := range files {
		if len(files) == 1 && name != "" && name != "-" {
			return " --replica-key-file " + shellWord(name)
		}
	}
	return someFile
}

// replicaArgs are the flags for a command line that goes on with these replicas.
func replicaArgs(urls []string) string {
	var b strings.Builder
	for _, u := range urls {
		b.WriteString(" --replica " + shellWord(u))
	}
	return b.String()
}
