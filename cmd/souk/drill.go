package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/souk-market/souk/internal/control"
	"github.com/souk-market/souk/internal/drill"
	"github.com/souk-market/souk/internal/market"
	"github.com/souk-market/souk/internal/monitor"
	"github.com/souk-market/souk/internal/replica"
)

type drillCmd struct {
	settingsFlags
	drillTask
	KeyFile string `placeholder:"FILE" help:"With --from: the file with the recovery key of that replica, when it isn't the configured one."`
}

func (c *drillCmd) Run(ctx context.Context) error {
	if c.History && c.From != "" || c.KeyFile != "" && c.From == "" {
		return usageError("--history stands alone, and --key-file goes with --from.")
	}
	if c.KeyFile != "" {
		text, err := readKeyFile(c.KeyFile)
		if err != nil {
			return err
		}
		c.Key = text
	}
	cfg, _, err := c.load(nil)
	if err != nil {
		return err
	}
	if c.From != "" && market.KindOf(find(cfg.Data)) == market.NotFound {
		return c.elsewhere(ctx, cfg)
	}
	return do(ctx, cfg, &c.drillTask)
}

// elsewhere drills on a machine without a marketplace: in a data directory that isn't
// there yet, and isn't afterwards.
func (c *drillCmd) elsewhere(ctx context.Context, cfg Config) error {
	_, err := os.Stat(cfg.Data)
	if made := errors.Is(err, os.ErrNotExist); made {
		defer os.Remove(cfg.Data) // fails when something is in it
	}
	h := &house{cfg: cfg, log: cfg.logger()}
	s := newScreen(os.Stdout, os.Stderr)
	return s.close(c.run(ctx, h, &control.Console{Out: s, Show: s.show}))
}

// drillTask rehearses a restore, or lists the rehearsals.
type drillTask struct {
	From    string `placeholder:"URL" help:"The replica to restore. Default: each one that is configured."`
	History bool   `help:"List the drills so far, the newest first, and do nothing."`
	Limit   uint32 `default:"20" placeholder:"N" help:"With --history: at most this many; 0 for all. Default: 20."`
	JSON    bool   `name:"json" help:"Print a JSON object a line for each drill."`
	// Key opens the replica From. The command reads it, and the server, which may have
	// another working directory and other rights, gets the text.
	Key string `kong:"-"`
}

func (*drillTask) name() string { return "drill" }

func (t *drillTask) run(ctx context.Context, h *house, c *control.Console) error {
	runner := h.drillRunner()
	if t.History {
		past, err := runner.History(ctx, int(t.Limit))
		if err != nil {
			return err
		}
		return t.printHistory(c.Out, past)
	}
	sources, err := t.sources(h, runner)
	if err != nil {
		return err
	}
	failed := 0
	for _, s := range sources {
		meter := newTransfer()
		d, err := runner.Do(ctx, drill.Request{Source: s, Progress: func(what string, done, total int64) {
			if what == drill.Restoring {
				what += " " + meter.note(done, total)
			}
			c.Show(control.Progress{Done: done, Total: total, Note: what})
		}})
		if err != nil {
			return unfinished(err, "The drill was broken off. Nothing is left of it.")
		}
		if err := t.print(c.Out, &d); err != nil {
			return err
		}
		if d.State != market.DrillPassed {
			failed++
		}
	}
	if failed > 0 {
		return market.Errorf(market.Conflict, "%s failed. Don't count on a replica that fails its drill: look at it with souk replica status and souk replica verify.",
			count(failed, "drill", "drills"))
	}
	return nil
}

// configured are the replicas of this house, with their replicators in a server.
func (h *house) configured() (all []drill.Source, err error) {
	if runner := h.drillRunner(); len(runner.Sources) > 0 {
		return runner.Sources, nil
	}
	for _, r := range h.cfg.Replicas {
		client, err := openReplica(r, h.log)
		if err != nil {
			return nil, err
		}
		all = append(all, drill.Source{Client: client})
	}
	return all, nil
}

