package main

import (
	"context"
	"errors"

	"github.com/souk-market/souk/internal/replica"
)

// catchUp makes a restored directory the owner of the first replica before a server opens
// it: it takes in what the replica's server has written since the restore, and seals it.
// A directory that was restored to an earlier moment on purpose, or that goes on from
// commits of its own, is left as it is: opening the replicas says what it may do.
func catchUp(ctx context.Context, cfg Config) (err error) {
	if len(cfg.Replicas) == 0 || find(cfg.Data) != nil {
		return nil
	}
	h, err := openClosedAs(cfg, true)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, h.close()) }()
	if origin := h.db.Node().Origin; origin == nil || origin.Past {
		return nil
	}
	client, err := openReplica(cfg.Replicas[0], h.log)
	if err != nil {
		return err
	}
	follower, err := h.follow(client)
	if err != nil {
		return err
	}
	_, err = follower.Promote(ctx)
	if errors.Is(err, replica.ErrDiverged) {
		h.log.Debug("the directory has a history of its own", "err", err)
		return nil
	}
	return err
}
