package main

import (
	"context"
	"errors"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/souk-market/souk/internal/market"
	"github.com/souk-market/souk/internal/replica"
)

// shipper ships the house's commits to one replica.
type shipper struct {
	*replica.Replicator
	client *replica.Client
	config ReplicaConfig
}

// addReplicas makes a shipper for each configured replica.
func (h *house) addReplicas() error {
	for i, r := range h.cfg.Replicas {
		client, err := openReplica(r, h.log)
		if err != nil {
			return err
		}
		o := h.replicaOptions(r)
		o.OnFenced = h.duty.stop
		if i == 0 { // the lease is in one place
			o.LeaseTTL, o.OnLeaseLost, o.OnLeaseBack = h.cfg.Lease, h.duty.pause, h.duty.resume
		}
		h.replicas = append(h.replicas, &shipper{replica.New(h.db, h.blobs, client, o), client, r})
	}
	return nil
}

func (h *house) replicators() (all []*replica.Replicator) {
	for _, s := range h.replicas {
		all = append(all, s.Replicator)
	}
	return all
}

func (h *house) replicaOptions(r ReplicaConfig) replica.Options {
	return replica.Options{
		Interval: r.Interval, SnapshotEvery: r.SnapshotEvery, TakeOver: h.takeOver, DataDir: h.cfg.Data,
		SpoolDir: filepath.Join(h.cfg.Data, "spool"), Retention: r.Keep, Logger: h.log,
	}
}

// openingTime is how long the start waits for replicas.
const openingTime = 10 * time.Second

// openReplicas opens the replicas side by side, before anything is sold. What a person
// has to act on is an error; a replica that can't be reached now is opened later, unless
// this server is to take over, which needs it.
func (h *house) openReplicas(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, openingTime)
	defer cancel()
	errs := make([]error, len(h.replicas))
	var opening sync.WaitGroup
	for i, s := range h.replicas {
		opening.Go(func() { errs[i] = h.openReplica(ctx, s, i == 0 || !h.promoted) })
	}
	opening.Wait()
	return errors.Join(errs...)
}

// openReplica opens one replica. Where it isn't needed, a refusal is for the log.
func (h *house) openReplica(ctx context.Context, s *shipper, needed bool) error {
	err := s.Open(ctx)
	switch {
	case err == nil:
		return nil
	case refused(err) && needed:
		return err
	case refused(err):
		h.log.Error("a replica can't be used until somebody has acted; the marketplace opens without it", "replica", s.client.String(), "err", err)
		return nil
	case h.takeOver:
		return market.Errorf(market.Unavailable, "Taking over needs the replica %s, which can't be opened within %s.", s.client, openingTime).Because(err)
	}
	h.log.Warn("a replica can't be opened yet; the marketplace opens without it, and tries again", "replica", s.client.String(), "err", err)
	return nil
}

// refused reports whether an error of opening a replica asks for a person: trying again
// would be of no use, and going on without would go against what the replica says.
func refused(err error) bool {
	reasons := []error{replica.ErrFenced, replica.ErrForeign, replica.ErrReplicaAhead, replica.ErrDiverged, replica.ErrOccupied, replica.ErrBehind}
	if slices.ContainsFunc(reasons, func(reason error) bool { return errors.Is(err, reason) }) {
		return true
	}
	return market.Is(err, market.Invalid) || market.Is(err, market.Conflict) || market.Is(err, market.Forbidden)
}

// run ships until ctx ends. What ends it before is this replica's own trouble, which
// stops no other part: only another server that has taken over ends the duty of this one.
func (s *shipper) run(ctx context.Context, d *duty) error {
	err := s.Run(ctx)
	switch {
	case errors.Is(err, replica.ErrFenced):
		d.end(err)
	case err != nil:
		d.log.Error("nothing is shipped to this replica any more until somebody has acted; the marketplace goes on", "replica", s.client.String(), "err", err)
	}
	<-ctx.Done()
	return nil
}