// sources are the replicas to drill.
func (t *drillTask) sources(h *house, runner *drill.Runner) ([]drill.Source, error) {
	if t.From == "" {
		all, err := h.configured()
		if err == nil && len(all) == 0 {
			err = market.Errorf(market.Invalid, "No replica is configured. Name one with --from, or configure it with replica in souk.toml.")
		}
		return all, err
	}
	r := h.cfg.replicaFor(t.From)
	if t.Key != "" {
		r.Key = newSecret(t.Key)
	}
	client, err := openReplica(r, h.log)
	if err != nil {
		return nil, err
	}
	for _, s := range runner.Sources {
		if t.Key == "" && s.Client.String() == client.String() {
			return []drill.Source{s}, nil
		}
	}
	return []drill.Source{{Client: client}}, nil
}

// drillRunner is the server's own, which ships to its replicas, or one for a closed
// directory.
func (h *house) drillRunner() *drill.Runner {
	if h.drills == nil {
		h.drills = h.newDrills(nil)
	}
	return h.drills
}

// newDrills makes what drills the replicas that this process ships to.
func (h *house) newDrills(shipping []*replica.Replicator) *drill.Runner {
	r := &drill.Runner{DB: h.db, Tenant: market.MainTenant, Dir: h.cfg.Data, MinFree: uint64(h.cfg.MinFree), Logger: h.log}
	for _, s := range shipping {
		r.Sources = append(r.Sources, drill.Source{Client: s.Client(), Replicator: s})
	}
	if at := h.cfg.Drill; at.Weekly {
		r.Schedule = &at.At
	}
	return r
}

// drillFigures are the newest drills of the replicas that this server ships to, by the
// names that their figures have.
func (h *house) drillFigures() map[string]monitor.Drill {
	past, err := h.drills.History(context.Background(), 0)
	if err != nil {
		h.log.Error("reading the drills", "err", err)
	}
	all := map[string]monitor.Drill{}
	for i, s := range h.drills.Sources {
		if d, ok := newestDrill(past, s.Client.String()); ok {
			all[fmt.Sprint(i+1)] = d
		}
	}
	return all
}

// newestDrill is how the newest drill of a replica ended, among those past, the newest
// first; false when there was none.
func newestDrill(past []market.Drill, source string) (f monitor.Drill, ok bool) {
	for _, d := range past {
		if d.Source != source || d.State == market.DrillRunning {
			continue
		}
		passed := d.State == market.DrillPassed
		if !ok {
			f, ok = monitor.Drill{Ended: d.Ended, Took: d.Took(), Passed: passed, RPO: d.RPO, RTO: d.RTO}, true
		}
		if passed {
			f.LastSuccess = d.Ended
			break
		}
	}
	return f, ok
}

// drillLine is a drill as it is printed in JSON.
type drillLine struct {
	ID         market.DrillID         `json:"id"`
	State      market.DrillState      `json:"state"`
	Reason     string                 `json:"reason,omitempty"`
	Planned    bool                   `json:"planned"`
	Replica    string                 `json:"replica"`
	Started    time.Time              `json:"started"`
	Ended      time.Time              `json:"ended,omitzero"`
	Generation uint32                 `json:"generation,omitempty"`
	TXID       uint64                 `json:"txid,omitempty"`
	LSN        uint64                 `json:"lsn,omitempty"`
	CutAt      time.Time              `json:"cut_at,omitzero"`
	RPO        float64                `json:"rpo_seconds"`
	RTO        float64                `json:"rto_seconds"`
	Files      int                    `json:"files"`
	Bytes      int64                  `json:"bytes"`
	Blobs      int                    `json:"blobs"`
	BlobBytes  int64                  `json:"blob_bytes"`
	Keys       int                    `json:"keys_read"`
	Compared   market.DrillComparison `json:"compared,omitempty"`
	Digest     string                 `json:"digest,omitempty"`
}

