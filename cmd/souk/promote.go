package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/souk-market/souk/internal/control"
	"github.com/souk-market/souk/internal/market"
	"github.com/souk-market/souk/internal/replica"
)

type promoteCmd struct {
	settingsFlags
	From string `placeholder:"URL" help:"For a standby that doesn't run: the replica that it followed. Default: the first that is configured."`
}

func (c *promoteCmd) Run(ctx context.Context) error {
	cfg, _, err := c.load(nil)
	if err != nil {
		return err
	}
	if err := find(cfg.Data); err != nil {
		return err
	}
	s := newScreen(os.Stdout, os.Stderr)
	console := &control.Console{Out: s, Show: s.show}
	t := &promoteTask{}
	err = control.Call(ctx, cfg.Data, t.name(), t, console)
	if errors.Is(err, control.ErrNoServer) {
		err = c.stopped(ctx, cfg, console)
	}
	return s.close(err)
}

// stopped promotes the directory of a standby that doesn't run.
func (c *promoteCmd) stopped(ctx context.Context, cfg Config, console *control.Console) error {
	if c.From != "" {
		cfg.follow(c.From)
	}
	if len(cfg.Replicas) == 0 {
		return usageError("No standby runs in this directory. To promote it stopped, name the replica that it followed: --from URL.")
	}
	log := cfg.logger()
	client, err := openReplica(cfg.Replicas[0], log)
	if err != nil {
		return err
	}
	h, err := openClosedAs(cfg, true)
	if err != nil {
		return err
	}
	follower, err := h.follow(client)
	if err != nil {
		return errors.Join(err, h.close())
	}
	began := time.Now()
	console.Show(control.Progress{Note: "catching up, and sealing the old primary's part of the replica"})
	pos, err := follower.Promote(ctx)
	if err == nil {
		err = markPromoted(cfg.Data, pos, time.Now())
	}
	if err = errors.Join(unpromoted(err), h.close()); err != nil {
		return err
	}
	fmt.Fprintf(console.Out, "Promoted %s in %s: it goes on from commit %d, as generation %d of %s.\n", cfg.Data, tenths(time.Since(began)), pos.LSN, pos.Generation, client)
	fmt.Fprintf(console.Out, "Start it with: souk serve --data %s --replica '%s'\n", cfg.Data, cfg.Replicas[0].URL)
	return nil
}

// unpromoted says of a promotion that was broken off what to do.
func unpromoted(err error) error {
	return unfinished(err, "The promotion was broken off. Run souk promote again: until it has succeeded, neither server may be able to sell.")
}

func tenths(d time.Duration) time.Duration { return d.Round(100 * time.Millisecond) }

// promoteTask makes a primary of a standby. Who runs it isn't one: a standby answers for
// itself, before it looks at tasks.
type promoteTask struct{}

func (*promoteTask) name() string { return "promote" }

func (*promoteTask) run(_ context.Context, h *house, _ *control.Console) error {
	return market.Errorf(market.Conflict, "%s belongs to a server that is the primary already.", h.cfg.Data)
}

// promotion is somebody's wish that the standby become the primary.
type promotion struct {
	ctx     context.Context // ends when they don't wait any more
	console *control.Console
	done    chan error
}

// askToPromote hands the wish to whoever runs the standby, and waits.
func (s *standby) askToPromote(ctx context.Context, c *control.Console) error {
	p := promotion{ctx, c, make(chan error, 1)}
	select {
	case s.promotions <- p:
		return <-p.done
	case <-ctx.Done():
		return ctx.Err()
	}
}

// promote makes this process the primary: it catches up and seals, closes the standby's
// directory, and opens it again as a marketplace at the same address. Until the old
// primary's part is sealed it may be broken off; from then on it is carried through.
func (s *standby) promote(ctx context.Context, p promotion) error {
	if s.follower == nil {
		return (&promoteTask{}).run(ctx, &house{cfg: s.cfg}, p.console)
	}
	began := time.Now()
	commits, age := s.follower.Lag()
	s.log.Info("promoting", "lag_commits", commits, "lag", tenths(age))
	p.console.Show(control.Progress{Note: "catching up, and sealing the old primary's part of the replica"})
	sealing, cancel := context.WithCancel(p.ctx)
	defer context.AfterFunc(ctx, cancel)()
	defer cancel()
	pos, err := s.follower.Promote(sealing)
	if err != nil {
		return unpromoted(err)
	}
	sealed := time.Since(began)
	p.console.Show(control.Progress{Note: "opening the marketplace"})
	if err := s.becomePrimary(ctx, pos); err != nil {
		s.stuck = market.Errorf(market.Unavailable, "The old primary is sealed, and the marketplace can't be opened here. "+
			"Start it with souk serve --data %s --replica '%s'.", s.cfg.Data, s.cfg.Replicas[0].URL).Because(err)
		return s.stuck
	}
	s.log.Info("the marketplace is open", "address", s.front.baseURL, "promoted", true, "took", tenths(time.Since(began)))
	fmt.Fprintf(p.console.Out, "This server is the primary now, after %s (sealed after %s).\n", tenths(time.Since(began)), tenths(sealed))
	fmt.Fprintf(p.console.Out, "  It goes on from commit %d, as generation %d of %s.\n", pos.LSN, pos.Generation, s.client)
	fmt.Fprintf(p.console.Out, "  The old primary can't write there any more, and sells nothing once it notices.\n")
	fmt.Fprintf(p.console.Out, "  Send visitors here: %s\n", s.front.baseURL)
	return nil
}

// becomePrimary exchanges the standby's house for the marketplace's.
func (s *standby) becomePrimary(ctx context.Context, pos replica.Position) error {
	s.front.handler.Store(nil)
	s.tasks.now()
	s.mu.Lock() // waits for tasks under way
	defer s.mu.Unlock()
	s.tasks = newEnding()
	err := errors.Join(s.inner.stop(), s.house.close(), markPromoted(s.cfg.Data, pos, time.Now()))
	s.house, s.follower = nil, nil
	if err != nil {
		return err
	}
	h, err := openHouse(s.cfg)
	if err != nil {
		return err
	}
	s.house, h.promoted = h, true
	if err := h.replicate(ctx); err != nil {
		return err
	}
	parts, err := h.wire(s.front, serveOptions{})
	if err != nil {
		return err
	}
	s.inner = startAll(ctx, parts)
	return nil
}
