// Command souk is a whole marketplace for AI agents: server, importer, restorer and
// checker in one binary. This package is flags, configuration and wiring; what the
// commands do is in the packages they wire.
package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	"github.com/alecthomas/kong"
	"github.com/souk-market/souk/internal/replica"
)

// commands are souk's commands.
type commands struct {
	Serve     serveCmd     `cmd:"" help:"Run the marketplace."`
	Demo      demoCmd      `cmd:"" help:"Run a marketplace with sample listings and test payments, in a directory of its own."`
	Import    importCmd    `cmd:"" help:"Bring in listings from a file or a folder."`
	Export    exportCmd    `cmd:"" help:"Write the catalogue into a folder, as JSON Lines and files."`
	Agent     agentCmd     `cmd:"" help:"See agents, and rename, publish, suspend, pick and yank them, closed or running."`
	Category  categoryCmd  `cmd:"" help:"See, make and remove categories, closed or running."`
	Attribute attributeCmd `cmd:"" help:"Declare attributes that agents have in your marketplace, closed or running."`
	Tag       tagCmd       `cmd:"" help:"Merge tags that mean the same, closed or running."`
	Page      pageCmd      `cmd:"" help:"See and write the static pages, closed or running."`
	Restore   restoreCmd   `cmd:"" help:"Make a data directory from a replica."`
	Standby   standbyCmd   `cmd:"" help:"Follow the replica of another server, and be ready to take over."`
	Promote   promoteCmd   `cmd:"" help:"Make the primary of a standby, running or stopped."`
	Replica   replicaCmd   `cmd:"" help:"See, list and verify replicas, and make and check their keys."`
	Drill     drillCmd     `cmd:"" help:"Rehearse a restore: into a temporary directory, checked and compared, closed or running."`
	Check     checkCmd     `cmd:"" help:"Verify the whole database, closed or running."`
	Inspect   inspectCmd   `cmd:"" help:"Print records and the change log as JSON, closed or running."`
	Compact   compactCmd   `cmd:"" help:"Rewrite the database into its densest form, closed or running."`
	Reindex   reindexCmd   `cmd:"" help:"Build the search index anew from the records, closed or running."`
	Ledger    ledgerCmd    `cmd:"" help:"Print the ledger, closed or running."`
	Jobs      jobsCmd      `cmd:"" help:"See and retry the work that waits, runs or has failed, closed or running."`
	Account   accountCmd   `cmd:"" help:"Make accounts."`
	Config    configCmd    `cmd:"" help:"Print the configuration with the origin of each value, secrets masked."`
	Version   versionCmd   `cmd:"" help:"Print the version."`
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), stopSignals()...)
	// What can't end in order, as when nobody reads the output, a second Ctrl+C ends.
	context.AfterFunc(ctx, func() { signal.Reset(os.Interrupt) })
	status := run(ctx, os.Args[1:])
	stop()
	os.Exit(status)
}

// stopSignals end the program in order. The end of a terminal is one of them, unless
// nohup has turned it off.
func stopSignals() []os.Signal {
	if signal.Ignored(syscall.SIGHUP) {
		return []os.Signal{os.Interrupt, syscall.SIGTERM}
	}
	return []os.Signal{os.Interrupt, syscall.SIGTERM, syscall.SIGHUP}
}

// run parses and executes a command line, and returns the exit status: 0 for success, 1
// for failure, 2 for a command line or configuration that can't be understood.
func run(ctx context.Context, args []string) int {
	parser, err := newParser(ctx)
	if err != nil {
		fmt.Fprintln(os.Stderr, "souk:", err)
		return 1
	}
	parsed, err := parser.Parse(args)
	if err != nil {
		fmt.Fprintf(os.Stderr, "souk: %v\nTry souk --help.\n", err)
		return 2
	}
	if err := parsed.Run(); err != nil {
		return report(err)
	}
	return 0
}