func newDrillLine(d *market.Drill) drillLine {
	return drillLine{
		ID: d.ID, State: d.State, Reason: d.Reason, Planned: d.Planned, Replica: d.Source, Started: d.Started, Ended: d.Ended,
		Generation: d.Generation, TXID: d.TXID, LSN: d.LSN, CutAt: d.CutAt, RPO: d.RPO.Seconds(), RTO: d.RTO.Seconds(),
		Files: d.Files, Bytes: d.Bytes, Blobs: d.Blobs, BlobBytes: d.BlobBytes, Keys: d.Keys, Compared: d.Compared, Digest: d.Digest,
	}
}

// print writes what one drill showed.
func (t *drillTask) print(w io.Writer, d *market.Drill) error {
	if t.JSON {
		return json.NewEncoder(w).Encode(newDrillLine(d))
	}
	var b strings.Builder
	if d.State != market.DrillPassed {
		fmt.Fprintf(&b, "The drill of %s failed:\n  %s\n", d.Source, plain(d.Reason))
		_, err := io.WriteString(w, b.String())
		return err
	}
	fmt.Fprintf(&b, "The drill of %s passed.\n", d.Source)
	fmt.Fprintf(&b, "  Restored  commit %d (generation %d, file %d, cut %s)\n", d.LSN, d.Generation, d.TXID, clock(d.CutAt))
	fmt.Fprintf(&b, "  Read      %s in %s, and %s of files for sale (%d)\n", amount(d.Bytes), count(d.Files, "file", "files"), amount(d.BlobBytes), d.Blobs)
	fmt.Fprintf(&b, "  Checked   %d keys, everything is in order\n", d.Keys)
	fmt.Fprintf(&b, "  Compared  %s\n", comparison(d.Compared))
	fmt.Fprintf(&b, "  RPO       %s, which a loss of this machine would have cost\n", span(d.RPO))
	fmt.Fprintf(&b, "  RTO       %s, to restore and check\n", span(d.RTO))
	_, err := io.WriteString(w, b.String())
	return err
}

func comparison(c market.DrillComparison) string {
	switch c {
	case market.DrillWhole:
		return "every key and value is that of the live database"
	case market.DrillPart:
		return "all that hasn't changed since is as in the live database"
	}
	return "with nothing: there is no live database that tells"
}

// printHistory writes a line a drill, and why one failed under it.
func (t *drillTask) printHistory(w io.Writer, past []market.Drill) error {
	if t.JSON {
		enc := json.NewEncoder(w)
		for i := range past {
			if err := enc.Encode(newDrillLine(&past[i])); err != nil {
				return err
			}
		}
		return nil
	}
	if len(past) == 0 {
		_, err := fmt.Fprintln(w, "There has been no drill. Begin one with souk drill.")
		return err
	}
	const format = "%-20s  %-7s  %-4s  %9s  %7s  %7s  %s\n"
	if _, err := fmt.Fprintf(w, format, "STARTED (UTC)", "RESULT", "BY", "COMMIT", "RPO", "RTO", "REPLICA"); err != nil {
		return err
	}
	for _, d := range past {
		by, commit, rpo, rto := "hand", "-", "-", "-"
		if d.Planned {
			by = "plan"
		}
		if d.LSN > 0 {
			commit = fmt.Sprint(d.LSN)
		}
		if d.State == market.DrillPassed {
			rpo, rto = span(d.RPO), span(d.RTO)
		}
		_, err := fmt.Fprintf(w, format, d.Started.UTC().Format("2006-01-02 15:04:05"), d.State, by, commit, rpo, rto, d.Source)
		if err == nil && d.Reason != "" {
			_, err = fmt.Fprintf(w, "  %s\n", plain(d.Reason))
		}
		if err != nil {
			return err
		}
	}
	return nil
}
