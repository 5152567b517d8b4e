package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/souk-market/souk/internal/control"
	"github.com/souk-market/souk/internal/jobs"
	"github.com/souk-market/souk/internal/market"
	"github.com/souk-market/souk/internal/monitor"
	"github.com/souk-market/souk/internal/order"
	"github.com/souk-market/souk/internal/replica"
	"github.com/souk-market/souk/internal/web"
)

type standbyCmd struct {
	settingsFlags
	From string `required:"" placeholder:"URL" help:"The replica to follow, which this server takes over when it is promoted: file:///path or s3://bucket/path?region=REGION&endpoint=https://HOST."`
}

func (c *standbyCmd) Run(ctx context.Context) error {
	if _, err := replicaAt(c.From); err != nil {
		return usageError(fmt.Sprintf("--from can't be %q: %v.", maskURL(c.From), err))
	}
	cfg, _, err := c.load(map[string]string{"replica": c.From})
	if err != nil {
		return err
	}
	cfg.follow(c.From)
	limitGarbage(leastGarbage)
	s := &standby{cfg: cfg, log: cfg.logger(), promotions: make(chan promotion)}
	if s.client, err = openReplica(cfg.Replicas[0], s.log); err != nil {
		return err
	}
	if err := s.restore(ctx); err != nil {
		return err
	}
	if wasPromoted(cfg.Data) {
		s.log.Info("this directory was promoted: it opens as the primary that it is", "data", cfg.Data)
		h, err := openHouse(cfg)
		if err != nil {
			return err
		}
		return h.serve(ctx, serveOptions{})
	}
	return s.run(ctx)
}

// follow makes a replica the first of the configuration, for it is the one that a standby
// follows, and writes to when it has been promoted.
func (c *Config) follow(rawURL string) {
	first := c.replicaFor(rawURL)
	rest := slices.DeleteFunc(slices.Clone(c.Replicas), func(r ReplicaConfig) bool { return r.URL == rawURL })
	c.Replicas = append([]ReplicaConfig{first}, rest...)
}

// standby follows a replica, shows its pages, and becomes the primary when it is told to.
type standby struct {
	cfg      Config
	log      *slog.Logger
	client   *replica.Client
	front    *front
	follower *replica.Follower

	promotions chan promotion

	mu    sync.RWMutex // held to use the house; locked to exchange it
	house *house
	inner *crew // what works in the house
	tasks *ending
	stuck error // why there is no house any more; of the one who runs the standby
}

// ending ends tasks before what they work on goes.
type ending struct {
	ctx context.Context
	now context.CancelFunc
}

func newEnding() *ending {
	e := &ending{}
	e.ctx, e.now = context.WithCancel(context.Background())
	return e
}

// restoreAgain is the time between two attempts to restore.
const restoreAgain = 2 * time.Second

// restore makes the directory when there is none. It waits for a replica that nothing has
// been shipped to yet, or that can't be reached: the standby may be started first.
func (s *standby) restore(ctx context.Context) error {
	if _, err := os.Stat(filepath.Join(s.cfg.Data, "store")); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	s.log.Info("restoring the directory of the standby", "data", s.cfg.Data, "replica", s.client.String())
	for waiting := false; ; waiting = true {
		err := s.restoreOnce(ctx)
		if err == nil || refused(err) || errors.Is(err, replica.ErrCorrupt) || ctx.Err() != nil {
			return unfinished(err, "The restore was broken off. Run the same command again: what has been downloaded and verified is used again.")
		}
		if !waiting {
			s.log.Warn("the replica can't be restored yet; trying again until it can", "err", err)
		}
		sleep(ctx, restoreAgain)
	}
}

func (s *standby) restoreOnce(ctx context.Context) error {
	bar, meter := newProgress(os.Stderr, 0), newTransfer()
	defer bar.done()
	rep, err := replica.Restore(ctx, []*replica.Client{s.client}, s.cfg.Data, replica.Target{}, replica.RestoreOptions{
		Logger: s.log, Progress: func(done, total int64) {
			bar.total = total
			bar.show(done, meter.note(done, total))
		},
	})
	if err == nil {
		bar.done()
		s.log.Info("restored", "commit", rep.LSN, "generation", rep.Generation, "took", rep.Duration.Round(time.Millisecond))
	}
	return err
}

// run follows until ctx ends or something fails, first as the standby and, once it has
// been promoted, as the primary.
func (s *standby) run(ctx context.Context) error {
	if err := s.open(ctx); err != nil {
		return errors.Join(err, s.front.close(), s.close())
	}
	outer := startAll(ctx, append([]part{{"edge", s.front.Run}}, s.listen()...))
	s.log.Info("the standby is open", "address", s.front.baseURL, "follows", s.client.String(), "version", version())
	for {
		select {
		case p := <-s.promotions:
			p.done <- s.promote(outer.ctx, p)
			if s.stuck == nil {
				continue
			}
		case <-outer.ctx.Done():
		case <-s.inner.ctx.Done():
		}
		break
	}
	s.log.Info("stopping")
	s.tasks.now()
	err := errors.Join(s.stuck, outer.stop(), s.inner.stop())
	if err = errors.Join(err, s.close()); err == nil {
		s.log.Info("stopped")
	}
	return err
}

