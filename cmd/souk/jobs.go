package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"

	"github.com/souk-market/souk/internal/control"
	"github.com/souk-market/souk/internal/market"
	"github.com/souk-market/souk/store"
)

type jobsCmd struct {
	List  jobsListCmd  `cmd:"" help:"List jobs, the oldest first."`
	Show  jobsShowCmd  `cmd:"" help:"Print a job with its payload as JSON."`
	Retry jobsRetryCmd `cmd:"" help:"Put dead jobs back into the queue."`
}

type jobsListCmd struct {
	settingsFlags
	jobsListTask
}

func (c *jobsListCmd) Run(ctx context.Context) error { return c.do(ctx, &c.jobsListTask) }

type jobsListTask struct {
	State string `enum:"all,queued,running,dead" default:"all" help:"Only jobs in this state: queued, running or dead (failed for the last time)."`
	Kind  string `placeholder:"KIND" help:"Only jobs of this kind, like mail.receipt."`
	Limit uint32 `default:"100" placeholder:"N" help:"At most this many; 0 for all. Default: 100."`
	JSON  bool   `name:"json" help:"Print a JSON object a line."`
}

func (*jobsListTask) name() string { return "jobs list" }

// jobLine is a job as it is printed.
type jobLine struct {
	ID       market.JobID   `json:"id"`
	Kind     string         `json:"kind"`
	State    store.JobState `json:"state"`
	Attempts int            `json:"attempts"`
	Created  time.Time      `json:"created"`
	Due      time.Time      `json:"due"` // running: the end of its lease
	Error    string         `json:"error,omitempty"`
}

func newJobLine(j *store.Job) jobLine {
	return jobLine{ID: j.ID, Kind: j.Kind, State: j.State, Attempts: j.Attempts, Created: j.Created, Due: j.Due, Error: j.LastErr}
}

func (t *jobsListTask) run(ctx context.Context, h *house, c *control.Console) error {
	print, end := t.printer(c)
	state := store.JobState(t.State)
	if t.State == "all" {
		state = ""
	}
	err := h.db.View(ctx, market.MainTenant, func(tx *store.ReadTx) error {
		n := 0
		for j, err := range store.Jobs(tx, state, t.Kind) {
			if n++; err != nil || t.Limit > 0 && n > int(t.Limit) {
				return err
			}
			if err := errors.Join(ctx.Err(), print(newJobLine(&j))); err != nil {
				return err
			}
		}
		return nil
	})
	if err == nil {
		err = end()
	}
	return unfinished(err, "The list was broken off.")
}

// printer returns what prints a line, and what comes after the last one.
func (t *jobsListTask) printer(c *control.Console) (print func(jobLine) error, end func() error) {
	if t.JSON {
		enc := json.NewEncoder(c.Out)
		return func(l jobLine) error { return enc.Encode(l) }, func() error { return nil }
	}
	w := tabwriter.NewWriter(c.Out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "ID\tKIND\tSTATE\tATTEMPTS\tDUE\tERROR")
	return func(l jobLine) error {
		due := "-"
		if l.State != store.JobDead {
			due = l.Due.UTC().Format(time.RFC3339)
		}
		_, err := fmt.Fprintf(w, "%s\t%s\t%s\t%d\t%s\t%s\n", l.ID, l.Kind, l.State, l.Attempts, due, firstWords(l.Error))
		return err
	}, w.Flush
}

// firstWords is as much of an error as fits on a line.
func firstWords(s string) string {
	const most = 80 // characters
	s, _, cut := strings.Cut(s, "\n")
	if r := []rune(s); len(r) > most {
		s, cut = string(r[:most]), true
	}
	if s = plain(s); cut {
		s += "…"
	}
	return s
}

// plain is a text on one line, with spaces for control characters: a tab would be a
// column, and an escape could do anything to a terminal.
func plain(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, s)
}

type jobsShowCmd struct {
	settingsFlags
	jobsShowTask
}

func (c *jobsShowCmd) Run(ctx context.Context) error { return c.do(ctx, &c.jobsShowTask) }

type jobsShowTask struct {
	ID string `arg:"" help:"The job's ID, job_…."`
}

func (*jobsShowTask) name() string { return "jobs show" }

func (t *jobsShowTask) run(ctx context.Context, h *house, c *control.Console) error {
	q := store.InspectQuery{Tenant: market.MainTenant, Table: "jobs", ID: t.ID}
	for job, err := range h.db.Inspect(ctx, q) {
		if err != nil {
			return err
		}
		enc := json.NewEncoder(c.Out)
		enc.SetIndent("", "  ")
		return enc.Encode(job.Record)
	}
	return market.Errorf(market.NotFound, "There is no job %.100q: it is done, or never was.", t.ID)
}

type jobsRetryCmd struct {
	settingsFlags
	jobsRetryTask
}

func (c *jobsRetryCmd) Run(ctx context.Context) error {
	if (c.ID == "") != c.AllDead || c.ID != "" && c.Kind != "" {
		return usageError("Say which job to retry: its ID, or --all-dead, with --kind KIND for those of one kind.")
	}
	return c.do(ctx, &c.jobsRetryTask)
}

type jobsRetryTask struct {
	ID      string `arg:"" optional:"" help:"The job's ID, job_…."`
	AllDead bool   `help:"Retry every dead job."`
	Kind    string `placeholder:"KIND" help:"With --all-dead: those of this kind only."`
}

func (*jobsRetryTask) name() string { return "jobs retry" }

func (t *jobsRetryTask) run(ctx context.Context, h *house, c *control.Console) error {
	retried, err := t.retry(ctx, h)
	if err != nil {
		return unfinished(err, "The retry was broken off: %s in the queue again.", count(retried, "job is", "jobs are"))
	}
	_, err = fmt.Fprintf(c.Out, "%s in the queue again.\n", count(retried, "dead job is", "dead jobs are"))
	return err
}

func (t *jobsRetryTask) retry(ctx context.Context, h *house) (retried int, err error) {
	if t.ID != "" {
		_, err := h.db.Update(ctx, market.MainTenant, store.Op{}, func(tx *store.Tx) error { return store.RetryJob(tx, market.JobID(t.ID)) })
		return 1, err
	}
	var after store.Cursor
	for {
		n, next := 0, store.Cursor("")
		_, err := h.db.Update(ctx, market.MainTenant, store.Op{}, func(tx *store.Tx) (err error) {
			n, next, err = store.RetryDeadJobs(tx, t.Kind, after)
			return err
		})
		if err != nil {
			return retried, err
		}
		retried += n
		if after = next; next == "" {
			return retried, nil
		}
	}
}
