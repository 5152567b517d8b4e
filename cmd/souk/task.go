package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/souk-market/souk/internal/blob"
	"github.com/souk-market/souk/internal/catalog"
	"github.com/souk-market/souk/internal/control"
	"github.com/souk-market/souk/internal/market"
	"github.com/souk-market/souk/store"
)

// task is maintenance of a data directory. It is done in this process when the directory
// is closed, and else inside the server that has it open; it can't tell which. Its
// exported fields are flags and arguments, and travel as JSON.
type task interface {
	name() string // the same in both processes
	run(ctx context.Context, h *house, c *control.Console) error
}

// resultTask is a task with a result to print whatever becomes of it.
type resultTask interface {
	task
	// notBegun prints the result where run hasn't printed one, and returns what there is to
	// say of why.
	notBegun(w io.Writer, why error) error
}

// tasks makes each kind of task, to be filled with what was asked for.
var tasks = []func() task{
	func() task { return new(checkTask) },
	func() task { return new(compactTask) },
	func() task { return new(reindexTask) },
	func() task { return new(inspectTask) },
	func() task { return new(ledgerExportTask) },
	func() task { return new(ledgerBalancesTask) },
	func() task { return new(jobsListTask) },
	func() task { return new(jobsShowTask) },
	func() task { return new(jobsRetryTask) },
	func() task { return new(drillTask) },
	func() task { return new(promoteTask) },
	func() task { return new(replicaStatusTask) },
	func() task { return new(agentShowTask) },
	func() task { return new(agentRenameTask) },
	func() task { return new(agentForgetTask) },
	func() task { return new(agentStateTask) },
	func() task { return new(agentPickTask) },
	func() task { return new(agentYankTask) },
	func() task { return new(categoryListTask) },
	func() task { return new(categoryPutTask) },
	func() task { return new(categoryRemoveTask) },
	func() task { return new(agentSetTask) },
	func() task { return new(attributeListTask) },
	func() task { return new(attributePutTask) },
	func() task { return new(attributeRemoveTask) },
	func() task { return new(tagListTask) },
	func() task { return new(tagMergeTask) },
	func() task { return new(tagUnmergeTask) },
	func() task { return new(pageListTask) },
	func() task { return new(pagePutTask) },
}

// command does a task that somebody asks this server for.
func (h *house) command(ctx context.Context, r control.Request, c *control.Console) error {
	for _, make := range tasks {
		t := make()
		if t.name() != r.Command {
			continue
		}
		if err := json.Unmarshal(r.Args, t); err != nil {
			return fmt.Errorf("souk: the arguments of %s: %w", r.Command, err)
		}
		return h.perform(ctx, t, c)
	}
	return market.Errorf(market.NotFound,
		"The running server is souk %s, which doesn't know this command. Restart it with the newer souk, or stop it and run the command again.", version())
}

// listen opens the control socket, the last thing before the parts start. A marketplace
// without one goes on, for it only lacks the commands.
func (h *house) listen() []part {
	s, err := control.Listen(h.cfg.Data, version(), h.command, h.log)
	if err != nil {
		h.log.Error("there is no control socket: souk check, compact, inspect and jobs need this server to be stopped", "err", err)
		return nil
	}
	return []part{{"control", s.Run}}
}

// taskFlags are the settings that matter to tasks.
func taskFlags() settingsFlags {
	return newSettingsFlags("data", "log-level", "log-format", "cache-size", "min-free")
}

// do reads the configuration and does a task.
func (f settingsFlags) do(ctx context.Context, t task) error {
	cfg, _, err := f.load(nil)
	if err != nil {
		return err
	}
	return do(ctx, cfg, t)
}

func do(ctx context.Context, cfg Config, t task) error {
	if err := find(cfg.Data); err != nil {
		return err
	}
	s := newScreen(os.Stdout, os.Stderr)
	c := &control.Console{Out: s, Show: s.show}
	err := control.Call(ctx, cfg.Data, t.name(), t, c)
	if errors.Is(err, control.ErrNoServer) {
		err = doClosed(ctx, cfg, t, c)
	}
	if t, ok := t.(resultTask); ok && ctx.Err() != nil && !s.written {
		err = t.notBegun(s, err)
	}
	return s.close(err)
}

func doClosed(ctx context.Context, cfg Config, t task, c *control.Console) error {
	h, err := openClosed(cfg)
	if err != nil {
		return err
	}
	return errors.Join(h.perform(ctx, t, c), h.close())
}