// open opens the directory as a standby's, listens, and begins to follow.
func (s *standby) open(ctx context.Context) (err error) {
	s.tasks = newEnding()
	if s.house, err = openHouseAs(s.cfg, true); err != nil {
		return err
	}
	if s.follower, err = s.house.follow(s.client); err != nil {
		return err
	}
	if s.front, err = s.house.openFront(); err != nil {
		return err
	}
	if err := s.house.wireStandby(s.front, s.follower); err != nil {
		return err
	}
	s.inner = startAll(ctx, []part{
		{"follower", s.followAlong},
		{"search", s.house.index.Run},
	})
	return nil
}

// follow makes what follows a replica in a standby's house.
func (h *house) follow(client *replica.Client) (*replica.Follower, error) {
	spool := filepath.Join(h.cfg.Data, "spool")
	if err := os.MkdirAll(spool, 0o700); err != nil {
		return nil, err
	}
	return replica.Follow(h.db, h.blobs, client, replica.FollowerOptions{SpoolDir: spool, Logger: h.log})
}

// followAlong follows until ctx ends. A replica that can't be followed any further needs
// a person; the pages go on, and say what they know.
func (s *standby) followAlong(ctx context.Context) error {
	if err := s.follower.Run(ctx); err != nil {
		s.log.Error("this standby can't follow any further; its pages go on as they are", "err", err)
	}
	<-ctx.Done()
	return nil
}

func (s *standby) close() error {
	if s.house == nil {
		return nil
	}
	return s.house.close()
}

// closedHere is why nothing can be bought at a standby.
var closedHere = market.Errorf(market.Unavailable, "This is a standby: it keeps a copy of the marketplace up to date, ready to take over. "+
	"You can look around here. To buy, to sign in or to see your purchases, please use the marketplace's usual address.")

// wireStandby gives the address the pages of a standby: what is for everybody can be
// read, and everything else says why not.
func (h *house) wireStandby(f *front, follower *replica.Follower) error {
	provider, _, err := h.provider(f)
	if err != nil {
		return err
	}
	shop := order.New(order.Config{
		Store: h.db, Tenant: market.MainTenant, Blobs: h.blobs, Provider: provider, BaseURL: f.baseURL,
		Commission: h.cfg.CommissionBP, Currency: h.cfg.Currency, Logger: h.log,
	})
	pages := web.New(web.Config{
		Name: h.cfg.Name, BaseURL: f.baseURL, Catalog: h.catalog, Shop: shop, Accounts: h.people,
		Blobs: h.blobs, Provider: provider, Closed: closedHere, Pages: h.pages, Media: h.media, Logger: h.log,
	})
	mailer, _, err := h.mailer(shop, f.baseURL)
	if err != nil {
		return err
	}
	h.drills = h.newDrills(nil)
	watch := h.monitor(jobs.New(h.db, market.MainTenant, mailer.Handlers(), h.log))
	watchFollower(watch, follower)
	f.show(h.guard(routes(pages, h.api(f.baseURL), watch, nil), watch, f.baseURL))
	return nil
}

// watchFollower shows how far the standby is behind the replica.
func watchFollower(m *monitor.Monitor, f *replica.Follower) {
	m.WatchStandby(func() monitor.Standby {
		commits, age := f.Lag()
		return monitor.Standby{LagCommits: commits, Lag: age, LSN: uint64(f.Position().LSN), Generation: f.Position().Generation}
	})
	m.Check("following", func(context.Context) error {
		if err := f.Err(); err != nil {
			return err
		}
		if _, age := f.Lag(); age > market.ReplicaLag {
			return fmt.Errorf("nothing has been heard of the replica for %s", age.Round(time.Second))
		}
		return nil
	})
}

// listen opens the control socket.
func (s *standby) listen() []part {
	c, err := control.Listen(s.cfg.Data, version(), s.command, s.log)
	if err != nil {
		s.log.Error("there is no control socket: souk promote needs this standby to be stopped", "err", err)
		return nil
	}
	return []part{{"control", c.Run}}
}

// command does a task that somebody asks this process for, in the house that it has then.
func (s *standby) command(ctx context.Context, r control.Request, c *control.Console) error {
	if r.Command == (&promoteTask{}).name() {
		return s.askToPromote(ctx, c)
	}
	if !s.mu.TryRLock() {
		return market.Errorf(market.Unavailable, "This standby is being promoted. Run the command again in a minute.")
	}
	defer s.mu.RUnlock()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(s.tasks.ctx, cancel)()
	return s.house.command(ctx, r, c)
}

// promotedFile marks a directory that was a standby's and is a primary's, so that the
// command that started it as a standby doesn't make one of it again.
const promotedFile = "promoted"

func wasPromoted(dir string) bool {
	_, err := os.Stat(filepath.Join(dir, promotedFile))
	return err == nil
}

// markPromoted makes the mark durable: a standby that forgot after a power failure that it
// was promoted would follow the generation that it has written.
func markPromoted(dir string, pos replica.Position, at time.Time) error {
	text := fmt.Sprintf("Promoted at %s: this directory is a primary's, of %s.\n", at.UTC().Format(time.RFC3339), strings.TrimSpace(pos.String()))
	f, err := os.OpenFile(filepath.Join(dir, promotedFile), os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return fmt.Errorf("souk: marking %s as promoted: %w", dir, err)
	}
	_, err = f.WriteString(text)
	if err = errors.Join(err, f.Sync(), f.Close()); err == nil {
		err = syncFolder(dir)
	}
	if err != nil {
		return fmt.Errorf("souk: marking %s as promoted: %w", dir, err)
	}
	return nil
}

// syncFolder makes the names in a folder durable.
func syncFolder(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