// newParser makes what reads command lines.
func newParser(ctx context.Context) (*kong.Kong, error) {
	all := newSettingsFlags()
	cli := commands{
		Serve: serveCmd{settingsFlags: all}, Demo: demoCmd{settingsFlags: newSettingsFlags()}, Config: configCmd{settingsFlags: newSettingsFlags()},
		Import: importCmd{settingsFlags: newSettingsFlags("data", "log-level", "log-format", "currency", "cache-size", "min-free")},
		Export: exportCmd{settingsFlags: newSettingsFlags("data", "log-level", "log-format", "cache-size", "min-free")},
		Agent:  newAgentCmd(), Category: newCategoryCmd(), Attribute: newAttributeCmd(), Tag: newTagCmd(), Page: newPageCmd(),
		Restore: restoreCmd{settingsFlags: newSettingsFlags("log-level", "log-format")},
		Replica: newReplicaCmd(),
		Standby: standbyCmd{settingsFlags: newSettingsFlags()}, Promote: promoteCmd{settingsFlags: replicaFlags()},
		Drill:   drillCmd{settingsFlags: replicaFlags()},
		Check:   checkCmd{settingsFlags: taskFlags()},
		Inspect: inspectCmd{settingsFlags: taskFlags()},
		Compact: compactCmd{settingsFlags: taskFlags()},
		Reindex: reindexCmd{settingsFlags: taskFlags()},
		Ledger: ledgerCmd{
			Export: ledgerExportCmd{settingsFlags: taskFlags()}, Balances: ledgerBalancesCmd{settingsFlags: taskFlags()},
		},
		Jobs: jobsCmd{
			List: jobsListCmd{settingsFlags: taskFlags()}, Show: jobsShowCmd{settingsFlags: taskFlags()}, Retry: jobsRetryCmd{settingsFlags: taskFlags()},
		},
		Account: accountCmd{Add: accountAddCmd{settingsFlags: newSettingsFlags("data", "log-level", "log-format")}},
	}
	return kong.New(&cli, kong.Name("souk"), kong.Description("A marketplace for AI agents in one binary."),
		kong.BindTo(ctx, (*context.Context)(nil)), kong.UsageOnError(), kong.ShortUsageOnError())
}

// report prints an error for the operator: the sentence, and the cause where it helps.
func report(err error) int {
	fmt.Fprintln(os.Stderr, "souk:", operatorText(err))
	var coded interface{ ExitCode() int }
	if errors.As(err, &coded) {
		return coded.ExitCode()
	}
	return 1
}

// usageError is a command line that can be parsed and not be understood.
type usageError string

func (e usageError) Error() string { return string(e) }

// ExitCode is the process's exit status for it.
func (usageError) ExitCode() int { return 2 }

func operatorText(err error) string { return replica.Words(err) }

// load reads the configuration for a command's flags.
func (f settingsFlags) load(defaults map[string]string) (Config, []Setting, error) {
	return loadConfig(configSources{Flags: f.values(), Env: os.Environ(), ReadFile: os.ReadFile, Defaults: defaults})
}

// logger writes to standard error.
func (c Config) logger() *slog.Logger {
	opts := &slog.HandlerOptions{Level: c.LogLevel, ReplaceAttr: errorText}
	out := &logLines{to: os.Stderr}
	if c.LogFormat == "json" {
		return slog.New(logHandler{slog.NewJSONHandler(out, opts), out})
	}
	return slog.New(logHandler{slog.NewTextHandler(out, opts), out})
}

// errorText logs an error by its text. Pebble's errors would come with their stack traces.
func errorText(_ []string, a slog.Attr) slog.Attr {
	if a.Value.Kind() == slog.KindAny {
		if err, ok := a.Value.Any().(error); ok {
			a.Value = slog.StringValue(err.Error())
		}
	}
	return a
}

type configCmd struct {
	settingsFlags
	Template bool `help:"Print a souk.toml with all defaults and what they mean."`
}

func (c *configCmd) Run() error {
	if c.Template {
		return printTemplate(os.Stdout)
	}
	_, all, err := c.load(nil)
	if err != nil {
		return err
	}
	return printSettings(os.Stdout, all)
}

type versionCmd struct{}

func (versionCmd) Run() error {
	fmt.Println("souk", version())
	return nil
}

// version is the module's version, or the commit the binary was built from.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	if v := info.Main.Version; v != "" && v != "(devel)" {
		return v
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			return s.Value
		}
	}
	return "devel"
}