// perform does a task, and says what to do when it met a damaged file of the database.
func (h *house) perform(ctx context.Context, t task, c *control.Console) error {
	out := &watched{w: c.Out}
	err := t.run(ctx, h, &control.Console{Out: out, Show: c.Show})
	var told *market.Error
	if err == nil || out.failed.Load() || errors.As(err, &told) || h.db.Stats().DamagedFiles == 0 {
		return err
	}
	what, _, _ := strings.Cut(err.Error(), "\n")
	return market.Errorf(market.Internal, "A file of the database in %s is damaged, and what is in it can't be read (%s). "+
		"Keep the directory as it is, and restore from the replica into a new one.", h.cfg.Data, what)
}

// watched knows whether writing has failed.
type watched struct {
	w      io.Writer
	failed atomic.Bool
}

func (o *watched) Write(b []byte) (int, error) {
	n, err := o.w.Write(b)
	if err != nil {
		o.failed.Store(true)
	}
	return n, err
}

// find looks whether there is a marketplace in a directory.
func find(dir string) error {
	switch _, err := os.Stat(filepath.Join(dir, "store")); {
	case errors.Is(err, fs.ErrPermission):
		return market.Errorf(market.Forbidden, "You may not look into %s. Run this as its owner.", dir)
	case err != nil:
		return market.Errorf(market.NotFound, "There is no marketplace in %s.", dir)
	}
	return nil
}

// openClosed opens a data directory that no server has open, for a task: without the
// search index.
func openClosed(cfg Config) (*house, error) { return openClosedAs(cfg, false) }

// openClosedAs is openClosed, or opens the directory of a standby, which may be attached.
func openClosedAs(cfg Config, standby bool) (h *house, err error) {
	h = &house{cfg: cfg, log: cfg.logger()}
	o := h.storeOptions(standby)
	if standby {
		if err := h.attach(&o); err != nil {
			return nil, err
		}
	}
	h.db, err = store.Open(o)
	if errors.Is(err, syscall.EAGAIN) { // another process has the lock
		return nil, market.Errorf(market.Conflict, "The data directory %s is in use by a souk process that takes no commands: "+
			"an import, a restore, another command, or a server that is starting or stopping. Run this again when that one has ended.", cfg.Data)
	}
	if err != nil {
		return nil, err
	}
	if h.blobs, err = blob.Open(filepath.Join(cfg.Data, "blobs")); err != nil {
		return nil, errors.Join(err, h.close())
	}
	if h.attached != nil {
		h.blobs.SetFetch(h.attached.FetchBlob)
	}
	h.catalog = &catalog.Catalog{Store: h.db, Tenant: market.MainTenant, Logger: h.log}
	h.log.Debug("no server has the directory open; working on it here", "data", cfg.Data)
	return h, nil
}

// screen shows a task's output and, on standard error, its progress.
type screen struct {
	out     *bufio.Writer
	bar     *progress
	written bool // something, to out
}

func newScreen(out io.Writer, bar *os.File) *screen {
	return &screen{out: bufio.NewWriterSize(out, 32<<10), bar: newProgress(bar, 0)}
}

func (s *screen) Write(b []byte) (int, error) {
	s.bar.done()
	s.written = true
	return s.out.Write(b)
}

func (s *screen) show(p control.Progress) {
	s.bar.total = p.Total
	s.bar.show(p.Done, p.Note)
}

// close ends the output of a task that has ended with an error or nil, and returns what
// there is to say: of an output that can't be written just that, for the task's error is
// the same then.
func (s *screen) close(err error) error {
	s.bar.done()
	if err := s.out.Flush(); err != nil {
		return market.Errorf(market.Unavailable, "The output can't be written, and is not complete: %v.", err)
	}
	return err
}

// unfinished makes of the end of a context what the operator wants to know; other errors
// stay as they are.
func unfinished(err error, format string, args ...any) error {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return market.Errorf(market.Unavailable, format, args...)
	}
	return err
}

// count is a number with the words for one thing or for any other number of them.
func count(n int, one, many string) string {
	if n == 1 {
		many = one
	}
	return fmt.Sprintf("%d %s", n, many)
}

// showWhile shows progress now and every second until it is stopped, for work that tells
// nothing meanwhile.
func showWhile(c *control.Console, now func() control.Progress) (stop func()) {
	c.Show(now())
	done := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		tick := time.NewTicker(time.Second)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				c.Show(now())
			case <-done:
				return
			}
		}
	})
	return func() {
		close(done)
		wg.Wait()
	}
}
